//! Where a repository's objects lie: a few calls that a folder, a share and an object store can all keep.

use std::fmt::Debug;
use std::io;

/// An object as a listing has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// The object's name, such as `packs/1f/1f…`.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

/// Why a call on storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no object of this name, or it is shorter than the range that was asked for.
    #[error("`{0}` is missing")]
    Missing(String),
    /// There is one already, and objects are never replaced.
    #[error("`{0}` is there already")]
    Exists(String),
    /// There is no room for it.
    #[error("no room for `{0}`")]
    Full(String),
    /// The system refused.
    #[error("failed to {action} `{name}`")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// The object, or the folder of objects.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Objects under names, each written once and never changed. Blocks; any number of threads may call at once.
///
/// A name is lower-case letters and digits in parts joined by `/`, none of them empty.
pub trait Storage: Debug + Send + Sync {
    /// All objects below `folder` (a first part of names, such as `packs`), by name. One that was put before the call is listed, and one
    /// that was deleted before it is not; what lies there under other names is none of ours and is not listed.
    ///
    /// # Errors
    /// [`StorageError::Failed`]. A folder that does not exist holds nothing.
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError>;

    /// `len` bytes at `offset` of an object, or all of them.
    ///
    /// # Errors
    /// [`StorageError::Missing`] also for an object that ends before the range does.
    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError>;

    /// Makes a new object. When it returns, the object is durable and whole; after an error or a crash it is there whole or not at all.
    ///
    /// # Errors
    /// [`StorageError::Exists`] when the name is taken, also when two make it at once: one of them wins.
    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError>;

    /// Removes an object. One that is gone already is no error.
    ///
    /// # Errors
    /// [`StorageError::Failed`], also where storage refuses to delete.
    fn delete(&self, name: &str) -> Result<(), StorageError>;
}
