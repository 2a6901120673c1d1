//! The configuration of one site as plain data. Embedders build it in code; the program reads it from `site.toml`.

use std::time::Duration;

use crate::destination::DestinationOption;
use crate::path::SitePath;
use crate::ports::registry::RegistryKey;
use crate::ports::shadow_copies::WriterLevel;
use crate::retention::RetentionPolicy;
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
    /// Other applications that are frozen with the site.
    pub writers: Vec<CommandWriterConfig>,
    /// The Backup Site Server task.
    pub task: TaskConfig,
    /// The archive of its snapshots.
    pub archive: Option<ArchiveConfig>,
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
            writers: Vec::new(),
            task: TaskConfig {
                enabled: true,
                destination,
                schedule: Schedule::default(),
                shadow_copy: ProviderChoice::Auto,
                work_dir: None,
                retry: RetryConfig::default(),
                session_lock: None,
                alert_on_failure: true,
                after_backup: AfterBackupConfig::default(),
            },
            archive: None,
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

/// The site database, and how it is backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Where it is.
    pub place: DatabasePlace,
    /// How it is taken out.
    pub method: DatabaseMethod,
    /// What is done where a copy holds the moment of its own end.
    pub moment: MomentChoice,
}

impl DatabaseConfig {
    /// The SQLite database in the file at `path`, copied page by page.
    pub fn sqlite(path: SitePath) -> Self {
        Self { place: DatabasePlace::Sqlite(path), method: DatabaseMethod::Pages, moment: MomentChoice::Same }
    }
}

/// Where the site database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabasePlace {
    /// An SQLite database file.
    Sqlite(SitePath),
    /// A server's.
    Server {
        /// Which protocol leads there.
        kind: ServerKind,
        /// An address or an ODBC connection string, which names the database; without a password.
        connection: String,
        /// A file whose first line is the password, where one is needed.
        password_file: Option<SitePath>,
    },
}

/// Which protocol leads to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// SQL Server through ODBC.
    SqlServer,
    /// PostgreSQL's own.
    PostgreSql,
    /// Any other database through ODBC.
    Odbc,
}

/// How a database is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseMethod {
    /// As a file, page by page.
    Pages,
    /// By the server's own backup.
    Native(NativeBackup),
    /// As text.
    Logical,
    /// As its files, on a shadow copy in which the server's own writer takes part.
    Vss,
    /// Not at all: others back it up.
    External {
        /// The oldest that their newest backup may be.
        max_age: Duration,
    },
}

/// How a server backs itself up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeBackup {
    /// The folder that the server writes to, as the server names it.
    pub folder: String,
    /// The same folder as this machine sees it. Without it the file stays where the server puts it: it is not hashed and not removed.
    pub here: Option<SitePath>,
    /// The name of the certificate that encrypts.
    pub certificate: Option<String>,
}

/// What is done where a copy holds the moment of its own end, and not that of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MomentChoice {
    /// It is taken, and the snapshot is weaker than what was asked for.
    #[default]
    Same,
    /// The services stay stopped until it is taken, at most this long, so that both are the same.
    HoldServices(Duration),
    /// It is as good.
    Later,
}

impl DatabasePlace {
    /// Whether the database may run on another machine.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Server { .. })
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&SitePath> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Server { .. } => None,
        }
    }

    /// The file, to be put elsewhere.
    pub fn file_mut(&mut self) -> Option<&mut SitePath> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Server { .. } => None,
        }
    }

    /// The file that holds the password, where there is one.
    pub fn password_file(&self) -> Option<&SitePath> {
        match self {
            Self::Sqlite(_) => None,
            Self::Server { password_file, .. } => password_file.as_ref(),
        }
    }

    /// Where it is, for people.
    pub fn address(&self) -> String {
        match self {
            Self::Sqlite(path) => path.to_string(),
            Self::Server { connection, .. } => connection.clone(),
        }
    }

    /// The database's name, as far as the configuration tells: of a file without `.db`, or what the connection names.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Sqlite(path) => {
                let name = String::from_utf8_lossy(path.name()?).into_owned();
                Some(name.strip_suffix(".db").map(str::to_owned).unwrap_or(name))
            }
            Self::Server { connection, .. } => named_in(connection).filter(|name| !name.is_empty()).map(str::to_owned),
        }
    }
}

