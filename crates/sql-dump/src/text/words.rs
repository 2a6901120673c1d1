//! What differs between the dialects in how rows are asked for and given.

use super::paged::Row;
use super::session::TextSession;
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::rows::ChunkReader;

type Result<T> = std::result::Result<T, LogicalError>;

/// A part of the key by which rows are found again.
pub(crate) struct KeyPart {
    /// The expression that orders rows; a column or something hidden, such as SQLite's `rowid`.
    pub(crate) expression: String,
    /// The expression that has its text.
    pub(crate) shown: String,
    /// The most bytes of its text.
    pub(crate) width: usize,
    /// Writes the literal for a text of it.
    pub(crate) literal: fn(&[u8]) -> String,
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
    /// The condition for a value, of a type that sets no limit, that is longer than so many units of the dialect's own.
    fn is_long(&self, column: &Column, units: usize) -> String;
    /// What stands for a long value in a page, where the dialect has a text that is no value's.
    fn mark(&self) -> Option<&'static str> {
        None
    }
    /// The most bytes of text that a value of so many units has.
    fn width(&self, column: &Column, units: usize) -> usize;
    /// Writes the value of a column that is too long for a page. `at` finds its row.
    fn long_value(
        &self,
        session: &mut dyn TextSession,
        row: &Row<'_>,
        column: &Column,
        rows: &mut RowWriter<'_>,
    ) -> Result<()>;
    /// Adds the literal for a field of a dump.
    fn literal(&self, column: &Column, field: &[u8], sql: &mut Vec<u8>);
    /// Inserts a row that is larger than the reader's buffer.
    fn load_long(&self, session: &mut dyn TextSession, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()>;
    /// Begins a transaction that writes.
    fn begin(&self) -> &'static str;
}
