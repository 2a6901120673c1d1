//! What goes wrong has a name, shows no password, and leaves nothing that looks complete.

use std::fs;
use std::path::Path;

use backup_core::cancel::Cancel;
use sql_dump::logical::{Address, DumpOptions, FolderDump, LogicalError, Standing, dump, prepare, survey, verify};
use tempfile::TempDir;
use tests::servers::{MariaDb, Postgres};

use super::{address, dump_to, folder, restore_from, try_restore};

fn table(server: &Postgres) {
    server.create("from");
    server.create("to");
    server.sql("from", "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 50000) n");
}

fn failed(from: &str) -> LogicalError {
    let (scratch, place) = folder();
    let error = dump(&address(from), &place, &DumpOptions::default()).expect_err("it cannot work");
    assert_incomplete(&scratch, &place);
    let said = format!("{error} {error:?} {:?}", address(from));
    assert!(!said.contains("s3cret") && !said.contains("hunter2"), "{said}");
    error
}

fn assert_incomplete(scratch: &TempDir, place: &FolderDump) {
    assert!(!scratch.path().join("dump/manifest.json").exists());
    assert!(matches!(verify(place, &Cancel::default()), Err(LogicalError::Incomplete)));
}

#[test]
fn who_cannot_log_in_is_told_so() {
    let server = Postgres::start();
    server.create("from");
    let wrong = server.address("from").replace("site:", "site:hunter2");
    assert!(matches!(failed(&wrong), LogicalError::Denied { .. }));
    let maria = MariaDb::start();
    maria.create("from");
    let wrong = maria.odbc("from").replace("Pwd={", "Pwd={hunter2");
    assert!(matches!(failed(&wrong), LogicalError::Denied { .. }));
    let wrong = maria.odbc("from").replace("Driver={MariaDB", "Driver={No Such Driver");
    match failed(&wrong) {
        LogicalError::NoDriver { installed, .. } => assert!(installed.contains(&"MariaDB Unicode".to_owned())),
        error => panic!("{error:?}"),
    }
}

#[test]
fn nobody_at_the_address() {
    let server = Postgres::start();
    let address = server.address("from");
    drop(server);
    assert!(matches!(failed(&address), LogicalError::Connect { .. }));
}

#[test]
fn a_database_that_holds_something_is_refused() {
    let server = Postgres::start();
    table(&server);
    let (_scratch, place) = folder();
    dump_to(&server.address("from"), &place, &DumpOptions::default());
    for object in [
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA s",
        "CREATE TYPE e AS ENUM ()",
    ] {
        server.create("full");
        server.sql("full", object);
        let error = try_restore(&place, &server.address("full")).expect_err("it is not empty");
        assert!(matches!(error, LogicalError::NotEmpty { .. }), "{object}: {error:?}");
        server.sql("postgres", "DROP DATABASE \"full\"");
    }
    restore_from(&place, &server.address("to"));
    assert!(matches!(try_restore(&place, &server.address("to")), Err(LogicalError::NotEmpty { .. })));
}

/// A restore of two chunks, of which one is damaged, stops there and goes on when it is whole again.
fn goes_on(from: &str, to: &str, count: impl Fn() -> String) {
    let (scratch, place) = folder();
    let report = dump_to(from, &place, &DumpOptions::default());
    let chunk = scratch.path().join("dump").join(&report.manifest.tables[1].chunks[0].file);
    let whole = fs::read(&chunk).expect("the chunk is there");
    let mut altered = whole.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(&chunk, &altered).expect("it is altered");
    // The second look finds what the first one found: it made nothing.
    assert_eq!([surveyed(&place, to), surveyed(&place, to)], [Standing::Empty, Standing::Empty]);
    // Another connection may have its own chunk in hand when this one fails, and drops it then; what is done stays done.
    for _ in 0..3 {
        let error = try_restore(&place, to).expect_err("a chunk is damaged");
        assert!(matches!(error, LogicalError::Damaged { .. }), "{error:?}");
    }
    assert_eq!([surveyed(&place, to), surveyed(&place, to)], [Standing::Begun, Standing::Begun]);
    assert_eq!(count(), "0");
    fs::write(&chunk, &whole).expect("it is whole again");
    let report = restore_from(&place, to);
    assert_eq!((report.chunks_before, report.rows, report.compared), (1, 100_000, true));
    assert!(matches!(try_restore(&place, to), Err(LogicalError::NotEmpty { .. })));
    assert!(matches!(surveyed(&place, to), Standing::Holds(_)));
}

