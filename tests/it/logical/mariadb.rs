//! MariaDB through ODBC.

use sql_dump::logical::DumpOptions;
use tests::servers::MariaDb;

use super::{dump_to, folder, restore_from};

const WIDE: &str = include_str!("mariadb.sql");

fn server() -> MariaDb {
    let server = MariaDb::start();
    server.create("from");
    server.create("to");
    server
}

/// What the stock program says about a database.
fn stock_dump(server: &MariaDb, database: &str) -> Vec<String> {
    let mut dump = server.client("mariadb-dump");
    dump.args([
        "--single-transaction",
        "--hex-blob",
        "--routines",
        "--events",
        "--skip-extended-insert",
        "--order-by-primary",
    ]);
    let output =
        dump.args(["--skip-dump-date", "--max-allowed-packet=1G", database]).output().expect("mariadb-dump is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // Lines that name the database, and the zone in which an event was made: UTC in a restore.
    let other = |line: &&str| {
        !["-- Host:", "-- Dumping ", "/*!50003 SET time_zone "].iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(other).map(str::to_owned).collect()
}

#[test]
fn everything_comes_back() {
    let server = server();
    server.sql("from", WIDE);
    let (_scratch, place) = folder();
    let report = dump_to(&server.odbc("from"), &place, &DumpOptions::default());
    assert!(report.manifest.moment.one_snapshot);
    restore_from(&place, &server.odbc("to"));
    super::same_lines(&stock_dump(&server, "from"), &stock_dump(&server, "to"));
}
