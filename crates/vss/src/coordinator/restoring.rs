//! A restore: PreRestore before anything is written, PostRestore after.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::ports::restores::{RestoreRequest, RestoreSession, RestoreStatus, RestoreWriter, Restores};
use backup_core::ports::shadow_copies::ShadowCopyError;

use super::Board;
use super::calls::{Allowance, Calls};
use crate::guard::last_words;
use crate::session::Step;

/// Takes writers through restores, in the process that they live in.
///
/// Each callback runs as a task of its own under a limit, so neither a panic nor a hang of a writer keeps the others from hearing how the
/// restore ended. PostRestore is carried through to its end also when the caller's future is dropped. Must be called within a tokio runtime.
#[derive(Debug, Default)]
pub struct InProcessRestores;

#[async_trait]
impl Restores for InProcessRestores {
    async fn begin(&self, request: RestoreRequest) -> Result<Box<dyn RestoreSession>, ShadowCopyError> {
        let RestoreRequest { writers, limit, cancel, events } = request;
        let calls = Calls::new(writers.len(), Board::default(), cancel, events);
        let mut restoring = Restoring { calls, writers, limit };
        match restoring.get_out_of_the_way().await {
            Ok(()) => Ok(Box::new(restoring)),
            Err(error) => {
                Box::new(restoring).end(RestoreStatus::Nothing).await;
                Err(error)
            }
        }
    }
}

#[derive(Debug)]
struct Restoring {
    calls: Calls,
    writers: Vec<Arc<dyn RestoreWriter>>,
    limit: Duration,
}

impl Restoring {
    async fn get_out_of_the_way(&mut self) -> Result<(), ShadowCopyError> {
        let allowance = Allowance::whole(self.limit);
        self.calls.session.begin(Step::Identify)?;
        for index in self.calls.session.to_call() {
            self.calls.go_on()?;
            let writer = Arc::clone(&self.writers[index]);
            let metadata = self.calls.call(index, allowance, async move { writer.identify().await }).await?;
            self.calls.session.identified(index, &metadata);
        }
        self.calls.session.begin(Step::PreRestore)?;
        for index in self.calls.session.to_call() {
            self.calls.go_on()?;
            let writer = Arc::clone(&self.writers[index]);
            self.calls.call(index, allowance, async move { writer.pre_restore().await }).await?;
        }
        Ok(())
    }

    async fn set_going(&mut self, status: RestoreStatus) -> Vec<ShadowCopyError> {
        let mut faults = Vec::new();
        // A veto in Identify: nobody was told to get out of the way.
        if self.calls.session.begin(Step::PostRestore).is_err() {
            return faults;
        }
        for index in self.calls.session.to_call() {
            let writer = Arc::clone(&self.writers[index]);
            let work = async move { writer.post_restore(status).await };
            faults.extend(self.calls.call(index, Allowance::whole(self.limit), work).await.err());
        }
        faults
    }
}

#[async_trait]
impl RestoreSession for Restoring {
    async fn end(mut self: Box<Self>, status: RestoreStatus) -> Vec<ShadowCopyError> {
        // A task of its own, which goes on when this future is dropped.
        let carried_through = tokio::spawn(async move { self.set_going(status).await });
        carried_through.await.unwrap_or_else(|error| {
            let (provider, action, source) = ("restore", "end the restore", last_words(error).into());
            vec![ShadowCopyError::Provider { provider, action, source, is_retryable: false }]
        })
    }
}