/// The database that an address or an ODBC connection string names.
fn named_in(connection: &str) -> Option<&str> {
    if let Some((_, rest)) = connection.split_once("://") {
        let (_, path) = rest.split_once('/')?;
        return path.split('?').next();
    }
    let pairs = connection.split(';').filter_map(|pair| pair.split_once('='));
    let mut names =
        pairs.filter(|(key, _)| ["database", "db"].iter().any(|name| key.trim().eq_ignore_ascii_case(name)));
    names.next().map(|(_, value)| value.trim().trim_start_matches('{').trim_end_matches('}'))
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

/// A service that is stopped and started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its name, as in the control file.
    pub name: String,
    /// How; without commands it is one of the system's own manager of services, which Windows alone is known to have.
    pub commands: Option<ServiceCommands>,
    /// The longest that any of it may take.
    pub timeout: Duration,
}

/// Commands that control a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCommands {
    /// Program and arguments that stop it and return when it has stopped.
    pub stop: Vec<String>,
    /// Program and arguments that start it and return when it runs.
    pub start: Vec<String>,
    /// Program and arguments that exit with 0 when it runs and with 3 when it does not; empty where that cannot be asked.
    pub state: Vec<String>,
}

/// An application that is frozen and thawed by commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandWriterConfig {
    /// Its name; no service has the same.
    pub name: String,
    /// When it is frozen.
    pub level: WriterLevel,
    /// Program and arguments that bring it to rest and return when it is.
    pub freeze: Vec<String>,
    /// Program and arguments that set it going; they do no harm when it is not at rest.
    pub thaw: Vec<String>,
    /// The longest that either of them may take.
    pub timeout: Duration,
    /// What it does when its data is put back with the site's.
    pub restore: Option<RestoreCommands>,
}

/// The commands of an application around a recovery in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreCommands {
    /// Program and arguments that get it out of the way and return when it is; they may come again after a recovery that was interrupted.
    pub before: Vec<String>,
    /// Program and arguments that set it going on what was put back.
    pub after: Vec<String>,
}

/// Which shadow copy provider to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderChoice {
    /// The best there is.
    Auto,
    /// Copies while the site works, and what changed since inside the window.
    PreCopy,
    /// Snapshots of btrfs subvolumes, in the working folder.
    Btrfs,
    /// Clones of files, in the working folder.
    Reflink,
    /// Windows' own Volume Shadow Copy Service.
    Vss,
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
    /// Where a provider keeps images while a run reads them, on the file system of the sources.
    pub work_dir: Option<SitePath>,
    /// What it does when another shadow copy session is in progress.
    pub retry: RetryConfig,
    /// The file that keeps sessions on this machine apart; none is the machine's own.
    pub session_lock: Option<SitePath>,
    /// Whether a failure runs the alert command.
    pub alert_on_failure: bool,
    /// How AfterBackup is judged.
    pub after_backup: AfterBackupConfig,
}

/// What a run does when another shadow copy session is in progress on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// How often it tries again.
    pub times: u32,
    /// How long it waits before it does.
    pub pause: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { times: 3, pause: Duration::from_secs(600) }
    }
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

/// The archive of a site's snapshots. Other sites may share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// The folder of the repository.
    pub repository: SitePath,
    /// What it is opened with.
    pub key: ArchiveKey,
    /// What stays of this site's snapshots; without a rule all of them.
    pub keep: RetentionPolicy,
    /// Where the key is kept besides this server, in the administrator's words.
    pub recovery_sheet: Option<String>,
}

/// What an archive is opened with, each of them a file whose first line counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveKey {
    /// A passphrase, which opens all of it.
    PassphraseFile(SitePath),
    /// The identity of a recipient, who was given a key that opens all of it, or one that only adds to it.
    IdentityFile(SitePath),
}

impl ArchiveKey {
    /// The file.
    pub fn path(&self) -> &SitePath {
        match self {
            Self::PassphraseFile(path) | Self::IdentityFile(path) => path,
        }
    }

    /// The file, to be put elsewhere.
    pub fn path_mut(&mut self) -> &mut SitePath {
        match self {
            Self::PassphraseFile(path) | Self::IdentityFile(path) => path,
        }
    }
}
