//! Restoring into MariaDB.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::DEFINING;
use super::origin::{parts, server, session};
use super::words::{MariaDbWords, literal, longest, quoted};
use crate::logical::LogicalError;
use crate::logical::catalog::{Kind, Statement, Table};
use crate::logical::seam::{Facts, Found, Part, RowLoader, Target, mark};
use crate::text::{InsertLoader, Open, PagedReader, TextSession};

type Result<T> = std::result::Result<T, LogicalError>;

/// What an unfinished restore has done so far.
const PROGRESS: &str = "`sitebackup_restore`";

/// Something that the database holds, besides that.
const CONTENTS: &str = "SELECT what FROM (SELECT CONCAT('table or view `', table_name, '`') AS what FROM information_schema.tables WHERE table_schema = DATABASE()
    UNION ALL SELECT CONCAT('routine `', routine_name, '`') FROM information_schema.routines WHERE routine_schema = DATABASE()
    UNION ALL SELECT CONCAT('event `', event_name, '`') FROM information_schema.events WHERE event_schema = DATABASE()) AS all_of_it
    WHERE what <> 'table or view `sitebackup_restore`' LIMIT 1";

struct MariaDbTarget {
    open: Open,
    facts: Facts,
    session: Box<dyn TextSession>,
    goes_on: bool,
}

pub(crate) fn target(open: Open, mut facts: Facts) -> Result<Box<dyn Target>> {
    let mut session = session(&open)?;
    facts.server = server(&mut *session)?;
    Ok(Box::new(MariaDbTarget { open, facts, session, goes_on: false }))
}

fn note(step: &str) -> String {
    format!("INSERT INTO {PROGRESS} VALUES ({})", literal(step))
}

impl Target for MariaDbTarget {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn standing(&mut self, dump: &str) -> Result<Found> {
        let there = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'sitebackup_restore'";
        if self.session.value("look for an unfinished restore", there)? == "0" {
            return self.session.value("look whether the database is empty", CONTENTS).map(Found::by_contents);
        }
        let steps = self.session.rows("read what is done", &format!("SELECT step FROM {PROGRESS}"), 1)?;
        let done: BTreeSet<String> = steps.into_iter().flatten().collect();
        // The table comes first and its mark second: cut off between them, nothing else was done.
        if done.is_empty() {
            return self.session.value("look whether the database is empty", CONTENTS).map(Found::by_contents);
        }
        Ok(Found::by_steps(done, &mark(dump)))
    }

    fn begin(&mut self, dump: &str) -> Result<()> {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {PROGRESS} (step VARCHAR(700) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY) ENGINE=InnoDB"
        );
        self.session.run("begin the restore", &sql)?;
        self.session.run("begin the restore", &note(&mark(dump)))
    }

    fn go_on(&mut self) {
        self.goes_on = true;
    }

    fn run(&mut self, statement: &Statement, step: &str) -> Result<()> {
        let action = format!("restore `{}`", statement.name);
        self.session.run(&action, DEFINING)?;
        if let Some(setting) = &statement.setting {
            self.session.run(&action, setting)?;
        }
        let mut done = self.session.run(&action, &statement.sql);
        if self.goes_on && done.is_err() {
            // The statement may have run when the last attempt was cut off before it was noted. Each of them makes what was not there.
            if let Some(undo) = undo(statement) {
                self.session.run(&action, &undo)?;
                done = self.session.run(&action, &statement.sql);
            } else if matches!(statement.kind, Kind::Index | Kind::Constraint) {
                done = done.or_else(|error| if is_there_already(&error) { Ok(()) } else { Err(error) });
            }
        }
        done.map_err(|error| error.about(&statement.name))?;
        self.session.run(&action, &note(step))
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        parts(&mut *self.session, table, wanted)
    }

    fn loaders(&mut self, wanted: usize) -> Result<Vec<Box<dyn RowLoader>>> {
        let open = |_| {
            let mut session = session(&self.open)?;
            // Rows come before the keys that they refer to, and all were checked where they come from, or were not to be.
            let checks =
                "SET SESSION foreign_key_checks = 0, unique_checks = 0 /*M!100201 , check_constraint_checks = 0 */";
            session.run("set up the session", checks)?;
            let longest = longest(&mut *session)?;
            let connection = PagedReader { session, words: Arc::new(MariaDbWords) };
            Ok(Box::new(InsertLoader { connection, note, longest }) as Box<dyn RowLoader>)
        };
        (0..wanted.clamp(1, 4)).map(open).collect()
    }

    fn end(&mut self) -> Result<()> {
        self.session.run("end the restore", &format!("DROP TABLE {PROGRESS}"))
    }
}

fn undo(statement: &Statement) -> Option<String> {
    let what = match statement.kind {
        Kind::Table => "TABLE",
        Kind::Sequence => "SEQUENCE",
        Kind::View => "VIEW",
        _ => return None,
    };
    Some(format!("DROP {what} IF EXISTS {}", quoted(&statement.name)))
}

/// Duplicate key name, duplicate foreign key name.
fn is_there_already(error: &LogicalError) -> bool {
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    text.contains("Duplicate key name") || text.contains("Duplicate foreign key") || text.contains("errno: 121")
}
