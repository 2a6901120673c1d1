//! The script with which the product's Setup recovers a site unattended: judged, written as text, and explained.
//!
//! Microsoft supports recovery of a site through Setup alone. What Setup accepts is what the vendor's pages "Unattended setup script file
//! keys" and "Recover a Configuration Manager site" say of it; where older pages differ, the newest holds. Nothing here has been proven
//! with a real Setup. This module reads and writes no file.

mod cd_latest;
mod draft;
mod explain;
mod rules;
#[cfg(test)]
mod tests;
mod values;

use std::time::Duration;

use jiff::Timestamp;

use crate::change_tracking::DEFAULT_RETENTION;
use crate::manifest::DatabasePart;
use crate::report::{Cause, Finding, Gravity};
use crate::secret::Secret;
use crate::site::{SiteCode, SiteKind};

pub use cd_latest::CdLatest;
pub use draft::Section;

/// The port of SQL Server's Service Broker, unless somebody changed it.
pub const DEFAULT_SSB_PORT: u16 = 4022;
/// What the name of the script must end with.
pub const EXTENSION: &str = "ini";

/// What Setup recovers: its key `ServerRecoveryOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerRecovery {
    /// The site server and its database: 1.
    #[default]
    Both,
    /// The site server: 2. The database is left as it is.
    SiteServer,
    /// The database: 4.
    Database,
}

impl ServerRecovery {
    /// The number in the script.
    pub fn code(self) -> u8 {
        match self {
            Self::Both => 1,
            Self::SiteServer => 2,
            Self::Database => 4,
        }
    }
}

/// Where Setup gets the site database from: its key `DatabaseRecoveryOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseRecovery {
    /// From the MDF and LDF of a backup set: 10.
    Backup,
    /// Somebody has put it back already: 20.
    Manual,
    /// It is made anew and filled by the other sites: 40.
    Create,
    /// It was not lost: 80.
    Skip,
}

impl DatabaseRecovery {
    /// The number in the script.
    pub fn code(self) -> u8 {
        match self {
            Self::Backup => 10,
            Self::Manual => 20,
            Self::Create => 40,
            Self::Skip => 80,
        }
    }
}

/// What is known of the site and of the snapshot that it is recovered from.
#[derive(Debug, Clone)]
pub struct SnapshotFacts {
    /// The site code.
    pub site: SiteCode,
    /// The site's kind.
    pub kind: SiteKind,
    /// The site server's name, where it is known: a database on it cannot be skipped.
    pub site_server: Option<String>,
    /// The moment that the snapshot holds.
    pub moment: Timestamp,
    /// The present moment.
    pub now: Timestamp,
    /// How long change tracking data is kept; `None` where nobody says, and then the product's default counts.
    pub retention: Option<Duration>,
    /// The database part.
    pub database: Option<DatabasePart>,
    /// What the snapshot has of Setup itself.
    pub cd_latest: CdLatest,
}

impl SnapshotFacts {
    /// How old the snapshot is; zero where its moment has not come yet.
    pub fn age(&self) -> Duration {
        Duration::try_from(self.now.duration_since(self.moment)).unwrap_or_default()
    }

    /// Whether change tracking still reaches back to the snapshot.
    fn is_inside_retention(&self) -> bool {
        self.age() <= self.retention.unwrap_or(DEFAULT_RETENTION)
    }

    fn is_child(&self) -> bool {
        matches!(self.kind, SiteKind::Primary { parent: Some(_) })
    }
}

