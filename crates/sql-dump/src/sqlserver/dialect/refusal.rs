//! What an error of the server means for a dump or a restore.

use crate::logical::LogicalError;
use crate::sqlserver::error::SqlServerError;
use crate::sqlserver::talk::Message;

/// The session is killed, the server shuts down.
const GONE: &[i32] = &[596, 6005, 6006, 17142, 4014, 10054];
/// Deadlock, lock timeout.
const BUSY: &[i32] = &[1205, 1222];
/// No such object, no such column, definition changed since the snapshot transaction began, not bound, snapshot in restart.
const CHANGED: &[i32] = &[208, 207, 3961, 4413, 4902, 2812];
/// Duplicate key, conflict with a constraint, NULL, too long, overflow, out of range, not convertible, not XML.
const DOES_NOT_FIT: &[i32] = &[
    2627, 2601, 547, 515, 8152, 2628, 8115, 220, 232, 244, 248, 245, 8114, 241, 242, 295, 296, 8169, 8170, 511, 6522,
    9400, 9402, 9420, 9455, 1505,
];

/// The error for `action`, by the first number of the server that says something.
pub(super) fn refused(action: &str, error: SqlServerError) -> LogicalError {
    let number = match &error {
        SqlServerError::Refused { messages, .. } => {
            messages.iter().filter(|message| message.is_error()).map(|message| message.number).next()
        }
        _ => None,
    };
    let lost = matches!(error, SqlServerError::Lost { .. });
    let (action, source) = (action.to_owned(), Box::new(error));
    match number.unwrap_or(0) {
        number if lost || GONE.contains(&number) => LogicalError::Gone { action, source },
        number if BUSY.contains(&number) => LogicalError::Busy { action, source },
        number if CHANGED.contains(&number) => LogicalError::Changed { table: action, source },
        number if DOES_NOT_FIT.contains(&number) => LogicalError::DoesNotFit { table: action, source },
        _ => LogicalError::Failed { action, source },
    }
}

/// The error for messages of a statement whose rows were being read.
pub(super) fn judged(action: &str, messages: Vec<Message>) -> LogicalError {
    let what = action.to_owned();
    let error = if messages.iter().any(Message::is_loss) {
        SqlServerError::Lost { what, messages }
    } else {
        SqlServerError::Refused { what, messages }
    };
    refused(action, error)
}
