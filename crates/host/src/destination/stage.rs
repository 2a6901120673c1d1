//! Staging one entry after the other, on one of several threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::os::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::os::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, ftruncate, futimens, ioctl_ficlone, linkat, statat};
use crate::os::io::{Errno, pwrite, retry_on_intr};
use backup_core::copy::{BLOCK, read_once};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{DestinationError, StageContent, StageError, StageItem, StagedContent};
use backup_core::ports::site_files::{FileTime, OpenFile, SiteFiles, SiteFilesError};

use super::staging::StagingFolder;
use super::tree;
use super::update::Update;
use crate::files::beneath::open_beneath;
use crate::files::local_file::{LocalFile, open_quietly};
use crate::files::stat::{links_of, modified, size_of, timestamps};

/// Below this size a file's holes are not worth the calls that find them.
const SPARSE_FROM: u64 = 64 << 10;

/// One thread's means of staging: a buffer, and the folder of the last entry, which mostly is the next one's too.
#[derive(Debug)]
pub(super) struct Stager {
    staging: Arc<StagingFolder>,
    buffer: Vec<u8>,
    parent: Option<(RelPath, Arc<OwnedFd>)>,
}

impl Drop for Stager {
    fn drop(&mut self) {
        if let Ok(mut buffers) = self.staging.buffers.lock() {
            buffers.push(std::mem::take(&mut self.buffer));
        }
    }
}

impl Stager {
    pub(super) fn new(staging: Arc<StagingFolder>) -> Self {
        let buffer = staging.buffers.lock().ok().and_then(|mut buffers| buffers.pop());
        Self { staging, buffer: buffer.unwrap_or_else(|| vec![0; BLOCK]), parent: None }
    }

    pub(super) fn stage(&mut self, item: &StageItem, from: &dyn SiteFiles) -> Result<StagedContent, StageError> {
        match &item.content {
            StageContent::Copy(source) => self.copy(&item.path, source, from),
            StageContent::Update(source) => self.update(&item.path, source, from),
            StageContent::Reuse(path) => Ok(self.reuse(&item.path, path)?),
            StageContent::HardLink(first) => self.link(&item.path, first),
            StageContent::Directory => {
                tree::make_folder(self.staging.folder.fd.as_fd(), &item.path)
                    .map_err(self.staging.failed("make", &item.path))?;
                Ok(StagedContent::unread(0))
            }
        }
    }

    fn copy(&mut self, path: &RelPath, source: &SitePath, from: &dyn SiteFiles) -> Result<StagedContent, StageError> {
        let file = from.open(source)?;
        let to = self.make_file(path)?;
        let copied = self.copy_content(path, file.as_ref(), &to);
        self.finish(path, source, from, &to, copied)
    }

    fn copy_content(&mut self, path: &RelPath, file: &dyn OpenFile, to: &OwnedFd) -> Result<StagedContent, StageError> {
        let Self { staging, buffer, .. } = self;
        let before = file.stat()?;
        let mut end = 0;
        let (size, hash) = read_once(file, buffer, before.size >= SPARSE_FROM, |offset, block| {
            end = offset + block.len() as u64;
            Ok::<_, StageError>(write_all_at(to, offset, block).map_err(staging.failed("write", path))?)
        })?;
        if end < size {
            ftruncate(to, size).map_err(staging.failed("extend", path))?;
        }
        let after = Some(file.stat()?);
        Ok(StagedContent { hash: Some(hash), before: Some(before), after, ..StagedContent::unread(size) })
    }

    /// What cannot be read whole leaves nothing in the snapshot.
    fn finish(
        &mut self,
        path: &RelPath,
        source: &SitePath,
        from: &dyn SiteFiles,
        to: &OwnedFd,
        copied: Result<StagedContent, StageError>,
    ) -> Result<StagedContent, StageError> {
        let finished = copied.and_then(|mut content| {
            content.attributes = from.attributes(source)?;
            let time = content.before.as_ref().map_or(FileTime::default(), |stat| stat.modified);
            futimens(to, &timestamps(time)).map_err(self.staging.failed("date", path))?;
            Ok(content)
        });
        if let Err(StageError::Read(_)) = &finished {
            tree::remove(self.staging.folder.fd.as_fd(), path.as_bytes())
                .map_err(self.staging.failed("remove", path))?;
        }
        finished
    }

    fn update(&mut self, path: &RelPath, source: &SitePath, from: &dyn SiteFiles) -> Result<StagedContent, StageError> {
        // A file with a second name may be one that the previous snapshot has too: it is not written into.
        let staged = self.open_staged(path)?.filter(|(_, stat)| links_of(stat) == 1);
        let Some((to, stat)) = staged else {
            return self.copy(path, source, from);
        };
        let Self { staging, buffer, .. } = self;
        let updated = from.open(source).map_err(StageError::from).and_then(|file| {
            let failed = |error| staging.failed("update", path)(error);
            Update::new(&to, size_of(&stat)).run(file.as_ref(), buffer, failed)
        });
        self.finish(path, source, from, &to, updated)
    }

