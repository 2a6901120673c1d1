//! Who hears the events of a run: the screen, and the log in the installation folder.

use std::sync::{Arc, Mutex, PoisonError};

use backup_core::event::{Event, EventSink, Phase};
use backup_core::report::{Cause, Finding, Gravity};
use host::trace_file::TraceFile;

/// Passes each event on to several sinks.
#[derive(Debug)]
pub(crate) struct Fan(pub(crate) Vec<Arc<dyn EventSink>>);

impl EventSink for Fan {
    fn event(&self, event: &Event) {
        self.0.iter().for_each(|sink| sink.event(event));
    }
}

/// Writes the log lines of a run to `Logs/smsbkup.log`, and none of them inside a freeze window: the log is part of the site.
///
/// That holds for the window of another process, too: until the run is known to be the only one, its lines are kept in memory, and a
/// run that never comes so far leaves none.
#[derive(Debug)]
pub(crate) struct TraceSink {
    file: TraceFile,
    /// The first lines, until the run has the site to itself.
    waiting: Mutex<Option<Vec<String>>>,
    shown: String,
    fault: Mutex<Option<String>>,
}

impl TraceSink {
    /// Writes below the folder `logs`.
    pub(crate) fn new(logs: std::path::PathBuf) -> Self {
        let shown = logs.join("smsbkup.log").display().to_string();
        let waiting = Mutex::new(Some(Vec::new()));
        Self { file: TraceFile::new(logs), waiting, shown, fault: Mutex::default() }
    }

    /// What kept lines from being written, if anything did.
    pub(crate) fn fault(&self) -> Option<Finding> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let message = format!("`{}` could not be written: {fault}", self.shown);
        let hint = "the log at the destination is complete; see to the installation folder";
        Some(Finding::new(Gravity::Warning, Cause::State, message).hint(hint))
    }

    fn append(&self, line: &str) {
        match self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(waiting) => waiting.push(line.to_owned()),
            None => self.note(self.file.append(line)),
        }
    }

    /// The run has the journal: from here on no other one can be in its window.
    fn begin(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        waiting.into_iter().flatten().for_each(|line| self.note(self.file.append(&line)));
    }

    fn note(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            fault.get_or_insert_with(|| error.to_string());
        }
    }
}

impl EventSink for TraceSink {
    fn event(&self, event: &Event) {
        // Neither comes before the journal's lock.
        if matches!(event, Event::Status(_) | Event::Phase(_)) {
            self.begin();
        }
        match event {
            Event::Log(line) => self.append(line),
            Event::Phase(Phase::Frozen) => self.file.hold(),
            // Thaw always comes; the start of the services is a second chance, should a backend not tell it.
            Event::Thawed(_) | Event::Phase(Phase::Starting) => self.note(self.file.release()),
            Event::Note(_) | Event::Status(_) | Event::Phase(_) | Event::Progress(_) | Event::Server(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sink(logs: std::path::PathBuf) -> TraceSink {
        TraceSink::new(logs)
    }

    #[test]
    fn nothing_is_written_while_the_site_is_frozen() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let sink = sink(folder.path().join("Logs"));
        let content = || std::fs::read_to_string(folder.path().join("Logs/smsbkup.log")).unwrap_or_default();
        sink.event(&Event::Log("before".to_owned()));
        assert_eq!(content(), "", "another run may be in its window");
        sink.event(&Event::Phase(Phase::Preflight));
        assert!(content().contains("before"));
        sink.event(&Event::Phase(Phase::Frozen));
        sink.event(&Event::Log("inside".to_owned()));
        assert!(!content().contains("inside"));
        sink.event(&Event::Thawed(Duration::from_millis(5)));
        assert!(content().contains("inside"), "{}", content());
        assert_eq!(sink.fault(), None);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_a_warning() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let sink = sink(folder.path().join("gone/Logs"));
        sink.event(&Event::Phase(Phase::Preflight));
        sink.event(&Event::Log("lost".to_owned()));
        assert_eq!(sink.fault().map(|finding| finding.gravity), Some(Gravity::Warning));
    }
}
