//! What is said over a connection: a batch there, messages and tables back, all of them, to the end.

use super::error::SqlServerError;

/// A message of the server or of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The server's number, such as 3014; 0 for what a driver says itself.
    pub number: i32,
    /// SQLSTATE; class 01 is no error.
    pub state: String,
    /// The text, without the names of drivers in front of it.
    pub text: String,
}

impl Message {
    /// Whether it says that something failed.
    pub fn is_error(&self) -> bool {
        !self.state.starts_with("00") && !self.state.starts_with("01")
    }

    /// Whether it says that the connection is gone. FreeTDS says so in numbers of its own, under a state of warnings.
    pub(super) fn is_loss(&self) -> bool {
        self.state.starts_with("08") || self.state == "HYT01" || FREETDS_LOSSES.contains(&self.number)
    }

    /// The share of work done, when it is such a message.
    ///
    /// The number is the same in all languages of the server, and the text begins with the percents in those that were seen.
    pub fn percent(&self) -> Option<u8> {
        let digits = self.text.split(|character: char| !character.is_ascii_digit()).find(|part| !part.is_empty())?;
        (self.number == PERCENT).then(|| digits.parse().ok().map(|percent: u8| percent.min(100)))?
    }
}

/// "n percent processed."
pub(super) const PERCENT: i32 = 3211;
/// "BACKUP DATABASE successfully processed …", and the same of a restore.
pub(super) const PROCESSED: i32 = 3014;
/// "The backup set on file n is valid."
pub(super) const VALID: i32 = 3262;

/// Timed out, not read, not written, end of file, connection dead.
const FREETDS_LOSSES: [i32; 5] = [20003, 20004, 20006, 20017, 20047];

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Everything that the server said was read, and no error was in it.
    Whole,
    /// An error.
    Failed,
    /// The connection was lost.
    Lost,
}

/// Rows as text, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// A row of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a [String],
    values: &'a [Option<String>],
}

impl Row<'_> {
    /// The value of a column; `None` for NULL and for a column that is not there.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        self.values.get(index)?.as_deref()
    }

    pub(super) fn text(&self, column: &str) -> String {
        self.get(column).unwrap_or_default().to_owned()
    }

    /// Whether a bit is set; one that is NULL or absent is not.
    pub(super) fn is_set(&self, column: &str) -> bool {
        self.get(column).is_some_and(|value| value != "0")
    }

    pub(super) fn number(&self, column: &str) -> Option<u64> {
        self.get(column)?.parse().ok()
    }
}

/// Everything that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) messages: Vec<Message>,
    pub(super) tables: Vec<Table>,
    pub(super) end: End,
}

impl Answer {
    /// The answer, or why there is none. `what` completes "SQL Server refused to".
    pub(super) fn whole(self, what: &str) -> Result<Self, SqlServerError> {
        match self.end {
            End::Whole => Ok(self),
            End::Failed => Err(SqlServerError::Refused { what: what.to_owned(), messages: self.messages }),
            End::Lost => Err(SqlServerError::Lost { what: what.to_owned(), messages: self.messages }),
        }
    }

    pub(super) fn has(&self, number: i32) -> bool {
        self.messages.iter().any(|message| message.number == number)
    }

    /// The rows of the first table.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.tables
            .iter()
            .take(1)
            .flat_map(|table| table.rows.iter().map(|values| Row { columns: &table.columns, values }))
    }

    pub(super) fn first(&self) -> Option<Row<'_>> {
        self.rows().next()
    }
}

/// A connection. A batch is always read to its end: giving up earlier would make the driver cancel it.
pub(super) trait Talk {
    /// Sends a batch and hands over each message when it arrives. An error of the server is in the answer, not `Err`.
    fn run(&mut self, sql: &str, heard: &mut dyn FnMut(&Message)) -> Result<Answer, SqlServerError>;

    /// Sends a batch whose answer is wanted whole. `what` completes "SQL Server refused to".
    fn ask(&mut self, sql: &str, what: &str) -> Result<Answer, SqlServerError> {
        self.run(sql, &mut |_| {})?.whole(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: i32, state: &str, text: &str) -> Message {
        Message { number, state: state.to_owned(), text: text.to_owned() }
    }

    /// In any language, and of nothing but such messages.
    #[test]
    fn percents_are_read_from_their_own_messages() {
        for (number, text, percent) in [
            (PERCENT, "50 percent processed.", Some(50)),
            (PERCENT, "100 Prozent verarbeitet.", Some(100)),
            (PERCENT, "250 percent processed.", Some(100)),
            (PERCENT, "percent", None),
            (PROCESSED, "BACKUP DATABASE successfully processed 12 pages", None),
        ] {
            assert_eq!(message(number, "01000", text).percent(), percent, "{number} {text}");
        }
    }

    /// FreeTDS says so under a state of warnings.
    #[test]
    fn a_lost_connection_is_known_by_state_or_number() {
        for (number, state) in [(0, "08S01"), (10054, "08001"), (0, "HYT01"), (20017, "01000"), (20047, "01000")] {
            assert!(message(number, state, "").is_loss(), "{number} {state}");
        }
        for (number, state) in [(PERCENT, "01000"), (3013, "42000"), (0, "HYT00"), (20018, "01000")] {
            assert!(!message(number, state, "").is_loss(), "{number} {state}");
        }
    }
}
