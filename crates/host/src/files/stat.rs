//! From the system's metadata to the domain's, and times back.

use crate::os::fd::AsFd;
use crate::os::fs::{FileType, Nsecs, Stat, Timespec, Timestamps, UTIME_OMIT, readlinkat};
use crate::os::io::Errno;
use crate::os::path::Arg;
use backup_core::ports::site_files::{FileId, FileKind, FileStat, FileTime};
use jiff::Timestamp;

/// What the entry `name` of `folder` is, whose metadata is `stat`.
pub(crate) fn kind_of(folder: impl AsFd, name: impl Arg, stat: &Stat) -> Result<FileKind, Errno> {
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink(readlinkat(folder, name, Vec::new())?.into_bytes()),
        _ => FileKind::Special,
    })
}

/// The domain's metadata of an entry.
pub(crate) fn file_stat(stat: &Stat, kind: FileKind) -> FileStat {
    FileStat {
        kind,
        size: size_of(stat),
        modified: modified(stat),
        changed: FileTime(stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        id: id_of(stat),
        links: widen(stat.st_nlink),
        mode: stat.st_mode & 0o7777,
        owner: stat.st_uid,
        group: stat.st_gid,
    }
}

/// Which file it is.
pub(crate) fn id_of(stat: &Stat) -> FileId {
    FileId { device: widen(stat.st_dev), inode: widen(stat.st_ino) }
}

/// When its content changed last.
pub(crate) fn modified(stat: &Stat) -> FileTime {
    FileTime(stat.st_mtime, nanoseconds(stat.st_mtime_nsec))
}

/// Its size in bytes.
pub(crate) fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Whether it takes less room than its size, so that it may hold holes.
pub(crate) fn may_hold_holes(stat: &Stat) -> bool {
    u64::try_from(stat.st_blocks).is_ok_and(|blocks| blocks.saturating_mul(512) < size_of(stat))
}

/// How many names it has.
pub(crate) fn links_of(stat: &Stat) -> u64 {
    widen(stat.st_nlink)
}

/// A time of change as the system wants it; the time of access stays.
pub(crate) fn timestamps(modified: FileTime) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps {
        last_access: omit,
        last_modification: Timespec { tv_sec: modified.0, tv_nsec: Nsecs::from(modified.1) },
    }
}

/// An instant as a file system keeps it.
pub(crate) fn file_time(instant: Timestamp) -> FileTime {
    let nanoseconds = instant.as_nanosecond();
    let second = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(0);
    FileTime(second, u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0))
}

// The widths of these fields differ between architectures.
fn widen(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(u64::MAX)
}

fn nanoseconds(value: impl TryInto<u32>) -> u32 {
    value.try_into().unwrap_or(0)
}
