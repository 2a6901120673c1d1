//! Faults at a destination and in its staging folders.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Faulty, destination_error};
use crate::manifest::Manifest;
use crate::path::{RelPath, SitePath};
use crate::ports::destination::{
    DamagedSnapshot, Destination, DestinationError, DestinationFacts, DestinationHold, Holder, SnapshotFiles,
    StageError, StageItem, StagedContent, StagedFile, Staging, StoredSnapshot,
};
use crate::ports::journal::UnendedRecovery;
use crate::ports::site_files::{SiteFiles, WalkEntry};
use crate::snapshot::RunId;

#[async_trait]
impl Destination for Faulty<dyn Destination> {
    async fn hold(&self, holder: Holder) -> Result<Box<dyn DestinationHold>, DestinationError> {
        self.faults.call("Destination::hold", destination_error, self.inner.hold(holder)).await
    }
    async fn half_recovered(&self) -> Result<Option<UnendedRecovery>, DestinationError> {
        self.faults.call("Destination::half_recovered", destination_error, self.inner.half_recovered()).await
    }
    async fn note_half_recovered(&self, open: Option<&UnendedRecovery>) -> Result<(), DestinationError> {
        let noted = self.inner.note_half_recovered(open);
        self.faults.call("Destination::note_half_recovered", destination_error, noted).await
    }
    async fn inspect(&self) -> Result<DestinationFacts, DestinationError> {
        self.faults.call("Destination::inspect", destination_error, self.inner.inspect()).await
    }
    async fn list(&self) -> Result<Vec<StoredSnapshot>, DestinationError> {
        self.faults.call("Destination::list", destination_error, self.inner.list()).await
    }
    async fn damaged(&self) -> Result<Vec<DamagedSnapshot>, DestinationError> {
        self.faults.call("Destination::damaged", destination_error, self.inner.damaged()).await
    }
    async fn begin(&self, run: RunId, previous: Option<RunId>) -> Result<Arc<dyn Staging>, DestinationError> {
        let staging =
            self.faults.call("Destination::begin", destination_error, self.inner.begin(run, previous)).await?;
        Ok(Arc::new(Faulty { faults: self.faults.clone(), inner: staging }))
    }
    async fn publish(&self, run: RunId) -> Result<StoredSnapshot, DestinationError> {
        self.faults.call("Destination::publish", destination_error, self.inner.publish(run)).await
    }
    async fn amend(&self, manifest: &Manifest) -> Result<(), DestinationError> {
        self.faults.call("Destination::amend", destination_error, self.inner.amend(manifest)).await
    }
    async fn open(&self, run: RunId) -> Result<Arc<dyn SnapshotFiles>, DestinationError> {
        self.faults.call("Destination::open", destination_error, self.inner.open(run)).await
    }
    async fn remove(&self, run: RunId) -> Result<(), DestinationError> {
        self.faults.call("Destination::remove", destination_error, self.inner.remove(run)).await
    }
    async fn sweep(&self) -> Result<usize, DestinationError> {
        self.faults.call("Destination::sweep", destination_error, self.inner.sweep()).await
    }
    async fn keep_log(&self, run: Option<RunId>, log: &[u8]) -> Result<(), DestinationError> {
        self.faults.call("Destination::keep_log", destination_error, self.inner.keep_log(run, log)).await
    }
}

#[async_trait]
impl Staging for Faulty<dyn Staging> {
    async fn stage(&self, items: Vec<StageItem>, from: Arc<dyn SiteFiles>) -> Vec<Result<StagedContent, StageError>> {
        let count = items.len();
        let stage = async { Ok(self.inner.stage(items, from).await) };
        let result = self.faults.call("Staging::stage", destination_error, stage).await;
        result.unwrap_or_else(|_| (0..count).map(|_| Err(destination_error().into())).collect())
    }
    async fn write(&self, path: &RelPath, data: &[u8], modified: Timestamp) -> Result<(), DestinationError> {
        self.faults.call("Staging::write", destination_error, self.inner.write(path, data, modified)).await
    }
    fn create(&self, path: &RelPath) -> Result<Box<dyn StagedFile>, DestinationError> {
        self.faults.call_blocking("Staging::create", destination_error, || self.inner.create(path))
    }
    async fn remove(&self, paths: Vec<RelPath>) -> Result<(), DestinationError> {
        self.faults.call("Staging::remove", destination_error, self.inner.remove(paths)).await
    }
    fn place(&self, path: &RelPath) -> Option<SitePath> {
        self.inner.place(path)
    }
    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        self.faults.call("Staging::walk", destination_error, self.inner.walk()).await
    }
    async fn seal(&self, manifest: &Manifest, list: &[u8]) -> Result<(), DestinationError> {
        self.faults.call("Staging::seal", destination_error, self.inner.seal(manifest, list)).await
    }
}
