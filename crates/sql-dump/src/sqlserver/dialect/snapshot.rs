//! A database snapshot that holds the moment of a dump: made under a name of this run's own, dropped when it is let go of, whatever happened.
//!
//! While it stands, a session of its own holds a lock of the same name. A snapshot whose lock nobody holds is what a run left that was killed: the next
//! one drops it.

use super::stream::Stream;
use super::{Opener, Result, ask, run, value};
use crate::logical::LogicalError;
use crate::logical::seam::Held;
use crate::sqlserver::tsql::{name, text};

/// What the name of every snapshot begins with. No other database is ever dropped.
const PREFIX: &str = "sitebackup_dump_";

/// All that a snapshot needs, so that making it is one statement.
pub(super) struct Ready {
    control: Box<dyn Stream>,
    opener: Opener,
    name: String,
    source: String,
    creation: String,
}

/// A snapshot. Dropping it drops the database.
pub(super) struct Hold {
    control: Box<dyn Stream>,
    opener: Opener,
    name: String,
    source: String,
    is_released: bool,
}

impl Ready {
    /// Names a snapshot of the database `source`, and locks the name.
    pub(super) fn new(opener: Opener, source: &str) -> Result<Self> {
        let mut control = opener.open()?;
        sweep(&mut *control, source)?;
        let id = "SELECT LOWER(REPLACE(CONVERT(nvarchar(36), NEWID()), N'-', N'')) AS id";
        let name = format!("{PREFIX}{}", value(&mut *control, "name a database snapshot", id)?);
        lock(&mut *control, &name)?;
        let creation = creation(&name, source, &files(&mut *control)?);
        Ok(Self { control, opener, name, source: source.to_owned(), creation })
    }

    /// Makes the snapshot.
    pub(super) fn make(self) -> Result<Hold> {
        let Self { control, opener, name, source, creation } = self;
        // From here on it is dropped on every way out: the server may have made it even where no answer came.
        let mut hold = Hold { control, opener, name, source, is_released: false };
        run(&mut *hold.control, "make a database snapshot", &creation)?;
        Ok(hold)
    }
}

impl Hold {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn let_go(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_released, true) {
            return Ok(());
        }
        let action = format!("drop the database snapshot `{}`", self.name);
        let sql = removal(&self.name, &self.source);
        match run(&mut *self.control, &action, &sql) {
            Err(LogicalError::Gone { .. }) => {
                self.control = self.opener.open()?;
                run(&mut *self.control, &action, &sql)
            }
            done => done,
        }
    }
}

impl Held for Hold {
    fn release(mut self: Box<Self>) -> Result<()> {
        self.let_go()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Whoever comes here has failed already, or gives the dump up; the next run drops what this one cannot.
        let _ = self.let_go();
    }
}

/// Drops the snapshots that runs left which were killed.
fn sweep(session: &mut dyn Stream, source: &str) -> Result<()> {
    let sql = format!(
        "SELECT name FROM sys.databases WHERE source_database_id = DB_ID() AND LEFT(name, {}) = {}",
        PREFIX.len(),
        text(PREFIX)
    );
    let answer = ask(session, "look for snapshots of earlier runs", &sql)?;
    let names: Vec<String> = answer.rows().map(|row| row.text("name")).collect();
    for left in names.iter().filter(|name| name.starts_with(PREFIX)) {
        if lock(session, left)? {
            run(session, &format!("drop the database snapshot `{left}` of an earlier run"), &removal(left, source))?;
        }
    }
    Ok(())
}

/// Takes the lock of a snapshot for the session; false when another one has it.
fn lock(session: &mut dyn Stream, snapshot: &str) -> Result<bool> {
    let sql = format!(
        "DECLARE @taken int; EXEC @taken = sp_getapplock @Resource = {}, @LockMode = 'Exclusive', @LockOwner = 'Session', \
         @LockTimeout = 0; SELECT @taken AS taken",
        text(snapshot)
    );
    let taken = value(session, "lock a database snapshot", &sql)?;
    Ok(taken.parse::<i32>().is_ok_and(|taken| taken >= 0))
}

/// Logical names and paths of the files that hold rows.
fn files(session: &mut dyn Stream) -> Result<Vec<(String, String)>> {
    let sql = "SELECT name, physical_name FROM sys.database_files WHERE type = 0 ORDER BY file_id";
    let answer = ask(session, "read the files of the database", sql)?;
    Ok(answer.rows().map(|row| (row.text("name"), row.text("physical_name"))).collect())
}

/// Each sparse file lies beside the one that it is of.
pub(super) fn creation(snapshot: &str, source: &str, files: &[(String, String)]) -> String {
    let file = |(logical, path): &(String, String)| {
        format!("(NAME = {}, FILENAME = {})", name(logical), text(&format!("{path}.{snapshot}.ss")))
    };
    let files: Vec<String> = files.iter().map(file).collect();
    format!("CREATE DATABASE {} ON {} AS SNAPSHOT OF {}", name(snapshot), files.join(", "), name(source))
}

/// Drops a snapshot of this database, and nothing else that might have its name.
pub(super) fn removal(snapshot: &str, source: &str) -> String {
    format!(
        "IF EXISTS (SELECT 1 FROM sys.databases WHERE name = {} AND source_database_id = DB_ID({})) DROP DATABASE {}",
        text(snapshot),
        text(source),
        name(snapshot)
    )
}
