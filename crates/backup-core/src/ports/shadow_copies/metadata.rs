//! What a writer says of itself: the part of VSS's writer metadata document that this product or its users ask for.
//!
//! Paths are text, as VSS has them: those of other writers may hold `%SystemRoot%` or lack a drive.

use uuid::Uuid;

use crate::path::SitePath;

/// When a writer is frozen: front ends before what they write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum WriterLevel {
    /// The site's services; what VSS takes a writer for that says nothing.
    #[default]
    FrontEnd,
    /// The database.
    BackEnd,
    /// The system.
    System,
}

/// Whose data a writer looks after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriterUsage {
    /// What the system needs to start.
    BootableSystemState,
    /// A service of the system.
    SystemService,
    /// The users'.
    #[default]
    UserData,
    /// In the document's word.
    Unknown(String),
}

/// What keeps a writer's data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DataSource {
    /// A database with transactions.
    TransactionDatabase,
    /// Anything else.
    #[default]
    Other,
    /// In the document's word.
    Unknown(String),
}

/// How files are put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RestoreWay {
    /// Over the present ones, if all of them can be replaced.
    #[default]
    IfReplaceable,
    /// When the machine starts.
    AtReboot,
    /// When the machine starts, if they cannot be replaced before.
    AtRebootIfNotReplaceable,
    /// In the document's word.
    Unknown(String),
}

/// When a writer takes part in a restore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriterRestore {
    /// Never.
    #[default]
    Never,
    /// Always.
    Always,
    /// In the document's word.
    Unknown(String),
}

/// How a writer wants its files to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestoreMethod {
    /// The way.
    pub way: RestoreWay,
    /// When the writer takes part.
    pub writer: WriterRestore,
    /// Whether the machine must be started again afterwards.
    pub reboot: bool,
}

/// Files of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSpec {
    /// The folder.
    pub path: String,
    /// Which of its files, with `*` and `?`.
    pub spec: String,
    /// Whether the folders below count too.
    pub recursive: bool,
    /// Where they are to be read instead.
    pub alternate: Option<String>,
}

impl FileSpec {
    /// All below a folder.
    pub fn tree(folder: &SitePath) -> Self {
        Self { path: folder.to_string(), spec: "*".to_owned(), recursive: true, alternate: None }
    }

    /// A file.
    pub fn file(file: &SitePath) -> Self {
        let folder = file.parent().unwrap_or_else(|| file.clone());
        let spec = String::from_utf8_lossy(file.name().unwrap_or_default()).into_owned();
        Self { path: folder.to_string(), spec, recursive: false, alternate: None }
    }
}

/// Something that a writer owns and that is backed up whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Component {
    /// Where it stands in the writer's tree; may be empty.
    pub logical_path: String,
    /// Its name.
    pub name: String,
    /// What people call it; may be empty.
    pub caption: String,
    /// Whether it is a database rather than a group of files.
    pub database: bool,
    /// Whether a backup may leave it out.
    pub selectable: bool,
    /// Whether the writer acts on the end of the backup, such as by cutting a log.
    pub notify_on_backup_complete: bool,
    /// VSS's component flags (`VSS_CF_…`).
    pub flags: u32,
    /// Its files.
    pub files: Vec<FileSpec>,
}

/// What a writer says of itself: VSS's writer metadata document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriterMetadata {
    /// The writer's class.
    pub id: Uuid,
    /// Its name, such as `SMS Writer`.
    pub name: String,
    /// When it is frozen. VSS's document does not hold it.
    pub level: WriterLevel,
    /// Whose data it looks after.
    pub usage: WriterUsage,
    /// What keeps them.
    pub source: DataSource,
    /// How its files are put back, where it says so.
    pub restore: Option<RestoreMethod>,
    /// What it owns.
    pub components: Vec<Component>,
    /// What is not to be backed up of it.
    pub exclude: Vec<FileSpec>,
}
