//! An application that is no service of the site joins its moment by commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tests::{JournalMode, SampleSiteOptions};

use crate::site::{TestSite, workload_program};

/// Writes one number after the other to two files, and lies still from `pause` to `resume`.
struct Queue {
    folder: PathBuf,
}

impl Queue {
    fn work_until(&self, end: &AtomicBool) {
        let is = |name: &str| self.folder.join(name).exists();
        for number in 0_u64.. {
            if end.load(Ordering::SeqCst) {
                return;
            }
            while is("pause") && !end.load(Ordering::SeqCst) {
                if !is("paused") {
                    fs::write(self.folder.join("paused"), "").expect("written");
                }
                thread::sleep(Duration::from_millis(1));
            }
            for name in ["first", "second"] {
                fs::write(self.folder.join(name), number.to_string()).expect("written");
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn options(freeze: &str, thaw: &str, queue: &Path) -> SampleSiteOptions {
    let sh = |script: &str| format!("[\"sh\", \"-c\", \"cd '{}' && {script}\"]", queue.display());
    let task = format!("\n[writers]\nqueue = {{ freeze = {}, thaw = {} }}\n", sh(freeze), sh(thaw));
    SampleSiteOptions { journal_mode: JournalMode::Wal, workload: workload_program(), task, ..Default::default() }
}

const FREEZE: &str = "rm -f paused && : > pause && while ! test -e paused; do sleep 0.002; done";
const THAW: &str = "rm -f pause paused";

/// A site whose inboxes hold the queue's folder, backed up while the queue works.
fn backed_up(freeze: &str, judge: impl Fn(&TestSite, &Path)) {
    let scratch = tempfile::TempDir::new().expect("a scratch folder");
    let queue = tests::SampleSite::at(scratch.path()).install_dir().join("inboxes/queue");
    let test = TestSite::within(scratch, options(freeze, THAW, &queue));
    fs::create_dir_all(&queue).expect("made");
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| Queue { folder: queue.clone() }.work_until(&end));
        test.workload.wait_for_progress().expect("the site works");
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&test, &queue)));
        end.store(true, Ordering::SeqCst);
        judged.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn a_frozen_application_is_of_the_sites_moment() {
    backed_up(FREEZE, |test, queue| {
        for round in 0..3 {
            test.backup(0);
            assert!(!queue.join("pause").exists(), "it is thawed");
            let listed = test.run(&["files", "--json"]).json();
            assert!(listed.to_string().contains("inboxes/queue/first"), "{listed}");
            let tree = test.recover_tree(&format!("round-{round}"));
            let number = |name: &str| fs::read_to_string(test.place_in(&tree, &queue.join(name))).expect("recovered");
            assert_eq!(number("first"), number("second"));
        }
    });
}

/// Pre-copy sees files that nobody froze change inside the window, and says so.
#[test]
fn one_that_does_not_lie_still_makes_the_snapshot_weaker() {
    backed_up("true", |test, _| {
        let told = test.backup(3);
        assert!(told.stderr.contains("inboxes/queue"), "{told:#?}");
    });
}

#[test]
fn a_freeze_that_fails_ends_the_run_and_all_goes_on() {
    backed_up("false", |test, queue| {
        let told = test.backup(19);
        assert!(told.stderr.contains("writer `queue` failed in Freeze: failed to freeze `queue`"), "{told:#?}");
        assert!(!queue.join("pause").exists());
        test.assert_services_come_back();
    });
}

/// The commands around a recovery in place: the queue is out of the way while its files are written, and goes on when they are.
#[test]
fn an_application_makes_way_for_a_recovery_in_place() {
    let scratch = tempfile::TempDir::new().expect("a scratch folder");
    let queue = tests::SampleSite::at(scratch.path()).install_dir().join("inboxes/queue");
    let calls = scratch.path().join("calls");
    let told =
        |name: &str| format!("echo {name} $SITEBACKUP_RESTORE $(ls '{}') >> '{}'", queue.display(), calls.display());
    let sh = |script: String| format!("[\"sh\", \"-c\", \"{script}\"]");
    let (before, after) =
        (sh(told("before")), sh(format!("{}; ! test -e '{}/broken'", told("after"), scratch.path().display())));
    let task = format!(
        "\n[writers]\nqueue = {{ freeze = [\"true\"], thaw = [\"true\"], pre-restore = {before}, post-restore = {after} }}\n"
    );
    let broken = scratch.path().join("broken");
    let options = SampleSiteOptions { workload: workload_program(), task, ..Default::default() };
    let test = TestSite::within(scratch, options);
    fs::create_dir_all(&queue).expect("made");
    fs::write(queue.join("first"), "1").expect("written");
    test.backup(0);
    test.workload.stop_all().expect("the services stop");
    fs::remove_file(queue.join("first")).expect("removed");
    fs::write(&broken, "").expect("written");
    let recovered = test.run(&["recover", "--overwrite-newer"]);
    assert_eq!(recovered.code, 3, "{recovered:#?}");
    assert!(recovered.stderr.contains("the post-restore command of `queue` failed: exit code 1"), "{recovered:#?}");
    let refused = test.run(&["backup"]);
    assert_eq!(refused.code, 25, "it is not over: {refused:#?}");
    fs::remove_file(&broken).expect("removed");
    let recovered = test.run(&["recover", "--overwrite-newer"]);
    assert_eq!(recovered.code, 0, "{recovered:#?}");
    let heard = fs::read_to_string(&calls).expect("it was told");
    assert_eq!(heard, "before begins\nafter all first\nbefore begins first\nafter all first\n");
    fs::remove_file(&calls).expect("removed");
    test.recover_tree("elsewhere");
    assert!(!calls.exists(), "a recovery elsewhere is no news for it");
}
