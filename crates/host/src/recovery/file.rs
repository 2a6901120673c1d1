//! Restoring regular files.

use crate::os::fd::OwnedFd;
use crate::os::fs::{AtFlags, FileType, Mode, OFlags, ftruncate, openat, renameat, unlinkat};
use crate::os::io::Errno;
use backup_core::copy::read_once;
use backup_core::manifest::ContentHash;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::recovery_target::{RecoveryError, RestoreItem, Restored};
use backup_core::ports::site_files::{OpenFile, SiteFilesError};

use super::place::{Place, failed};
use super::{Restorer, metadata};
use crate::destination::{unreadable, write_all_at};
use crate::files::local_file::LocalFile;
use crate::files::stat::{modified, size_of};

/// A piece of this size that is all zeros becomes a hole.
const PIECE: usize = 64 << 10;
static ZEROS: [u8; PIECE] = [0; PIECE];

enum CopyError {
    Read(SiteFilesError),
    Write(Errno),
}

impl From<SiteFilesError> for CopyError {
    fn from(error: SiteFilesError) -> Self {
        Self::Read(error)
    }
}

/// A new entry beside its place, under another name; removed again unless it is renamed.
pub(super) struct Beside<'a> {
    place: &'a Place,
    pub(super) name: String,
    is_there: bool,
}

impl<'a> Beside<'a> {
    /// Makes it by `make`, which must refuse a name that is taken.
    ///
    /// The name depends on the place only, so that a repeated recovery replaces what an interrupted one left.
    pub(super) fn make<T>(place: &'a Place, make: impl Fn(&str) -> Result<T, Errno>) -> Result<(Self, T), Errno> {
        let name = format!(".sitebackup-{}.part", &blake3::hash(&place.name).to_hex()[..16]);
        let made = match make(&name) {
            Err(Errno::EXIST) => {
                unlinkat(&place.folder, &name, AtFlags::empty())?;
                make(&name)?
            }
            made => made?,
        };
        Ok((Self { place, name, is_there: true }, made))
    }

    /// Puts it in its place.
    pub(super) fn rename(mut self) -> Result<(), Errno> {
        renameat(&self.place.folder, &self.name, &self.place.folder, self.place.name.as_slice())?;
        self.is_there = false;
        Ok(())
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if self.is_there {
            let _ = unlinkat(&self.place.folder, &self.name, AtFlags::empty());
        }
    }
}

impl Restorer {
    pub(super) fn restore_file(
        &mut self,
        item: &RestoreItem,
        from: &dyn SnapshotFiles,
    ) -> Result<Restored, RecoveryError> {
        let wrong = || RecoveryError::Hash(item.record.path.clone());
        let hash = item.record.hash.ok_or_else(wrong)?;
        let place = self.places.of(item)?;
        if self.stands_already(&place, item, hash)? {
            return Ok(Restored::Already);
        }
        let content = from.open(&item.record.path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = |name: &str| openat(&place.folder, name, flags, Mode::RUSR | Mode::WUSR);
        let (beside, file) = Beside::make(&place, new).map_err(failed("write", item))?;
        metadata::prepare(&file, &item.record).map_err(failed("write", item))?;
        let (size, read) = self.copy(item, content.as_ref(), &file)?;
        if (size, read) != (item.record.size, hash) {
            return Err(wrong());
        }
        metadata::set_on(&file, &item.record).map_err(failed("set the metadata of", item))?;
        metadata::settle_file(&file).map_err(failed("sync", item))?;
        beside.rename().map_err(failed("write", item))?;
        Ok(Restored::Written(size))
    }

    fn copy(
        &mut self,
        item: &RestoreItem,
        from: &dyn OpenFile,
        to: &OwnedFd,
    ) -> Result<(u64, ContentHash), RecoveryError> {
        let mut end = 0;
        let copied = read_once(from, &mut self.buffer, true, |offset, block| {
            let written = write_with_holes(to, offset, block).map_err(CopyError::Write)?;
            end = end.max(written);
            Ok(())
        });
        let (size, hash) = copied.map_err(|error| match error {
            CopyError::Read(error) => RecoveryError::Read(unreadable(&item.root.join(&item.path), error)),
            CopyError::Write(error) => failed("write", item)(error),
        })?;
        if end < size {
            ftruncate(to, size).map_err(failed("extend", item))?;
        }
        Ok((size, hash))
    }

    /// Whether the file stands there with its content. Then its metadata is put right as well.
    fn stands_already(&mut self, place: &Place, item: &RestoreItem, hash: ContentHash) -> Result<bool, RecoveryError> {
        let Some(stat) = place.stat().map_err(failed("examine", item))? else { return Ok(false) };
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || (size_of(&stat), modified(&stat)) != (item.record.size, item.record.modified) {
            return Ok(false);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&place.folder, place.name.as_slice(), flags, Mode::empty()).map_err(failed("read", item))?;
        let reader = file.try_clone().map_err(failed("read", item))?;
        let read = LocalFile::new(reader, item.root.join(&item.path))
            .and_then(|reader| read_once(&reader, &mut self.buffer, true, |_, _| Ok::<_, SiteFilesError>(())));
        if !read.is_ok_and(|(_, read)| read == hash) {
            return Ok(false);
        }
        metadata::set_on(&file, &item.record).map_err(failed("set the metadata of", item))?;
        Ok(true)
    }
}

/// Writes what is not zeros, and returns where that ends.
fn write_with_holes(to: &OwnedFd, offset: u64, block: &[u8]) -> Result<u64, Errno> {
    let (mut start, mut end) = (0, 0);
    for (index, piece) in block.chunks(PIECE).enumerate() {
        let at = index * PIECE;
        if *piece == ZEROS {
            write_all_at(to, offset + start as u64, &block[start..at])?;
            start = at + PIECE;
        } else {
            end = offset + (at + piece.len()) as u64;
        }
    }
    if start < block.len() {
        write_all_at(to, offset + start as u64, &block[start..])?;
    }
    Ok(end)
}
