//! Connections that read and leave nothing behind, and what SQLite's refusals mean.

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use backup_core::ports::Source;
use backup_core::ports::database::DatabaseError;
use backup_core::ports::site_files::FileId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::facts::ENGINE;
use super::locate::Files;
use super::pages;
use super::pump::Wanted;

/// How long a lock of somebody else is waited for where a freeze window or a person waits too.
pub(super) const BRIEFLY: Duration = Duration::from_secs(2);

/// The same where a lock means that somebody is there who should not be.
pub(super) const HARDLY: Duration = Duration::from_millis(250);

/// The same where nobody waits: a busy writer may keep readers out for long.
pub(super) const PATIENTLY: Duration = Duration::from_secs(15);

/// How the database keeps a transaction until it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    /// `delete`, `truncate` or `persist`; which of them only the writer knows.
    Rollback,
    /// A write-ahead log.
    Wal,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads under the usual locks. Leaves a `-wal` and a `-shm` behind in WAL mode.
    ReadOnly,
    /// Also rolls back a hot journal, and removes the files of WAL mode when it was the one that made them.
    ReadWrite,
    /// Reads the main file alone, without locks: right while nobody writes.
    Quiet,
    /// The same, with a schema that cannot be read, and pages that are not there.
    Torn,
}

/// Opens the database.
pub(super) fn open(files: &Files, access: Access, patience: Duration) -> rusqlite::Result<Connection> {
    let flags = match access {
        Access::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Quiet | Access::Torn => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    } | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // A log that was here before us is not ours to checkpoint or to remove.
    let others_log = files.has("-wal");
    let mut connection = match flags.contains(OpenFlags::SQLITE_OPEN_URI) {
        true => Connection::open_with_flags(immutable_uri(files.main()), flags)?,
        false => Connection::open_with_flags(files.main(), flags)?,
    };
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, others_log)?;
    wait_for_locks(&mut connection, patience, Wanted::default())?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    if access == Access::Torn {
        connection.pragma_update(None, "writable_schema", true)?;
    }
    Ok(connection)
}

/// Tries for a lock every millisecond: SQLite's own handler pauses so long that a busy writer is hardly ever met between two writes.
pub(super) fn wait_for_locks(connection: &mut Connection, patience: Duration, wanted: Wanted) -> rusqlite::Result<()> {
    let mut since = Instant::now();
    connection.busy_handler(Some(move |tries| {
        if tries == 0 {
            since = Instant::now();
        }
        thread::sleep(Duration::from_millis(1));
        since.elapsed() < patience && !wanted.is_given_up()
    }))
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from(if cfg!(windows) { "file:///" } else { "file:" });
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b':' | b'-' | b'_' | b'.' | b'~' => uri.push(char::from(*byte)),
            b'\\' if cfg!(windows) => uri.push('/'),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri + "?immutable=1"
}

/// Tells which journal the database keeps; touches nothing, takes no lock.
pub(super) fn probe(files: &Files) -> Result<Journal, DatabaseError> {
    let header = || pages::header(&open(files, Access::Torn, BRIEFLY)?);
    let header = header().map_err(|error| match code(&error) {
        // So far it is the main file alone that cannot be opened, and no remedy for those beside it helps.
        Some(ErrorCode::CannotOpen) => files.failed("open", error),
        _ => refusal(files, "open", error),
    })?;
    let wal = header.get(19) == Some(&2) || files.has("-wal");
    Ok(if wal { Journal::Wal } else { Journal::Rollback })
}

/// Runs `read` on a connection that changes no file; a hot journal makes it fail with [`is_hot_journal`].
pub(super) fn look<T>(
    files: &Files,
    read: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> Result<rusqlite::Result<T>, DatabaseError> {
    let journal = probe(files)?;
    let alone = || !files.has("-wal") && !files.has("-journal");
    if journal == Journal::Wal && alone() {
        let seen = open(files, Access::Quiet, BRIEFLY).and_then(|connection| read(&connection));
        // Where there still is no log, nobody can have changed the main file meanwhile.
        if alone() {
            return Ok(seen);
        }
    }
    let access = if journal == Journal::Wal { Access::ReadWrite } else { Access::ReadOnly };
    Ok(open(files, access, BRIEFLY).and_then(|connection| read(&connection)))
}

/// A connection for a copy: at most one read transaction at a time.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    /// The file that it reads.
    pub(super) id: Option<FileId>,
    patience: Duration,
    wanted: Wanted,
}

