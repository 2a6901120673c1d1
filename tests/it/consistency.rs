//! The proof of consistency: a site under full write load, backed up and recovered again and again.

use tests::{Fault, JournalMode, ServiceName};

use crate::site::TestSite;

/// Backups of each journal mode: a hundred where the suite is run whole, a few on a bare `cargo test`.
const ROUNDS: u32 = match () {
    () if cfg!(windows) => 1,
    () if cfg!(feature = "servers") => 100,
    () => 5,
};

fn every_backup_is_of_one_moment(journal_mode: JournalMode) {
    TestSite::running(journal_mode, 20).every_backup_is_of_one_moment(ROUNDS, |_| ());
}

#[test]
fn every_backup_is_of_one_moment_in_wal_mode() {
    every_backup_is_of_one_moment(JournalMode::Wal);
}

#[test]
fn every_backup_is_of_one_moment_in_rollback_mode() {
    every_backup_is_of_one_moment(JournalMode::Delete);
}

/// The test of the test: services that only say that they have stopped leave torn numbers, and the program says so.
fn without_the_freeze_the_numbers_differ(journal_mode: JournalMode) {
    let test = TestSite::running(journal_mode, 20);
    for name in ServiceName::IN_STOP_ORDER {
        test.workload.set_fault(Fault::LiesAboutStop, name).expect("the fault is set");
    }
    let torn = (0..30).any(|round| {
        test.workload.wait_for_progress().expect("the site works");
        let ran = test.run(&["backup"]);
        assert!(matches!(ran.code, 0 | 3), "{ran:#?}");
        let name = format!("round-{round}");
        let counters = test.recover_to(&name);
        test.forget(&name);
        assert!(counters.agree() || ran.code == 3, "torn in silence: {counters}, {ran:#?}");
        !counters.agree()
    });
    assert!(torn, "a site that is not frozen must show torn numbers");
}

#[test]
fn without_the_freeze_the_numbers_differ_in_wal_mode() {
    without_the_freeze_the_numbers_differ(JournalMode::Wal);
}

#[test]
fn without_the_freeze_the_numbers_differ_in_rollback_mode() {
    without_the_freeze_the_numbers_differ(JournalMode::Delete);
}
