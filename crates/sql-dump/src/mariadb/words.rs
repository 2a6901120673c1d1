//! How rows are asked for and given in MariaDB.

use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Encoding, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::{HEX_MARK, unescape};
use crate::logical::rows::ChunkReader;
use crate::text::{KeyPart, LongValue, Row, Shown, TextSession, Words, too_long};

type Result<T> = std::result::Result<T, LogicalError>;

pub(super) struct MariaDbWords;

pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal.
pub(super) fn literal(text: &str) -> String {
    let mut sql = Vec::new();
    string(text.as_bytes(), &mut sql);
    String::from_utf8_lossy(&sql).into_owned()
}

/// The longest statement that the server takes, and the longest value that a function of it makes: of a longer one it makes NULL.
pub(super) fn longest(session: &mut dyn TextSession) -> Result<usize> {
    let limit = session.value("read the longest packet", "SELECT @@max_allowed_packet")?;
    Ok(limit.parse().unwrap_or(usize::MAX))
}

/// The type's word alone: `varchar` of `varchar(20)`.
fn word(column: &Column) -> &str {
    column.declared.split(['(', ' ']).next().unwrap_or_default()
}

/// Types whose order and equality are those of their text's literal. ENUM and SET are ordered by number, floats are not exact.
fn is_key(column: &Column) -> bool {
    let word = word(column);
    let known = ["char", "varchar", "binary", "varbinary", "date", "datetime", "timestamp", "time", "year", "decimal"];
    (word.ends_with("int") || known.contains(&word)) && !is_text_by_bytes(column)
}

/// Whether it is text of a character set whose signs are not all in Unicode: bytes are not ordered as it is.
fn is_text_by_bytes(column: &Column) -> bool {
    column.encoding == Encoding::Binary && ["char", "text"].iter().any(|kind| word(column).ends_with(kind))
}

/// What has the bytes of a value.
fn bytes(column: &Column) -> String {
    let name = quoted(&column.name);
    if is_text_by_bytes(column) { format!("CAST({name} AS BINARY)") } else { name }
}

fn key_literal(column: &Column) -> fn(&[u8]) -> String {
    match column.encoding {
        Encoding::Number => |text| String::from_utf8_lossy(text).into_owned(),
        Encoding::Binary => |digits| format!("X'{}'", String::from_utf8_lossy(digits)),
        Encoding::Text | Encoding::Literal => |text| {
            let mut sql = Vec::new();
            string(text, &mut sql);
            String::from_utf8_lossy(&sql).into_owned()
        },
    }
}

impl Words for MariaDbWords {
    fn name(&self, name: &str) -> String {
        quoted(name)
    }

    fn key(&self, table: &Table) -> Vec<KeyPart> {
        let columns: Vec<&Column> = table.key.iter().map(|place| &table.columns[*place]).collect();
        if columns.is_empty() || !columns.iter().all(|column| is_key(column) && column.limit.is_some()) {
            return Vec::new();
        }
        let part = |place: &usize| KeyPart {
            expression: quoted(&table.columns[*place].name),
            shown: Shown::Column(*place),
            literal: key_literal(&table.columns[*place]),
        };
        table.key.iter().map(part).collect()
    }

    /// Without a key InnoDB keeps rows by a hidden number; a scan of all of them returns that order, unless another index would do as well.
    fn scan(&self, table: &Table) -> String {
        if self.key(table).is_empty() { " USE INDEX ()".to_owned() } else { String::new() }
    }

    fn value(&self, column: &Column) -> String {
        let name = quoted(&column.name);
        match (column.encoding, word(column)) {
            (Encoding::Binary, _) => format!("HEX({})", bytes(column)),
            // As text a float has six digits; as a double it has all that tell it apart.
            (_, "float") => format!("CONCAT(CAST({name} AS DOUBLE))"),
            (_, "bit") => format!("CAST({name} AS UNSIGNED)"),
            // A driver turns dates that do not exist, which the server may hold, into NULL.
            (_, "double" | "date" | "datetime" | "timestamp" | "time" | "year" | "uuid" | "inet6" | "inet4") => {
                format!("CONCAT({name})")
            }
            _ => name,
        }
    }

    fn value_up_to(&self, column: &Column, units: usize) -> String {
        let (name, most) = (quoted(&column.name), units + 1);
        match column.encoding {
            Encoding::Binary => format!("HEX(LEFT({}, {most}))", bytes(column)),
            _ => format!("LEFT({name}, {most})"),
        }
    }

    fn long_value(
        &self,
        session: &mut dyn TextSession,
        row: &Row<'_>,
        column: &Column,
        rows: &mut RowWriter<'_>,
    ) -> Result<()> {
        let (name, is_binary) = (bytes(column), column.encoding == Encoding::Binary);
        let piece = |from: u64, units: u64| {
            let piece = format!("SUBSTRING({name}, {from}, {units})");
            if is_binary { format!("HEX({piece})") } else { piece }
        };
        LongValue { is_binary, length: length(column), piece: &piece }.read(session, row, rows)
    }

