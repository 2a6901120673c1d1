//! Why a logical dump, restore or verification ended, by what the caller can do about it.

use std::io;

use crate::odbc::ConnectionStringError;

/// What an engine, a driver or the system said. Never holds a password.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a logical dump, restore or verification ended.
#[derive(Debug, thiserror::Error)]
pub enum LogicalError {
    /// The address of the database cannot be read.
    #[error("the address of the database cannot be used: {0}")]
    Address(String),
    /// Nobody answers there.
    #[error("failed to connect to `{to}`")]
    Connect {
        /// The address, without its password.
        to: String,
        /// The reason.
        source: Source,
    },
    /// The server refused the user or the password.
    #[error("`{to}` refused the user or the password")]
    Denied {
        /// The address, without its password.
        to: String,
        /// The reason.
        source: Source,
    },
    /// The connection string names a driver that is not installed.
    #[error("no ODBC driver `{name}` is installed; there are: {}", list(installed))]
    NoDriver {
        /// The driver asked for.
        name: String,
        /// Those that the driver manager knows.
        installed: Vec<String>,
    },
    /// The connection ended in the middle of the work. A dump starts anew, a restore can go on.
    #[error("the server went away while it was asked to {action}")]
    Gone {
        /// What was tried.
        action: String,
        /// The reason.
        source: Source,
    },
    /// A lock was not granted within the limit.
    #[error("another program holds a lock that is needed to {action}")]
    Busy {
        /// What was tried.
        action: String,
        /// The reason.
        source: Source,
    },
    /// A table was dropped, altered or emptied by other means than deleting rows after the moment was pinned: it cannot be read as of that moment.
    #[error("`{table}` was dropped or altered while it was dumped")]
    Changed {
        /// The table.
        table: String,
        /// The reason.
        source: Source,
    },
    /// The database to restore into holds something already.
    #[error("the database to restore into is not empty: it holds {found}")]
    NotEmpty {
        /// An example of what is there.
        found: String,
    },
    /// The folder holds no complete dump: there is no manifest.
    #[error("there is no complete dump: `manifest.json` is missing")]
    Incomplete,
    /// A file of the dump is not what was written.
    #[error("`{file}` of the dump is damaged: {fault}")]
    Damaged {
        /// The file, below the folder of the dump.
        file: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The target cannot hold a value or a row that the dump holds.
    #[error("the database to restore into cannot hold a row of `{table}`")]
    DoesNotFit {
        /// The table.
        table: String,
        /// The reason.
        source: Source,
    },
    /// What is in the target after the restore is not what is in the dump.
    #[error("`{table}` holds other rows after the restore than the dump: {fault}")]
    Differs {
        /// The table.
        table: String,
        /// What differs.
        fault: String,
    },
    /// A driver cut a value short, or converted it so that it is not the value of the database.
    #[error("the driver did not deliver `{column}` of `{table}` whole")]
    Cut {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// This cannot be done with this server, driver or dump.
    #[error("{0}")]
    Unsupported(String),
    /// A file of the dump could not be written; a full disk, say. What was written is no dump: it has no manifest.
    #[error("failed to write `{file}` of the dump")]
    Write {
        /// The file, below the folder of the dump.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// A file of the dump could not be read.
    #[error("failed to read `{file}` of the dump")]
    Read {
        /// The file, below the folder of the dump.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// Somebody wished it, or another connection of the same dump or restore failed first.
    #[error("stopped before it was done")]
    Stopped,
    /// The server refused something else.
    #[error("failed to {action}")]
    Failed {
        /// What was tried.
        action: String,
        /// The reason.
        source: Source,
    },
}

impl LogicalError {
    /// The same, said of this table: connections do not know which one a statement is for.
    pub(crate) fn about(self, title: &str) -> Self {
        let table = title.to_owned();
        match self {
            Self::Changed { source, .. } => Self::Changed { table, source },
            Self::DoesNotFit { source, .. } => Self::DoesNotFit { table, source },
            Self::Cut { column, .. } => Self::Cut { table, column },
            other => other,
        }
    }
}

impl From<ConnectionStringError> for LogicalError {
    fn from(error: ConnectionStringError) -> Self {
        Self::Address(error.to_string())
    }
}

/// Names in one line.
pub(crate) fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
