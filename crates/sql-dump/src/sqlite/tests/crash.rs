//! What programs leave behind that die while they write.

use backup_core::ports::database::{DatabaseTarget, SiteDatabase};

use super::{Scratch, block_on, count_on, number};

/// Dies with a transaction half in the main file, and the pages to undo it in the journal.
fn leave_a_hot_journal(scratch: &Scratch) {
    let connection = scratch.connect();
    (0..300).for_each(|_| count_on(&connection).expect("counted"));
    drop(connection);
    let mut writer = scratch.child();
    assert_eq!(writer.sql("PRAGMA cache_size = 5"), "ok");
    assert_eq!(writer.sql("BEGIN"), "ok");
    assert_eq!(writer.sql("UPDATE a SET v = -1; UPDATE log SET data = randomblob(3000)"), "ok");
    writer.crash();
    assert_eq!(scratch.names(), ["CM_P01.db", "CM_P01.db-journal"]);
}

/// Dies with its last transactions in the log.
fn leave_a_log(scratch: &Scratch) {
    let mut writer = scratch.child();
    (0..5).for_each(|_| assert_eq!(writer.sql("BEGIN; UPDATE a SET v = v + 1; UPDATE b SET v = v + 1; COMMIT"), "ok"));
    assert_eq!(writer.sql("BEGIN; UPDATE a SET v = v + 1"), "ok");
    writer.crash();
}

#[test]
fn a_hot_journal_is_named_by_inspect_and_rolled_back_by_prepare() {
    let scratch = Scratch::new("delete", 4096);
    leave_a_hot_journal(&scratch);
    let before = scratch.fingerprint();
    let facts = block_on(scratch.database().inspect()).expect("facts");
    assert!(facts.facts.contains(&("hot-journal".into(), "yes".into())), "{facts:?}");
    let verdict = block_on(scratch.database().verify(&DatabaseTarget::File(super::site_path(&scratch.file()))))
        .expect("a verdict");
    assert_eq!(verdict.faults, ["a transaction was left unfinished: its journal is still there"]);
    assert_eq!(scratch.fingerprint(), before);

    scratch.back_up();
    assert_eq!(number(&scratch.copy_file()), 300);
    assert_eq!(scratch.names(), ["CM_P01.db"]);
}

#[test]
fn a_crash_between_prepare_and_pin_is_rolled_back_too() {
    let scratch = Scratch::new("delete", 4096);
    let mut copy = scratch.prepare();
    leave_a_hot_journal(&scratch);
    block_on(copy.pin()).expect("pinned");
    scratch.finish(copy);
    assert_eq!(number(&scratch.copy_file()), 300);
}

#[test]
fn a_log_left_by_a_crash_is_copied_and_stays_as_it_is() {
    let scratch = Scratch::new("wal", 4096);
    leave_a_log(&scratch);
    let before = scratch.fingerprint();
    block_on(scratch.database().inspect()).expect("facts");
    block_on(scratch.database().verify(&DatabaseTarget::File(super::site_path(&scratch.file())))).expect("a verdict");
    scratch.back_up();
    assert_eq!(number(&scratch.copy_file()), 5);
    let after = scratch.fingerprint();
    for name in ["CM_P01.db", "CM_P01.db-wal"] {
        assert_eq!(before[name], after[name]);
    }
}

#[test]
fn a_persistent_journal_that_is_not_hot_is_no_matter() {
    for mode in ["persist", "truncate"] {
        let scratch = Scratch::new(mode, 4096);
        let connection = scratch.connect();
        connection.pragma_update(None, "journal_mode", mode).expect("a mode");
        (0..10).for_each(|_| count_on(&connection).expect("counted"));
        drop(connection);
        let before = scratch.fingerprint();
        assert_eq!(before.len(), 2);
        block_on(scratch.database().inspect()).expect("facts");
        scratch.back_up();
        assert_eq!(scratch.fingerprint(), before);
        assert_eq!(number(&scratch.copy_file()), 10);
    }
}
