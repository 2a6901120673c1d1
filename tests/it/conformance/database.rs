//! SQLite, in both journal modes.

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup_core::path::SitePath;
use backup_core::ports::database::SiteDatabase;
use backup_core::ports::destination::Destination;
use host::destination::LocalDestination;
use rusqlite::Connection;
use sql_dump::SqliteDatabase;
use tempfile::TempDir;
use tests::JournalMode;
use tests::conformance::SITE;
use tests::conformance::database::DatabaseBench;

use super::local::{machine, site_path, system_path};

/// A database file in a scratch folder; its copies go to a folder beside it.
#[derive(Debug)]
pub(super) struct Sqlite {
    scratch: TempDir,
}

impl Sqlite {
    pub(super) fn new(mode: JournalMode) -> Self {
        let sqlite = Self { scratch: tempfile::tempdir().expect("a scratch folder") };
        fs::create_dir(sqlite.path("backup")).expect("made");
        let connection = connect(&sqlite.path("CM_P01.db"));
        let wanted = if mode == JournalMode::Wal { "wal" } else { "delete" };
        let got: String =
            connection.query_row(&format!("PRAGMA journal_mode = {wanted}"), [], |row| row.get(0)).expect("switched");
        assert_eq!(got, wanted);
        let schema =
            "CREATE TABLE counter (number INTEGER); INSERT INTO counter VALUES (0); CREATE TABLE filler (data BLOB)";
        connection.execute_batch(schema).expect("made");
        sqlite
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn other(&self, name: &str) -> Arc<dyn SiteDatabase> {
        Arc::new(SqliteDatabase::new(site_path(&self.path(name)), None))
    }
}

fn connect(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("opened");
    connection.busy_timeout(Duration::from_secs(30)).expect("a limit");
    // What a power cut would leave is not what is tried here.
    connection.pragma_update(None, "synchronous", "OFF").expect("set");
    connection
}

impl DatabaseBench for Sqlite {
    fn database(&self) -> Arc<dyn SiteDatabase> {
        self.other("CM_P01.db")
    }

    fn destination(&self) -> Arc<dyn Destination> {
        Arc::new(LocalDestination::new(site_path(&self.path("backup")), SITE.parse().expect("a site code")))
    }

    fn write(&self, number: u64) {
        let mut connection = connect(&self.path("CM_P01.db"));
        let change = connection.transaction().expect("begun");
        change.execute("UPDATE counter SET number = ?1", [number.cast_signed()]).expect("written");
        change.execute("INSERT INTO filler VALUES (randomblob(3000))", []).expect("written");
        change.commit().expect("committed");
    }

    fn read(&self, file: &SitePath) -> u64 {
        let connection = connect(&system_path(file));
        let number: i64 = connection.query_row("SELECT number FROM counter", [], |row| row.get(0)).expect("a number");
        number.cast_unsigned()
    }

    fn file(&self) -> SitePath {
        site_path(&self.path("CM_P01.db"))
    }

    fn elsewhere(&self) -> Option<SitePath> {
        Some(site_path(&self.path("new/folder/restored.db")))
    }

    fn missing(&self) -> Option<Arc<dyn SiteDatabase>> {
        Some(self.other("none.db"))
    }

    fn not_one(&self) -> Option<Arc<dyn SiteDatabase>> {
        fs::write(self.path("text.db"), "no database at all\n".repeat(500)).expect("written");
        Some(self.other("text.db"))
    }

    fn hold(&self) -> Option<Box<dyn Any + Send>> {
        let connection = connect(&self.path("CM_P01.db"));
        connection.execute_batch("BEGIN IMMEDIATE; UPDATE counter SET number = 99").expect("begun");
        Some(Box::new(connection))
    }

    fn damage(&self, file: &SitePath) -> bool {
        let file = fs::OpenOptions::new().write(true).open(system_path(file)).expect("opened");
        // The header stays, so that it is still a database.
        machine::write_at(&file, &[0xa5; 5 * 4096], 10 * 4096);
        true
    }
}
