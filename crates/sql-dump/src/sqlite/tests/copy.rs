//! What a copy is, and what is done at which step.

use std::fs;

use backup_core::copy::BLOCK;
use backup_core::ports::database::{DatabaseError, SiteDatabase};
use backup_core::ports::destination::DestinationError;

use super::doubles::{FileStage, folder_for};
use super::{MODES, Scratch, block_on, count_on, number};

fn bytes_agree(scratch: &Scratch) {
    let (site, copy) = (fs::read(scratch.file()).expect("the file"), fs::read(scratch.copy_file()).expect("the copy"));
    assert!(site == copy, "the copy differs from the file");
}

#[test]
fn a_quiet_database_is_copied_byte_for_byte_and_left_alone() {
    for mode in MODES {
        for page_size in [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] {
            let scratch = Scratch::new(mode, page_size);
            let connection = scratch.connect();
            (0..600).for_each(|_| count_on(&connection).expect("counted"));
            drop(connection);
            let before = scratch.fingerprint();
            block_on(scratch.database().inspect()).expect("facts");
            assert_eq!(scratch.fingerprint(), before);
            scratch.back_up();
            assert_eq!(scratch.fingerprint(), before, "{mode}, pages of {page_size}");
            bytes_agree(&scratch);
            assert_eq!(number(&scratch.copy_file()), 600);
        }
    }
}

#[test]
fn an_empty_file_is_a_database() {
    let scratch = Scratch::empty();
    fs::write(scratch.file(), "").expect("an empty file");
    assert_eq!(scratch.back_up().files[0].size, 0);
    assert_eq!(block_on(scratch.database().inspect()).expect("facts").size, 0);

    let mut copy = scratch.prepare();
    scratch.connect().execute_batch("CREATE TABLE a (v); CREATE TABLE b (v)").expect("created");
    scratch.connect().execute_batch("INSERT INTO a VALUES (7); INSERT INTO b VALUES (7)").expect("inserted");
    block_on(copy.pin()).expect("pinned");
    scratch.finish(copy);
    bytes_agree(&scratch);
    assert_eq!(number(&scratch.copy_file()), 7);
}

#[test]
fn the_log_belongs_to_the_copy_and_later_writes_do_not() {
    let scratch = Scratch::new("wal", 4096);
    let writer = scratch.connect();
    let mut copy = scratch.prepare();
    (0..10).for_each(|_| count_on(&writer).expect("counted"));
    block_on(copy.pin()).expect("pinned");
    (0..200).for_each(|_| count_on(&writer).expect("a writer is not held up"));
    scratch.finish(copy);
    assert_eq!(number(&scratch.copy_file()), 10);
    drop(writer);
    assert_eq!(scratch.names(), ["CM_P01.db"]);
}

#[test]
fn a_rollback_database_is_complete_when_it_is_pinned() {
    let scratch = Scratch::new("delete", 4096);
    let mut copy = scratch.prepare();
    let mut writer = scratch.child();
    (0..3).for_each(|_| assert_eq!(writer.sql("UPDATE a SET v = v + 1; UPDATE b SET v = v + 1"), "ok"));
    block_on(copy.pin()).expect("pinned");
    assert_eq!(writer.sql("UPDATE a SET v = v + 1; UPDATE b SET v = v + 1"), "ok", "no lock outlives the pin");
    scratch.finish(copy);
    assert_eq!(number(&scratch.copy_file()), 3);
}

#[test]
fn a_pin_without_change_reads_and_writes_nothing() {
    let scratch = Scratch::new("delete", 4096);
    (0..100).for_each(|_| count_on(&scratch.connect()).expect("counted"));
    let (mut copy, log) = scratch.prepare_logged();
    assert!(log.take().written > 300_000);
    block_on(copy.pin()).expect("pinned");
    let counts = log.take();
    assert_eq!((counts.written, counts.read), (0, 0));
    scratch.finish(copy);
    bytes_agree(&scratch);
}

#[test]
fn a_pin_writes_only_pages_that_changed() {
    let scratch = Scratch::new("delete", 4096);
    (0..1000).for_each(|_| count_on(&scratch.connect()).expect("counted"));
    let (mut copy, log) = scratch.prepare_logged();
    log.take();
    scratch.connect().execute_batch("BEGIN; UPDATE a SET v = -1; UPDATE b SET v = -1; COMMIT").expect("updated");
    block_on(copy.pin()).expect("pinned");
    let counts = log.take();
    assert_eq!(counts.written, 3 * 4096, "the header's page and one of each table");
    assert_eq!(counts.read, BLOCK as u64, "only the block that holds them");
    scratch.finish(copy);
    bytes_agree(&scratch);
}

