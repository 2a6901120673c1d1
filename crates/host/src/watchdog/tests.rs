//! Parent and child are processes of their own here: this test program, started again to play one role.

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use backup_core::config::{ServiceCommands, ServiceConfig};
use backup_core::ports::journal::RunJournal;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::*;
use crate::journal::FileJournal;
use crate::services::CommandServices;
use crate::testing::{eventually, is_alive};

const ROLE: &str = "SITEBACKUP_TEST_ROLE";
const FOLDER: &str = "SITEBACKUP_TEST_FOLDER";
const FOREVER: Duration = Duration::from_secs(3600);
/// How long C may be frozen.
const WINDOW: Duration = Duration::from_millis(500);

/// Plays the role that the environment names; as a test of its own it is empty.
#[tokio::test]
async fn as_another_process() {
    let Ok(role) = env::var(ROLE) else { return };
    let site = Site { folder: PathBuf::from(env::var_os(FOLDER).expect("the role has a folder")) };
    match role.as_str() {
        "child" => {
            let services = Arc::new(CommandServices::new(site.configs()));
            serve(services, &site.folder).await.expect("this process can be a watchdog");
        }
        "parent" => {
            let watched = site.watched(FOREVER);
            watched.stop("A").await.expect("stopped");
            watched.stop("B").await.expect("stopped");
            site.tell_held(&watched).await;
        }
        "freezer" => {
            let watched = site.watched(FOREVER);
            watched.ready("C").await.expect("watched");
            watched.stop("C").await.expect("frozen");
            site.tell_held(&watched).await;
        }
        other => panic!("no role is named {other}"),
    }
}

fn argv(role: &str, folder: &Path) -> Vec<OsString> {
    let program = env::current_exe().expect("this program has a path");
    let mut argv: Vec<OsString> = vec!["env".into(), format!("{ROLE}={role}").into()];
    argv.push(format!("{FOLDER}={}", folder.display()).into());
    argv.push(program.into());
    argv.extend(["-q", "--exact", "--nocapture", "watchdog::tests::as_another_process"].map(OsString::from));
    argv
}

async fn child_of(watched: &WatchedServices) -> Option<i32> {
    watched.watch.lock().await.child.as_ref()?.child.id().and_then(|id| i32::try_from(id).ok())
}

/// Two services, A and B, and an application C that is frozen and cannot be asked for its state: each runs while the file `run-…` exists, and every start is a line in `starts`.
struct Site {
    folder: PathBuf,
}

impl Site {
    fn new() -> (TempDir, Self) {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let site = Self { folder: scratch.path().to_owned() };
        for name in ["A", "B", "C"] {
            fs::write(site.file(&format!("run-{name}")), "").expect("written");
        }
        (scratch, site)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn configs(&self) -> Vec<ServiceConfig> {
        let sh = |script: String| {
            vec!["sh".into(), "-c".into(), format!("cd '{}' || exit 9; {script}", self.folder.display())]
        };
        let config = |name: &str| ServiceConfig {
            name: name.into(),
            commands: Some(ServiceCommands {
                // While `slow` exists a stop has no effect yet.
                stop: sh(format!(": > stopping-{name}; while test -e slow; do sleep 0.02; done; rm -f run-{name}")),
                start: sh(format!("test -e broken && exit 1; echo {name} >> starts; : > run-{name}")),
                state: sh(format!("test -e run-{name} || exit 3")),
            }),
            timeout: Duration::from_secs(30),
        };
        let mut frozen = config("C");
        frozen.commands.iter_mut().for_each(|commands| commands.state.clear());
        vec![config("A"), config("B"), frozen]
    }

    /// The rest of a parent's life.
    async fn tell_held(&self, watched: &WatchedServices) {
        let child = child_of(watched).await.expect("there is a child");
        fs::write(self.file("part"), child.to_string()).expect("written");
        fs::rename(self.file("part"), self.file("held")).expect("renamed");
        std::future::pending::<()>().await;
    }

    /// Stopped in any order, to be started B first.
    fn watched(&self, hold_limit: Duration) -> WatchedServices {
        let call_limit = Duration::from_secs(30);
        let options =
            WatchdogOptions { command: argv("child", &self.folder), hold_limit, call_limit, shorter: self.shorter() };
        let inner = Arc::new(CommandServices::new(self.configs()));
        WatchedServices::new(inner, options, vec!["B".into(), "A".into()])
    }

    /// C is stopped inside the freeze window only.
    fn shorter(&self) -> BTreeMap<String, Duration> {
        [("C".to_owned(), WINDOW)].into()
    }

    fn parent(&self) -> std::process::Child {
        self.process("parent")
    }

    fn process(&self, role: &str) -> std::process::Child {
        let argv = argv(role, &self.folder);
        let mut command = std::process::Command::new(&argv[0]);
        command.args(&argv[1..]).stdout(Stdio::null()).process_group(0);
        command.spawn().expect("this program starts")
    }

    fn held(&self) -> i32 {
        eventually("the parent holds the services", || fs::read_to_string(self.file("held")).ok()?.parse().ok())
    }

    fn runs(&self, name: &str) -> bool {
        self.file(&format!("run-{name}")).exists()
    }

    fn both_run_again(&self) {
        eventually("both services run", || (self.runs("A") && self.runs("B")).then_some(()));
    }

    fn starts(&self) -> String {
        fs::read_to_string(self.file("starts")).unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("watchdog.log")).unwrap_or_default()
    }
}

