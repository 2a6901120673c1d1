//! Storage of which a client deletes nothing, whatever it is asked: for a machine that only stores.
//!
//! It keeps mistakes out. What keeps out whoever has taken over the machine is storage that refuses to delete by itself (docs/archive.md, Append-only).

use std::io;

use super::{Storage, StorageError, Stored};

/// Storage without [`Storage::delete`]: that call fails and has no effect.
#[derive(Debug)]
pub struct AppendOnly<S>(pub S);

impl<S: Storage> Storage for AppendOnly<S> {
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError> {
        self.0.list(folder)
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        self.0.len(name)
    }

    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        self.0.get_range(name, offset, len)
    }

    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.0.put_new(name, content)
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "nothing is deleted in append-only mode");
        Err(StorageError::failed("delete", name, source))
    }
}
