//! Folders and files inside a staging folder, which is ours alone: what stands in the way gives way.

use crate::os::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::os::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, unlinkat};
use crate::os::io::Errno;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{FileKind, Walk};

use crate::files::beneath::open_beneath;
use crate::files::walk::{Filter, walk_folder};

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW: OFlags =
    OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Rounds after which a name on which several threads work counts as blocked.
const ROUNDS: usize = 16;

/// Opens the folder `path` below `base`, making it and what is missing above it.
pub(super) fn make_folder(base: BorrowedFd<'_>, path: &RelPath) -> Result<OwnedFd, Errno> {
    match open_beneath(base, path, FOLDER, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
        result => return result,
    }
    let mut folder = openat(base, ".", FOLDER, Mode::empty())?;
    for component in path.components() {
        folder = make_one(&folder, component)?;
    }
    Ok(folder)
}

// Other threads make the same folders at the same time.
fn make_one(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let mut last = Errno::NOTDIR;
    for _ in 0..ROUNDS {
        last = match openat(parent, name, FOLDER, Mode::empty()) {
            Ok(folder) => return Ok(folder),
            Err(Errno::NOENT) => mkdirat(parent, name, Mode::RWXU).err().unwrap_or(Errno::EXIST),
            Err(Errno::NOTDIR | Errno::LOOP) => unlinkat(parent, name, AtFlags::empty()).err().unwrap_or(Errno::NOENT),
            Err(error) => return Err(error),
        };
        if !matches!(last, Errno::EXIST | Errno::NOENT | Errno::ISDIR) {
            break;
        }
    }
    Err(last)
}

/// Makes the new file `name`, readable by its owner only, never writing into what has the name: another snapshot may share it.
pub(super) fn make_file(folder: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    match openat(folder, name, NEW, mode) {
        Err(Errno::EXIST) => {
            remove(folder.as_fd(), name)?;
            openat(folder, name, NEW, mode)
        }
        result => result,
    }
}

/// Removes the entry `path` below `base` with all below it; one that is not there is no error.
pub(super) fn remove(base: BorrowedFd<'_>, path: &[u8]) -> Result<(), Errno> {
    match unlinkat(base, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => remove_folder(base, path),
        Err(error) => Err(error),
    }
}

fn remove_folder(base: BorrowedFd<'_>, path: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(base, path, flags, Mode::empty())?;
    empty(&folder, &Filter::default())?;
    gone(unlinkat(base, path, AtFlags::REMOVEDIR))
}

/// Removes all in `folder` but what `filter` leaves out.
pub(super) fn empty(folder: &OwnedFd, filter: &Filter) -> Result<(), Errno> {
    let mut walk = Walk::default();
    // The path is for messages only, and what could not be examined makes the removal fail below.
    walk_folder(folder.as_fd(), &SitePath::parse("/").expect("the root is absolute"), filter, &mut walk);
    for entry in walk.entries.iter().rev() {
        let flags = if entry.stat.kind == FileKind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        gone(unlinkat(folder, entry.path.as_bytes(), flags))?;
    }
    Ok(())
}

/// Makes each file in `folder` durable by itself.
pub(super) fn sync_each(folder: &OwnedFd) -> Result<(), Errno> {
    let mut walk = Walk::default();
    walk_folder(folder.as_fd(), &SitePath::parse("/").expect("the root is absolute"), &Filter::default(), &mut walk);
    for entry in walk.entries.iter().filter(|entry| entry.stat.kind == FileKind::File) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        fsync(openat(folder, entry.path.as_bytes(), flags, Mode::empty())?)?;
    }
    if walk.problems.is_empty() { Ok(()) } else { Err(Errno::IO) }
}

fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
