//! Where a repository's objects lie: a few calls that a folder, a share and an object store can all keep.

pub mod append_only;
pub mod faults;
pub mod local;
pub mod memory;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

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

impl StorageError {
    /// A call that the system refused.
    pub(crate) fn failed(action: &'static str, name: &str, source: io::Error) -> Self {
        Self::Failed { action, name: name.to_owned(), source }
    }
}

/// Objects under names, each written once and never changed. Blocks; any number of threads may call at once.
///
/// A name is lower-case letters of ASCII and digits, in parts joined by `/`, none of them empty ([`is_name`]). Storage belongs to whoever keeps it:
/// what it gives is not to be trusted before its content was proven.
pub trait Storage: Debug + Send + Sync {
    /// All objects below `folder` (a first part of names, such as `packs`), by name. One that was put before the call is listed, and one
    /// that was deleted before it is not; what is put or deleted meanwhile may be either. What lies there under other names is none of
    /// ours and is not listed.
    ///
    /// # Errors
    /// [`StorageError::Failed`]: a listing is whole or an error. A folder that does not exist holds nothing.
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError>;

    /// An object's length in bytes.
    ///
    /// # Errors
    /// [`StorageError::Missing`] and [`StorageError::Failed`].
    fn len(&self, name: &str) -> Result<u64, StorageError>;

    /// `len` bytes at `offset` of an object. Nothing of that size is allocated for an object that is shorter.
    ///
    /// # Errors
    /// [`StorageError::Missing`] also for an object that ends before the range does.
    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError>;

    /// Makes a new object. When it returns, the object is durable and whole; after an error or a crash it is there whole or not at all.
    ///
    /// # Errors
    /// [`StorageError::Exists`] when the name is taken, also when two make it at once: one of them wins, and its object is durable when
    /// the other one is told. [`StorageError::Full`] where there is no room; then nothing of it is left.
    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError>;

    /// Removes an object. One that is gone already is no error. After a crash it may be there again.
    ///
    /// # Errors
    /// [`StorageError::Failed`], also where storage refuses to delete.
    fn delete(&self, name: &str) -> Result<(), StorageError>;

    /// Removes what puts that were killed have left behind, where that is visible, and nothing that anybody may still be writing. Returns how much
    /// there was of it. Storage that leaves nothing behind has nothing to do.
    ///
    /// # Errors
    /// [`StorageError::Failed`].
    fn sweep(&self) -> Result<usize, StorageError> {
        Ok(0)
    }

    /// All of an object that has at most `limit` bytes.
    ///
    /// # Errors
    /// Those of [`Storage::get_range`]; [`StorageError::Failed`] for an object that is longer, of which nothing is read.
    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, StorageError> {
        let len = self.len(name)?;
        match usize::try_from(len) {
            Ok(len) if len <= limit => self.get_range(name, 0, len),
            _ => {
                let fault = io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("it has {len} bytes, and such an object has at most {limit}"),
                );
                Err(StorageError::failed("read", name, fault))
            }
        }
    }
}

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError> {
        (**self).list(folder)
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        (**self).len(name)
    }

    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        (**self).get_range(name, offset, len)
    }

    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        (**self).put_new(name, content)
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        (**self).delete(name)
    }

    fn sweep(&self) -> Result<usize, StorageError> {
        (**self).sweep()
    }
}

/// Whether an object can have this name.
pub fn is_name(name: &str) -> bool {
    name.split('/').all(is_part)
}

/// Whether this is one part of a name.
pub(crate) fn is_part(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
