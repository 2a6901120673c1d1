//! Restoring symbolic links and further names of files.

use std::io;

use crate::os::fs::{AtFlags, FileType, linkat, readlinkat, unlinkat};
use backup_core::ports::recovery_target::{RecoveryError, RestoreItem, Restored};

use super::file::Beside;
use super::place::{Place, failed};
use super::{Restorer, metadata};
use crate::files::stat::id_of;

impl Restorer {
    /// A link may say anything: it is data, and nothing here follows it.
    pub(super) fn restore_symlink(&mut self, item: &RestoreItem) -> Result<Restored, RecoveryError> {
        let lacks = || failed("link", item)(io::Error::other("the list does not say where the link leads"));
        let target = item.record.target.as_deref().ok_or_else(lacks)?;
        let place = self.places.of(item)?;
        let stands = readlinkat(&place.folder, place.name.as_slice(), Vec::new());
        if stands.is_ok_and(|stands| stands.as_bytes() == target) {
            metadata::set_on_link(&place, &item.record).map_err(failed("set the metadata of", item))?;
            return Ok(Restored::Already);
        }
        let new = |name: &str| metadata::make_link(&item.record, target, &place.folder, name);
        let (beside, ()) = Beside::make(&place, new).map_err(failed("link", item))?;
        let named = Place { folder: place.folder.clone(), name: beside.name.clone().into_bytes() };
        metadata::set_on_link(&named, &item.record).map_err(failed("set the metadata of", item))?;
        beside.rename().map_err(failed("link", item))?;
        Ok(Restored::Written(0))
    }

    /// The first name must stand below the same root, and be a file's.
    pub(super) fn restore_hard_link(&mut self, item: &RestoreItem) -> Result<Restored, RecoveryError> {
        let lacks = || failed("link", item)(io::Error::other("the first name of the file was not recovered"));
        let first = self.places.of_other(item, item.link_to.as_ref().ok_or_else(lacks)?)?;
        let place = self.places.of(item)?;
        let stat = first.stat().map_err(failed("link", item))?.ok_or_else(lacks)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => {
                return Err(RecoveryError::Escape { root: item.root.clone(), path: item.path.clone() });
            }
            _ => return Err(failed("link", item)(io::Error::other("the first name is not a file's"))),
        }
        let stands = place.stat().map_err(failed("examine", item))?;
        if stands.is_some_and(|stands| id_of(&stands) == id_of(&stat)) {
            return Ok(Restored::Already);
        }
        let new = |name: &str| linkat(&first.folder, first.name.as_slice(), &place.folder, name, AtFlags::empty());
        let (beside, ()) = Beside::make(&place, new).map_err(failed("link", item))?;
        let name = beside.name.clone();
        beside.rename().map_err(failed("link", item))?;
        // A rename leaves both where they became names of one file meanwhile.
        let _ = unlinkat(&place.folder, &name, AtFlags::empty());
        Ok(Restored::Written(0))
    }
}