fn surveyed(place: &FolderDump, to: &str) -> Standing {
    survey(&address(to), place).expect("somebody answers")
}

#[test]
fn a_survey_makes_no_file_and_fails_where_a_restore_would() {
    let scratch = TempDir::new().expect("a scratch folder");
    let [from, to] = ["from.db", "to.db"].map(|name| scratch.path().join(name));
    rusqlite::Connection::open(&from).and_then(|database| database.execute_batch("CREATE TABLE t (v)")).expect("one");
    let (_scratch, place) = folder();
    let at = |file: &Path| format!("sqlite:{}", file.display());
    assert!(matches!(survey(&address(&at(&to)), &place), Err(LogicalError::Incomplete)));
    dump_to(&at(&from), &place, &DumpOptions::default());
    assert_eq!(surveyed(&place, &at(&to)), Standing::Empty);
    assert!(!to.exists());
    assert_eq!(surveyed(&place, &at(&from)), Standing::Holds("table `t`".to_owned()));
    let server = Postgres::start();
    server.create("to");
    assert!(matches!(survey(&address(&server.address("to")), &place), Err(LogicalError::Unsupported(_))));
    server.sql("to", "CREATE TABLE t (v int)");
    let (_scratch, place) = folder();
    dump_to(&server.address("to"), &place, &DumpOptions::default());
    let found = Standing::Holds("table, view or sequence `public.t`".to_owned());
    assert_eq!(surveyed(&place, &server.address("to")), found);
    assert!(matches!(survey(&address(&at(&to)), &place), Err(LogicalError::Unsupported(_))));
    assert!(matches!(try_restore(&place, &at(&to)), Err(LogicalError::Unsupported(_))));
    assert!(!to.exists());
}

#[test]
fn a_restore_goes_on() {
    let server = Postgres::start();
    table(&server);
    server.sql("from", "CREATE TABLE u AS SELECT * FROM t; CREATE VIEW v AS SELECT * FROM u; CREATE INDEX ON t (v)");
    goes_on(&server.address("from"), &server.address("to"), || {
        server.sql("to", "SELECT count(*) FROM u").trim().to_owned()
    });
    assert_eq!(server.sql("to", "SELECT count(*) FROM pg_namespace WHERE nspname = 'sitebackup_restore'"), "0\n");
    let maria = MariaDb::start();
    maria.create("from");
    maria.create("to");
    maria.sql(
        "from",
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(40), KEY (v)); INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_50000;
         CREATE TABLE u (id int AUTO_INCREMENT PRIMARY KEY, v text); INSERT INTO u SELECT * FROM t; CREATE VIEW v AS SELECT * FROM u",
    );
    goes_on(&maria.odbc("from"), &maria.odbc("to"), || maria.sql("to", "SELECT count(*) FROM u").trim().to_owned());
    let scratch = TempDir::new().expect("a scratch folder");
    let [from, to] = ["from.db", "to.db"].map(|name| scratch.path().join(name));
    let rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 50000) SELECT n, hex(n * 7919) FROM c";
    let sql = format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t {rows}; CREATE TABLE u AS SELECT * FROM t; CREATE INDEX i ON t (v)"
    );
    rusqlite::Connection::open(&from).and_then(|database| database.execute_batch(&sql)).expect("a database");
    let count = || {
        let database = rusqlite::Connection::open(&to).expect("a database");
        database.query_row("SELECT count(*) FROM u", [], |row| row.get::<_, i64>(0)).expect("a count").to_string()
    };
    goes_on(&format!("sqlite:{}", from.display()), &format!("sqlite:{}", to.display()), count);
}

