//! Generated tables and rows go out and come back the same, on every dialect.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::Connection;
use sql_dump::logical::DumpOptions;
use tempfile::TempDir;
use tests::servers::{MariaDb, Postgres};

use super::{dump_to, folder, restore_from};

const TABLES: usize = 3;
const COLUMNS: usize = 5;
const ROWS: usize = 25;

/// A table: its name, its columns with their kinds, and its rows; a value is what a kind makes of it.
#[derive(Debug, Clone)]
struct Table {
    name: String,
    columns: Vec<(String, Kind)>,
    rows: Vec<Vec<Option<(i64, String)>>>,
    keyed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Number,
    Real,
    Text,
    Bytes,
}

/// Names as people make them who never typed one on a command line. No NUL, which no server takes, and no space at the end, which MariaDB does not.
fn name() -> impl Strategy<Value = String> {
    "[a-zA-Zä€ \"'`\\[\\];.,$%?\\\\{}-]{0,12}[a-z]"
}

fn table() -> impl Strategy<Value = Table> {
    let kind = prop_oneof![Just(Kind::Number), Just(Kind::Real), Just(Kind::Text), Just(Kind::Bytes)];
    let text = "[ -~äß€😀\t\n\r\\\\']{0,30}";
    let value = proptest::option::weighted(0.85, (any::<i64>(), text));
    let columns = proptest::collection::vec((name(), kind), 1..=COLUMNS);
    let rows = proptest::collection::vec(proptest::collection::vec(value, COLUMNS), 0..=ROWS);
    (name(), columns, rows, any::<bool>()).prop_map(|(name, columns, rows, keyed)| {
        // A number makes names different, which servers compare without case.
        let columns = columns.into_iter().enumerate().map(|(n, (name, kind))| (format!("{n}{name}"), kind)).collect();
        Table { name, columns, rows, keyed }
    })
}

fn tables() -> impl Strategy<Value = Vec<Table>> {
    proptest::collection::vec(table(), 0..=TABLES).prop_map(|mut tables| {
        tables.iter_mut().enumerate().for_each(|(n, table)| table.name = format!("{n}{}", table.name));
        tables
    })
}

/// What a dialect calls things.
struct Words {
    quote: fn(&str) -> String,
    types: [&'static str; 4],
    text: fn(&str) -> String,
    bytes: fn(&str) -> String,
}

fn script(tables: &[Table], words: &Words) -> String {
    let mut sql = String::new();
    for table in tables {
        let columns = table
            .columns
            .iter()
            .map(|(name, kind)| format!(", {} {}", (words.quote)(name), words.types[*kind as usize]));
        let key = if table.keyed { " PRIMARY KEY" } else { "" };
        let name = (words.quote)(&table.name);
        sql += &format!("CREATE TABLE {name} (the_row INTEGER{key}{});\n", columns.collect::<String>());
        for (n, row) in table.rows.iter().enumerate() {
            let value = |((_, kind), value): (&(String, Kind), &Option<(i64, String)>)| match (value, kind) {
                (None, _) => "NULL".to_owned(),
                (Some((number, _)), Kind::Number) => number.to_string(),
                (Some((number, _)), Kind::Real) => {
                    let real = f64::from_bits(number.cast_unsigned());
                    if real.is_finite() { format!("{real:e}") } else { "0e0".to_owned() }
                }
                (Some((_, text)), Kind::Text) => (words.text)(text),
                (Some((_, text)), Kind::Bytes) => {
                    (words.bytes)(&text.bytes().map(|byte| format!("{:02X}", byte.rotate_left(3))).collect::<String>())
                }
            };
            let values: Vec<String> = table.columns.iter().zip(row).map(value).collect();
            sql += &format!("INSERT INTO {name} VALUES ({n}, {});\n", values.join(", "));
        }
    }
    sql
}

fn check(cases: u32, words: &Words, round_trip: impl Fn(&str, &[Table])) {
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() });
    let run = runner.run(&tables(), |tables| {
        round_trip(&script(&tables, words), &tables);
        Ok(())
    });
    run.expect("every database comes back");
}

