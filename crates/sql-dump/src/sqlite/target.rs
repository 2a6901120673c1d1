//! The database that a restore replaces: kept from others, made whole without its side files, and rid of them.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use backup_core::ports::database::DatabaseError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::connection::{BRIEFLY, HARDLY, is_busy, is_damage, refusal, wait_for_locks};
use super::locate::Files;
use super::pump::Wanted;

/// An old database that nobody else can open as long as this lives; or nothing that could be opened.
#[derive(Debug)]
pub(super) struct Held {
    old: Option<Connection>,
}

impl Held {
    /// Locks everybody out, or tells who is in.
    pub(super) fn take(files: &Files) -> Result<Self, DatabaseError> {
        if files.id().is_none() && !files.main().exists() {
            return Ok(Self { old: None });
        }
        Files::locate(files.site())?;
        let old = match lock(files) {
            Ok(connection) => Some(connection),
            // What the wreck has left is no database; nobody can lock it.
            Err(error) if is_damage(&error) => None,
            Err(error) if is_busy(&error) => return Err(refusal(files, "lock", error)),
            Err(error) => return Err(files.failed("lock", error)),
        };
        match settled_program(files) {
            Some(program) => {
                let source = format!("{} has it open", program.name).into();
                Err(DatabaseError::Locked { name: files.label(), source })
            }
            None => Ok(Self { old }),
        }
    }

    /// Brings what the log holds into the old file, then removes all that stands beside it.
    ///
    /// The order keeps the old database whole at every instant, and leaves nothing that could be taken for the new one's. The lock is
    /// held on, except on Windows, where SQLite lets nobody remove or replace a file that it has open: whoever opens the old database
    /// from then on makes the replacement fail.
    pub(super) fn clear_side_files(self, files: &Files) -> Result<Option<Self>, DatabaseError> {
        if let Some(old) = &self.old {
            empty_log(old, files)?;
        }
        let held = Some(self).filter(|_| cfg!(not(windows)));
        for path in files.side_files() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(files.failed("remove the log or journal of", error));
                }
                _ => (),
            }
        }
        sync_folder(files)?;
        Ok(held)
    }
}

/// Takes SQLite's exclusive lock. A hot journal is rolled back by that.
fn lock(files: &Files) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(files.main(), flags)?;
    // When nothing comes of the restore, a log that was there stays, and the one made here goes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, files.has("-wal"))?;
    wait_for_locks(&mut connection, HARDLY, Wanted::default())?;
    // In this mode the lock outlives the transaction, and WAL mode does without a `-shm` file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    Ok(connection)
}

/// A process that is not this one.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    /// Whether it is a child that this process has just forked: until it becomes another program, which a loaded machine may make it
    /// wait for, it holds copies of all that is open here.
    pub(super) is_forked: bool,
}

/// Another process that has one of the files open, and keeps it so.
fn settled_program(files: &Files) -> Option<Program> {
    let since = Instant::now();
    loop {
        let program = other_program(files)?;
        let patience = if program.is_forked { BRIEFLY } else { HARDLY };
        if since.elapsed() >= patience {
            return Some(program);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Another process that has one of the files open. A connection that is idle holds no lock with a rollback journal, and would go on
/// writing to the file that has lost its name.
#[cfg(target_os = "linux")]
pub(super) fn other_program(files: &Files) -> Option<Program> {
    use super::locate::file_id;
    let ids: Vec<_> =
        std::iter::once(files.main().to_owned()).chain(files.side_files()).filter_map(|path| file_id(&path)).collect();
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let numbered = |name: &str| name != own && name.bytes().all(|byte| byte.is_ascii_digit());
    let mut others = processes.filter(|process| process.file_name().to_str().is_some_and(numbered));
    let holder = others.find(|process| {
        // Other users' processes do not show their files, and any may end meanwhile.
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { return false };
        open.flatten().any(|file| file_id(&file.path()).is_some_and(|id| ids.contains(&id)))
    })?;
    let command = fs::read_to_string(holder.path().join("comm")).unwrap_or_default();
    let name = format!("process {} ({})", holder.file_name().to_string_lossy(), command.trim_end());
    Some(Program { name, is_forked: is_forked(&holder.path(), &own) })
}

/// Whether it is our child and still runs what we run, with our arguments.
#[cfg(target_os = "linux")]
fn is_forked(process: &std::path::Path, own: &str) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let same_command = || Some(fs::read(process.join("cmdline")).ok()? == fs::read("/proc/self/cmdline").ok()?);
    parent.is_some_and(|parent| parent.trim() == own) && same_command().unwrap_or(false)
}

// Elsewhere only the lock tells; Windows itself refuses to replace a file that is open.
#[cfg(not(target_os = "linux"))]
pub(super) fn other_program(_files: &Files) -> Option<Program> {
    None
}

fn empty_log(old: &Connection, files: &Files) -> Result<(), DatabaseError> {
    // When the connection ends, the name belongs to the new database, whose log must not be removed.
    let keep = old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    let busy = keep.and_then(|_| old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0)));
    match busy {
        Ok(false) => Ok(()),
        Ok(true) => Err(files.failed("empty the log of", "somebody reads from it")),
        Err(error) if is_damage(&error) => Ok(()),
        Err(error) => Err(refusal(files, "empty the log of", error)),
    }
}

/// Makes names that came or went in the database's folder durable.
pub(super) fn sync_folder(files: &Files) -> Result<(), DatabaseError> {
    if cfg!(unix) {
        let synced = fs::File::open(files.folder()).and_then(|folder| folder.sync_all());
        synced.map_err(|error| files.failed("make durable the folder of", error))?;
    }
    Ok(())
}
