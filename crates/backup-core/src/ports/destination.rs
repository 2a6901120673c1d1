//! Where backup snapshots are kept: staged, published at once, listed, and removed only when they carry our marker.

use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use super::Source;
use super::journal::UnendedRecovery;
use super::site_files::{Attributes, FileStat, FileTime, OpenFile, SiteFiles, SiteFilesError, WalkEntry};
use crate::manifest::{ContentHash, Manifest};
use crate::path::{RelPath, SitePath};
use crate::snapshot::RunId;

/// What is known about a destination before a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationFacts {
    /// The folder.
    pub root: SitePath,
    /// Bytes that can still be written.
    pub free: u64,
    /// The volume, to tell whether a source lies on the same one.
    pub device: u64,
    /// Whether a file could be made and removed there.
    pub writable: bool,
    /// A folder with the snapshot's name that does not carry our marker: the product's own snapshot, perhaps.
    pub foreign: Option<SitePath>,
    /// When another program in the role of the Backup Site Server task last left its log beside the snapshots, if the log there is not ours.
    pub other_task: Option<jiff::Timestamp>,
}

/// A whole backup snapshot, found by its marker and its complete manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSnapshot {
    /// The run that made it.
    pub run: RunId,
    /// Where it lies now.
    pub folder: SitePath,
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether the folder has its final name, `<SiteCode>Backup`.
    pub published: bool,
}

/// A folder of ours that was a backup snapshot and is not whole any more. It is found by its marker; nothing removes it by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedSnapshot {
    /// The run that made it.
    pub run: RunId,
    /// Where it lies now.
    #[serde(serialize_with = "as_text")]
    pub folder: SitePath,
    /// What is wrong with it.
    pub reason: String,
}

fn as_text<S: serde::Serializer>(path: &SitePath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

/// What is put into the staging folder.
#[derive(Debug, Clone)]
pub enum StageContent {
    /// A copy of a live or imaged file, in one pass: read, hashed, written.
    Copy(SitePath),
    /// The copy that is there already, brought up to date: only blocks that differ are written.
    Update(SitePath),
    /// The file at this path of the previous snapshot, unread: its hash is the one in that manifest. Whether it still is what that
    /// manifest tells of is the caller's to judge, by [`StagedContent::stored`].
    Reuse(RelPath),
    /// Another name of a file that is staged already.
    HardLink(RelPath),
    /// A folder, and the folders above it.
    Directory,
}

/// One entry to stage. Folders above a file are made as needed.
#[derive(Debug, Clone)]
pub struct StageItem {
    /// Where in the snapshot.
    pub path: RelPath,
    /// What.
    pub content: StageContent,
}

/// What one staged file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedContent {
    /// Bytes read of it, which are its size in the snapshot.
    pub size: u64,
    /// The hash of these bytes; `None` for what was not read.
    pub hash: Option<ContentHash>,
    /// The source's metadata when it was opened; `None` for what was not read.
    pub before: Option<FileStat>,
    /// The source's metadata when all of it had been read.
    pub after: Option<FileStat>,
    /// Its extended attributes.
    pub attributes: Attributes,
    /// For what was taken over from the previous snapshot: when the file stored there was changed last.
    pub stored: Option<FileTime>,
}

impl StagedContent {
    /// What is known of an entry that was not read.
    pub fn unread(size: u64) -> Self {
        Self { size, hash: None, before: None, after: None, attributes: Vec::new(), stored: None }
    }
}

/// Why one entry could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The source could not be read; the other entries are not concerned.
    #[error(transparent)]
    Read(#[from] SiteFilesError),
    /// The destination could not be written.
    #[error(transparent)]
    Write(#[from] DestinationError),
}

/// Why the destination could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// No room is left.
    #[error("no space is left at `{0}`")]
    Full(SitePath),
    /// A folder of the snapshot's name is not ours.
    #[error("`{0}` is not a snapshot of this program")]
    Foreign(SitePath),
    /// Another run, maybe of another configuration or on another machine, works at the destination.
    #[error("another run works at `{path}` ({holder})")]
    Busy {
        /// The destination.
        path: SitePath,
        /// Who holds it, as far as can be told.
        holder: String,
    },
    /// No such snapshot or staging folder.
    #[error("no snapshot `{0}` is here")]
    NoSnapshot(RunId),
    /// What is stored cannot be understood.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: SitePath,
        /// How.
        reason: String,
    },
    /// The system refused.
    #[error("failed to {action} `{path}`")]
    Failed {
        /// What was tried, such as `write`.
        action: &'static str,
        /// On which path.
        path: SitePath,
        /// The reason.
        source: Source,
    },
}

/// A file of the staging folder that is written at any place, for a database. Its calls block.
pub trait StagedFile: Debug + Send + Sync {
    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DestinationError>;
    /// Fills `buffer` from `offset`; returns less only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DestinationError>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> Result<(), DestinationError>;
}