fn doubled(quote: char, text: &str) -> String {
    format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}")))
}

#[test]
fn sqlite() {
    let words = Words {
        quote: |name| doubled('"', name),
        types: ["INTEGER", "REAL", "TEXT", "BLOB"],
        text: |text| doubled('\'', text),
        bytes: |digits| format!("X'{digits}'"),
    };
    check(40, &words, |sql, tables| {
        let scratch = TempDir::new().expect("a scratch folder");
        let (from, to) = (scratch.path().join("from.db"), scratch.path().join("to.db"));
        Connection::open(&from).and_then(|database| database.execute_batch(sql)).expect("a database");
        let (_folder, place) = folder();
        dump_to(&format!("sqlite:{}", from.display()), &place, &DumpOptions::default());
        restore_from(&place, &format!("sqlite:{}", to.display()));
        let told = |file| {
            let database = Connection::open(file).expect("a database");
            let all = tables.iter().map(|table| {
                let query = format!("SELECT * FROM {} ORDER BY the_row", doubled('"', &table.name));
                let mut statement = database.prepare(&query).expect("a query");
                let rows = statement.query_map([], |row| (0..=table.columns.len()).map(|n| row.get(n)).collect());
                rows.and_then(Iterator::collect::<Result<Vec<Vec<rusqlite::types::Value>>, _>>).expect("rows")
            });
            all.collect::<Vec<_>>()
        };
        assert_eq!(told(&from), told(&to));
    });
}

#[test]
fn postgres() {
    let server = Postgres::start();
    let words = Words {
        quote: |name| doubled('"', name),
        types: ["bigint", "double precision", "text", "bytea"],
        text: |text| doubled('\'', text),
        bytes: |digits| format!("'\\x{digits}'"),
    };
    check(12, &words, |sql, tables| {
        for database in ["from", "to"] {
            server.sql("postgres", &format!("DROP DATABASE IF EXISTS \"{database}\""));
            server.create(database);
        }
        server.sql("from", sql);
        let (_folder, place) = folder();
        dump_to(&server.address("from"), &place, &DumpOptions::default());
        restore_from(&place, &server.address("to"));
        let query = |table: &Table| format!("SELECT * FROM {} ORDER BY the_row;", doubled('"', &table.name));
        let query: String = tables.iter().map(query).collect();
        assert_eq!(server.sql("from", &query), server.sql("to", &query));
    });
}

#[test]
fn mariadb() {
    let server = MariaDb::start();
    server.create("from");
    let words = Words {
        quote: |name| doubled('`', name),
        types: ["bigint", "double", "text", "blob"],
        text: |text| doubled('\'', &text.replace('\\', "\\\\")),
        bytes: |digits| format!("X'{digits}'"),
    };
    check(12, &words, |sql, tables| {
        server.sql("mysql", "DROP DATABASE IF EXISTS `from`; DROP DATABASE IF EXISTS `to`");
        server.create("from");
        server.create("to");
        server.sql("from", sql);
        let (_folder, place) = folder();
        dump_to(&server.odbc("from"), &place, &DumpOptions::default());
        restore_from(&place, &server.odbc("to"));
        let column = |(name, kind): &(String, Kind)| match kind {
            Kind::Bytes => format!(", HEX({})", doubled('`', name)),
            _ => format!(", {}", doubled('`', name)),
        };
        let query = |table: &Table| {
            let columns: String = table.columns.iter().map(column).collect();
            format!("SELECT the_row{columns} FROM {} ORDER BY the_row;", doubled('`', &table.name))
        };
        let query: String = tables.iter().map(query).collect();
        assert_eq!(server.sql("from", &query), server.sql("to", &query));
    });
}
