//! One ODBC connection, on which every value travels as text.
//!
//! What a driver says about types is not used: drivers describe `float8` as a 32-bit float, every SQLite integer as a 32-bit one, and
//! unlimited text as 8190 bytes. The caller names the width of each column, and a value that does not fit is an error, whatever the driver returned.

use std::sync::{Mutex, MutexGuard, PoisonError};

use odbc_api::buffers::{CharColumn, ColumnarBuffer};
use odbc_api::{Connection, ConnectionOptions, Cursor, Error, ResultSetMetadata, environment};

use super::connection_string::ConnectionString;
use super::drivers::{installed, located};
use crate::logical::LogicalError;
use crate::text::{Cells, Refusal, TextSession};

type Result<T> = std::result::Result<T, LogicalError>;

/// Bytes of bound buffers. Larger ones fall out of the cache and are slower.
const ROW_SET: usize = 2 << 20;
const CONNECT_SECONDS: u32 = 15;

/// Held while a connection is opened or closed. Drivers set themselves up at the first connection and tear down after the last one, not all of
/// them safely: the MariaDB driver reports "memory allocation error" when another thread is at it.
static COMING_AND_GOING: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    COMING_AND_GOING.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct OdbcConnection {
    /// There until it is dropped.
    connection: Option<Connection<'static>>,
    string: ConnectionString,
    refusal: fn(&str, i32) -> Refusal,
}

impl OdbcConnection {
    pub(super) fn open(string: &ConnectionString, refusal: fn(&str, i32) -> Refusal) -> Result<Self> {
        let _guard = one_at_a_time();
        let manager = environment()
            .map_err(|error| LogicalError::Connect { to: string.to_string(), source: error.to_string().into() })?;
        let options = ConnectionOptions { login_timeout_sec: Some(CONNECT_SECONDS), ..ConnectionOptions::default() };
        let connection = manager.connect_with_connection_string(&located(string).reveal(), options);
        let connection = connection.map_err(|error| connect_error(string, &error))?;
        Ok(Self { connection: Some(connection), string: string.clone(), refusal })
    }

    fn connection(&self) -> &Connection<'static> {
        self.connection.as_ref().expect("only drop takes it")
    }

    /// What the database calls itself.
    pub(super) fn product(&self) -> Result<String> {
        self.connection().database_management_system_name().map_err(|error| self.failed("ask for the product", &error))
    }

    fn failed(&self, action: &str, error: &Error) -> LogicalError {
        let source = || self.string.scrub(&error.to_string()).into();
        let (state, native) = state(error);
        let action = action.to_owned();
        match (self.refusal)(&state, native) {
            Refusal::Gone => LogicalError::Gone { action, source: source() },
            Refusal::Busy => LogicalError::Busy { action, source: source() },
            Refusal::Changed => LogicalError::Changed { table: action, source: source() },
            Refusal::DoesNotFit => LogicalError::DoesNotFit { table: action, source: source() },
            Refusal::Other => LogicalError::Failed { action, source: source() },
        }
    }
}

impl Drop for OdbcConnection {
    fn drop(&mut self) {
        let _guard = one_at_a_time();
        self.connection = None;
    }
}

impl TextSession for OdbcConnection {
    fn run(&mut self, action: &str, sql: &str) -> Result<()> {
        let run = || -> std::result::Result<(), Error> {
            // Some drivers work only while rows are asked for, also where there are none.
            if let Some(mut cursor) = self.connection().execute(sql, (), None)? {
                while cursor.next_row()?.is_some() {}
            }
            Ok(())
        };
        run().map_err(|error| self.failed(action, &error))
    }

    fn fetch(
        &mut self,
        action: &str,
        sql: &str,
        widths: &[usize],
        take: &mut dyn FnMut(&Cells<'_>) -> Result<()>,
    ) -> Result<()> {
        let cursor = self.connection().execute(sql, (), None).map_err(|error| self.failed(action, &error))?;
        let Some(mut cursor) = cursor else { return Ok(()) };
        let columns = cursor.num_result_cols().map_err(|error| self.failed(action, &error))?;
        if usize::try_from(columns).ok() != Some(widths.len()) {
            let source = format!("the driver delivers {columns} columns, not {}", widths.len()).into();
            return Err(LogicalError::Failed { action: action.to_owned(), source });
        }
        let row: usize = widths.iter().map(|width| width + 9).sum();
        let rows = (ROW_SET / row).clamp(1, 2000);
        let bound =
            |(n, width): (usize, &usize)| (u16::try_from(n + 1).unwrap_or(u16::MAX), CharColumn::new(rows, *width));
        let buffer = ColumnarBuffer::new(widths.iter().enumerate().map(bound).collect());
        let mut cursor = cursor.bind_buffer(buffer).map_err(|error| self.failed(action, &error))?;
        while let Some(batch) = cursor.fetch().map_err(|error| self.failed(action, &error))? {
            let columns: Vec<_> = (0..widths.len()).map(|n| batch.column(n)).collect();
            // Some drivers cut a value and return success, so the lengths are looked at whatever the return code was.
            if let Some(n) = columns.iter().position(|column| column.has_truncated_values().is_some()) {
                let (table, column) = (action.to_owned(), format!("column {} of the result", n + 1));
                return Err(LogicalError::Cut { table, column });
            }
            let mut cells: Vec<Option<&[u8]>> = Vec::with_capacity(widths.len());
            for row in 0..batch.num_rows() {
                cells.clear();
                cells.extend(columns.iter().map(|column| column.get(row)));
                take(&cells)?;
            }
        }
        Ok(())
    }
}

fn state(error: &Error) -> (String, i32) {
    match error {
        Error::Diagnostics { record, .. } => (record.state.as_str().to_owned(), record.native_error),
        _ => (String::new(), 0),
    }
}

fn connect_error(string: &ConnectionString, error: &Error) -> LogicalError {
    let source = string.scrub(&error.to_string()).into();
    let to = string.to_string();
    match state(error).0.as_str() {
        // No such data source and no default driver; the driver's library cannot be loaded.
        "IM002" | "01000" | "IM003" => {
            let name = string.get("driver").or(string.get("dsn")).unwrap_or_default().to_owned();
            LogicalError::NoDriver { name, installed: installed() }
        }
        "28000" | "28P01" => LogicalError::Denied { to, source },
        _ if denied(error) => LogicalError::Denied { to, source },
        _ => LogicalError::Connect { to, source },
    }
}

/// psqlODBC and the MariaDB driver report a refused login as a failed connection, with the server's text.
fn denied(error: &Error) -> bool {
    let text = error.to_string();
    state(error).1 == 1045 || text.contains("password authentication failed") || text.contains("Access denied for user")
}