/// The staging folder of one run: never listed as a snapshot before it is sealed.
///
/// Nothing in it is durable before [`seal`](Self::seal) returns; a crash before that leaves a folder that [`Destination::sweep`] removes.
#[async_trait]
pub trait Staging: Debug + Send + Sync {
    /// Stages entries in parallel; the results stand in the order of the items.
    async fn stage(&self, items: Vec<StageItem>, from: Arc<dyn SiteFiles>) -> Vec<Result<StagedContent, StageError>>;
    /// Writes a small file whole, with the given time of change.
    async fn write(&self, path: &RelPath, data: &[u8], modified: jiff::Timestamp) -> Result<(), DestinationError>;
    /// Opens a new file for writing at any place, readable by its owner only. Blocks.
    fn create(&self, path: &RelPath) -> Result<Box<dyn StagedFile>, DestinationError>;
    /// Removes entries with all below them; one that is not there is no error.
    async fn remove(&self, paths: Vec<RelPath>) -> Result<(), DestinationError>;
    /// Where on this machine a staged file can be looked at before it is sealed; `None` where it lies elsewhere.
    fn place(&self, path: &RelPath) -> Option<SitePath>;
    /// All that lies in the folder but our own marker, sorted.
    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError>;
    /// Makes all staged data durable, then the list of files, then the manifest, whose appearance is the commit.
    ///
    /// After an error or a crash the snapshot is either listed, and then whole, or not listed.
    async fn seal(&self, manifest: &Manifest, list: &[u8]) -> Result<(), DestinationError>;
}

/// A sealed snapshot, open for reading. What it says is not trusted.
#[async_trait]
pub trait SnapshotFiles: Debug + Send + Sync {
    /// The manifest's bytes.
    async fn manifest(&self) -> Result<Vec<u8>, DestinationError>;
    /// The list of files, one JSON object a line, uncompressed.
    async fn list(&self) -> Result<Vec<u8>, DestinationError>;
    /// All that lies in the folder but our own marker, sorted.
    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError>;
    /// Reads files whole, in parallel, and returns their sizes and hashes in the order of the paths.
    async fn hash(&self, paths: Vec<RelPath>) -> Vec<Result<(u64, ContentHash), DestinationError>>;
    /// Opens a regular file that lies in the folder; refuses links, and paths that lead through one. Blocks.
    fn open(&self, path: &RelPath) -> Result<Box<dyn OpenFile>, DestinationError>;
}

/// What a destination is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A run, which makes a snapshot.
    Run(RunId),
    /// A repair.
    Repair,
    /// A recovery, which reads a snapshot: nobody removes it meanwhile.
    Recovery,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => write!(f, "run {run}"),
            Self::Repair => f.write_str("repair"),
            Self::Recovery => f.write_str("recovery"),
        }
    }
}

/// Holds the destination for one holder; given back when dropped or when the process dies.
pub trait DestinationHold: Debug + Send + Sync {}

/// Keeps backup snapshots. Only folders with our marker are ever changed or removed.
///
/// More than eight methods: all of them are about the same few folders, and whoever keeps some keeps all.
#[async_trait]
pub trait Destination: Debug + Send + Sync {
    /// Takes the snapshots of this site at this place; refuses with [`DestinationError::Busy`] while anybody
    /// holds them, does not wait. Whoever changes anything here holds it: two configurations may name one destination.
    ///
    /// Reading needs no hold. Where the place knows no locks it excludes nobody.
    async fn hold(&self, holder: Holder) -> Result<Box<dyn DestinationHold>, DestinationError>;
    /// What recoveries in place have left open of the site, as noted here: the journal of one configuration is not seen by another one,
    /// maybe on another machine. A note that cannot be understood is [`DestinationError::Damaged`].
    async fn half_recovered(&self) -> Result<Option<UnendedRecovery>, DestinationError>;
    /// Replaces that note, or removes it; durable when it returns, and after a crash the old one or the new one. Only who holds writes it.
    async fn note_half_recovered(&self, open: Option<&UnendedRecovery>) -> Result<(), DestinationError>;
    /// Room, volume and what stands in the way; changes nothing.
    async fn inspect(&self) -> Result<DestinationFacts, DestinationError>;
    /// All whole snapshots of the site, oldest run first, under whatever folder name.
    async fn list(&self) -> Result<Vec<StoredSnapshot>, DestinationError>;
    /// Snapshots of the site that are damaged: marker there, manifest or list not what was sealed. They are not listed, and no publish,
    /// sweep or removal of another run touches what is in them. An unfinished staging folder is none.
    async fn damaged(&self) -> Result<Vec<DamagedSnapshot>, DestinationError>;
    /// Makes the staging folder of a run. Content is taken over from `previous` where an item says so.
    async fn begin(&self, run: RunId, previous: Option<RunId>) -> Result<Arc<dyn Staging>, DestinationError>;
    /// Gives a sealed snapshot its final name, and the one that has it another; both stay listed at every instant.
    ///
    /// Idempotent.
    async fn publish(&self, run: RunId) -> Result<StoredSnapshot, DestinationError>;
    /// Replaces the manifest of a snapshot atomically.
    async fn amend(&self, manifest: &Manifest) -> Result<(), DestinationError>;
    /// Opens a snapshot.
    async fn open(&self, run: RunId) -> Result<Arc<dyn SnapshotFiles>, DestinationError>;
    /// Removes a snapshot or a staging folder that carries our marker. It stops being listed first; one that is not there is no error.
    async fn remove(&self, run: RunId) -> Result<(), DestinationError>;
    /// Removes every staging folder that was never sealed and finishes every removal that was begun; returns how many folders went.
    async fn sweep(&self) -> Result<usize, DestinationError>;
    /// Keeps the run's log as `smsbkup.log` beside the snapshots, and in the snapshot of `run` where one is given.
    async fn keep_log(&self, run: Option<RunId>, log: &[u8]) -> Result<(), DestinationError>;
}
