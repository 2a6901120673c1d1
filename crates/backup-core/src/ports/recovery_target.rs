//! Where recovered files go. Nothing that a manifest says leads out of a target's root.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::Source;
use super::destination::{DestinationError, SnapshotFiles};
use crate::manifest::FileRecord;
use crate::path::{RelPath, SitePath};

/// One entry to put back.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreItem {
    /// The folder that the entry must not leave. It is made when it is missing; the path to it is the caller's and trusted.
    pub root: SitePath,
    /// Where below it; empty for the root itself.
    pub path: RelPath,
    /// What it was. Its content lies at `record.path` in the snapshot.
    pub record: FileRecord,
    /// For a further name of a file: where its first name went, below the same root.
    pub link_to: Option<RelPath>,
}

/// What stands where an entry would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Absent,
    /// Something of the same kind that is not younger than the snapshot's.
    Older,
    /// A file that was changed after the one in the snapshot, and has other content.
    Newer,
    /// Something of another kind, such as a folder where a file should go.
    Other,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// Written, with this many bytes, hash checked.
    Written(u64),
    /// It stood there with the right content already.
    Already,
}

/// Why an entry could not be put back.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Its path leads out of the root, through a link for example.
    #[error("`{path}` would leave `{root}`")]
    Escape {
        /// The root.
        root: SitePath,
        /// The path below it.
        path: RelPath,
    },
    /// The content does not have the hash in the manifest.
    #[error("`{0}` in the snapshot does not have the hash in the manifest")]
    Hash(RelPath),
    /// The snapshot could not be read.
    #[error(transparent)]
    Read(#[from] DestinationError),
    /// The target could not be written.
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

/// Writes recovered entries.
///
/// A file appears under its name whole, with its metadata and its hash checked, or not at all; so an interrupted recovery is simply repeated.
#[async_trait]
pub trait RecoveryTarget: Debug + Send + Sync {
    /// What stands where the items would go, in their order; changes nothing.
    async fn survey(&self, items: &[RestoreItem]) -> Vec<Result<Standing, RecoveryError>>;
    /// Puts entries back; results in the order of the items. Several calls may run at once, none of them for folders. Folders get their metadata by [`settle`](Self::settle).
    async fn restore(
        &self,
        items: Vec<RestoreItem>,
        from: Arc<dyn SnapshotFiles>,
    ) -> Vec<Result<Restored, RecoveryError>>;
    /// Gives folders their modes, owners and times, innermost first, and makes everything durable.
    async fn settle(&self, folders: Vec<RestoreItem>) -> Vec<Result<(), RecoveryError>>;
    /// Makes an empty folder for a rehearsal below `parent`, or below the system's place for such when there is none.
    async fn scratch(&self, parent: Option<&SitePath>) -> Result<SitePath, RecoveryError>;
    /// Removes a folder that `scratch` made; refuses any other.
    async fn discard(&self, scratch: &SitePath) -> Result<(), RecoveryError>;
}
