//! The small ports of this machine: clock, journal, status log.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use backup_core::ports::clock::Clock;
use backup_core::ports::journal::RunJournal;
use backup_core::ports::status_log::StatusLog;
use host::journal::FileJournal;
use host::machine::SystemClock;
use host::status_log::FileStatusLog;
use tempfile::TempDir;
use tests::conformance::clock::ClockBench;
use tests::conformance::journal::JournalBench;
use tests::conformance::status_log::StatusLogBench;

pub(super) fn scratch() -> TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

/// A state folder, which is also where AfterBackup lies.
#[derive(Debug)]
pub(super) struct Host(pub(super) TempDir);

impl Host {
    pub(super) fn new() -> Self {
        Self(scratch())
    }

    fn tear(&self, name: &str) -> bool {
        let mut file = fs::OpenOptions::new().append(true).open(self.0.path().join(name)).expect("there is one");
        file.write_all(b"{\"event\":\"run-start").expect("written");
        true
    }
}

impl ClockBench for Host {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

impl JournalBench for Host {
    fn journal(&self) -> Arc<dyn RunJournal> {
        Arc::new(FileJournal::new(self.0.path()))
    }

    fn tear(&self) -> bool {
        self.tear("journal.jsonl")
    }
}

impl StatusLogBench for Host {
    fn log(&self) -> Arc<dyn StatusLog> {
        Arc::new(FileStatusLog::new(self.0.path()))
    }

    fn tear(&self) -> bool {
        self.tear("status.jsonl")
    }
}
