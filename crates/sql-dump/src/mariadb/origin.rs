//! Dumping from MariaDB.

use std::sync::Arc;

use backup_core::cancel::Cancel;

use super::server::product;
use super::words::{MariaDbWords, quoted};
use super::{SETTINGS, catalog, privileges};
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Kind, Table};
use crate::logical::dump::DumpOptions;
use crate::logical::format::Moment;
use crate::logical::seam::{Facts, Origin, Part, RowReader};
use crate::text::{Open, PagedReader, TextSession, Words};

type Result<T> = std::result::Result<T, LogicalError>;

/// Seconds that one lock is waited for.
const LOCK_LIMIT: &str = "SET SESSION lock_wait_timeout = 5";

/// While the global read lock waits behind a long statement, every writer waits behind it. It is taken in several steps, each of which may wait
/// for as long as one lock, so that MariaDB is given a limit for all of them, a tenth of the freeze window (60 seconds). MySQL has none, and reads a comment.
const LOCK: &str = "/*M!100102 SET STATEMENT max_statement_time = 6 FOR */ FLUSH TABLES WITH READ LOCK";

struct MariaDbOrigin {
    facts: Facts,
    sessions: Vec<Box<dyn TextSession>>,
    exceptions: Vec<String>,
    pinned: Vec<String>,
    shared_snapshot: bool,
    cancel: Cancel,
}

pub(crate) fn origin(open: &Open, mut facts: Facts, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    let mut sessions =
        (0..options.connections.clamp(1, 4)).map(|_| session(open)).collect::<Result<Vec<Box<dyn TextSession>>>>()?;
    let several = sessions.len() > 1;
    privileges::check(&mut *sessions[0], several)?;
    facts.server = server(&mut *sessions[0])?;
    let exceptions = catalog::unpinned(&mut *sessions[0])?;
    Ok(Box::new(MariaDbOrigin {
        facts,
        sessions,
        exceptions,
        pinned: Vec::new(),
        shared_snapshot: options.shared_snapshot,
        cancel: options.cancel.clone(),
    }))
}

/// Whether the user may dump the database.
pub(crate) fn may_dump(open: &Open, options: &DumpOptions) -> Result<()> {
    privileges::check(&mut *session(open)?, options.connections > 1)
}

pub(super) fn session(open: &Open) -> Result<Box<dyn TextSession>> {
    let mut session = open()?;
    for setting in SETTINGS {
        session.run("set up the session", setting)?;
    }
    same_text(&mut *session)?;
    Ok(session)
}

/// Text of all planes must arrive at the server, and come back, as it is: a driver or a driver manager may convert it by the locale.
fn same_text(session: &mut dyn TextSession) -> Result<()> {
    const PROBE: &str = "ä€😀";
    const HEX: &str = "C3A4E282ACF09F9880";
    let found = session.rows("try text out", &format!("SELECT '{PROBE}', HEX('{PROBE}')"), 2)?;
    if found.first().is_some_and(|row| row[0] == PROBE && row[1] == HEX) {
        return Ok(());
    }
    let what =
        format!("the driver does not hand text on as it is ({found:?}): set LC_ALL=C.UTF-8 or name charset=utf8mb4");
    Err(LogicalError::Unsupported(what))
}

pub(super) fn server(session: &mut dyn TextSession) -> Result<String> {
    let version = session.value("read the version", "SELECT VERSION()")?;
    Ok(format!("{} {version}", product(&version)))
}

/// Nobody waits for a lock of a pin that was given up.
fn refuse_stopped(cancel: &Cancel) -> Result<()> {
    if cancel.is_cancelled() { Err(LogicalError::Stopped) } else { Ok(()) }
}

impl MariaDbOrigin {
    fn start(&mut self) -> Result<String> {
        for session in &mut self.sessions {
            refuse_stopped(&self.cancel)?;
            session.run("begin", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
            session.run("start a snapshot", "START TRANSACTION WITH CONSISTENT SNAPSHOT")?;
        }
        self.sessions[0].value("read the log position", "SELECT COALESCE(/*M! @@gtid_binlog_pos, */ '')")
    }
}

impl Origin for MariaDbOrigin {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    // After an error the connections are closed, and with them goes every lock.
    fn pin(&mut self) -> Result<Moment> {
        if !self.shared_snapshot {
            return Ok(Moment { pinned_by: "nothing".to_owned(), ..Moment::default() });
        }
        // One snapshot needs no lock to be one.
        let several = self.sessions.len() > 1;
        for session in &mut self.sessions {
            session.run("limit the wait for locks", LOCK_LIMIT)?;
        }
        if several {
            refuse_stopped(&self.cancel)?;
            self.sessions[0].run("lock all tables for a moment", LOCK)?;
        }
        let started = self.start();
        let pinned = catalog::table_names(&mut *self.sessions[0]);
        if several {
            // This ends no transaction: only after LOCK TABLES it would.
            self.sessions[0].run("unlock the tables", "UNLOCK TABLES")?;
        }
        let id = started?;
        self.pinned = pinned?;
        let pinned_by = "a global read lock, held while every connection started its snapshot".to_owned();
        Ok(Moment {
            one_snapshot: self.exceptions.is_empty(),
            pinned_by,
            id,
            exceptions: self.exceptions.clone(),
            unix_seconds: 0,
        })
    }

