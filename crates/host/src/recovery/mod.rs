//! Putting recovered entries back into folders of this machine.
//!
//! Nothing that a snapshot says is a path until it was opened below its root, every link on the way refused. A file is written beside
//! its place under another name, checked against its hash, given all its metadata, and only then renamed. Metadata that cannot be
//! set is an error, attributes on a file system without them included; owners are set by root only, for nobody else can.

mod file;
mod link;
mod metadata;
mod place;
mod scratch;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::os::fd::{AsFd, OwnedFd};
use crate::os::fs::{Mode, OFlags, fstat, openat, syncfs};
use crate::os::io::Errno;
use async_trait::async_trait;
use backup_core::copy::BLOCK;
use backup_core::manifest::RecordKind;
use backup_core::path::SitePath;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored, Standing};

use self::place::Places;
use crate::blocking::blocking;
use crate::files::parallel::{MOST_THREADS, in_parallel};
use crate::files::stat::id_of;

/// Folders of this machine.
///
/// What `restore` writes is durable when `settle` has returned; a power cut before that can leave a file short or empty, which the
/// repeated recovery sees and writes again. A file that was interrupted while it was written leaves one with a name that begins with
/// `.sitebackup-` and ends in `.part`, which the repeated recovery replaces.
#[derive(Debug, Clone, Default)]
pub struct LocalRecoveryTarget {
    touched: Arc<Touched>,
}

/// A folder on every file system that was written to since the last sync.
#[derive(Debug, Default)]
struct Touched(Mutex<BTreeMap<u64, OwnedFd>>);

impl Touched {
    fn note(&self, folder: impl AsFd) -> Result<(), Errno> {
        let device = id_of(&fstat(&folder)?).device;
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Vacant(first) = folders.entry(device) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            first.insert(openat(&folder, ".", flags, Mode::empty())?);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), Errno> {
        let folders = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        folders.values().try_for_each(|folder| match syncfs(folder) {
            // Windows lets administrators only; the files were written back one by one.
            Err(Errno::PERM) if cfg!(windows) => Ok(()),
            synced => synced,
        })
    }
}

/// One thread's means of restoring.
#[derive(Debug)]
struct Restorer {
    places: Places,
    buffer: Vec<u8>,
}

impl Restorer {
    fn restore(&mut self, item: &RestoreItem, from: &dyn SnapshotFiles) -> Result<Restored, RecoveryError> {
        match item.record.kind {
            RecordKind::Directory => self.places.make_folder(item),
            RecordKind::Symlink => self.restore_symlink(item),
            RecordKind::HardLink => self.restore_hard_link(item),
            RecordKind::File | RecordKind::Database | RecordKind::Registry | RecordKind::Made => {
                self.restore_file(item, from)
            }
        }
    }
}

fn is_folder(item: &RestoreItem) -> bool {
    item.record.kind == RecordKind::Directory
}

/// Folders come first, so that nothing is visible in one before it is closed to others; further names last.
fn phase(item: &RestoreItem) -> usize {
    match item.record.kind {
        RecordKind::Directory => 0,
        RecordKind::HardLink => 2,
        _ => 1,
    }
}

impl LocalRecoveryTarget {
    /// Any folder of this machine; touches nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn settle_now(&self, folders: &[RestoreItem]) -> Vec<Result<(), RecoveryError>> {
        let mut innermost_first: Vec<usize> = (0..folders.len()).collect();
        innermost_first.sort_by_key(|index| std::cmp::Reverse(folders[*index].path.components().count()));
        let mut results: Vec<_> = folders.iter().map(|_| Ok(())).collect();
        for index in innermost_first {
            results[index] = self.settle_one(&folders[index]);
        }
        if let Err(error) = self.touched.sync() {
            // Nothing is known to be durable, so no folder is settled. Without folders the error stands alone.
            let root =
                folders.first().map_or_else(|| SitePath::parse("/").expect("absolute"), |item| item.root.clone());
            let failed =
                RecoveryError::Failed { action: "sync", path: root, source: std::io::Error::from(error).into() };
            results.truncate(results.len().saturating_sub(1));
            results.push(Err(failed));
        }
        results
    }

    fn settle_one(&self, item: &RestoreItem) -> Result<(), RecoveryError> {
        let folder = place::open_folder(item)?;
        metadata::set_on(&folder, &item.record).map_err(place::failed("set the metadata of", item))?;
        self.touched.note(&folder).map_err(place::failed("sync", item))
    }
}

#[async_trait]
impl RecoveryTarget for LocalRecoveryTarget {
    async fn survey(&self, items: &[RestoreItem]) -> Vec<Result<Standing, RecoveryError>> {
        in_parallel(MOST_THREADS, items.to_vec(), || (), |(), item| place::survey(item)).await
    }

    /// What is of another kind than the entry and not a folder gives way to a file or a link. A folder never gives way, and nothing
    /// gives way to one: that is an error.
    async fn restore(
        &self,
        items: Vec<RestoreItem>,
        from: Arc<dyn SnapshotFiles>,
    ) -> Vec<Result<Restored, RecoveryError>> {
        let mut items: Vec<(usize, RestoreItem)> = items.into_iter().enumerate().collect();
        items.sort_by_key(|(_, item)| phase(item));
        let touched = Arc::clone(&self.touched);
        let restorer = move || Restorer { places: Places::new(Arc::clone(&touched)), buffer: vec![0; BLOCK] };
        let restore = move |restorer: &mut Restorer, (index, item): &(usize, RestoreItem)| {
            (*index, restorer.restore(item, from.as_ref()))
        };
        // One thread: neighbours are in one folder, whose lock two would fight over. Calls that run at once use further ones.
        let mut results = in_parallel(1, items, restorer, restore).await;
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Results stand in the order of the folders. When the final sync fails, the last one is that error; without folders it is the
    /// only one.
    async fn settle(&self, folders: Vec<RestoreItem>) -> Vec<Result<(), RecoveryError>> {
        let this = self.clone();
        blocking(move || this.settle_now(&folders)).await
    }

    /// The folder is for its owner only, and empty: the marker that [`discard`](Self::discard) asks for lies beside it.
    async fn scratch(&self, parent: Option<&SitePath>) -> Result<SitePath, RecoveryError> {
        let parent = parent.cloned();
        blocking(move || scratch::make(parent.as_ref())).await
    }

    async fn discard(&self, scratch: &SitePath) -> Result<(), RecoveryError> {
        let scratch = scratch.clone();
        blocking(move || scratch::remove(&scratch)).await
    }
}

fn local(path: &SitePath) -> Result<PathBuf, RecoveryError> {
    crate::files::local(path).map_err(|error| RecoveryError::Failed {
        action: "find",
        path: path.clone(),
        source: error.into(),
    })
}

#[cfg(all(test, unix))]
mod tests;
