//! The archive of backup snapshots: it keeps many of them, and lets go of one only when it is told to.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Source;
use super::destination::SnapshotFiles;
use crate::cancel::Cancel;
use crate::manifest::{FileRecord, Manifest};
use crate::path::SitePath;
use crate::report::Cause;
use crate::retention::Archived;

/// What an archive can do with the key that is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFacts {
    /// Whether the key reads, and does not only store.
    pub reads: bool,
}

/// A sealed snapshot that is to be archived.
#[derive(Debug, Clone)]
pub struct SealedSnapshot {
    /// Where it lies.
    pub folder: SitePath,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its list, with what AfterBackup added.
    pub records: Vec<FileRecord>,
}

/// What was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInArchive {
    /// The id that the snapshot has there.
    pub id: String,
    /// Bytes that the archive grew by.
    pub added: u64,
    /// Parts of the archive that cannot be read; what they held was stored anew where this snapshot needs it.
    pub damaged: Vec<String>,
}

/// The archived snapshots of one site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveListing {
    /// Those that can be read, in no order.
    pub snapshots: Vec<Archived<String>>,
    /// Why others cannot. Whose they are, nobody knows.
    pub damaged: Vec<String>,
}

/// Why the archive did not do what was asked. Whatever it was, what is stored is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotArchiveError {
    /// No room is left.
    #[error("no space is left in the archive")]
    Full(#[source] Source),
    /// Nothing at hand opens it.
    #[error("no key opens the archive")]
    Key(#[source] Source),
    /// The key at hand stores and does not read.
    #[error("the key at hand only stores, and reads nothing in the archive")]
    WriteOnly,
    /// A part of it is damaged or lost.
    #[error("a part of the archive is damaged")]
    Damaged(#[source] Source),
    /// The snapshot is not as it was sealed, or cannot be read.
    #[error("the snapshot cannot be archived as it is")]
    Snapshot(#[source] Source),
    /// No archived snapshot has this id.
    #[error("no archived snapshot is `{0}`")]
    NoSnapshot(String),
    /// It is pinned, and never forgotten.
    #[error("archived snapshot `{0}` is pinned")]
    Pinned(String),
    /// Somebody wished to stop.
    #[error("interrupted")]
    Cancelled,
    /// It cannot be reached, or refused.
    #[error("the archive cannot be used")]
    Failed(#[source] Source),
}

impl SnapshotArchiveError {
    /// What it is about.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Full(_) => Cause::Full,
            Self::Key(_) | Self::WriteOnly => Cause::Key,
            Self::Damaged(_) => Cause::ArchiveDamaged,
            Self::Snapshot(_) | Self::NoSnapshot(_) => Cause::Snapshot,
            Self::Pinned(_) | Self::Failed(_) => Cause::Archive,
            Self::Cancelled => Cause::Interrupted,
        }
    }
}

/// Keeps archived snapshots, of this site and of others.
///
/// There is no call that frees room: that reads all of an archive, is for one at a time, and waits for nobody who must get on with a backup.
#[async_trait]
pub trait SnapshotArchive: Debug + Send + Sync {
    /// Whether it can be used, and for what; changes nothing.
    async fn inspect(&self) -> Result<ArchiveFacts, SnapshotArchiveError>;
    /// Stores a sealed snapshot: each file is compared with its record, and the snapshot is listed whole or not at all.
    ///
    /// Not idempotent: stored twice, it is there twice. After an error or a crash a repeated call takes over what is there.
    async fn store(
        &self,
        snapshot: SealedSnapshot,
        now: Timestamp,
        cancel: &Cancel,
    ) -> Result<StoredInArchive, SnapshotArchiveError>;
    /// The snapshots of this site. Needs a key that reads.
    async fn list(&self, site: &str) -> Result<ArchiveListing, SnapshotArchiveError>;
    /// Opens a snapshot by its whole id. Needs a key that reads.
    async fn open(&self, id: &str) -> Result<Arc<dyn SnapshotFiles>, SnapshotArchiveError>;
    /// Removes a snapshot, unless it is pinned; one that is gone already is no error. Its room stays taken.
    async fn forget(&self, id: &str) -> Result<(), SnapshotArchiveError>;
}
