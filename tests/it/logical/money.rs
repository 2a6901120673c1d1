//! Money moves between two tables all the time: a dump by several connections has the same total, always. Without the shared snapshot it has not.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;
use sql_dump::logical::{Compression, DumpOptions, DumpSource, FolderDump};
use tests::servers::{MariaDb, Postgres};

use super::{dump_to, folder};

const ROWS: u64 = 12_000;
const DUMPS: usize = 5;

/// Sums the second column of all rows of a plain dump.
fn total(place: &FolderDump, report: &sql_dump::logical::DumpReport) -> i64 {
    let mut sum = 0;
    for chunk in report.manifest.tables.iter().flat_map(|table| &table.chunks) {
        let mut text = String::new();
        place.open(&chunk.file).and_then(|mut file| file.read_to_string(&mut text)).expect("the chunk is there");
        let amount = |line: &str| line.split('\t').nth(1).and_then(|text| text.parse::<i64>().ok());
        sum += text.lines().map(|line| amount(line).expect("an amount")).sum::<i64>();
    }
    sum
}

/// The totals of some dumps under a writer that moves money.
fn totals(from: &str, options: &DumpOptions, pay: &(dyn Fn() + Sync)) -> Vec<i64> {
    let (stop, paid) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                pay();
                paid.fetch_add(1, Ordering::Relaxed);
            }
        });
        let dump = |_| {
            let before = paid.load(Ordering::Relaxed);
            let (_scratch, place) = folder();
            let report = dump_to(from, &place, options);
            // The writer was at work, or the test proves nothing.
            tests::poll_until(std::time::Duration::from_secs(30), || {
                (paid.load(Ordering::Relaxed) > before).then_some(())
            })
            .expect("the writer goes on");
            total(&place, &report)
        };
        let totals = (0..DUMPS).map(dump).collect();
        stop.store(true, Ordering::Relaxed);
        totals
    })
}

fn options() -> DumpOptions {
    DumpOptions { connections: 2, compression: Compression::None, ..DumpOptions::default() }
}

fn check(from: &str, pay: &(dyn Fn() + Sync)) {
    assert_eq!(totals(from, &options(), pay), [1_000_000; DUMPS]);
    let naive = DumpOptions { shared_snapshot: false, ..options() };
    // On a machine with other work the writer may stand still for the whole of a dump.
    let is_torn = |_| totals(from, &naive, pay).iter().any(|total| *total != 1_000_000);
    assert!((0..10).any(is_torn), "the writer is too slow to tear anything");
}

/// One call of a client makes many transfers, so that one commits at nearly every instant.
const TRANSFERS: usize = 200;

#[test]
fn postgres_totals_hold() {
    let server = Postgres::start();
    server.create("bank");
    server.sql("bank", &format!(
        "CREATE TABLE a (id int PRIMARY KEY, amount bigint, filler text); CREATE TABLE b (LIKE a INCLUDING ALL);
         INSERT INTO a SELECT n, CASE n WHEN 1 THEN 1000000 ELSE 0 END, repeat('x', 500) FROM generate_series(1, {ROWS}) n;
         INSERT INTO b SELECT n, 0, repeat('x', 500) FROM generate_series(1, {ROWS}) n"
    ));
    let transfer = "BEGIN; UPDATE a SET amount = amount - 7 WHERE id = 1; UPDATE b SET amount = amount + 7 WHERE id = (SELECT 1 + (random() * 11999)::int); COMMIT;\n";
    check(&server.address("bank"), &|| drop(server.sql("bank", &transfer.repeat(TRANSFERS))));
}

#[test]
fn mariadb_totals_hold() {
    let server = MariaDb::start();
    server.create("bank");
    server.sql(
        "bank",
        &format!(
            "CREATE TABLE a (id int PRIMARY KEY, amount bigint, filler text); CREATE TABLE b LIKE a;
         INSERT INTO a SELECT seq, IF(seq = 1, 1000000, 0), REPEAT('x', 500) FROM seq_1_to_{ROWS};
         INSERT INTO b SELECT seq, 0, REPEAT('x', 500) FROM seq_1_to_{ROWS}"
        ),
    );
    let transfer = "SET @b = 1 + FLOOR(RAND() * 11999); START TRANSACTION; UPDATE a SET amount = amount - 7 WHERE id = 1; UPDATE b SET amount = amount + 7 WHERE id = @b; COMMIT;\n";
    check(&server.odbc("bank"), &|| drop(server.sql("bank", &transfer.repeat(TRANSFERS))));
}

#[test]
fn sqlite_totals_hold() {
    let scratch = tempfile::TempDir::new().expect("a scratch folder");
    let file = scratch.path().join("bank.db");
    let rows = |first: u64| {
        format!(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS})
             SELECT n, CASE n WHEN 1 THEN {first} ELSE 0 END, hex(zeroblob(250)) FROM c"
        )
    };
    let database = Connection::open(&file).expect("a database");
    let made = format!(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = off; CREATE TABLE a (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT);
         CREATE TABLE b (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT); INSERT INTO a {}; INSERT INTO b {}",
        rows(1_000_000),
        rows(0)
    );
    database.execute_batch(&made).expect("tables");
    let database = std::sync::Mutex::new(database);
    let transfer = "BEGIN; UPDATE a SET amount = amount - 7 WHERE id = 1; UPDATE b SET amount = amount + 7 WHERE id = 1 + abs(random() % 11999); COMMIT;";
    check(&format!("sqlite:{}", file.display()), &|| {
        let database = database.lock().expect("one writer");
        database.execute_batch(&transfer.repeat(TRANSFERS)).expect("transfers");
    });
}
