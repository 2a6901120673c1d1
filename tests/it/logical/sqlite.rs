//! SQLite, by the program itself and through the ODBC driver.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sql_dump::logical::{Compression, DumpOptions, LogicalError, inspect};
use tempfile::TempDir;

use super::{dump_to, folder, restore_from};

const WIDE: &str = r#"
    PRAGMA user_version = 7;
    CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER, r REAL, t TEXT, b BLOB, any_, v VARCHAR(3),
      doubled INTEGER GENERATED ALWAYS AS (n * 2) STORED, CHECK (n IS NULL OR n <> 77));
    INSERT INTO plain (n, r, t, b, any_, v) VALUES
      (9223372036854775807, 0.14285714285714285, 'it''s "fine" ä€😀', x'00ff5c0a27', 'text in no type', 'longer than three'),
      (-9223372036854775808, 1.7976931348623157e308, '', x'', 1099511627776, 12),
      (9007199254740993, 4.9406564584124654e-324, 'tab' || char(9) || 'nl' || char(10) || 'cr' || char(13) || '\ \N NULL L', x'30', 0.1, ''),
      ('text in an integer', 9e999, 'nul' || char(0) || 'behind', NULL, x'58', NULL),
      (NULL, -9e999, 'NULL', NULL, NULL, 'L'), (1.5, -0.0, 'L', 'text in a blob', '\N', X'4C');
    INSERT INTO plain (t, b) VALUES (replace(hex(zeroblob(5000000)), '00', 'ä''\'||char(10)), randomblob(20000000)), (replace(hex(zeroblob(30000)), '0', char(0) || 'x'), NULL);
    DELETE FROM plain WHERE id = 3;
    INSERT INTO plain (n) VALUES (3);
    UPDATE sqlite_sequence SET seq = 4711;
    CREATE TABLE "odd ""table"" [x]; --" ("select" INTEGER, "a b" TEXT COLLATE NOCASE, "d""e" , rowid TEXT, PRIMARY KEY ("a b", "select")) WITHOUT ROWID;
    WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 9000)
      INSERT INTO "odd ""table"" [x]; --" SELECT n % 3, 'K''' || n, NULL, n FROM c;
    CREATE TABLE strict_one (a INT, b ANY) STRICT; INSERT INTO strict_one VALUES (1, 'x'), (2, 3);
    CREATE TABLE parent (k TEXT PRIMARY KEY); CREATE TABLE child (k TEXT REFERENCES parent (k) ON DELETE CASCADE);
    INSERT INTO parent VALUES ('p'); INSERT INTO child VALUES ('p'), (NULL);
    CREATE UNIQUE INDEX "an index" ON plain (id, lower(v)) WHERE n > 3;
    CREATE VIEW first AS SELECT * FROM second; CREATE VIEW second AS SELECT 1 AS one;
    CREATE TRIGGER tr AFTER INSERT ON parent BEGIN INSERT INTO child VALUES (new.k); END;
    CREATE TABLE empty_one (x);
    CREATE TABLE bent (k TEXT PRIMARY KEY, t TEXT) WITHOUT ROWID;
    INSERT INTO bent VALUES (CAST(x'ff27c3' AS TEXT), 'x'), (CAST(x'c3' AS TEXT), replace(hex(zeroblob(700000)), '00', CAST(x'fe27' AS TEXT))), ('k', CAST(x'e4' AS TEXT));
    CREATE TABLE bent_too AS SELECT * FROM bent;
    CREATE TABLE taken (b BLOB, RowID INTEGER GENERATED ALWAYS AS (length(b) % 2)); INSERT INTO taken VALUES (x'01'), (randomblob(1500000)), (NULL), (randomblob(1500000)), (x'02');
    CREATE TABLE long_ones (t TEXT, b BLOB, "q""uoted" TEXT);
    INSERT INTO long_ones (rowid, t, b, "q""uoted") VALUES
      (-9223372036854775808, replace(hex(zeroblob(1000000)), '00', 'ä''\'), x'00', 'first'),
      (-1, NULL, randomblob(3000000), char(0) || hex(zeroblob(800000))), (0, 'short', NULL, ''), (1, '', zeroblob(1048576), NULL),
      (2, 'one byte more', zeroblob(1048577), NULL), (9223372036854775807, 'last', randomblob(2000000), '''');
"#;

fn made(scratch: &TempDir) -> String {
    let file = scratch.path().join("from.db");
    Connection::open(&file).and_then(|database| database.execute_batch(WIDE)).expect("a database");
    file.to_str().expect("Unicode").to_owned()
}

/// Every value with its type, and every statement of the catalog, by a query that has nothing of the program's own.
fn told(file: &str) -> Vec<String> {
    let database = Connection::open(file).expect("a database");
    let list = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).expect("a query");
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|n| row.get_ref(n).map(shown));
            Ok(cells.collect::<rusqlite::Result<Vec<String>>>()?.join("|"))
        });
        rows.and_then(Iterator::collect).expect("rows")
    };
    let mut all = list("SELECT type, name, sql FROM sqlite_master ORDER BY type, name");
    for query in [
        "SELECT * FROM plain ORDER BY id",
        r#"SELECT * FROM "odd ""table"" [x]; --" ORDER BY 1, 2"#,
        "SELECT * FROM strict_one ORDER BY 1",
        "SELECT * FROM long_ones ORDER BY t, b",
        "SELECT * FROM child ORDER BY 1",
        "SELECT * FROM taken ORDER BY b",
        "SELECT * FROM bent ORDER BY k",
        "SELECT * FROM bent_too ORDER BY k",
        "SELECT * FROM sqlite_sequence",
        "PRAGMA user_version",
        "PRAGMA integrity_check",
    ] {
        all.extend(list(query));
    }
    all
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let kind = value.data_type();
            format!(
                "{kind} {} {:?} {}",
                bytes.len(),
                String::from_utf8_lossy(&bytes[..bytes.len().min(200)]),
                blake3::hash(bytes)
            )
        }
        ValueRef::Real(number) => format!("real {:016x}", number.to_bits()),
        value => format!("{value:?}"),
    }
}

fn round_trip(from: impl Fn(&Path) -> String, to: impl Fn(&Path) -> String) {
    let scratch = TempDir::new().expect("a scratch folder");
    let file = made(&scratch);
    let target = scratch.path().join("to.db");
    let (_folder, place) = folder();
    dump_to(&from(Path::new(&file)), &place, &DumpOptions { compression: Compression::None, ..DumpOptions::default() });
    restore_from(&place, &to(&target));
    let mode = std::fs::metadata(&target).expect("it is there").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let (before, after) = (told(&file), told(target.to_str().expect("Unicode")));
    let short = |line: &String| line.chars().take(300).collect::<String>();
    let other: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, b)| (short(a), short(b))).collect();
    assert_eq!(other, vec![]);
    assert_eq!(before.len(), after.len());
}

fn embedded(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

fn driver(file: &Path) -> String {
    format!("Driver=SQLite3;Database={}", file.display())
}

#[test]
fn everything_comes_back() {
    round_trip(embedded, embedded);
}

#[test]
fn everything_comes_back_through_the_driver() {
    round_trip(driver, driver);
}

#[test]
fn a_dump_is_the_same_by_both_ways() {
    let scratch = TempDir::new().expect("a scratch folder");
    let file = made(&scratch);
    let dump = |from: String| {
        let (_folder, place) = folder();
        let report = dump_to(&from, &place, &DumpOptions::default());
        report.manifest.tables.into_iter().map(|table| (table.name, table.rows, table.row_hash)).collect::<Vec<_>>()
    };
    assert_eq!(dump(embedded(Path::new(&file))), dump(driver(Path::new(&file))));
}

/// Whatever it is kept as, in a dump text is UTF-8.
#[test]
fn text_that_is_kept_as_utf_16_comes_back() {
    for way in [embedded, driver] {
        let scratch = TempDir::new().expect("a scratch folder");
        let [file, target] = ["from.db", "to.db"].map(|name| scratch.path().join(name));
        let made = "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (id INTEGER PRIMARY KEY, x);
            INSERT INTO t VALUES (1, 'ä😀''x'), (2, replace(hex(zeroblob(3000)), '00', 'ä漢😀''')), (3, 'a' || char(0) || 'b'), (4, randomblob(5000)),
              (5, replace(hex(zeroblob(300000)), '00', '漢😀') || char(0) || 'x'), (6, replace(hex(zeroblob(900000)), '00', 'a')), (7, NULL), (8, '')";
        Connection::open(&file).and_then(|database| database.execute_batch(made)).expect("a database");
        let (_folder, place) = folder();
        dump_to(&way(&file), &place, &DumpOptions::default());
        let other = scratch.path().join("other.db");
        let refused = super::try_restore(&place, &driver(&other)).expect_err("it makes none in UTF-16");
        assert!(matches!(refused, LogicalError::Unsupported(_)), "{refused:?}");
        restore_from(&place, &embedded(&target));
        let rows = |file: &Path| {
            let database = Connection::open(file).expect("a database");
            let mut statement = database.prepare("SELECT id || typeof(x), x FROM t ORDER BY id").expect("a query");
            let row = |row: &rusqlite::Row<'_>| Ok(row.get::<_, String>(0)? + &shown(row.get_ref(1)?));
            statement.query_map([], row).and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("rows")
        };
        assert_eq!(rows(&target), rows(&file));
    }
}

