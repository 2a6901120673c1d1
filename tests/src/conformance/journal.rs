//! The contract of [`RunJournal`].

use std::fmt::Debug;
use std::sync::Arc;

use backup_core::ports::journal::{JournalError, JournalLock, JournalRecord, RunJournal};

use super::{moment, run, run_checks};

const _: fn(&dyn RunJournal) = |_| ();
const _: fn(&dyn JournalLock) = |_| ();

/// A journal to try.
pub trait JournalBench: Debug + Send + Sync + 'static {
    /// A journal as a new process would open it, always of the same place.
    fn journal(&self) -> Arc<dyn RunJournal>;
    /// Leaves half a record at the end, as a crash does; `false` where there is no such thing.
    fn tear(&self) -> bool;
}

/// Checks a journal.
pub async fn suite<B: JournalBench>(make: impl Fn() -> B) {
    run_checks!(make: a_new_journal_is_empty, records_come_back_in_their_order, another_process_reads_them, one_holder_at_a_time,
        a_dropped_holder_gives_it_back, a_torn_record_is_left_out);
}

fn all_kinds() -> Vec<JournalRecord> {
    let (first, second) = (run(1), run(2));
    let places = vec!["/site \"x\"\n -> /Größe".to_owned(), r"HKLM\X -> registry".to_owned()];
    vec![
        JournalRecord::RunStarted { run: first, at: moment(0) },
        JournalRecord::ServicesStopping { run: first, start: vec!["SMS \"EXEC\"\n".to_owned(), "Größe".to_owned()] },
        JournalRecord::ServicesStarted { run: first },
        JournalRecord::Sealed { run: first },
        JournalRecord::RunEnded { run: first, at: moment(1), published: true },
        JournalRecord::RunStarted { run: second, at: moment(2) },
        JournalRecord::RunEnded { run: second, at: moment(3), published: false },
        JournalRecord::RecoveryBegun { snapshot: first, at: moment(4), places: places.clone() },
        JournalRecord::RecoveryEnded { snapshot: first, at: moment(5), places },
        JournalRecord::RecoveriesAbandoned { at: moment(6) },
        JournalRecord::ShadowCopyBegun { run: second, at: moment(7), place: "/srv/Größe".to_owned() },
        JournalRecord::ShadowCopyDeleted { run: second, at: moment(8) },
    ]
}

async fn append_all(journal: &dyn RunJournal, records: &[JournalRecord]) {
    for record in records {
        journal.append(record).await.expect("appended");
    }
}

async fn a_new_journal_is_empty(bench: impl JournalBench) {
    let journal = bench.journal();
    assert_eq!(journal.read().await.expect("nothing yet"), []);
    let lock = journal.lock().await.expect("free");
    assert_eq!(journal.read().await.expect("its lock is no record"), []);
    drop(lock);
}

async fn records_come_back_in_their_order(bench: impl JournalBench) {
    let journal = bench.journal();
    let _lock = journal.lock().await.expect("free");
    let records = all_kinds();
    for number in 0..records.len() {
        append_all(journal.as_ref(), &records[number..=number]).await;
        assert_eq!(journal.read().await.expect("read"), records[..=number]);
    }
}

async fn another_process_reads_them(bench: impl JournalBench) {
    let first = bench.journal();
    let lock = first.lock().await.expect("free");
    append_all(first.as_ref(), &all_kinds()).await;
    assert_eq!(bench.journal().read().await.expect("reading needs no lock"), all_kinds());
    drop((lock, first));
    let second = bench.journal();
    let _lock = second.lock().await.expect("given back");
    append_all(second.as_ref(), &all_kinds()).await;
    assert_eq!(second.read().await.expect("read"), [all_kinds(), all_kinds()].concat(), "nothing of the first is lost");
}

async fn one_holder_at_a_time(bench: impl JournalBench) {
    let (first, second) = (bench.journal(), bench.journal());
    let lock = first.lock().await.expect("free");
    for journal in [&first, &second] {
        let error = journal.lock().await.map(drop).expect_err("it is held, and nobody waits");
        let JournalError::Busy { holder } = error else { panic!("{error}") };
        assert!(!holder.is_empty(), "as far as can be told");
    }
    append_all(first.as_ref(), &all_kinds()).await;
    assert!(second.lock().await.is_err(), "still held");
    drop(lock);
}

async fn a_dropped_holder_gives_it_back(bench: impl JournalBench) {
    for _ in 0..3 {
        let lock = bench.journal().lock().await.expect("free again");
        drop(lock);
    }
}

async fn a_torn_record_is_left_out(bench: impl JournalBench) {
    let journal = bench.journal();
    let _lock = journal.lock().await.expect("free");
    append_all(journal.as_ref(), &all_kinds()[..2]).await;
    if !bench.tear() {
        return;
    }
    assert_eq!(bench.journal().read().await.expect("read"), all_kinds()[..2]);
    append_all(journal.as_ref(), &all_kinds()[2..]).await;
    assert_eq!(journal.read().await.expect("read"), all_kinds(), "the next record is not glued to it");
}