    fn catalog(&mut self) -> Result<Catalog> {
        let catalog = catalog::read(&mut *self.sessions[0])?;
        // Catalogs are no part of snapshots here: a table may be gone that had rows at the pinned moment.
        let made = |name: &str| catalog.pre.iter().any(|made| made.kind == Kind::Table && made.name == name);
        if let Some(gone) = self.pinned.iter().find(|name| !made(name)) {
            let source = "it was dropped after the snapshot was taken".into();
            return Err(LogicalError::Changed { table: gone.clone(), source });
        }
        // Reading from a table in a transaction keeps others from altering it until the end; one that was altered before is refused here.
        // A connection that read it later would wait behind whoever waits to alter it.
        for table in catalog.tables.iter().filter(|_| self.shared_snapshot) {
            let sql = format!("SELECT 1 FROM {} LIMIT 1", quoted(&table.name));
            for session in &mut self.sessions {
                let read = session.run(&format!("read `{}`", table.name), &sql);
                read.map_err(|error| error.about(&table.name))?;
            }
        }
        Ok(catalog)
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        parts(&mut *self.sessions[0], table, wanted)
    }

    fn readers(self: Box<Self>) -> Vec<Box<dyn RowReader>> {
        let words: Arc<dyn Words> = Arc::new(MariaDbWords);
        let reader = |session| Box::new(PagedReader { session, words: words.clone() }) as Box<dyn RowReader>;
        self.sessions.into_iter().map(reader).collect()
    }
}

/// Ranges of the first column of the key where it is a whole number.
pub(super) fn parts(session: &mut dyn TextSession, table: &Table, wanted: usize) -> Result<Vec<Part>> {
    let first = table.key.first().map(|place| &table.columns[*place]);
    let Some(first) = first.filter(|column| column.declared.contains("int")) else { return Ok(vec![Part::Whole]) };
    let (name, table) = (quoted(&first.name), quoted(&table.name));
    let sql = format!("SELECT MIN({name}), MAX({name}) FROM {table}");
    let found = session.rows("read the ends of a key", &sql, 2)?;
    let ends = found.first().and_then(|row| Some((row[0].parse::<i64>().ok()?, row[1].parse::<i64>().ok()?)));
    let Some((low, high)) = ends else { return Ok(vec![Part::Whole]) };
    Ok(Part::ranges(low, high, wanted))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::text::Cells;

    /// A server that notes what it is told, and gives up at a statement.
    struct Noting {
        sent: Arc<Mutex<Vec<String>>>,
        gives_up_at: &'static str,
        cancel: Cancel,
    }

    impl TextSession for Noting {
        fn run(&mut self, _action: &str, sql: &str) -> Result<()> {
            self.sent.lock().expect("no panic").push(sql.to_owned());
            if sql.contains(self.gives_up_at) {
                self.cancel.cancel();
            }
            Ok(())
        }

        fn fetch(
            &mut self,
            _action: &str,
            _sql: &str,
            _widths: &[usize],
            _take: &mut dyn FnMut(&Cells<'_>) -> Result<()>,
        ) -> Result<()> {
            Ok(())
        }
    }

    /// The statements of a pin that is given up at one of them.
    fn pinned(gives_up_at: &'static str) -> (Result<Moment>, Vec<String>) {
        let (sent, cancel) = (Arc::new(Mutex::new(Vec::new())), Cancel::default());
        let session = || Noting { sent: Arc::clone(&sent), gives_up_at, cancel: cancel.clone() };
        let facts =
            Facts { dialect: "mariadb", server: String::new(), transport: String::new(), address: String::new() };
        let mut origin = MariaDbOrigin {
            facts,
            sessions: vec![Box::new(session()), Box::new(session())],
            exceptions: Vec::new(),
            pinned: Vec::new(),
            shared_snapshot: true,
            cancel: cancel.clone(),
        };
        let moment = origin.pin();
        let sent = sent.lock().expect("no panic").clone();
        (moment, sent)
    }

    #[test]
    fn a_pin_that_was_given_up_takes_no_lock_and_keeps_none() {
        let (moment, sent) = pinned("lock_wait_timeout");
        assert!(matches!(moment, Err(LogicalError::Stopped)));
        assert_eq!(sent, [LOCK_LIMIT; 2]);
        let (moment, sent) = pinned("FLUSH TABLES");
        assert!(matches!(moment, Err(LogicalError::Stopped)));
        assert_eq!(sent, [LOCK_LIMIT, LOCK_LIMIT, LOCK, "UNLOCK TABLES"]);
        let (moment, sent) = pinned("never");
        assert!(moment.is_ok() && sent.last().is_some_and(|sql| sql == "UNLOCK TABLES"), "{sent:?}");
    }
}
