//! Writing back whole file systems.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::os::fd::OwnedFd;
use crate::os::fs::{Mode, OFlags, fstat, open, syncfs};
use crate::os::io::Errno;
use backup_core::path::SitePath;
use backup_core::ports::site_files::SiteFilesError;

#[cfg(unix)]
use super::mounts;
use super::stat::id_of;
use super::{failed, local};

/// Writes back every file system that holds one of `roots` or is mounted below one, each once.
pub(super) fn sync_roots(roots: &[SitePath]) -> Result<(), SiteFilesError> {
    let mut devices = BTreeSet::new();
    for root in roots {
        let place = local(root).map_err(failed("sync", root))?;
        let folder = folder_of(&place).map_err(failed("sync", root))?;
        sync_once(open_folder(&folder), &mut devices).map_err(failed("sync", root))?;
        // Windows mounts a volume in a folder by a junction, which no walk follows.
        #[cfg(unix)]
        for point in mounts::below(&place) {
            // What cannot be opened here is told by the walk, which meets it as well.
            let Ok(folder) = open_folder(&point) else { continue };
            sync_once(Ok(folder), &mut devices).map_err(failed("sync", root))?;
        }
    }
    Ok(())
}

fn sync_once(folder: Result<OwnedFd, Errno>, devices: &mut BTreeSet<u64>) -> Result<(), Errno> {
    let folder = folder?;
    if !devices.insert(id_of(&fstat(&folder)?).device) {
        return Ok(());
    }
    match syncfs(&folder) {
        // Windows lets administrators only. A store through a mapping then shows when its program or the system writes it back.
        Err(Errno::PERM) if cfg!(windows) => Ok(()),
        synced => synced,
    }
}

fn open_folder(folder: &Path) -> Result<OwnedFd, Errno> {
    open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

// A root that is a file may be a database's: it is not opened, its folder is.
fn folder_of(place: &Path) -> std::io::Result<PathBuf> {
    let is_folder = std::fs::metadata(place)?.is_dir();
    let parent = place.parent().filter(|_| !is_folder);
    Ok(parent.unwrap_or(place).to_owned())
}
