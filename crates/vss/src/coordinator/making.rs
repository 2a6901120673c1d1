//! One session of the in-process coordinator: the writers' callbacks, each under its limit.

use std::sync::Arc;

use backup_core::copy::chain;
use backup_core::event::{Event, Phase};
use backup_core::ports::clock::Clock;
use backup_core::ports::shadow_copies::{
    SessionLimits, ShadowCopyError, ShadowCopyRequest, ShadowCopySetId, Writer, WriterError,
};
use tokio::time::Instant;

use super::calls::{Allowance, Calls};
use super::{Board, Slot};
use crate::documents::WriterDocument;
use crate::guard::{Lost, guarded};
use crate::provider::{ImageRequest, Preparation, Provider};
use crate::session::Step;

/// A set in the making, and after its commit all that `complete` needs.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) id: ShadowCopySetId,
    pub(super) calls: Calls,
    pub(super) identified: Vec<WriterDocument>,
    pub(super) limits: SessionLimits,
    pub(super) clock: Arc<dyn Clock>,
    slot: Option<Slot>,
    writers: Vec<Arc<dyn Writer>>,
}

impl Making {
    pub(super) fn new(request: &ShadowCopyRequest, clock: Arc<dyn Clock>, slot: Slot, board: Board) -> Self {
        let (cancel, events) = (request.cancel.clone(), Arc::clone(&request.events));
        Self {
            id: request.id,
            calls: Calls::new(request.writers.len(), board, cancel, events),
            identified: Vec::new(),
            limits: request.limits,
            clock,
            slot: Some(slot),
            writers: request.writers.clone(),
        }
    }

