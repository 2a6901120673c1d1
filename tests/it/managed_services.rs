//! The whole program on a site whose services are those of Windows' service control manager.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tests::poll_until;
use tests::program::{Program, Ran};
use windows_service::service::ServiceState;

use crate::windows_service::TestService;

/// One folder of files, two services that run, and one that an administrator keeps stopped.
struct Site {
    program: Program,
    first: TestService,
    second: TestService,
    idle: TestService,
    // Last: the services run while it is there.
    scratch: TempDir,
}

impl Site {
    fn new() -> Self {
        let scratch = TempDir::new().expect("a scratch folder");
        let first = TestService::running(scratch.path(), "first", &[]);
        let second = TestService::running(scratch.path(), "second", &[]);
        let idle = TestService::install(scratch.path(), "idle", &[]);
        let site = Self { program: Program::build(), first, second, idle, scratch };
        for folder in ["data", "backup"] {
            fs::create_dir(site.scratch.path().join(folder)).expect("made");
        }
        fs::write(site.scratch.path().join("data/file"), "content").expect("written");
        let services = [&site.first, &site.idle, &site.second]
            .map(|service| format!("{} = {{ timeout = \"15s\" }}\n", service.name()));
        site.configure(&services.concat());
        site
    }

    fn configure(&self, services: &str) {
        let text = format!(
            "version = 1\n[site]\ncode = \"P01\"\n[files]\ninclude = [\"data\"]\n[services]\nmanager = \"windows\"\n{services}\
             [task]\ndestination = {{ local = \"backup\" }}\nsession-lock = \"session.lock\"\n"
        );
        fs::write(self.site_toml(), text).expect("written");
    }

    fn site_toml(&self) -> PathBuf {
        self.scratch.path().join("site.toml")
    }

    fn args(&self, verb: &str) -> [OsString; 3] {
        ["--site".into(), self.site_toml().into(), verb.into()]
    }

    fn run(&self, verb: &str) -> Ran {
        self.program.run(self.args(verb))
    }

    /// What the services did since they ran first, in its order.
    fn done(&self) -> Vec<String> {
        let text = fs::read_to_string(self.scratch.path().join("done")).expect("they wrote it");
        text.lines().skip(2).map(str::to_owned).collect()
    }
}

#[test]
fn a_backup_stops_what_runs_and_starts_that_alone() {
    let site = Site::new();
    let ran = site.run("backup");
    assert_eq!(ran.code, 0, "{ran:#?}");
    let (first, second) = (site.first.name(), site.second.name());
    let expect = ["stopped", "stopped", "started", "started"].into_iter().zip([first, second, second, first]);
    assert_eq!(site.done(), expect.map(|(what, name)| format!("{what} {name}")).collect::<Vec<_>>());
    assert_eq!(site.idle.state(), ServiceState::Stopped);
}

#[test]
fn a_killed_run_leaves_no_service_down() {
    let site = Site::new();
    site.second.set_hanging("stop", true);
    let mut child = site.program.command(site.args("backup")).spawn().expect("the program starts");
    site.second.await_state(ServiceState::StopPending);
    assert_eq!(site.first.state(), ServiceState::Stopped);
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    site.second.set_hanging("stop", false);
    site.first.await_state(ServiceState::Running);
    let done = format!("started {}", site.second.name());
    let came_back = poll_until(Duration::from_secs(60), || site.done().contains(&done).then_some(()));
    assert!(came_back.is_some(), "{:?}", site.done());
    // The watchdog has the journal until it has seen to everything.
    let waits = || Some(site.run("repair")).filter(|ran| ran.code != 10);
    let ran = poll_until(Duration::from_secs(60), waits).expect("the watchdog lets go");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!((site.first.state(), site.second.state()), (ServiceState::Running, ServiceState::Running));
    assert_eq!(site.idle.state(), ServiceState::Stopped, "it was so before");
}

#[test]
fn a_service_that_could_not_be_started_again_is_not_stopped() {
    let site = Site::new();
    site.first.set_disabled(true);
    let ran = site.run("backup");
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains(&format!("sc config {} start= demand", site.first.name())), "{ran:#?}");
    assert_eq!(site.done(), [""; 0]);
    site.configure("SITEBACKUP_NOT_INSTALLED = {}\n");
    let ran = site.run("check");
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("no service is named `SITEBACKUP_NOT_INSTALLED`"), "{ran:#?}");
}
