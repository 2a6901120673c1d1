//! MariaDB through ODBC.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use sql_dump::logical::{DumpOptions, LogicalError, RestoreOptions, may_dump, prepare, restore};
use tests::poll_until;
use tests::servers::MariaDb;

use super::{dump_to, folder, restore_from, try_restore};

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
    // Lines that name the database.
    let other = |line: &&str| !["-- Host:", "-- Dumping "].iter().any(|start| line.starts_with(start));
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
    let told =
        |database| stock_dump(&server, database).into_iter().map(|line| line.replace("`to`.", "`from`.")).collect();
    let (from, to): (Vec<String>, Vec<String>) = (told("from"), told("to"));
    super::same_lines(&from, &to);
    let counts = server.sql("to", "SHOW CREATE TABLE counted");
    assert!(counts.matches("nextval(`to`.`s`)").count() == 2 && !counts.contains("`from`"), "{counts}");
}

/// What schemas may hold, of which every part was lost or could not be restored at some time.
#[test]
fn odd_definitions_come_back() {
    let server = server();
    server.sql("mysql", "ALTER DATABASE `from` CHARACTER SET latin1 COLLATE latin1_danish_ci");
    server.sql("from", include_str!("mariadb_definitions.sql"));
    let (_scratch, place) = folder();
    let report = dump_to(&server.odbc("from"), &place, &DumpOptions::default());
    assert_eq!(report.not_covered, ["view broken, which needs what is not there", "definers, users and privileges"]);
    restore_from(&place, &server.odbc("to"));
    // The stock program fails at it.
    server.sql("from", "DROP VIEW broken");
    let to: Vec<String> = stock_dump(&server, "to").into_iter().map(|line| line.replace("`to`.", "`from`.")).collect();
    let from = stock_dump(&server, "from");
    let other = from.iter().zip(&to).find(|(from, to)| from != to);
    assert_eq!((other, from.len()), (None, to.len()));
    let told = "SELECT HEX(k), SHA1(HEX(g)), HEX(a), SHA1(HEX(l)) FROM bytes ORDER BY k; SELECT e + 0 FROM lax; SELECT @@collation_database;
        INSERT INTO ordered VALUES (1, ''); SELECT log FROM ordered";
    let of_to = server.sql("to", told);
    assert_eq!(server.sql("from", told), of_to);
    assert!(of_to.ends_with("zmba\n"), "{of_to}");
}

/// Made by its text alone, a trigger whose text names its database would come to that one.
#[test]
fn what_names_its_own_database_is_made_where_it_is_restored() {
    let server = server();
    server.sql(
        "from",
        "CREATE TABLE t (v int); CREATE TABLE `each` (v int); CREATE TRIGGER `from`.`tr ``x` BEFORE INSERT ON from.t FOR EACH ROW SET NEW.v = NEW.v + 1;
         CREATE TRIGGER second AFTER INSERT ON `from` . `each`\nfor  each row SET @x = 'a.b';
         CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2; CREATE SEQUENCE s;
         CREATE VIEW v AS SELECT `from`.twice(2) AS two, NEXTVAL(`from`.s) AS n, CONCAT(`from`.v, '(`from`.') AS a FROM t AS `from`"
            .replace("from.t ", "`from`.t ").as_str(),
    );
    let (_scratch, place) = folder();
    dump_to(&server.odbc("from"), &place, &DumpOptions::default());
    server.sql("from", "DROP TRIGGER `tr ``x`; DROP TRIGGER second");
    restore_from(&place, &server.odbc("to"));
    let triggers =
        "SELECT trigger_schema, trigger_name, event_object_table FROM information_schema.triggers ORDER BY 2";
    assert_eq!(server.sql("mysql", triggers), "to\tsecond\teach\nto\ttr `x\tt\n");
    server.sql("mysql", "DROP DATABASE `from`");
    assert_eq!(server.sql("to", "INSERT INTO t VALUES (1); SELECT * FROM v"), "4\t1\t2(`from`.\n");
}

/// An event may change rows as soon as it is there: they are compared before.
#[test]
fn events_come_when_the_rows_are_compared() {
    let server = server();
    server.sql(
        "from",
        "CREATE TABLE t (v int PRIMARY KEY); CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DISABLE DO DELETE FROM t",
    );
    let (scratch, place) = folder();
    let mut manifest = dump_to(&server.odbc("from"), &place, &DumpOptions::default()).manifest;
    let events = "SELECT COUNT(*) FROM information_schema.events WHERE event_schema = 'to'";
    let file = scratch.path().join("dump/manifest.json");
    let whole = std::fs::read(&file).expect("the manifest");
    manifest.tables[0].rows += 1;
    let hash = blake3::hash(&serde_json::to_vec(&manifest).expect("JSON")).to_hex().to_string();
    let altered = serde_json::json!({ "manifest": manifest, "blake3": hash });
    std::fs::write(&file, serde_json::to_vec(&altered).expect("JSON")).expect("it is altered");
    let error = try_restore(&place, &server.odbc("to")).expect_err("a row is missing");
    assert!(matches!(error, LogicalError::Differs { .. }), "{error:?}");
    assert_eq!(server.sql("to", events), "0\n");
    std::fs::write(&file, whole).expect("it is whole again");
    server.sql("mysql", "DROP DATABASE `to`");
    server.create("to");
    restore_from(&place, &server.odbc("to"));
    assert_eq!(server.sql("to", events), "1\n");
}

