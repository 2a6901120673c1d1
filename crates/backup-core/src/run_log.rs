//! The log and the status messages of one run: told to the user interface at once, kept for `smsbkup.log`.

use std::sync::{Arc, Mutex};

use crate::copy::chain;
use crate::event::{Event, EventSink};
use crate::ports::Ports;
use crate::report::{Cause, Finding, Gravity};
use crate::snapshot::RunId;
use crate::status::{MessageKind, ProcessFacts, StatusMessage};
use crate::trace;

/// Passes events on, but keeps notes: nothing is written to a log inside the freeze window, where they may come.
#[derive(Debug)]
pub(crate) struct NoteKeeper {
    events: Arc<dyn EventSink>,
    notes: Mutex<Vec<String>>,
}

impl NoteKeeper {
    pub(crate) fn new(events: Arc<dyn EventSink>) -> Self {
        Self { events, notes: Mutex::default() }
    }

    /// The notes since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().expect("nobody panics with the notes locked"))
    }
}

impl EventSink for NoteKeeper {
    fn event(&self, event: &Event) {
        match event {
            Event::Note(note) => self.notes.lock().expect("nobody panics with the notes locked").push(note.clone()),
            event => self.events.event(event),
        }
    }
}

/// Collects the lines of a run.
#[derive(Debug)]
pub(crate) struct RunLog {
    ports: Ports,
    process: ProcessFacts,
    site: String,
    run: RunId,
    text: String,
    pub(crate) findings: Vec<Finding>,
}

impl RunLog {
    pub(crate) fn new(ports: Ports, process: ProcessFacts, site: String, run: RunId) -> Self {
        Self { ports, process, site, run, text: String::new(), findings: Vec::new() }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, text: &str) {
        let clock = &self.ports.clock;
        let line = trace::line(text, clock.now(), &clock.local_zone(), self.process.thread);
        self.text.push_str(&line);
        self.text.push_str("\r\n");
        self.ports.events.event(&Event::Log(line));
    }

    /// Adds a finding, and a line that viewers colour by its first word.
    pub(crate) fn finding(&mut self, finding: Finding) {
        let word = match finding.gravity {
            Gravity::Note => "Info",
            Gravity::Warning => "Warning",
            Gravity::Error => "Error",
        };
        self.line(&format!("{word}: {}", finding.message));
        self.findings.push(finding);
    }

    /// Sends a status message: to the status log, to the log as a STATMSG line, to the user interface.
    pub(crate) async fn status(&mut self, kind: MessageKind, details: Vec<String>) {
        let message = StatusMessage {
            id: kind.id,
            severity: kind.severity,
            at: self.ports.clock.now(),
            site: self.site.clone(),
            run: self.run,
            details,
        };
        self.line(&message.statmsg_line(&self.process));
        if let Err(error) = self.ports.status_log.append(&message).await {
            self.finding(Finding::new(Gravity::Warning, Cause::State, chain(&error)));
        }
        self.ports.events.event(&Event::Status(message));
    }

    /// The log so far.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }
}
