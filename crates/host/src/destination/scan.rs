//! Looking over the destination's root: which folders carry a marker.

use std::io;

use backup_core::path::SitePath;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, RawDir, openat};

use super::folder::Folder;
use super::names::MARKER_NAME;

/// Rounds after which a root in which names never stop moving is taken as it was seen last.
const ROUNDS: usize = 100;

/// All folders with a marker directly below `root`, of any name, sorted by name.
///
/// A folder is not missed because names are exchanged meanwhile: the root is looked over until two rounds see the same.
pub(super) fn marked_folders(root: &OwnedFd, path: &SitePath) -> io::Result<Vec<Folder>> {
    let mut seen = look_over(root, path)?;
    for _ in 0..ROUNDS {
        let again = look_over(root, path)?;
        let same = seen.len() == again.len()
            && seen.iter().zip(&again).all(|(a, b)| a.name() == b.name() && a.inode() == b.inode());
        seen = again;
        if same {
            break;
        }
    }
    Ok(seen)
}

fn look_over(root: &OwnedFd, path: &SitePath) -> io::Result<Vec<Folder>> {
    let open = |name: Vec<u8>| Folder::open(root, path, &name).ok();
    // A folder that cannot be opened cannot be one of ours that is whole.
    let folders = names(root)?.into_iter().filter_map(open);
    Ok(folders.filter(|folder| folder.has(MARKER_NAME)).collect())
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
