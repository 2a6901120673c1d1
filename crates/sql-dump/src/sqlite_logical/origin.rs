//! Dumping from SQLite: one connection, one read transaction.

use std::sync::Arc;

use super::words::SqliteWords;
use super::{Result, catalog};
use crate::logical::catalog::{Catalog, Table};
use crate::logical::format::Moment;
use crate::logical::seam::{Facts, Origin, Part, RowReader};
use crate::text::{PagedReader, TextSession};

struct SqliteOrigin {
    facts: Facts,
    session: Box<dyn TextSession>,
    embedded: bool,
}

pub(super) fn origin(mut session: Box<dyn TextSession>, mut facts: Facts, embedded: bool) -> Result<Box<dyn Origin>> {
    facts.server = server(&mut *session)?;
    Ok(Box::new(SqliteOrigin { facts, session, embedded }))
}

pub(super) fn server(session: &mut dyn TextSession) -> Result<String> {
    Ok(format!("SQLite {}", session.value("read the version", "SELECT sqlite_version()")?))
}

impl Origin for SqliteOrigin {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn pin(&mut self) -> Result<Moment> {
        let mode = self.session.value("read the journal mode", "PRAGMA journal_mode")?;
        self.session.run("begin", "BEGIN")?;
        // Reading begins the snapshot, not BEGIN.
        let id = self.session.value("read", "SELECT count(*) FROM sqlite_master")?;
        let writers = if mode == "wal" { "writers go on" } else { "no writer can commit until the dump is written" };
        let pinned_by = format!("a read transaction (journal mode {mode}: {writers})");
        Ok(Moment { one_snapshot: true, pinned_by, id: format!("{id} objects"), ..Moment::default() })
    }

    fn catalog(&mut self) -> Result<Catalog> {
        catalog::read(&mut *self.session)
    }

    fn parts(&mut self, _table: &Table, _wanted: usize) -> Result<Vec<Part>> {
        Ok(vec![Part::Whole])
    }

    fn readers(self: Box<Self>) -> Vec<Box<dyn RowReader>> {
        vec![Box::new(PagedReader { session: self.session, words: Arc::new(SqliteWords { embedded: self.embedded }) })]
    }
}
