//! Errors, under POSIX's names.

use std::io;

use windows_sys::Win32::Foundation as win;

/// An error code of Windows. Codes that differ only in which call returns them are one here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(u32);

#[allow(dead_code, reason = "the names are POSIX's, whether or not all come up on Windows")]
impl Errno {
    pub(crate) const ACCESS: Self = Self(win::ERROR_ACCESS_DENIED);
    pub(crate) const BADF: Self = Self(win::ERROR_INVALID_HANDLE);
    pub(crate) const DQUOT: Self = Self(win::ERROR_DISK_QUOTA_EXCEEDED);
    pub(crate) const EXIST: Self = Self(win::ERROR_ALREADY_EXISTS);
    /// More than is kept.
    pub(crate) const FBIG: Self = Self(win::ERROR_FILE_TOO_LARGE);
    pub(crate) const INTR: Self = Self(win::ERROR_RETRY);
    pub(crate) const INVAL: Self = Self(win::ERROR_INVALID_PARAMETER);
    pub(crate) const IO: Self = Self(win::ERROR_IO_DEVICE);
    pub(crate) const ISDIR: Self = Self(win::ERROR_DIRECTORY_NOT_SUPPORTED);
    /// A link where none may be.
    pub(crate) const LOOP: Self = Self(win::ERROR_STOPPED_ON_SYMLINK);
    pub(crate) const MORE_DATA: Self = Self(win::ERROR_MORE_DATA);
    pub(crate) const MLINK: Self = Self(win::ERROR_TOO_MANY_LINKS);
    pub(crate) const NOENT: Self = Self(win::ERROR_FILE_NOT_FOUND);
    pub(crate) const NOSPC: Self = Self(win::ERROR_DISK_FULL);
    pub(crate) const NOSYS: Self = Self(win::ERROR_CALL_NOT_IMPLEMENTED);
    pub(crate) const NOTDIR: Self = Self(win::ERROR_DIRECTORY);
    pub(crate) const NOTEMPTY: Self = Self(win::ERROR_DIR_NOT_EMPTY);
    pub(crate) const NOTTY: Self = Self(win::ERROR_INVALID_FUNCTION);
    pub(crate) const NXIO: Self = Self(win::ERROR_HANDLE_EOF);
    pub(crate) const OPNOTSUPP: Self = Self(win::ERROR_NOT_SUPPORTED);
    pub(crate) const PERM: Self = Self(win::ERROR_PRIVILEGE_NOT_HELD);
    /// Somebody has it open in a way that forbids this.
    pub(crate) const SHARING: Self = Self(win::ERROR_SHARING_VIOLATION);
    pub(crate) const WOULDBLOCK: Self = Self(win::ERROR_LOCK_VIOLATION);
    pub(crate) const XDEV: Self = Self(win::ERROR_NOT_SAME_DEVICE);

    /// What can be done where a file is not to be read because of those who have it open.
    pub(crate) fn remedy(error: &io::Error) -> Option<&'static str> {
        let code = Self::from_raw_os_error(error.raw_os_error()?);
        [Self::SHARING, Self::WOULDBLOCK].contains(&code).then_some(
            "name the service that has the file open under `[services]`, end the program that has, or leave the file out",
        )
    }

    pub(crate) fn from_raw_os_error(code: i32) -> Self {
        Self::of(code.cast_unsigned())
    }

    pub(crate) fn kind(self) -> io::ErrorKind {
        io::Error::from(self).kind()
    }

    /// The error of a call that says no more than that it has failed.
    pub(super) fn last() -> Self {
        io::Error::last_os_error().raw_os_error().map_or(Self::IO, Self::from_raw_os_error)
    }

    pub(super) fn of(code: u32) -> Self {
        Self(match code {
            win::ERROR_PATH_NOT_FOUND => win::ERROR_FILE_NOT_FOUND,
            win::ERROR_FILE_EXISTS => win::ERROR_ALREADY_EXISTS,
            win::ERROR_CANT_RESOLVE_FILENAME => win::ERROR_STOPPED_ON_SYMLINK,
            win::ERROR_HANDLE_DISK_FULL => win::ERROR_DISK_FULL,
            win::ERROR_INVALID_NAME => win::ERROR_INVALID_PARAMETER,
            code => code,
        })
    }
}

impl From<Errno> for io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0.cast_signed())
    }
}

/// No call of Windows is interrupted.
pub(crate) fn retry_on_intr<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    call()
}

pub(crate) use super::open::{pread, pwrite};