/// A session of the stock client that holds what `sql` locks until it is dropped.
struct Holder(Child);

impl Holder {
    fn new(server: &MariaDb, sql: &str) -> Self {
        let mut client = server.client("mariadb");
        client.args(["-N", "-B", "--unbuffered", "from"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Self(client.spawn().expect("the client starts"));
        holder.run(sql);
        holder
    }

    fn run(&mut self, sql: &str) {
        let stdin = self.0.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{sql}; SELECT 'held';").and_then(|()| stdin.flush()).expect("the client reads");
        let mut line = String::new();
        let stdout = self.0.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the client prints");
        assert_eq!(line, "held\n");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_pin_that_cannot_have_its_lock_gives_up_and_leaves_none() {
    let server = server();
    server.sql("from", "CREATE TABLE t (v int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE u (v int)");
    let options = DumpOptions { connections: 3, ..DumpOptions::default() };
    let address = super::address(&server.odbc("from"));
    let held = Holder::new(&server, "LOCK TABLES t WRITE");
    let prepared = prepare(&address, &options).expect("connections");
    let began = Instant::now();
    let error = prepared.pin().expect_err("the table is locked");
    assert!(matches!(error, LogicalError::Busy { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // The limit is one for all steps of the lock, not one for each.
    let mut flush = server.client("mariadb");
    flush.args(["-e", "SET lock_wait_timeout = 100; /*M!100102 SET STATEMENT max_statement_time = 1 FOR */ FLUSH TABLES WITH READ LOCK", "from"]);
    let said = flush.output().expect("the client runs").stderr;
    assert!(String::from_utf8_lossy(&said).contains("ERROR 1969"), "{}", String::from_utf8_lossy(&said));
    // Writers go on at once, although the table is still locked.
    server.sql("from", "SET lock_wait_timeout = 1; INSERT INTO u VALUES (1)");
    let others = "SELECT count(*) FROM information_schema.processlist WHERE user = 'site' AND id <> CONNECTION_ID()";
    let alone = poll_until(Duration::from_secs(5), || (server.sql("from", others) == "1\n").then_some(()));
    assert_eq!(alone, Some(()), "only the holder is connected");
    drop(held);
    assert!(prepare(&address, &options).expect("connections").pin().expect("a pin").moment().one_snapshot);
}

/// The rows of a chunk and another session's wait for each other, and the server ends the restore's transaction, for it has done less.
#[test]
fn a_chunk_that_a_deadlock_took_back_is_loaded_again() {
    let server = server();
    server.sql(
        "from",
        "CREATE TABLE large (id int PRIMARY KEY, v text); INSERT INTO large SELECT seq, REPEAT(MD5(seq), 8) FROM seq_1_to_200000;
         CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1), (2); CREATE TABLE work AS SELECT 0 AS id",
    );
    let (_scratch, place) = folder();
    dump_to(&server.odbc("from"), &place, &DumpOptions::default());
    let poll = |sql: &str| {
        let there = poll_until(Duration::from_secs(60), || (server.sql("to", sql) == "1\n").then_some(()));
        assert_eq!(there, Some(()), "{sql}");
    };
    let options = RestoreOptions { connections: 1, ..RestoreOptions::default() };
    std::thread::scope(|scope| {
        let restored = scope.spawn(|| restore(&place, &super::address(&server.odbc("to")), &options));
        poll("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'to' AND table_name = 'small'");
        let mut other = Holder::new(
            &server,
            "BEGIN; INSERT INTO work SELECT seq FROM seq_1_to_1000; INSERT INTO `to`.small VALUES (2)",
        );
        poll(
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Innodb_row_lock_current_waits'",
        );
        other.run("INSERT INTO `to`.small VALUES (1); ROLLBACK");
        restored.join().expect("no panic").expect("a restore");
    });
    assert_eq!(server.sql("mysql", "SHOW STATUS LIKE 'Innodb_deadlocks'"), "Innodb_deadlocks\t1\n");
    super::same_lines(&stock_dump(&server, "from"), &stock_dump(&server, "to"));
}

/// A user who may do what `grants` says, and no more.
fn user(server: &MariaDb, name: &str, grants: &[&str]) -> String {
    let made = format!("CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{}'", MariaDb::PASSWORD);
    let given = grants.iter().map(|grant| format!("; GRANT {grant} TO {name}@'127.0.0.1'"));
    server.sql("mysql", &std::iter::once(made).chain(given).collect::<String>());
    server.odbc_of(name, "from")
}

#[test]
fn who_sees_a_part_only_is_told_what_is_missing() {
    let server = server();
    server.sql(
        "from",
        "CREATE TABLE t (v int); CREATE TABLE u (v int); CREATE VIEW w AS SELECT 1; CREATE PROCEDURE p() SELECT 1;
         CREATE TRIGGER r BEFORE INSERT ON u FOR EACH ROW SET NEW.v = 1",
    );
    server.sql("mysql", "CREATE ROLE reader; GRANT SELECT, SHOW VIEW, EVENT ON `fro_`.* TO reader");
    let check = |name: &str, grants: &[&str], missing: &str| {
        let (address, options) = (super::address(&user(&server, name, grants)), DumpOptions::default());
        let expect = (!missing.is_empty()).then(|| {
            let grants: Vec<_> =
                missing.split("; ").map(|what| format!("GRANT {what} TO `{name}`@`127.0.0.1`")).collect();
            format!(
                "`{name}@127.0.0.1` may not see all of `from` and hold it still, which a dump needs: {}",
                grants.join("; ")
            )
        });
        let told = may_dump(&address, &options).err().map(|error| error.to_string());
        assert_eq!(told, expect);
        assert_eq!(prepare(&address, &options).err().map(|error| error.to_string()), expect);
    };
    let code = "SELECT ON `mysql`.`proc`";
    check("one_table", &["RELOAD ON *.*", "SELECT ON `from`.t", code], "SELECT, SHOW VIEW, TRIGGER, EVENT ON `from`.*");
    check("no_code", &["SELECT, RELOAD, SHOW VIEW, TRIGGER, EVENT ON *.*"], "");
    check("no_proc", &["RELOAD ON *.*", "SELECT, SHOW VIEW, TRIGGER, EVENT ON `from`.*"], code);
    check("calls", &["RELOAD ON *.*", "ALL ON `from`.*"], code);
    check("no_reload", &["SELECT, SHOW VIEW, TRIGGER, EVENT ON `fr%`.*", code], "RELOAD ON *.*");
    check("roled", &["RELOAD ON *.*", "TRIGGER ON `from`.*", code, "reader"], "SELECT, SHOW VIEW, EVENT ON `from`.*");
    server.sql("mysql", "SET DEFAULT ROLE reader FOR roled@'127.0.0.1'");
    let dump = |name: &str| {
        let (_scratch, place) = folder();
        let report = dump_to(&server.odbc_of(name, "from"), &place, &DumpOptions::default());
        report.manifest.files.into_iter().map(|file| (file.blake3, file.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(dump("roled"), dump("site"));
    assert_eq!(dump("no_code"), dump("site"));
    server.sql("from", "DROP PROCEDURE p");
    assert_eq!(dump("calls"), dump("site"));
}

#[test]
fn a_value_longer_than_a_packet_is_refused_until_the_server_takes_it() {
    let server = server();
    server.sql(
        "from",
        "CREATE TABLE t (id int PRIMARY KEY, v longtext, b longblob);
         INSERT INTO t VALUES (1, 'short', NULL), (2, REPEAT('xy', 1500000), NULL), (3, '', REPEAT('\\0a', 2000000))",
    );
    let (_scratch, place) = folder();
    dump_to(&server.odbc("from"), &place, &DumpOptions::default());
    for (limit, needed) in [(1_047_552, "3001344"), (3_145_728, "4001792"), (65_536, "")] {
        server.sql("mysql", &format!("SET GLOBAL max_allowed_packet = {limit}"));
        let error = try_restore(&place, &server.odbc("to")).expect_err("it does not fit");
        let LogicalError::DoesNotFit { table, source } = &error else { panic!("{error:?}") };
        let told = format!("max_allowed_packet of the server is {limit}, and has to be {needed}");
        assert!(table == "t" && source.to_string().starts_with(&told), "{error:?}");
        assert_eq!(server.sql("to", "SELECT COUNT(*) FROM t"), "0\n");
        assert_eq!(server.sql("to", "SELECT COUNT(*) FROM sitebackup_restore WHERE step LIKE '%t.%'"), "0\n");
    }
    server.sql("mysql", "SET GLOBAL max_allowed_packet = 67108864");
    restore_from(&place, &server.odbc("to"));
    super::same_lines(&stock_dump(&server, "from"), &stock_dump(&server, "to"));
}
