//! SQLite: pinned by a read transaction in WAL mode, by a second look under a shared lock with a rollback journal.
//!
//! Owns every access to the database's files. Nothing here opens them with `std::fs`: POSIX locks belong to the process, and the
//! first unrelated close of the same file would drop the locks on which a pin stands. Never changes a journal mode.

mod blocks;
mod connection;
mod copy;
mod facts;
mod locate;
mod pages;
mod pump;
mod restore;
mod target;
mod verify;

// Permissions, crashes and POSIX locks are what they are about.
#[cfg(all(test, unix))]
pub(crate) mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::database::{
    DatabaseCopy, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseRestored, DatabaseSource, DatabaseStanding,
    DatabaseTarget, DatabaseVerdict, SiteDatabase,
};

use crate::blocking::blocking;
use locate::Files;

/// A SQLite database that belongs to the site: one file, with the log or journal beside it.
///
/// # What a copy is
/// The pages of one committed state, in the order of the file: byte for byte the database file wherever nothing waits in a
/// write-ahead log. It opens in any SQLite without further files.
///
/// # How the moment is held
/// - WAL: a read transaction, opened by `pin` in milliseconds. Writers go on; what they write is not in the copy. Until `finish` is
///   done the log cannot be shortened.
/// - Rollback journal (`delete`, `truncate`, `persist`): nothing can be held without locking writers out. `prepare` copies all pages
///   in short reads while writers work, `pin` reads all of them once more under a shared lock and writes those that changed;
///   when it returns, the copy is complete and the lock is gone. A `pin` after which the header shows no change reads one page.
///   A database whose writers use `memory` or `off` cannot be told from these, and is treated the same: after a crash
///   in the middle of a write it is damaged, and so is its copy; [`verify`](SiteDatabase::verify) says so.
///
/// A call whose future is dropped, at a deadline say, reads no further: within milliseconds its locks are gone.
///
/// # What it leaves behind
/// Nothing in the database's folder, with two exceptions that are SQLite's own: a hot journal, left by a program that crashed
/// while it wrote, is rolled back by `prepare`, as it would be by the next reader (`inspect` only names it); and a `-shm`
/// file, which holds nothing of its own, may stay beside a `-wal` that a crash left. That `-wal` is neither checkpointed nor removed.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    path: SitePath,
    name: Option<String>,
}

impl SqliteDatabase {
    /// The database in the file at `path`, known by `name`, or by the file's name without its extension. Opens nothing yet.
    pub fn new(path: SitePath, name: Option<String>) -> Self {
        Self { path, name }
    }

    fn name(&self) -> String {
        let stem = || {
            let file = String::from_utf8_lossy(self.path.name().unwrap_or_default()).into_owned();
            match file.rsplit_once('.') {
                Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
                _ => file,
            }
        };
        self.name.clone().unwrap_or_else(stem)
    }
}

#[async_trait]
impl SiteDatabase for SqliteDatabase {
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        let (path, name) = (self.path.clone(), self.name());
        blocking("inspect", &self.path, move || facts::inspect(&Files::locate(&path)?, name)).await
    }

    async fn prepare(&self, folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        let path = self.path.clone();
        let wanted = pump::Wanted::default();
        let waiting = wanted.waiting();
        let prepare = move || {
            let place = place(&path);
            let files = Files::locate(&path)?;
            let staged = folder.create(&place)?;
            copy::SqliteCopy::prepare(files, (place, staged), wanted)
        };
        let copy = blocking("prepare a copy of", &self.path, prepare).await;
        waiting.over();
        Ok(Box::new(copy?))
    }

    fn logs(&self, target: &SitePath) -> Vec<SitePath> {
        let log = [target.to_bytes(), b"-wal".to_vec()].concat();
        // A database that has no name has no log either.
        SitePath::parse(log).into_iter().collect()
    }

    async fn survey(&self, _from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError> {
        // Whether a file is newer than the snapshot is judged as that of any other file.
        file_of(target).map(|_| DatabaseStanding::Free(Vec::new()))
    }

    /// See the port. The target's permissions and owner stay; a new one gets those of the record, and without any is for its owner only.
    ///
    /// A crash before the rename leaves the old database, whole, and a file `.NAME.restoring` that the next attempt replaces;
    /// a crash after it leaves the new one. Neither can ever meet a log or journal of the other: what the old log
    /// or journal holds is first brought into the old file, then they are removed and their removal is made durable, then the new
    /// file takes the name. An old file that is no database any more keeps nothing: its log and journal go the same way.
    ///
    /// Another program is noticed by its lock and, on Linux, by its open file, as far as `/proc` shows other users' programs.
    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError> {
        let place = file_of(target)?.clone();
        let [record] = &from.records[..] else {
            let message = format!(
                "the snapshot holds database `{}` in {} files, and not as one",
                from.part.name,
                from.records.len()
            );
            return Err(DatabaseError::Unsupported(message));
        };
        let (files, record) = (Arc::clone(&from.files), record.clone());
        let restore = move || restore::restore(&*files, &record, &place);
        blocking("restore", file_of(target)?, restore).await.map(|()| DatabaseRestored::default())
    }

    async fn judge(&self, copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        let path = copy.clone();
        blocking("judge the copy of", copy, move || verify::judge(&Files::locate(&path)?)).await
    }

    async fn verify(&self, target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        let path = file_of(target)?.clone();
        blocking("verify", file_of(target)?, move || verify::verify(&Files::locate(&path)?)).await
    }

    async fn discard(&self, target: &DatabaseTarget) -> Result<(), DatabaseError> {
        Err(DatabaseError::Unsupported(format!("{target:?} is no scratch database of SQLite: none is made")))
    }
}

fn file_of(target: &DatabaseTarget) -> Result<&SitePath, DatabaseError> {
    match target {
        DatabaseTarget::File(file) => Ok(file),
        _ => Err(DatabaseError::Unsupported("a copied SQLite database is put back to a file".to_owned())),
    }
}

/// The copy has the file's own name.
fn place(path: &SitePath) -> RelPath {
    let named = path.name().and_then(|name| RelPath::root().try_join(name).ok());
    named.unwrap_or_else(|| RelPath::parse("database").expect("a plain name"))
}
