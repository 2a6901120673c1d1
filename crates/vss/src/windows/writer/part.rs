//! What each event of VSS means to the port, and what comes of it.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backup_core::copy::chain;
use backup_core::event::{Event, EventSink};
use backup_core::ports::shadow_copies::{SessionLimits, Writer, WriterError, WriterMetadata};
use tokio::runtime::Handle;

use super::super::hresult::{CallError, HResult};
use crate::guard::{Lost, guarded};

/// Why an event is answered with a failure, and the one that VSS is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) result: HResult,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn fatal(message: impl Into<String>) -> Self {
        Self { result: HResult::WRITER_NONRETRYABLE, message: message.into() }
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::fatal(error.to_string())
    }
}

impl From<WriterError> for Refusal {
    fn from(error: WriterError) -> Self {
        let result = if error.is_retryable { HResult::WRITER_RETRYABLE } else { HResult::WRITER_NONRETRYABLE };
        Self { result, message: chain(&error) }
    }
}

impl From<Lost> for Refusal {
    fn from(lost: Lost) -> Self {
        let result = match lost {
            Lost::Deadline(_) => HResult::WRITER_TIMEOUT,
            Lost::Died(_) => HResult::WRITER_NONRETRYABLE,
        };
        Self { result, message: lost.to_string() }
    }
}

/// What is to be said of an event in the log, where the writer had a part in it.
pub(super) type Outcome = Result<Option<String>, Refusal>;

/// A component by logical path and name.
pub(super) type Named = (String, String);

/// The writer's part in the session that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Taking {
    /// Nothing of it was selected.
    Nothing,
    /// Something was. The set must hold these folders.
    Part { folders: Vec<String> },
    /// It had a part until it failed: whatever comes next of the session fails as well.
    Failed(Refusal),
    /// It had a part, and works again.
    Over,
}

/// The port, as VSS' threads see it.
#[derive(Debug)]
pub(super) struct Part {
    writer: Arc<dyn Writer>,
    events: Arc<dyn EventSink>,
    limits: SessionLimits,
    runtime: Handle,
    taking: Mutex<Taking>,
}

impl Part {
    pub(super) fn new(
        writer: Arc<dyn Writer>,
        events: Arc<dyn EventSink>,
        limits: SessionLimits,
        runtime: Handle,
    ) -> Self {
        Self { writer, events, limits, runtime, taking: Mutex::new(Taking::Nothing) }
    }

    /// How long VSS is to wait for the writer.
    pub(super) fn limits(&self) -> SessionLimits {
        self.limits
    }

    pub(super) fn tell(&self, text: String) {
        self.events.event(&Event::Note(text));
    }

    fn taking(&self) -> MutexGuard<'_, Taking> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the port do something, on the program's own threads: what VSS' thread waits for ends with the limit, whatever hangs there.
    fn call<T: Send + 'static, F>(&self, limit: Duration, work: impl FnOnce(Arc<dyn Writer>) -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, WriterError>> + Send + 'static,
    {
        Ok(self.runtime.block_on(guarded(Some(limit), work(Arc::clone(&self.writer))))??)
    }

    pub(super) fn identified(&self) -> Result<WriterMetadata, Refusal> {
        self.call(self.limits.callback, |writer| async move { writer.identify().await })
    }

    pub(super) fn prepare_backup(&self, selected: &[Named]) -> Outcome {
        if selected.is_empty() {
            // Another session may be on its way to its moment; a failure of one that is over is nobody's any more.
            let mut taking = self.taking();
            if !matches!(*taking, Taking::Part { .. }) {
                *taking = Taking::Nothing;
            }
            return Ok(Some("nothing is selected, so that the site goes on".to_owned()));
        }
        let is_free = !matches!(*self.taking(), Taking::Part { .. });
        let prepared = self.folders(selected).and_then(|folders| {
            self.call(self.limits.callback, |writer| async move { writer.prepare_backup().await })?;
            Ok(folders)
        });
        match prepared {
            Ok(folders) => {
                *self.taking() = Taking::Part { folders };
                let names: Vec<String> = selected.iter().map(|(path, name)| format!("`{path}\\{name}`")).collect();
                Ok(Some(format!("selected: {}", names.join(", "))))
            }
            // One that was refused for another one's sake leaves that alone.
            Err(refusal) if is_free => Err(self.fail(refusal)),
            Err(refusal) => Err(refusal),
        }
    }

