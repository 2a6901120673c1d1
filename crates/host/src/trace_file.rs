//! The log in the installation folder, `Logs/smsbkup.log`: kept short, and silent while the site is frozen.
//!
//! Knows nothing of the format: lines come formatted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The length after which the product's own logs are rolled over.
const ROLL_OVER_AT: u64 = 2 * 1024 * 1024;

/// Appends lines to a log; a log that grows over 2 MiB becomes `.lo_`, and the former `.lo_` goes.
///
/// The log lies in a folder that is itself backed up, so between [`hold`](Self::hold) and [`release`](Self::release) lines are kept in
/// memory and nothing is written. Not durable: the status log is what must survive a crash.
#[derive(Debug)]
pub struct TraceFile {
    path: PathBuf,
    roll_over_at: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    pending: Vec<u8>,
}

impl TraceFile {
    /// The log `smsbkup.log` in the folder `logs`. Touches nothing yet.
    pub fn new(logs: impl Into<PathBuf>) -> Self {
        Self { path: logs.into().join("smsbkup.log"), roll_over_at: ROLL_OVER_AT, state: Mutex::default() }
    }

    /// Adds a line, given without its end, or keeps it while held. Creates the `Logs` folder, but none above it.
    ///
    /// # Errors
    /// The system's; the line is kept then, and tried again with the next one.
    pub fn append(&self, line: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.pending.extend_from_slice(line.as_bytes());
        state.pending.extend_from_slice(b"\r\n");
        if state.held { Ok(()) } else { self.flush(&mut state) }
    }

    /// Keeps all lines from now on in memory. Nothing is being written when this returns.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Writes what was kept, and writes at once again from now on.
    ///
    /// # Errors
    /// The system's; the lines are kept then, and tried again with the next one.
    pub fn release(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.held = false;
        self.flush(&mut state)
    }

    fn flush(&self, state: &mut State) -> io::Result<()> {
        if state.pending.is_empty() {
            return Ok(());
        }
        let mut file = self.open()?;
        if file.metadata()?.len() > self.roll_over_at {
            fs::rename(&self.path, self.path.with_extension("lo_"))?;
            file = self.open()?;
        }
        file.write_all(&state.pending)?;
        state.pending.clear();
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        if let Some(logs) = self.path.parent().filter(|logs| !logs.is_dir()) {
            fs::create_dir(logs)?;
        }
        OpenOptions::new().append(true).create(true).open(&self.path)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst a line that is written twice.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        // Lines of a run that was abandoned while it held the log are worth more than their moment.
        let _unreported = self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> (tempfile::TempDir, TraceFile) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let trace = TraceFile::new(folder.path().join("Logs"));
        (folder, trace)
    }

    #[test]
    fn nothing_is_written_while_held() {
        let (_folder, trace) = trace();
        trace.append("one").expect("written");
        trace.hold();
        trace.append("two").expect("kept");
        assert_eq!(fs::read(&trace.path).expect("read"), b"one\r\n");
        trace.release().expect("written");
        trace.append("three").expect("written");
        assert_eq!(fs::read(&trace.path).expect("read"), b"one\r\ntwo\r\nthree\r\n");
    }

    #[test]
    fn a_dropped_trace_keeps_no_line_back() {
        let (folder, trace) = trace();
        trace.hold();
        trace.append("last words").expect("kept");
        drop(trace);
        assert_eq!(fs::read(folder.path().join("Logs/smsbkup.log")).expect("read"), b"last words\r\n");
    }

    #[test]
    fn a_long_log_becomes_the_older_one() {
        let (folder, mut trace) = trace();
        trace.roll_over_at = 8;
        for line in ["a long line", "another", "third"] {
            trace.append(line).expect("written");
        }
        let read = |name: &str| fs::read_to_string(folder.path().join("Logs").join(name)).expect("read");
        assert_eq!((read("smsbkup.lo_").as_str(), read("smsbkup.log").as_str()), ("another\r\n", "third\r\n"));
    }

    #[test]
    fn lines_that_could_not_be_written_are_kept() {
        let (folder, mut trace) = trace();
        let elsewhere = trace.path.clone();
        trace.path = folder.path().join("none/Logs/smsbkup.log");
        trace.append("one").expect_err("the installation folder is missing");
        trace.path = elsewhere;
        trace.append("two").expect("written");
        assert_eq!(fs::read(&trace.path).expect("read"), b"one\r\ntwo\r\n");
    }
}
