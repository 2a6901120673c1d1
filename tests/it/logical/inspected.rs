//! What is told about a database, and that a restored one is told to be the same.

use backup_core::ports::database::SiteDatabase;
use sql_dump::LogicalDatabase;
use sql_dump::logical::{Inspection, LogicalError, create_database, inspect, scratch_name};
use tests::servers::{MariaDb, Postgres};

use super::{address, dump_to, folder, restore_from};

fn look(at: &str) -> Inspection {
    inspect(&address(at)).unwrap_or_else(|error| panic!("{:?}: {error:?}", address(at)))
}

fn fact<'a>(seen: &'a Inspection, name: &str) -> &'a str {
    seen.facts.iter().find(|(fact, _)| fact == name).map_or("none", |(_, value)| value)
}

/// The facts of a database that a dump of `from` was restored into.
fn restored(from: &str, to: &str) -> Inspection {
    let (_scratch, place) = folder();
    dump_to(from, &place, &super::DumpOptions::default());
    restore_from(&place, to);
    look(to)
}

#[test]
fn postgres() {
    let server = Postgres::start();
    server.sql(
        "postgres",
        "CREATE DATABASE \"from\" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' ENCODING 'UTF8'",
    );
    server.sql("from", include_str!("postgres.sql"));
    let seen = look(&server.address("from"));
    let version = server.sql("from", "SELECT current_setting('server_version')");
    assert_eq!(seen.engine, format!("PostgreSQL {}", version.split_whitespace().next().expect("a version")));
    assert_eq!((seen.name.as_str(), fact(&seen, "encoding"), fact(&seen, "locale")), ("from", "UTF8", "de"));
    assert_eq!(fact(&seen, "locale-provider"), "icu");
    let size = server.sql("from", "SELECT pg_database_size('from')");
    assert_eq!(seen.size.to_string(), size.trim());
    for driver in ["PostgreSQL Unicode", "PostgreSQL ANSI"] {
        assert_eq!(look(&server.odbc(driver, "from")).facts, seen.facts);
    }
    let (from, name) = (address(&server.address("from")), scratch_name("1"));
    create_database(&from, &name).expect("it is made");
    assert_eq!(restored(&server.address("from"), &server.address(&name)).facts, seen.facts);
    server.sql("from", "ALTER DATABASE \"from\" SET work_mem = '8MB'");
    assert_eq!(fact(&look(&server.address("from")), "settings"), "work_mem=8MB");
}

#[test]
fn mariadb() {
    let server = MariaDb::start();
    server.sql("mysql", "CREATE DATABASE `from` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    server.sql("from", include_str!("mariadb.sql"));
    let seen = look(&server.odbc("from"));
    let version = server.sql("from", "SELECT VERSION()");
    assert_eq!(seen.engine, format!("MariaDB {}", version.split('-').next().expect("a version")));
    assert_eq!((seen.name.as_str(), fact(&seen, "collation")), ("from", "utf8mb4_unicode_ci"));
    assert!(seen.size > 0 && fact(&seen, "engines").contains("InnoDB"), "{seen:?}");
    let (from, name) = (address(&server.odbc("from")), scratch_name("1"));
    create_database(&from, &name).expect("it is made");
    assert_eq!(restored(&server.odbc("from"), &server.odbc(&name)).facts, seen.facts);
}

/// What makes a dump weaker is told before it is made.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_engines_without_snapshots_are_told() {
    let server = MariaDb::start();
    server.create("from");
    server.sql("from", "CREATE TABLE a (v int) ENGINE = InnoDB");
    let database = LogicalDatabase::new(address(&server.odbc("from")));
    assert_eq!(database.inspect().await.expect("facts").weaker, Vec::<String>::new());
    server.sql("from", "CREATE TABLE b (v int) ENGINE = MyISAM; CREATE TABLE c (v int) ENGINE = Aria");
    let weaker = database.inspect().await.expect("facts").weaker;
    assert!(weaker[0].contains("table b") && weaker[1].contains("table c") && weaker.len() == 3, "{weaker:?}");
}

#[test]
fn sqlite() {
    let scratch = tempfile::TempDir::new().expect("a scratch folder");
    let [file, to] = ["CM_P01.db", "to.db"].map(|name| scratch.path().join(name));
    let made =
        "PRAGMA encoding = 'UTF-16le'; PRAGMA user_version = 7; CREATE TABLE t (v UNIQUE); CREATE VIEW w AS SELECT 1";
    rusqlite::Connection::open(&file).and_then(|database| database.execute_batch(made)).expect("a database");
    let at = |file: &std::path::Path| format!("sqlite:{}", file.display());
    let bytes = std::fs::read(&file).expect("it is there");
    let seen = look(&at(&file));
    assert_eq!((seen.name.as_str(), seen.engine.as_str()), ("CM_P01", &*format!("SQLite {}", rusqlite::version())));
    assert_eq!(seen.size, bytes.len() as u64);
    assert_eq!((fact(&seen, "encoding"), fact(&seen, "user-version"), fact(&seen, "views")), ("UTF-16le", "7", "1"));
    let through = look(&format!("Driver=SQLite3;Database={}", file.display()));
    assert_eq!((&through.name, &through.facts), (&seen.name, &seen.facts));
    assert_eq!(std::fs::read(&file).expect("it is there"), bytes);
    assert_eq!(restored(&at(&file), &at(&to)).facts, seen.facts);
    let gone = scratch.path().join("gone.db");
    for text in [at(&gone), format!("Driver=SQLite3;Database={}", gone.display())] {
        let error = inspect(&address(&text)).expect_err("it is not there");
        assert!(matches!(error, LogicalError::Connect { .. }), "{error:?}");
        assert!(!gone.exists(), "{text}");
    }
}
