//! Cuts a database file into extents of eight pages on the grid of its pages.
//!
//! A page that changes in place changes one extent. Extents of SQL Server begin at a page whose number is a multiple of eight, wherever
//! in the file that is: a dump holds the same extents as the data file, and does so when its header grows.

use super::probe::{begins_extent, find_extent};
use super::{EXTENT, Piece, WINDOW, Wanted, content, is_zero};

/// Where the grid of a file lies, from the next byte on.
///
/// What is decided for the bytes of a window is cut at once, for all of them are there: whenever more bytes are wanted, the next one
/// begins an extent.
#[derive(Debug)]
pub(super) struct Pages {
    /// Bytes before the first extent, cut by content.
    before: usize,
    /// Bytes that stay on the grid without another look.
    settled: usize,
    /// Whether pages carry their numbers, which tell where the grid is.
    is_numbered: bool,
}

impl Pages {
    /// SQLite's pages begin with the file, and a page does not know its number.
    pub(super) fn of_sqlite() -> Self {
        Self { before: 0, settled: 0, is_numbered: false }
    }

    /// A file whose first extent begins at byte `first`.
    pub(super) fn of_sql_server(first: usize) -> Self {
        Self { before: first, settled: 0, is_numbered: true }
    }

    /// The piece with which `bytes` begin.
    pub(super) fn cut(&mut self, bytes: &[u8], is_last: bool) -> Result<Piece, Wanted> {
        if self.before == 0 && bytes.len() >= EXTENT && self.is_misfit(bytes) {
            if bytes.len() < WINDOW && !is_last {
                return Err(Wanted(WINDOW));
            }
            self.look_around(&bytes[..bytes.len().min(WINDOW)]);
        }
        if self.before > 0 {
            let head = &bytes[..bytes.len().min(self.before)];
            let len = content::cut(head, is_last || head.len() == self.before)?;
            self.before -= len;
            return Ok(Piece::data(len));
        }
        if bytes.len() < EXTENT {
            return if is_last { Ok(Piece::data(bytes.len())) } else { Err(Wanted(EXTENT)) };
        }
        self.settled = self.settled.saturating_sub(EXTENT);
        Ok(Piece { len: EXTENT, is_extent: true })
    }

    /// Whether these bytes make one doubt the grid. Zeros do not: they are space that was never used.
    fn is_misfit(&self, bytes: &[u8]) -> bool {
        self.is_numbered && self.settled == 0 && !begins_extent(bytes) && !is_zero(&bytes[..EXTENT])
    }

    /// Decides what becomes of the misfit with which `window` begins. Without proof of another grid this one goes on, for a database's
    /// file may hold anything. No byte is searched twice: what was searched in vain is settled.
    fn look_around(&mut self, window: &[u8]) {
        if window.chunks_exact(EXTENT).skip(1).any(begins_extent) {
            self.settled = EXTENT;
        } else if let Some(first) = find_extent(window) {
            self.before = first;
        } else {
            self.settled = window.len().next_multiple_of(EXTENT);
        }
    }
}
