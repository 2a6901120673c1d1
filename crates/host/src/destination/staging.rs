//! The staging folder of one run.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::os::fd::{AsFd, OwnedFd};
use crate::os::fs::{ftruncate, futimens, syncfs};
use crate::os::io::{Errno, pread, retry_on_intr};
use async_trait::async_trait;
use backup_core::manifest::{ContentHash, LIST_NAME, MANIFEST_NAME, Manifest};
use backup_core::own_files::is_own;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{
    DestinationError, StageContent, StageError, StageItem, StagedContent, StagedFile, Staging,
};
use backup_core::ports::site_files::{SiteFiles, WalkEntry};
use jiff::Timestamp;

use super::folder::Folder;
use super::locks::InUse;
use super::names::failed;
use super::snapshot::walk_own;
use super::stage::{Stager, write_all_at};
use super::tree;
use crate::blocking::blocking;
use crate::files::parallel::{MOST_THREADS, in_parallel};
use crate::files::stat::{file_time, timestamps};

/// How hard the list is compressed: zstd's own default, a quarter of a second for a million lines.
const LEVEL: i32 = 3;

/// What the threads that stage have in common.
#[derive(Debug)]
pub(super) struct StagingFolder {
    pub(super) folder: Folder,
    /// What `Reuse` takes over from.
    pub(super) previous: Option<Folder>,
    /// Whether the file system was found not to share blocks between files.
    pub(super) no_reflink: AtomicBool,
    /// Buffers of the threads of the last batch.
    pub(super) buffers: Mutex<Vec<Vec<u8>>>,
    manifest_of: (backup_core::snapshot::RunId, String),
    /// Tells [`sweep`](backup_core::ports::destination::Destination::sweep), here and in other processes, that the folder is in use.
    _in_use: Option<InUse>,
}

impl StagingFolder {
    pub(super) fn failed<E: Into<std::io::Error>>(
        &self,
        action: &'static str,
        path: &RelPath,
    ) -> impl FnOnce(E) -> DestinationError {
        move |error| failed(action, &self.folder.path.join(path))(error)
    }
}

/// The staging folder of one run, in use as long as this lives.
#[derive(Debug, Clone)]
pub(super) struct LocalStaging(Arc<StagingFolder>);

impl LocalStaging {
    /// Takes a folder whose marker is written, with the open and locked marker.
    pub(super) fn new(
        folder: Folder,
        previous: Option<Folder>,
        marker: &super::folder::Marker,
        in_use: Option<InUse>,
    ) -> Self {
        Self(Arc::new(StagingFolder {
            folder,
            previous,
            no_reflink: AtomicBool::new(false),
            buffers: Mutex::default(),
            manifest_of: (marker.run, marker.site.clone()),
            _in_use: in_use,
        }))
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&StagingFolder) -> T + Send + 'static) -> T {
        let folder = Arc::clone(&self.0);
        blocking(move || work(&folder)).await
    }

    async fn stage_all(
        &self,
        items: Vec<StageItem>,
        from: Arc<dyn SiteFiles>,
    ) -> Vec<Result<StagedContent, StageError>> {
        let folder = Arc::clone(&self.0);
        let stager = move || Stager::new(Arc::clone(&folder));
        in_parallel(MOST_THREADS, items, stager, move |stager, item| stager.stage(item, from.as_ref())).await
    }
}

#[async_trait]
impl Staging for LocalStaging {
    /// Further names wait until all other entries of the call are there.
    async fn stage(&self, items: Vec<StageItem>, from: Arc<dyn SiteFiles>) -> Vec<Result<StagedContent, StageError>> {
        let is_link: Vec<bool> = items.iter().map(|item| matches!(item.content, StageContent::HardLink(_))).collect();
        let (links, others) = items.into_iter().partition(|item| matches!(item.content, StageContent::HardLink(_)));
        let mut others = self.stage_all(others, Arc::clone(&from)).await.into_iter();
        let mut links = self.stage_all(links, from).await.into_iter();
        let next = |is_link: bool| if is_link { links.next() } else { others.next() };
        is_link.into_iter().map(next).map(|result| result.expect("a result for each item")).collect()
    }

    async fn write(&self, path: &RelPath, data: &[u8], modified: Timestamp) -> Result<(), DestinationError> {
        let (path, data) = (path.clone(), data.to_vec());
        self.work(move |staging| {
            let file = make_file(staging, &path)?;
            write_all_at(&file, 0, &data).map_err(staging.failed("write", &path))?;
            futimens(&file, &timestamps(file_time(modified))).map_err(staging.failed("date", &path))
        })
        .await
    }

