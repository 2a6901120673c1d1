//! The site database: inspected, pinned in the freeze window, taken out, judged and put back.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Source;
use super::destination::{DestinationError, SnapshotFiles, StagedFile};
use super::site_files::FileId;
use crate::manifest::{ContentHash, FileRecord};
use crate::path::SitePath;

/// What can be told about a database without taking it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Its name, such as `CM_P01`.
    pub name: String,
    /// The engine with its version, such as `SQLite 3.50.4`.
    pub engine: String,
    /// Bytes of a whole copy.
    pub size: u64,
    /// The main file where it is one.
    pub file: Option<SitePath>,
    /// Every path that belongs to it, there or not: only its adapter opens these.
    pub paths: Vec<SitePath>,
    /// The files there are now, under whatever name.
    pub ids: Vec<FileId>,
    /// How a moment of it is held, in a sentence for the report.
    pub pinned_by: String,
    /// Facts worth comparing after a recovery, such as `journal-mode` = `wal`.
    pub facts: Vec<(String, String)>,
    /// Days of change tracking, where the database keeps any.
    pub change_tracking_days: Option<u32>,
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

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseDump {
    /// Bytes in the snapshot.
    pub size: u64,
    /// Their hash.
    pub hash: ContentHash,
    /// What takes it back.
    pub setup_option: SetupOption,
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
    /// Does all that can be done before the freeze window, writing into `copy`.
    async fn prepare(&self, copy: Box<dyn StagedFile>) -> Result<Box<dyn DatabaseCopy>, DatabaseError>;
    /// Files beside the database at `target`, there or not, that hold committed content which the main file does not have yet: a
    /// write-ahead log. One that is newer than a snapshot makes the database newer.
    fn logs(&self, target: &SitePath) -> Vec<SitePath>;
    /// Puts the file of a snapshot that `record` names back as the database at `target`, checking its hash, atomically.
    ///
    /// A target that is there keeps its owner and mode; a new one gets those of the record.
    ///
    /// Refuses a target that another program has open. Repeating it is harmless.
    async fn restore(
        &self,
        from: Arc<dyn SnapshotFiles>,
        record: &FileRecord,
        target: &SitePath,
    ) -> Result<(), DatabaseError>;
    /// Judges a copy that nobody uses, in one pass over its pages: whether the source itself was damaged when it was copied. Changes no
    /// byte and leaves nothing beside it. What takes longer, such as whether indexes agree with their tables, is left to `verify`.
    async fn judge(&self, copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError>;
    /// Judges the database at `file` with all of the engine's own checks.
    async fn verify(&self, file: &SitePath) -> Result<DatabaseVerdict, DatabaseError>;
}
