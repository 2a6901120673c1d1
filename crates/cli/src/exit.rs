//! The one table of exit codes, from which docs/exit-codes.md is generated. A number never changes its meaning.

use backup_core::report::{Cause, Finding, Gravity, Outcome, gravest};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(u8);

macro_rules! exits {
    ($($constant:ident = $code:literal $name:literal $meaning:literal;)*) => {
        impl Exit {
            $(#[doc = $meaning] pub const $constant: Exit = Exit($code);)*
        }

        /// Every code with its name and its meaning, in the order of the codes.
        pub const ALL: &[(u8, &str, &str)] = &[$(($code, $name, $meaning)),*];
    };
}

exits! {
    DONE = 0 "done" "Done as asked.";
    UNEXPECTED = 1 "unexpected" "Something happened that the program does not expect; unknown means failure.";
    USAGE = 2 "usage" "The command line, site.toml or the control file is wrong; nothing was touched.";
    INCOMPLETE = 3 "incomplete" "Done, but incomplete or weaker than asked; for `status`: a good snapshot is there, something else needs attention; for `registry diff` and `archive diff`: they differ.";
    BUSY = 10 "busy" "Another run is in progress.";
    DESTINATION = 11 "destination" "The destination cannot be used.";
    FULL = 12 "full" "The destination is full, or would be.";
    FOREIGN = 13 "foreign" "A folder of the snapshot's name at the destination is not ours; it is never replaced.";
    DATABASE = 14 "database" "The site database could not be backed up, verified or recovered.";
    REGISTRY = 15 "registry" "A registry key could not be backed up, verified or recovered.";
    FILES = 16 "files" "Files could not be read.";
    SERVICE_STOP = 17 "service-stop" "A service could not be stopped, or runs where it must not.";
    SERVICE_START = 18 "service-start" "A service could not be started again: it is down.";
    SHADOW_COPY = 19 "shadow-copy" "The moment could not be held.";
    COMMAND = 20 "command" "A command of the control file, or of `shadow-copy run`, failed.";
    STATE = 21 "state" "The state folder cannot be used.";
    SNAPSHOT = 22 "snapshot" "A backup snapshot, or a kept shadow copy, is damaged, or not there; no archived snapshot, or more than one, has the name.";
    RECOVERY = 23 "recovery" "A recovery or a rehearsal could not be done.";
    AFTER_BACKUP = 24 "after-backup" "AfterBackup failed; kept for it, never the result of a run by itself.";
    HALF_RECOVERED = 25 "half-recovered" "A recovery of the site began and did not end; no backup is made before it is repeated, or abandoned by `recover --abandon`.";
    ARCHIVE = 26 "archive" "The archive repository is not there, or cannot be used.";
    ARCHIVE_DAMAGED = 27 "archive-damaged" "A part of the archive is damaged or lost; what it does not touch still restores.";
    KEY = 28 "key" "No key of the archive repository opens with what was given, or it does not suffice.";
    STALE = 30 "stale" "`status`: there is no backup snapshot, or the last one is too old to be of use.";
    INTERRUPTED = 130 "interrupted" "Interrupted by a signal; a snapshot that `backup` had published by then stays.";
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The name in the table.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(code, ..)| *code == self.0).map_or("unexpected", |(_, name, _)| name)
    }

    /// The code of a cause.
    pub fn of_cause(cause: Cause) -> Self {
        match cause {
            Cause::Busy => Self::BUSY,
            Cause::Destination => Self::DESTINATION,
            Cause::Full => Self::FULL,
            Cause::Foreign => Self::FOREIGN,
            Cause::Database => Self::DATABASE,
            Cause::Registry => Self::REGISTRY,
            Cause::Files => Self::FILES,
            Cause::ServiceStop => Self::SERVICE_STOP,
            Cause::ServiceStart => Self::SERVICE_START,
            Cause::ShadowCopy => Self::SHADOW_COPY,
            Cause::Command => Self::COMMAND,
            Cause::State => Self::STATE,
            Cause::Snapshot => Self::SNAPSHOT,
            Cause::Recovery => Self::RECOVERY,
            Cause::HalfRecovered => Self::HALF_RECOVERED,
            Cause::AfterBackup => Self::AFTER_BACKUP,
            Cause::Archive => Self::ARCHIVE,
            Cause::ArchiveDamaged => Self::ARCHIVE_DAMAGED,
            Cause::Key => Self::KEY,
            Cause::Configuration => Self::USAGE,
            Cause::Interrupted => Self::INTERRUPTED,
        }
    }

    /// The code of a run's outcome.
    pub fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::DONE,
            Outcome::Incomplete => Self::INCOMPLETE,
            Outcome::Failed(cause) => Self::of_cause(cause),
        }
    }

    /// The code of the gravest finding; findings that are no errors change nothing.
    pub fn of_findings(findings: &[Finding]) -> Self {
        match gravest(findings) {
            Some(finding) if finding.gravity == Gravity::Error => Self::of_cause(finding.cause),
            _ => Self::DONE,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_names_unique() {
        assert!(ALL.is_sorted_by(|(a, ..), (b, ..)| a < b));
        let mut names: Vec<_> = ALL.iter().map(|(_, name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn only_errors_change_the_code() {
        let warning = Finding::new(Gravity::Warning, Cause::Full, "low");
        assert_eq!(Exit::of_findings(std::slice::from_ref(&warning)), Exit::DONE);
        assert_eq!(Exit::of_findings(&[warning, Finding::error(Cause::Files, "gone")]), Exit::FILES);
    }
}
