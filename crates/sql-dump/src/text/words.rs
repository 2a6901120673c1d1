//! What differs between the dialects in how rows are asked for and given.

use super::paged::Row;
use super::session::TextSession;
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Encoding, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::rows::ChunkReader;

type Result<T> = std::result::Result<T, LogicalError>;

/// A part of the key by which rows are found again.
pub(crate) struct KeyPart {
    /// The expression that orders rows; a column or something hidden, such as SQLite's `rowid`.
    pub(crate) expression: String,
    pub(crate) shown: Shown,
    /// Writes the literal for a text of it.
    pub(crate) literal: fn(&[u8]) -> String,
}

/// Where a page has the text of a part of the key.
pub(crate) enum Shown {
    /// In a column of the table, whose value is not cut.
    Column(usize),
    /// In an expression with so many bytes at most.
    Expression(String, usize),
}

/// How a dialect says things.
pub(crate) trait Words: Send + Sync {
    /// A quoted name.
    fn name(&self, name: &str) -> String;
    /// A table's name as SQL has it.
    fn table(&self, table: &Table) -> String {
        self.name(&table.name)
    }
    /// The key by which a table's rows are ordered and found; empty: by their number.
    fn key(&self, table: &Table) -> Vec<KeyPart>;
    /// Whether rows come in the order of the key without being told to; then they are not told, for it would be a sort.
    fn comes_in_order(&self) -> bool {
        false
    }
    /// What makes a scan without a key return the same order every time.
    fn scan(&self, _table: &Table) -> String {
        String::new()
    }
    /// The expression that has a column's value as text.
    fn value(&self, column: &Column) -> String;
    /// The same for a type that sets no limit; where the value has more than `units` units, something that [`is_cut`](Self::is_cut) tells apart.
    ///
    /// Units are bytes of binary values, and characters of others.
    fn value_up_to(&self, column: &Column, units: usize) -> String;
    /// Whether a text of [`value_up_to`](Self::value_up_to) stands for a longer value: by itself, one unit more.
    fn is_cut(&self, column: &Column, units: usize, text: &[u8]) -> bool {
        match column.encoding {
            Encoding::Binary => text.len() > 2 * units,
            _ => text.len() > units && characters(text) > units,
        }
    }
    /// The most bytes of such a text.
    fn width(&self, column: &Column, units: usize) -> usize {
        (units + 1) * if column.encoding == Encoding::Binary { 2 } else { 4 }
    }
    /// Writes the value of a column that is too long for a page. `at` finds its row.
    fn long_value(
        &self,
        session: &mut dyn TextSession,
        row: &Row<'_>,
        column: &Column,
        rows: &mut RowWriter<'_>,
    ) -> Result<()>;
    /// The beginning of a statement that inserts rows, up to the first row's parenthesis.
    fn insert(&self, table: &Table) -> String {
        let names: Vec<String> = table.columns.iter().map(|column| self.name(&column.name)).collect();
        format!("INSERT INTO {} ({}) VALUES ", self.table(table), names.join(", "))
    }
    /// Adds the literal for a field of a dump.
    fn literal(&self, column: &Column, field: &[u8], sql: &mut Vec<u8>);
    /// Inserts a row that is larger than the reader's buffer.
    fn load_long(&self, session: &mut dyn TextSession, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()>;
    /// Begins a transaction that writes.
    fn begin(&self) -> &'static str;
}

/// The characters of a text in UTF-8.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}