fn gone(child: i32) {
    eventually("the child has left", || (!is_alive(child)).then_some(()));
}

fn signal(process: i32, signal: Signal) {
    kill_process(Pid::from_raw(process).expect("a process number"), signal).expect("the process is there");
}

#[tokio::test]
async fn after_a_run_that_goes_well_the_child_leaves_and_has_done_nothing() {
    let (_scratch, site) = Site::new();
    let watched = site.watched(FOREVER);
    watched.stop("A").await.expect("stopped");
    let child = child_of(&watched).await.expect("there is a child");
    watched.stop("B").await.expect("stopped");
    watched.stop("B").await.expect("stopped already");
    assert_eq!(child_of(&watched).await, Some(child), "one child watches all");
    watched.start("A").await.expect("started");
    assert!(is_alive(child), "B is still down");
    watched.start("B").await.expect("started");
    gone(child);
    assert_eq!((site.starts().as_str(), site.log().as_str()), ("A\nB\n", ""));
}

#[tokio::test]
async fn a_service_that_does_not_run_is_left_alone() {
    let (_scratch, site) = Site::new();
    fs::remove_file(site.file("run-A")).expect("removed");
    let watched = site.watched(FOREVER);
    watched.stop("A").await.expect("stopped already");
    assert_eq!(child_of(&watched).await, None);
}

#[test]
fn a_killed_parent_leaves_no_service_down() {
    let (_scratch, site) = Site::new();
    let mut parent = site.parent();
    let child = site.held();
    assert!(!site.runs("A") && !site.runs("B"), "the child leaves them alone while the parent lives");
    parent.kill().expect("killed");
    site.both_run_again();
    gone(child);
    assert_eq!(site.starts(), "B\nA\n", "in the order of starting");
    assert!(site.log().contains("the backup has died, bringing back: B, A"), "{}", site.log());
    parent.wait().expect("reaped");
}

#[test]
fn signals_to_the_group_or_to_the_child_do_not_end_the_watch() {
    let (_scratch, site) = Site::new();
    let mut parent = site.parent();
    let child = site.held();
    for deadly in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        signal(child, deadly);
    }
    assert!(!site.runs("A") && !site.runs("B"), "a signal to the child is no reason to start anything");
    let group = Pid::from_raw(i32::try_from(parent.id()).expect("small")).expect("a process number");
    // Not an INT: whoever runs this in the background may have told it to ignore that.
    kill_process_group(group, Signal::TERM).expect("the group is there");
    assert!(!parent.wait().expect("reaped").success(), "it ends the parent");
    site.both_run_again();
    gone(child);
}

#[test]
fn a_stop_that_the_kill_cut_off_is_awaited() {
    let (_scratch, site) = Site::new();
    fs::write(site.file("slow"), "").expect("written");
    let mut parent = site.parent();
    eventually("the stop is under way", || site.file("stopping-A").exists().then_some(()));
    parent.kill().expect("killed");
    parent.wait().expect("reaped");
    eventually("the child has seen it", || (!site.log().is_empty()).then_some(()));
    assert!(site.runs("A"), "the stop has had no effect yet, and is not to be taken for none");
    fs::remove_file(site.file("slow")).expect("removed");
    eventually("the child is done", || site.log().contains("all services run").then_some(()));
    assert!(site.runs("A") && site.runs("B"));
    assert_eq!(site.starts(), "A\n", "it was down and is up");
}

#[test]
fn a_killed_parent_leaves_nothing_frozen() {
    let (_scratch, site) = Site::new();
    let mut parent = site.process("freezer");
    let child = site.held();
    assert!(!site.runs("C"));
    parent.kill().expect("killed");
    eventually("it is thawed", || site.runs("C").then_some(()));
    gone(child);
    parent.wait().expect("reaped");
}