/// What a snapshot cannot tell and the administrator adds. Fields are named as Setup's keys; paths are those of the machine that runs Setup.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// What is recovered.
    pub server: ServerRecovery,
    /// Where the database comes from; `None` takes what the snapshot serves.
    pub database: Option<DatabaseRecovery>,
    /// Whether the site server is set up anew instead of from the backup set.
    pub reinstall: bool,
    /// The snapshot's folder.
    pub site_server_backup_location: Option<String>,
    /// The folder of its database part, where it is not `SiteDBServer` in the snapshot's folder.
    pub backup_location: Option<String>,
    /// The primary site from which a central administration site takes global data.
    pub reference_site: Option<String>,
    /// The product key, or `Eval`.
    pub product_id: Option<Secret>,
    /// What the site is called.
    pub site_name: Option<String>,
    /// The installation folder.
    pub sms_install_dir: Option<String>,
    /// The server of the SMS Provider.
    pub sdk_server: Option<String>,
    /// Whether Setup downloads its prerequisites into their folder, instead of finding them there.
    pub download_prerequisites: bool,
    /// The folder of the prerequisites.
    pub prerequisite_path: Option<String>,
    /// Whether the console is left out.
    pub no_admin_console: bool,
    /// The database server.
    pub sql_server_name: Option<String>,
    /// Its port.
    pub sql_server_port: Option<u16>,
    /// The database, `INSTANCE\NAME` on a named instance; `None` takes the snapshot's.
    pub database_name: Option<String>,
    /// The Service Broker's port; `None` is [`DEFAULT_SSB_PORT`].
    pub sql_ssb_port: Option<u16>,
    /// Another folder of the data file.
    pub sql_data_file_path: Option<String>,
    /// Another folder of the log file.
    pub sql_log_file_path: Option<String>,
    /// The server of a service connection point.
    pub cloud_connector_server: Option<String>,
    /// The proxy that it uses.
    pub proxy_name: Option<String>,
    /// The proxy's port.
    pub proxy_port: Option<u16>,
    /// The site server of the central administration site above.
    pub ccar_site_server: Option<String>,
    /// Minutes after which a failed connection to it is tried again.
    pub cas_retry_interval: Option<u32>,
    /// Minutes, at most 100, after which no connection to it is tried any more.
    pub wait_for_cas_timeout: Option<u32>,
}

/// Why no script is written: a rule of one of Setup's keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Refused {
    /// The key, as Setup calls it, or `site server`, whose name no key has.
    pub key: &'static str,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// A script that keeps Setup's rules, and what it will do.
#[derive(Debug, Clone)]
pub struct UnattendedRecovery {
    facts: SnapshotFacts,
    server: ServerRecovery,
    database: Option<DatabaseRecovery>,
    sections: Vec<Section>,
}

impl UnattendedRecovery {
    /// Judges what is known and what is added.
    ///
    /// # Errors
    /// Every rule that is broken, each once. A site that Setup cannot recover is refused with that alone.
    pub fn new(facts: SnapshotFacts, answers: &Answers) -> Result<Self, Vec<Refused>> {
        rules::judge(facts, answers)
    }

    /// The script's text: ASCII, with the line ends of Windows. It holds the product key.
    pub fn to_ini(&self) -> String {
        draft::to_ini(&self.sections)
    }

    /// The script's sections and keys, in its order; the product key is hidden.
    pub fn sections(&self) -> Vec<Section> {
        draft::without_product_key(&self.sections)
    }

    /// What it was made of.
    pub fn facts(&self) -> &SnapshotFacts {
        &self.facts
    }

    /// Where the database comes from; `None` where it is left alone.
    pub fn database(&self) -> Option<DatabaseRecovery> {
        self.database
    }

    /// Whether change tracking still reaches back to the snapshot; `None` where that changes nothing.
    pub fn is_inside_retention(&self) -> Option<bool> {
        let from_backup = matches!(self.database, Some(DatabaseRecovery::Backup | DatabaseRecovery::Manual));
        (from_backup && self.facts.kind.in_hierarchy()).then(|| self.facts.is_inside_retention())
    }

    /// What becomes of the site's data, one line for each kind of it.
    pub fn consequences(&self) -> Vec<String> {
        explain::consequences(self)
    }

    /// What is done by hand before Setup runs, the command that runs it last.
    pub fn before(&self) -> Vec<String> {
        explain::before(self)
    }

    /// What is done by hand when Setup has ended.
    pub fn afterwards(&self) -> Vec<String> {
        explain::afterwards(self)
    }

    /// What an administrator must know before Setup runs. Errors mean that the script is not all that was asked for.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.facts.cd_latest.findings();
        if self.lacks_redist() {
            let message = "CD.Latest in the snapshot has no `Redist`: a site has one only since its first update from the console";
            let hint = "see that the folder of PrerequisitePath holds prerequisites of this version, or have Setup download them";
            findings.push(Finding::new(Gravity::Warning, Cause::Recovery, message).hint(hint));
        }
        findings.extend(explain::warnings(self));
        findings
    }

    /// Whether Setup is to find its prerequisites, and a CD.Latest that is otherwise whole brings none.
    fn lacks_redist(&self) -> bool {
        let cd_latest = &self.facts.cd_latest;
        cd_latest.is_whole() && !cd_latest.has_redist() && self.value("PrerequisiteComp") == Some("1")
    }

    fn value(&self, key: &str) -> Option<&str> {
        let mut keys = self.sections.iter().flat_map(|section| &section.keys);
        keys.find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }
}
