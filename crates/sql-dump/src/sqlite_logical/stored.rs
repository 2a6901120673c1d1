//! Rows read as SQLite stores them: nothing is computed on the way, and literals are made here.
//!
//! SQLite is told to refuse a value that is longer than a limit. It does so before it reads any of it, and the row is read again in pieces.

use std::io::{Read, Write};

use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, Statement};

use super::Result;
use super::embedded::failed;
use super::utf8::Utf8;
use super::words::{quoted, row_number};
use crate::logical::LogicalError;
use crate::logical::catalog::Table;
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::escape;
use crate::logical::seam::Part;
use crate::text::{BYTES_OF_TEXT, digits};

/// Bytes of the longest value that is read whole.
const LONGEST: i32 = 1 << 20;
/// Bytes of a longer value that are read at once.
const PIECE: usize = 256 * 1024;

/// Reads a part of a table, if its rows have numbers and its text is stored as UTF-8; tells whether they have and it is.
pub(super) fn read(connection: &Connection, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<bool> {
    let title = table.title();
    let Some(number) = row_number(table) else { return Ok(false) };
    let encoding = connection.query_row("PRAGMA encoding", [], |row| row.get::<_, String>(0));
    if encoding.map_err(|error| failed("read the encoding", error))? != "UTF-8" {
        return Ok(false);
    }
    let (from, to) = if let Part::Keys(from, to) = part { (from, to) } else { (None, None) };
    let mut walk = Walk { connection, table, title, number, to };
    let _limit = LengthLimit::set(connection, LONGEST)?;
    walk.all(from, rows)?;
    Ok(true)
}

/// A limit on the length of values, until it is dropped.
struct LengthLimit<'a> {
    connection: &'a Connection,
    before: i32,
}

impl<'a> LengthLimit<'a> {
    fn set(connection: &'a Connection, bytes: i32) -> Result<Self> {
        let before = connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes);
        Ok(Self { connection, before: before.map_err(|error| failed("limit the length of values", error))? })
    }
}

impl Drop for LengthLimit<'_> {
    fn drop(&mut self) {
        // It fails for a limit that there is none of, and this one was in force.
        let _ = self.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, self.before);
    }
}

struct Walk<'a> {
    connection: &'a Connection,
    table: &'a Table,
    title: String,
    number: &'static str,
    to: Option<i64>,
}

