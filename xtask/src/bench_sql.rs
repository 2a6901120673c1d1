//! Measures logical dumps and restores beside `pg_dump`, `pg_restore`, `mariadb-dump` and `sqlite3 .dump`, in alternating rounds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::servers::{MariaDb, Postgres};

use crate::Chore;
use crate::bench::{Measured, fresh, median, peak_of, size_of, sync};
use crate::shell;

/// One way to do a piece of work.
struct Way<'a> {
    name: &'a str,
    /// What it is compared with, and what it should be at most, beside that.
    beside: Option<(usize, f64)>,
    prepare: Box<dyn Fn() -> Measured<()> + 'a>,
    command: Box<dyn Fn() -> Command + 'a>,
    /// Where its result is, for its size.
    result: Option<PathBuf>,
}

pub(crate) fn run(args: &[String]) -> Chore {
    let number = |name: &str, usual: usize| {
        args.iter().skip_while(|arg| *arg != name).nth(1).map_or(Ok(usual), |n| n.parse::<usize>())
    };
    let (rounds, rows) = (number("--rounds", 5)?, number("--rows", 2_000_000)?);
    shell::run(&mut shell::cargo(&["build", "--quiet", "--release", "--package", "sql-dump", "--example", "logical"]))?;
    let program = shell::root().join("target/release/examples/logical");
    let place = fresh(&shell::root().join("target/bench"))?;
    println!("one table of {rows} rows with 11 mixed columns, medians of {rounds} alternating rounds");
    type Measure = fn(&Path, &Path, usize, usize) -> Measured<()>;
    let all: [(&str, Measure); 3] = [("postgresql", postgres), ("mariadb", mariadb), ("sqlite", sqlite)];
    let asked: Vec<_> = all.iter().filter(|(name, _)| args.iter().any(|arg| arg == name)).collect();
    for (_, measure) in if asked.is_empty() { all.iter().collect() } else { asked } {
        measure(&program, &place, rounds, rows)?;
    }
    Ok(fs::remove_dir_all(&place)?)
}

