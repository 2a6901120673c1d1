//! What the system tells of a file, in POSIX's shape, and times between the two.

use std::os::windows::io::{AsHandle, BorrowedHandle};

use backup_core::ports::site_files::FileTime;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::Storage::FileSystem as win;

use super::fd::AsFd;
use super::flags::AtFlags;
use super::io::Errno;
use super::nt::{self, CWD};
use super::open::{LOOK, again, itself};
use super::path::Arg;
use super::reparse;

/// From 1601, where Windows begins to count, to 1970.
const EPOCH: i64 = 11_644_473_600;
/// Windows counts in steps of 100 ns.
const TICKS: i64 = 10_000_000;

/// Metadata of a file.
///
/// The owner is no number here and stays 0: it stands in the security descriptor. The permission bits are those under which a system
/// that has them keeps the file to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) st_dev: u64,
    pub(crate) st_ino: u64,
    pub(crate) st_nlink: u64,
    pub(crate) st_mode: u32,
    pub(crate) st_uid: u32,
    pub(crate) st_gid: u32,
    pub(crate) st_size: i64,
    /// In pieces of 512 bytes; less than the size for a sparse file only.
    pub(crate) st_blocks: i64,
    pub(crate) st_mtime: i64,
    pub(crate) st_mtime_nsec: i64,
    pub(crate) st_ctime: i64,
    pub(crate) st_ctime_nsec: i64,
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileType {
    /// A file with content.
    RegularFile,
    /// A folder.
    Directory,
    /// A symbolic link or a junction.
    Symlink,
    /// A name that leads elsewhere in a way of its own.
    Unknown,
}

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const KINDS: u32 = 0o170_000;

impl FileType {
    pub(crate) fn from_raw_mode(mode: u32) -> Self {
        match mode & KINDS {
            REGULAR => Self::RegularFile,
            DIRECTORY => Self::Directory,
            SYMLINK => Self::Symlink,
            _ => Self::Unknown,
        }
    }

    pub(super) fn of_listed(attributes: u32) -> Self {
        if attributes & win::FILE_ATTRIBUTE_REPARSE_POINT != 0 {
            Self::Unknown
        } else if attributes & win::FILE_ATTRIBUTE_DIRECTORY != 0 {
            Self::Directory
        } else {
            Self::RegularFile
        }
    }
}

/// Metadata of an open file.
pub(crate) fn fstat(file: impl AsFd) -> Result<Stat, Errno> {
    let told = nt::by_handle(file.as_fd())?;
    let FileTime(st_ctime, ctime_nsec) = time(basic(file.as_fd())?.ChangeTime);
    let FileTime(st_mtime, mtime_nsec) = time(joined(told.ftLastWriteTime));
    let size = pair(told.nFileSizeHigh, told.nFileSizeLow);
    let is_sparse = told.dwFileAttributes & win::FILE_ATTRIBUTE_SPARSE_FILE != 0;
    Ok(Stat {
        st_dev: u64::from(told.dwVolumeSerialNumber),
        st_ino: pair(told.nFileIndexHigh, told.nFileIndexLow),
        st_nlink: u64::from(told.nNumberOfLinks),
        st_mode: mode(file.as_fd(), told.dwFileAttributes)?,
        st_uid: 0,
        st_gid: 0,
        st_size: size.cast_signed(),
        st_blocks: if is_sparse { 0 } else { size.div_ceil(512).cast_signed() },
        st_mtime,
        st_mtime_nsec: i64::from(mtime_nsec),
        st_ctime,
        st_ctime_nsec: i64::from(ctime_nsec),
    })
}

