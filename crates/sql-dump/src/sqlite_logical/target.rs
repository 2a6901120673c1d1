//! Restoring into SQLite.

use std::sync::Arc;

use super::origin::server;
use super::words::{Kept, SqliteWords, encoding, literal};
use super::{Result, catalog};
use crate::logical::LogicalError;
use crate::logical::catalog::{Kind, Statement, Table};
use crate::logical::seam::{Facts, Found, Part, RowLoader, Target, mark};
use crate::text::{InsertLoader, PagedReader, TextSession};

/// What an unfinished restore has done so far.
const PROGRESS: &str = "sitebackup_restore";

struct SqliteTarget {
    facts: Facts,
    session: Box<dyn TextSession>,
    loader: Option<Box<dyn TextSession>>,
    embedded: bool,
    mark: String,
}

pub(super) fn target(
    [mut session, loader]: [Box<dyn TextSession>; 2],
    mut facts: Facts,
    embedded: bool,
) -> Result<Box<dyn Target>> {
    facts.server = server(&mut *session)?;
    Ok(Box::new(SqliteTarget { facts, session, loader: Some(loader), embedded, mark: String::new() }))
}

fn note(step: &str) -> String {
    format!("INSERT INTO {PROGRESS} VALUES ({})", literal(step))
}

impl Target for SqliteTarget {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn standing(&mut self, dump: &str) -> Result<Found> {
        self.mark = mark(dump);
        if !catalog::has(&mut *self.session, PROGRESS)? {
            return catalog::contents(&mut *self.session, PROGRESS).map(Found::by_contents);
        }
        let steps = self.session.rows("read what is done", &format!("SELECT step FROM {PROGRESS}"), 1)?;
        Ok(Found::by_steps(steps.into_iter().flatten().collect(), &self.mark))
    }

    // The table of what is done comes with the first table: settings of the file must come before any.
    fn begin(&mut self, _dump: &str) -> Result<()> {
        Ok(())
    }

    fn run(&mut self, statement: &Statement, step: &str) -> Result<()> {
        let action = format!("restore `{}`", statement.name);
        if statement.kind == Kind::Container {
            // A setting of the file holds only while the file is empty, and setting it again changes nothing.
            self.session.run(&action, &statement.sql)?;
            // The bytes of a text are those of its encoding.
            if statement.name == "encoding" && !statement.sql.contains(&encoding(&mut *self.session)?) {
                let what = "a driver for SQLite makes databases in UTF-8 alone: give the address as `sqlite:…`";
                return Err(LogicalError::Unsupported(what.to_owned()));
            }
            return Ok(());
        }
        self.session.run(&action, "BEGIN IMMEDIATE")?;
        let mark = format!("INSERT OR IGNORE INTO {PROGRESS} VALUES ({})", literal(&self.mark));
        let done = self
            .session
            .run(&action, &format!("CREATE TABLE IF NOT EXISTS {PROGRESS} (step TEXT PRIMARY KEY)"))
            .and_then(|()| self.session.run(&action, &mark))
            .and_then(|()| self.session.run(&action, &statement.sql))
            .and_then(|()| self.session.run(&action, &note(step)))
            .and_then(|()| self.session.run(&action, "COMMIT"));
        if done.is_err() {
            let _ = self.session.run(&action, "ROLLBACK");
        }
        done.map_err(|error| error.about(&statement.name))
    }

    fn parts(&mut self, _table: &Table, _wanted: usize) -> Result<Vec<Part>> {
        Ok(vec![Part::Whole])
    }

    fn loaders(&mut self, _wanted: usize) -> Result<Vec<Box<dyn RowLoader>>> {
        if let Some(loader) = &mut self.loader {
            // They were judged where they come from, or were not to be.
            loader.run("set up the session", "PRAGMA ignore_check_constraints = ON")?;
        }
        let words = Arc::new(SqliteWords { embedded: self.embedded, kept: Kept::of(&mut *self.session)? });
        let loader = self.loader.take().map(|session| {
            let connection = PagedReader { session, words };
            Box::new(InsertLoader { connection, note, longest: usize::MAX }) as Box<dyn RowLoader>
        });
        Ok(loader.into_iter().collect())
    }

    fn end(&mut self) -> Result<()> {
        self.session.run("end the restore", &format!("DROP TABLE IF EXISTS {PROGRESS}"))
    }
}
