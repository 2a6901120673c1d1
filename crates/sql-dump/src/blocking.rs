//! Work that blocks, and its end when nobody waits for it any more.

use std::fmt::Display;

use backup_core::cancel::Cancel;
use backup_core::ports::database::DatabaseError;

/// Ends work that blocks when nobody waits for it any more: when it is dropped, unless it was disarmed.
#[derive(Debug, Default)]
pub(crate) struct Stopper {
    cancel: Cancel,
    is_disarmed: bool,
}

impl Stopper {
    /// One that sets `cancel`.
    pub(crate) fn new(cancel: &Cancel) -> Self {
        Self { cancel: cancel.clone(), is_disarmed: false }
    }

    /// What the work has to look at.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The work is done: nothing is left to end.
    pub(crate) fn disarm(mut self) {
        self.is_disarmed = true;
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        if !self.is_disarmed {
            self.cancel.cancel();
        }
    }
}

/// Runs `work` where it may block. A panic in it goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(
    action: &'static str,
    name: &(impl Display + Sync + ?Sized),
    work: impl FnOnce() -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(DatabaseError::Failed { action, name: name.to_string(), source: Box::new(error) }),
        },
    }
}