#[test]
fn files_that_shrink_grow_or_are_laid_out_anew_are_followed() {
    for mode in MODES {
        for change in [
            "DELETE FROM log WHERE id > 20; VACUUM",
            "PRAGMA incremental_vacuum; DELETE FROM log; PRAGMA incremental_vacuum",
            "PRAGMA journal_mode = delete; PRAGMA page_size = 1024; VACUUM",
            "PRAGMA journal_mode = delete; PRAGMA page_size = 65536; VACUUM",
            "INSERT INTO log (data) SELECT randomblob(3000) FROM log; INSERT INTO log (data) SELECT randomblob(3000) FROM log",
        ] {
            let scratch = Scratch::new(mode, 4096);
            (0..400).for_each(|_| count_on(&scratch.connect()).expect("counted"));
            let mut copy = scratch.prepare();
            let changed = scratch.connect().execute_batch(change);
            // A connection in WAL mode keeps everybody from leaving that mode.
            assert!(changed.is_ok() || mode == "wal", "{change}: {changed:?}");
            block_on(copy.pin()).expect("pinned");
            scratch.finish(copy);
            assert_eq!(number(&scratch.copy_file()), 400, "{mode}: {change}");
            drop(scratch.connect());
            bytes_agree(&scratch);
        }
    }
}

#[test]
fn a_journal_mode_changed_in_between_is_noticed() {
    let scratch = Scratch::new("delete", 4096);
    let mut copy = scratch.prepare();
    let writer = scratch.connect();
    writer.execute_batch("PRAGMA journal_mode = wal").expect("nobody holds a lock");
    (0..10).for_each(|_| count_on(&writer).expect("counted"));
    block_on(copy.pin()).expect("pinned");
    (0..10).for_each(|_| count_on(&writer).expect("counted"));
    scratch.finish(copy);
    assert_eq!(number(&scratch.copy_file()), 10);
}

#[test]
fn a_file_that_took_the_name_in_between_is_the_one_copied() {
    for mode in MODES {
        let (scratch, other) = (Scratch::new(mode, 4096), Scratch::new(mode, 4096));
        (0..5).for_each(|_| count_on(&other.connect()).expect("counted"));
        let mut copy = scratch.prepare();
        fs::rename(other.file(), scratch.file()).expect("renamed");
        block_on(copy.pin()).expect("pinned");
        scratch.finish(copy);
        assert_eq!(number(&scratch.copy_file()), 5, "{mode}");
    }
}

#[test]
fn pinning_again_takes_the_later_moment() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 4096);
        let mut copy = scratch.prepare();
        block_on(copy.pin()).expect("pinned");
        count_on(&scratch.connect()).expect("counted");
        block_on(copy.pin()).expect("pinned again");
        scratch.finish(copy);
        assert_eq!(number(&scratch.copy_file()), 1, "{mode}");
    }
}

#[test]
fn nothing_is_finished_that_was_not_pinned() {
    for mode in MODES {
        let error = block_on(Scratch::new(mode, 4096).prepare().finish()).expect_err("there is no moment");
        assert!(matches!(error, DatabaseError::Failed { .. }), "{error:?}");
    }
}

#[test]
fn a_full_destination_is_told_at_every_step() {
    let full = |error: &DatabaseError| matches!(error, DatabaseError::Write(DestinationError::Full(_)));

    let rollback = Scratch::new("delete", 4096);
    let (stage, log) = FileStage::create(&rollback.copy_file());
    log.fill_up();
    assert!(full(&block_on(rollback.database().prepare(folder_for(stage))).expect_err("no room")));
    let (mut copy, log) = rollback.prepare_logged();
    count_on(&rollback.connect()).expect("counted");
    log.fill_up();
    assert!(full(&block_on(copy.pin()).expect_err("no room")));
    count_on(&rollback.connect()).expect("the lock is gone after a failure too");
    log.take();
    block_on(copy.pin()).expect("pinned at the second attempt");
    rollback.finish(copy);
    assert_eq!(number(&rollback.copy_file()), 2);

    let wal = Scratch::new("wal", 4096);
    let (mut copy, log) = wal.prepare_logged();
    log.fill_up();
    block_on(copy.pin()).expect("a pin writes nothing");
    assert!(full(&block_on(copy.finish()).expect_err("no room")));
}
