//! Logical dumps: of a SQLite file, and of servers.

use std::path::PathBuf;
use std::sync::Arc;

use backup_core::ports::database::SiteDatabase;
use backup_core::ports::destination::Destination;
use host::destination::LocalDestination;
use rusqlite::Connection;
use sql_dump::LogicalDatabase;
use tempfile::TempDir;
use tests::conformance::SITE;
use tests::conformance::served_database::ServedBench;

use super::local::site_path;

fn destination(scratch: &TempDir) -> Arc<dyn Destination> {
    let root = scratch.path().join("backup");
    std::fs::create_dir_all(&root).expect("made");
    Arc::new(LocalDestination::new(site_path(&root), SITE.parse().expect("a site code")))
}

/// A SQLite database whose rows are taken out as text.
#[derive(Debug)]
pub(super) struct LogicalSqlite {
    scratch: TempDir,
}

impl LogicalSqlite {
    pub(super) fn new() -> Self {
        let sqlite = Self { scratch: tempfile::tempdir().expect("a scratch folder") };
        let made = sqlite.connect().execute_batch(
            "PRAGMA journal_mode = wal; CREATE TABLE counter (number INTEGER); INSERT INTO counter VALUES (0)",
        );
        made.expect("made");
        sqlite
    }

    fn file(&self, scratch: Option<&str>) -> PathBuf {
        let name = scratch.map_or_else(|| "site".to_owned(), sql_dump::logical::scratch_name);
        self.scratch.path().join(format!("{name}.db"))
    }

    fn connect(&self) -> Connection {
        Connection::open(self.file(None)).expect("opened")
    }
}

impl ServedBench for LogicalSqlite {
    fn database(&self) -> Arc<dyn SiteDatabase> {
        Arc::new(LogicalDatabase::sqlite(site_path(&self.file(None))).expect("a Unicode path"))
    }

    fn destination(&self) -> Arc<dyn Destination> {
        destination(&self.scratch)
    }

    fn write(&self, number: u64) {
        self.connect().execute("UPDATE counter SET number = ?1", [number.cast_signed()]).expect("written");
    }

    fn number(&self, scratch: Option<&str>) -> Option<u64> {
        let file = Some(self.file(scratch)).filter(|file| file.exists())?;
        let number =
            Connection::open(file).expect("opened").query_row("SELECT number FROM counter", [], |row| row.get(0));
        number.ok().map(|number: i64| number.cast_unsigned())
    }

    fn empty(&self) {
        self.connect().execute_batch("DROP TABLE counter").expect("emptied");
    }
}

#[cfg(all(unix, feature = "servers"))]
pub(super) mod servers {
    use std::sync::atomic::{AtomicU32, Ordering};

    use sql_dump::logical::{Address, scratch_name};
    use tests::servers::{MariaDb, Postgres};

    use super::*;

    /// A server on which each bench has a database of its own.
    #[derive(Debug)]
    pub(crate) enum Server {
        Postgres(Postgres),
        MariaDb(MariaDb),
    }

    impl Server {
        fn sql(&self, database: &str, sql: &str) -> String {
            match self {
                Self::Postgres(server) => server.sql(database, sql),
                Self::MariaDb(server) => server.sql(database, sql),
            }
        }

        fn address(&self, database: &str) -> String {
            match self {
                Self::Postgres(server) => server.address(database),
                Self::MariaDb(server) => server.odbc(database),
            }
        }

        fn create(&self, database: &str) {
            match self {
                Self::Postgres(server) => server.create(database),
                Self::MariaDb(server) => server.create(database),
            }
        }

        fn has(&self, database: &str) -> bool {
            let all = match self {
                Self::Postgres(server) => server.sql("postgres", "SELECT datname FROM pg_database"),
                Self::MariaDb(server) => server.sql("mysql", "SHOW DATABASES"),
            };
            all.lines().any(|line| line == database)
        }
    }

    #[derive(Debug)]
    pub(crate) struct Served {
        server: Arc<Server>,
        name: String,
        scratch: TempDir,
    }

    impl Served {
        pub(crate) fn new(server: &Arc<Server>) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("bench_{}", NEXT.fetch_add(1, Ordering::Relaxed));
            server.create(&name);
            server.sql(&name, "CREATE TABLE counter (number bigint); INSERT INTO counter VALUES (0)");
            Self { server: Arc::clone(server), name, scratch: tempfile::tempdir().expect("a scratch folder") }
        }
    }

    impl ServedBench for Served {
        fn database(&self) -> Arc<dyn SiteDatabase> {
            let address = Address::parse(&self.server.address(&self.name)).expect("an address");
            Arc::new(LogicalDatabase::new(address))
        }

        fn destination(&self) -> Arc<dyn Destination> {
            destination(&self.scratch)
        }

        fn write(&self, number: u64) {
            self.server.sql(&self.name, &format!("UPDATE counter SET number = {number}"));
        }

        fn number(&self, scratch: Option<&str>) -> Option<u64> {
            let name = scratch.map_or_else(|| self.name.clone(), scratch_name);
            let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'counter'";
            let here = match &*self.server {
                Server::Postgres(_) => String::new(),
                Server::MariaDb(_) => format!(" AND table_schema = '{name}'"),
            };
            if !self.server.has(&name) || self.server.sql(&name, &format!("{tables}{here}")).trim() == "0" {
                return None;
            }
            self.server.sql(&name, "SELECT number FROM counter").trim().parse().ok()
        }

        fn empty(&self) {
            self.server.sql(&self.name, "DROP TABLE counter");
        }
    }
}
