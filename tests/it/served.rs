//! Sites whose database is a server's: backed up under write load, recovered, rehearsed.

use std::path::{Path, PathBuf};

use tests::program::{Program, finish};
use tests::servers::{MariaDb, Postgres};
use tests::{Fault, JournalMode, SampleSiteOptions, ServedDatabase, ServiceName};

use crate::site::{TestSite, workload_program};

const ROUNDS: u32 = 20;

/// A server with the site database `site`.
trait Server {
    /// What site.toml says of it, with the file that holds its password.
    fn toml(&self, password: &Path) -> String;
    /// Its client, which reads statements and prints bare rows at once.
    fn client(&self) -> std::process::Command;
    fn password(&self) -> &'static str;
    /// Where a database is, with the password.
    fn address(&self, database: &str) -> String;
    fn sql(&self, database: &str, sql: &str) -> String;
    fn create(&self, database: &str);
    fn databases(&self) -> String;
}

impl Server for Postgres {
    fn toml(&self, password: &Path) -> String {
        let (address, password) = (self.address_alone("site"), password.display());
        format!("kind = \"postgresql\"\nconnection = \"{address}\"\npassword-file = \"{password}\"")
    }

    fn client(&self) -> std::process::Command {
        let mut psql = Self::client(self, "psql");
        psql.args(["-X", "-q", "-A", "-t", "-d", "site"]);
        psql
    }

    fn password(&self) -> &'static str {
        Self::PASSWORD
    }

    fn address(&self, database: &str) -> String {
        Self::address(self, database)
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        Self::sql(self, database, sql)
    }

    fn create(&self, database: &str) {
        Self::create(self, database);
    }

    fn databases(&self) -> String {
        self.sql("postgres", "SELECT datname FROM pg_database ORDER BY datname")
    }
}

impl Server for MariaDb {
    fn toml(&self, password: &Path) -> String {
        let (connection, password) = (self.odbc_alone("site"), password.display());
        format!("kind = \"odbc\"\nconnection = \"{connection}\"\npassword-file = \"{password}\"")
    }

    fn client(&self) -> std::process::Command {
        let mut client = Self::client(self, "mariadb");
        client.args(["-N", "-B", "-n", "site"]);
        client
    }

    fn password(&self) -> &'static str {
        Self::PASSWORD
    }

    fn address(&self, database: &str) -> String {
        self.odbc(database)
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        Self::sql(self, database, sql)
    }

    fn create(&self, database: &str) {
        Self::create(self, database);
    }

    fn databases(&self) -> String {
        self.sql("site", "SHOW DATABASES")
    }
}

/// A site at work whose number goes to the server.
fn running(server: &dyn Server) -> (TestSite, tempfile::TempDir) {
    server.create("site");
    server.sql(
        "site",
        "CREATE TABLE workload (counter bigint NOT NULL); INSERT INTO workload VALUES (0);
         CREATE TABLE ballast (id int PRIMARY KEY, filler varchar(500));
         INSERT INTO ballast VALUES (1, 'x'), (2, 'y')",
    );
    let secrets = tempfile::tempdir().expect("a scratch folder");
    let password = secrets.path().join("password");
    std::fs::write(&password, format!("{}\n", server.password())).expect("it is written");
    let client = server.client();
    let text = |value: &std::ffi::OsStr| value.to_str().expect("Unicode").to_owned();
    let env = client.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect();
    let served = ServedDatabase {
        toml: server.toml(&password),
        client: PathBuf::from(client.get_program()),
        args: client.get_args().map(text).collect(),
        env,
    };
    let options = SampleSiteOptions {
        journal_mode: JournalMode::Wal,
        extra_files: 20,
        workload: workload_program(),
        served: Some(served),
        ..Default::default()
    };
    (TestSite::with(options), secrets)
}

/// The number in the newest snapshot: by the program's own restore into a new database, and the server's own query.
fn number_in_snapshot(test: &TestSite, server: &dyn Server, round: u32) -> (u64, u64) {
    let name = format!("round-{round}");
    let tree = test.recover_tree(&name);
    let database = format!("restored_{round}");
    server.create(&database);
    let dump = tree.join("database/site");
    let restored =
        test.program.run(["database", "restore", dump.to_str().expect("Unicode"), &server.address(&database)]);
    assert_eq!(restored.code, 0, "{restored:#?}");
    let number = server.sql(&database, "SELECT counter FROM workload").trim().parse().expect("a number");
    let file = number_in_file(&test.place_in(&tree, &test.site.install_dir()));
    test.forget(&name);
    (number, file)
}