impl Walk<'_> {
    fn all(&mut self, mut from: Option<i64>, rows: &mut RowWriter<'_>) -> Result<()> {
        loop {
            let last = match self.short_rows(from, rows)? {
                Scan::Ended => return Ok(()),
                Scan::LongRowAfter(last) => last,
            };
            let number = self.next_number(last.map_or(from, |last| last.checked_add(1)))?;
            self.long_row(number, rows)?;
            from = match number.checked_add(1) {
                Some(next) => Some(next),
                None => return Ok(()),
            };
        }
    }

    fn failed(&self, error: rusqlite::Error) -> LogicalError {
        failed(&format!("read the rows of `{}`", self.title), error).about(&self.title)
    }

    fn query(&self, what: &str, from: Option<i64>) -> rusqlite::Result<Statement<'_>> {
        let number = self.number;
        let from = from.map(|from| format!("{number} >= {from}"));
        let to = self.to.map(|to| format!("{number} < {to}"));
        let range: Vec<String> = from.into_iter().chain(to).collect();
        let range = if range.is_empty() { String::new() } else { format!(" WHERE {}", range.join(" AND ")) };
        let table = quoted(&self.table.name);
        self.connection.prepare(&format!("SELECT {what} FROM {table}{range} ORDER BY {number}"))
    }

    /// All rows up to the first one with a long value.
    fn short_rows(&self, from: Option<i64>, rows: &mut RowWriter<'_>) -> Result<Scan> {
        let names = self.table.columns.iter().map(|column| quoted(&column.name));
        let list: Vec<String> = std::iter::once(self.number.to_owned()).chain(names).collect();
        let mut statement = self.query(&list.join(", "), from).map_err(|error| self.failed(error))?;
        let mut found = statement.query([]).map_err(|error| self.failed(error))?;
        let mut last = None;
        loop {
            let row = match found.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(Scan::Ended),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::TooBig) => {
                    return Ok(Scan::LongRowAfter(last));
                }
                Err(error) => return Err(self.failed(error)),
            };
            rows.write_row(|line| {
                for n in 1..list.len() {
                    literal(row.get_ref(n).map_err(|error| self.failed(error))?, line);
                    line.push(if n + 1 < list.len() { b'\t' } else { b'\n' });
                }
                Ok(())
            })?;
            last = Some(row.get(0).map_err(|error| self.failed(error))?);
        }
    }

    fn next_number(&self, from: Option<i64>) -> Result<i64> {
        let read = || self.query(self.number, from)?.query_row([], |row| row.get(0));
        read().map_err(|error| self.failed(error))
    }

    fn long_row(&self, number: i64, rows: &mut RowWriter<'_>) -> Result<()> {
        for (n, column) in self.table.columns.iter().enumerate() {
            if n > 0 {
                rows.piece(b"\t")?;
            }
            let sql =
                format!("SELECT {} FROM {} WHERE {} = ?", quoted(&column.name), quoted(&self.table.name), self.number);
            let mut field = Vec::new();
            let read = self.connection.query_row(&sql, [number], |row| {
                literal(row.get_ref(0)?, &mut field);
                Ok(())
            });
            match read {
                Ok(()) => rows.piece(&field)?,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::TooBig) => {
                    self.long_value(number, &column.name, rows)?;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        rows.end_row()
    }

    fn long_value(&self, number: i64, column: &str, rows: &mut RowWriter<'_>) -> Result<()> {
        let sql =
            format!("SELECT typeof({}) FROM {} WHERE {} = ?", quoted(column), quoted(&self.table.name), self.number);
        let kind = self.connection.query_row(&sql, [number], |row| row.get::<_, String>(0));
        let is_text = kind.map_err(|error| self.failed(error))? == "text";
        let (mut has_zero, mut utf8) = (false, Utf8::default());
        if is_text {
            self.pieces(number, column, |piece| {
                has_zero |= piece.contains(&0);
                utf8.add(piece);
                Ok(())
            })?;
        }
        let by_bytes = has_zero || !utf8.is_whole();
        let (before, after) = match (is_text, by_bytes) {
            (true, false) => ("'", "'"),
            (true, true) => BYTES_OF_TEXT,
            (false, _) => ("X'", "'"),
        };
        rows.piece(before.as_bytes())?;
        let mut field = Vec::new();
        self.pieces(number, column, |piece| {
            field.clear();
            if is_text && !by_bytes {
                escaped(piece, &mut field);
            } else {
                digits(piece, &mut field);
            }
            rows.piece(&field)
        })?;
        rows.piece(after.as_bytes())
    }

    fn pieces(&self, number: i64, column: &str, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Ok(mut value) = self.connection.blob_open("main", &*self.table.name, column, number, true) else {
            return self.whole(number, column, take);
        };
        let mut piece = vec![0; PIECE];
        loop {
            let n = value.read(&mut piece).map_err(|source| LogicalError::Failed {
                action: format!("read a value of `{}`", self.title),
                source: Box::new(source),
            })?;
            if n == 0 {
                return Ok(());
            }
            take(&piece[..n])?;
        }
    }

    /// SQLite opens no value of a table with generated columns: it reads one whole, whatever is asked of it.
    fn whole(&self, number: i64, column: &str, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let sql = format!("SELECT {} FROM {} WHERE {} = ?", quoted(column), quoted(&self.table.name), self.number);
        let _limit = LengthLimit::set(self.connection, i32::MAX)?;
        let mut statement = self.connection.prepare(&sql).map_err(|error| self.failed(error))?;
        let mut found = statement.query([number]).map_err(|error| self.failed(error))?;
        let row = found.next().map_err(|error| self.failed(error))?;
        match row.map(|row| row.get_ref(0)).transpose().map_err(|error| self.failed(error))? {
            Some(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.chunks(PIECE).try_for_each(take),
            _ => Ok(()),
        }
    }
}

enum Scan {
    Ended,
    /// A long row comes after the one with this number, or first.
    LongRowAfter(Option<i64>),
}

/// Adds the literal that makes a value, with the escapes of a row.
fn literal(value: ValueRef<'_>, line: &mut Vec<u8>) {
    match value {
        ValueRef::Null => line.extend_from_slice(b"\\N"),
        ValueRef::Integer(number) => shown(format_args!("{number}"), line),
        ValueRef::Real(number) => real(number, line),
        ValueRef::Blob(bytes) => {
            line.extend_from_slice(b"X'");
            digits(bytes, line);
            line.push(b'\'');
        }
        ValueRef::Text(bytes) if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() => {
            line.extend_from_slice(BYTES_OF_TEXT.0.as_bytes());
            digits(bytes, line);
            line.extend_from_slice(BYTES_OF_TEXT.1.as_bytes());
        }
        ValueRef::Text(bytes) => {
            line.push(b'\'');
            escaped(bytes, line);
            line.push(b'\'');
        }
    }
}

fn shown(what: std::fmt::Arguments<'_>, line: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = line.write_fmt(what);
}

/// The shortest digits that tell a number apart; SQLite has no literal for what is infinite.
fn real(number: f64, line: &mut Vec<u8>) {
    match number {
        f64::INFINITY => line.extend_from_slice(b"9e999"),
        f64::NEG_INFINITY => line.extend_from_slice(b"-9e999"),
        _ => shown(format_args!("{number:?}"), line),
    }
}

/// Text within quotes, in a row.
fn escaped(text: &[u8], line: &mut Vec<u8>) {
    let mut parts = text.split(|byte| *byte == b'\'');
    escape(parts.next().unwrap_or_default(), line);
    for part in parts {
        line.extend_from_slice(b"''");
        escape(part, line);
    }
}
