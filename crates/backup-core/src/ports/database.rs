//! The site database: inspected, pinned in the freeze window, taken out, judged and put back.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Source;
use super::destination::{DestinationError, SnapshotFiles, StagedFile, Staging};
use super::shadow_copies::WantedComponent;
use crate::manifest::{ContentHash, DatabasePart, FileRecord};
use crate::path::{RelPath, SitePath};
use crate::snapshot::RunId;

/// What can be told about a database without taking it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Its name, such as `CM_P01`.
    pub name: String,
    /// The engine with its version, such as `SQLite 3.50.4`.
    pub engine: String,
    /// Where it is, for people, without any secret: a path, or a server and the name there. The same database always has the same.
    pub address: String,
    /// Bytes that a snapshot of it takes at most.
    pub size: u64,
    /// The main file where it is one.
    pub file: Option<SitePath>,
    /// Every path that belongs to it, there or not: only its adapter opens these.
    pub paths: Vec<SitePath>,
    /// What is taken out of it.
    pub form: DatabaseForm,
    /// Which moment that holds.
    pub moment: DatabaseMoment,
    /// How a moment of it is held, in a sentence for the report.
    pub pinned_by: String,
    /// Facts worth comparing after a recovery, such as `journal-mode` = `wal`.
    pub facts: Vec<(String, String)>,
    /// The component of a writer of the system whose files the database is, where it is taken from the image ([`DatabaseForm::Files`]).
    pub component: Option<WantedComponent>,
    /// What a person should know that makes a copy no weaker, such as that the server could not be asked.
    pub remarks: Vec<String>,
    /// Why a copy would be weaker than what was asked for, as far as can be told beforehand.
    pub weaker: Vec<String>,
    /// Days of change tracking, where the database keeps any.
    pub change_tracking_days: Option<u32>,
}

/// What a snapshot holds of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseForm {
    /// Its file.
    #[default]
    File,
    /// The files in which a server keeps it, from an image: a server that they are attached to makes it a database again.
    Files,
    /// A backup that the server made itself.
    Native,
    /// Its rows and what its catalog tells, as text.
    Logical,
    /// Nothing: others back it up.
    External,
}

/// Which moment a copy of a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseMoment {
    /// The one that was pinned.
    Pinned,
    /// That of its own end: whatever is written while it is taken is in it.
    End,
}

/// Which option of the product's Setup takes the database part back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupOption {
    /// MDF and LDF: option 10.
    Files,
    /// A database restored by hand: option 20.
    Manual,
    /// None: the site's database is not the product's.
    None,
}

/// A file that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedFile {
    /// Its place below the folder of the database part.
    pub path: RelPath,
    /// Its bytes.
    pub size: u64,
    /// Their hash.
    pub hash: ContentHash,
}

/// What a restore has to tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseRestored {
    /// Facts that are not as they were.
    pub changed: Vec<ChangedFact>,
    /// What the database had and has not got back, one line each.
    pub not_covered: Vec<String>,
    /// What else is not where it was, such as a file whose folder the server does not have.
    pub remarks: Vec<String>,
}

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseDump {
    /// The file, or the folder of the files, below the folder of the database part; `None` where the snapshot holds nothing.
    pub place: Option<RelPath>,
    /// The files.
    pub files: Vec<DumpedFile>,
    /// What takes it back.
    pub setup_option: SetupOption,
    /// What was learned while it was taken, such as `replica` = `SQL2`, or where the server has put it.
    pub facts: Vec<(String, String)>,
    /// What a person should know, such as a file that nobody removes.
    pub remarks: Vec<String>,
    /// Why it is weaker than what was asked for.
    pub weaker: Vec<String>,
}

/// A folder of a snapshot that is being made, for the database part.
#[derive(Debug, Clone)]
pub struct DatabaseFolder {
    /// The run that makes it.
    pub run: RunId,
    /// The database's name, as its facts have it.
    pub name: String,
    staging: Arc<dyn Staging>,
    folder: RelPath,
}

impl DatabaseFolder {
    /// The folder at `folder` of the staging folder of `run`, for the database called `name`.
    pub fn new(run: RunId, name: String, staging: Arc<dyn Staging>, folder: RelPath) -> Self {
        Self { run, name, staging, folder }
    }

    /// Creates the file at `path` below it. Blocks.
    ///
    /// # Errors
    /// [`DestinationError`], also for a file that is there.
    pub fn create(&self, path: &RelPath) -> Result<Box<dyn StagedFile>, DestinationError> {
        self.staging.create(&self.folder.join(path))
    }
}

/// The database part of a snapshot.
#[derive(Debug, Clone)]
pub struct DatabaseSource {
    /// The snapshot.
    pub files: Arc<dyn SnapshotFiles>,
    /// The file, or the folder of the files, in it.
    pub place: RelPath,
    /// The files, with what they were.
    pub records: Vec<FileRecord>,
    /// What the manifest says of the part.
    pub part: DatabasePart,
}

