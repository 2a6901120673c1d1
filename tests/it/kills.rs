//! kill -9 at moments spread over a whole run: the last good snapshot stays, the services come back, the next run needs no help.

use std::time::{Duration, Instant};

use tests::{JournalMode, poll_until};

use crate::site::TestSite;

const KILLS: u32 = match () {
    () if cfg!(windows) => 1,
    () if cfg!(feature = "servers") => 24,
    () => 4,
};

#[test]
fn a_kill_at_any_moment_loses_nothing() {
    let test = TestSite::running(JournalMode::Wal, 20);
    let began = Instant::now();
    test.backup(0);
    let whole = began.elapsed();
    for kill in 0..KILLS {
        let mut child = test.program.command(test.args(&["backup"])).spawn().expect("the program starts");
        let moment = Instant::now() + whole * (kill + 1) / (KILLS + 1);
        poll_until(Duration::from_secs(60), || (Instant::now() >= moment).then_some(()));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");

        let listed = test.snapshots();
        assert!(!listed.is_empty(), "kill {kill}: no snapshot is listed");
        let verified = test.run(&["verify", "--read-data"]);
        assert_eq!(verified.code, 0, "kill {kill}: {verified:#?}");
        test.assert_services_come_back();
    }
    // The watchdog of the last kill may still watch over a stop that was cut off; until then the next run is told to wait.
    let waits = || Some(test.run(&["backup"])).filter(|ran| ran.code != 10);
    let ran = poll_until(Duration::from_secs(120), waits).expect("the watchdog lets go");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(test.snapshots().len(), 1, "leftovers");
    assert!(test.recover_to("after").agree());
    let stray = std::fs::read_dir(test.site.destination()).expect("the destination is there");
    let stray = stray.filter(|entry| {
        let name = entry.as_ref().map(|entry| entry.file_name().to_string_lossy().into_owned()).unwrap_or_default();
        // The empty file that holds locks on Windows stays.
        name.starts_with(".sitebackup") && !(cfg!(windows) && name == ".sitebackup.lock")
    });
    assert_eq!(stray.count(), 0, "leftovers at the destination");
}

/// An interrupt is a wish: the run ends by itself, thaws and starts.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_run_and_the_services_run() {
    let test = TestSite::running(JournalMode::Wal, 20);
    let child = test.program.command(test.args(&["backup"])).spawn().expect("the program starts");
    let pid = rustix::process::Pid::from_child(&child);
    let journal = test.site.state_dir().join("journal.jsonl");
    poll_until(Duration::from_secs(30), || {
        std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("services-stopping")).then_some(())
    })
    .expect("the run stops the services");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is our child");
    let ran = tests::program::finish(child).expect("its output can be read");
    // Too late to stop it is a whole backup; else it is interrupted.
    assert!(matches!(ran.code, 0 | 130), "{ran:#?}");
    test.assert_services_come_back();
    test.backup(0);
}
