//! The outcome of each use case: what was done, how good it is, and what was found.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::ports::destination::{DamagedSnapshot, DestinationError, StoredSnapshot};
use crate::ports::recovery_target::{RecoveryError, Restored};
use crate::ports::shadow_copies::Consistency;
use crate::snapshot::{RunId, short};

/// What a finding or a failure is about. A program gives each its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Another run is in progress.
    Busy,
    /// The destination cannot be used.
    Destination,
    /// The destination is full, or would be.
    Full,
    /// A folder of the snapshot's name is not ours.
    Foreign,
    /// The site database.
    Database,
    /// A registry key.
    Registry,
    /// Files could not be read.
    Files,
    /// A service could not be stopped.
    ServiceStop,
    /// A service could not be started.
    ServiceStart,
    /// The shadow copy.
    ShadowCopy,
    /// A command of the control file.
    Command,
    /// The state folder.
    State,
    /// A snapshot is damaged or is not there.
    Snapshot,
    /// A recovery could not be done, or not wholly.
    Recovery,
    /// A recovery of the site began and did not end: the site is half old, half recovered.
    HalfRecovered,
    /// The run was interrupted.
    Interrupted,
    /// AfterBackup; never changes a result by itself.
    AfterBackup,
    /// The archive repository cannot be used.
    Archive,
    /// A part of the archive is damaged or lost.
    ArchiveDamaged,
    /// No key of the archive repository opens.
    Key,
    /// The site's or the schedule's configuration.
    Configuration,
}

impl Cause {
    /// What a refusal of the destination is about.
    pub fn of_destination(error: &DestinationError) -> Self {
        match error {
            DestinationError::Busy { .. } => Self::Busy,
            DestinationError::Full(_) => Self::Full,
            DestinationError::Foreign(_) => Self::Foreign,
            DestinationError::NoSnapshot(_) | DestinationError::Damaged { .. } | DestinationError::Failed { .. } => {
                Self::Destination
            }
        }
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gravity {
    /// Worth knowing.
    Note,
    /// Doubtful, but the result is what was asked for.
    Warning,
    /// The result is not what was asked for.
    Error,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave it is.
    pub gravity: Gravity,
    /// What it is about.
    pub cause: Cause,
    /// What was found, naming the thing and the place.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without a hint.
    pub fn new(gravity: Gravity, cause: Cause, message: impl Into<String>) -> Self {
        Self { gravity, cause, message: message.into(), hint: None }
    }

    /// An error.
    pub fn error(cause: Cause, message: impl Into<String>) -> Self {
        Self::new(Gravity::Error, cause, message)
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl DamagedSnapshot {
    /// What there is to know and to do about it.
    pub fn finding(&self) -> Finding {
        let message = format!("snapshot {} at `{}` is damaged: {}", short(self.run, &[]), self.folder, self.reason);
        let hint = "it counts as no snapshot and is never removed: save from it what you need, then move the folder away or delete it";
        Finding::new(Gravity::Warning, Cause::Snapshot, message).hint(hint)
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "cause")]
pub enum Outcome {
    /// As asked.
    Done,
    /// Done, but incomplete or weaker than asked for.
    Incomplete,
    /// Not done.
    Failed(Cause),
}

/// How AfterBackup ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterBackupEnd {
    /// There is none.
    Absent,
    /// It was judged a success.
    Success(i32),
    /// It exited with a code that is not one of success.
    Failure(i32),
    /// It took too long and was ended.
    TimedOut,
    /// It could not be started.
    NotStarted,
}

/// What a run did in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archiving {
    /// The id that the snapshot has there.
    pub id: String,
    /// Bytes that the archive grew by.
    pub added: u64,
    /// The ids of snapshots that retention let go of.
    pub forgotten: Vec<String>,
}

/// Bytes and files of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Entries in the snapshot.
    pub entries: u64,
    /// Bytes of content in the snapshot.
    pub bytes: u64,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// The run.
    pub run: RunId,
    /// The site code.
    pub site: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The snapshot that it published; also when something failed afterwards.
    pub snapshot: Option<StoredSnapshot>,
    /// What the snapshot guarantees.
    pub consistency: Consistency,
    /// From the first Freeze to the last Thaw.
    pub freeze_window: Duration,
    /// From the first service stopped to the last one started again.
    pub outage: Duration,
    /// Sizes.
    pub totals: Totals,
    /// All that was found, in order.
    pub findings: Vec<Finding>,
    /// How AfterBackup ended; `None` when it was not reached.
    pub after_backup: Option<AfterBackupEnd>,
    /// What the archive has of it; `None` when there is no archive, or nothing was stored.
    pub archived: Option<Archiving>,
}

/// A part of what would be backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// A path, a key or a database.
    pub what: String,
    /// Entries of it.
    pub entries: u64,
    /// Bytes of it.
    pub bytes: u64,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// What would be backed up.
    pub covered: Vec<Coverage>,
    /// What would not.
    pub not_covered: Vec<String>,
    /// Bytes needed at the destination while the old snapshot and the new one are there.
    pub peak: u64,
    /// Bytes of it that are not there yet.
    pub needed: u64,
    /// Bytes free.
    pub free: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The snapshot.
    pub run: RunId,
    /// Entries looked at.
    pub entries: u64,
    /// Bytes read and hashed; 0 when only the metadata was judged.
    pub bytes: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// What a recovery did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct RecoveryReport {
    /// Entries written.
    pub written: u64,
    /// Entries that were right already.
    pub already: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Where each part went.
    pub places: Vec<String>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl RecoveryReport {
    /// Counts what became of an entry; whoever asked tells what the error means.
    ///
    /// # Errors
    /// The entry's.
    pub fn count(&mut self, restored: Result<Restored, RecoveryError>) -> Result<(), RecoveryError> {
        match restored? {
            Restored::Written(bytes) => {
                self.written += 1;
                self.bytes += bytes;
            }
            Restored::Already => self.already += 1,
        }
        Ok(())
    }
}

/// What a recovery would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RecoveryPreview {
    /// Entries that would be written, or found right already.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where each part would go.
    pub places: Vec<String>,
    /// What would change in the registry, one line a change.
    pub registry: Vec<String>,
    /// What was found; with an error among it nothing would be written.
    pub findings: Vec<Finding>,
}

/// What a rehearsal found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RehearsalReport {
    /// The snapshot.
    pub run: RunId,
    /// The recovery into the scratch place.
    pub recovery: RecoveryReport,
    /// How long it took, which is about how long the real thing would.
    pub took: Duration,
    /// What was found, that of the recovery included.
    pub findings: Vec<Finding>,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RepairReport {
    /// Runs that had not ended.
    pub unfinished: Vec<RunId>,
    /// Services started.
    pub started: Vec<String>,
    /// Folders removed at the destination.
    pub swept: usize,
    /// The snapshot whose publishing was finished.
    pub published: Option<RunId>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// The gravest of some findings.
pub fn gravest(findings: &[Finding]) -> Option<&Finding> {
    let errors = findings.iter().find(|finding| finding.gravity == Gravity::Error);
    errors.or_else(|| findings.iter().max_by_key(|finding| finding.gravity))
}

/// Whether any finding is an error.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.gravity == Gravity::Error)
}
