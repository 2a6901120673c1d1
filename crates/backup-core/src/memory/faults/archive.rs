//! Faults of the archive.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Faulty, injected};
use crate::cancel::Cancel;
use crate::ports::archive::{
    ArchiveFacts, ArchiveListing, SealedSnapshot, SnapshotArchive, SnapshotArchiveError, StoredInArchive,
};
use crate::ports::destination::SnapshotFiles;

fn archive_error() -> SnapshotArchiveError {
    SnapshotArchiveError::Failed(injected())
}

#[async_trait]
impl SnapshotArchive for Faulty<dyn SnapshotArchive> {
    async fn inspect(&self) -> Result<ArchiveFacts, SnapshotArchiveError> {
        self.faults.call("SnapshotArchive::inspect", archive_error, self.inner.inspect()).await
    }
    async fn store(
        &self,
        snapshot: SealedSnapshot,
        now: Timestamp,
        cancel: &Cancel,
    ) -> Result<StoredInArchive, SnapshotArchiveError> {
        self.faults.call("SnapshotArchive::store", archive_error, self.inner.store(snapshot, now, cancel)).await
    }
    async fn list(&self, site: &str) -> Result<ArchiveListing, SnapshotArchiveError> {
        self.faults.call("SnapshotArchive::list", archive_error, self.inner.list(site)).await
    }
    async fn open(&self, id: &str) -> Result<Arc<dyn SnapshotFiles>, SnapshotArchiveError> {
        self.faults.call("SnapshotArchive::open", archive_error, self.inner.open(id)).await
    }
    async fn forget(&self, id: &str) -> Result<(), SnapshotArchiveError> {
        self.faults.call("SnapshotArchive::forget", archive_error, self.inner.forget(id)).await
    }
}
