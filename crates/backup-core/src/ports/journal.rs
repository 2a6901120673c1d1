//! The run journal: what the next start must know when this one is killed, and what of it is still open.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Source;
use crate::snapshot::RunId;

/// One durable fact of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JournalRecord {
    /// A run has begun; nothing is changed yet.
    RunStarted {
        /// The run.
        run: RunId,
        /// When.
        at: Timestamp,
    },
    /// These services run now and are about to be stopped; they are to be started in this order.
    ServicesStopping {
        /// The run.
        run: RunId,
        /// In the order of starting.
        start: Vec<String>,
    },
    /// All of them run again.
    ServicesStarted {
        /// The run.
        run: RunId,
    },
    /// The snapshot is complete and listed.
    Sealed {
        /// The run.
        run: RunId,
    },
    /// Nothing of the run is left to repair.
    RunEnded {
        /// The run.
        run: RunId,
        /// When.
        at: Timestamp,
        /// Whether a snapshot was published.
        published: bool,
    },
    /// A shadow copy that is to be kept is about to be made: whatever becomes of the run, this place may hold something of it.
    ShadowCopyBegun {
        /// The run, which is its id.
        run: RunId,
        /// When.
        at: Timestamp,
        /// The folder with all kept ones.
        place: String,
    },
    /// Nothing of a kept shadow copy is left.
    ShadowCopyDeleted {
        /// The run that made it.
        run: RunId,
        /// When.
        at: Timestamp,
    },
    /// A snapshot is about to be put back where the site is: until the recovery has ended the site is half old, half recovered.
    RecoveryBegun {
        /// The snapshot, by its run.
        snapshot: RunId,
        /// When.
        at: Timestamp,
        /// What goes where, as the recovery's report names it.
        places: Vec<String>,
    },
    /// All of these places are as the snapshot has them.
    RecoveryEnded {
        /// The snapshot, by its run.
        snapshot: RunId,
        /// When.
        at: Timestamp,
        /// The places that are whole.
        places: Vec<String>,
    },
    /// A recovery put the database of a server back whole.
    DatabaseRecovered {
        /// The snapshot, by its run.
        snapshot: RunId,
        /// When.
        at: Timestamp,
        /// Where it is, as the recovery's places say it.
        place: String,
    },
    /// An administrator said that the site is as it should be, whatever recoveries have begun.
    RecoveriesAbandoned {
        /// When.
        at: Timestamp,
    },
}

impl JournalRecord {
    /// The run that the record is of; `None` for one of a recovery or a kept shadow copy.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::RunStarted { run, .. }
            | Self::ServicesStopping { run, .. }
            | Self::ServicesStarted { run }
            | Self::Sealed { run }
            | Self::RunEnded { run, .. } => Some(*run),
            Self::ShadowCopyBegun { .. }
            | Self::ShadowCopyDeleted { .. }
            | Self::RecoveryBegun { .. }
            | Self::DatabaseRecovered { .. }
            | Self::RecoveryEnded { .. }
            | Self::RecoveriesAbandoned { .. } => None,
        }
    }
}

/// Runs that began and did not end, oldest first.
pub fn unfinished_runs(records: &[JournalRecord]) -> Vec<RunId> {
    let mut open: Vec<RunId> = Vec::new();
    for record in records {
        match record {
            JournalRecord::RunEnded { run, .. } => open.retain(|other| other != run),
            // A record whose beginning is lost still tells of a run that did not end.
            other => open.extend(other.run().filter(|run| !open.contains(run))),
        }
    }
    open
}

/// A shadow copy that was begun, to be kept, and not deleted since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunShadowCopy {
    /// The run that made it.
    pub run: RunId,
    /// When that was.
    pub at: Timestamp,
    /// The folder with all kept ones.
    pub place: String,
}

/// Shadow copies that may be kept, oldest first; those of unfinished runs too.
pub fn begun_shadow_copies(records: &[JournalRecord]) -> Vec<BegunShadowCopy> {
    let mut begun: Vec<BegunShadowCopy> = Vec::new();
    for record in records {
        match record {
            JournalRecord::ShadowCopyBegun { run, at, place } => {
                begun.push(BegunShadowCopy { run: *run, at: *at, place: place.clone() });
            }
            JournalRecord::ShadowCopyDeleted { run, .. } => begun.retain(|copy| copy.run != *run),
            _ => {}
        }
    }
    begun
}

/// A recovery that began, and places of it that nothing has made whole since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnendedRecovery {
    /// The snapshot, by its run.
    pub snapshot: RunId,
    /// When it began.
    pub at: Timestamp,
    /// Where the site may be half old, half recovered.
    pub places: Vec<String>,
}

/// Recoveries in place that are not known to have ended, oldest first.
///
/// A later recovery settles the places that it puts back whole, be it of the same snapshot or of another one.
pub fn unended_recoveries(records: &[JournalRecord]) -> Vec<UnendedRecovery> {
    let mut open: Vec<UnendedRecovery> = Vec::new();
    let settle = |open: &mut Vec<UnendedRecovery>, settled: &[String]| {
        open.iter_mut().for_each(|recovery| recovery.places.retain(|place| !settled.contains(place)));
        open.retain(|recovery| !recovery.places.is_empty());
    };
    for record in records {
        match record {
            JournalRecord::RecoveryBegun { snapshot, at, places } => {
                settle(&mut open, places);
                open.push(UnendedRecovery { snapshot: *snapshot, at: *at, places: places.clone() });
            }
            JournalRecord::RecoveryEnded { places, .. } => settle(&mut open, places),
            JournalRecord::RecoveriesAbandoned { .. } => open.clear(),
            _ => {}
        }
    }
    open
}

/// Whether a recovery of `snapshot` has put the database at `place` back, and nothing has settled that place since.
pub fn is_database_recovered(records: &[JournalRecord], snapshot: RunId, place: &str) -> bool {
    let names = |places: &[String]| places.iter().any(|other| other == place);
    let mut is_recovered = false;
    for record in records {
        match record {
            JournalRecord::DatabaseRecovered { snapshot: of, place: at, .. } => {
                is_recovered = is_recovered && at != place || *of == snapshot && at == place;
            }
            JournalRecord::RecoveryBegun { snapshot: of, places, .. } if *of != snapshot && names(places) => {
                is_recovered = false;
            }
            JournalRecord::RecoveryEnded { places, .. } if names(places) => is_recovered = false,
            JournalRecord::RecoveriesAbandoned { .. } => is_recovered = false,
            _ => {}
        }
    }
    is_recovered
}

/// Why the journal cannot be used. A run without a journal does not begin.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another run holds it.
    #[error("another run is in progress ({holder})")]
    Busy {
        /// Who holds it, as far as can be told.
        holder: String,
    },
    /// It could not be read or written.
    #[error("failed to {action} the run journal")]
    Failed {
        /// `lock`, `append to` or `read`.
        action: &'static str,
        /// The reason.
        source: Source,
    },
}

/// Holds the journal for one run; given back when dropped or when the process dies.
pub trait JournalLock: Debug + Send + Sync {}

/// An append-only file of records, durable once `append` has returned.
#[async_trait]
pub trait RunJournal: Debug + Send + Sync {
    /// Takes the journal for one run or one repair; refuses while another holds it, does not wait.
    async fn lock(&self) -> Result<Box<dyn JournalLock>, JournalError>;
    /// Adds a record at the end.
    async fn append(&self, record: &JournalRecord) -> Result<(), JournalError>;
    /// All records, oldest first; a record torn by a crash is left out.
    async fn read(&self) -> Result<Vec<JournalRecord>, JournalError>;
}