impl Reader {
    /// Opens the database as its journal asks for, and reads once.
    pub(super) fn open(files: &Files, patience: Duration, wanted: &Wanted) -> Result<Self, DatabaseError> {
        let access = match probe(files)? {
            Journal::Wal => Access::ReadWrite,
            Journal::Rollback => Access::ReadOnly,
        };
        let id = files.id();
        let connection = open(files, access, patience).map_err(|error| refusal(files, "open", error))?;
        let mut reader = Self { connection, id, patience, wanted: wanted.clone() };
        reader.be_patient(patience).map_err(|error| refusal(files, "open", error))?;
        // In WAL mode the first read takes a lock that stays, and with it the journal mode stays.
        reader.begin(files)?;
        reader.end().map_err(|error| refusal(files, "read", error))?;
        Ok(reader)
    }

    /// Starts a read transaction; tells which journal it stands on.
    ///
    /// A hot journal is rolled back first, which no reader can do without.
    pub(super) fn begin(&mut self, files: &Files) -> Result<Journal, DatabaseError> {
        let begun = match self.try_begin() {
            Err(error) if is_hot_journal(&error) => {
                self.connection = open(files, Access::ReadWrite, self.patience)
                    .map_err(|error| refusal(files, "roll back the journal of", error))?;
                self.be_patient(self.patience).and_then(|()| self.try_begin())
            }
            begun => begun,
        };
        begun.map_err(|error| refusal(files, "read", error))
    }

    fn try_begin(&mut self) -> rusqlite::Result<Journal> {
        self.end()?;
        self.connection.execute_batch("BEGIN")?;
        let begun = pages::header(&self.connection)
            .and_then(|_| self.connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)));
        if begun.is_err() {
            self.end()?;
        }
        Ok(if begun? == "wal" { Journal::Wal } else { Journal::Rollback })
    }

    /// Ends the transaction where there is one, and with it all locks that keep others from writing.
    pub(super) fn end(&self) -> rusqlite::Result<()> {
        if self.connection.is_autocommit() { Ok(()) } else { self.connection.execute_batch("ROLLBACK") }
    }

    /// Waits this long for the locks of others from now on.
    pub(super) fn be_patient(&mut self, patience: Duration) -> rusqlite::Result<()> {
        self.patience = patience;
        wait_for_locks(&mut self.connection, patience, self.wanted.clone())
    }

    /// The connection, for reading pages.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Whether a journal has to be rolled back by somebody who may write, before anybody can read.
pub(super) fn is_hot_journal(error: &rusqlite::Error) -> bool {
    extended_code(error) == Some(ffi::SQLITE_READONLY_ROLLBACK)
}

/// Whether the content of the file is at fault, rather than the way to it.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether somebody else holds a lock.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether SQLite understood the request and found that it cannot be answered.
pub(super) fn is_mistake(error: &rusqlite::Error) -> bool {
    code(error) == Some(ErrorCode::Unknown)
}

/// What a refusal of SQLite means for the caller.
pub(super) fn refusal(files: &Files, action: &'static str, error: rusqlite::Error) -> DatabaseError {
    let name = files.label();
    match code(&error) {
        _ if is_busy(&error) => DatabaseError::Locked { name, source: error.into() },
        Some(ErrorCode::NotADatabase) => DatabaseError::NotOne { name, engine: ENGINE, source: error.into() },
        Some(ErrorCode::CannotOpen) if files.id().is_none() && cfg!(unix) => DatabaseError::Missing(name),
        _ => DatabaseError::Failed { action, name, source: with_remedy(error) },
    }
}

/// A refusal with what can be done about it.
#[derive(Debug, thiserror::Error)]
#[error("{remedy}")]
struct Remedy {
    remedy: &'static str,
    source: rusqlite::Error,
}

fn with_remedy(error: rusqlite::Error) -> Source {
    let remedy = match (code(&error), extended_code(&error)) {
        (_, Some(ffi::SQLITE_READONLY_ROLLBACK)) => {
            "a program crashed while it wrote, and its journal can only be rolled back with permission to write"
        }
        (Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen), _) => {
            "a database in WAL mode can only be read by who may write to its folder and to the files beside it"
        }
        _ if error.to_string().contains("sqlite_dbpage") => {
            "this SQLite was built without the table `sqlite_dbpage`: set LIBSQLITE3_FLAGS=-DSQLITE_ENABLE_DBPAGE_VTAB for the build"
        }
        _ => return Box::new(error),
    };
    Box::new(Remedy { remedy, source: error })
}

fn sqlite(error: &rusqlite::Error) -> Option<&ffi::Error> {
    match error {
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => Some(error),
        _ => None,
    }
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    sqlite(error).map(|error| error.code)
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    sqlite(error).map(|error| error.extended_code)
}