    /// Identify, PrepareBackup, the provider's work while the site works, PrepareSnapshot.
    ///
    /// After an error the caller aborts.
    pub(super) async fn come_to_rest(
        &mut self,
        provider: &Arc<dyn Provider>,
        request: ShadowCopyRequest,
    ) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        self.identify().await?;
        let callback = Allowance::whole(self.limits.callback);
        self.advance(Step::PrepareBackup, |_| callback).await?;
        self.calls.go_on()?;
        self.calls.tell(&Event::Phase(Phase::PreCopy));
        let preparation = self.prepare_image(Arc::clone(provider), request).await?;
        self.calls.go_on()?;
        self.calls.tell(&Event::Phase(Phase::Stopping));
        let start = Instant::now();
        self.advance(Step::PrepareSnapshot, |making| Allowance::left(making.limits.rest, start).or(callback)).await?;
        self.calls.go_on()?;
        self.settle(preparation).await
    }

    async fn identify(&mut self) -> Result<(), ShadowCopyError> {
        self.calls.go_on()?;
        self.calls.session.begin(Step::Identify)?;
        for index in self.calls.session.to_call() {
            self.calls.go_on()?;
            let writer = Arc::clone(&self.writers[index]);
            let work = async move { writer.identify().await };
            let metadata = self.calls.call(index, Allowance::whole(self.limits.callback), work).await?;
            self.calls.session.identified(index, &metadata);
            self.identified.push(WriterDocument { instance: self.clock.new_id(), metadata });
        }
        Ok(())
    }

    async fn prepare_image(
        &self,
        provider: Arc<dyn Provider>,
        request: ShadowCopyRequest,
    ) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        let name = provider.name();
        let image = ImageRequest {
            set: request.id,
            sources: request.sources,
            components: request.components,
            files: request.files,
            staging: request.staging,
            previous: request.previous,
            cancel: request.cancel,
            events: request.events,
            clock: Arc::clone(&self.clock),
        };
        // Without a limit: the site works meanwhile, and the caller can cancel.
        let prepared = guarded(None, async move { provider.prepare(image).await }).await;
        prepared.unwrap_or_else(|lost| Err(lost_provider(name, "copy while the site works", lost)))
    }

    async fn settle(&self, mut preparation: Box<dyn Preparation>) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        let name = preparation.provider();
        let work = async move { preparation.settle().await.map(|()| preparation) };
        let settled = guarded(Some(self.limits.rest), work).await;
        settled.unwrap_or_else(|lost| Err(lost_provider(name, "get ready", lost)))
    }

    /// Calls all writers at `step`, up to the first that fails.
    pub(super) async fn advance(
        &mut self,
        step: Step,
        allowance: impl Fn(&Self) -> Allowance,
    ) -> Result<(), ShadowCopyError> {
        self.calls.go_on()?;
        self.calls.session.begin(step)?;
        for index in self.calls.session.to_call() {
            self.calls.go_on()?;
            let allowance = allowance(self);
            self.callback(index, step, allowance, false).await?;
        }
        Ok(())
    }

    /// Calls all writers at `step`, whatever some of them say.
    pub(super) async fn carry_out(
        &mut self,
        step: Step,
        succeeded: bool,
        allowance: impl Fn(&Self, usize) -> Allowance,
    ) -> Vec<(usize, ShadowCopyError)> {
        if self.calls.session.begin(step).is_err() {
            return Vec::new();
        }
        let mut faults = Vec::new();
        let order = self.calls.session.to_call();
        for (done, index) in order.iter().enumerate() {
            let allowance = allowance(self, order.len() - done);
            if let Err(error) = self.callback(*index, step, allowance, succeeded).await {
                faults.push((*index, error));
            }
        }
        faults
    }

    async fn callback(
        &mut self,
        index: usize,
        step: Step,
        allowance: Allowance,
        succeeded: bool,
    ) -> Result<(), ShadowCopyError> {
        let writer = Arc::clone(&self.writers[index]);
        let work = async move { call_writer(writer.as_ref(), step, succeeded).await };
        self.calls.call(index, allowance, work).await
    }

    /// Calls the Abort of a writer whose PostSnapshot failed: a second chance to set its application going.
    ///
    /// Not a step of the session, which goes on with an image that is good.
    pub(super) async fn second_chance(&self, index: usize) -> Result<(), String> {
        let writer = Arc::clone(&self.writers[index]);
        match guarded(Some(self.limits.callback), async move { writer.abort().await }).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(chain(&error)),
            Err(lost) => Err(lost.to_string()),
        }
    }

    /// Tells all writers that were prepared to set their applications going. Faults are told as events: nobody could do more.
    pub(super) async fn abort(&mut self) {
        if self.calls.session.writers().iter().any(|writer| writer.called >= Some(Step::PrepareSnapshot)) {
            self.calls.tell(&Event::Phase(Phase::Starting));
        }
        let callback = Allowance::whole(self.limits.callback);
        drop(self.carry_out(Step::Abort, false, |_, _| callback).await);
    }

    /// Removes what the provider had begun. What is left is told as an event: a later run does not depend on it.
    pub(super) async fn discard(&self, provider: &Arc<dyn Provider>) {
        if let Err(error) = provider.release(self.id).await {
            self.calls.tell(&Event::Note(chain(&error)));
        }
    }

    pub(super) async fn complete(&mut self, succeeded: bool) -> Vec<ShadowCopyError> {
        let callback = Allowance::whole(self.limits.callback);
        let faults = self.carry_out(Step::BackupComplete, succeeded, |_, _| callback).await;
        faults.into_iter().map(|(_, error)| error).collect()
    }

    /// Lets the next set be made: nothing of this one is left to do but BackupComplete.
    pub(super) fn made(&mut self) {
        self.slot = None;
    }
}

async fn call_writer(writer: &dyn Writer, step: Step, succeeded: bool) -> Result<(), WriterError> {
    match step {
        Step::PrepareBackup => writer.prepare_backup().await,
        Step::PrepareSnapshot => writer.prepare_snapshot().await,
        Step::Freeze => writer.freeze().await,
        Step::Thaw => writer.thaw().await,
        Step::PostSnapshot => writer.post_snapshot().await,
        Step::Abort => writer.abort().await,
        Step::BackupComplete => writer.backup_complete(succeeded).await,
        // Identify has an answer and is called for it; Commit is the provider's; a restore's writers are others.
        Step::Identify | Step::Commit | Step::PreRestore | Step::PostRestore => Ok(()),
    }
}

pub(super) fn lost_provider(provider: &'static str, action: &'static str, lost: Lost) -> ShadowCopyError {
    match lost {
        Lost::Deadline(limit) => ShadowCopyError::Deadline { step: format!("provider `{provider}`"), limit },
        Lost::Died(message) => {
            ShadowCopyError::Provider { provider, action, source: message.into(), is_retryable: false }
        }
    }
}
