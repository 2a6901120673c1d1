//! What journal and destination know of recoveries in place: a site is not backed up while it is half old, half recovered.
//!
//! The journal is told first and last, so that a note at the destination never stands without an open recovery in some journal.

use std::fmt;

use super::{Recovery, RecoveryPorts};
use crate::copy::chain;
use crate::ports::Ports;
use crate::ports::destination::{DestinationError, DestinationHold, Holder};
use crate::ports::journal::{JournalError, JournalLock, JournalRecord, UnendedRecovery, unended_recoveries};
use crate::report::{Cause, Finding, Gravity, has_errors};
use crate::snapshot::{RunId, short};

/// Places of a recovery that are named one by one.
const NAMED: usize = 3;

pub(crate) const HALF_RECOVERED_HINT: &str =
    "repeat `sitebackup recover`; if the site is as it should be, say so with `sitebackup recover --abandon`";

const REPEAT: &str = "repeat the recovery: only when it has ended as a whole is the site backed up again";

/// Held as long as a recovery lasts.
#[derive(Debug)]
pub(super) struct Guard {
    _journal: Option<Box<dyn JournalLock>>,
    /// Why the destination is not held, if it should be.
    unheld: Option<DestinationError>,
    hold: Option<Box<dyn DestinationHold>>,
}

impl Guard {
    /// Refuses where anybody else is at work. A destination that cannot be written, such as a medium, can be recovered from all the same.
    pub(super) async fn take(ports: &RecoveryPorts) -> Result<Self, Finding> {
        let busy = |cause, error: &dyn std::error::Error| {
            Finding::error(cause, chain(error)).hint("try again when it has ended")
        };
        let journal = match &ports.journal {
            None => None,
            Some(journal) => Some(journal.lock().await.map_err(|error| match error {
                JournalError::Busy { .. } => busy(Cause::Busy, &error),
                JournalError::Failed { .. } => busy(Cause::State, &error),
            })?),
        };
        let mut guard = Self { _journal: journal, unheld: None, hold: None };
        let Some(destination) = &ports.destination else { return Ok(guard) };
        match destination.hold(Holder::Recovery).await {
            Ok(hold) => guard.hold = Some(hold),
            Err(error @ DestinationError::Busy { .. }) => return Err(busy(Cause::Busy, &error)),
            Err(error) => guard.unheld = Some(error),
        }
        Ok(guard)
    }
}

impl Recovery<'_> {
    /// Makes durable that places of the site are about to be changed. Without that nothing is written.
    pub(super) async fn record_begin(&mut self, guard: &Guard, snapshot: RunId, in_place: &[String]) -> bool {
        if let Some(error) = &guard.unheld {
            let message = format!("another configuration's run is not kept away meanwhile: {}", chain(error));
            let finding = Finding::new(Gravity::Warning, Cause::Destination, message);
            self.report.findings.push(finding.hint("see to it that nobody else backs up to this destination"));
        }
        if in_place.is_empty() {
            return true;
        }
        let open = UnendedRecovery { snapshot, at: self.ports.clock.now(), places: in_place.to_vec() };
        if let Some(journal) = &self.ports.journal {
            let UnendedRecovery { snapshot, at, places } = open.clone();
            if let Err(error) = journal.append(&JournalRecord::RecoveryBegun { snapshot, at, places }).await {
                self.error(Cause::State, chain(&error), "nothing was written: see to the state folder");
                return false;
            }
        }
        match self.note(guard, in_place, Some(open)).await {
            Ok(()) => true,
            Err(error) => {
                let hint = "nothing was written: the destination must take a note of the recovery, so see to it";
                self.error(Cause::of_destination(&error), chain(&error), hint);
                false
            }
        }
    }

    /// What did not go well leaves the recovery open.
    pub(super) async fn record_end(&mut self, guard: &Guard, snapshot: RunId, in_place: &[String]) {
        if in_place.is_empty() || has_errors(&self.report.findings) {
            return;
        }
        if let Err(error) = self.note(guard, in_place, None).await {
            self.error(Cause::of_destination(&error), chain(&error), REPEAT);
            return;
        }
        let Some(journal) = &self.ports.journal else { return };
        let (at, places) = (self.ports.clock.now(), in_place.to_vec());
        if let Err(error) = journal.append(&JournalRecord::RecoveryEnded { snapshot, at, places }).await {
            self.error(Cause::State, chain(&error), REPEAT);
        }
    }

    /// Notes at the destination that a recovery has begun (`open`), or else ended; what others have open at other places stays noted.
    async fn note(
        &self,
        guard: &Guard,
        in_place: &[String],
        open: Option<UnendedRecovery>,
    ) -> Result<(), DestinationError> {
        let Some(destination) = self.ports.destination.as_ref().filter(|_| guard.hold.is_some()) else { return Ok(()) };
        let mut others = destination.half_recovered().await?;
        if let Some(others) = &mut others {
            others.places.retain(|place| !in_place.contains(place));
        }
        let others = others.filter(|others| !others.places.is_empty());
        let note = match (others, open) {
            (Some(others), Some(open)) => {
                let places = others.places.into_iter().chain(open.places).collect();
                Some(UnendedRecovery { places, ..open })
            }
            (others, open) => open.or(others),
        };
        destination.note_half_recovered(note.as_ref()).await
    }
}

