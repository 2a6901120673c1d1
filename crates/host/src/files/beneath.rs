//! Opening what lies below a folder and nowhere else, however hostile the path or the tree is.

use crate::os::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::os::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use crate::os::io::Errno;
use backup_core::path::RelPath;

/// Opens `path` below `root`. A symbolic link anywhere in it is [`Errno::LOOP`].
pub(crate) fn open_beneath(root: impl AsFd, path: &RelPath, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    let root = root.as_fd();
    #[cfg(unix)]
    if let Some(result) = at_once(root, path, flags, mode) {
        return result;
    }
    open_stepwise(root, path, flags | OFlags::NOFOLLOW, mode)
}

/// By one call; `None` for kernels that do not have it.
#[cfg(unix)]
fn at_once(root: BorrowedFd<'_>, path: &RelPath, flags: OFlags, mode: Mode) -> Option<Result<OwnedFd, Errno>> {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{ResolveFlags, openat2};
    use rustix::io::retry_on_intr;

    /// Refuses every link on the way, not only those that lead out: a recovered tree has none above a recovered entry.
    const BENEATH: ResolveFlags =
        ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
    static KERNEL_CANNOT: AtomicBool = AtomicBool::new(false);

    if KERNEL_CANNOT.load(Ordering::Relaxed) {
        return None;
    }
    let name = if path.is_root() { b".".as_slice() } else { path.as_bytes() };
    // NOFOLLOW would only make the kernel call a link `not a directory` where a folder is asked for.
    let flags = flags.difference(OFlags::NOFOLLOW);
    // A rename elsewhere in the tree makes the kernel ask for another try.
    let once = || match openat2(root, name, flags, mode, BENEATH) {
        Err(Errno::AGAIN) => Err(Errno::INTR),
        result => result,
    };
    match retry_on_intr(once) {
        Err(Errno::NOSYS) => {
            KERNEL_CANNOT.store(true, Ordering::Relaxed);
            None
        }
        result => Some(result),
    }
}

/// The same for Windows and for kernels without `openat2` (before 5.6): one component after the other, none of them a link.
pub(super) fn open_stepwise(root: BorrowedFd<'_>, path: &RelPath, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Some(name) = path.name() else {
        return openat(root, ".", flags, mode);
    };
    let mut folder = openat(root, ".", step, Mode::empty())?;
    let parent = path.parent().unwrap_or_default();
    for component in parent.components().filter(|component| !component.is_empty()) {
        let next = openat(&folder, component, step, Mode::empty());
        folder = next.map_err(|error| if_link(&folder, component, error))?;
    }
    openat(&folder, name, flags, mode).map_err(|error| if_link(&folder, name, error))
}

// Asked for a folder, the system calls a link `not a directory`.
fn if_link(folder: &OwnedFd, name: &[u8], error: Errno) -> Errno {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_link = stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
    if error == Errno::NOTDIR && is_link { Errno::LOOP } else { error }
}
