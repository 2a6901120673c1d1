//! Making the staging folder of a run.

use std::io;

use crate::os::fd::OwnedFd;
use crate::os::fs::{AtFlags, Mode, fsync, mkdirat, renameat, unlinkat};
use backup_core::own_files::{MARKER_NAME, temp_name};
use backup_core::ports::destination::DestinationError;
use backup_core::snapshot::RunId;

use super::LocalDestination;
use super::folder::{Folder, Marker, write_new};
use super::locks::{InUse, hold};
use super::names::{failed, working_name};
use super::staging::LocalStaging;

impl LocalDestination {
    /// The marker is durable before anything else enters the folder; so whatever a crash leaves here can be told to be ours. Before
    /// that there is an empty folder at most, or one with the unfinished marker alone, and a sweep knows both by their names.
    pub(super) fn begin_now(&self, run: RunId, previous: Option<RunId>) -> Result<LocalStaging, DestinationError> {
        let root = self.lock_root()?;
        let previous = previous.map(|run| self.find(&root, run)).transpose()?.map(|(folder, _)| folder);
        let name = working_name(run);
        mkdirat(&root, &name, Mode::RWXU).map_err(failed("make a staging folder in", &self.root))?;
        let marker = Marker::new(run, self.site.as_str());
        let made = Folder::open(&root, &self.root, name.as_bytes()).and_then(|folder| {
            let in_use = mark(&root, &folder, &marker)?;
            fsync(&root)?;
            Ok((folder, in_use))
        });
        match made {
            Ok((folder, in_use)) => Ok(LocalStaging::new(folder, previous, &marker, in_use)),
            Err(error) => {
                // Only an empty folder goes here; one with a marker is left to the sweep.
                let _ = unlinkat(&root, &name, AtFlags::REMOVEDIR);
                Err(failed("make a staging folder in", &self.root)(error))
            }
        }
    }
}

/// Writes the marker and locks it for as long as the folder is in use. It is locked before it has its name.
fn mark(root: &OwnedFd, folder: &Folder, marker: &Marker) -> io::Result<Option<InUse>> {
    let temp = temp_name(MARKER_NAME);
    let marked = write_new(&folder.fd, &temp, &marker.to_json()).and_then(|file| {
        let in_use = hold(root, file, marker.run)?;
        renameat(&folder.fd, &temp, &folder.fd, MARKER_NAME)?;
        fsync(&folder.fd)?;
        Ok(in_use)
    });
    if marked.is_err() {
        let _ = unlinkat(&folder.fd, &temp, AtFlags::empty());
    }
    marked
}
