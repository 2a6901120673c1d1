//! Calls of writers, each a task of its own under its limit, told to whoever listens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use backup_core::cancel::Cancel;
use backup_core::copy::chain;
use backup_core::event::{Event, EventSink};
use backup_core::ports::shadow_copies::{ShadowCopyError, WriterError};
use tokio::time::Instant;

use super::{Board, lock};
use crate::guard::{Lost, guarded};
use crate::session::{Session, Step};

/// A session whose writers are called.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) session: Session,
    board: Board,
    cancel: Cancel,
    events: Arc<dyn EventSink>,
}

/// What one callback may take, and the limit to name when it takes longer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub(super) time: Duration,
    pub(super) limit: Duration,
}

impl Allowance {
    pub(super) fn whole(limit: Duration) -> Self {
        Self { time: limit, limit }
    }

    /// What is left of `limit` since `start`.
    pub(super) fn left(limit: Duration, start: Instant) -> Self {
        Self { time: limit.saturating_sub(start.elapsed()), limit }
    }

    pub(super) fn or(self, other: Self) -> Self {
        if other.time < self.time { other } else { self }
    }
}

impl Calls {
    pub(super) fn new(writers: usize, board: Board, cancel: Cancel, events: Arc<dyn EventSink>) -> Self {
        Self { session: Session::new(writers), board, cancel, events }
    }

    /// Calls a writer at the present step.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        index: usize,
        allowance: Allowance,
        work: impl Future<Output = Result<T, WriterError>> + Send + 'static,
    ) -> Result<T, ShadowCopyError> {
        self.session.call(index)?;
        let outcome = guarded(Some(allowance.time), work).await;
        self.session.returned(index, matches!(outcome, Ok(Ok(_))));
        let writers = self.session.writers().to_vec();
        let (writer, state) = (writers[index].name.clone(), writers[index].state);
        *lock(&self.board) = writers;
        let step = self.session.step().map_or("", Step::name);
        let result = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(source)) => ShadowCopyError::Writer { writer, step, source },
            Err(Lost::Deadline(_)) => {
                ShadowCopyError::Deadline { step: format!("{step} of writer `{writer}`"), limit: allowance.limit }
            }
            Err(Lost::Died(message)) => ShadowCopyError::Writer { writer, step, source: WriterError::new(message) },
        };
        self.tell(&Event::Note(format!("{}; state [{}]", chain(&result), state.number())));
        Err(result)
    }

    pub(super) fn go_on(&self) -> Result<(), ShadowCopyError> {
        if self.cancel.is_cancelled() { Err(ShadowCopyError::Cancelled) } else { Ok(()) }
    }

    /// Tells an event. A listener that panics must not keep the writers from being thawed.
    pub(super) fn tell(&self, event: &Event) {
        drop(catch_unwind(AssertUnwindSafe(|| self.events.event(event))));
    }
}
