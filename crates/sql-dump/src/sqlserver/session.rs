//! A connection through ODBC.
//!
//! The low-level statement is used on purpose: the high-level `execute` returns after the first message of a batch and drops the
//! statement, at which the driver sends an attention and SQL Server ends the backup.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use backup_core::cancel::Cancel;
use odbc_api::handles::{SqlResult, Statement, StatementImpl, slice_to_cow_utf8};
use odbc_api::parameter::{VarCell, WideText};
use odbc_api::sys::{HStmt, SQLCancel, SQLExecDirectW};

use crate::ConnectionString;
use crate::odbc::{NoLink, WideLink, record, sql_result, without_origin};

use super::error::SqlServerError;
use super::talk::{Answer, End, Message, Table, Talk};

/// How often a wish to stop is looked for while a statement runs.
const TICK: Duration = Duration::from_millis(100);

/// How long a server may take to answer a login.
const LOGIN_SECONDS: u32 = 30;

/// More results than any batch here has; a driver that goes on longer goes in circles.
const MOST_RESULTS: usize = 10_000;

/// UTF-16 units that are read at once of a value, and a zero behind them. An even number: drivers do not part the two digits of a byte.
const PIECE: usize = 2048 + 1;

/// A connection with a wish to stop that it obeys.
pub(super) struct Session {
    link: WideLink,
    cancel: Cancel,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Connects. The error holds what the driver said, never the connection string.
    pub(super) fn open(string: &ConnectionString, cancel: &Cancel) -> Result<Self, SqlServerError> {
        let link = WideLink::open_wide(string, LOGIN_SECONDS).map_err(|why| match why {
            NoLink::Driver { name, installed } => SqlServerError::NoDriver { name, installed },
            NoLink::Denied(said) => SqlServerError::Denied(said.to_string()),
            NoLink::Other(said) => SqlServerError::Connect(said.to_string()),
        })?;
        Ok(Self { link, cancel: cancel.clone() })
    }

    pub(super) fn link(&self) -> &WideLink {
        &self.link
    }
}

impl Talk for Session {
    fn run(&mut self, sql: &str, heard: &mut dyn FnMut(&Message)) -> Result<Answer, SqlServerError> {
        if self.cancel.is_cancelled() {
            return Err(SqlServerError::Cancelled { what: first_words(sql) });
        }
        let statement = self.link.statement();
        let mut statement = statement.map_err(|said| SqlServerError::Connect(said.to_string()))?;
        let mut answer = Answer { messages: Vec::new(), tables: Vec::new(), end: End::Whole };
        let handle = Running(statement.as_sys());
        let (cancel, was_stopped) = (&self.cancel, &AtomicBool::new(false));
        thread::scope(|scope| {
            // Dropped at the end of this closure, also by a panic, and with it the watching thread ends before the statement does.
            let (running, ended) = channel::<()>();
            let watching = scope.spawn(move || {
                while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    if cancel.is_cancelled() {
                        was_stopped.store(true, Ordering::SeqCst);
                        handle.cancel();
                    }
                }
            });
            read_to_end(&mut statement, sql, &mut answer, heard);
            drop(running);
            // A scope waits for the work of its threads, not for their ends.
            watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        // Some drivers report no error then, only no more results.
        if was_stopped.load(Ordering::SeqCst) {
            return Err(SqlServerError::Cancelled { what: first_words(sql) });
        }
        // Only now: the percents that were heard must not look like a password that is a number.
        for message in &mut answer.messages {
            message.text = self.link.scrub(&message.text);
        }
        Ok(answer)
    }
}

fn first_words(sql: &str) -> String {
    sql.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// A statement that another thread may cancel.
#[derive(Clone, Copy)]
struct Running(HStmt);

// SAFETY: ODBC drivers allow SQLCancel on a statement that another thread executes; nothing else is done with the handle.
#[expect(unsafe_code, reason = "the handle is a pointer")]
unsafe impl Send for Running {}

impl Running {
    #[expect(unsafe_code, reason = "odbc-api has no safe call that cancels")]
    fn cancel(self) {
        // SAFETY: the statement outlives the scope in which this runs. An answer of "error" means that there is nothing to cancel.
        let _nothing_to_cancel = unsafe { SQLCancel(self.0) };
    }
}

/// Executes and goes on until the driver has no more results.
#[expect(
    unsafe_code,
    reason = "odbc-api has no safe call that keeps a statement open until all of its results were read"
)]
fn read_to_end(statement: &mut StatementImpl<'_>, sql: &str, answer: &mut Answer, heard: &mut dyn FnMut(&Message)) {
    let mut result = execute(statement, sql);
    let mut is_first = true;
    for _ in 0..MOST_RESULTS {
        let said = messages(statement);
        let is_out_of_turn = !said.is_empty() && said.iter().all(is_sequence_error);
        // After an error some drivers have more to say and others only that nothing may be asked any more.
        if answer.end != End::Whole && is_out_of_turn {
            return;
        }
        let has_failed = !matches!(result, SqlResult::Success(()) | SqlResult::SuccessWithInfo(()) | SqlResult::NoData);
        let is_silent = said.is_empty();
        note(answer, heard, said, has_failed);
        match result {
            _ if answer.end == End::Lost || (has_failed && is_silent) => return,
            SqlResult::Success(()) | SqlResult::SuccessWithInfo(()) => read_table(statement, answer, heard),
            SqlResult::NoData if !is_first => return,
            _ => {}
        }
        is_first = false;
        // SAFETY: no buffer is bound.
        result = unsafe { statement.more_results() };
    }
    answer.end = End::Failed;
}

