//! Shadow copies: an image of the volumes on which files and writers agree on one moment.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Source;
use super::destination::{DestinationError, Staging};
use super::site_files::{FileProblem, FileSource, SiteFiles, Walk};
use crate::cancel::Cancel;
use crate::event::EventSink;
use crate::manifest::FileRecord;
use crate::path::{RelPath, SitePath};

mod metadata;

pub use metadata::{
    Component, DataSource, FileSpec, RestoreMethod, RestoreWay, WriterLevel, WriterMetadata, WriterRestore, WriterUsage,
};

/// What an image guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// Nothing: files may belong to different moments.
    None,
    /// An atomic image, but writers were not frozen.
    Crash,
    /// Writers frozen, one moment for all parts.
    Application,
}

/// One shadow copy set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShadowCopySetId(pub Uuid);

/// The writer class of the product's SMS Writer, whose role the site writer plays.
pub const SMS_WRITER: Uuid = Uuid::from_u128(0x03ba_67dd_dc6d_4729_a038_251f_7018_463b);

/// The name of the document that tells what was backed up of which writer.
pub const BACKUP_DOCUMENT: &str = "BackupDocument.xml";
/// The name of the document in which the system's own coordinator says the same of its writers.
pub const SYSTEM_DOCUMENT: &str = "BCDocument.xml";
/// What the names of the documents begin with in which writers say what they own.
pub(crate) const WRITER_DOCUMENTS: &str = "WriterMetadata-";

/// The name of the document in which a writer of class `id` says what it owns, `earlier` being how many of that class came before it.
pub fn writer_document(id: Uuid, earlier: usize) -> String {
    match earlier {
        0 => format!("{WRITER_DOCUMENTS}{id}.xml"),
        earlier => format!("{WRITER_DOCUMENTS}{id}-{}.xml", earlier + 1),
    }
}

/// Why a writer vetoes, or could not do its part.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct WriterError {
    /// What could not be done.
    pub message: String,
    /// The reason.
    pub source: Option<Source>,
    /// Whether the same may well succeed some minutes later; VSS_E_WRITERERROR_RETRYABLE of VSS.
    pub is_retryable: bool,
}

impl WriterError {
    /// A failure that would come again.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, is_retryable: false }
    }

    /// The same with its reason.
    pub fn because(self, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

/// The callbacks of a VSS writer, in the order in which they come.
///
/// `thaw` follows every `freeze` that was begun, and either `post_snapshot` or `abort` follows every `prepare_snapshot` that was begun.
#[async_trait]
pub trait Writer: Debug + Send + Sync {
    /// Says what the writer owns.
    async fn identify(&self) -> Result<WriterMetadata, WriterError>;
    /// Does what may take long while the site still works.
    async fn prepare_backup(&self) -> Result<(), WriterError>;
    /// Brings its application to rest; the services of the site stop here.
    async fn prepare_snapshot(&self) -> Result<(), WriterError>;
    /// Holds the moment.
    async fn freeze(&self) -> Result<(), WriterError>;
    /// Lets go of what would hold others up.
    async fn thaw(&self) -> Result<(), WriterError>;
    /// Sets its application going again.
    async fn post_snapshot(&self) -> Result<(), WriterError>;
    /// Sets its application going again after a failure; may come at any time after `prepare_backup`.
    async fn abort(&self) -> Result<(), WriterError>;
    /// Hears how the backup ended.
    async fn backup_complete(&self, succeeded: bool) -> Result<(), WriterError>;
}

/// How long each part of a session may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Each callback outside the freeze window.
    pub callback: Duration,
    /// All writers coming to rest: services may take minutes.
    pub rest: Duration,
    /// The whole freeze window; VSS gives 60 s.
    pub freeze: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        let callback = Duration::from_secs(600);
        Self { callback, rest: Duration::from_secs(900), freeze: Duration::from_secs(60) }
    }
}

/// A source and where its content goes in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// What to image.
    pub source: FileSource,
    /// The place in the snapshot.
    pub target: RelPath,
}

/// What a shadow copy is asked for.
#[derive(Debug, Clone)]
pub struct ShadowCopyRequest {
    /// Names the set.
    pub id: ShadowCopySetId,
    /// What to image.
    pub sources: Vec<ImageSource>,
    /// Reads the live files.
    pub files: Arc<dyn SiteFiles>,
    /// Where a provider may put files while the site still works.
    pub staging: Arc<dyn Staging>,
    /// The previous snapshot's files that may be taken over when they look the same.
    pub previous: Arc<crate::copy::Previous>,
    /// Who is frozen.
    pub writers: Vec<Arc<dyn Writer>>,
    /// How long it may take.
    pub limits: SessionLimits,
    /// Asked between steps: once set, the session aborts, thaws and sets the site going.
    pub cancel: Cancel,
    /// Who is told.
    pub events: Arc<dyn EventSink>,
}

/// The files of one source as clones, which share content with them and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Clones {
    /// Where the clone of each regular file lies, by its path below the source. There may be more than that.
    pub root: SitePath,
    /// The source as it was at the moment.
    pub walk: Walk,
}

