//! Locks: whom they keep out, and what drops them.

use std::fs::File;
use std::iter;
use std::time::Instant;

use backup_core::ports::database::{DatabaseTarget, SiteDatabase};

use super::super::connection::{BRIEFLY, Journal, PATIENTLY, Reader};
use super::super::locate::Files;
use super::super::pump::Wanted;
use super::{MODES, Scratch, block_on, locked, number, site_path};

const COUNT: &str = "UPDATE a SET v = v + 1; UPDATE b SET v = v + 1";

#[test]
fn a_database_that_somebody_holds_is_locked() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 4096);
        let mut copy = scratch.prepare();
        let mut holder = scratch.child();
        if mode == "delete" {
            assert_eq!(holder.sql("BEGIN EXCLUSIVE"), "ok");
            assert!(locked(&block_on(scratch.database().inspect())));
            assert!(locked(&block_on(copy.pin())));
            assert_eq!(holder.sql("COMMIT"), "ok");
            block_on(copy.pin()).expect("pinned at the second attempt");
            scratch.finish(copy);
        } else {
            // Whoever reads keeps the database from being taken; without a reader it can be.
            assert_eq!(holder.sql("PRAGMA locking_mode = exclusive"), "Text(\"exclusive\")");
            assert_eq!(holder.sql("BEGIN EXCLUSIVE"), "busy");
            block_on(copy.pin()).expect("pinned");
            drop(copy);
            assert_eq!(holder.sql("BEGIN EXCLUSIVE"), "ok");
            assert!(locked(&block_on(scratch.database().inspect())));
        }
    }
}

/// The log cannot be emptied while a moment is pinned; that is what keeps the moment.
const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

#[test]
fn dropping_a_copy_gives_up_the_pin() {
    let scratch = Scratch::new("wal", 4096);
    let mut writer = scratch.child();
    let mut copy = scratch.prepare();
    block_on(copy.pin()).expect("pinned");
    assert_eq!(writer.sql(COUNT), "ok");
    assert!(writer.sql(EMPTY_LOG).starts_with("Integer(1)"));
    drop(copy);
    assert!(writer.sql(EMPTY_LOG).starts_with("Integer(0)"));
}

// POSIX locks belong to the process: the first close of any descriptor of a file drops all of them. Hence the rule that only this
// crate opens the database's files.
#[test]
fn a_stranger_who_opens_the_files_in_our_process_drops_the_pin() {
    let scratch = Scratch::new("wal", 4096);
    let mut writer = scratch.child();
    assert_eq!(writer.sql(COUNT), "ok");
    let mut copy = scratch.prepare();
    block_on(copy.pin()).expect("pinned");
    assert_eq!(writer.sql(COUNT), "ok");
    assert!(writer.sql(EMPTY_LOG).starts_with("Integer(1)"), "the pin holds");
    drop(File::open(scratch.beside("-shm")).expect("the index of the log"));
    assert!(writer.sql(EMPTY_LOG).starts_with("Integer(0)"), "the pin is lost");
    assert!(block_on(copy.finish()).is_err(), "what was pinned lay in the log");
}

#[test]
fn a_stranger_who_opens_the_file_in_our_process_drops_the_shared_lock() {
    let scratch = Scratch::new("delete", 4096);
    let files = Files::locate(&site_path(&scratch.file())).expect("it is there");
    let mut reader = Reader::open(&files, BRIEFLY, &Wanted::default()).expect("it opens");
    assert_eq!(reader.begin(&files).expect("begun"), Journal::Rollback);
    let mut writer = scratch.child();
    assert_eq!(writer.sql(COUNT), "busy", "the shared lock holds");
    drop(File::open(scratch.file()).expect("the main file"));
    assert_eq!(writer.sql(COUNT), "ok", "the shared lock is lost");
}

// Our own looks at the database go through SQLite, which knows of its other connections.
#[test]
fn our_own_looks_do_not_drop_a_pin() {
    let scratch = Scratch::new("wal", 4096);
    let mut writer = scratch.child();
    assert_eq!(writer.sql(COUNT), "ok");
    let mut copy = scratch.prepare();
    block_on(copy.pin()).expect("pinned");
    assert_eq!(writer.sql(COUNT), "ok");
    block_on(scratch.database().inspect()).expect("facts");
    block_on(scratch.database().verify(&DatabaseTarget::File(site_path(&scratch.file())))).expect("a verdict");
    drop(scratch.prepare_elsewhere());
    assert!(writer.sql(EMPTY_LOG).starts_with("Integer(1)"), "the pin holds");
    scratch.finish(copy);
    assert_eq!(number(&scratch.copy_file()), 1);
}

/// What the call of `pin` or `finish` does is dropped in its middle, while a write to the copy hangs.
fn given_up_in_the_middle(mode: &str, finish: bool) {
    let scratch = Scratch::new(mode, 4096);
    let mut writer = scratch.child();
    let (mut copy, gate) = scratch.prepare_gated();
    // More than what may be on its way between reader and writer.
    assert_eq!(writer.sql("INSERT INTO log (data) VALUES (zeroblob(20000000))"), "ok");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    if finish {
        block_on(copy.pin()).expect("pinned");
    }
    gate.shut();
    let call = async {
        let work = async {
            match finish {
                true => copy.finish().await.map(drop),
                false => copy.pin().await,
            }
        };
        tokio::select! { biased; ended = work => panic!("it ended: {ended:?}"), () = gate.reached() => {} }
    };
    runtime.block_on(call);
    // What was dropped still hangs in its write, and holds no lock.
    let mut freed = || match mode {
        "wal" => writer.sql(EMPTY_LOG).starts_with("Integer(0)"),
        _ => writer.sql(COUNT) == "ok",
    };
    let since = Instant::now();
    let freed = iter::repeat_with(&mut freed).take_while(|_| since.elapsed() < PATIENTLY).any(|freed| freed);
    gate.open();
    runtime.shutdown_background();
    assert!(freed, "{mode}, finish: {finish}: the lock outlives its call");
}

#[test]
fn a_call_that_is_given_up_gives_up_its_locks() {
    given_up_in_the_middle("delete", false);
    given_up_in_the_middle("wal", true);
}