fn mode(file: BorrowedHandle<'_>, attributes: u32) -> Result<u32, Errno> {
    let kind = match reparse_tag_of(file, attributes)? {
        Some(tag) if reparse::is_link(tag) => return Ok(SYMLINK | 0o777),
        Some(tag) if reparse::is_surrogate(tag) => return Ok(0),
        _ if attributes & win::FILE_ATTRIBUTE_DIRECTORY != 0 => DIRECTORY | 0o700,
        _ => REGULAR | 0o600,
    };
    // On a folder the attribute says that the folder is special to Explorer.
    let is_read_only = attributes & win::FILE_ATTRIBUTE_READONLY != 0 && kind & KINDS == REGULAR;
    Ok(if is_read_only { kind & !0o200 } else { kind })
}

/// The tag of a reparse point; `None` for any other file.
pub(super) fn reparse_tag(file: BorrowedHandle<'_>) -> Result<Option<u32>, Errno> {
    reparse_tag_of(file, basic(file)?.FileAttributes)
}

fn reparse_tag_of(file: BorrowedHandle<'_>, attributes: u32) -> Result<Option<u32>, Errno> {
    if attributes & win::FILE_ATTRIBUTE_REPARSE_POINT == 0 {
        return Ok(None);
    }
    let told: win::FILE_ATTRIBUTE_TAG_INFO = nt::query(file, wdk::FileAttributeTagInformation)?;
    Ok(Some(told.ReparseTag))
}

/// Metadata of `name` in the open folder `folder`: its own, or with no flag that of what it leads to.
pub(crate) fn statat(folder: impl AsFd, name: impl Arg, flags: AtFlags) -> Result<Stat, Errno> {
    let name = name.wide()?;
    if flags.contains(AtFlags::SYMLINK_NOFOLLOW) || flags.contains(AtFlags::EMPTY_PATH) {
        return fstat(itself(folder.as_fd(), &name, win::FILE_READ_ATTRIBUTES)?);
    }
    let (access, disposition) = (win::FILE_READ_ATTRIBUTES, wdk::FILE_OPEN);
    fstat(nt::open(folder.as_fd(), &name, &nt::Opening { access, disposition, options: 0, security: None })?)
}

/// Metadata of what a path leads to.
pub(crate) fn stat(path: impl Arg) -> Result<Stat, Errno> {
    statat(CWD, path, AtFlags::empty())
}

/// Attributes and times as the system keeps them.
pub(crate) fn basic_of(file: impl AsFd) -> Result<wdk::FILE_BASIC_INFORMATION, Errno> {
    basic(file.as_fd())
}

pub(super) fn basic(file: BorrowedHandle<'_>) -> Result<wdk::FILE_BASIC_INFORMATION, Errno> {
    nt::query(file, wdk::FileBasicInformation)
}

/// Sets the attributes and those times that are not zero, by an opening of its own.
pub(crate) fn set_basic(file: impl AsFd, basic: &wdk::FILE_BASIC_INFORMATION) -> Result<(), Errno> {
    let writable = again(file.as_fd(), win::FILE_WRITE_ATTRIBUTES | LOOK)?;
    nt::set(writable.as_handle(), wdk::FileBasicInformation, basic)
}

pub(super) fn set_attributes(file: BorrowedHandle<'_>, attributes: u32) -> Result<(), Errno> {
    set_basic(file, &wdk::FILE_BASIC_INFORMATION { FileAttributes: attributes, ..Default::default() })
}

/// A time of Windows, exactly.
pub(super) fn time(ticks: i64) -> FileTime {
    let nanoseconds = u32::try_from(ticks.rem_euclid(TICKS) * 100).unwrap_or(0);
    FileTime(ticks.div_euclid(TICKS) - EPOCH, nanoseconds)
}

/// The time as Windows keeps it; what is finer than 100 ns is cut off.
pub(super) fn ticks(time: FileTime) -> i64 {
    time.0.saturating_add(EPOCH).saturating_mul(TICKS).saturating_add(i64::from(time.1) / 100)
}

fn joined(time: FILETIME) -> i64 {
    pair(time.dwHighDateTime, time.dwLowDateTime).cast_signed()
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
