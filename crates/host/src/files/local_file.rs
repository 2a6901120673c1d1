//! A regular file of this machine, open for reading.

use std::io;
use std::ops::Range;

use crate::os::fd::{AsFd, OwnedFd};
use crate::os::fs::{FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, seek};
use crate::os::io::{Errno, pread, retry_on_intr};
use crate::os::path::Arg;
use backup_core::path::SitePath;
use backup_core::ports::site_files::{FileKind, FileStat, OpenFile, SiteFilesError};

use super::failed;
use super::stat::{file_stat, may_hold_holes, size_of};

// Without NONBLOCK the open of a pipe that took a file's place would wait for a writer.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open regular file. What it says is always of the open file, whatever its name stands for by now.
#[derive(Debug)]
pub(crate) struct LocalFile {
    file: OwnedFd,
    path: SitePath,
    /// The size when it was opened: a read that ends there needs no second read to know it.
    size: u64,
}

impl LocalFile {
    /// Opens `name` of `folder`; `path` is what messages call it.
    pub(crate) fn open(folder: impl AsFd, name: impl Arg + Copy, path: SitePath) -> Result<Self, SiteFilesError> {
        match open_quietly(|flags| openat(&folder, name, flags, Mode::empty())) {
            Ok(file) => Self::new(file, path),
            Err(Errno::LOOP) => Err(refused(path, "it is a symbolic link")),
            Err(error) => Err(failed("open", &path)(error)),
        }
    }

    /// Takes an open file, which must be a regular one.
    pub(crate) fn new(file: OwnedFd, path: SitePath) -> Result<Self, SiteFilesError> {
        let stat = fstat(&file).map_err(failed("examine", &path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Self { file, path, size: size_of(&stat) }),
            _ => Err(refused(path, "it is not a regular file")),
        }
    }

    fn examine(&self) -> Result<Stat, SiteFilesError> {
        fstat(&self.file).map_err(failed("examine", &self.path))
    }

    fn seek(&self, to: SeekFrom) -> Result<Option<u64>, Errno> {
        match seek(&self.file, to) {
            Ok(offset) => Ok(Some(offset)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Opens for reading without a trace in the access time, where this process may ask for that.
pub(crate) fn open_quietly(open: impl Fn(OFlags) -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    match open(READ | OFlags::NOATIME) {
        Err(Errno::PERM) => open(READ),
        result => result,
    }
}

fn refused(path: SitePath, reason: &'static str) -> SiteFilesError {
    SiteFilesError::Failed { action: "open", path, source: io::Error::new(io::ErrorKind::InvalidInput, reason).into() }
}

impl OpenFile for LocalFile {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        Ok(file_stat(&self.examine()?, FileKind::File))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        let mut done = 0;
        while done < buffer.len() {
            let position = offset + done as u64;
            let read = retry_on_intr(|| pread(&self.file, &mut buffer[done..], position));
            let count = read.map_err(failed("read", &self.path))?;
            done += count;
            if count == 0 || offset + done as u64 == self.size {
                break;
            }
        }
        Ok(done)
    }

    /// File systems that cannot tell holes show all as data.
    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, SiteFilesError> {
        let stat = self.examine()?;
        let size = size_of(&stat);
        if offset >= size {
            return Ok(None);
        }
        if !may_hold_holes(&stat) {
            return Ok(Some(offset..size));
        }
        let start = match self.seek(SeekFrom::Data(offset)) {
            Ok(Some(start)) => start,
            Ok(None) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(offset..size)),
            Err(error) => return Err(failed("read", &self.path)(error)),
        };
        // The file may have been cut between the two calls; then nothing follows.
        let end = self.seek(SeekFrom::Hole(start)).map_err(failed("read", &self.path))?;
        Ok(end.filter(|end| *end > start).map(|end| start..end))
    }
}
