//! Reading the rows of a table.

use super::stream::{Got, Stream};
use super::variant::CANNOT;
use super::words::{shape, shown, table_name};
use super::{Result, run, value};
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Encoding, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::{HEX_MARK, escape};
use crate::logical::seam::{Part, RowReader};
use crate::sqlserver::tsql::name;

/// A row is handed on in pieces once it is this long.
const LONG: usize = 1 << 20;

/// A connection that reads rows. It leaves a snapshot before it lets go of it: a database that is in use cannot be dropped.
pub(super) struct Reader {
    pub(super) session: Box<dyn Stream>,
    pub(super) is_in_snapshot: bool,
}

impl RowReader for Reader {
    fn read(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()> {
        read(&mut *self.session, table, part, rows)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.is_in_snapshot {
            // A connection that is lost has left by itself.
            let _ = run(&mut *self.session, "leave the snapshot", "USE [master]");
        }
    }
}

/// Reads a part of a table in one query, and has the server count it: no driver is believed that a table has ended.
pub(super) fn read(session: &mut dyn Stream, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()> {
    let action = format!("read the rows of `{}`", table.title());
    let shapes: Vec<_> = table.columns.iter().map(shape).collect();
    let mut line =
        Line { columns: &table.columns, rows, text: Vec::new(), field: 0, has_begun: false, is_long: false, count: 0 };
    let read = session.stream(&action, &query(table, part), &shapes, &mut |got| line.take(got));
    read.map_err(|error| error.about(&table.title()))?;
    let counted =
        value(session, &action, &format!("SELECT CONVERT(bigint, COUNT_BIG(*)) AS n FROM {}", range(table, part)))?;
    if counted.parse() == Ok(line.count) {
        return Ok(());
    }
    let source = format!("{} rows came, the server counts {counted}", line.count).into();
    Err(LogicalError::Changed { table: table.title(), source })
}

pub(super) fn query(table: &Table, part: Part) -> String {
    let list: Vec<String> = table.columns.iter().map(shown).collect();
    format!("SELECT {} FROM {}", list.join(", "), range(table, part))
}

/// The table, and the condition for the part.
fn range(table: &Table, part: Part) -> String {
    let mut sql = table_name(table);
    let first = table.key.first().and_then(|place| table.columns.get(*place));
    if let (Part::Keys(from, to), Some(first)) = (part, first) {
        let first = name(&first.name);
        let from = from.map(|from| format!("{first} >= {from}"));
        let to = to.map(|to| format!("{first} < {to}"));
        let range: Vec<String> = from.into_iter().chain(to).collect();
        if !range.is_empty() {
            sql += &format!(" WHERE {}", range.join(" AND "));
        }
    }
    sql
}

/// The row that comes, as the text of a dump.
struct Line<'a, 'w> {
    columns: &'a [Column],
    rows: &'a mut RowWriter<'w>,
    text: Vec<u8>,
    field: usize,
    has_begun: bool,
    is_long: bool,
    count: u64,
}

impl Line<'_, '_> {
    fn take(&mut self, got: Got<'_>) -> Result<()> {
        match got {
            Got::Null => self.text.extend_from_slice(b"\\N"),
            Got::Text(text) => self.piece(text.as_bytes(), false)?,
            Got::Bytes(bytes) => self.piece(bytes, true)?,
            Got::EndField => {
                self.field += 1;
                self.has_begun = false;
                if self.field < self.columns.len() {
                    self.text.push(b'\t');
                }
            }
            Got::EndRow => return self.end(),
        }
        if self.text.len() >= LONG { self.pass_on() } else { Ok(()) }
    }

    fn piece(&mut self, piece: &[u8], is_bytes: bool) -> Result<()> {
        let column = &self.columns[self.field];
        let encoding = column.encoding;
        if encoding == Encoding::Literal && piece.starts_with(CANNOT.as_bytes()) {
            return Err(not_kept(column, piece));
        }
        if encoding == Encoding::Binary && !self.has_begun {
            self.text.extend_from_slice(HEX_MARK);
        }
        self.has_begun = true;
        match encoding {
            _ if is_bytes => self.text.extend(piece.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])),
            Encoding::Text | Encoding::Literal => escape(piece, &mut self.text),
            Encoding::Number | Encoding::Binary => self.text.extend_from_slice(piece),
        }
        Ok(())
    }

    fn pass_on(&mut self) -> Result<()> {
        self.is_long = true;
        self.rows.piece(&self.text)?;
        self.text.clear();
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.field = 0;
        self.count += 1;
        if self.is_long {
            self.is_long = false;
            self.rows.piece(&self.text)?;
            self.rows.end_row()?;
        } else {
            self.text.push(b'\n');
            self.rows.row(&self.text)?;
        }
        self.text.clear();
        Ok(())
    }
}

fn not_kept(column: &Column, piece: &[u8]) -> LogicalError {
    let base = String::from_utf8_lossy(&piece[CANNOT.len()..]);
    let name = &column.name;
    LogicalError::Unsupported(format!("column `{name}` has an sql_variant of type `{base}` that cannot be kept"))
}

fn digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'A' + half - 10 }
}
