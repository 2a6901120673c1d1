//! A sealed snapshot, open for reading.

use std::io::{self, Read};
use std::sync::Arc;

use crate::os::fd::AsFd;
use crate::os::fs::{Mode, OFlags, open};
use crate::os::io::Errno;
use async_trait::async_trait;
use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::{ContentHash, LIST_NAME, MANIFEST_NAME};
use backup_core::own_files::is_own;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{DestinationError, SnapshotFiles};
use backup_core::ports::site_files::{OpenFile, SiteFilesError, Walk, WalkEntry};

use super::folder::Folder;
use super::names::failed;
use crate::blocking::blocking;
use crate::files::beneath::open_beneath;
use crate::files::local;
use crate::files::local_file::{LocalFile, open_quietly};
use crate::files::parallel::{MOST_THREADS, in_parallel};
use crate::files::walk::{Filter, walk_folder};

/// A snapshot's folder, open for reading; it stays the same one when its name is given to another.
///
/// Nothing in it is trusted: no path leads out of the folder or through a link, and what is read is read with a limit.
#[derive(Debug, Clone)]
pub struct LocalSnapshot {
    folder: Arc<Folder>,
}

impl LocalSnapshot {
    /// Opens a bare snapshot folder, wherever it lies now. Needs nothing but the folder, not even its marker.
    ///
    /// # Errors
    /// [`DestinationError::Failed`] when it does not exist or is not a readable folder. Whether it holds a snapshot shows when
    /// it is read.
    pub fn open(folder: &SitePath) -> Result<Self, DestinationError> {
        let place = local(folder).map_err(failed("open", folder))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(place, flags, Mode::empty()).map_err(failed("open", folder))?;
        Ok(Self::of(Folder { fd, path: folder.clone() }))
    }

    pub(super) fn of(folder: Folder) -> Self {
        Self { folder: Arc::new(folder) }
    }

    fn own_path(&self, name: &str) -> SitePath {
        self.folder.path.join(&RelPath::parse(name).expect("our own names are plain"))
    }

    fn read_list(&self) -> Result<Vec<u8>, DestinationError> {
        let path = self.own_path(LIST_NAME);
        let file = self.folder.open_own(LIST_NAME).map_err(failed("read", &path))?;
        let compressed = file.metadata().map_err(failed("read", &path))?.len();
        unpack(file, compressed).map_err(|error| DestinationError::Damaged { path, reason: error.to_string() })
    }

    fn open_file(&self, path: &RelPath) -> Result<LocalFile, DestinationError> {
        let shown = self.folder.path.join(path);
        match open_quietly(|flags| open_beneath(&self.folder.fd, path, flags, Mode::empty())) {
            Ok(file) => LocalFile::new(file, shown).map_err(|error| unreadable(&self.folder.path.join(path), error)),
            Err(Errno::LOOP) => Err(damaged(shown, "its path leads through a symbolic link")),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(damaged(shown, "it is missing")),
            Err(error) => Err(failed("open", &shown)(error)),
        }
    }

    fn hash_file(&self, path: &RelPath, buffer: &mut [u8]) -> Result<(u64, ContentHash), DestinationError> {
        let file = self.open_file(path)?;
        let read = read_once(&file, buffer, true, |_, _| Ok::<_, SiteFilesError>(()));
        read.map_err(|error| unreadable(&self.folder.path.join(path), error))
    }
}

// A hostile list could unpack to more than any memory holds; an honest one is nowhere near this factor.
fn unpack(file: impl Read, compressed: u64) -> io::Result<Vec<u8>> {
    let most = (64 << 20) + compressed.saturating_mul(256);
    let mut list = Vec::new();
    zstd::Decoder::new(file)?.take(most + 1).read_to_end(&mut list)?;
    if list.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to far more than a list of files"));
    }
    Ok(list)
}

fn damaged(path: SitePath, reason: &str) -> DestinationError {
    DestinationError::Damaged { path, reason: reason.to_owned() }
}

/// The same refusal, as this port says it.
pub(crate) fn unreadable(path: &SitePath, error: SiteFilesError) -> DestinationError {
    match error {
        SiteFilesError::Failed { action, path, source } => DestinationError::Failed { action, path, source },
        other => DestinationError::Failed { action: "read", path: path.clone(), source: other.into() },
    }
}

/// All in a snapshot's or staging folder but our own files; an entry that cannot be examined is an error here.
pub(super) fn walk_own(folder: &Folder) -> Result<Vec<WalkEntry>, DestinationError> {
    let mut walk = Walk::default();
    walk_folder(folder.fd.as_fd(), &folder.path, &Filter::own(is_own), &mut walk);
    match walk.problems.into_iter().next() {
        None => Ok(walk.entries),
        Some(problem) => Err(failed("examine", &problem.path)(io::Error::other(problem.message))),
    }
}

#[async_trait]
impl SnapshotFiles for LocalSnapshot {
    async fn manifest(&self) -> Result<Vec<u8>, DestinationError> {
        let this = self.clone();
        let path = self.own_path(MANIFEST_NAME);
        blocking(move || this.folder.read(MANIFEST_NAME)).await.map_err(failed("read", &path))
    }

    async fn list(&self) -> Result<Vec<u8>, DestinationError> {
        let this = self.clone();
        blocking(move || this.read_list()).await
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        let this = self.clone();
        blocking(move || walk_own(&this.folder)).await
    }

    async fn hash(&self, paths: Vec<RelPath>) -> Vec<Result<(u64, ContentHash), DestinationError>> {
        let this = self.clone();
        in_parallel(MOST_THREADS, paths, || vec![0; BLOCK], move |buffer, path| this.hash_file(path, buffer)).await
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn OpenFile>, DestinationError> {
        Ok(Box::new(self.open_file(path)?))
    }
}

/// Whether the folder is empty, but for the file `name`.
pub(super) fn holds_nothing_but(folder: &Folder, name: &str) -> bool {
    let mut walk = Walk::default();
    walk_folder(folder.fd.as_fd(), &folder.path, &Filter::default(), &mut walk);
    walk.problems.is_empty() && walk.entries.iter().all(|entry| entry.path.as_bytes() == name.as_bytes())
}
