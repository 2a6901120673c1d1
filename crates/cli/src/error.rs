//! Why a command could not be carried out: what the user is told, and the exit code.

use std::error::Error;
use std::fmt;

use backup_core::ports::Source;
use backup_core::ports::destination::DestinationError;
use backup_core::ports::journal::JournalError;
use backup_core::ports::status_log::StatusLogError;
use backup_core::recover::AbandonError;
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::snapshot::ChooseError;
use backup_core::verify::SnapshotError;

use crate::exit::Exit;
use crate::output::Notice;

/// An error of a command. Its kind picks the exit code.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// The exit code.
    pub(crate) kind: Exit,
    /// What went wrong, with its causes.
    pub(crate) source: Source,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
    /// What was found on the way, told before the error itself.
    pub(crate) notices: Vec<Notice>,
}

impl CommandError {
    /// An error without hints.
    pub(crate) fn new(kind: Exit, source: impl Into<Source>) -> Self {
        Self { kind, source: source.into(), hints: Vec::new(), notices: Vec::new() }
    }

    /// An error of the command line or the configuration.
    pub(crate) fn usage(source: impl Into<Source>) -> Self {
        Self::new(Exit::USAGE, source)
    }

    /// A failed call of the system on one path.
    pub(crate) fn io(kind: Exit, action: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::new(kind, Because { message: format!("failed to {action} `{}`", path.display()), source: source.into() })
    }

    /// The same with a hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with what was found before.
    #[must_use]
    pub(crate) fn with_notices(mut self, notices: Vec<Notice>) -> Self {
        self.notices = notices;
        self
    }

    /// The message and its causes, outermost first, none twice.
    pub(crate) fn messages(&self) -> Vec<String> {
        let mut messages = vec![self.source.to_string()];
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if messages.last() != Some(&message) {
                messages.push(message);
            }
            cause = error.source();
        }
        messages
    }

    /// The error as a finding, for the JSON form.
    pub(crate) fn finding(&self) -> Finding {
        let hint = (!self.hints.is_empty()).then(|| self.hints.join("; "));
        let cause = CAUSES.iter().copied().find(|cause| Exit::of_cause(*cause) == self.kind);
        let cause = cause.unwrap_or(Cause::Configuration);
        Finding { gravity: Gravity::Error, cause, message: self.messages().join(": "), hint }
    }
}

/// All causes, to find the one that a code stands for.
const CAUSES: [Cause; 21] = [
    Cause::Busy,
    Cause::Destination,
    Cause::Full,
    Cause::Foreign,
    Cause::Database,
    Cause::Registry,
    Cause::Files,
    Cause::ServiceStop,
    Cause::ServiceStart,
    Cause::ShadowCopy,
    Cause::Command,
    Cause::State,
    Cause::Snapshot,
    Cause::Recovery,
    Cause::HalfRecovered,
    Cause::AfterBackup,
    Cause::Archive,
    Cause::ArchiveDamaged,
    Cause::Key,
    Cause::Configuration,
    Cause::Interrupted,
];

/// A message with its cause.
#[derive(Debug)]
pub(crate) struct Because {
    /// What failed.
    pub(crate) message: String,
    /// Why.
    pub(crate) source: Source,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Because {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

impl From<DestinationError> for CommandError {
    fn from(error: DestinationError) -> Self {
        let kind = match &error {
            DestinationError::NoSnapshot(_) | DestinationError::Damaged { .. } => Exit::SNAPSHOT,
            other => Exit::of_cause(Cause::of_destination(other)),
        };
        Self::new(kind, error)
    }
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        match &error {
            JournalError::Busy { .. } => Self::new(Exit::BUSY, error)
                .hint("wait until it has ended; a watchdog that starts services takes as long as the services may"),
            JournalError::Failed { .. } => Self::new(Exit::STATE, error).hint(STATE_HINT),
        }
    }
}

impl From<AbandonError> for CommandError {
    fn from(error: AbandonError) -> Self {
        match error {
            AbandonError::Journal(error) => error.into(),
            AbandonError::Destination(error) => error.into(),
        }
    }
}

const STATE_HINT: &str =
    "see to `state-dir` in site.toml: the account that runs this program must be able to write there";

impl From<StatusLogError> for CommandError {
    fn from(error: StatusLogError) -> Self {
        Self::new(Exit::STATE, error).hint(STATE_HINT)
    }
}

impl From<SnapshotError> for CommandError {
    fn from(error: SnapshotError) -> Self {
        let hint = "is it the folder of a backup snapshot, with `sitebackup.json` in it?";
        Self::new(Exit::SNAPSHOT, error).hint(hint)
    }
}

impl From<ChooseError> for CommandError {
    fn from(error: ChooseError) -> Self {
        let hint = match &error {
            ChooseError::Empty => "`sitebackup backup` makes one",
            ChooseError::None(_) => "`sitebackup snapshots` lists them",
            ChooseError::Several { .. } => "give more of the id: `sitebackup snapshots` lists them",
        };
        Self::new(Exit::SNAPSHOT, error).hint(hint)
    }
}
