//! Copies under a writer that never pauses, in another process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{MODES, Scratch, block_on, count_on, number};

#[test]
fn copies_taken_in_a_storm_are_whole() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 4096);
        let mut writer = scratch.child();
        let mut last = 0;
        for round in 0..25 {
            writer.storm();
            let mut copy = scratch.prepare();
            block_on(copy.pin()).expect("pinned");
            scratch.finish(copy);
            let number = number(&scratch.copy_file());
            assert!(number > last || round == 0, "{mode}: {number} after {last}");
            last = number;
            assert!(writer.calm() > 0);
        }
    }
}

/// Ends the threads of a test, also when it fails.
struct Going(AtomicBool);

impl Going {
    fn on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Stop<'a>(&'a Going);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn writers_are_not_starved_by_a_copy() {
    let scratch = Scratch::new("delete", 4096);
    let filling = "INSERT INTO log (data) WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
        SELECT randomblob(3000) FROM n";
    scratch.connect().execute_batch(filling).expect("filled");
    let copying = Going(AtomicBool::new(true));
    // However often it is copied, a writer that waits gets its turn.
    thread::scope(|scope| {
        scope.spawn(|| {
            while copying.on() {
                drop(scratch.prepare());
            }
        });
        let _stop = Stop(&copying);
        let writer = scratch.connect();
        (0..50).for_each(|_| count_on(&writer).expect("the writer gets its turn"));
    });
    assert_eq!(number(&scratch.file()), 50);
}

#[test]
fn a_storm_of_threads_in_the_same_process_is_no_different() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 1024);
        let writing = Going(AtomicBool::new(true));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let connection = scratch.connect();
                    while writing.on() {
                        count_on(&connection).expect("counted");
                    }
                });
            }
            let _stop = Stop(&writing);
            for _ in 0..10 {
                scratch.back_up();
                number(&scratch.copy_file());
            }
        });
    }
}
