//! The system's locks on the root itself and on the marker of a folder.

use backup_core::snapshot::RunId;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

/// The root, open and locked.
pub(in super::super) type LockedRoot = OwnedFd;
/// A staging folder is in use as long as this lives.
pub(in super::super) type InUse = OwnedFd;

/// Waits until nobody else changes names below the open root.
pub(in super::super) fn lock_root(root: OwnedFd) -> Result<LockedRoot, Errno> {
    match retry_on_intr(|| flock(&root, FlockOperation::LockExclusive)) {
        // Network file systems may lock no folders. Runs of one site exclude each other anyway.
        Ok(()) | Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL) => Ok(root),
        Err(error) => Err(error),
    }
}

/// Locks an open marker; `None` when somebody else has it.
pub(in super::super) fn hold(_root: &OwnedFd, marker: OwnedFd, _run: RunId) -> Result<Option<InUse>, Errno> {
    match flock(&marker, FlockOperation::NonBlockingLockExclusive) {
        // Where the file system has no locks, runs of one site exclude each other by other means.
        Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL) => Ok(Some(marker)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error),
    }
}
