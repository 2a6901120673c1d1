//! Why the archive could not do what was asked.

use backup_core::ports::site_files::SiteFilesError;

use crate::storage::StorageError;

/// Why a call on a repository failed. Whatever it was, what is stored already is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The folder to archive could not be read.
    #[error(transparent)]
    Read(#[from] SiteFilesError),
    /// An object is not what was written.
    #[error("`{name}` is damaged: {reason}")]
    Damaged {
        /// The object.
        name: String,
        /// How.
        reason: String,
    },
    /// Chunks that a snapshot names are in no pack, or in none that can be read.
    #[error("`{what}` cannot be read whole: chunk {id} is missing")]
    Lost {
        /// What names it.
        what: String,
        /// The first of them.
        id: String,
    },
    /// There is no repository here.
    #[error("there is no archive repository: `config` is missing")]
    NoRepository,
    /// The key belongs to another repository.
    #[error("the key is not that of repository {0}")]
    OtherKey(String),
    /// A later program made it.
    #[error("`{name}` has version {version}, and this program reads up to {ours}: use a newer one")]
    Newer {
        /// The object.
        name: String,
        /// Its version.
        version: u64,
        /// What is read here.
        ours: u64,
    },
    /// There is no snapshot at all that can be read.
    #[error("there is no archived snapshot that can be read")]
    Empty,
    /// No snapshot has an id that begins so.
    #[error("no archived snapshot has an id that begins with `{0}`")]
    NoSnapshot(String),
    /// Several have.
    #[error("{count} archived snapshots have an id that begins with `{prefix}`")]
    Ambiguous {
        /// The beginning.
        prefix: String,
        /// How many.
        count: usize,
    },
    /// A snapshot is pinned, and so never forgotten.
    #[error("snapshot {0} is pinned: unpin it first")]
    Pinned(String),
    /// The key at hand can store and not read.
    #[error("this needs a key that reads, and there is only one that writes")]
    WriteOnly,
    /// A file is not what the manifest of its snapshot says: nothing was stored of it.
    #[error("`{path}` is not as it was sealed: {reason}")]
    Unsealed {
        /// The file.
        path: String,
        /// How it differs.
        reason: String,
    },
    /// Somebody else prunes.
    #[error("a prune is at work already, or ended without removing its lease {0}")]
    Busy(String),
    /// The work was asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl ArchiveError {
    pub(crate) fn damaged(name: impl Into<String>, reason: impl ToString) -> Self {
        Self::Damaged { name: name.into(), reason: reason.to_string() }
    }
}
