//! The real program as a writer of Windows' shadow copy service; the stand-in leads the sessions.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use tests::program::{Program, finish};
use tests::{SampleSite, ServiceName, poll_until};

use crate::site::TestSite;
use crate::vss::{StandIn, running};

const LONG: Duration = Duration::from_secs(120);

/// A working site whose writer is registered; sessions go on as the test says.
struct Hosted {
    test: TestSite,
    stand_in: StandIn,
    child: Option<Child>,
}

impl Hosted {
    /// `play` is what the stand-in plays; `wait NAME` in it waits for [`go`](Self::go).
    fn new(play: &str) -> Self {
        let mut hosted = Self { test: running("pre-copy"), stand_in: StandIn::new(), child: None };
        let event = |event: &str| match event.trim().split_once(' ') {
            Some(("wait", name)) => format!("play wait {}\n", hosted.stand_in.place(name).display()),
            _ => format!("play {event}\n"),
        };
        let script: String = play.lines().filter(|line| !line.is_empty()).map(event).collect();
        hosted.stand_in.script(&hosted.test.site.site_dir(), &script);
        hosted.test.workload.wait_for_progress().expect("the site works");
        let program = Program::at(&hosted.stand_in.place("sitebackup.exe"));
        let child = program.command(hosted.test.args(&["vss-writer"])).spawn();
        hosted.child = Some(child.expect("the program starts"));
        hosted
    }

    fn go(&self, name: &str) {
        fs::write(self.stand_in.place(name), "").expect("written");
    }

    /// Waits until the stand-in has heard `line` so often.
    fn await_times(&self, line: &str, times: usize) {
        let heard = || (self.stand_in.heard().iter().filter(|other| *other == line).count() >= times).then_some(());
        assert!(poll_until(LONG, heard).is_some(), "`{line}` is missing: {:#?}", self.stand_in.heard());
    }

    fn await_line(&self, line: &str) {
        self.await_times(line, 1);
    }

