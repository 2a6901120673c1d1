//! `sitebackup database … --native`, as its users run it.

use tds_server::{Event, Script, Step, TdsServer, Value, done};
use tests::program::{Program, Ran, finish};

use super::sample::{PLACE, one_row, script};
use super::{DRIVERS, Driver};

/// The address of the sample's database, and the program that gets the password by its environment.
struct Bench {
    server: TdsServer,
    address: String,
}

impl Bench {
    fn new(driver: Driver, script: Script) -> Self {
        let server = TdsServer::start(script).expect("a free port");
        let address = driver.connection_string(&server, "").replace("Database=master", "Database=CM_P01");
        Self { server, address }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = Program::build().command(["database"].iter().chain(args));
        command.env("SITEBACKUP_DATABASE_PASSWORD", Script::PASSWORD);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args).spawn().expect("it starts")).expect("its output")
    }
}

#[test]
fn a_backup_is_taken_and_verified() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script());
        let ran = bench.run(&["dump", &bench.address, "--native", "/bk/new.bak"]);
        assert_eq!(ran.code, 0, "{driver:?}: {ran:#?}");
        assert!(ran.stdout.contains("SQL01 backed up database CM_P01 to `/bk/new.bak`"), "{driver:?}: {ran:#?}");
        let sent = bench.server.batches().into_iter().find(|sql| sql.starts_with("BACKUP")).expect("it was sent");
        let (_, name) = sent.split_once("NAME = N'").expect("a name");
        // A path may be longer than a name may be, and another backup's by now.
        assert!(name.starts_with("sitebackup CM_P01 20") && !name.contains("new.bak"), "{driver:?}: {sent}");
        let ran = bench.run(&["verify", PLACE, "--native", &bench.address]);
        assert!(ran.code == 0 && ran.stdout.contains("finds it whole"), "{driver:?}: {ran:#?}");
    }
}

/// An interrupt is no failure of the database, and the server stops.
#[test]
fn an_interrupt_stops_the_server() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script().on("BACKUP DATABASE", vec![Step::WaitForAttention, done()]));
        let child = bench.command(&["dump", &bench.address, "--native", "/bk/new.bak"]).spawn().expect("it starts");
        let began = |event: &Event| matches!(event, Event::Batch { sql, .. } if sql.starts_with("BACKUP"));
        assert!(bench.server.wait_for(began), "{driver:?}");
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it is told");
        let ran = finish(child).expect("its output");
        assert_eq!((ran.code, bench.server.attentions()), (130, 1), "{driver:?}: {ran:#?}");
        assert!(ran.stderr.contains("is no backup"), "{driver:?}: {ran:#?}");
    }
}

#[test]
fn what_is_refused_is_told_with_what_to_do() {
    let there = script()
        .on("SELECT CONVERT(int, DB_ID(", one_row(&[("id", Value::Int(5))]))
        .on("EXEC master.dbo.xp_fileexist", one_row(&[("File Exists", Value::Int(1))]));
    let bench = Bench::new(Driver::FreeTds, there);
    for (args, hint) in [
        (["restore", PLACE, &bench.address, "--native"], "--replace"),
        (["dump", &bench.address, "--native", "/bk/old.bak"], "name a file that is not there"),
    ] {
        let ran = bench.run(&args);
        assert_eq!(ran.code, 14, "{args:?}: {ran:#?}");
        assert!(ran.stderr.contains(hint), "{args:?}: {ran:#?}");
    }
    let bench = Bench::new(Driver::Microsoft, script().password("another"));
    let ran = bench.run(&["verify", PLACE, "--native", &bench.address]);
    assert!(ran.code == 14 && ran.stderr.contains("--password-file FILE"), "{ran:#?}");
    assert!(!ran.stderr.contains(Script::PASSWORD), "{ran:#?}");
}
