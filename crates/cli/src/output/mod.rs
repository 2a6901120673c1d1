//! What a command says: the result on standard output, everything else on standard error, or all of it as one JSON object.

pub(crate) mod human;
pub(crate) mod json;
mod printer;
pub(crate) mod progress;

use backup_core::report::Finding;
use serde_json::Value;

pub(crate) use printer::{Printer, stream};

use crate::exit::Exit;

/// A finding, and how a person is shown it where that is more than its message.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// What was found.
    pub(crate) finding: Finding,
    /// The text for a person.
    pub(crate) shown: Option<String>,
}

impl From<Finding> for Notice {
    fn from(finding: Finding) -> Self {
        Self { finding, shown: None }
    }
}

/// The result of a command, in both forms.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// For a person, with line ends; bytes, since a control file keeps its own encoding.
    pub(crate) text: Vec<u8>,
    /// For a program; its fields are listed in [`json::fields`].
    pub(crate) result: Value,
    /// What was found.
    pub(crate) notices: Vec<Notice>,
    /// The exit code.
    pub(crate) exit: Exit,
}

impl Answer {
    /// An answer that all is done as asked.
    pub(crate) fn new(text: impl Into<Vec<u8>>, result: Value) -> Self {
        Self { text: text.into(), result, notices: Vec::new(), exit: Exit::DONE }
    }

    /// The same with findings.
    #[must_use]
    pub(crate) fn with(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.notices.extend(findings.into_iter().map(Notice::from));
        self
    }

    /// The same with findings told first.
    #[must_use]
    pub(crate) fn after(mut self, mut notices: Vec<Notice>) -> Self {
        notices.append(&mut self.notices);
        self.notices = notices;
        self
    }

    /// The same with an exit code.
    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}