/// Where a database is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseTarget {
    /// To this file.
    File(SitePath),
    /// To the server and the name that the adapter was made with.
    Own {
        /// Whether a database that is there gives way.
        replace: bool,
    },
    /// To a database that is made for it on the same server, is nobody's yet, and is discarded. The text tells it from others.
    Scratch(String),
}

/// What stands where a database is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseStanding {
    /// Nothing, or nothing that would be lost. The texts are the [remarks](DatabaseRestored::remarks) that a restore would have, as far as they
    /// can be told before.
    Free(Vec<String>),
    /// A database with something in it; the text says what.
    Holds(String),
}

/// A fact that is not any more what it was when the snapshot was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFact {
    /// Its name.
    pub fact: String,
    /// What it was; `None` when it was not known.
    pub before: Option<String>,
    /// What it is now.
    pub after: Option<String>,
    /// What would put it back, for a person to judge.
    pub remedy: Option<String>,
}

/// What a judge of a recovered database said; empty when all is well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseVerdict {
    /// One line a fault.
    pub faults: Vec<String>,
}

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It is not there.
    #[error("database `{0}` does not exist")]
    Missing(String),
    /// It is not a database of this kind.
    #[error("`{name}` is not a {engine} database")]
    NotOne {
        /// The database.
        name: String,
        /// The engine asked.
        engine: &'static str,
        /// What the engine said.
        source: Source,
    },
    /// Somebody holds it.
    #[error("database `{name}` is locked by another program")]
    Locked {
        /// The database.
        name: String,
        /// What the engine said.
        source: Source,
    },
    /// The copy could not be written.
    #[error(transparent)]
    Write(#[from] DestinationError),
    /// It holds something, and nobody said that it may be lost.
    #[error("database `{name}` is not empty: {found}")]
    Occupied {
        /// The database.
        name: String,
        /// What it holds.
        found: String,
    },
    /// The adapter, or what it talks to, cannot do this.
    #[error("{0}")]
    Unsupported(String),
    /// What came out of the snapshot is not what went in.
    #[error("the copy of database `{0}` in the snapshot does not have the hash in the manifest")]
    Hash(String),
    /// The engine or the system refused.
    #[error("failed to {action} database `{name}`")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// The database.
        name: String,
        /// The reason.
        source: Source,
    },
}

/// A copy of the database on its way: prepared before the freeze window, pinned inside it, finished after it.
///
/// Dropping it gives up the pin; what was written stays in the staging folder. So does dropping the future of a call, at a deadline say:
/// what the call has begun ends at once, and no lock of it outlives the moment; the copy is then of no further use.
#[async_trait]
pub trait DatabaseCopy: Debug + Send + Sync {
    /// Holds the present moment. Called inside the freeze window: as little work as the engine allows.
    ///
    /// An engine that cannot say what changed since `prepare` may have to read all of it again; its `pinned_by` says so.
    async fn pin(&mut self) -> Result<(), DatabaseError>;
    /// Writes the moment that was pinned, whole, and gives up the pin. Refuses without a pin.
    async fn finish(self: Box<Self>) -> Result<DatabaseDump, DatabaseError>;
}

/// A database that can be taken out at one moment and put back.
#[async_trait]
pub trait SiteDatabase: Debug + Send + Sync {
    /// Facts, sizes and files; changes nothing.
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError>;
    /// Does all that can be done before the freeze window, writing into `folder`.
    async fn prepare(&self, folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError>;
    /// Files beside the database at `target`, there or not, that hold committed content which the main file does not have yet: a
    /// write-ahead log. One that is newer than a snapshot makes the database newer. None for a database that is no file.
    fn logs(&self, target: &SitePath) -> Vec<SitePath>;
    /// Tells what a restore to `target` would find; changes nothing. What an interrupted restore of the same source left is nothing.
    async fn survey(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError>;
    /// Puts the database part of a snapshot back, checking its hashes.
    ///
    /// A file is replaced atomically; one that is there keeps its owner and mode, a new one gets those of the record, and one that another
    /// program has open is refused. A database of a server that holds something is refused unless it gives way. Repeating it is
    /// harmless, and after an interruption it goes on. Dropping its future ends what it has begun.
    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError>;
    /// Judges a copy that nobody uses, in one pass over it: whether the source itself was damaged when it was copied. `copy` is what the
    /// dump's `place`, or one of the database's [files](DatabaseForm::Files), is on this machine. Changes no byte and leaves nothing beside it.
    /// What takes longer, such as whether indexes agree with their tables, is left to `verify`.
    async fn judge(&self, copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError>;
    /// Judges what was put back with all of the engine's own checks.
    async fn verify(&self, target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError>;
    /// Removes a scratch database; one that is not there is no error. Refuses any other target.
    async fn discard(&self, target: &DatabaseTarget) -> Result<(), DatabaseError>;
}
