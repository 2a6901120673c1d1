//! The SQLite that the program carries, as a [`TextSession`].

use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Result, stored};
use crate::logical::LogicalError;
use crate::logical::catalog::Table;
use crate::logical::chunk::RowWriter;
use crate::logical::seam::Part;
use crate::text::{Cells, TextSession};

/// How long another program's lock is waited for.
const BUSY_LIMIT: Duration = Duration::from_secs(5);

pub(super) struct EmbeddedSqlite {
    connection: Connection,
}

impl EmbeddedSqlite {
    pub(super) fn open(file: &str, create: bool) -> Result<Self> {
        let connect = |source: rusqlite::Error| LogicalError::Connect { to: file.to_owned(), source: Box::new(source) };
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
        let connection = Connection::open_with_flags(file, flags).map_err(connect)?;
        connection.busy_timeout(BUSY_LIMIT).map_err(connect)?;
        connection.pragma_update(None, "foreign_keys", false).map_err(connect)?;
        Ok(Self { connection })
    }
}

pub(super) fn failed(action: &str, error: rusqlite::Error) -> LogicalError {
    let (action, code) = (action.to_owned(), error.sqlite_error_code());
    let source = Box::new(error);
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LogicalError::Busy { action, source },
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            LogicalError::DoesNotFit { table: action, source }
        }
        _ => LogicalError::Failed { action, source },
    }
}

impl TextSession for EmbeddedSqlite {
    fn run(&mut self, action: &str, sql: &str) -> Result<()> {
        let run = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        };
        run().map_err(|error| failed(action, error))
    }

    fn fetch(
        &mut self,
        action: &str,
        sql: &str,
        widths: &[usize],
        take: &mut dyn FnMut(&Cells<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut statement = self.connection.prepare(sql).map_err(|error| failed(action, error))?;
        let mut rows = statement.query([]).map_err(|error| failed(action, error))?;
        while let Some(row) = rows.next().map_err(|error| failed(action, error))? {
            let value = |n: usize| row.get_ref(n).map_err(|error| failed(action, error));
            let mut numbers = Vec::new();
            for n in 0..widths.len() {
                numbers.push(match value(n)? {
                    ValueRef::Integer(number) => Some(number.to_string()),
                    ValueRef::Real(number) => Some(number.to_string()),
                    _ => None,
                });
            }
            let mut cells = Vec::with_capacity(widths.len());
            for (n, number) in numbers.iter().enumerate() {
                cells.push(match value(n)? {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes),
                    _ => number.as_ref().map(String::as_bytes),
                });
            }
            take(&cells)?;
        }
        Ok(())
    }

    fn read_stored(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<bool> {
        stored::read(&self.connection, table, part, rows)
    }
}
