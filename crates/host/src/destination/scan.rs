//! Looking over the destination's root: which folders carry a marker.

use std::io;

use crate::os::fd::OwnedFd;
use crate::os::fs::{FileType, Mode, OFlags, RawDir, openat};
use backup_core::own_files::MARKER_NAME;
use backup_core::path::SitePath;

use super::folder::Folder;

/// Rounds after which a root in which names never stop moving is taken as it was seen last.
const ROUNDS: usize = 100;

/// All folders with a marker directly below `root`, of any name, sorted by name.
///
/// No folder is missed because names move meanwhile: the root is looked over until two rounds in which nothing moved see the same.
/// That asks for no lock, so a process that was stopped in the middle of a publish hides nothing.
pub(super) fn marked_folders(root: &OwnedFd, path: &SitePath) -> io::Result<Vec<Folder>> {
    let mut seen = look_over(root, path)?;
    for _ in 0..ROUNDS {
        let again = look_over(root, path)?;
        let same = seen.settled && again.settled && seen.places() == again.places();
        seen = again;
        if same {
            break;
        }
    }
    Ok(seen.folders)
}

/// One look at the root.
struct View {
    folders: Vec<Folder>,
    /// Whether nothing tells that names moved between listing them and opening the folders.
    settled: bool,
}

impl View {
    fn places(&self) -> Vec<(&[u8], Option<u64>)> {
        self.folders.iter().map(|folder| (folder.name(), folder.inode())).collect()
    }
}

fn look_over(root: &OwnedFd, path: &SitePath) -> io::Result<View> {
    let mut view = View { folders: Vec::new(), settled: true };
    for name in names(root)? {
        match Folder::open(root, path, &name) {
            Ok(folder) if folder.has(MARKER_NAME) => view.folders.push(folder),
            // The name was listed and is gone: its folder has another one by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => view.settled = false,
            // A folder that cannot be opened cannot be one of ours that is whole.
            Ok(_) | Err(_) => {}
        }
    }
    // A folder under two names was renamed in between, and hides the one that it changed places with.
    let mut inodes: Vec<_> = view.folders.iter().map(Folder::inode).collect();
    inodes.sort_unstable();
    inodes.dedup();
    view.settled &= inodes.len() == view.folders.len();
    Ok(view)
}

/// The names of what may be folders in `folder`, sorted.
pub(super) fn names(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    // A descriptor of its own: the position in the listing belongs to the open folder.
    let listed = openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut room = Vec::with_capacity(32 << 10);
    let mut listing = RawDir::new(listed, room.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let may_be = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if may_be && !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort();
    Ok(names)
}
