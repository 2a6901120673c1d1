//! The one place that writes to standard output and standard error.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use backup_core::report::{Finding, Gravity};

use super::{Answer, Notice, json};
use crate::error::CommandError;
use crate::exit::Exit;

/// Prints answers and errors. A reader that has gone away is no error: nobody is left to be told.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    json: bool,
    quiet: bool,
    colour: bool,
}

/// Bold red, bold yellow, bold cyan, and the end of it.
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[1;36m";
const PLAIN: &str = "\x1b[0m";

impl Printer {
    /// A printer for this process; colours only on a terminal, and not with NO_COLOR.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, quiet, colour: wanted && io::stderr().is_terminal() }
    }

    /// Prints an answer and returns its exit code.
    pub(crate) fn answer(&self, command: &str, answer: &Answer) -> Exit {
        if self.json {
            let findings: Vec<&Finding> = answer.notices.iter().map(|notice| &notice.finding).collect();
            out(json::envelope(command, &answer.result, &findings, answer.exit));
        } else {
            err(&self.notices(&answer.notices));
            out(&answer.text);
        }
        answer.exit
    }

    /// Prints an error and returns its exit code.
    pub(crate) fn error(&self, command: &str, error: &CommandError) -> Exit {
        if self.json {
            let own = error.finding();
            let findings = error.notices.iter().map(|notice| &notice.finding).chain([&own]).collect::<Vec<_>>();
            out(json::envelope(command, &serde_json::Value::Null, &findings, error.kind));
        } else {
            err(&self.notices(&error.notices));
            err(&self.error_text(error));
        }
        error.kind
    }

    fn error_text(&self, error: &CommandError) -> String {
        let mut messages = error.messages().into_iter();
        let mut text = format!("{} {}\n", self.label(Gravity::Error), messages.next().unwrap_or_default());
        for cause in messages {
            _ = writeln!(text, "  because: {cause}");
        }
        for hint in &error.hints {
            _ = writeln!(text, "{} {hint}", self.paint(CYAN, "hint:"));
        }
        text
    }

    /// Findings as lines; `--quiet` leaves only errors. A hint that many share is given once, behind the last of them, and what several
    /// steps ran into is said once.
    fn notices(&self, notices: &[Notice]) -> String {
        let mut said = HashSet::new();
        let told = |notice: &&Notice| {
            let wanted = !self.quiet || notice.finding.gravity == Gravity::Error;
            wanted && said.insert(notice.finding.message.clone())
        };
        let notices: Vec<&Notice> = notices.iter().filter(told).collect();
        let mut text = String::new();
        for (n, notice) in notices.iter().enumerate() {
            let finding = &notice.finding;
            match &notice.shown {
                Some(shown) => text.push_str(shown),
                None => _ = writeln!(text, "{} {}", self.label(finding.gravity), finding.message),
            }
            let is_last = notices.get(n + 1).is_none_or(|next| next.finding.hint != finding.hint);
            if let Some(hint) = finding.hint.as_ref().filter(|_| is_last && notice.shown.is_none()) {
                _ = writeln!(text, "{} {hint}", self.paint(CYAN, "hint:"));
            }
        }
        text
    }

    fn label(&self, gravity: Gravity) -> String {
        match gravity {
            Gravity::Note => self.paint(CYAN, "note:"),
            Gravity::Warning => self.paint(YELLOW, "warning:"),
            Gravity::Error => self.paint(RED, "error:"),
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}{PLAIN}") } else { text.to_owned() }
    }
}

#[cfg(test)]
impl Printer {
    /// What an answer looks like on both streams, for tests.
    pub(crate) fn shown(command: &str, answer: &Answer) -> String {
        let printer = Self { json: false, quiet: false, colour: false };
        let text = String::from_utf8_lossy(&answer.text);
        let notices = printer.notices(&answer.notices);
        format!("$ sitebackup {command}\n{notices}{text}[{}]\n", answer.exit.name())
    }

    /// What an error looks like, for tests.
    pub(crate) fn shown_error(command: &str, error: &CommandError) -> String {
        let printer = Self { json: false, quiet: false, colour: false };
        let notices = printer.notices(&error.notices);
        format!("$ sitebackup {command}\n{notices}{}[{}]\n", printer.error_text(error), error.kind.name())
    }
}

fn out(bytes: impl AsRef<[u8]>) {
    let mut stdout = io::stdout().lock();
    let _nobody_reads = stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush());
}

/// Writes a part of a result that is too long to be held; returns whether somebody still reads.
pub(crate) fn stream(bytes: &[u8]) -> bool {
    io::stdout().lock().write_all(bytes).is_ok()
}

/// Writes to standard error at once.
pub(crate) fn err(text: &str) {
    let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
}
