//! What a PostgreSQL server says when it refuses.

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

use super::wire::WireError;
use crate::logical::LogicalError;

/// An error of the server: message, SQLSTATE, and where in the rows it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code}){}", context.as_ref().map(|context| format!(": {context}")).unwrap_or_default())]
pub(super) struct ServerError {
    pub(super) code: String,
    pub(super) message: String,
    context: Option<String>,
}

impl ServerError {
    pub(super) fn read(body: &ErrorResponseBody) -> Self {
        let mut error = Self { code: String::new(), message: String::new(), context: None };
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.code = value(),
                b'M' => error.message = value(),
                b'W' => error.context = Some(value()),
                _ => {}
            }
        }
        error
    }

    /// Whether user or password were refused.
    pub(super) fn is_login(&self) -> bool {
        self.code.starts_with("28")
    }
}

/// What a failure means for the dump or restore.
pub(super) fn judge(error: WireError, action: &str, table: Option<&str>) -> LogicalError {
    let (action, table) = (action.to_owned(), table.map(str::to_owned));
    match error {
        WireError::Consumer(error) => error,
        WireError::Io(source) => LogicalError::Gone { action, source: Box::new(source) },
        WireError::Server(error) => match (error.code.as_str(), table) {
            // Shut down by an administrator, crashed, cannot connect now; connection exceptions.
            ("57P01" | "57P02" | "57P03", _) => LogicalError::Gone { action, source: Box::new(error) },
            (code, _) if code.starts_with("08") => LogicalError::Gone { action, source: Box::new(error) },
            // Lock not available, deadlock, cancelled by a limit.
            ("55P03" | "40P01" | "57014", _) => LogicalError::Busy { action, source: Box::new(error) },
            // Undefined table, column, schema; a snapshot that is too old.
            ("42P01" | "42703" | "3F000" | "72000", Some(table)) => {
                LogicalError::Changed { table, source: Box::new(error) }
            }
            _ => LogicalError::Failed { action, source: Box::new(error) },
        },
    }
}

/// What a failure while rows are loaded means: data exceptions and broken constraints are the rows' fault.
pub(super) fn judge_load(error: WireError, table: &str) -> LogicalError {
    match error {
        WireError::Server(error) if ["22", "23"].iter().any(|class| error.code.starts_with(class)) => {
            LogicalError::DoesNotFit { table: table.to_owned(), source: Box::new(error) }
        }
        error => judge(error, &format!("load rows into `{table}`"), None),
    }
}
