//! What the journal knows of recoveries in place: a site is not backed up while it is half old, half recovered.

use std::fmt;

use super::Recovery;
use crate::copy::chain;
use crate::ports::Ports;
use crate::ports::journal::{JournalError, JournalRecord, RunJournal, UnendedRecovery, unended_recoveries};
use crate::report::{Cause, Finding, Gravity, has_errors};
use crate::snapshot::{RunId, short};

/// Places of a recovery that are named one by one.
const NAMED: usize = 3;

pub(crate) const HALF_RECOVERED_HINT: &str =
    "repeat `sitebackup recover`; if the site is as it should be, say so with `sitebackup recover --abandon`";

const REPEAT: &str = "repeat the recovery: only when it has ended as a whole is the site backed up again";

impl Recovery<'_> {
    /// The journal, where the site itself is written to; another place is nobody's site.
    fn journal(&self, in_place: &[String]) -> Option<&dyn RunJournal> {
        self.ports.journal.as_deref().filter(|_| !in_place.is_empty())
    }

    /// Makes durable that places of the site are about to be changed. Without that nothing is written.
    pub(super) async fn record_begin(&mut self, snapshot: RunId, in_place: &[String]) -> bool {
        let Some(journal) = self.journal(in_place) else { return true };
        let (at, places) = (self.ports.clock.now(), in_place.to_vec());
        match journal.append(&JournalRecord::RecoveryBegun { snapshot, at, places }).await {
            Ok(()) => true,
            Err(error) => {
                self.error(Cause::State, chain(&error), "nothing was written: see to the state folder");
                false
            }
        }
    }

    /// What did not go well leaves the recovery open.
    pub(super) async fn record_end(&mut self, snapshot: RunId, in_place: &[String]) {
        let Some(journal) = self.journal(in_place).filter(|_| !has_errors(&self.report.findings)) else { return };
        let (at, places) = (self.ports.clock.now(), in_place.to_vec());
        if let Err(error) = journal.append(&JournalRecord::RecoveryEnded { snapshot, at, places }).await {
            self.error(Cause::State, chain(&error), REPEAT);
        }
    }
}

/// Says that the site is as it should be, whatever recoveries began and did not end; returns these.
///
/// # Errors
/// [`JournalError`] when a run or a recovery is in progress, or the journal cannot be used.
pub async fn abandon_recoveries(ports: &Ports) -> Result<Vec<UnendedRecovery>, JournalError> {
    let _lock = ports.journal.lock().await?;
    let unended = unended_recoveries(&ports.journal.read().await?);
    if !unended.is_empty() {
        let at = ports.clock.now();
        ports.journal.append(&JournalRecord::RecoveriesAbandoned { at }).await?;
    }
    Ok(unended)
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
