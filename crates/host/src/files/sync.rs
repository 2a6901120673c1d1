//! Writing back whole file systems.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use backup_core::path::SitePath;
use backup_core::ports::site_files::SiteFilesError;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, fstat, open, syncfs};
use rustix::io::Errno;

use super::stat::id_of;
use super::{failed, local, mounts};

/// Writes back every file system that holds one of `roots` or is mounted below one, each once.
pub(super) fn sync_roots(roots: &[SitePath]) -> Result<(), SiteFilesError> {
    let mut devices = BTreeSet::new();
    for root in roots {
        let place = local(root).map_err(failed("sync", root))?;
        let folder = folder_of(&place).map_err(failed("sync", root))?;
        sync_once(open_folder(&folder), &mut devices).map_err(failed("sync", root))?;
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
    if devices.insert(id_of(&fstat(&folder)?).device) { syncfs(&folder) } else { Ok(()) }
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