    fn open_staged(&self, path: &RelPath) -> Result<Option<(OwnedFd, Stat)>, DestinationError> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK;
        let file = match open_beneath(&self.staging.folder.fd, path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(self.staging.failed("open", path)(error)),
        };
        let stat = fstat(&file).map_err(self.staging.failed("examine", path))?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(is_file.then_some((file, stat)))
    }

    fn reuse(&mut self, path: &RelPath, earlier: &RelPath) -> Result<StagedContent, DestinationError> {
        let staging = Arc::clone(&self.staging);
        let damaged = |reason: &str| {
            let folder = staging.previous.as_ref().map_or(&staging.folder.path, |previous| &previous.path);
            DestinationError::Damaged { path: folder.join(earlier), reason: reason.to_owned() }
        };
        let previous = staging.previous.as_ref().ok_or_else(|| damaged("there is no previous snapshot"))?;
        let opened = open_quietly(|flags| open_beneath(&previous.fd, earlier, flags, Mode::empty()));
        let file = opened.map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => damaged("it is missing"),
            Errno::LOOP => damaged("its path leads through a symbolic link"),
            error => staging.failed("take over", path)(error),
        })?;
        let stat = fstat(&file).map_err(staging.failed("examine", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(damaged("it is not a regular file"));
        }
        if !self.share_blocks(path, &file, &stat)? && !self.share_file(path, previous.fd.as_fd(), earlier, &file)? {
            let shown = previous.path.join(earlier);
            self.copy_staged(path, file, shown, modified(&stat))?;
        }
        Ok(StagedContent { stored: Some(modified(&stat)), ..StagedContent::unread(size_of(&stat)) })
    }

    /// A reflink: a file of its own that shares its blocks. Whether the file system can is tried once a run.
    fn share_blocks(&mut self, path: &RelPath, file: &OwnedFd, stat: &Stat) -> Result<bool, DestinationError> {
        if self.staging.no_reflink.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let to = self.make_file(path)?;
        match ioctl_ficlone(&to, file) {
            Ok(()) => {
                futimens(&to, &timestamps(modified(stat))).map_err(self.staging.failed("date", path))?;
                Ok(true)
            }
            Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::XDEV | Errno::NOSYS) => {
                self.staging.no_reflink.store(true, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(self.staging.failed("take over", path)(error)),
        }
    }

    /// A second name for the file of the previous snapshot. What stands here is compared with the file that was examined.
    fn share_file(
        &mut self,
        path: &RelPath,
        previous: BorrowedFd<'_>,
        earlier: &RelPath,
        file: &OwnedFd,
    ) -> Result<bool, DestinationError> {
        if !self.link_from(path, previous, earlier)? {
            return Ok(false);
        }
        let own = statat(&self.staging.folder.fd, path.as_bytes(), AtFlags::SYMLINK_NOFOLLOW);
        let same =
            own.and_then(|own| Ok((own.st_dev, own.st_ino) == fstat(file).map(|stat| (stat.st_dev, stat.st_ino))?));
        same.map_err(self.staging.failed("examine", path))
    }

    fn link(&mut self, path: &RelPath, first: &RelPath) -> Result<StagedContent, StageError> {
        let Some((file, stat)) = self.open_staged(first)? else {
            // The first name could not be read; then neither can this one.
            return Err(SiteFilesError::Missing(self.staging.folder.path.join(first)).into());
        };
        let staging = Arc::clone(&self.staging);
        if !self.link_from(path, staging.folder.fd.as_fd(), first)? {
            self.copy_staged(path, file, staging.folder.path.join(first), modified(&stat))?;
        }
        Ok(StagedContent { stored: Some(modified(&stat)), ..StagedContent::unread(size_of(&stat)) })
    }

    /// Makes `path` another name of `name` below `base`; `false` where the file system has no room or sense for it.
    fn link_from(&mut self, path: &RelPath, base: BorrowedFd<'_>, name: &RelPath) -> Result<bool, DestinationError> {
        let folder = self.parent_of(path)?;
        let own_name = path.name().unwrap_or_default();
        let link = || linkat(base, name.as_bytes(), &*folder, own_name, AtFlags::empty());
        let linked = match link() {
            Err(Errno::EXIST) => {
                tree::remove(folder.as_fd(), own_name).map_err(self.staging.failed("remove", path))?;
                link()
            }
            linked => linked,
        };
        match linked {
            Ok(()) => Ok(true),
            Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(self.staging.failed("link", path)(error)),
        }
    }

    fn copy_staged(
        &mut self,
        path: &RelPath,
        file: OwnedFd,
        shown: SitePath,
        time: FileTime,
    ) -> Result<(), DestinationError> {
        let unreadable = |error: SiteFilesError| self.staging.failed("take over", path)(io::Error::other(error));
        let file = LocalFile::new(file, shown).map_err(unreadable)?;
        let to = self.make_file(path)?;
        match self.copy_content(path, &file, &to) {
            Ok(_) => futimens(&to, &timestamps(time)).map_err(self.staging.failed("date", path)),
            Err(StageError::Write(error)) => Err(error),
            Err(StageError::Read(error)) => Err(self.staging.failed("take over", path)(io::Error::other(error))),
        }
    }

    fn make_file(&mut self, path: &RelPath) -> Result<OwnedFd, DestinationError> {
        let folder = self.parent_of(path)?;
        tree::make_file(&folder, path.name().unwrap_or_default()).map_err(self.staging.failed("make", path))
    }

    fn parent_of(&mut self, path: &RelPath) -> Result<Arc<OwnedFd>, DestinationError> {
        let parent = path.parent().unwrap_or_default();
        if let Some((known, folder)) = &self.parent
            && *known == parent
        {
            return Ok(Arc::clone(folder));
        }
        let folder =
            tree::make_folder(self.staging.folder.fd.as_fd(), &parent).map_err(self.staging.failed("make", &parent))?;
        let folder = Arc::new(folder);
        self.parent = Some((parent, Arc::clone(&folder)));
        Ok(folder)
    }
}

/// Writes all of `data` at `offset`.
pub(crate) fn write_all_at(file: &OwnedFd, mut offset: u64, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        match retry_on_intr(|| pwrite(file, data, offset))? {
            0 => return Err(Errno::IO),
            count => {
                data = &data[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}
