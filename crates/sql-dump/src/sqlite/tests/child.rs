//! Another process with the database open: this test program again, told by a variable to take orders.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::{env, fs, io, thread};

use backup_core::copy::chain;
use backup_core::ports::database::{DatabaseError, SiteDatabase};
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Connection, ErrorCode};

use super::super::SqliteDatabase;
use super::doubles::{FileStage, folder_for};
use super::{block_on, count_on, site_path};

const VARIABLE: &str = "SQL_DUMP_TEST_CHILD";

/// What starts an answer; the test runner writes to the same pipe.
const ANSWER: &str = "answer: ";

/// A process with a connection of its own, which never waits for a lock.
pub(super) struct Child {
    process: process::Child,
    orders: process::ChildStdin,
    answers: BufReader<process::ChildStdout>,
}

impl Child {
    pub(super) fn start(file: &Path) -> Self {
        Self::run(Command::new(env::current_exe().expect("the test program")), file)
    }

    /// A process that may only do what permissions allow, which do not bind the superuser. Its program lies in `folder`.
    pub(super) fn start_bound(file: &Path, folder: &Path) -> Self {
        // Where the tests were built may be closed to others.
        let program = folder.join("program");
        fs::copy(env::current_exe().expect("the test program"), &program).expect("copied");
        let mut command = Command::new(program);
        if fs::metadata(folder).expect("it is there").uid() == 0 {
            command.uid(65534).gid(65534);
        }
        Self::run(command, file)
    }

    fn run(mut command: Command, file: &Path) -> Self {
        command.args(["--exact", "sqlite::tests::child::takes_orders", "--nocapture"]).env(VARIABLE, file);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a second process");
        let orders = process.stdin.take().expect("a pipe was asked for");
        let answers = BufReader::new(process.stdout.take().expect("a pipe was asked for"));
        let mut child = Self { process, orders, answers };
        assert_eq!(child.answer(), "ready");
        child
    }

    /// Runs one statement, or several; the answer is the last row, `ok`, or the error's name.
    pub(super) fn sql(&mut self, sql: &str) -> String {
        self.order(&sql.replace('\n', " "));
        self.answer()
    }

    /// Runs `inspect`, or a whole backup with `back up`; the answer is `ok`, or the error with its causes.
    pub(super) fn adapter(&mut self, order: &str) -> String {
        self.order(order);
        self.answer()
    }

    /// Writes without a pause until [`calm`](Self::calm); returns when the first transaction is done.
    pub(super) fn storm(&mut self) {
        self.order("storm");
        assert_eq!(self.answer(), "storming");
    }

    /// Ends the storm; tells how many transactions there were.
    pub(super) fn calm(&mut self) -> u64 {
        self.order("calm");
        self.answer().parse().expect("a number of transactions")
    }

    /// Ends the process in the middle of whatever it has begun.
    pub(super) fn crash(mut self) {
        self.process.kill().expect("it still runs");
        self.process.wait().expect("it can be waited for");
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the process listens");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).expect("the process answers"), 0, "the process has ended");
            if let Some((_, answer)) = line.trim_end().split_once(ANSWER) {
                return answer.to_owned();
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other process; without the variable there is nothing to do.
#[test]
fn takes_orders() {
    let Some(file) = env::var_os(VARIABLE) else { return };
    let database = SqliteDatabase::new(site_path(Path::new(&file)), None);
    let connection = Connection::open(&file).expect("the database opens");
    connection.busy_timeout(std::time::Duration::ZERO).expect("no timeout");
    // Only for speed, and refused where somebody holds the database.
    let _ = connection.pragma_update(None, "synchronous", false);
    let (sender, orders) = channel();
    thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    say("ready");
    while let Ok(order) = orders.recv() {
        match order.as_str() {
            "storm" => storm(&connection, &orders),
            "inspect" => say_result(block_on(database.inspect()).map(drop)),
            "back up" => say_result(block_on(back_up(&database))),
            sql => say(&run(&connection, sql).unwrap_or_else(|error| name(&error))),
        }
    }
    process::exit(0);
}

fn say(answer: &str) {
    writeln!(io::stdout(), "{ANSWER}{answer}").expect("the parent listens");
}

fn say_result(result: Result<(), DatabaseError>) {
    say(&result.map_or_else(|error| chain(&error), |()| "ok".to_owned()));
}

async fn back_up(database: &SqliteDatabase) -> Result<(), DatabaseError> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (stage, _) = FileStage::create(&folder.path().join("copy.db"));
    let mut copy = database.prepare(folder_for(stage)).await?;
    copy.pin().await?;
    copy.finish().await.map(drop)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<String> {
    let mut answer = "ok".to_owned();
    let mut batch = rusqlite::Batch::new(connection, sql);
    while let Some(mut statement) = batch.next()? {
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let value = |column| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(column)?));
            answer = (0..columns).map(value).collect::<rusqlite::Result<Vec<_>>>()?.join(" ");
        }
    }
    Ok(answer)
}

fn name(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => "busy".to_owned(),
        _ => error.to_string(),
    }
}

fn storm(connection: &Connection, orders: &Receiver<String>) {
    connection.busy_timeout(std::time::Duration::from_secs(60)).expect("a timeout");
    let mut done = 0u64;
    while matches!(orders.try_recv(), Err(TryRecvError::Empty)) {
        count_on(connection).expect("the writer gets its turn");
        done += 1;
        if done == 1 {
            say("storming");
        }
    }
    connection.busy_timeout(std::time::Duration::ZERO).expect("no timeout");
    say(&done.to_string());
}
