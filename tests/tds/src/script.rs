//! What the server answers: statements by their beginning or by a test, each with a list of steps.

use std::fmt;
use std::sync::Mutex;

use crate::heard::Gate;
use crate::types::Column;
use crate::values::Value;

/// One thing that the server does in answer to a batch.
#[derive(Debug, Clone)]
pub enum Step {
    /// A message without harm, such as the percents of a backup.
    Info {
        /// Its number.
        number: i32,
        /// Its text.
        text: String,
    },
    /// An error; its severity is 16.
    Error {
        /// Its number.
        number: i32,
        /// Its text.
        text: String,
    },
    /// Columns and rows.
    Table {
        /// The columns.
        columns: Vec<Column>,
        /// The rows, each with as many values as there are columns.
        rows: Vec<Vec<Value>>,
        /// Whether rows go out as NBCROW, with a bitmap of their NULLs.
        compressed: bool,
    },
    /// The end of a statement; another one follows.
    More,
    /// The end of the answer.
    Done,
    /// What was said so far goes out to the client now, without an end.
    Flush,
    /// Waits until the test opens the gate or the client asks to stop.
    Wait(Gate),
    /// Waits until the client asks to stop.
    WaitForAttention,
    /// Cuts the connection.
    Drop,
}

/// A message without harm.
pub fn info(number: i32, text: &str) -> Step {
    Step::Info { number, text: text.to_owned() }
}

/// An error of severity 16.
pub fn error(number: i32, text: &str) -> Step {
    Step::Error { number, text: text.to_owned() }
}

/// Columns and rows.
pub fn table(columns: Vec<Column>, rows: Vec<Vec<Value>>) -> Step {
    Step::Table { columns, rows, compressed: false }
}

/// The end of a statement; another one follows.
pub fn more() -> Step {
    Step::More
}

/// The end of the answer.
pub fn done() -> Step {
    Step::Done
}

type Answer = Box<dyn FnMut(&str) -> Option<Vec<Step>> + Send>;

/// What the server answers. The rule that was added last is asked first.
///
/// A batch that no rule knows is an error, but for those that drivers send of their own accord.
pub struct Script {
    rules: Mutex<Vec<Answer>>,
    password: String,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Script {
    /// The password that a script takes unless it is told another.
    pub const PASSWORD: &str = "Sword.0f-Pass";

    /// A script that answers nothing yet.
    pub fn new() -> Self {
        Self { rules: Mutex::default(), password: Self::PASSWORD.to_owned() }
    }

    /// Takes no password but this one.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Answers batches that begin with `prefix`.
    #[must_use]
    pub fn on(self, prefix: &str, steps: Vec<Step>) -> Self {
        let prefix = prefix.to_owned();
        self.when(move |sql| sql.trim_start().starts_with(&prefix).then(|| steps.clone()))
    }

    /// Answers batches that hold `part`.
    #[must_use]
    pub fn on_part(self, part: &str, steps: Vec<Step>) -> Self {
        let part = part.to_owned();
        self.when(move |sql| sql.contains(&part).then(|| steps.clone()))
    }

    /// Answers batches as `answer` says; `None` leaves a batch to the other rules.
    #[must_use]
    pub fn when(self, answer: impl FnMut(&str) -> Option<Vec<Step>> + Send + 'static) -> Self {
        self.rules.lock().expect("no rule panicked").push(Box::new(answer));
        self
    }

    pub(crate) fn takes(&self, password: &str) -> bool {
        self.password == password
    }

    pub(crate) fn answer(&self, sql: &str) -> Vec<Step> {
        let mut rules = self.rules.lock().expect("no rule panicked");
        if let Some(steps) = rules.iter_mut().rev().find_map(|rule| rule(sql)) {
            return steps;
        }
        if is_a_drivers(sql) {
            return vec![done()];
        }
        vec![error(50000, &format!("the script has no answer to: {sql}")), done()]
    }
}

/// Whether drivers send such a batch of their own accord.
pub(crate) fn is_a_drivers(sql: &str) -> bool {
    let sql = sql.trim_start().to_ascii_uppercase();
    ["SET ", "USE ", "IF @@TRANCOUNT"].iter().any(|own| sql.starts_with(own))
}
