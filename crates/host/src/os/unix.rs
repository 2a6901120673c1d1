//! rustix's calls, and locks and identities of files.

use std::fs::{File, TryLockError};
use std::io as std_io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) use rustix::{fd, fs, io, path};

/// Locks an open file, whose content others can go on reading.
pub(crate) fn try_lock(file: &File) -> Result<(), TryLockError> {
    file.try_lock()
}

/// Whether `path` names this very file.
pub(crate) fn is_named(file: &File, path: &Path) -> std_io::Result<bool> {
    let (held, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((named.dev(), named.ino()) == (held.dev(), held.ino()))
}
