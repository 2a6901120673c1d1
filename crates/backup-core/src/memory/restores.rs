//! In-memory restores: writers called as VSS calls them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::restores::{RestoreRequest, RestoreSession, RestoreStatus, RestoreWriter, Restores};
use crate::ports::shadow_copies::{ShadowCopyError, WriterError, WriterLevel};

/// Restores that keep no time.
#[derive(Debug, Default)]
pub struct MemoryRestores;

#[derive(Debug)]
struct Named {
    name: String,
    level: WriterLevel,
    writer: Arc<dyn RestoreWriter>,
}

#[derive(Debug, Default)]
struct MemoryRestore {
    /// Those whose PreRestore was begun.
    called: Vec<Named>,
}

fn vetoed(writer: &str, step: &'static str) -> impl Fn(WriterError) -> ShadowCopyError {
    move |source| ShadowCopyError::Writer { writer: writer.to_owned(), step, source }
}

impl MemoryRestore {
    async fn begin(&mut self, request: RestoreRequest) -> Result<(), ShadowCopyError> {
        let go_on = || if request.cancel.is_cancelled() { Err(ShadowCopyError::Cancelled) } else { Ok(()) };
        let mut writers = Vec::new();
        for writer in &request.writers {
            go_on()?;
            let metadata = writer.identify().await.map_err(vetoed("?", "Identify"))?;
            writers.push(Named { name: metadata.name, level: metadata.level, writer: Arc::clone(writer) });
        }
        writers.sort_by_key(|named| named.level);
        for named in writers {
            go_on()?;
            let (name, writer) = (named.name.clone(), Arc::clone(&named.writer));
            self.called.push(named);
            writer.pre_restore().await.map_err(vetoed(&name, "PreRestore"))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Restores for MemoryRestores {
    async fn begin(&self, request: RestoreRequest) -> Result<Box<dyn RestoreSession>, ShadowCopyError> {
        let mut restore = MemoryRestore::default();
        match restore.begin(request).await {
            Ok(()) => Ok(Box::new(restore)),
            Err(error) => {
                Box::new(restore).end(RestoreStatus::Nothing).await;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl RestoreSession for MemoryRestore {
    async fn end(self: Box<Self>, status: RestoreStatus) -> Vec<ShadowCopyError> {
        let mut faults = Vec::new();
        for named in self.called.into_iter().rev() {
            let ended = named.writer.post_restore(status).await;
            faults.extend(ended.map_err(vetoed(&named.name, "PostRestore")).err());
        }
        faults
    }
}
