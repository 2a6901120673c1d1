//! Loading rows by INSERT statements of many rows each, one transaction a chunk.

use super::paged::PagedReader;
use super::session::TextSession;
use super::words::Words;
use crate::logical::LogicalError;
use crate::logical::catalog::Table;
use crate::logical::chunk::RowWriter;
use crate::logical::rows::{ChunkReader, Next};
use crate::logical::seam::{Part, RowLoader, RowReader};

type Result<T> = std::result::Result<T, LogicalError>;

/// A statement ends with the row that takes it over this size.
const STATEMENT: usize = 512 * 1024;

/// Loads rows over a [`TextSession`](super::TextSession).
pub(crate) struct InsertLoader {
    pub(crate) connection: PagedReader,
    /// The statement that notes a step as done, for a quoted step.
    pub(crate) note: fn(&str) -> String,
    /// The longest statement that the server takes.
    pub(crate) longest: usize,
}

impl RowReader for InsertLoader {
    fn read(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()> {
        self.connection.read(table, part, rows)
    }
}

impl RowLoader for InsertLoader {
    fn load(&mut self, table: &Table, mut chunk: ChunkReader<'_>, step: &str) -> Result<()> {
        let title = table.title();
        let words = self.connection.words.clone();
        self.connection.session.run("begin", words.begin())?;
        let loaded = self.insert_all(&*words, table, &mut chunk).and_then(|()| chunk.finish());
        let note = (self.note)(step);
        let session = &mut self.connection.session;
        let done =
            loaded.and_then(|()| session.run("note a chunk", &note)).and_then(|()| session.run("commit", "COMMIT"));
        if done.is_err() {
            // A lost connection takes back by itself.
            let _ = session.run("take back rows", "ROLLBACK");
        }
        done.map_err(|error| error.about(&title))
    }
}

impl InsertLoader {
    fn insert_all(&mut self, words: &dyn Words, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()> {
        let head = words.insert(table).into_bytes();
        let mut sql = head.clone();
        loop {
            match chunk.next()? {
                Next::Row(_) if table.columns.is_empty() => {
                    sql.push(b' ');
                    self.send(table, &mut sql, head.len())?;
                }
                Next::Row(place) => {
                    sql.extend_from_slice(if sql.len() == head.len() { b"(" } else { b",(" });
                    values(words, table, chunk.at(&place), &mut sql)?;
                    sql.push(b')');
                    if sql.len() >= STATEMENT.min(self.longest / 2) {
                        self.send(table, &mut sql, head.len())?;
                    }
                }
                Next::LongRow => {
                    self.send(table, &mut sql, head.len())?;
                    words.load_long(&mut *self.connection.session, table, chunk)?;
                }
                Next::End => return self.send(table, &mut sql, head.len()),
            }
        }
    }

    fn send(&mut self, table: &Table, sql: &mut Vec<u8>, head: usize) -> Result<()> {
        if sql.len() > head {
            let action = format!("load rows into `{}`", table.title());
            if sql.len() > self.longest {
                return Err(too_long(table, sql.len(), self.longest));
            }
            let text = std::str::from_utf8(sql).map_err(|error| not_text(table, error))?;
            self.connection.session.run(&action, text)?;
            sql.truncate(head);
        }
        Ok(())
    }
}

/// Refuses what is longer than the server takes in one statement or makes of pieces. Only MariaDB has such a limit.
pub(crate) fn too_long(table: &Table, needed: usize, longest: usize) -> LogicalError {
    // The server rounds down, and a packet is longer than its statement.
    let needed = needed.next_multiple_of(1024) + 1024;
    let source =
        format!("max_allowed_packet of the server is {longest}, and has to be {needed} at least for it").into();
    LogicalError::DoesNotFit { table: table.title(), source }
}

/// Inserts a row that is larger than the reader's buffer, whole, for servers that hold a row in memory as well.
pub(crate) fn insert_whole(
    words: &dyn Words,
    session: &mut dyn TextSession,
    table: &Table,
    chunk: &mut ChunkReader<'_>,
) -> Result<()> {
    let mut row = Vec::new();
    loop {
        let piece = chunk.piece()?;
        row.extend_from_slice(chunk.at(&piece.text));
        if piece.ends_row {
            break;
        }
        if piece.ends_field {
            row.push(b'\t');
        }
    }
    let mut sql = words.insert(table).into_bytes();
    sql.push(b'(');
    values(words, table, &row, &mut sql)?;
    sql.push(b')');
    drop(row);
    let text = std::str::from_utf8(&sql).map_err(|error| not_text(table, error))?;
    session.run(&format!("load rows into `{}`", table.title()), text)
}

fn not_text(table: &Table, error: std::str::Utf8Error) -> LogicalError {
    LogicalError::DoesNotFit { table: table.title(), source: Box::new(error) }
}

fn values(words: &dyn Words, table: &Table, row: &[u8], sql: &mut Vec<u8>) -> Result<()> {
    let mut fields = row.split(|byte| *byte == b'\t');
    for (n, column) in table.columns.iter().enumerate() {
        let field = fields.next().ok_or_else(|| wrong_row(table))?;
        if n > 0 {
            sql.push(b',');
        }
        if field == b"\\N" {
            sql.extend_from_slice(b"NULL");
        } else {
            words.literal(column, field, sql);
        }
    }
    if fields.next().is_none() { Ok(()) } else { Err(wrong_row(table)) }
}

fn wrong_row(table: &Table) -> LogicalError {
    let source = "a row of the dump has another number of values than the table has columns".into();
    LogicalError::DoesNotFit { table: table.title(), source }
}