/// Says that the site is as it should be, whatever recoveries began and did not end, of this configuration or by the note at the
/// destination; returns these.
///
/// # Errors
/// [`AbandonError`] when a run or a recovery is in progress, or journal or destination cannot be used.
pub async fn abandon_recoveries(ports: &Ports) -> Result<Vec<UnendedRecovery>, AbandonError> {
    let _lock = ports.journal.lock().await?;
    let mut unended = unended_recoveries(&ports.journal.read().await?);
    // A note that cannot be understood is given up as well. Who has none needs no hold: the destination may be gone.
    let noted = ports.destination.half_recovered().await;
    if !matches!(noted, Ok(None) | Err(DestinationError::Failed { .. })) {
        let _hold = ports.destination.hold(Holder::Recovery).await?;
        ports.destination.note_half_recovered(None).await?;
    }
    if !unended.is_empty() {
        let at = ports.clock.now();
        ports.journal.append(&JournalRecord::RecoveriesAbandoned { at }).await?;
    }
    if unended.is_empty() {
        unended.extend(noted.ok().flatten());
    }
    Ok(unended)
}

/// Why recoveries could not be abandoned.
#[derive(Debug, thiserror::Error)]
pub enum AbandonError {
    /// The journal's reason.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The destination's reason.
    #[error(transparent)]
    Destination(#[from] DestinationError),
}

/// Why a site must not be backed up: recoveries in place that are not known to have ended, told as one, with the last one's snapshot.
pub fn half_recovered(records: &[JournalRecord]) -> Option<UnendedRecovery> {
    let mut open = unended_recoveries(records);
    let last = open.pop()?;
    let places = open.into_iter().flat_map(|recovery| recovery.places).chain(last.places.clone()).collect();
    Some(UnendedRecovery { places, ..last })
}

impl UnendedRecovery {
    /// What everybody who is asked about the site says of it.
    pub fn finding(&self, gravity: Gravity) -> Finding {
        Finding::new(gravity, Cause::HalfRecovered, self.to_string()).hint(HALF_RECOVERED_HINT)
    }
}

impl fmt::Display for UnendedRecovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let began = self.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let snapshot = short(self.snapshot, &[]);
        let places = self.places.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        write!(f, "a recovery of snapshot {snapshot} began {began} and did not end: ")?;
        write!(f, "the site may be half old, half recovered ({places}")?;
        match self.places.len().saturating_sub(NAMED) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}
