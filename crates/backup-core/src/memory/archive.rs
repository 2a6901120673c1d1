//! The memory archive: snapshots as they were at the destination when they were stored.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::destination::{FINAL, MemorySnapshot};
use super::world::{Folder, World};
use crate::cancel::Cancel;
use crate::manifest::ContentHash;
use crate::ports::archive::{
    ArchiveFacts, ArchiveListing, SealedSnapshot, SnapshotArchive, SnapshotArchiveError, StoredInArchive,
};
use crate::ports::destination::SnapshotFiles;
use crate::retention::Archived;

/// A snapshot in the archive.
#[derive(Debug, Clone)]
pub(crate) struct MemoryArchived {
    pub(crate) site: String,
    pub(crate) about: Archived<String>,
    folder: Folder,
}

/// The archive of a world.
#[derive(Debug, Default)]
pub struct MemoryArchive {
    pub(crate) snapshots: Vec<MemoryArchived>,
    /// How many were ever stored.
    stored: u64,
    /// What cannot be read of it.
    pub damaged: Vec<String>,
    /// What of it was found damaged, and stored anew, by the next store.
    pub damaged_packs: Vec<String>,
}

impl World {
    /// The archive, which outlives the process as everything else here.
    pub fn archive(&self) -> Arc<dyn SnapshotArchive> {
        Arc::new(ArchiveOfWorld { world: self.clone(), reads: true })
    }

    /// The same with a key that only stores.
    pub fn archive_for_writing(&self) -> Arc<dyn SnapshotArchive> {
        Arc::new(ArchiveOfWorld { world: self.clone(), reads: false })
    }

    /// Pins an archived snapshot.
    pub fn pin_archived(&self, id: &str) {
        for archived in self.lock().archive.snapshots.iter_mut().filter(|archived| archived.about.id == id) {
            archived.about.is_pinned = true;
        }
    }

    /// The archived snapshots of all sites, in the order in which they were stored.
    pub fn archived(&self) -> Vec<Archived<String>> {
        self.lock().archive.snapshots.iter().map(|archived| archived.about.clone()).collect()
    }

    /// Stores a copy of the newest archived snapshot as one of `site`, of another moment.
    pub fn put_archived(&self, site: &str, moment: Timestamp, is_good: bool, is_pinned: bool) {
        let mut state = self.lock();
        let archive = &mut state.archive;
        let newest = archive.snapshots.last().expect("there is one").clone();
        let about = Archived { id: archive.next_id(), moment, is_good, is_pinned };
        archive.snapshots.push(MemoryArchived { site: site.to_owned(), about, ..newest });
    }
}

impl MemoryArchive {
    fn next_id(&mut self) -> String {
        self.stored += 1;
        format!("{:064x}", self.stored)
    }
}

#[derive(Debug)]
struct ArchiveOfWorld {
    world: World,
    reads: bool,
}

impl ArchiveOfWorld {
    fn check_reads(&self) -> Result<(), SnapshotArchiveError> {
        if self.reads { Ok(()) } else { Err(SnapshotArchiveError::WriteOnly) }
    }
}

fn unlike(reason: String) -> SnapshotArchiveError {
    SnapshotArchiveError::Snapshot(reason.into())
}

#[async_trait]
impl SnapshotArchive for ArchiveOfWorld {
    async fn inspect(&self) -> Result<ArchiveFacts, SnapshotArchiveError> {
        drop(self.world.step());
        Ok(ArchiveFacts { reads: self.reads })
    }

    async fn store(
        &self,
        snapshot: SealedSnapshot,
        _now: Timestamp,
        cancel: &Cancel,
    ) -> Result<StoredInArchive, SnapshotArchiveError> {
        if cancel.is_cancelled() {
            return Err(SnapshotArchiveError::Cancelled);
        }
        let name = snapshot.folder.name().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
        // Not with the world locked, which others go on using.
        let folder = self.world.step().folders.get(&name).cloned();
        let folder = folder.ok_or_else(|| unlike(format!("`{name}` is not there")))?;
        assert!(folder.synced && name == FINAL, "only a published snapshot is archived");
        assert_eq!(folder.manifest.as_ref(), Some(&snapshot.manifest), "its manifest is the one that is there now");
        let mut added = 0;
        for record in snapshot.records.iter().filter(|record| record.hash.is_some()) {
            let file = folder.files.get(&record.path).ok_or_else(|| unlike(format!("`{}` is missing", record.path)))?;
            if Some(ContentHash::of(&file.content)) != record.hash {
                return Err(unlike(format!("`{}` has another hash", record.path)));
            }
            added += record.size;
        }
        let mut state = self.world.lock();
        let id = state.archive.next_id();
        let (moment, is_good) = (snapshot.manifest.moment, snapshot.manifest.weaker.is_empty());
        let about = Archived { id: id.clone(), moment, is_good, is_pinned: false };
        state.archive.snapshots.push(MemoryArchived { site: snapshot.manifest.site, about, folder });
        Ok(StoredInArchive { id, added, damaged: std::mem::take(&mut state.archive.damaged_packs) })
    }

    async fn list(&self, site: &str) -> Result<ArchiveListing, SnapshotArchiveError> {
        let state = self.world.step();
        let archive = &state.archive;
        self.check_reads()?;
        let of_site = archive.snapshots.iter().filter(|archived| archived.site == site);
        let snapshots = of_site.map(|archived| archived.about.clone()).collect();
        Ok(ArchiveListing { snapshots, damaged: archive.damaged.clone() })
    }

    async fn open(&self, id: &str) -> Result<Arc<dyn SnapshotFiles>, SnapshotArchiveError> {
        let state = self.world.step();
        let archive = &state.archive;
        self.check_reads()?;
        let found = archive.snapshots.iter().find(|archived| archived.about.id == id);
        let archived = found.ok_or_else(|| SnapshotArchiveError::NoSnapshot(id.to_owned()))?;
        Ok(Arc::new(MemorySnapshot(archived.folder.clone())))
    }

    async fn forget(&self, id: &str) -> Result<(), SnapshotArchiveError> {
        let mut state = self.world.step();
        let archive = &mut state.archive;
        if archive.snapshots.iter().any(|archived| archived.about.id == id && archived.about.is_pinned) {
            return Err(SnapshotArchiveError::Pinned(id.to_owned()));
        }
        archive.snapshots.retain(|archived| archived.about.id != id);
        Ok(())
    }
}