#[test]
fn another_dump_does_not_go_on_with_it() {
    let server = Postgres::start();
    table(&server);
    let (scratch, place) = folder();
    let report = dump_to(&server.address("from"), &place, &DumpOptions::default());
    let (_other_scratch, other) = folder();
    dump_to(&server.address("from"), &other, &DumpOptions::default());
    fs::remove_file(scratch.path().join("dump").join(&report.manifest.tables[0].chunks[0].file)).expect("it goes");
    assert!(matches!(try_restore(&place, &server.address("to")), Err(LogicalError::Damaged { .. })));
    assert!(matches!(try_restore(&other, &server.address("to")), Err(LogicalError::NotEmpty { .. })));
    let found = Standing::Holds("an unfinished restore of another dump".to_owned());
    assert_eq!(surveyed(&other, &server.address("to")), found);
}

#[test]
fn a_value_that_the_target_cannot_hold() {
    let server = Postgres::start();
    table(&server);
    let (scratch, place) = folder();
    dump_to(&server.address("from"), &place, &DumpOptions::default());
    altered(&scratch.path().join("dump"), "v text", "v varchar(3)");
    let error = try_restore(&place, &server.address("to")).expect_err("too long");
    assert!(matches!(&error, LogicalError::DoesNotFit { table, .. } if table == "public.t"), "{error:?}");
}

#[test]
fn a_table_that_lacks_a_column_was_not_altered_meanwhile() {
    let server = MariaDb::start();
    server.create("from");
    server.create("to");
    server.sql("from", "CREATE TABLE t (v text); INSERT INTO t VALUES ('x')");
    let (scratch, place) = folder();
    dump_to(&server.odbc("from"), &place, &DumpOptions::default());
    altered(&scratch.path().join("dump"), "`v` text", "`w` text");
    let error = try_restore(&place, &server.odbc("to")).expect_err("no such column");
    assert_eq!(error.to_string(), "failed to restore `t`");
}

/// The same dump with other words in its catalog: both files are sealed again as a new dump would.
fn altered(dump: &Path, from: &str, to: &str) {
    let catalog = dump.join("schema/catalog.json");
    let text = fs::read_to_string(&catalog).expect("the catalog").replace(from, to);
    fs::write(&catalog, &text).expect("it is altered");
    let manifest = dump.join("manifest.json");
    let mut sealed: serde_json::Value =
        serde_json::from_slice(&fs::read(&manifest).expect("the manifest")).expect("JSON");
    let file = &mut sealed["manifest"]["files"][0];
    file["blake3"] = blake3::hash(text.as_bytes()).to_hex().to_string().into();
    file["bytes"] = text.len().into();
    let typed: sql_dump::logical::Manifest = serde_json::from_value(sealed["manifest"].clone()).expect("a manifest");
    sealed["blake3"] = blake3::hash(&serde_json::to_vec(&typed).expect("JSON")).to_hex().to_string().into();
    fs::write(&manifest, serde_json::to_vec(&sealed).expect("JSON")).expect("it is sealed");
}

#[test]
fn no_table_can_be_dropped_or_altered_once_the_dump_is_prepared() {
    let server = Postgres::start();
    table(&server);
    let prepared = prepare(&address(&server.address("from")), &DumpOptions::default()).expect("prepared");
    // It waits for the dump, here not longer than a moment.
    let refused = std::panic::catch_unwind(|| server.sql("from", "SET lock_timeout = '100ms'; DROP TABLE t"));
    assert!(refused.is_err());
    let pinned = prepared.pin().expect("pinned");
    server.sql("from", "DELETE FROM t; CREATE TABLE late (id int)");
    let (_scratch, place) = folder();
    let report = pinned.finish(&place).expect("a dump");
    assert_eq!(report.manifest.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [50_000]);
}

#[test]
fn a_table_that_came_after_the_look_and_was_emptied_after_the_pin() {
    let server = Postgres::start();
    table(&server);
    let prepared = prepare(&address(&server.address("from")), &DumpOptions::default()).expect("prepared");
    server.sql("from", "CREATE TABLE late AS SELECT 1 AS id");
    let pinned = prepared.pin().expect("pinned");
    server.sql("from", "TRUNCATE late");
    let (scratch, place) = folder();
    let error = pinned.finish(&place).expect_err("its rows are gone");
    assert!(matches!(&error, LogicalError::Changed { table, .. } if table.ends_with("late")), "{error:?}");
    assert_incomplete(&scratch, &place);
}