    fn running(&self) -> usize {
        let is_running = |name: &ServiceName| self.test.workload.is_running(*name).expect("it can be asked");
        ServiceName::IN_STOP_ORDER.iter().filter(|name| is_running(name)).count()
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.test.site.state_dir().join("journal.jsonl")).unwrap_or_default()
    }

    /// The site on the image that the stand-in took.
    fn imaged(&self) -> SampleSite {
        let dir = self.test.site.dir().display().to_string();
        let device = format!("{}1", self.stand_in.place("HarddiskVolumeShadowCopy").display());
        SampleSite::at(&PathBuf::from(device + dir.strip_prefix("C:").expect("a drive")))
    }

    /// Ends the program as nobody should, and returns what it told.
    fn kill(&mut self) -> String {
        let mut child = self.child.take().expect("it was started");
        child.kill().expect("it is our child");
        finish(child).expect("its output can be read").stderr
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

#[test]
fn another_programs_image_holds_the_site_at_one_moment() {
    let mut hosted = Hosted::new(
        r"
Identify
PrepareBackup P01\SiteServer P01\CM_P01
PrepareSnapshot
Freeze
wait frozen
image
Thaw
PostSnapshot
BackupComplete 1 P01\SiteServer P01\CM_P01
",
    );
    hosted.await_line("PrepareBackup answered 1");
    hosted.await_line("Freeze answered 1");
    assert_eq!(hosted.running(), 0, "{:#?}", hosted.stand_in.heard());
    let journal = hosted.journal();
    assert!(journal.contains("services-stopping") && !journal.contains("services-started"), "{journal}");
    // The site has one session at a time, whoever leads it.
    assert_eq!(hosted.test.run(&["backup"]).code, 10);
    hosted.go("frozen");
    hosted.await_line("PostSnapshot answered 1");
    assert_eq!(hosted.running(), ServiceName::IN_STOP_ORDER.len(), "before the other program copies");
    hosted.await_line("played");
    assert!(hosted.journal().contains("run-ended"), "{}", hosted.journal());
    let counters = hosted.imaged().counters().expect("the image can be read");
    assert!(counters.agree(), "{counters}");
    let heard = hosted.stand_in.heard();
    let answered = heard.iter().filter(|line| line.ends_with(" answered 1")).count();
    assert_eq!((answered, heard.iter().any(|line| line.starts_with("SetWriterFailure"))), (7, false), "{heard:#?}");
    // What the site owns, as its control file says it.
    assert!(heard.iter().any(|line| line.starts_with("AddComponent 2 P01 SiteServer")), "{heard:#?}");
    assert!(
        heard.iter().any(|line| line.starts_with("AddDatabaseFiles P01 CM_P01 ") && line.contains("CM_P01.db-wal"))
    );
    // Nothing is left at the destination, and a backup needs no help.
    assert_eq!(hosted.test.snapshots().len(), 0);
    hosted.test.backup(0);
    let told = hosted.kill();
    for line in ["writer `SMS Writer (sitebackup)` {03ba67dd-", "Freeze: done", "PostSnapshot: done", "outage "] {
        assert!(told.contains(line), "`{line}` is missing: {told}");
    }
}

#[test]
fn a_host_that_is_killed_while_frozen_leaves_no_service_down() {
    let mut hosted = Hosted::new("PrepareBackup P01\\SiteServer\nPrepareSnapshot\nFreeze\nwait ever");
    hosted.await_line("Freeze answered 1");
    assert_eq!(hosted.running(), 0);
    hosted.kill();
    hosted.test.assert_services_come_back();
    let waits = || Some(hosted.test.run(&["backup"])).filter(|ran| ran.code != 10);
    let ran = poll_until(LONG, waits).expect("the watchdog lets go");
    assert_eq!(ran.code, 0, "{ran:#?}");
}

#[test]
fn a_session_that_is_aborted_sets_the_site_going() {
    let hosted = Hosted::new("PrepareBackup P01\\CM_P01\nPrepareSnapshot\nFreeze\nwait go\nAbort\nwait end");
    hosted.await_line("Freeze answered 1");
    assert_eq!(hosted.running(), 0);
    hosted.go("go");
    hosted.await_line("Abort answered 1");
    assert_eq!(hosted.running(), ServiceName::IN_STOP_ORDER.len());
    hosted.test.backup(0);
}

#[test]
fn what_is_backed_up_is_read_anew_and_a_wrong_control_file_is_refused() {
    let mut hosted = Hosted::new("Identify\nwait wrong\nIdentify\nPrepareBackup P01\\SiteServer\nwait right\nIdentify");
    hosted.await_line("Identify answered 1");
    let control_file = hosted.test.site.control_file();
    let right = fs::read(&control_file).expect("it is there");
    fs::write(&control_file, "[Tasks]\nfile C:\\unclosed\n[Nonsense\n").expect("written");
    hosted.go("wrong");
    hosted.await_line("Identify answered 0");
    hosted.await_line("PrepareBackup answered 0");
    assert_eq!(hosted.running(), ServiceName::IN_STOP_ORDER.len());
    fs::write(&control_file, right).expect("written");
    hosted.go("right");
    hosted.await_times("Identify answered 1", 2);
    let heard = hosted.stand_in.heard();
    let described = heard.iter().filter(|line| line.starts_with("AddComponent")).count();
    assert_eq!(described, 4, "two components each time that it knew: {heard:#?}");
    let told = hosted.kill();
    let refused = "Identify: failed with VSS_E_WRITERERROR_NONRETRYABLE (0x800423F4): ";
    assert!(told.contains(refused) && told.contains("smsbkup.ctl"), "{told}");
}

/// Wine's own library would end the process in CreateWriter.
#[test]
fn a_system_without_the_service_is_told_so() {
    if std::env::var_os("WINEPREFIX").is_none() {
        return;
    }
    let ran = running("pre-copy").run(&["vss-writer"]);
    assert_eq!(ran.code, 19, "{ran:#?}");
    assert!(ran.stderr.contains("E_NOTIMPL (0x80004001)"), "{ran:#?}");
}