fn number_in_file(install_dir: &Path) -> u64 {
    let text = std::fs::read_to_string(install_dir.join("inboxes/counter.txt")).expect("the file is there");
    text.trim().strip_prefix("number=").and_then(|number| number.parse().ok()).expect("a number")
}

fn every_backup_is_of_one_moment(server: &dyn Server) {
    let (test, _secrets) = running(server);
    let mut last = 0;
    for round in 0..ROUNDS {
        test.workload.wait_for_progress().expect("the site works");
        test.backup(0);
        let (database, file) = number_in_snapshot(&test, server, round);
        assert_eq!(database, file, "round {round}");
        assert!(database > last, "round {round}: {database} after {last}");
        last = database;
    }
    without_the_freeze_the_numbers_differ(&test, server);
}

/// The test of the test: services that only say that they have stopped leave torn numbers.
fn without_the_freeze_the_numbers_differ(test: &TestSite, server: &dyn Server) {
    for name in ServiceName::IN_STOP_ORDER {
        test.workload.set_fault(Fault::LiesAboutStop, name).expect("the fault is set");
    }
    let torn = (ROUNDS..ROUNDS + 30).any(|round| {
        test.workload.wait_for_progress().expect("the site works");
        let ran = test.run(&["backup"]);
        assert!(matches!(ran.code, 0 | 3), "{ran:#?}");
        let (database, file) = number_in_snapshot(test, server, round);
        database != file
    });
    assert!(torn, "a site that is not frozen must show torn numbers");
}

#[test]
fn every_backup_of_a_postgres_site_is_of_one_moment() {
    every_backup_is_of_one_moment(&Postgres::start());
}

#[test]
fn every_backup_of_a_mariadb_site_is_of_one_moment() {
    every_backup_is_of_one_moment(&MariaDb::start());
}

/// In place, by the program alone: a database that holds something is refused before anything is written, an empty one takes the dump.
fn it_is_recovered_in_place_and_rehearsed(server: &dyn Server) {
    let (test, _secrets) = running(server);
    test.workload.wait_for_progress().expect("the site works");
    test.backup(0);
    let checked = test.run(&["check"]);
    assert_eq!(checked.code, 3, "Setup takes no logical dump back: {checked:#?}");
    assert!(checked.stderr.contains("option 10"), "{checked:#?}");
    let before = server.databases();
    let rehearsed = test.run(&["rehearse"]);
    assert_eq!(rehearsed.code, 0, "{rehearsed:#?}");
    assert_eq!(server.databases(), before, "the rehearsal's database is gone");
    test.workload.stop_all().expect("the services stop");
    let refused = test.run(&["recover", "--overwrite-newer"]);
    assert_eq!(refused.code, 14, "{refused:#?}");
    assert!(refused.stderr.contains("is not empty"), "{refused:#?}");
    server.sql("site", "DROP TABLE workload; DROP TABLE ballast");
    let recovered = test.run(&["recover", "--overwrite-newer"]);
    assert_eq!(recovered.code, 0, "{recovered:#?}");
    let number: u64 = server.sql("site", "SELECT counter FROM workload").trim().parse().expect("a number");
    let counters = test.site.counters().expect("the numbers can be read");
    assert_eq!((number, number), (counters.file, counters.registry));
    assert!(!format!("{refused:?}{recovered:?}{rehearsed:?}").contains(server.password()));
}

#[test]
fn a_postgres_site_is_recovered_in_place_and_rehearsed() {
    it_is_recovered_in_place_and_rehearsed(&Postgres::start());
}

#[test]
fn a_mariadb_site_is_recovered_in_place_and_rehearsed() {
    it_is_recovered_in_place_and_rehearsed(&MariaDb::start());
}

/// No file of a snapshot, of the state folder or of the output holds the password.
#[test]
fn the_password_is_nowhere() {
    let server = Postgres::start();
    let (test, _secrets) = running(&server);
    let ran = test.backup(0);
    assert!(!format!("{ran:?}").contains(Postgres::PASSWORD));
    let mut folders = vec![test.site.destination(), test.site.state_dir()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.file_type().expect("a kind").is_dir() {
                folders.push(entry.path());
            } else if entry.file_type().expect("a kind").is_file() {
                let content = std::fs::read(entry.path()).expect("a file");
                let found = content.windows(Postgres::PASSWORD.len()).any(|part| part == Postgres::PASSWORD.as_bytes());
                assert!(!found, "{}", entry.path().display());
                files += 1;
            }
        }
    }
    assert!(files > 100, "there was something to look at");
}

