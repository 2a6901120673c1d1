//! Applications that hear of a recovery in place, before anything is written and when it has ended.

use std::sync::Arc;

use super::Recovery;
use crate::copy::chain;
use crate::ports::restores::{RestoreRequest, RestoreSession, RestoreStatus};
use crate::ports::shadow_copies::{SessionLimits, ShadowCopyError};
use crate::report::Cause;

/// Somebody did not get out of the way; the report says who.
pub(super) struct Vetoed;

impl Recovery<'_> {
    /// PreRestore, for a recovery that writes to places of the site.
    pub(super) async fn pre_restore(&mut self, in_place: &[String]) -> Result<Option<Box<dyn RestoreSession>>, Vetoed> {
        let Some(restores) = self.ports.restores.as_ref().filter(|_| !in_place.is_empty()) else { return Ok(None) };
        if self.ports.restore_writers.is_empty() {
            return Ok(None);
        }
        let request = RestoreRequest {
            writers: self.ports.restore_writers.clone(),
            limit: SessionLimits::default().callback,
            cancel: self.request.cancel.clone(),
            events: Arc::clone(&self.ports.events),
        };
        restores.begin(request).await.map(Some).map_err(|error| {
            let cause = if matches!(error, ShadowCopyError::Cancelled) { Cause::Interrupted } else { Cause::Recovery };
            self.error(cause, chain(&error), "nothing was written: see to what it names, and repeat the recovery");
            Vetoed
        })
    }

    /// PostRestore. What fails here leaves the recovery open: repeated, it writes nothing that is right already and tells them again.
    pub(super) async fn post_restore(&mut self, session: Option<Box<dyn RestoreSession>>, status: RestoreStatus) {
        let Some(session) = session else { return };
        for fault in session.end(status).await {
            self.error(Cause::Recovery, chain(&fault), "set its application going, and repeat the recovery");
        }
    }
}
