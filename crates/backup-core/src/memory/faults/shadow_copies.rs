//! Faults of shadow copies and of writers.

use std::sync::Arc;

use async_trait::async_trait;

use super::{FaultKind, Faults, Faulty, injected};
use crate::path::SitePath;
use crate::ports::restores::{RestoreStatus, RestoreWriter};
use crate::ports::shadow_copies::{
    PreparedSet, ShadowCopies, ShadowCopyError, ShadowCopyRequest, ShadowCopySet, ShadowCopySetId, Writer, WriterError,
    WriterMetadata,
};
use crate::ports::site_files::SiteFiles;

fn shadow_copy_error() -> ShadowCopyError {
    ShadowCopyError::Provider { provider: "injected", action: "use", source: injected(), is_retryable: false }
}

fn writer_error() -> WriterError {
    WriterError::new("injected")
}

#[async_trait]
impl ShadowCopies for Faulty<dyn ShadowCopies> {
    async fn inspect(&self, samples: Vec<SitePath>, files: Arc<dyn SiteFiles>) -> Result<Vec<String>, ShadowCopyError> {
        self.faults.call("ShadowCopies::inspect", shadow_copy_error, self.inner.inspect(samples, files)).await
    }
    fn outlives_process(&self) -> bool {
        self.inner.outlives_process()
    }
    async fn prepare(&self, request: ShadowCopyRequest) -> Result<Box<dyn PreparedSet>, ShadowCopyError> {
        // An error after the effect would leave a set behind that nobody aborts: the port promises that an error means none.
        let prepare = async {
            let set = self.inner.prepare(request).await?;
            Ok::<_, ShadowCopyError>(
                Box::new(FaultySet { faults: self.faults.clone(), inner: set }) as Box<dyn PreparedSet>
            )
        };
        match self.faults.count("ShadowCopies::prepare") {
            None | Some(FaultKind::ErrorAfter) => prepare.await,
            Some(FaultKind::ErrorBefore) => Err(shadow_copy_error()),
            Some(kind) => {
                if kind == FaultKind::KillAfter {
                    drop(prepare.await);
                }
                self.faults.kill();
                std::future::pending().await
            }
        }
    }
    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        let complete = async { Ok(self.inner.complete(set, succeeded).await) };
        let result = self.faults.call("ShadowCopies::complete", shadow_copy_error, complete).await;
        result.unwrap_or_else(|error| vec![error])
    }
    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        self.faults.call("ShadowCopies::release", shadow_copy_error, self.inner.release(set)).await
    }
}

#[derive(Debug)]
struct FaultySet {
    faults: Faults,
    inner: Box<dyn PreparedSet>,
}

#[async_trait]
impl PreparedSet for FaultySet {
    async fn commit(self: Box<Self>) -> Result<ShadowCopySet, ShadowCopyError> {
        match self.faults.count("PreparedSet::commit") {
            // An error of commit comes after the writers were set going, so the inner set is aborted.
            Some(FaultKind::ErrorBefore) => {
                self.inner.abort().await;
                Err(shadow_copy_error())
            }
            Some(FaultKind::ErrorAfter) => self.inner.commit().await.and(Err(shadow_copy_error())),
            Some(FaultKind::KillBefore) => {
                self.faults.kill();
                std::mem::forget(self.inner);
                std::future::pending().await
            }
            Some(FaultKind::KillAfter) => {
                drop(self.inner.commit().await);
                self.faults.kill();
                std::future::pending().await
            }
            None => self.inner.commit().await,
        }
    }
    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[async_trait]
impl Writer for Faulty<dyn Writer> {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        self.faults.call("Writer::identify", writer_error, self.inner.identify()).await
    }
    async fn prepare_backup(&self) -> Result<(), WriterError> {
        self.faults.call("Writer::prepare_backup", writer_error, self.inner.prepare_backup()).await
    }
    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        self.faults.call("Writer::prepare_snapshot", writer_error, self.inner.prepare_snapshot()).await
    }
    async fn freeze(&self) -> Result<(), WriterError> {
        self.faults.call("Writer::freeze", writer_error, self.inner.freeze()).await
    }
    async fn thaw(&self) -> Result<(), WriterError> {
        self.faults.call("Writer::thaw", writer_error, self.inner.thaw()).await
    }
    async fn post_snapshot(&self) -> Result<(), WriterError> {
        self.faults.call("Writer::post_snapshot", writer_error, self.inner.post_snapshot()).await
    }
    async fn abort(&self) -> Result<(), WriterError> {
        self.faults.call("Writer::abort", writer_error, self.inner.abort()).await
    }
    async fn backup_complete(&self, succeeded: bool) -> Result<(), WriterError> {
        self.faults.call("Writer::backup_complete", writer_error, self.inner.backup_complete(succeeded)).await
    }
}

#[async_trait]
impl RestoreWriter for Faulty<dyn RestoreWriter> {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        self.faults.call("RestoreWriter::identify", writer_error, self.inner.identify()).await
    }
    async fn pre_restore(&self) -> Result<(), WriterError> {
        self.faults.call("RestoreWriter::pre_restore", writer_error, self.inner.pre_restore()).await
    }
    async fn post_restore(&self, status: RestoreStatus) -> Result<(), WriterError> {
        self.faults.call("RestoreWriter::post_restore", writer_error, self.inner.post_restore(status)).await
    }
}
