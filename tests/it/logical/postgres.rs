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
            "owners, privileges, tablespaces, settings of the database and of roles in it",
        ]
    );
    restore_from(&place, &server.address("to"));
    // The policy is what the report names as not covered; everything else is the same to the program that knows best.
    server.sql("from", "DROP POLICY mine ON public.plain");
    super::same_lines(&stock_dump(&server, "from"), &stock_dump(&server, "to"));
    // It is the heir's own too, and stays when its base loses it.
    let own = "SELECT bool_and(conislocal) FROM pg_constraint WHERE conname = 'of both'";
    assert_eq!(server.sql("to", own), "t\n");
}

/// What schemas may hold, of which every part was lost or could not be restored at some time, in the order of the stock program, too.
#[test]
fn odd_definitions_come_back() {
    let server = server();
    server.sql("from", include_str!("postgres_definitions.sql"));
    let lost = ["rows of the materialized view a.mover: it is made from one that has none"];
    let back = |from: &str, to: &str| {
        let (_scratch, place) = folder();
        assert_eq!(dump_to(from, &place, &DumpOptions::default()).lost, lost);
        restore_from(&place, to);
        let (from, to) = (stock_dump(&server, "from"), stock_dump(&server, "to"));
        // It sees the rows of a view that is refreshed on one side alone.
        let other = from.iter().zip(&to).find(|(from, to)| from != to);
        assert_eq!((other, from.len()), (None, to.len()));
    };
    back(&server.address("from"), &server.address("to"));
    // A driver's rows are read by queries, for which the server looks into the functions of an index.
    server.sql("from", "DROP TABLE tricky CASCADE");
    server.sql("postgres", "DROP DATABASE \"to\"");
    server.create("to");
    back(&server.odbc("PostgreSQL Unicode", "from"), &server.odbc("PostgreSQL Unicode", "to"));
}

/// A range of rows is read by a query with a plan, for which the server looks into the functions of an index.
#[test]
fn a_large_table_whose_index_calls_a_function_that_needs_a_path() {
    let server = server();
    server.sql(
        "from",
        "CREATE FUNCTION one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE FUNCTION two(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT one($1)';
         CREATE TABLE t (id int, v text); INSERT INTO t SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 130000) n; CREATE INDEX ON t (two(id))",
    );
    let (_scratch, place) = folder();
    dump_to(&server.address("from"), &place, &DumpOptions::default());
    assert_eq!(restore_from(&place, &server.address("to")).rows, 130_000);
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
         CREATE TEXT SEARCH TEMPLATE tt (LEXIZE = dsimple_lexize); CREATE TEXT SEARCH PARSER tp (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
         CREATE TYPE shell; CREATE OPERATOR FAMILY f USING btree; CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler; CREATE TRUSTED LANGUAGE l HANDLER plpgsql_call_handler;
         CREATE TRANSFORM FOR pair LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal)); ALTER FUNCTION first(pair) DEPENDS ON EXTENSION plpgsql;
         CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE ft (v int) SERVER s; CREATE SEQUENCE of_ft OWNED BY ft.v;
         CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER of_ft AFTER INSERT ON ft FOR EACH ROW EXECUTE FUNCTION nothing();
         CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere' PUBLICATION x WITH (connect = false, slot_name = NONE);
         CREATE TABLE t (v int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; SELECT lo_create(0), lo_create(0)",
    );
    let (_scratch, place) = folder();
    let report = dump_to(&server.address("from"), &place, &DumpOptions::default());
    let expect = [
        "tables with row security: 1",
        "subscriptions: 1",
        "foreign tables: 1",
        "foreign servers: 1",
        "foreign data wrappers: 1",
        "base types: 1",
        "casts: 1",
        "text search configurations: 1",
        "text search dictionaries: 1",
        "text search parsers: 1",
        "text search templates: 1",
        "operator families: 1",
        "access methods: 1",
        "languages: 1",
        "transforms: 1",
        "objects that go with an extension: 1",
        "comments on others than tables, columns and views: 1",
        "owners, privileges, tablespaces, settings of the database and of roles in it",
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
