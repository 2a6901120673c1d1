//! The run journal: what the next start must know when this one is killed.

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
}

impl JournalRecord {
    /// The run that the record speaks of.
    pub fn run(&self) -> RunId {
        match self {
            Self::RunStarted { run, .. }
            | Self::ServicesStopping { run, .. }
            | Self::ServicesStarted { run }
            | Self::Sealed { run }
            | Self::RunEnded { run, .. } => *run,
        }
    }
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
