//! What drivers do to values when they are believed about types: each trap is shown to be there, and not to be in a dump.
//!
//! Those of SQL Server's drivers (FreeTDS cutting text short, `tinyint` as a signed byte) belong beside a TDS server.

use std::fs;
use std::path::Path;

use odbc_api::buffers::{BufferDesc, ColumnarDynBuffer};
use odbc_api::{ConnectionOptions, Cursor, Error, ResultSetMetadata, environment};
use rusqlite::Connection;
use sql_dump::logical::{Compression, DumpOptions};
use tempfile::TempDir;
use tests::servers::{MariaDb, Postgres};

use super::{dump_to, folder};

/// The path of a driver's library, for the naive code, which knows no folder to look in.
fn library(name: &str) -> String {
    let paths = ["x86_64", "aarch64"].map(|kind| format!("/usr/lib/{kind}-linux-gnu/odbc/{name}"));
    let found = paths.into_iter().find(|path| Path::new(path).is_file());
    found.unwrap_or_else(|| panic!("no `{name}`: apt-get install the package of its driver"))
}

/// The first value of a query, bound as the driver describes its type, as every generic program does it.
fn naive(string: &str, sql: &str) -> Result<String, Error> {
    let connection = environment()?.connect_with_connection_string(string, ConnectionOptions::default())?;
    let mut cursor = connection.execute(sql, (), None)?.expect("a result");
    let kind = cursor.col_data_type(1)?;
    let described = BufferDesc::from_data_type(kind, true).unwrap_or(BufferDesc::Text { max_str_len: 4096 });
    let mut rows = cursor.bind_buffer(ColumnarDynBuffer::from_descs(1, [described]))?;
    let batch = rows.fetch_with_truncation_check(true)?.expect("a row");
    let column = batch.column(0);
    Ok(match described {
        BufferDesc::F32 { .. } => {
            format!("f32 {:?}", column.as_nullable_slice::<f32>().and_then(|mut all| all.next()).flatten())
        }
        BufferDesc::F64 { .. } => {
            format!("f64 {:?}", column.as_nullable_slice::<f64>().and_then(|mut all| all.next()).flatten())
        }
        BufferDesc::I32 { .. } => {
            format!("i32 {:?}", column.as_nullable_slice::<i32>().and_then(|mut all| all.next()).flatten())
        }
        BufferDesc::I64 { .. } => {
            format!("i64 {:?}", column.as_nullable_slice::<i64>().and_then(|mut all| all.next()).flatten())
        }
        BufferDesc::Binary { .. } => format!("binary {:?}", column.as_binary().and_then(|all| all.get(0))),
        // Text, and whatever has no buffer of its own here.
        _ => {
            let text = column.as_text().and_then(|all| all.get(0)).unwrap_or_default();
            format!("text {}", String::from_utf8_lossy(text))
        }
    })
}

/// The rows of the only table.
fn dumped(from: &str) -> String {
    let (scratch, place) = folder();
    let report = dump_to(from, &place, &DumpOptions { compression: Compression::None, ..DumpOptions::default() });
    fs::read_to_string(scratch.path().join("dump").join(&report.manifest.tables[0].chunks[0].file)).expect("rows")
}

/// Trap 1: psqlODBC describes `float8` with precision 0, which reads as a 32-bit float. Trap 6: it describes `text` as 8190 bytes.
#[test]
fn psqlodbc() {
    let server = Postgres::start();
    server.create("from");
    server.sql("from", "CREATE TABLE t (f float8, v text); INSERT INTO t VALUES (1.0::float8 / 7, repeat('x', 10000))");
    let string = server.odbc("PostgreSQL Unicode", "from");
    let by_path = string.replace("{PostgreSQL Unicode}", &library("psqlodbcw.so"));
    assert_eq!(naive(&by_path, "SELECT f FROM t").expect("no error at all"), "f32 Some(0.14285715)");
    assert!(matches!(naive(&by_path, "SELECT v FROM t"), Err(Error::TooLargeValueForBuffer { .. })));
    let right = format!("0.14285714285714285\t{}\n", "x".repeat(10_000));
    assert_eq!(dumped(&string), right);
    assert_eq!(dumped(&server.address("from")), right);
}

/// The MariaDB driver reads a connection string on to a zero, whatever its length is said to be.
#[test]
fn mariadb_reads_on() {
    let server = MariaDb::start();
    server.create("from");
    let string = server.odbc("from").replace("{MariaDB Unicode}", &library("libmaodbc.so")) + ";charset=utf8mb4";
    let connect = |behind: &str| {
        let longer = format!("{string}{behind}");
        let connection = environment()
            .expect("one")
            .connect_with_connection_string(&longer[..string.len()], ConnectionOptions::default());
        connection.map(drop)
    };
    connect("\0").expect("a connection");
    let error = connect("rubbish\0").expect_err("it takes the rubbish for a part of the character set");
    assert!(error.to_string().contains("Memory allocation error"), "{error}");
}

/// Trap 2: the SQLite driver describes every INTEGER as 32 bits and cuts the rest off. Trap 4: it delivers blobs as text, and other text not at all.
#[test]
fn sqliteodbc() {
    let scratch = TempDir::new().expect("a scratch folder");
    let file = scratch.path().join("from.db");
    let values = "CREATE TABLE t (n INTEGER, b BLOB, o INTEGER); INSERT INTO t VALUES (1099511627776, x'00ff', 'text')";
    Connection::open(&file).and_then(|database| database.execute_batch(values)).expect("a database");
    let database = file.display();
    let by_path = format!("Driver={};Database={database};StepAPI=1", library("libsqlite3odbc.so"));
    assert_eq!(naive(&by_path, "SELECT n FROM t").expect("no error at all"), "i32 Some(0)");
    let blob = naive(&by_path, "SELECT b FROM t").expect("no error at all");
    assert_ne!(blob, "binary Some([0, 255])", "the driver has learned: {blob}");
    assert_ne!(naive(&by_path, "SELECT o FROM t").expect("no error at all"), "text text");
    let right = "1099511627776\tX'00FF'\t'text'\n";
    assert_eq!(dumped(&format!("Driver=SQLite3;Database={database}")), right);
    assert_eq!(dumped(&format!("sqlite:{database}")), right);
}