    /// The folders of the selected components, of which all must be there still.
    fn folders(&self, selected: &[Named]) -> Result<Vec<String>, Refusal> {
        let metadata = self.identified()?;
        let mut folders = Vec::new();
        for (path, name) in selected {
            let is_it = |component: &&backup_core::ports::shadow_copies::Component| {
                component.logical_path == *path && component.name == *name
            };
            let gone = || Refusal::fatal(format!("component `{path}\\{name}` was selected, and is none of the site's"));
            let component = metadata.components.iter().find(is_it).ok_or_else(gone)?;
            folders.extend(component.files.iter().map(|files| files.path.clone()));
        }
        Ok(folders)
    }

    /// Runs an event of a session that the writer has a part in.
    fn event<F>(&self, limit: Duration, work: impl FnOnce(Arc<dyn Writer>) -> F) -> Outcome
    where
        F: Future<Output = Result<(), WriterError>> + Send + 'static,
    {
        let taking = self.taking().clone();
        match taking {
            Taking::Nothing | Taking::Over => Ok(None),
            Taking::Failed(refusal) => Err(refusal),
            Taking::Part { .. } => {
                self.call(limit, work).map_err(|refusal| self.fail(refusal))?;
                Ok(Some("done".to_owned()))
            }
        }
    }

    /// Brings the site to rest, if the set has all that was selected: services do not stop for an image that is torn.
    pub(super) fn prepare_snapshot(&self, is_affected: impl Fn(&str) -> bool) -> Outcome {
        let taking = self.taking().clone();
        if let Taking::Part { folders } = taking
            && let Some(folder) = folders.iter().find(|folder| !is_affected(folder))
        {
            let message = format!("`{folder}` was selected, and its volume is not in the set");
            return Err(self.fail(Refusal { result: HResult::WRITER_INCONSISTENT, message }));
        }
        self.event(self.limits.rest, |writer| async move { writer.prepare_snapshot().await })
    }

    pub(super) fn freeze(&self) -> Outcome {
        self.event(self.limits.freeze, |writer| async move { writer.freeze().await })
    }

    pub(super) fn thaw(&self) -> Outcome {
        self.event(self.limits.freeze, |writer| async move { writer.thaw().await })
    }

    pub(super) fn post_snapshot(&self) -> Outcome {
        let outcome = self.event(self.limits.callback, |writer| async move { writer.post_snapshot().await })?;
        if outcome.is_some() {
            *self.taking() = Taking::Over;
        }
        Ok(outcome)
    }

    /// Comes at any time, and for a session that nobody goes on with. What failed was told to abort then.
    pub(super) fn abort(&self) -> Outcome {
        let taking = std::mem::replace(&mut *self.taking(), Taking::Nothing);
        if !matches!(taking, Taking::Part { .. }) {
            return Ok(None);
        }
        self.call(self.limits.callback, |writer| async move { writer.abort().await })?;
        Ok(Some("the site goes on".to_owned()))
    }

    pub(super) fn backup_complete(&self, succeeded: bool) -> Outcome {
        if *self.taking() != Taking::Over {
            return Ok(None);
        }
        *self.taking() = Taking::Nothing;
        self.call(self.limits.callback, move |writer| async move { writer.backup_complete(succeeded).await })?;
        Ok(Some(if succeeded { "the backup succeeded" } else { "the backup failed" }.to_owned()))
    }

    /// The session is lost. The port is told to abort, whether or not VSS does so, and VSS does not wait for it.
    pub(super) fn fail(&self, refusal: Refusal) -> Refusal {
        *self.taking() = Taking::Failed(refusal.clone());
        drop(self.runtime.spawn(self.aborting()));
        refusal
    }

    /// Has the port abort. There is nobody to answer, so that a failure is told.
    fn aborting(&self) -> impl Future<Output = ()> + Send + use<> {
        let (writer, events, limit) = (Arc::clone(&self.writer), Arc::clone(&self.events), self.limits.callback);
        async move {
            let aborted = guarded(Some(limit), async move { writer.abort().await }).await;
            let failed = match aborted {
                Ok(Ok(())) => return,
                Ok(Err(error)) => chain(&error),
                Err(lost) => lost.to_string(),
            };
            events.event(&Event::Note(format!("Abort: {failed}")));
        }
    }

    /// Ends whatever goes on: the session fails, and the site is set going.
    pub(super) async fn close(&self) {
        let refusal = Refusal { result: HResult::WRITER_RETRYABLE, message: "the program is ending".to_owned() };
        let taking = std::mem::replace(&mut *self.taking(), Taking::Failed(refusal));
        if matches!(taking, Taking::Nothing | Taking::Over) {
            return;
        }
        self.aborting().await;
    }
}