    fn literal(&self, column: &Column, field: &[u8], sql: &mut Vec<u8>) {
        match column.encoding {
            Encoding::Number if is_number(field) => sql.extend_from_slice(field),
            Encoding::Binary if field.starts_with(HEX_MARK) => {
                sql.extend_from_slice(b"X'");
                sql.extend(field[HEX_MARK.len()..].iter().filter(|byte| byte.is_ascii_hexdigit()));
                sql.push(b'\'');
            }
            // Without a backslash nothing is escaped, which spares a copy.
            _ if !field.contains(&b'\\') => string(field, sql),
            _ => string(&unescape(field).unwrap_or_default(), sql),
        }
    }

    /// Long values grow in variables of the session, piece by piece, so that no statement is long.
    fn load_long(&self, session: &mut dyn TextSession, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()> {
        let action = format!("load rows into `{}`", table.title());
        let longest = longest(session)?;
        for (n, column) in table.columns.iter().enumerate() {
            let (mut first, mut carry, mut size, mut needed) = (true, Vec::new(), 0, 0);
            loop {
                let piece = chunk.piece()?;
                let text = [&carry, chunk.at(&piece.text)].concat();
                if first && piece.ends_field && text == b"\\N" {
                    session.run(&action, &format!("SET @sitebackup_{n} = NULL"))?;
                } else {
                    let (now, later) = splits(column.encoding, &text, first, piece.ends_field);
                    let mut sql = if first {
                        format!("SET @sitebackup_{n} = ").into_bytes()
                    } else {
                        format!("SET @sitebackup_{n} = CONCAT(@sitebackup_{n}, ").into_bytes()
                    };
                    size += variable(column.encoding, now, first, &mut sql);
                    sql.extend_from_slice(if first { b"" } else { b")" });
                    needed = needed.max(size).max(sql.len());
                    let sql = std::str::from_utf8(&sql)
                        .map_err(|error| LogicalError::DoesNotFit { table: table.title(), source: Box::new(error) })?;
                    if needed <= longest {
                        session.run(&action, sql)?;
                    }
                    carry = later.to_vec();
                }
                first = false;
                if piece.ends_field {
                    break;
                }
            }
            if needed > longest {
                return Err(too_long(table, needed, longest));
            }
        }
        let values: Vec<String> = (0..table.columns.len()).map(|n| format!("@sitebackup_{n}")).collect();
        session.run(&action, &format!("{}({})", self.insert(table), values.join(", ")))?;
        let forget: Vec<String> = (0..table.columns.len()).map(|n| format!("@sitebackup_{n} = NULL")).collect();
        session.run(&action, &format!("SET {}", forget.join(", ")))
    }

    /// An ENUM holds what it could not take as text of no length, which a strict server takes from nobody. The rows are compared afterwards.
    fn insert(&self, table: &Table) -> String {
        let names: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let ignore = if table.columns.iter().any(|column| word(column) == "enum") { " IGNORE" } else { "" };
        format!("INSERT{ignore} INTO {} ({}) VALUES ", quoted(&table.name), names.join(", "))
    }

    fn begin(&self) -> &'static str {
        "START TRANSACTION"
    }
}

/// The length of a value in bytes or characters.
fn length(column: &Column) -> String {
    let function = if column.encoding == Encoding::Binary { "LENGTH" } else { "CHAR_LENGTH" };
    format!("{function}({})", quoted(&column.name))
}

/// What of a piece can be sent now: whole pairs of digits, whole characters.
fn splits(encoding: Encoding, text: &[u8], first: bool, last: bool) -> (&[u8], &[u8]) {
    let mark = if first && text.starts_with(HEX_MARK) { HEX_MARK.len() } else { 0 };
    let end = match encoding {
        _ if last => text.len(),
        Encoding::Binary => text.len() - (text.len() - mark) % 2,
        _ => match std::str::from_utf8(text) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => text.len(),
        },
    };
    text.split_at(end)
}

/// Adds the literal for a piece of a value, and tells how many bytes of the value it is.
fn variable(encoding: Encoding, text: &[u8], first: bool, sql: &mut Vec<u8>) -> usize {
    match encoding {
        Encoding::Binary => {
            let digits = if first { text.strip_prefix(HEX_MARK).unwrap_or(text) } else { text };
            sql.extend_from_slice(b"X'");
            sql.extend(digits.iter().filter(|byte| byte.is_ascii_hexdigit()));
            sql.push(b'\'');
            digits.len() / 2
        }
        _ => {
            let text = unescape(text).unwrap_or_default();
            string(&text, sql);
            text.len()
        }
    }
}

fn is_number(field: &[u8]) -> bool {
    !field.is_empty() && field.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
}

fn string(text: &[u8], sql: &mut Vec<u8>) {
    sql.push(b'\'');
    for byte in text {
        match byte {
            b'\'' | b'\\' => sql.extend_from_slice(&[b'\\', *byte]),
            0 => sql.extend_from_slice(b"\\0"),
            // The driver reads `?` as itself only in quotes; a raw line end is fine in them.
            byte => sql.push(*byte),
        }
    }
    sql.push(b'\'');
}
