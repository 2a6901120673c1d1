//! How rows are asked for and given in SQLite.

use super::Result;
use super::utf8::Utf8;
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::{escape, unescape};
use crate::logical::rows::ChunkReader;
use crate::text::{BYTES_OF_TEXT, KeyPart, Row, Shown, TextSession, Words, in_utf8, insert_whole};

/// Bytes of a long value that are read at once.
const PIECE: u64 = 256 * 1024;
/// Stands for a long value in a page: no literal begins like this.
const MARK: &str = "L";

pub(super) struct SqliteWords {
    /// Whether the program's own SQLite is asked, which knows the length of a value without reading it.
    pub(super) embedded: bool,
    pub(super) kept: Kept,
}

/// How a database keeps text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// What SQLite calls the encoding of a database.
pub(super) fn encoding(session: &mut dyn TextSession) -> Result<String> {
    session.value("read the encoding", "SELECT encoding FROM pragma_encoding")
}

impl Kept {
    pub(super) fn of(session: &mut dyn TextSession) -> Result<Self> {
        Ok(match encoding(session)?.as_str() {
            "UTF-16le" => Self::Utf16Le,
            "UTF-16be" => Self::Utf16Be,
            _ => Self::Utf8,
        })
    }

    /// A piece of text as UTF-8; the half of a pair waits in `half` for the next one.
    fn decode(self, piece: Vec<u8>, half: &mut Option<u16>) -> Vec<u8> {
        let unit = match self {
            Self::Utf8 => return piece,
            Self::Utf16Le => u16::from_le_bytes,
            Self::Utf16Be => u16::from_be_bytes,
        };
        let units = piece.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let mut units: Vec<u16> = half.take().into_iter().chain(units).collect();
        *half = units.pop_if(|last| (0xD800..0xDC00).contains(last));
        String::from_utf16_lossy(&units).into_bytes()
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What the number of a row is called.
pub(super) const ROW_NUMBERS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// The name of a table's row numbers, where it has any.
pub(super) fn row_number(table: &Table) -> Option<&'static str> {
    // A column may have taken one of the names, hardly all.
    let columns = || table.columns.iter().map(|column| &column.name).chain(&table.taken);
    let hidden = ROW_NUMBERS.into_iter().find(|name| !columns().any(|column| column.eq_ignore_ascii_case(name)));
    hidden.filter(|_| table.key.is_empty())
}

impl SqliteWords {
    fn bytes(&self, name: &str) -> String {
        if self.embedded { format!("octet_length({name})") } else { format!("length(CAST({name} AS BLOB))") }
    }

    /// Hands on the bytes of a long value as hexadecimal digits, a piece at a time.
    fn pieces(
        session: &mut dyn TextSession,
        row: &Row<'_>,
        (name, length): (&str, u64),
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let (mut from, width) = (1, usize::try_from(2 * PIECE).unwrap_or(0));
        while from <= length {
            let sql = format!("SELECT hex(substr(CAST({name} AS BLOB), {from}, {PIECE})) FROM {}{}", row.table, row.at);
            session.fetch("read a piece of a value", &sql, &[width], &mut |cells| {
                take(cells.first().copied().flatten().unwrap_or_default())
            })?;
            from += PIECE;
        }
        Ok(())
    }
}

fn as_it_is(text: &[u8]) -> String {
    String::from_utf8_lossy(&in_utf8(text)).into_owned()
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
                // The key may tell values apart that are equal to their column.
                expression: format!("{name} COLLATE BINARY"),
                literal: as_it_is,
            }
        };
        table.key.iter().map(|place| part(&table.columns[*place])).collect()
    }

    fn value(&self, column: &Column) -> String {
        let name = quoted(&column.name);
        // quote() ends a text at its first NUL, its infinities are no literals in every version, and of a number it may write digits that only
        // its own version reads as that number.
        format!(
            "CASE typeof({name}) WHEN 'null' THEN NULL
             WHEN 'text' THEN CASE WHEN instr({name}, char(0)) THEN 'CAST(X''' || hex({name}) || ''' AS TEXT)' ELSE quote({name}) END
             WHEN 'real' THEN CASE WHEN abs({name}) > 1.7976931348623157e308 THEN iif({name} > 0, '9e999', '-9e999') ELSE printf('%!.20e', {name}) END
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
        // Two bytes of UTF-16 may be three of UTF-8.
        units * if self.kept == Kept::Utf8 { 2 } else { 3 } + 32
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
        let may_be_text = found[0] == "text" && found[2] == "0";
        let value = (name.as_str(), found[1].parse::<u64>().unwrap_or(0));
        let mut utf8 = Utf8::default();
        if may_be_text && self.kept == Kept::Utf8 {
            Self::pieces(session, row, value, &mut |digits| {
                utf8.add(&bytes(digits));
                Ok(())
            })?;
        }
        let as_text = may_be_text && utf8.is_whole();
        let (before, after) = match (found[0].as_str(), as_text) {
            (_, true) => ("'", "'"),
            ("text", _) => BYTES_OF_TEXT,
            _ => ("X'", "'"),
        };
        rows.piece(before.as_bytes())?;
        let mut half = None;
        Self::pieces(session, row, value, &mut |digits| {
            if !as_text {
                return rows.piece(digits);
            }
            let double = |byte: u8| std::iter::repeat_n(byte, 1 + usize::from(byte == b'\''));
            let text = self.kept.decode(bytes(digits), &mut half);
            let (doubled, mut piece) = (text.into_iter().flat_map(double).collect::<Vec<u8>>(), Vec::new());
            escape(&doubled, &mut piece);
            rows.piece(&piece)
        })?;
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
