//! Restoring into PostgreSQL.

use super::address::PostgresAddress;
use super::catalog::literal;
use super::origin::{facts, parts, with_columns};
use super::server_error::{judge, judge_load};
use super::session::{Asks, Session};
use crate::logical::LogicalError;
use crate::logical::catalog::{Kind, Statement, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::rows::ChunkReader;
use crate::logical::seam::{Facts, Found, Part, RowLoader, RowReader, Target, mark};

type Result<T> = std::result::Result<T, LogicalError>;

/// What an unfinished restore has done so far; it has a schema of its own, for the database may have none yet.
const PROGRESS: &str = "sitebackup_restore.progress";

/// For one transaction, the path in which users' functions find names that they write without a schema; the session's is empty.
const OWN_PATH: &str = "SET LOCAL search_path TO DEFAULT";

/// Begins the transaction of a chunk, in that path.
pub(super) const LOADING: &str = "BEGIN; SET LOCAL search_path TO DEFAULT";

/// Who executes statements of a catalog: a connection of the protocol, or one through a driver.
pub(super) trait Restores: Asks + Send {
    /// Executes one statement. Where it judges rows, an error is about this name.
    fn execute(&mut self, action: &str, statement: &str, rows_of: Option<&str>) -> Result<()>;
}

impl Restores for Session {
    fn execute(&mut self, action: &str, statement: &str, rows_of: Option<&str>) -> Result<()> {
        self.wire.query(statement).map(drop).map_err(|error| match rows_of {
            Some(name) => judge_load(error, name),
            None => judge(error, action, None),
        })
    }
}

pub(super) struct PostgresTarget {
    pub(super) facts: Facts,
    pub(super) session: Box<dyn Restores>,
    /// Opens a connection for rows.
    pub(super) loader: Box<dyn Fn() -> Result<Box<dyn RowLoader>> + Send>,
}

pub(crate) fn target(address: &PostgresAddress) -> Result<Box<dyn Target>> {
    let mut session = Session::open(address)?;
    let (facts, address) = (facts(&mut session, address)?, address.clone());
    let loader = move || Session::open(&address).map(|session| Box::new(session) as Box<dyn RowLoader>);
    Ok(Box::new(PostgresTarget { facts, session: Box::new(session), loader: Box::new(loader) }))
}

/// The statement that notes a step as done.
pub(super) fn note(step: &str) -> String {
    format!("INSERT INTO {PROGRESS} VALUES ({})", literal(step))
}

impl PostgresTarget {
    /// Executes statements in one transaction.
    fn together(&mut self, action: &str, statements: &[&str], rows_of: Option<&str>) -> Result<()> {
        self.session.execute(action, "BEGIN", None)?;
        let mut all = statements.iter().chain(&["COMMIT"]);
        let done = all.try_for_each(|statement| self.session.execute(action, statement, rows_of));
        if done.is_err() {
            // On a lost connection the first error counts.
            let _ = self.session.execute(action, "ROLLBACK", None);
        }
        done
    }
}

impl Target for PostgresTarget {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn standing(&mut self, dump: &str) -> Result<Found> {
        let there = format!("SELECT to_regclass('{PROGRESS}')");
        if self.session.value("look for an unfinished restore", &there)?.is_empty() {
            return contents(&mut *self.session).map(Found::by_contents);
        }
        let steps = self.session.rows("read what is done", &format!("SELECT step FROM {PROGRESS}"), 1)?;
        Ok(Found::by_steps(steps.into_iter().map(|row| row.text(0)).collect(), &mark(dump)))
    }

    fn begin(&mut self, dump: &str) -> Result<()> {
        let table = format!("CREATE TABLE {PROGRESS} (step text PRIMARY KEY)");
        let statements = ["CREATE SCHEMA sitebackup_restore", &table, &note(&mark(dump))];
        self.together("begin the restore", &statements, None)
    }

    fn run(&mut self, statement: &Statement, step: &str) -> Result<()> {
        let action = format!("restore `{}`", statement.name);
        let judges_rows = matches!(statement.kind, Kind::Constraint | Kind::Index);
        let (rows_of, note) = (judges_rows.then_some(&*statement.name), note(step));
        match self.together(&action, &[&statement.sql, &note], rows_of) {
            // It may call a function that finds what it needs in the database's own path.
            Err(LogicalError::Failed { .. }) => self.together(&action, &[OWN_PATH, &statement.sql, &note], rows_of),
            done => done,
        }
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        parts(&mut *self.session, table, wanted)
    }

    fn loaders(&mut self, wanted: usize) -> Result<Vec<Box<dyn RowLoader>>> {
        (0..wanted.clamp(1, 4)).map(|_| (self.loader)()).collect()
    }

    fn end(&mut self) -> Result<()> {
        self.session.execute("end the restore", "DROP SCHEMA sitebackup_restore CASCADE", None)?;
        self.session.execute("end the restore", "SET search_path TO DEFAULT", None)?;
        self.session.execute("end the restore", "ANALYZE", None)
    }
}

/// Something that the database holds, or nothing.
fn contents(session: &mut dyn Asks) -> Result<String> {
    let sql = "SELECT what FROM (
          SELECT format('table, view or sequence `%s.%s`', n.nspname, c.relname) AS what, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
              AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
          UNION ALL SELECT format('function `%s.%s`', n.nspname, p.proname), n.nspname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
          UNION ALL SELECT format('schema `%s`', nspname), nspname FROM pg_namespace WHERE nspname <> 'public'
          UNION ALL SELECT format('type `%s.%s`', n.nspname, t.typname), n.nspname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
            WHERE t.typtype IN ('e', 'd', 'r') AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
        ) AS all_of_it WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' LIMIT 1";
    session.value("look whether the database is empty", sql)
}

impl RowLoader for Session {
    fn load(&mut self, table: &Table, mut chunk: ChunkReader<'_>, step: &str) -> Result<()> {
        let title = table.title();
        self.run("begin", LOADING)?;
        let loaded = copy(self, table, &mut chunk).and_then(|()| chunk.finish());
        let done = loaded.and_then(|()| self.run("note a chunk", &format!("{}; COMMIT", note(step))));
        if done.is_err() {
            // A lost connection rolls back by itself.
            let _ = self.run(&format!("take back rows of `{title}`"), "ROLLBACK");
        }
        done
    }
}

fn copy(session: &mut Session, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()> {
    let sql = format!("COPY {} FROM STDIN", with_columns(table));
    let give = |send: &mut dyn FnMut(&[u8]) -> std::io::Result<()>| {
        let block = chunk.block()?;
        if block.is_empty() {
            return Ok(false);
        }
        // What sending says, the connection tells by itself.
        let _ = send(block);
        Ok(true)
    };
    session.wire.copy_in(&sql, give).map_err(|error| judge_load(error, &table.title()))
}

/// Rows are compared after a restore by a reader that sees what was committed.
impl RowReader for Box<dyn RowLoader> {
    fn read(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()> {
        (**self).read(table, part, rows)
    }
}