#[test]
fn a_mariadb_table_altered_after_the_pin() {
    let server = MariaDb::start();
    server.create("from");
    for change in ["ALTER TABLE t MODIFY v varchar(99)", "DROP TABLE t", "TRUNCATE t"] {
        server.sql(
            "from",
            "CREATE OR REPLACE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT seq, seq FROM seq_1_to_100",
        );
        let pinned =
            prepare(&address(&server.odbc("from")), &DumpOptions::default()).and_then(|p| p.pin()).expect("pinned");
        server.sql("from", change);
        let (scratch, place) = folder();
        match pinned.finish(&place) {
            Err(LogicalError::Changed { .. }) => assert_incomplete(&scratch, &place),
            other => panic!("{change}: {other:?}"),
        }
    }
}

#[test]
fn the_server_goes_away() {
    let mut server = Postgres::start();
    table(&server);
    let pinned =
        prepare(&address(&server.address("from")), &DumpOptions::default()).and_then(|p| p.pin()).expect("pinned");
    server.crash();
    let (scratch, place) = folder();
    assert!(matches!(pinned.finish(&place), Err(LogicalError::Gone { .. })));
    assert_incomplete(&scratch, &place);
    server.start_again();
    let mut maria = MariaDb::start();
    maria.create("from");
    maria.sql("from", "CREATE TABLE t (id int PRIMARY KEY)");
    let pinned = prepare(&address(&maria.odbc("from")), &DumpOptions::default()).and_then(|p| p.pin()).expect("pinned");
    maria.crash();
    let (scratch, place) = folder();
    let error = pinned.finish(&place).expect_err("nobody answers");
    assert!(matches!(error, LogicalError::Gone { .. }), "{error:?}");
    assert_incomplete(&scratch, &place);
}

#[test]
fn altered_files_are_found() {
    let server = Postgres::start();
    table(&server);
    let (scratch, place) = folder();
    dump_to(&server.address("from"), &place, &DumpOptions::default());
    let dump = scratch.path().join("dump");
    let mut files: Vec<_> =
        fs::read_dir(dump.join("data")).expect("data").map(|file| file.expect("a file").path()).collect();
    files.extend(["schema/catalog.json", "schema/pre.sql", "manifest.json"].map(|file| dump.join(file)));
    for file in files {
        let whole = fs::read(&file).expect("a file");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x20;
        let longer = [&whole[..], b"\n"].concat();
        for altered in [&whole[..whole.len() - 1], &flipped, &whole[..0], &longer] {
            // White space behind the manifest says nothing else.
            if altered == longer && file.ends_with("manifest.json") {
                continue;
            }
            fs::write(&file, altered).expect("it is altered");
            assert!(
                matches!(verify(&place, &Cancel::default()), Err(LogicalError::Damaged { .. })),
                "{}",
                file.display()
            );
        }
        fs::write(&file, &whole).expect("it is whole again");
    }
    verify(&place, &Cancel::default()).expect("whole again");
}

#[test]
fn a_disk_that_fills() {
    let server = Postgres::start();
    table(&server);
    let scratch = TempDir::new().expect("a scratch folder");
    let full = FullDisk(FolderDump::new(scratch.path().join("dump")));
    let error = dump(&Address::parse(&server.address("from")).expect("an address"), &full, &DumpOptions::default());
    assert!(matches!(error, Err(LogicalError::Write { .. })), "{error:?}");
    assert_incomplete(&scratch, &full.0);
}

/// A folder whose files hold a few kilobytes.
#[derive(Debug)]
struct FullDisk(FolderDump);

struct Limited(Box<dyn sql_dump::logical::DumpFile>, usize);

impl sql_dump::logical::DumpSink for FullDisk {
    fn create(&self, path: &str) -> std::io::Result<Box<dyn sql_dump::logical::DumpFile>> {
        Ok(Box::new(Limited(self.0.create(path)?, 10_000)))
    }

    fn seal(&self, manifest: &[u8]) -> std::io::Result<()> {
        self.0.seal(manifest)
    }
}

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1 = self.1.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl sql_dump::logical::DumpFile for Limited {
    fn finish(self: Box<Self>) -> std::io::Result<()> {
        self.0.finish()
    }
}
