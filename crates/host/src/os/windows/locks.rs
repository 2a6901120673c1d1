//! Locks of files that hide nothing of their content.
#![expect(unsafe_code, reason = "the calls of the system take pointers; each is wrapped so that no caller has to")]

use std::fs::{File, TryLockError};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle};
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx};

use super::fs::{fstat, stat};
use super::io::Errno;
use super::nt;

/// What Windows locks cannot be read by others: this lies beyond all that a file holds.
const BEYOND: u64 = 1 << 62;

/// Locks an open file, whose content others can go on reading.
pub(crate) fn try_lock(file: &File) -> Result<(), TryLockError> {
    match lock_byte(file.as_handle(), BEYOND, false) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(TryLockError::WouldBlock),
        Err(error) => Err(TryLockError::Error(error.into())),
    }
}

/// Locks one byte of an open file until the handle is closed, whether or not the file is that long. Unless it may `wait`, a byte that
/// somebody else has is [`Errno::WOULDBLOCK`].
pub(crate) fn lock_byte(file: BorrowedHandle<'_>, byte: u64, wait: bool) -> Result<(), Errno> {
    let mut place = nt::at(byte);
    let flags = LOCKFILE_EXCLUSIVE_LOCK | if wait { 0 } else { LOCKFILE_FAIL_IMMEDIATELY };
    // SAFETY: the structure lives until the call returns, which it does when the lock is there: the handle is synchronous.
    match unsafe { LockFileEx(file.as_raw_handle(), flags, 0, 1, 0, &raw mut place) } {
        0 => Err(Errno::last()),
        _ => Ok(()),
    }
}

/// Whether `path` names this very file.
pub(crate) fn is_named(file: &File, path: &Path) -> std::io::Result<bool> {
    let (held, named) = (fstat(file)?, stat(std::path::absolute(path)?)?);
    Ok((held.st_dev, held.st_ino) == (named.st_dev, named.st_ino))
}