fn ours(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn clear(path: &Path) -> Measured<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Each way once in each round, on a place that its preparation made empty.
fn measure(ways: &[Way<'_>], rounds: usize) -> Measured<()> {
    let mut seconds: Vec<Vec<Duration>> = ways.iter().map(|_| Vec::new()).collect();
    let mut peaks = vec![0; ways.len()];
    for round in 0..=rounds {
        for (n, way) in ways.iter().enumerate() {
            (way.prepare)()?;
            sync();
            let began = Instant::now();
            peaks[n] = peak_of(&mut (way.command)())?.max(peaks[n]);
            // The first round warms the caches.
            if round > 0 {
                seconds[n].push(began.elapsed());
            }
        }
    }
    let medians: Vec<f64> = seconds.iter_mut().map(|all| median(all).as_secs_f64()).collect();
    for (n, way) in ways.iter().enumerate() {
        let beside = way.beside.map(|(other, most)| {
            format!("ratio {:.2} to {} (target {most})", medians[n] / medians[other], ways[other].name)
        });
        let size = way.result.as_deref().map_or(0, size_of) / 1_000_000;
        let peak = peaks[n] / 1024;
        println!("{:36} {:>7.2} s {size:>6} MB {peak:>5} MiB  {}", way.name, medians[n], beside.unwrap_or_default());
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn postgres(program: &Path, place: &Path, rounds: usize, rows: usize) -> Measured<()> {
    let server = Postgres::start();
    server.create("from");
    server.sql("from", &format!(
        "CREATE TABLE mixed (id bigint PRIMARY KEY, code char(8), name varchar(100), note text, price numeric(18,4), ratio float8, ok boolean,
           at timestamp(6), guid uuid, raw bytea, n int);
         INSERT INTO mixed SELECT n, lpad(to_hex(n % 65536), 8, '0'), 'device ' || md5(n::text), repeat(md5((n * 7)::text), 1 + n % 4), n * 1.2345, n / 7.0, n % 2 = 0,
           timestamp '2024-01-01' + n * interval '1.000001 s', md5(n::text)::uuid, decode(md5((n * 3)::text), 'hex'), n % 1000 FROM generate_series(1, {rows}) n;
         CREATE INDEX by_name ON mixed (name); ANALYZE"
    ));
    let (zst, tsv, custom, plain) =
        (place.join("pg-zst"), place.join("pg-tsv"), place.join("pg.custom"), place.join("pg.sql"));
    let odbc = place.join("pg-odbc");
    let dump = |args: &[&str]| {
        let mut command = server.client("pg_dump");
        command.args(["-d", "from"]).args(args);
        command
    };
    let (from, driver) = (server.address("from"), server.odbc("PostgreSQL Unicode", "from"));
    let (zst_text, tsv_text, custom_text, plain_text) = (text(&zst), text(&tsv), text(&custom), text(&plain));
    let odbc_text = text(&odbc);
    let ways = [
        boxed("pg_dump -Fc", None, &custom, || dump(&["-Fc", "-f", &custom_text])),
        boxed("ours, zstd", Some((0, 0.5)), &zst, || ours(program, &["dump", &from, &zst_text])),
        boxed("pg_dump", None, &plain, || dump(&["-f", &plain_text])),
        boxed("ours, plain", Some((2, 1.1)), &tsv, || ours(program, &["dump", &from, &tsv_text, "plain"])),
        boxed("ours, through the driver, plain", None, &odbc, || {
            ours(program, &["dump", &driver, &odbc_text, "plain"])
        }),
    ];
    println!("\nPostgreSQL");
    measure(&ways, rounds)?;
    let again = || -> Measured<()> {
        server.sql("postgres", "DROP DATABASE IF EXISTS \"to\"");
        server.create("to");
        Ok(())
    };
    let to = server.address("to");
    let restore = || {
        let mut command = server.client("pg_restore");
        command.args(["-d", "to", &custom_text]);
        command
    };
    measure(&restores("pg_restore", restore, || ours(program, &["restore", &zst_text, &to]), again), rounds)
}

/// A restore of theirs and ours beside it, each into a database made `again`.
fn restores<'a>(
    name: &'a str,
    theirs: impl Fn() -> Command + 'a,
    ours: impl Fn() -> Command + 'a,
    again: impl Fn() -> Measured<()> + Copy + 'a,
) -> [Way<'a>; 2] {
    let way = |name, beside, command| Way { name, beside, prepare: Box::new(again), command, result: None };
    [way(name, None, Box::new(theirs)), way("ours, restore and compare", Some((0, 1.5)), Box::new(ours))]
}

fn boxed<'a>(
    name: &'a str,
    beside: Option<(usize, f64)>,
    result: &Path,
    command: impl Fn() -> Command + 'a,
) -> Way<'a> {
    let path = result.to_owned();
    Way {
        name,
        beside,
        prepare: Box::new(move || clear(&path)),
        command: Box::new(command),
        result: Some(result.to_owned()),
    }
}

/// Waits until the server has written what was put into it, which it does for long afterwards.
fn come_to_rest(server: &MariaDb) {
    server.sql("from", "SET GLOBAL innodb_max_dirty_pages_pct = 0, GLOBAL innodb_max_dirty_pages_pct_lwm = 0");
    let dirty = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Innodb_buffer_pool_pages_dirty'";
    let is_clean = || (server.sql("from", dirty).trim().parse::<u64>().ok()? < 100).then_some(());
    let _ = tests::poll_until(Duration::from_secs(120), is_clean);
}

