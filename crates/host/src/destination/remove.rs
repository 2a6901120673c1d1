//! Removing snapshots, and what interrupted runs left.
//!
//! The order of a removal: the manifest gets another name, from when on the snapshot is not listed; the folder gets its working name, so
//! that the final one is free whatever happens; the content goes, and with it the note that it was sealed; the marker goes last, so that a
//! folder that still holds anything can be told to be ours.

use std::io;

use crate::os::fd::OwnedFd;
use crate::os::fs::{AtFlags, Mode, OFlags, fsync, openat, renameat, unlinkat};
use crate::os::io::Errno;
use backup_core::manifest::MANIFEST_NAME;
use backup_core::own_files::{MARKER_NAME, REMOVING_NAME, SEALED_NAME, temp_name};
use backup_core::path::RelPath;
use backup_core::ports::destination::DestinationError;
use backup_core::snapshot::RunId;

use super::LocalDestination;
use super::folder::{Folder, Marker};
use super::locks::{InUse, hold};
use super::names::{failed, is_working_name, working_run};
use super::publish::rename_to_working;
use super::scan::names;
use super::snapshot::holds_nothing_but;
use super::tree::empty;
use crate::files::walk::Filter;

impl LocalDestination {
    /// Removes the folders of `run` under the names that this program gives; a copy that somebody made under another name stays.
    pub(super) fn remove_now(&self, run: RunId) -> Result<(), DestinationError> {
        let root = self.open_root()?;
        for (folder, marker) in self.ours(&root)? {
            let is_named = self.is_published(&folder) || is_working_name(folder.name(), run);
            if marker.run == run && is_named {
                remove_folder(&root, &folder, run).map_err(failed("remove", &folder.path))?;
            }
        }
        Ok(())
    }

    pub(super) fn sweep_now(&self) -> Result<usize, DestinationError> {
        let (mut swept, leftovers) = self.claim_leftovers()?;
        let root = self.open_root()?;
        for leftover in leftovers {
            let removed = remove_folder(&root, &leftover.folder, leftover.marker.run);
            removed.map_err(failed("remove", &leftover.folder.path))?;
            swept += 1;
        }
        Ok(swept)
    }

    /// What nobody uses. Short, for it keeps other processes from beginning: the removals come after it.
    fn claim_leftovers(&self) -> Result<(usize, Vec<Leftover>), DestinationError> {
        let root = self.lock_root()?;
        let swept = sweep_unmarked(&root, self).map_err(failed("sweep", &self.root))?;
        let mut leftovers = Vec::new();
        for (folder, marker) in self.ours(&root)? {
            let (leftover, unnoted) = (is_leftover(&folder, &marker), lacks_note(&folder, &marker));
            if !leftover && !unnoted {
                continue;
            }
            let Some(in_use) = claim(&root, &folder, marker.run) else { continue };
            if leftover {
                leftovers.push(Leftover { folder, marker, _in_use: in_use });
            } else {
                folder.note_sealed().map_err(failed("complete", &folder.path))?;
            }
        }
        Ok((swept, leftovers))
    }
}

struct Leftover {
    folder: Folder,
    marker: Marker,
    _in_use: InUse,
}

/// Whether it was never sealed, or its removal was begun. A folder from which somebody else took the manifest is neither.
pub(super) fn is_leftover(folder: &Folder, marker: &Marker) -> bool {
    let is_unsealed = || is_working_name(folder.name(), marker.run) && !folder.has(SEALED_NAME);
    !folder.has(MANIFEST_NAME) && (folder.has(REMOVING_NAME) || is_unsealed())
}

/// Whether it is a whole snapshot whose seal was cut short before the note, and whose name does not save it.
fn lacks_note(folder: &Folder, marker: &Marker) -> bool {
    is_working_name(folder.name(), marker.run) && !folder.has(SEALED_NAME) && folder.judge(marker).is_ok()
}

/// The locked marker; `None` when a run has it.
fn claim(root: &OwnedFd, folder: &Folder, run: RunId) -> Option<InUse> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let marker = openat(&folder.fd, MARKER_NAME, flags, Mode::empty()).ok()?;
    hold(root, marker, run).ok()?
}

/// What a crash left of a folder before its marker stood, or after it went: nothing, or an unfinished marker.
fn sweep_unmarked(root: &OwnedFd, destination: &LocalDestination) -> io::Result<usize> {
    let mut swept = 0;
    for name in names(root)?.into_iter().filter(|name| working_run(name).is_some()) {
        let Ok(folder) = Folder::open(root, &destination.root, &name) else { continue };
        if folder.has(MARKER_NAME) {
            continue;
        }
        let temp = temp_name(MARKER_NAME);
        if holds_nothing_but(&folder, &temp) {
            ignore_missing(unlinkat(&folder.fd, &temp, AtFlags::empty()))?;
            // Refuses a folder in which anything is left.
            ignore_missing(unlinkat(root, &name, AtFlags::REMOVEDIR))?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// Can be repeated from any point at which it was interrupted.
fn remove_folder(root: &OwnedFd, folder: &Folder, run: RunId) -> io::Result<()> {
    ignore_missing(renameat(&folder.fd, MANIFEST_NAME, &folder.fd, REMOVING_NAME))?;
    // Not listed any more, also after a power cut, before the first of its files goes.
    fsync(&folder.fd)?;
    let name = match is_working_name(folder.name(), run) {
        true => String::from_utf8_lossy(folder.name()).into_owned(),
        false => rename_to_working(root, folder.name(), run)?,
    };
    // Opened anew under that name: Wine loses a folder that is renamed while it is open.
    let renamed =
        openat(root, &name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let Some(folder) = present(renamed)? else { return Ok(()) };
    empty(&folder, &Filter::own(tells_whose))?;
    // The note is gone before what tells of the removal.
    fsync(&folder)?;
    ignore_missing(unlinkat(&folder, REMOVING_NAME, AtFlags::empty()))?;
    fsync(&folder)?;
    ignore_missing(unlinkat(&folder, MARKER_NAME, AtFlags::empty()))?;
    drop(folder);
    ignore_missing(unlinkat(root, &name, AtFlags::REMOVEDIR))?;
    Ok(fsync(root)?)
}

fn tells_whose(path: &RelPath) -> bool {
    [MARKER_NAME, REMOVING_NAME].iter().any(|name| name.as_bytes() == path.as_bytes())
}

fn present<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Err(Errno::NOENT) => Ok(None),
        result => result.map(Some),
    }
}

fn ignore_missing(result: Result<(), Errno>) -> Result<(), Errno> {
    present(result).map(drop)
}
