//! Loading rows by INSERT statements of many rows each, one transaction a chunk.

use super::reader::read;
use super::stream::Stream;
use super::words::{IDENTITY, bytes, full_type, given, literal, string, table_name, word};
use super::{Result, run};
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Encoding, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::HEX_MARK;
use crate::logical::rows::{ChunkReader, Next};
use crate::logical::seam::{Part, RowLoader, RowReader};
use crate::sqlserver::tsql::name;

/// A statement ends with the row that takes it over this size.
const STATEMENT: usize = 256 * 1024;
/// The server takes no more rows in one INSERT.
const MOST_ROWS: usize = 1000;
/// Where a row grows that is too long for one statement.
const LONG: &str = "#sitebackup_long";

pub(super) struct Loader {
    pub(super) session: Box<dyn Stream>,
    /// The statement that notes a step as done.
    pub(super) note: fn(&str) -> String,
}

impl RowReader for Loader {
    fn read(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()> {
        read(&mut *self.session, table, part, rows)
    }
}

impl RowLoader for Loader {
    fn load(&mut self, table: &Table, mut chunk: ChunkReader<'_>, step: &str) -> Result<()> {
        let counted = table.columns.iter().any(|column| column.declared.ends_with(IDENTITY));
        let switch = |to: &str| format!("SET IDENTITY_INSERT {} {to}", table_name(table));
        run(&mut *self.session, "begin", "BEGIN TRANSACTION")?;
        let mut done = if counted { run(&mut *self.session, "give numbers", &switch("ON")) } else { Ok(()) };
        done = done.and_then(|()| self.insert_all(table, &mut chunk)).and_then(|()| chunk.finish());
        done = done.and_then(|()| run(&mut *self.session, "note a chunk", &(self.note)(step)));
        done = done.and_then(|()| run(&mut *self.session, "commit", "COMMIT TRANSACTION"));
        if done.is_err() {
            // A lost connection takes back by itself.
            let _ = run(&mut *self.session, "take back rows", "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION");
        }
        if counted {
            // A session has one table at a time whose numbers it gives, and taking back does not change that.
            done = done.and_then(|()| run(&mut *self.session, "give no more numbers", &switch("OFF")));
        }
        done.map_err(|error| error.about(&table.title()))
    }
}

impl Loader {
    fn insert_all(&mut self, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()> {
        let head = format!("INSERT INTO {} ({}) VALUES ", table_name(table), names(table));
        let (mut sql, mut rows, mut has_long) = (head.clone(), 0, false);
        loop {
            let next = chunk.next()?;
            let is_full = sql.len() >= STATEMENT || rows == MOST_ROWS;
            if rows > 0 && (is_full || !matches!(next, Next::Row(_))) {
                run(&mut *self.session, &format!("load rows into `{}`", table.title()), &sql)?;
                sql.truncate(head.len());
                rows = 0;
            }
            match next {
                Next::Row(place) => {
                    sql.push_str(if rows == 0 { "(" } else { ",(" });
                    values(table, chunk.at(&place), rows == 0, &mut sql)?;
                    sql.push(')');
                    rows += 1;
                }
                Next::LongRow => {
                    let mut long = LongRow { session: &mut *self.session, table, is_there: &mut has_long };
                    long.load(chunk)?;
                }
                Next::End => break,
            }
        }
        if has_long {
            run(&mut *self.session, "drop the table of long rows", &format!("DROP TABLE {LONG}"))
        } else {
            Ok(())
        }
    }
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|column| name(&column.name)).collect::<Vec<_>>().join(", ")
}

/// The first row of a statement says the types of its NULLs.
fn values(table: &Table, row: &[u8], is_first: bool, sql: &mut String) -> Result<()> {
    let wrong = || {
        let source = "a row of the dump has another number of values than the table has columns".into();
        LogicalError::DoesNotFit { table: table.title(), source }
    };
    let mut fields = row.split(|byte| *byte == b'\t');
    for (n, column) in table.columns.iter().enumerate() {
        let field = fields.next().ok_or_else(wrong)?;
        if n > 0 {
            sql.push(',');
        }
        if field == b"\\N" && !is_first { sql.push_str("NULL") } else { literal(column, field, sql) }
    }
    if fields.next().is_none() { Ok(()) } else { Err(wrong()) }
}

/// A row that is larger than the reader's buffer. It grows in a table of the session, piece by piece, so that no statement is long.
struct LongRow<'a> {
    session: &'a mut dyn Stream,
    table: &'a Table,
    is_there: &'a mut bool,
}

