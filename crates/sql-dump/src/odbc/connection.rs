//! One ODBC connection, on which every value travels as text.
//!
//! What a driver says about types is not used: drivers describe `float8` as a 32-bit float, every SQLite integer as a 32-bit one, and
//! unlimited text as 8190 bytes. The caller names the width of each column, and a value that does not fit is an error, whatever the driver returned.

use odbc_api::buffers::{CharColumn, ColumnarBuffer};
use odbc_api::{Connection, Cursor, Error, ResultSetMetadata};

use super::connection_string::ConnectionString;
use super::link::{ByteLink, NoLink};
use crate::logical::LogicalError;
use crate::text::{Cells, Refusal, TextSession};

type Result<T> = std::result::Result<T, LogicalError>;

/// Bytes of bound buffers. Larger ones fall out of the cache and are slower.
const ROW_SET: usize = 2 << 20;
const LOGIN_SECONDS: u32 = 15;

type RowSet = ColumnarBuffer<CharColumn>;

pub(super) struct OdbcConnection {
    link: ByteLink,
    /// The buffer of the last query with the widths that it was made for: pages come by the hundred, and a new one is cleared each time.
    spare: Option<(Vec<usize>, RowSet)>,
    refusal: fn(&str, i32) -> Refusal,
}

impl OdbcConnection {
    pub(super) fn open(string: &ConnectionString, refusal: fn(&str, i32) -> Refusal) -> Result<Self> {
        let link = ByteLink::open(string, LOGIN_SECONDS).map_err(|why| no_connection(string, why))?;
        Ok(Self { link, spare: None, refusal })
    }

    fn connection(&self) -> &Connection<'static> {
        self.link.connection()
    }

    /// What the database calls itself.
    pub(super) fn product(&self) -> Result<String> {
        self.connection().database_management_system_name().map_err(|error| self.failed("ask for the product", &error))
    }

    fn failed(&self, action: &str, error: &Error) -> LogicalError {
        let said = self.link.said(error);
        let refusal = (self.refusal)(&said.state, said.number);
        let (action, source) = (action.to_owned(), Box::new(said));
        match refusal {
            Refusal::Gone => LogicalError::Gone { action, source },
            Refusal::Busy => LogicalError::Busy { action, source },
            Refusal::Changed => LogicalError::Changed { table: action, source },
            Refusal::DoesNotFit => LogicalError::DoesNotFit { table: action, source },
            Refusal::Other => LogicalError::Failed { action, source },
        }
    }

    /// Returns the buffer that it used, which is the one that it was given, if any.
    fn fetch_with(
        &self,
        buffer: Option<RowSet>,
        action: &str,
        sql: &str,
        widths: &[usize],
        take: &mut dyn FnMut(&Cells<'_>) -> Result<()>,
    ) -> Result<Option<RowSet>> {
        let failed = |error: Error| self.failed(action, &error);
        let Some(mut cursor) = self.connection().execute(sql, (), None).map_err(failed)? else { return Ok(None) };
        let columns = cursor.num_result_cols().map_err(failed)?;
        if usize::try_from(columns).ok() != Some(widths.len()) {
            let source = format!("the driver delivers {columns} columns, not {}", widths.len()).into();
            return Err(LogicalError::Failed { action: action.to_owned(), source });
        }
        let mut cursor = cursor.bind_buffer(buffer.unwrap_or_else(|| row_set(widths))).map_err(failed)?;
        while let Some(batch) = cursor.fetch().map_err(failed)? {
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
        cursor.unbind().map(|(_, buffer)| Some(buffer)).map_err(failed)
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
        let spare = self.spare.take().filter(|(made_for, _)| made_for == widths);
        let buffer = self.fetch_with(spare.map(|(_, buffer)| buffer), action, sql, widths, take)?;
        self.spare = buffer.map(|buffer| (widths.to_vec(), buffer));
        Ok(())
    }
}

fn row_set(widths: &[usize]) -> RowSet {
    let row: usize = widths.iter().map(|width| width + 9).sum();
    let rows = (ROW_SET / row).clamp(1, 2000);
    let bound = |(n, width): (usize, &usize)| (u16::try_from(n + 1).unwrap_or(u16::MAX), CharColumn::new(rows, *width));
    ColumnarBuffer::new(widths.iter().enumerate().map(bound).collect())
}

fn no_connection(string: &ConnectionString, why: NoLink) -> LogicalError {
    let to = string.to_string();
    match why {
        NoLink::Driver { name, installed } => LogicalError::NoDriver { name, installed },
        NoLink::Denied(said) => LogicalError::Denied { to, source: Box::new(said) },
        NoLink::Other(said) => LogicalError::Connect { to, source: Box::new(said) },
    }
}
