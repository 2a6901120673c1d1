//! Locks on bytes of a small file beside the snapshots.
//!
//! Windows locks no folder, and it renames none below which a file is open: a marker that is held open would be in the way of the
//! publish. The file stays; it is empty, and says nothing without its locks.

use std::os::windows::io::AsHandle;

use backup_core::snapshot::RunId;

use crate::os::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::os::fs::{Mode, OFlags, openat};
use crate::os::io::Errno;
use crate::os::lock_byte;

const LOCK_NAME: &str = ".sitebackup.lock";
/// The byte of whoever changes names.
const NAMES: u64 = 0;

/// The root, open and locked.
#[derive(Debug)]
pub(in super::super) struct LockedRoot {
    root: OwnedFd,
    _lock: OwnedFd,
}

impl std::ops::Deref for LockedRoot {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.root
    }
}

impl AsFd for LockedRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// A staging folder is in use as long as this lives.
pub(in super::super) type InUse = OwnedFd;

fn lock_file(root: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
    openat(root, LOCK_NAME, flags, Mode::RUSR | Mode::WUSR)
}

/// Waits until nobody else changes names below the open root.
pub(in super::super) fn lock_root(root: OwnedFd) -> Result<LockedRoot, Errno> {
    let lock = lock_file(&root)?;
    match lock_byte(lock.as_handle(), NAMES, true) {
        // A share may have no locks. Runs of one site exclude each other anyway.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOTTY) => Ok(LockedRoot { root, _lock: lock }),
        Err(error) => Err(error),
    }
}

/// Locks the byte of the run, and closes its marker; `None` when somebody else has it.
pub(in super::super) fn hold(root: &OwnedFd, marker: OwnedFd, run: RunId) -> Result<Option<InUse>, Errno> {
    drop(marker);
    let lock = lock_file(root)?;
    match lock_byte(lock.as_handle(), byte_of(run), false) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOTTY) => Ok(Some(lock)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Of two runs with one byte, which random ids do not have, the second would not be swept as long as the first is under way.
fn byte_of(run: RunId) -> u64 {
    let hash = blake3::hash(run.to_string().as_bytes());
    let number = hash.as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes);
    number >> 2 | 1
}
