//! Dumping from SQLite: a read transaction on every connection, begun between two commits.

use std::sync::Arc;

use super::words::{Kept, SqliteWords, quoted, row_number};
use super::{Result, catalog};
use crate::logical::catalog::{Catalog, Table};
use crate::logical::dump::DumpOptions;
use crate::logical::format::Moment;
use crate::logical::seam::{Facts, Origin, Part, RowReader};
use crate::text::{Open, PagedReader, TextSession, Words};

/// How often it is tried to begin between two commits, which takes less than a millisecond where nobody holds a lock.
const TRIES: usize = 20;

struct SqliteOrigin {
    facts: Facts,
    sessions: Vec<Box<dyn TextSession>>,
    embedded: bool,
    kept: Kept,
    shared_snapshot: bool,
}

pub(super) fn origin(open: &Open, mut facts: Facts, embedded: bool, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    let mut sessions = (0..options.connections.clamp(1, 4)).map(|_| open()).collect::<Result<Vec<_>>>()?;
    facts.server = server(&mut *sessions[0])?;
    let kept = Kept::of(&mut *sessions[0])?;
    Ok(Box::new(SqliteOrigin { facts, sessions, embedded, kept, shared_snapshot: options.shared_snapshot }))
}

pub(super) fn server(session: &mut dyn TextSession) -> Result<String> {
    Ok(format!("SQLite {}", session.value("read the version", "SELECT sqlite_version()")?))
}

/// Changes whenever another connection has committed; in a transaction that has read, it is that of the transaction's moment.
fn version(session: &mut dyn TextSession) -> Result<String> {
    session.value("read the version of the data", "SELECT data_version FROM pragma_data_version")
}

/// Begins a read transaction and returns what it finds there: reading begins the snapshot, not BEGIN.
fn begin(session: &mut dyn TextSession) -> Result<String> {
    session.run("begin", "BEGIN")?;
    session.value("read", "SELECT count(*) FROM sqlite_master")
}

impl SqliteOrigin {
    /// Begins a transaction on every connection. Whether nothing was committed between the first one's moment and the others'.
    fn begin_together(&mut self) -> Result<(String, bool)> {
        let (first, others) = self.sessions.split_first_mut().expect("there is one connection at least");
        let before = others.iter_mut().map(|session| version(&mut **session)).collect::<Result<Vec<_>>>()?;
        let id = begin(&mut **first)?;
        for session in &mut *others {
            begin(&mut **session)?;
        }
        let after = others.iter_mut().map(|session| version(&mut **session)).collect::<Result<Vec<_>>>()?;
        Ok((id, before == after))
    }
}

impl Origin for SqliteOrigin {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn pin(&mut self) -> Result<Moment> {
        if !self.shared_snapshot {
            return Ok(Moment { pinned_by: "nothing".to_owned(), ..Moment::default() });
        }
        let mode = self.sessions[0].value("read the journal mode", "PRAGMA journal_mode")?;
        let (mut id, mut is_one) = self.begin_together()?;
        for _ in 1..TRIES {
            if is_one {
                break;
            }
            for session in &mut self.sessions {
                session.run("end", "ROLLBACK")?;
            }
            (id, is_one) = self.begin_together()?;
        }
        if !is_one {
            // Others commit all the time: one connection has one moment, too.
            self.sessions.truncate(1);
        }
        let writers = if mode == "wal" { "writers go on" } else { "no writer can commit until the dump is written" };
        let pinned_by = format!("a read transaction (journal mode {mode}: {writers})");
        Ok(Moment { one_snapshot: true, pinned_by, id: format!("{id} objects"), ..Moment::default() })
    }

    fn catalog(&mut self) -> Result<Catalog> {
        catalog::read(&mut *self.sessions[0])
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        let Some(number) = row_number(table) else { return Ok(vec![Part::Whole]) };
        let ends = catalog::ends(&mut *self.sessions[0], &quoted(&table.name), number)?;
        Ok(ends.map_or(vec![Part::Whole], |(low, high)| Part::ranges(low, high, wanted)))
    }

    fn readers(self: Box<Self>) -> Vec<Box<dyn RowReader>> {
        let words: Arc<dyn Words> = Arc::new(SqliteWords { embedded: self.embedded, kept: self.kept });
        let reader = |session| Box::new(PagedReader { session, words: words.clone() }) as Box<dyn RowReader>;
        self.sessions.into_iter().map(reader).collect()
    }
}
