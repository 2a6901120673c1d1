//! What a site is, and which sites have a backup task at all.

use std::fmt;
use std::str::FromStr;

/// Three letters or digits, kept in upper case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SiteCode(String);

/// Names that the product reserves, for they name devices in Windows.
const RESERVED_CODES: [&str; 5] = ["AUX", "CON", "NUL", "PRN", "SMS"];

/// Why a text is not a site code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a site code: three letters or digits, and none of AUX, CON, NUL, PRN, SMS")]
pub struct NotASiteCode(String);

impl FromStr for SiteCode {
    type Err = NotASiteCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code = text.to_ascii_uppercase();
        let plain = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain && !RESERVED_CODES.contains(&code.as_str()) {
            Ok(Self(code))
        } else {
            Err(NotASiteCode(text.to_owned()))
        }
    }
}

impl SiteCode {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the snapshot's folder, `<SiteCode>Backup`.
    pub fn snapshot_folder(&self) -> String {
        format!("{}Backup", self.0)
    }
}

impl fmt::Display for SiteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of site it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteKind {
    /// The top of a hierarchy.
    CentralAdministration,
    /// A primary site; with a parent it is a child primary, without one it stands alone.
    Primary {
        /// The site above it.
        parent: Option<SiteCode>,
    },
    /// A secondary site, which has no backup task.
    Secondary,
    /// A server that only holds roles of another site, which has no backup task.
    SiteSystem,
}

/// Whether this server is the one that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It is.
    Active,
    /// It stands by for the named server.
    Passive {
        /// The active site server.
        active: String,
    },
}

/// Why a site is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Secondary sites have no backup task.
    #[error(
        "a secondary site has no backup: recover it from its primary site, which reinstalls it (Recover Secondary Site)"
    )]
    Secondary,
    /// Site systems have no backup task.
    #[error("a site system server has no backup of its own: back up the site server of its site")]
    SiteSystem,
    /// The backup belongs on the other server.
    #[error("this site server is passive: run the backup on the active one, `{active}`")]
    Passive {
        /// The active site server.
        active: String,
    },
}

impl SiteKind {
    /// Whether other sites replicate with it, so that the age of a backup decides what it is worth.
    pub fn in_hierarchy(&self) -> bool {
        matches!(self, Self::CentralAdministration | Self::Primary { parent: Some(_) })
    }

    /// Refuses sites that have no backup task, and servers that are not the active one.
    ///
    /// # Errors
    /// [`Refusal`], with what to do instead.
    pub fn admit(&self, role: &Role) -> Result<(), Refusal> {
        match (self, role) {
            (Self::Secondary, _) => Err(Refusal::Secondary),
            (Self::SiteSystem, _) => Err(Refusal::SiteSystem),
            (_, Role::Passive { active }) => Err(Refusal::Passive { active: active.clone() }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_code_has_three_plain_characters() {
        assert_eq!("p01".parse::<SiteCode>().expect("plain").snapshot_folder(), "P01Backup");
        for text in ["", "P1", "P001", "P 1", "../", "con", "é01"] {
            assert!(text.parse::<SiteCode>().is_err(), "{text}");
        }
    }

    #[test]
    fn sites_without_a_backup_task_are_refused() {
        let primary = SiteKind::Primary { parent: None };
        assert_eq!(primary.admit(&Role::Active), Ok(()));
        assert_eq!(SiteKind::Secondary.admit(&Role::Active), Err(Refusal::Secondary));
        assert_eq!(SiteKind::SiteSystem.admit(&Role::Active), Err(Refusal::SiteSystem));
        let passive = Role::Passive { active: "srv1".into() };
        assert_eq!(SiteKind::CentralAdministration.admit(&passive), Err(Refusal::Passive { active: "srv1".into() }));
    }
}
