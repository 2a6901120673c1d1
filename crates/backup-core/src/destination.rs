//! The product's three destination options, and where each is valid.

use crate::path::SitePath;

/// Where the task writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationOption {
    /// A local drive of the site server, for site data and database.
    Local(SitePath),
    /// A network path, for site data and database.
    Network(SitePath),
    /// Local drives of the site server and of SQL Server, when that is another machine.
    Split {
        /// The folder on the site server.
        site: SitePath,
        /// The folder on the database's machine.
        sql: SitePath,
    },
}

/// Why a destination is not valid. The remedy stands in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDestination {
    /// A network path where a local one is asked for, or the other way round.
    #[error("`{path}` is not a {wanted} path: use `{key}` for it")]
    WrongOption {
        /// The path.
        path: SitePath,
        /// `local` or `network`.
        wanted: &'static str,
        /// The key that takes it.
        key: &'static str,
    },
    /// The split option with a database on this machine.
    #[error(
        "separate folders for site and database are for a database on another machine; \
         this one is local: use `local` or `network`"
    )]
    SplitButLocal,
    /// A whole drive or share (KB275612: an empty folder name once made the task empty a drive).
    #[error("`{0}` is the root of a drive or share: name a folder on it (KB275612)")]
    Root(SitePath),
    /// Inside the installation folder, which is itself backed up.
    #[error("`{path}` lies inside `{source_root}`, which is backed up: name a folder outside it (KB275612)")]
    InsideSource {
        /// The destination.
        path: SitePath,
        /// What it lies in.
        source_root: SitePath,
    },
    /// Above something that is backed up.
    #[error("`{path}` holds `{source_root}`, which is backed up: name a folder beside it (KB256586)")]
    AboveSource {
        /// The destination.
        path: SitePath,
        /// What lies in it.
        source_root: SitePath,
    },
}

impl DestinationOption {
    /// The folder that takes the site part, and with the first two options the database too.
    pub fn site_folder(&self) -> &SitePath {
        match self {
            Self::Local(path) | Self::Network(path) => path,
            Self::Split { site, .. } => site,
        }
    }

    /// Judges the option; `sources` are all paths that are backed up and the installation folder.
    ///
    /// Names outside ASCII are fine here; the product refuses them.
    ///
    /// # Errors
    /// [`InvalidDestination`] for the first rule that does not hold.
    pub fn validate(&self, database_is_remote: bool, sources: &[SitePath]) -> Result<(), InvalidDestination> {
        let wrong = |path: &SitePath, wanted, key| InvalidDestination::WrongOption { path: path.clone(), wanted, key };
        match self {
            Self::Local(path) if is_share(path) => Err(wrong(path, "local", "network")),
            Self::Network(path) if !is_share(path) => Err(wrong(path, "network", "local")),
            Self::Split { site, sql } if is_share(site) || is_share(sql) => Err(wrong(site, "local", "network")),
            Self::Split { .. } if !database_is_remote => Err(InvalidDestination::SplitButLocal),
            _ => Ok(()),
        }?;
        let path = self.site_folder();
        if path.is_root() {
            return Err(InvalidDestination::Root(path.clone()));
        }
        for source in sources {
            if path.starts_with(source) {
                return Err(InvalidDestination::InsideSource { path: path.clone(), source_root: source.clone() });
            }
            if source.starts_with(path) {
                return Err(InvalidDestination::AboveSource { path: path.clone(), source_root: source.clone() });
            }
        }
        Ok(())
    }
}

fn is_share(path: &SitePath) -> bool {
    path.to_bytes().starts_with(b"\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SitePath {
        SitePath::parse(text).expect("the test's path is absolute")
    }

    fn check(option: &DestinationOption, remote: bool, expect: &str) {
        let verdict = option.validate(remote, &[path("/srv/configmgr"), path(r"D:\SMS")]);
        let text = verdict.map_or_else(|error| error.to_string(), |()| "valid".to_owned());
        assert!(text.contains(expect), "{option:?}: {text}");
    }

    #[test]
    fn each_option_has_its_rules() {
        check(&DestinationOption::Local(path("/backup")), false, "valid");
        check(&DestinationOption::Local(path(r"D:\Sicherung\Größe")), false, "valid");
        check(&DestinationOption::Local(path(r"\\srv\share\x")), false, "is not a local path");
        check(&DestinationOption::Network(path(r"\\srv\share\x")), false, "valid");
        check(&DestinationOption::Network(path("/backup")), false, "is not a network path");
        let split = DestinationOption::Split { site: path(r"E:\site"), sql: path(r"E:\sql") };
        check(&split, true, "valid");
        check(&split, false, "this one is local");
    }

    #[test]
    fn kb275612_no_destination_can_hold_or_lie_in_a_source() {
        check(&DestinationOption::Local(path("/")), false, "root of a drive");
        check(&DestinationOption::Network(path(r"\\srv\share")), false, "root of a drive");
        check(&DestinationOption::Local(path("/srv/configmgr/backup")), false, "lies inside");
        check(&DestinationOption::Local(path("/srv/configmgr")), false, "lies inside");
        check(&DestinationOption::Local(path("/srv")), false, "holds");
    }

    #[test]
    fn kb256586_a_name_that_only_begins_alike_is_another_folder() {
        check(&DestinationOption::Local(path(r"D:\SMS Backup")), false, "valid");
    }
}
