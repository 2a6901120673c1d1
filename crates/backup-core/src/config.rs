//! The configuration of one site as plain data. Embedders build it in code; the program reads it from `site.toml`.

use std::time::Duration;

use crate::destination::DestinationOption;
use crate::path::SitePath;
use crate::ports::registry::RegistryKey;
use crate::schedule::Schedule;
use crate::site::{Role, SiteCode, SiteKind};

/// A site and its backup task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// The site code.
    pub code: SiteCode,
    /// The site's kind.
    pub kind: SiteKind,
    /// Whether this server is the active one.
    pub role: Role,
    /// The installation folder, on this machine.
    pub install_dir: Option<SitePath>,
    /// The backup control file, on this machine; a site without one names its files itself.
    pub control_file: Option<SitePath>,
    /// Where paths of the control file lie on this machine: the original root and the local one.
    pub paths: Vec<(SitePath, SitePath)>,
    /// What to back up where there is no control file.
    pub files: FileSelection,
    /// How long SQL Server keeps change tracking data, where the database does not tell.
    pub change_tracking_retention: Option<Duration>,
    /// The site database.
    pub database: Option<DatabaseConfig>,
    /// Where registry roots live.
    pub registry: Vec<RegistryRoot>,
    /// The services, by name.
    pub services: Vec<ServiceConfig>,
    /// The Backup Site Server task.
    pub task: TaskConfig,
    /// Run on failure, as program and arguments.
    pub alert_command: Option<Vec<String>>,
    /// Journal, status messages and locks.
    pub state_dir: SitePath,
}

impl SiteConfig {
    /// A stand-alone primary site with the product's defaults: nothing to back up yet, daily between 02:00 and 05:00.
    pub fn new(code: SiteCode, destination: DestinationOption, state_dir: SitePath) -> Self {
        Self {
            code,
            kind: SiteKind::Primary { parent: None },
            role: Role::Active,
            install_dir: None,
            control_file: None,
            paths: Vec::new(),
            files: FileSelection::default(),
            change_tracking_retention: None,
            database: None,
            registry: Vec::new(),
            services: Vec::new(),
            task: TaskConfig {
                enabled: true,
                destination,
                schedule: Schedule::default(),
                shadow_copy: ProviderChoice::Auto,
                alert_on_failure: true,
                after_backup: AfterBackupConfig::default(),
            },
            alert_command: None,
            state_dir,
        }
    }
}

/// Files and folders by name, for a site without a control file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSelection {
    /// Files and folders.
    pub include: Vec<SitePath>,
    /// Patterns of what to leave out, below each of them.
    pub exclude: Vec<String>,
}

/// Where the site database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseConfig {
    /// An SQLite database file.
    Sqlite {
        /// The file.
        path: SitePath,
    },
}

impl DatabaseConfig {
    /// Whether the database runs on another machine.
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Sqlite { .. } => false,
        }
    }
}

/// Where a registry root and all keys below it live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRoot {
    /// The root.
    pub key: RegistryKey,
    /// What holds it.
    pub store: RegistryStore,
}

/// What holds a registry root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryStore {
    /// A `.reg` file, which may hold other roots too.
    Reg(SitePath),
    /// A hive file, whose root the registry root is.
    Hive(SitePath),
    /// The folder of a Wine prefix.
    WinePrefix(SitePath),
}

impl RegistryStore {
    /// The file or folder.
    pub fn path(&self) -> &SitePath {
        match self {
            Self::Reg(path) | Self::Hive(path) | Self::WinePrefix(path) => path,
        }
    }

    /// The file or folder, to be put elsewhere.
    pub fn path_mut(&mut self) -> &mut SitePath {
        match self {
            Self::Reg(path) | Self::Hive(path) | Self::WinePrefix(path) => path,
        }
    }
}

/// A service that is stopped and started by commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its name, as in the control file.
    pub name: String,
    /// Program and arguments that stop it and return when it has stopped.
    pub stop: Vec<String>,
    /// Program and arguments that start it and return when it runs.
    pub start: Vec<String>,
    /// Program and arguments that exit with 0 when it runs and with 3 when it does not.
    pub state: Vec<String>,
    /// The longest that any of them may take.
    pub timeout: Duration,
}

/// Which shadow copy provider to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderChoice {
    /// The best there is.
    Auto,
    /// Copies while the site works, and what changed since inside the window.
    PreCopy,
}

/// The Backup Site Server task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskConfig {
    /// Whether it is scheduled.
    pub enabled: bool,
    /// Where snapshots go.
    pub destination: DestinationOption,
    /// When it runs.
    pub schedule: Schedule,
    /// Which provider it uses.
    pub shadow_copy: ProviderChoice,
    /// Whether a failure runs the alert command.
    pub alert_on_failure: bool,
    /// How AfterBackup is judged.
    pub after_backup: AfterBackupConfig,
}

/// How AfterBackup is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterBackupConfig {
    /// The longest that it may take.
    pub timeout: Duration,
    /// Exit codes that mean success; robocopy succeeds with 0 to 7.
    pub success: std::ops::RangeInclusive<i32>,
}

impl Default for AfterBackupConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(3600), success: 0..=0 }
    }
}
