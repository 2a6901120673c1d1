//! `sitebackup database`, on SQLite files and without a server.

use std::fs;
use std::path::PathBuf;
#[cfg(unix)]
use std::time::Duration;

use tempfile::TempDir;
#[cfg(unix)]
use tests::poll_until;
use tests::program::{Program, Ran};

struct Bench {
    scratch: TempDir,
    program: Program,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { scratch: tempfile::tempdir().expect("a scratch folder"), program: Program::build() };
        let connection = rusqlite::Connection::open(bench.path("app.db")).expect("opened");
        let tables =
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people VALUES (1, 'Zoë'), (2, NULL);
            CREATE TABLE empty (x BLOB)";
        connection.execute_batch(tables).expect("made");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs `database` with arguments in which `@` stands for the folder.
    fn run(&self, line: &str) -> Ran {
        let folder = format!("{}/", self.scratch.path().display());
        self.program.run(
            ["database"].into_iter().map(str::to_owned).chain(line.split(' ').map(|arg| arg.replace('@', &folder))),
        )
    }

    #[track_caller]
    fn ok(&self, line: &str) -> Ran {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:#?}");
        ran
    }

    #[track_caller]
    fn refused(&self, line: &str, code: i32, parts: &[&str]) {
        let ran = self.run(line);
        assert_eq!(ran.code, code, "{line}: {ran:#?}");
        parts.iter().for_each(|part| assert!(ran.stderr.contains(part), "{part}: {ran:#?}"));
    }
}

#[test]
fn a_database_goes_round_without_a_site() {
    let bench = Bench::new();
    let seen = bench.ok("inspect sqlite:@app.db --json").json();
    assert_eq!(seen["result"]["name"], "app");
    assert_eq!(seen["result"]["facts"]["tables"], "2");
    let dumped = bench.ok("dump sqlite:@app.db @dump --json").json();
    assert_eq!((dumped["result"]["tables"].as_u64(), dumped["result"]["rows"].as_u64()), (Some(2), Some(2)));
    assert!(bench.ok("verify @dump").stdout.contains("is whole: 2 tables with 2 rows"));
    bench.ok("restore @dump sqlite:@new.db");
    let connection = rusqlite::Connection::open(bench.path("new.db")).expect("opened");
    let name: String =
        connection.query_row("SELECT name FROM people WHERE id = 1", [], |row| row.get(0)).expect("a row");
    assert_eq!(name, "Zoë");
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let bench = Bench::new();
    bench.ok("dump sqlite:@app.db @dump");
    bench.refused("dump sqlite:@app.db @dump", 2, &["is not empty", "name a new folder"]);
    bench.refused("dump sqlite:@app.db @app.db", 2, &["is no folder", "name a new folder"]);
    bench.refused("restore @dump sqlite:@app.db", 14, &["is not empty", "make a new database"]);
    bench.refused("verify @none", 14, &["there is no complete dump"]);
    bench.refused("inspect nonsense", 2, &["postgresql://"]);
    bench.refused("inspect Driver={No-Such};Server=x", 14, &["no ODBC driver `No-Such` is installed; there are:"]);
    bench.refused("dump sqlite:@none.db @other", 14, &["none.db"]);
    assert!(!bench.path("none.db").exists() && !bench.path("other/manifest.json").exists());

    let chunks = fs::read_dir(bench.path("dump/data")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let chunk = chunks.max_by_key(|path| fs::metadata(path).expect("facts").len()).expect("a chunk");
    let mut content = fs::read(&chunk).expect("read");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&chunk, content).expect("written");
    bench.refused("verify @dump", 14, &["is damaged", "use another dump"]);
    bench.refused("restore @dump sqlite:@new.db", 14, &["is damaged"]);
}

#[test]
fn what_would_be_sent_to_sql_server_can_be_read_first() {
    let bench = Bench::new();
    let address = "Driver={ODBC-Driver-18};Server=sql1;Database=CM_P01";
    let shown = bench.ok(&format!(r"dump {address} --native D:\x.bak --dry-run")).stdout;
    assert!(shown.contains(r"BACKUP DATABASE [CM_P01] TO DISK = N'D:\x.bak' WITH COPY_ONLY, CHECKSUM"), "{shown}");
    let shown = bench.ok(&format!(r"restore D:\x.bak {address} --native --replace --dry-run")).stdout;
    assert!(shown.contains("RESTORE DATABASE [CM_P01] FROM DISK") && shown.contains("REPLACE"), "{shown}");
    bench.refused(r"dump Driver={x};Server=y --native D:\x.bak", 2, &["names no database"]);
}

#[test]
fn a_password_on_the_command_line_is_warned_of_and_not_repeated() {
    let bench = Bench::new();
    let ran = bench.run(r"dump Driver={x};Server=y;Database=z;Pwd=hunter2 --native D:\x.bak --dry-run");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stderr.contains("--password-file FILE"), "{ran:#?}");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:#?}");
}

#[test]
fn data_that_a_dump_does_not_hold_makes_it_incomplete() {
    let bench = Bench::new();
    let connection = rusqlite::Connection::open(bench.path("app.db")).expect("opened");
    connection
        .execute_batch("CREATE VIRTUAL TABLE found USING fts5 (text); INSERT INTO found VALUES ('lost')")
        .expect("made");
    let seen = bench.ok("inspect sqlite:@app.db");
    assert!(seen.stderr.contains("not in the logical dump") && seen.stderr.contains("found"), "{seen:#?}");
    bench.refused("dump sqlite:@app.db @dump", 3, &["not in the logical dump", "found"]);
    // Whoever restores it may be somebody else, at another time.
    let restored = bench.ok("restore @dump sqlite:@new.db");
    assert!(restored.stderr.contains("rows of the virtual table found"), "{restored:#?}");
}

/// What only reads has nothing to bring in order.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_verification_at_once() {
    use std::os::unix::fs::OpenOptionsExt;
    let bench = Bench::new();
    fs::create_dir(bench.path("dump")).expect("made");
    let manifest = bench.path("dump/manifest.json");
    let made = std::process::Command::new("mkfifo").arg(&manifest).status().expect("mkfifo is there");
    assert!(made.success());
    let dump = bench.path("dump").display().to_string();
    let mut child = bench.program.command(["database", "verify", &dump]).spawn().expect("it starts");
    // A pipe can be opened so only when somebody reads it; who reads it then waits for what never comes.
    let mut open = fs::OpenOptions::new();
    open.write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let held = poll_until(Duration::from_secs(30), || open.open(&manifest).ok()).expect("the program reads");
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it is told");
    let ended = poll_until(Duration::from_secs(10), || child.try_wait().expect("our own child"));
    child.kill().expect("our own child");
    drop(held);
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
}

/// The driver manager is in the program: it starts where none is installed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn no_driver_manager_has_to_be_installed() {
    let mut program = Program::build().command(["--version"]);
    // The loader prints what it would load, and runs nothing.
    let output = program.env("LD_TRACE_LOADED_OBJECTS", "1").output().expect("it starts");
    let loaded = String::from_utf8(output.stdout).expect("text");
    assert!(loaded.contains("libc.so") && !loaded.contains("odbc"), "{loaded}");
}
