//! The pages of one committed state, through SQLite's own table of them.
//!
//! `sqlite_dbpage` yields what a reader sees, log and journal alike. The backup API would yield the same, but counts up in the header.

use rusqlite::{Connection, OptionalExtension, Rows};

use backup_core::copy::BLOCK;

/// All pages in order, in one transaction.
pub(super) const ALL: &str = "SELECT data FROM sqlite_dbpage ORDER BY pgno";

/// The pages from one number to another. A plain range would walk over all pages before it.
pub(super) const RANGE: &str = "WITH RECURSIVE wanted(n) AS (VALUES (?1) UNION ALL SELECT n + 1 FROM wanted WHERE n < ?2) \
     SELECT data FROM wanted CROSS JOIN sqlite_dbpage ON pgno = n";

/// Bytes of the header at the start of the first page.
const HEADER: usize = 100;

/// What tells one committed state from another: each transaction with a rollback journal changes a counter in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    header: Vec<u8>,
    /// How many pages there are.
    pub(super) pages: i64,
}

impl State {
    /// Reads the state; inside a transaction, its own.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let pages = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        Ok(Self { header: header(connection)?, pages })
    }

    /// How many pages fill a block.
    pub(super) fn pages_in_block(&self) -> i64 {
        let size = match self.header.get(16..18) {
            Some(&[0, 1]) => 65536,
            Some(&[high, low]) => i64::from(high) << 8 | i64::from(low),
            _ => 4096,
        };
        BLOCK as i64 / size.max(512)
    }
}

/// The header; empty in an empty file.
pub(super) fn header(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    let first = "SELECT substr(data, 1, ?1) FROM sqlite_dbpage WHERE pgno = 1";
    let header = connection.query_row(first, [HEADER as i64], |row| row.get(0)).optional()?;
    Ok(header.unwrap_or_default())
}

/// Fills `block` with the pages that come next; it stays empty at the end.
pub(super) fn fill(rows: &mut Rows<'_>, block: &mut Vec<u8>) -> rusqlite::Result<()> {
    while block.len() < BLOCK {
        let Some(row) = rows.next()? else { break };
        block.extend_from_slice(row.get_ref(0)?.as_blob()?);
    }
    Ok(())
}