/// Although the parent lives, and may hold services much longer.
#[tokio::test]
async fn what_is_frozen_longer_than_its_window_is_thawed() {
    let (_scratch, site) = Site::new();
    let watched = site.watched(FOREVER);
    watched.stop("A").await.expect("stopped");
    watched.ready("C").await.expect("watched");
    tokio::time::sleep(WINDOW * 2).await;
    assert!(!site.runs("A") && site.log().is_empty(), "before the freeze there is no window: {}", site.log());
    watched.stop("C").await.expect("frozen");
    eventually("it is thawed", || site.runs("C").then_some(()));
    assert!(site.log().contains("held for too long"), "{}", site.log());
}

#[tokio::test]
async fn what_was_thawed_in_time_has_no_window_any_more() {
    let (_scratch, site) = Site::new();
    let watched = site.watched(FOREVER);
    watched.stop("A").await.expect("stopped");
    watched.ready("C").await.expect("watched");
    watched.stop("C").await.expect("frozen");
    watched.start("C").await.expect("thawed");
    tokio::time::sleep(WINDOW * 2).await;
    assert!(!site.runs("A") && site.log().is_empty(), "{}", site.log());
    watched.start("A").await.expect("started");
}

#[tokio::test]
async fn services_that_are_held_too_long_are_started() {
    let (_scratch, site) = Site::new();
    let watched = site.watched(Duration::from_millis(500));
    watched.stop("A").await.expect("stopped");
    let child = child_of(&watched).await.expect("there is a child");
    eventually("the child has started it", || site.log().contains("all services run").then_some(()));
    assert!(site.runs("A"));
    assert!(site.log().contains("held for too long"), "{}", site.log());
    gone(child);
    let error = watched.stop("B").await.expect_err("the watch is over");
    assert!(site.runs("B"), "{error}");
    watched.start("A").await.expect("it runs already");
    assert_eq!(site.starts(), "A\n");
}

#[test]
fn a_service_that_nobody_counted_lengthens_the_watch() {
    let (_scratch, site) = Site::new();
    let watched = site.watched(FOREVER);
    let hold_limit = |names: &[&str]| watched.hold_limit(&names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(hold_limit(&["A", "B"]), FOREVER);
    assert_eq!(hold_limit(&["A", "NEEDS-A", "NEEDS-B"]), FOREVER + Duration::from_secs(120));
}

#[tokio::test]
async fn nothing_is_stopped_without_a_watchdog() {
    for (command, expect) in [
        (vec![], "the command is empty"),
        (vec!["/no/such/program".into()], "No such file"),
        (vec!["true".into()], "it ended at once"),
    ] {
        let (_scratch, site) = Site::new();
        let mut watched = site.watched(FOREVER);
        watched.options.command = command;
        let error = watched.stop("A").await.expect_err("there is no watchdog");
        let source = error.source().expect("a reason").to_string();
        assert!(source.contains(expect) && source.contains("nothing is stopped"), "{source}");
        assert!(site.runs("A") && !site.file("stopping-A").exists());
    }
}

#[tokio::test]
async fn nothing_more_is_stopped_when_the_watchdog_is_killed() {
    let (_scratch, site) = Site::new();
    let watched = site.watched(FOREVER);
    watched.stop("A").await.expect("stopped");
    signal(child_of(&watched).await.expect("there is a child"), Signal::KILL);
    watched.stop("B").await.expect_err("the watchdog is dead");
    assert!(site.runs("B"));
    watched.stop("B").await.expect("there is a new watchdog");
    let child = child_of(&watched).await.expect("there is a child");
    drop(watched);
    site.both_run_again();
    gone(child);
    assert!(site.log().contains("bringing back: B, A"), "the new one knows of both: {}", site.log());
}

#[tokio::test]
async fn a_service_that_would_not_start_is_tried_again_after_the_run() {
    let (_scratch, site) = Site::new();
    let watched = site.watched(FOREVER);
    watched.stop("A").await.expect("stopped");
    fs::write(site.file("broken"), "").expect("written");
    watched.start("A").await.expect_err("it is broken");
    let child = child_of(&watched).await.expect("there is a child");
    drop(watched);
    eventually("the child has tried", || site.log().contains("exited with 1").then_some(()));
    fs::remove_file(site.file("broken")).expect("removed");
    eventually("it runs", || site.runs("A").then_some(()));
    gone(child);
}

#[tokio::test]
async fn whoever_repairs_first_is_not_disturbed() {
    let (_scratch, site) = Site::new();
    let repair = FileJournal::new(&site.folder).lock().await.expect("free");
    let watched = site.watched(FOREVER);
    watched.stop("A").await.expect("stopped");
    let child = child_of(&watched).await.expect("there is a child");
    drop(watched);
    eventually("the child waits", || site.log().contains("waiting for the journal").then_some(()));
    assert!(!site.runs("A"), "the holder of the journal decides");
    drop(repair);
    eventually("it runs", || site.runs("A").then_some(()));
    gone(child);
}
