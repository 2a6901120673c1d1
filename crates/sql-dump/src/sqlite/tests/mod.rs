//! Real databases in scratch folders, with real writers beside them: threads, and processes of their own for locks and crashes.

mod child;
mod copy;
mod crash;
pub(crate) mod doubles;
mod inspect;
mod load;
mod locks;
mod restore;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};

use backup_core::manifest::ContentHash;
use backup_core::path::SitePath;
use backup_core::ports::database::{DatabaseCopy, DatabaseDump, DatabaseError, SiteDatabase};
use rusqlite::Connection;
use tempfile::TempDir;

use super::SqliteDatabase;
use child::Child;
use doubles::{FileStage, Gate, Gated, StageLog, folder_for};

/// Both ways to keep a transaction, as a pragma names them.
const MODES: [&str; 2] = ["wal", "delete"];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// A scratch folder with a database in `site/` and its copy in `copy.db`.
struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// A database in which two counters always agree.
    fn new(mode: &str, page_size: u32) -> Self {
        let scratch = Self::empty();
        let connection = Connection::open(scratch.file()).expect("a new database");
        let setup = format!(
            "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = {mode};
             CREATE TABLE a (v INTEGER); CREATE TABLE b (v INTEGER);
             CREATE TABLE log (id INTEGER PRIMARY KEY, data BLOB);
             INSERT INTO a VALUES (0); INSERT INTO b VALUES (0);"
        );
        connection.execute_batch(&setup).expect("the setup is plain SQL");
        scratch
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        fs::create_dir(folder.path().join("site")).expect("the folder is new");
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("site/CM_P01.db")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("site/CM_P01.db{suffix}"))
    }

    fn copy_file(&self) -> PathBuf {
        self.folder.path().join("copy.db")
    }

    fn database(&self) -> SqliteDatabase {
        SqliteDatabase::new(site_path(&self.file()), None)
    }

    fn connect(&self) -> Connection {
        let connection = Connection::open(self.file()).expect("the database opens");
        connection.busy_timeout(std::time::Duration::from_secs(60)).expect("a timeout");
        // No test cuts the power.
        connection.pragma_update(None, "synchronous", false).expect("a setting");
        connection
    }

    fn child(&self) -> Child {
        Child::start(&self.file())
    }

    fn prepare(&self) -> Box<dyn DatabaseCopy> {
        self.prepare_logged().0
    }

    /// Prepares a copy, with what is written to it.
    fn prepare_logged(&self) -> (Box<dyn DatabaseCopy>, StageLog) {
        let (stage, log) = FileStage::create(&self.copy_file());
        (block_on(self.database().prepare(folder_for(stage))).expect("prepared"), log)
    }

    /// Prepares a copy whose writes can be made to hang.
    fn prepare_gated(&self) -> (Box<dyn DatabaseCopy>, Gate) {
        let gate = Gate::default();
        let stage = Gated { stage: FileStage::create(&self.copy_file()).0, gate: gate.clone() };
        (block_on(self.database().prepare(folder_for(stage))).expect("prepared"), gate)
    }

    /// A second copy of the same database.
    fn prepare_elsewhere(&self) -> Box<dyn DatabaseCopy> {
        let (stage, _) = FileStage::create(&self.folder.path().join("second.db"));
        block_on(self.database().prepare(folder_for(stage))).expect("prepared")
    }

    /// The whole way, with nothing in between.
    fn back_up(&self) -> DatabaseDump {
        let mut copy = self.prepare();
        block_on(copy.pin()).expect("pinned");
        self.finish(copy)
    }

    /// Finishes a copy; its file must be what the dump says.
    fn finish(&self, copy: Box<dyn DatabaseCopy>) -> DatabaseDump {
        let dump = block_on(copy.finish()).expect("finished");
        let bytes = fs::read(self.copy_file()).expect("the copy is there");
        assert_eq!((dump.files[0].size, dump.files[0].hash), (bytes.len() as u64, ContentHash::of(&bytes)));
        dump
    }

    /// What lies in the site's folder, with its content. Only while no connection of this process is open: see `locks`.
    fn fingerprint(&self) -> BTreeMap<String, String> {
        let entry = |entry: fs::DirEntry| {
            let content = fs::read(entry.path()).expect("a file");
            (entry.file_name().to_string_lossy().into_owned(), format!("{} {}", content.len(), blake3::hash(&content)))
        };
        fs::read_dir(self.folder.path().join("site")).expect("the folder").flatten().map(entry).collect()
    }

    fn names(&self) -> Vec<String> {
        let folder = fs::read_dir(self.folder.path().join("site")).expect("the folder");
        let mut names: Vec<_> =
            folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn site_path(path: &Path) -> SitePath {
    SitePath::parse(path.as_os_str().as_encoded_bytes()).expect("an absolute path")
}

/// Counts one on, in one transaction; the file grows and shrinks on the way.
fn count_on(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let counted = connection.execute_batch(
        "UPDATE a SET v = v + 1; UPDATE b SET v = v + 1;
         INSERT INTO log (data) VALUES (randomblob(3000));
         DELETE FROM log WHERE (SELECT v FROM a) % 50 = 0 AND id % 3 = 0;",
    );
    match counted.and_then(|()| connection.execute_batch("COMMIT")) {
        Err(error) => {
            connection.execute_batch("ROLLBACK")?;
            Err(error)
        }
        counted => counted,
    }
}

/// The number that both counters of a sound database show.
fn number(file: &Path) -> i64 {
    let connection = Connection::open(file).expect("the copy opens");
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it can be checked");
    assert_eq!(check, "ok");
    let numbers = connection.query_row("SELECT a.v, b.v FROM a, b", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (a, b): (i64, i64) = numbers.expect("both counters are there");
    assert_eq!(a, b, "the counters of `{}` are torn", file.display());
    a
}

fn locked<T>(result: &Result<T, DatabaseError>) -> bool {
    matches!(result, Err(DatabaseError::Locked { .. }))
}
