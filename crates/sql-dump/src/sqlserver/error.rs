//! Why a native backup or restore did not happen, by what the caller can do about it.

use std::fmt::Write;

use super::talk::Message;
use crate::logical::list;

/// Why something asked of SQL Server was not done.
#[derive(Debug, thiserror::Error)]
pub enum SqlServerError {
    /// The connection string names a driver or a data source that is not there.
    #[error("no ODBC driver `{name}` is installed; there are: {}", list(.installed))]
    NoDriver {
        /// What was asked for.
        name: String,
        /// The drivers that the driver manager knows.
        installed: Vec<String>,
    },
    /// The server refused the user or the password.
    #[error("SQL Server refused the user or the password: {0}")]
    Denied(String),
    /// No connection came about.
    #[error("failed to connect to SQL Server: {0}")]
    Connect(String),
    /// The server said no.
    #[error("SQL Server refused to {what}: {}", errors(.messages))]
    Refused {
        /// What was asked.
        what: String,
        /// All that it said, errors and others, in the order of the driver.
        messages: Vec<Message>,
    },
    /// The connection went away in the middle.
    #[error("the connection to SQL Server was lost while it was to {what}: {}", errors(.messages))]
    Lost {
        /// What was asked.
        what: String,
        /// All that it said until then.
        messages: Vec<Message>,
    },
    /// Somebody asked to stop.
    #[error("stopped while SQL Server was to {what}, as asked")]
    Cancelled {
        /// What was asked.
        what: String,
    },
    /// Nothing failed, and yet the work is not proven done.
    #[error("SQL Server reported no error, but {what} is not proven: {why}")]
    Unproven {
        /// What was done.
        what: String,
        /// What is missing.
        why: String,
    },
    /// The database is not there.
    #[error("SQL Server has no database `{0}`")]
    Missing(String),
    /// A database of the name of the one that is to be made is there.
    #[error("database `{0}` exists already on the server")]
    Exists(String),
    /// A file is where the server would write one.
    #[error("`{0}` exists already on the server")]
    FileExists(String),
    /// The server cannot do what was asked.
    #[error("{0}")]
    Unsupported(String),
    /// Another replica of the availability group is to do it.
    #[error("{0}")]
    NotThisReplica(String),
}

/// The errors among messages in one line, all of them: the first says why, the last only that it ended.
fn errors(messages: &[Message]) -> String {
    let mut line = String::new();
    for message in messages.iter().filter(|message| message.is_error()) {
        let comma = if line.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        _ = write!(line, "{comma}{} {}", message.number, message.text);
    }
    if line.is_empty() { "it did not say why".to_owned() } else { line }
}
