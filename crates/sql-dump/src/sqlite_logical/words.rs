//! How rows are asked for and given in SQLite.

use super::Result;
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::{escape, unescape};
use crate::logical::rows::ChunkReader;
use crate::text::{KeyPart, Row, Shown, TextSession, Words, insert_whole};

/// Bytes of a long value that are read at once.
const PIECE: u64 = 256 * 1024;
/// Stands for a long value in a page: no literal begins like this.
const MARK: &str = "L";

/// Whether the program's own SQLite is asked, which knows the length of a value without reading it.
pub(super) struct SqliteWords {
    pub(super) embedded: bool,
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The name of a table's row numbers, where it has any.
pub(super) fn row_number(table: &Table) -> Option<&'static str> {
    // A column may have taken one of the names, hardly all.
    let taken = |name: &str| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let hidden = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name));
    hidden.filter(|_| table.key.is_empty())
}

impl SqliteWords {
    fn bytes(&self, name: &str) -> String {
        if self.embedded { format!("octet_length({name})") } else { format!("length(CAST({name} AS BLOB))") }
    }
}

fn as_it_is(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

impl Words for SqliteWords {
    fn name(&self, name: &str) -> String {
        quoted(name)
    }

    fn key(&self, table: &Table) -> Vec<KeyPart> {
        if table.key.is_empty() {
            let part = |name: &str| KeyPart {
                expression: name.to_owned(),
                shown: Shown::Expression(name.to_owned(), 24),
                literal: as_it_is,
            };
            return row_number(table).map(part).into_iter().collect();
        }
        let part = |column: &Column| {
            let name = quoted(&column.name);
            KeyPart {
                shown: Shown::Expression(format!("quote({name})"), 64 * 1024),
                expression: name,
                literal: as_it_is,
            }
        };
        table.key.iter().map(|place| part(&table.columns[*place])).collect()
    }

    fn value(&self, column: &Column) -> String {
        let name = quoted(&column.name);
        // quote() ends a text at its first NUL, and its infinities are no literals in every version.
        format!(
            "CASE typeof({name}) WHEN 'null' THEN NULL
             WHEN 'text' THEN CASE WHEN instr({name}, char(0)) THEN 'CAST(X''' || hex({name}) || ''' AS TEXT)' ELSE quote({name}) END
             WHEN 'real' THEN CASE WHEN abs({name}) > 1.7976931348623157e308 THEN iif({name} > 0, '9e999', '-9e999') ELSE quote({name}) END
             ELSE quote({name}) END"
        )
    }

    /// A length is told without reading the value, and counted in bytes.
    fn value_up_to(&self, column: &Column, units: usize) -> String {
        let (name, value) = (quoted(&column.name), self.value(column));
        let is_long = format!("typeof({name}) IN ('text', 'blob') AND {} > {units}", self.bytes(&name));
        format!("CASE WHEN {is_long} THEN '{MARK}' ELSE {value} END")
    }

    fn is_cut(&self, _column: &Column, _units: usize, text: &[u8]) -> bool {
        text == MARK.as_bytes()
    }

    /// Two digits a byte, or a quote doubled.
    fn width(&self, _column: &Column, units: usize) -> usize {
        2 * units + 32
    }

    fn long_value(
        &self,
        session: &mut dyn TextSession,
        row: &Row<'_>,
        column: &Column,
        rows: &mut RowWriter<'_>,
    ) -> Result<()> {
        let name = quoted(&column.name);
        let sql = format!(
            "SELECT typeof({name}), {}, typeof({name}) = 'text' AND instr({name}, char(0)) > 0 FROM {}{}",
            self.bytes(&name),
            row.table,
            row.at
        );
        let found = session.rows(&format!("read a value of `{}`", row.title), &sql, 3)?;
        let gone = || LogicalError::Changed { table: row.title.to_owned(), source: "a row is gone".into() };
        let found = found.first().ok_or_else(gone)?;
        let as_text = found[0] == "text" && found[2] == "0";
        let (before, after) = match (found[0].as_str(), as_text) {
            (_, true) => ("'", "'"),
            ("text", _) => ("CAST(X'", "' AS TEXT)"),
            _ => ("X'", "'"),
        };
        rows.piece(before.as_bytes())?;
        let (length, mut from) = (found[1].parse::<u64>().unwrap_or(0), 1);
        while from <= length {
            let sql = format!("SELECT hex(substr(CAST({name} AS BLOB), {from}, {PIECE})) FROM {}{}", row.table, row.at);
            let width = usize::try_from(2 * PIECE).unwrap_or(0);
            let mut piece = Vec::new();
            session.fetch("read a piece of a value", &sql, &[width], &mut |cells| {
                let digits = cells.first().copied().flatten().unwrap_or_default();
                if as_text {
                    let doubled = bytes(digits)
                        .into_iter()
                        .flat_map(|byte| std::iter::repeat_n(byte, 1 + usize::from(byte == b'\'')));
                    escape(&doubled.collect::<Vec<u8>>(), &mut piece);
                } else {
                    piece.extend_from_slice(digits);
                }
                Ok(())
            })?;
            rows.piece(&piece)?;
            from += PIECE;
        }
        rows.piece(after.as_bytes())
    }

    fn literal(&self, _column: &Column, field: &[u8], sql: &mut Vec<u8>) {
        if field.contains(&b'\\') {
            sql.extend_from_slice(&unescape(field).unwrap_or_default());
        } else {
            sql.extend_from_slice(field);
        }
    }

    fn load_long(&self, session: &mut dyn TextSession, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()> {
        insert_whole(self, session, table, chunk)
    }

    fn begin(&self) -> &'static str {
        "BEGIN IMMEDIATE"
    }
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    digits.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
