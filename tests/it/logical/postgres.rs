//! PostgreSQL by COPY, and through the ODBC driver.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sql_dump::logical::{DumpOptions, LogicalError, inspect, prepare};
use tests::servers::Postgres;

use super::{dump_to, folder, restore_from};

/// Every kind of object that the catalog reader knows, values at the ends of their types, and names that need quotes.
const WIDE: &str = include_str!("postgres.sql");

fn server() -> Postgres {
    let server = Postgres::start();
    server.create("from");
    server.create("to");
    server
}

/// What the stock program says about a database.
fn stock_dump(server: &Postgres, database: &str) -> Vec<String> {
    let mut dump = server.client("pg_dump");
    dump.args(["--no-owner", "--no-privileges", "-d", database]);
    let output = dump.output().expect("pg_dump is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // A new pg_dump names a random key in lines of their own.
    text.lines().filter(|line| !line.contains("restrict ")).map(str::to_owned).collect()
}

#[test]
fn everything_comes_back() {
    let server = server();
    server.sql("from", WIDE);
    let (_scratch, place) = folder();
    let report = dump_to(&server.address("from"), &place, &DumpOptions::default());
    assert_eq!(
        report.not_covered,
        [
            "row security policies: 1",
            "inherited columns, which become columns of their own: 1",
            "owners and privileges",
        ]
    );
    restore_from(&place, &server.address("to"));
    // The policy is what the report names as not covered; everything else is the same to the program that knows best.
    server.sql("from", "DROP POLICY mine ON public.plain");
    super::same_lines(&stock_dump(&server, "from"), &stock_dump(&server, "to"));
}

#[test]
fn everything_comes_back_through_the_driver() {
    let server = server();
    server.sql("from", WIDE);
    let (_scratch, place) = folder();
    dump_to(&server.odbc("PostgreSQL Unicode", "from"), &place, &DumpOptions::default());
    restore_from(&place, &server.odbc("PostgreSQL Unicode", "to"));
    server.sql("from", "DROP POLICY mine ON public.plain");
    super::same_lines(&stock_dump(&server, "from"), &stock_dump(&server, "to"));
}

#[test]
fn the_driver_delivers_the_same_rows() {
    let server = server();
    server.sql("from", WIDE);
    let dump = |from: &str| {
        let (_scratch, place) = folder();
        let report = dump_to(from, &place, &DumpOptions::default());
        let sums = report.manifest.tables.into_iter().map(|table| (table.name, table.rows, table.row_hash));
        sums.collect::<Vec<_>>()
    };
    let copied = dump(&server.address("from"));
    assert_eq!(dump(&server.odbc("PostgreSQL Unicode", "from")), copied);
    assert_eq!(dump(&server.odbc("PostgreSQL ANSI", "from")), copied);
}

/// No row is missed where two ranges meet, and none is taken twice.
#[test]
fn a_large_table_is_read_in_ranges_of_pages() {
    let server = server();
    server.sql(
        "from",
        "CREATE TABLE t (id int, v text); INSERT INTO t SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 150000) n;
         DELETE FROM t WHERE id % 3 = 0",
    );
    let dump = |from: &str, connections| {
        let (_scratch, place) = folder();
        let report = dump_to(from, &place, &DumpOptions { connections, ..DumpOptions::default() });
        let table = &report.manifest.tables[0];
        (table.rows, table.row_hash, table.chunks.len())
    };
    let (rows, sum, whole) = dump(&server.address("from"), 1);
    assert_eq!((rows, whole), (100_000, 1));
    for from in [server.address("from"), server.odbc("PostgreSQL Unicode", "from")] {
        assert_eq!(dump(&from, 4), (rows, sum, 16), "{from}");
    }
}

#[test]
fn a_table_that_another_has_locked_is_not_waited_for_without_end() {
    let server = server();
    server.sql("from", "CREATE TABLE t (v int)");
    let mut psql = server.client("psql");
    let psql = psql.args(["-X", "-q", "-A", "-t", "-d", "from"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = psql.spawn().expect("psql starts");
    let mut stdin = holder.stdin.take().expect("it is piped");
    writeln!(stdin, "BEGIN; LOCK TABLE t; SELECT 'held';").and_then(|()| stdin.flush()).expect("psql reads");
    let mut line = String::new();
    BufReader::new(holder.stdout.as_mut().expect("it is piped")).read_line(&mut line).expect("psql prints");
    assert_eq!(line, "held\n");
    for address in [server.address("from"), server.odbc("PostgreSQL Unicode", "from")] {
        let began = Instant::now();
        let error = prepare(&super::address(&address), &DumpOptions::default()).expect_err("the table is locked");
        assert!(matches!(error, LogicalError::Busy { .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
    drop(stdin);
    assert!(holder.wait().expect("psql ends").success());
}

#[test]
fn what_has_no_statement_is_named() {
    let server = server();
    server.sql(
        "from",
        "CREATE TYPE pair AS (a int, b int); CREATE FUNCTION first(pair) RETURNS int LANGUAGE sql AS 'SELECT $1.a';
         CREATE CAST (pair AS int) WITH FUNCTION first(pair); COMMENT ON FUNCTION first(pair) IS 'told';
         CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION c (COPY = simple);
         CREATE TABLE t (v int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; SELECT lo_create(0), lo_create(0)",
    );
    let (_scratch, place) = folder();
    let report = dump_to(&server.address("from"), &place, &DumpOptions::default());
    let expect = [
        "tables with row security: 1",
        "casts: 1",
        "text search configurations: 1",
        "text search dictionaries: 1",
        "comments on others than tables, columns and views: 1",
        "owners and privileges",
    ];
    assert_eq!(report.not_covered, expect);
    assert_eq!(report.lost, ["large objects (pg_largeobject): 2"]);
    let restored = restore_from(&place, &server.address("to"));
    assert_eq!(restored.not_covered, [report.lost, report.not_covered].concat());
    for address in [server.address("from"), server.odbc("PostgreSQL Unicode", "from")] {
        assert_eq!(inspect(&super::address(&address)).expect("it is told").lost, ["large objects (pg_largeobject): 2"]);
    }
}

/// A table of an extension comes with it, and without what users wrote into it.
#[test]
fn rows_of_users_in_tables_of_extensions_are_told_as_lost() {
    let server = server();
    server.sql(
        "from",
        "CREATE EXTENSION pg_trgm; CREATE TABLE plain (v int); CREATE TABLE settings (v int); CREATE TABLE own (v int);
         INSERT INTO settings SELECT generate_series(1, 5); INSERT INTO own VALUES (1);
         ALTER EXTENSION pg_trgm ADD TABLE settings; ALTER EXTENSION pg_trgm ADD TABLE own;
         UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['WHERE v > 2'] WHERE extname = 'pg_trgm'",
    );
    let lost = ["rows of public.settings, a table of an extension: 3"];
    let (_scratch, place) = folder();
    let report = dump_to(&server.address("from"), &place, &DumpOptions::default());
    assert_eq!((report.manifest.tables.len(), report.lost.as_slice()), (1, &lost.map(str::to_owned)[..]));
    assert_eq!(inspect(&super::address(&server.odbc("PostgreSQL ANSI", "from"))).expect("it is told").lost, lost);
}