/// What the run starts, and what that prints, never has the password.
#[test]
fn programs_that_are_started_do_not_get_the_password() {
    let server = Postgres::start();
    let (test, secrets) = running(&server);
    std::fs::remove_file(secrets.path().join("password")).expect("removed");
    let hook = test.site.install_dir().join("inboxes/smsbkup.box/AfterBackup");
    std::fs::write(&hook, "#!/bin/sh\nenv\n").expect("written");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let mut backup = test.program.command(test.args(&["backup"]));
    let output = backup.env("SITEBACKUP_DATABASE_PASSWORD", Postgres::PASSWORD).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let log = std::fs::read_to_string(test.site.destination().join("smsbkup.log")).expect("a log");
    assert!(log.contains("SITEBACKUP_SNAPSHOT="), "the hook has printed its environment: {log}");
    assert!(!log.contains(Postgres::PASSWORD), "{log}");
}

/// A database that cannot be had ends the run before a service is stopped, and leaves the last good snapshot.
#[test]
fn a_server_that_refuses_or_is_gone_is_told_and_nothing_is_stopped() {
    let mut server = Postgres::start();
    let (test, secrets) = running(&server);
    test.workload.wait_for_progress().expect("the site works");
    test.backup(0);
    let last = test.snapshots();
    let password = secrets.path().join("password");
    let fails = |why: &str| {
        for args in [&["check"][..], &["backup"]] {
            let ran = test.run(args);
            assert_eq!(ran.code, 14, "{why}: {ran:#?}");
            assert!(ran.stderr.contains("site"), "{why}: {ran:#?}");
            assert!(!format!("{ran:?}").contains(Postgres::PASSWORD), "{why}: {ran:#?}");
        }
        assert_eq!(test.snapshots(), last, "{why}");
    };
    std::fs::write(&password, "not the one\n").expect("written");
    fails("a wrong password");
    for name in ServiceName::IN_STOP_ORDER {
        assert!(test.workload.is_running(name).expect("it can be asked"), "{name}");
    }
    std::fs::write(&password, Postgres::PASSWORD).expect("written");
    server.crash();
    fails("no server");
    std::fs::remove_file(&password).expect("removed");
    let ran = test.run(&["backup"]);
    assert_eq!(ran.code, 2, "{ran:#?}");
    assert!(ran.stderr.contains("failed to read the password in"), "{ran:#?}");
    // What only reads snapshots needs no database.
    assert_eq!(test.run(&["verify"]).code, 0);
}

#[test]
fn a_dump_of_several_moments_is_told_as_one() {
    let (scratch, server) = (tempfile::tempdir().expect("a scratch folder"), MariaDb::start());
    server.create("shop");
    server.sql("shop", "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE log (id int PRIMARY KEY) ENGINE = MyISAM");
    let folder = scratch.path().join("dump").display().to_string();
    let ran = Program::build().run(["database", "dump", &server.odbc("shop"), &folder]);
    assert_eq!(ran.code, 3, "{ran:#?}");
    assert!(ran.stdout.contains("not all of one moment"), "{ran:#?}");
    assert!(ran.stderr.contains("table log has no part in the moment"), "{ran:#?}");
}

/// unixODBC writes a zero behind what it lists of a driver. glibc's checked allocator sees it when that memory is freed.
#[cfg(target_env = "gnu")]
#[test]
fn listing_drivers_stays_within_its_memory() {
    let program = Program::build();
    let checked = |args: &[&str]| {
        let mut command = program.command(args);
        command.env("LD_PRELOAD", "libc_malloc_debug.so.0").env("MALLOC_CHECK_", "3");
        finish(command.spawn().expect("the program starts")).expect("its output")
    };
    let ran = checked(&["database", "inspect", "Driver={MariaDB Unicode};Server=127.0.0.1;Port=1;Database=x"]);
    assert_eq!(ran.code, 14, "{ran:#?}");
    assert!(!ran.stderr.contains("cannot be preloaded"), "{ran:#?}");
    let ran = checked(&["database", "inspect", "Driver=none such;Database=x"]);
    assert!(ran.stderr.contains("MariaDB Unicode"), "it lists what there is: {ran:#?}");
}