fn in_file(name: &str, sql: &str) -> (TempDir, std::path::PathBuf) {
    let scratch = TempDir::new().expect("a scratch folder");
    let file = scratch.path().join(name);
    Connection::open(&file).and_then(|database| database.execute_batch(sql)).expect("a database");
    (scratch, file)
}

/// The key tells apart what is equal to its column: a page that ends between two such rows does not end behind both.
#[test]
fn a_key_with_an_order_of_its_own_loses_no_row() {
    let made = "CREATE TABLE w (a TEXT COLLATE NOCASE, PRIMARY KEY (a COLLATE BINARY)) WITHOUT ROWID; INSERT INTO w VALUES ('0');
        WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 9000)
          INSERT INTO w SELECT 'k' || n FROM c UNION ALL SELECT 'K' || n FROM c;
        CREATE TABLE v AS SELECT a FROM w; DROP TABLE v";
    let (_scratch, file) = in_file("from.db", made);
    for way in [embedded, driver] {
        let (_folder, place) = folder();
        let report = dump_to(&way(&file), &place, &DumpOptions::default());
        assert_eq!(report.manifest.tables[0].rows, 18_001);
    }
}

/// The shortest digits of these are others to the driver's SQLite than to everybody else.
#[test]
fn numbers_are_the_same_by_both_ways() {
    let numbers = [f64::MIN_POSITIVE, f64::MAX, 5e-324, -1.611_417_496_641_440_1e-304, 1e23, 0.1, 8.41e21];
    let (_scratch, file) = in_file("from.db", "CREATE TABLE t (v)");
    let database = Connection::open(&file).expect("a database");
    let mut random = numbers.to_vec();
    random.extend(
        (1..40_000_u64).map(|n| f64::from_bits(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).filter(|n| n.is_finite()),
    );
    database.execute_batch("BEGIN").expect("a transaction");
    for number in random {
        database.execute("INSERT INTO t VALUES (?)", [number]).expect("a row");
    }
    database.execute_batch("COMMIT").expect("a commit");
    drop(database);
    let sum = |from: String| {
        let (_folder, place) = folder();
        dump_to(&from, &place, &DumpOptions::default()).manifest.tables[0].row_hash
    };
    assert_eq!(sum(embedded(&file)), sum(driver(&file)));
    let database = Connection::open(&file).expect("a database");
    database.execute("INSERT INTO t VALUES (?)", [-0.0]).expect("a row");
    let (_folder, place) = folder();
    dump_to(&embedded(&file), &place, &DumpOptions { compression: Compression::None, ..DumpOptions::default() });
    let target = file.with_file_name("to.db");
    restore_from(&place, &embedded(&target));
    let last = "SELECT v FROM t ORDER BY rowid DESC LIMIT 1";
    let last = Connection::open(&target).and_then(|database| database.query_row(last, [], |row| row.get::<_, f64>(0)));
    assert!(last.is_ok_and(|last| last == 0.0 && last.is_sign_negative()));
}

/// What was not to be judged, the form of the file, and what the planner knows.
#[test]
fn rows_that_break_a_check_and_settings_come_back() {
    let made = "PRAGMA page_size = 8192; PRAGMA user_version = -7; CREATE TABLE t (v INTEGER PRIMARY KEY CHECK (v > 0), w); CREATE INDEX i ON t (w);
        PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (-1, 2), (5, 2); ANALYZE";
    for way in [embedded, driver] {
        let (_scratch, file) = in_file("from.db", made);
        let (_folder, place) = folder();
        dump_to(&way(&file), &place, &DumpOptions::default());
        let target = file.with_file_name("to.db");
        restore_from(&place, &way(&target));
        let told = |file: &Path| {
            let sql = "SELECT (SELECT group_concat(v) FROM t), (SELECT stat FROM sqlite_stat1 WHERE idx = 'i'), page_size, user_version
                FROM pragma_page_size, pragma_user_version";
            let row = |row: &rusqlite::Row<'_>| {
                (0..4).map(|n| row.get_ref(n).map(shown)).collect::<rusqlite::Result<Vec<_>>>()
            };
            Connection::open(file).and_then(|database| database.query_row(sql, [], row)).expect("a row")
        };
        assert_eq!(told(&target), told(&file));
    }
}