/// Where the files of the moment are.
#[derive(Debug, Clone, PartialEq)]
pub enum Image {
    /// On an image that can be read until the set is released: a root for each source, in their order.
    Borrowed(Vec<SitePath>),
    /// On clones that can be read until the set is released: of each source, in their order.
    Cloned(Vec<Clones>),
    /// In the staging folder already, with all that is known of them.
    Staged {
        /// The files, sorted by path.
        records: Vec<FileRecord>,
        /// Files that are not in the image as they were.
        problems: Vec<FileProblem>,
    },
}

/// A moment that was held.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowCopySet {
    /// Which one.
    pub id: ShadowCopySetId,
    /// Who made it, such as `pre-copy`.
    pub provider: String,
    /// What it guarantees.
    pub consistency: Consistency,
    /// Why it is less than application consistency, where it is.
    pub weaker: Vec<String>,
    /// What to know of it that makes it no weaker than asked for, such as why a better provider was passed over.
    pub remarks: Vec<String>,
    /// The first Freeze call.
    pub frozen_at: Timestamp,
    /// From the first Freeze call to the end of the last Thaw.
    pub freeze_window: Duration,
    /// The files.
    pub image: Image,
    /// Documents that belong to the snapshot, by file name: [`BACKUP_DOCUMENT`], and a [`writer_document`] of each writer.
    pub documents: Vec<(String, Vec<u8>)>,
}

/// Why there is no shadow copy. The writers have been thawed and the site set going when it is returned.
#[derive(Debug, thiserror::Error)]
pub enum ShadowCopyError {
    /// A writer said no or failed.
    #[error("writer `{writer}` failed in {step}")]
    Writer {
        /// Its name.
        writer: String,
        /// The callback.
        step: &'static str,
        /// What it said.
        source: WriterError,
    },
    /// A step took longer than its limit.
    #[error("{step} took longer than {limit:?}")]
    Deadline {
        /// Which step.
        step: String,
        /// Its limit.
        limit: Duration,
    },
    /// The run was cancelled.
    #[error("interrupted")]
    Cancelled,
    /// Another set is being made; only one can be at a time.
    #[error("another shadow copy session is in progress on this machine ({holder})")]
    InProgress {
        /// Who makes it, as far as can be told.
        holder: String,
    },
    /// It cannot be known whether another set is being made.
    #[error("failed to lock `{path}`, which keeps sessions on this machine apart")]
    Lock {
        /// The file.
        path: String,
        /// The reason.
        source: Source,
    },
    /// A call came out of order.
    #[error("{0} is not possible now")]
    BadState(&'static str),
    /// The staging folder could not be written.
    #[error(transparent)]
    Write(#[from] DestinationError),
    /// The provider failed.
    #[error("provider `{provider}` failed to {action}")]
    Provider {
        /// Its name.
        provider: &'static str,
        /// What it tried.
        action: &'static str,
        /// The reason.
        source: Source,
        /// Whether the same may well succeed some minutes later.
        is_retryable: bool,
    },
}

impl ShadowCopyError {
    /// Whether the same session may well succeed some minutes later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InProgress { .. } => true,
            Self::Writer { source, .. } => source.is_retryable,
            Self::Provider { is_retryable, .. } => *is_retryable,
            _ => false,
        }
    }

    /// What can be done about it, where that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Provider { .. } => Some(
                "look at what it names, or write `shadow-copy = \"auto\"` in site.toml, which copies where no image can be made",
            ),
            Self::Lock { .. } => Some("name a file that can be written by `session-lock` in [task] of site.toml"),
            _ => None,
        }
    }
}

/// A set whose writers are at rest and whose volumes are ready. Nothing is frozen yet.
///
/// It is committed or aborted; one that is dropped counts as a kill, and [`repair`](crate::repair) sets the site going.
#[async_trait]
pub trait PreparedSet: Debug + Send + Sync {
    /// Freeze, image, Thaw, PostSnapshot. Thaw follows whatever happens.
    async fn commit(self: Box<Self>) -> Result<ShadowCopySet, ShadowCopyError>;
    /// Sets the site going without an image.
    async fn abort(self: Box<Self>);
}

/// Images volumes so that their files and the writers on them agree on one moment. The only one who calls writers.
#[async_trait]
pub trait ShadowCopies: Debug + Send + Sync {
    /// Tells whether an image could be made of sources, of each of which `samples` has a file, and what is remarkable about it. Nothing of it is left,
    /// and no writer is called; that it cannot be known before is `Ok` too.
    async fn inspect(
        &self,
        _samples: Vec<SitePath>,
        _files: Arc<dyn SiteFiles>,
    ) -> Result<Vec<String>, ShadowCopyError> {
        Ok(Vec::new())
    }
    /// Whether an image stays until it is released, also when the process that made it has ended, or the machine.
    fn outlives_process(&self) -> bool {
        true
    }
    /// Takes writers through Identify, PrepareBackup and PrepareSnapshot and readies the volumes.
    async fn prepare(&self, request: ShadowCopyRequest) -> Result<Box<dyn PreparedSet>, ShadowCopyError>;
    /// Tells the writers of the set how the backup ended (BackupComplete). Their faults are returned, and change nothing.
    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError>;
    /// Releases the image, also one that a process which died had made. Idempotent: an unknown or released set is `Ok`.
    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError>;
}
