//! POSIX-shaped calls, made of NT's.
//!
//! Every file is opened in a way that lets others read, write, rename and remove it: a backup must not be in anybody's way. What an
//! own access right is needed for later, such as setting a time, is done through a second opening of the same file.

mod flags;
mod listing;
mod locks;
mod nt;
mod open;
mod reparse;
mod security;
mod stat;
mod streams;
mod volume;

pub(crate) mod io;
pub(crate) mod path;

pub(crate) use locks::{is_named, lock_byte, try_lock};

/// Handles under the names of descriptors.
pub(crate) mod fd {
    pub(crate) use std::os::windows::io::{BorrowedHandle as BorrowedFd, OwnedHandle as OwnedFd};

    /// What has a handle.
    pub(crate) trait AsFd {
        /// The handle.
        fn as_fd(&self) -> BorrowedFd<'_>;
    }

    macro_rules! handles {
        ($($type:ty),*) => {
            $(impl AsFd for $type {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    std::os::windows::io::AsHandle::as_handle(self)
                }
            })*
        };
    }

    handles!(OwnedFd, BorrowedFd<'_>, std::fs::File);

    impl<T: AsFd + ?Sized> AsFd for &T {
        fn as_fd(&self) -> BorrowedFd<'_> {
            (**self).as_fd()
        }
    }

    impl<T: AsFd + ?Sized> AsFd for std::sync::Arc<T> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            (**self).as_fd()
        }
    }
}

/// The calls on files.
pub(crate) mod fs {
    pub(crate) use super::flags::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags};
    pub(crate) use super::listing::RawDir;
    pub(crate) use super::nt::CWD;
    pub(crate) use super::open::{
        Nsecs, SeekFrom, Timespec, Timestamps, UTIME_OMIT, fallocate, fsync, ftruncate, futimens, ioctl_ficlone,
        linkat, make_sparse, mkdirat, open, openat, renameat, renameat_with, seek, unlinkat,
    };
    pub(crate) use super::reparse::{readlinkat, reparse_data, set_reparse, symlinkat};
    pub(crate) use super::security::{close_to_others, described, inherits, set_described};
    pub(crate) use super::stat::{FileType, Stat, basic_of, fstat, set_basic, stat, statat};
    pub(crate) use super::streams::{read_stream, remove_stream, streams, write_stream};
    pub(crate) use super::volume::{fstatvfs, syncfs};
}

#[cfg(test)]
mod tests;