/// SQLite opens a database that an application made with functions and orders of its own, and makes none.
#[test]
fn what_only_its_application_can_make_is_told() {
    let made = "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('x'); CREATE VIEW broken AS SELECT nosuch(v) FROM gone; CREATE INDEX i ON t (v); CREATE INDEX j ON t (v);
        PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (v COLLATE theirs)' WHERE name = 'i'";
    let (_scratch, file) = in_file("from.db", made);
    let (_folder, place) = folder();
    let report = dump_to(&embedded(&file), &place, &DumpOptions::default());
    assert_eq!(report.not_covered, ["i: no such collation sequence: theirs"]);
    assert_eq!(restore_from(&place, &embedded(&file.with_file_name("to.db"))).rows, 1);
    let table = "CREATE TABLE t (v TEXT PRIMARY KEY); PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = 'CREATE TABLE t (v TEXT COLLATE theirs PRIMARY KEY)' WHERE name = 't'";
    let (_scratch, file) = in_file("from.db", table);
    let (_folder, place) = folder();
    let dumped = sql_dump::logical::dump(&super::address(&embedded(&file)), &place, &DumpOptions::default());
    let told = "table `t` cannot be made from its definition (no such collation sequence: theirs): copy the file, as method `native` does";
    assert_eq!(dumped.map(drop).map_err(|error| error.to_string()), Err(told.to_owned()));
}

#[test]
fn rows_of_virtual_tables_are_told_as_lost() {
    let scratch = TempDir::new().expect("a scratch folder");
    let file = scratch.path().join("from.db");
    let made = "CREATE VIRTUAL TABLE found USING fts5(t); INSERT INTO found VALUES ('x'); CREATE TABLE t (v)";
    Connection::open(&file).and_then(|database| database.execute_batch(made)).expect("a database");
    let (_folder, place) = folder();
    let report = dump_to(&embedded(&file), &place, &DumpOptions::default());
    assert_eq!((report.lost, report.not_covered), (vec![lost()], vec!["virtual tables: found".to_owned()]));
    for address in [embedded(&file), driver(&file)] {
        assert_eq!(inspect(&super::address(&address)).expect("it is told").lost, [lost()]);
    }
}

fn lost() -> String {
    "rows of the virtual table found".to_owned()
}