/// Sends a batch; no parameter is bound.
#[expect(unsafe_code, reason = "odbc-api sends statements in one kind of text only")]
pub(super) fn execute(statement: &StatementImpl<'_>, sql: &str) -> SqlResult<()> {
    let text: Vec<u16> = sql.encode_utf16().collect();
    let length = i32::try_from(text.len()).expect("no statement is that long");
    // SAFETY: no parameter is bound; the text is as long as it says.
    sql_result(unsafe { SQLExecDirectW(statement.as_sys(), text.as_ptr(), length) }, "SQLExecDirectW")
}

/// HY010 by the driver manager, HY007 by Driver 18.
fn is_sequence_error(message: &Message) -> bool {
    message.state == "HY010" || message.state == "HY007"
}

/// Takes down what was said, and what it means for the batch.
///
/// Both drivers report a connection that is lost between two results as success with information, FreeTDS for ever: so the
/// messages decide, not the return code alone.
fn note(answer: &mut Answer, heard: &mut dyn FnMut(&Message), said: Vec<Message>, has_failed: bool) {
    said.iter().for_each(heard);
    let has_failed = has_failed || said.iter().any(Message::is_error);
    if said.iter().any(Message::is_loss) {
        answer.end = End::Lost;
    } else if has_failed && answer.end == End::Whole {
        answer.end = End::Failed;
    }
    answer.messages.extend(said);
}

/// Reads the rows of the present result, when it has columns.
#[expect(unsafe_code, reason = "rows are fetched from the low-level statement")]
fn read_table(statement: &mut StatementImpl<'_>, answer: &mut Answer, heard: &mut dyn FnMut(&Message)) {
    let (SqlResult::Success(count @ 1..) | SqlResult::SuccessWithInfo(count @ 1..)) = statement.num_result_cols()
    else {
        return;
    };
    let columns = 1..=count.unsigned_abs();
    let mut table = Table { columns: columns.clone().map(|index| name(statement, index)).collect(), rows: Vec::new() };
    loop {
        // SAFETY: no column is bound.
        match unsafe { statement.fetch() } {
            SqlResult::Success(()) => {}
            SqlResult::SuccessWithInfo(()) => note(answer, heard, messages(statement), false),
            SqlResult::NoData => break,
            _ => {
                note(answer, heard, messages(statement), true);
                break;
            }
        }
        let row: Result<Vec<_>, _> = columns.clone().map(|index| value(statement, index)).collect();
        match row {
            Ok(row) => table.rows.push(row),
            Err(said) => {
                note(answer, heard, said, true);
                break;
            }
        }
    }
    answer.tables.push(table);
}

fn name(statement: &mut StatementImpl<'_>, index: u16) -> String {
    let mut name = Vec::with_capacity(128);
    // A column without a name stays without one; nothing here reads such a column.
    let _named = statement.col_name(index, &mut name);
    slice_to_cow_utf8(&name).into_owned()
}

/// A value of the present row as text, of whatever length; in UTF-16, which no driver converts by the locale.
fn value(statement: &mut StatementImpl<'_>, index: u16) -> Result<Option<String>, Vec<Message>> {
    let mut units = Vec::new();
    loop {
        let mut piece: VarCell<Box<[u16]>, WideText> = VarCell::from_vec(vec![0; PIECE]);
        match statement.get_data(index, &mut piece) {
            SqlResult::Success(()) | SqlResult::SuccessWithInfo(()) => {}
            SqlResult::NoData => break,
            _ => return Err(messages(statement)),
        }
        let Some(part) = piece.as_slice() else { return Ok(None) };
        units.extend_from_slice(part);
        if piece.is_complete() {
            break;
        }
    }
    Ok(Some(String::from_utf16_lossy(&units)))
}

/// What the driver has to say about the last call.
pub(super) fn messages(statement: &StatementImpl<'_>) -> Vec<Message> {
    let message = |number| {
        let said = record(statement, number)?;
        Some(Message { number: said.number, text: without_origin(&said.text).to_owned(), state: said.state })
    };
    (1..i16::MAX).map_while(message).collect()
}