impl LongRow<'_> {
    fn load(&mut self, chunk: &mut ChunkReader<'_>) -> Result<()> {
        if !std::mem::replace(self.is_there, true) {
            let column = |column: &Column| format!("{} {} NULL", name(&column.name), growing_type(column));
            let columns: Vec<String> = self.table.columns.iter().map(column).collect();
            self.run(&format!("CREATE TABLE {LONG} ({})", columns.join(", ")))?;
        }
        self.run(&format!("INSERT INTO {LONG} DEFAULT VALUES"))?;
        for column in &self.table.columns {
            self.field(column, chunk)?;
        }
        let given: Vec<String> = self.table.columns.iter().map(grown).collect();
        let (target, names) = (table_name(self.table), names(self.table));
        self.run(&format!("INSERT INTO {target} ({names}) SELECT {} FROM {LONG}", given.join(", ")))?;
        self.run(&format!("DELETE FROM {LONG}"))
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        run(self.session, &format!("load rows into `{}`", self.table.title()), sql)
    }

    fn field(&mut self, column: &Column, chunk: &mut ChunkReader<'_>) -> Result<()> {
        let own = name(&column.name);
        let (mut first, mut text) = (true, Vec::new());
        loop {
            let piece = chunk.piece()?;
            text.extend_from_slice(chunk.at(&piece.text));
            if first && piece.ends_field && text == b"\\N" {
                return Ok(());
            }
            // A literal is whole or nothing.
            if piece.ends_field || column.encoding != Encoding::Literal {
                let now = splits(column.encoding, &text, piece.ends_field);
                let value = growing(column, &text[..now]);
                self.run(&if first {
                    format!("UPDATE {LONG} SET {own} = {value}")
                } else {
                    format!("UPDATE {LONG} SET {own}.WRITE({value}, NULL, 0)")
                })?;
                text.drain(..now);
                first = false;
            }
            if piece.ends_field {
                return Ok(());
            }
        }
    }
}

fn growing_type(column: &Column) -> &'static str {
    match column.encoding {
        Encoding::Binary => "varbinary(max)",
        Encoding::Literal => "sql_variant",
        // The collation of the session's tables is another one, but the text is Unicode.
        Encoding::Text | Encoding::Number => "nvarchar(max)",
    }
}

fn growing(column: &Column, piece: &[u8]) -> String {
    match column.encoding {
        Encoding::Binary => bytes(piece),
        Encoding::Literal => given(piece),
        Encoding::Text | Encoding::Number => string(&given(piece)),
    }
}

/// What has grown, as a value of its column.
fn grown(column: &Column) -> String {
    let (own, declared) = (name(&column.name), full_type(&column.declared));
    match word(declared) {
        "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext" | "binary" | "varbinary" | "image"
        | "sql_variant" => own,
        "xml" => format!("CONVERT(xml, {own}, 1)"),
        _ => format!("CONVERT({declared}, {own})"),
    }
}

/// How much of a piece can be sent now: whole pairs of digits, whole characters.
fn splits(encoding: Encoding, text: &[u8], is_last: bool) -> usize {
    let mark = if text.starts_with(HEX_MARK) { HEX_MARK.len() } else { 0 };
    match encoding {
        _ if is_last => text.len(),
        Encoding::Binary => text.len() - (text.len() - mark) % 2,
        _ => match std::str::from_utf8(text) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => text.len(),
        },
    }
}