    fn create(&self, path: &RelPath) -> Result<Box<dyn StagedFile>, DestinationError> {
        let file = make_file(&self.0, path)?;
        Ok(Box::new(LocalStagedFile { file, path: self.0.folder.path.join(path) }))
    }

    async fn remove(&self, paths: Vec<RelPath>) -> Result<(), DestinationError> {
        self.work(move |staging| {
            for path in paths {
                refuse_own(staging, &path)?;
                tree::remove(staging.folder.fd.as_fd(), path.as_bytes()).map_err(staging.failed("remove", &path))?;
            }
            Ok(())
        })
        .await
    }

    fn place(&self, path: &RelPath) -> Option<SitePath> {
        Some(self.0.folder.path.join(path))
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        self.work(|staging| walk_own(&staging.folder)).await
    }

    /// The order must stand: content, then the list that names it, then the manifest that names the list, then the note that keeps a
    /// sealed snapshot from the sweep. Each is on the disk before the next is written, so whatever a power cut leaves, a manifest that is
    /// there tells of a snapshot that is whole, and a note of one that was. A cut just before the note is made good by the next sweep.
    async fn seal(&self, manifest: &Manifest, list: &[u8]) -> Result<(), DestinationError> {
        let (manifest, list) = (manifest.clone(), list.to_vec());
        self.work(move |staging| {
            refuse_other(staging, &manifest, &list)?;
            let folder = &staging.folder;
            sync_content(folder).map_err(failed("sync", &folder.path))?;
            let packed =
                zstd::encode_all(list.as_slice(), LEVEL).map_err(failed("compress the list of", &folder.path))?;
            folder.replace(LIST_NAME, &packed).map_err(failed("write the list of", &folder.path))?;
            folder
                .replace(MANIFEST_NAME, &manifest.to_json())
                .map_err(failed("write the manifest of", &folder.path))?;
            // The commit was the manifest: a note that cannot be written is the next sweep's to write.
            let _ = folder.note_sealed();
            folder.date(manifest.started).map_err(failed("date", &folder.path))
        })
        .await
    }
}

/// Makes all that lies in the folder durable.
fn sync_content(folder: &Folder) -> Result<(), Errno> {
    match syncfs(&folder.fd) {
        // Windows writes whole volumes back for administrators only.
        Err(Errno::PERM) if cfg!(windows) => tree::sync_each(&folder.fd),
        synced => synced,
    }
}

/// A manifest that would never be listed here is refused before it is the commit of anything.
fn refuse_other(staging: &StagingFolder, manifest: &Manifest, list: &[u8]) -> Result<(), DestinationError> {
    let (run, site) = &staging.manifest_of;
    let reason = if (manifest.run, &manifest.site) != (*run, site) {
        "the manifest is another run's or another site's"
    } else if manifest.list != ContentHash::of(list) {
        "the manifest names another list of files"
    } else {
        return Ok(());
    };
    Err(DestinationError::Damaged { path: staging.folder.path.clone(), reason: reason.to_owned() })
}

fn refuse_own(staging: &StagingFolder, path: &RelPath) -> Result<(), DestinationError> {
    if !path.is_root() && !is_own(path) {
        return Ok(());
    }
    let reason = "this name is kept for the snapshot itself".to_owned();
    Err(DestinationError::Damaged { path: staging.folder.path.join(path), reason })
}

fn make_file(staging: &StagingFolder, path: &RelPath) -> Result<OwnedFd, DestinationError> {
    refuse_own(staging, path)?;
    let parent = path.parent().unwrap_or_default();
    let folder = tree::make_folder(staging.folder.fd.as_fd(), &parent).map_err(staging.failed("make", &parent))?;
    tree::make_file(&folder, path.name().unwrap_or_default()).map_err(staging.failed("make", path))
}

/// A new file of the staging folder. It becomes durable with the folder's seal.
#[derive(Debug)]
struct LocalStagedFile {
    file: OwnedFd,
    path: SitePath,
}

impl StagedFile for LocalStagedFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DestinationError> {
        write_all_at(&self.file, offset, data).map_err(failed("write", &self.path))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DestinationError> {
        let mut done = 0;
        while done < buffer.len() {
            let read = retry_on_intr(|| pread(&self.file, &mut buffer[done..], offset + done as u64));
            match read.map_err(failed("read", &self.path))? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    fn set_len(&self, len: u64) -> Result<(), DestinationError> {
        ftruncate(&self.file, len).map_err(failed("cut", &self.path))
    }
}
