//! Giving a sealed snapshot the final name.
//!
//! Only names change. A snapshot is listed by its manifest, so both stay listed between any two steps, and a crash at any point leaves
//! at worst names that the next publish puts in order.

use std::io;

use crate::os::fd::OwnedFd;
use crate::os::fs::{RenameFlags, fsync, renameat, renameat_with};
use crate::os::io::Errno;
use backup_core::path::SitePath;
use backup_core::ports::destination::{DestinationError, StoredSnapshot};
use backup_core::site::SiteCode;
use backup_core::snapshot::RunId;

use super::folder::Folder;
use super::names::{damaged_name, failed, is_working_name, working_name};
use super::{LocalDestination, stands};

/// What has the final name.
pub(super) enum Standing {
    /// Nothing.
    Nothing,
    /// A folder of this site, of this run.
    Ours(RunId),
    /// Anything else: it is never touched.
    Foreign,
}

/// Looks at what has the final name of `site` below `root`.
pub(super) fn standing(root: &OwnedFd, path: &SitePath, site: &SiteCode) -> io::Result<Standing> {
    let name = site.snapshot_folder();
    if !stands(root, &name)? {
        return Ok(Standing::Nothing);
    }
    let marker = match Folder::open(root, path, name.as_bytes()) {
        Ok(folder) => folder.marker(),
        Err(_) => None,
    };
    Ok(match marker.filter(|marker| marker.site == site.as_str()) {
        Some(marker) => Standing::Ours(marker.run),
        None => Standing::Foreign,
    })
}

impl LocalDestination {
    pub(super) fn publish_now(&self, run: RunId) -> Result<StoredSnapshot, DestinationError> {
        let root = self.lock_root()?;
        let (folder, manifest) = self.find(&root, run)?;
        let to_name = failed("name", &folder.path);
        if !self.is_published(&folder) {
            let standing = standing(&root, &self.root, &self.site);
            match standing.map_err(failed("examine", &self.final_path()))? {
                Standing::Foreign => return Err(DestinationError::Foreign(self.final_path())),
                Standing::Nothing => self.name(&root, &folder),
                Standing::Ours(old) => self.replace_published(&root, &folder, old),
            }
            .map_err(to_name)?;
        }
        self.order_names(&root)?;
        // The new names are on the disk before anybody is told of them.
        fsync(&root).map_err(failed("sync", &self.root))?;
        let published = Folder { path: self.final_path(), ..folder };
        Ok(self.stored(&published, manifest))
    }

    fn name(&self, root: &OwnedFd, folder: &Folder) -> Result<(), Errno> {
        rename_new(root, folder.name(), &self.site.snapshot_folder())
    }

    fn replace_published(&self, root: &OwnedFd, folder: &Folder, old: RunId) -> Result<(), Errno> {
        let name = self.site.snapshot_folder();
        if self.exchange {
            match renameat_with(root, folder.name(), root, &name, RenameFlags::EXCHANGE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                result => return result,
            }
        }
        let standing = Folder::open(root, &self.root, name.as_bytes()).map_err(|_| Errno::IO)?;
        self.set_aside(root, &standing, old)?;
        self.name(root, folder)
    }

    /// Gives the folder of `run` a name of its own. A damaged snapshot gets none under which anything is ever swept.
    fn set_aside(&self, root: &OwnedFd, folder: &Folder, run: RunId) -> Result<(), Errno> {
        let plain = match folder.whole() {
            Some(_) => working_name(run),
            None => damaged_name(&self.site, run),
        };
        rename_to_free(root, folder.name(), plain).map(drop)
    }

    /// After an exchange the old snapshot has the working name of the new one: it gets its own.
    fn order_names(&self, root: &OwnedFd) -> Result<(), DestinationError> {
        for (folder, marker) in self.ours(root)? {
            let is_other = super::names::working_run(folder.name()).is_some_and(|run| run != marker.run);
            if is_other && !is_working_name(folder.name(), marker.run) {
                self.set_aside(root, &folder, marker.run).map_err(failed("name", &folder.path))?;
            }
        }
        Ok(())
    }
}

/// Gives the folder `from` the first free working name of `run`.
pub(super) fn rename_to_working(root: &OwnedFd, from: &[u8], run: RunId) -> Result<String, Errno> {
    rename_to_free(root, from, working_name(run))
}

/// Gives the folder `from` the name `plain`, or the first free one with a number behind it.
fn rename_to_free(root: &OwnedFd, from: &[u8], plain: String) -> Result<String, Errno> {
    let numbered = (1u32..).map(|number| format!("{plain}-{number}"));
    for name in std::iter::once(plain.clone()).chain(numbered) {
        match rename_new(root, from, &name) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

/// Renames, but never onto anything.
fn rename_new(root: &OwnedFd, from: &[u8], to: &str) -> Result<(), Errno> {
    match renameat_with(root, from, root, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        result => return result,
    }
    // A plain rename would replace an empty folder.
    if stands(root, to)? { Err(Errno::EXIST) } else { renameat(root, from, root, to) }
}