fn mariadb(program: &Path, place: &Path, rounds: usize, rows: usize) -> Measured<()> {
    let server = MariaDb::start();
    server.create("from");
    server.sql("from", &format!(
        "CREATE TABLE mixed (id bigint PRIMARY KEY, code char(8), name varchar(100), note text, price decimal(18,4), ratio double, ok boolean,
           at datetime(6), guid char(36), raw varbinary(16), n int);
         INSERT INTO mixed SELECT seq, LPAD(HEX(seq % 65536), 8, '0'), CONCAT('device ', MD5(seq)), REPEAT(MD5(seq * 7), 1 + seq % 4), seq * 1.2345, seq / 7e0, seq % 2,
           '2024-01-01' + INTERVAL seq SECOND, INSERT(MD5(seq), 9, 0, '-'), UNHEX(MD5(seq * 3)), seq % 1000 FROM seq_1_to_{rows};
         ALTER TABLE mixed ADD INDEX by_name (name); ANALYZE TABLE mixed"
    ));
    come_to_rest(&server);
    let (zst, tsv, sql) = (place.join("maria-zst"), place.join("maria-tsv"), place.join("maria.sql"));
    let (zst_text, tsv_text) = (text(&zst), text(&tsv));
    let compressed = place.join("maria.sql.zst");
    let from = server.odbc("from");
    // Ours are on the disk when it ends, so theirs have to be.
    let dump = |to: &Path, through: &str| {
        let mut client = server.client("mariadb-dump");
        client.args(["--single-transaction", "--hex-blob", "from"]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("to=$0; \"$@\" {through} > \"$to\" && sync \"$to\"")).arg(to);
        command.arg(client.get_program()).args(client.get_args());
        command.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let ways = [
        boxed("mariadb-dump, synced", None, &sql, || dump(&sql, "")),
        boxed("ours, plain", Some((0, 0.8)), &tsv, || ours(program, &["dump", &from, &tsv_text, "plain"])),
        boxed("mariadb-dump | zstd -3, synced", None, &compressed, || dump(&compressed, "| zstd -q -3")),
        boxed("ours, zstd", Some((2, 0.8)), &zst, || ours(program, &["dump", &from, &zst_text])),
    ];
    println!("\nMariaDB");
    measure(&ways, rounds)?;
    let again = || -> Measured<()> {
        server.sql("from", "DROP DATABASE IF EXISTS `to`");
        server.create("to");
        Ok(())
    };
    let to = server.odbc("to");
    let restore = || {
        let mut command = server.client("mariadb");
        command.arg("to").stdin(fs::File::open(&sql).map_or(Stdio::null(), Stdio::from));
        command
    };
    measure(&restores("mariadb < dump", restore, || ours(program, &["restore", &zst_text, &to]), again), rounds)
}

fn sqlite(program: &Path, place: &Path, rounds: usize, rows: usize) -> Measured<()> {
    let file = place.join("from.db");
    let sql = format!(
        "PRAGMA journal_mode=wal; CREATE TABLE mixed (id INTEGER PRIMARY KEY, code TEXT, name TEXT, note TEXT, price NUMERIC, ratio REAL, ok INTEGER, at TEXT, guid TEXT, raw BLOB, n INTEGER);
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows})
         INSERT INTO mixed SELECT n, printf('%08x', n % 65536), 'device ' || hex(randomblob(16)), hex(randomblob(16 + 16 * (n % 4))), n * 1.2345, n / 7.0, n % 2,
           datetime(1704067200 + n, 'unixepoch') || printf('.%06d', n % 1000000), hex(randomblob(18)), randomblob(16), n % 1000 FROM c;
         CREATE INDEX by_name ON mixed (name);"
    );
    shell::run(Command::new("sqlite3").arg(&file).arg(sql).stdout(Stdio::null()))?;
    let (tsv, zst, out) = (place.join("lite-tsv"), place.join("lite-zst"), place.join("lite.sql"));
    let (tsv_text, zst_text, file_text) = (text(&tsv), text(&zst), text(&file));
    let (embedded, driver) = (format!("sqlite:{file_text}"), format!("Driver=SQLite3;Database={file_text}"));
    let odbc = place.join("lite-odbc");
    let odbc_text = text(&odbc);
    let ways = [
        boxed("sqlite3 .dump", None, &out, || {
            let mut command = Command::new("sh");
            command.args(["-c", "sqlite3 \"$0\" .dump > \"$1\" && sync \"$1\""]).arg(&file).arg(&out);
            command
        }),
        boxed("ours, plain", Some((0, 1.0)), &tsv, || ours(program, &["dump", &embedded, &tsv_text, "plain"])),
        boxed("ours, zstd", Some((0, 1.0)), &zst, || ours(program, &["dump", &embedded, &zst_text])),
        boxed("ours, through the driver, plain", None, &odbc, || {
            ours(program, &["dump", &driver, &odbc_text, "plain"])
        }),
    ];
    println!("\nSQLite");
    measure(&ways, rounds)
}
