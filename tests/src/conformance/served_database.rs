//! The contract of [`SiteDatabase`] for a database that is no file: it comes out as files, and goes back into an empty one.

use std::fmt::Debug;
use std::sync::Arc;

use backup_core::manifest::{ContentHash, DatabasePart, FileRecord, RecordKind};
use backup_core::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseForm, DatabaseSource, DatabaseStanding, DatabaseTarget,
    SiteDatabase,
};
use backup_core::ports::destination::{Destination, SnapshotFiles, Staging};

use super::database::{folder, place};
use super::{begin, content_of, rel, run, run_checks, seal};

/// A database of a server to try: it holds one number, at first 0.
pub trait ServedBench: Debug + Send + Sync + 'static {
    /// The database.
    fn database(&self) -> Arc<dyn SiteDatabase>;
    /// Where copies go.
    fn destination(&self) -> Arc<dyn Destination>;
    /// Has the site write a number, by a connection of its own.
    fn write(&self, number: u64);
    /// The number in the database, or in the scratch database of this name; `None` where there is neither table nor database.
    fn number(&self, scratch: Option<&str>) -> Option<u64>;
    /// Takes everything out of the database.
    fn empty(&self);
}

/// Checks a database of a server.
pub async fn suite<B: ServedBench>(make: impl Fn() -> B) {
    run_checks!(make: inspecting_changes_nothing, the_copy_is_of_the_moment_of_the_pin, an_unpinned_copy_is_not_finished,
        a_dropped_copy_is_in_nobodys_way, what_holds_something_is_left_alone, an_empty_one_takes_the_copy,
        a_scratch_database_is_made_judged_and_discarded, what_is_no_scratch_database_is_not_discarded,
        another_content_is_refused);
}

const OWN: DatabaseTarget = DatabaseTarget::Own { replace: false };
const SCRATCH: &str = "conformance";

fn scratch() -> DatabaseTarget {
    DatabaseTarget::Scratch(SCRATCH.to_owned())
}

async fn prepare(bench: &dyn ServedBench, number: u64) -> (Arc<dyn Staging>, Box<dyn DatabaseCopy>) {
    let staging = begin(bench.destination().as_ref(), run(number)).await;
    let copy = bench.database().prepare(folder(&staging, number)).await.expect("prepared");
    (staging, copy)
}

async fn finish(
    bench: &dyn ServedBench,
    number: u64,
    (staging, copy): (Arc<dyn Staging>, Box<dyn DatabaseCopy>),
) -> DatabaseSource {
    let dump = copy.finish().await.expect("finished");
    assert!(!dump.files.is_empty() && dump.weaker.is_empty(), "{dump:?}");
    seal(staging.as_ref(), run(number), &[]).await;
    let snapshot = bench.destination().open(run(number)).await.expect("sealed");
    for file in &dump.files {
        let content = content_of(&snapshot, &rel("SiteDBServer").join(&file.path)).await.expect("it is there");
        assert_eq!((file.size, file.hash), (content.len() as u64, ContentHash::of(&content)));
        assert!(file.path.strip_prefix(dump.place.as_ref().expect("it is in the snapshot")).is_some());
    }
    source(snapshot, &dump)
}

fn source(files: Arc<dyn SnapshotFiles>, dump: &DatabaseDump) -> DatabaseSource {
    let record = |file: &backup_core::ports::database::DumpedFile| FileRecord {
        hash: Some(file.hash),
        size: file.size,
        ..FileRecord::new(RecordKind::Database, rel("SiteDBServer").join(&file.path))
    };
    let part = DatabasePart {
        name: "site".to_owned(),
        form: DatabaseForm::Logical,
        engine: String::new(),
        pinned_by: String::new(),
        setup_option: dump.setup_option,
        facts: dump.facts.clone(),
    };
    DatabaseSource { files, place: place(dump), records: dump.files.iter().map(record).collect(), part }
}

async fn copy_now(bench: &dyn ServedBench, number: u64) -> DatabaseSource {
    let (staging, mut copy) = prepare(bench, number).await;
    copy.pin().await.expect("pinned");
    finish(bench, number, (staging, copy)).await
}

async fn inspecting_changes_nothing(bench: impl ServedBench) {
    bench.write(7);
    let facts = bench.database().inspect().await.expect("inspected");
    assert!(!facts.name.is_empty() && !facts.engine.is_empty() && !facts.address.is_empty(), "{facts:?}");
    assert!(facts.form != DatabaseForm::File && facts.file.is_none() && facts.weaker.is_empty(), "{facts:?}");
    assert_eq!(bench.database().inspect().await.expect("inspected").address, facts.address);
    assert_eq!(bench.number(None), Some(7));
}

async fn the_copy_is_of_the_moment_of_the_pin(bench: impl ServedBench) {
    bench.write(1);
    let (staging, mut copy) = prepare(&bench, 1).await;
    bench.write(2);
    copy.pin().await.expect("pinned");
    bench.write(3);
    let copy = finish(&bench, 1, (staging, copy)).await;
    bench.empty();
    bench.database().restore(&copy, &OWN).await.expect("restored");
    assert_eq!(bench.number(None), Some(2));
}

async fn an_unpinned_copy_is_not_finished(bench: impl ServedBench) {
    let (_staging, copy) = prepare(&bench, 1).await;
    copy.finish().await.map(drop).expect_err("there is no moment");
}

async fn a_dropped_copy_is_in_nobodys_way(bench: impl ServedBench) {
    let (_staging, mut copy) = prepare(&bench, 1).await;
    copy.pin().await.expect("pinned");
    drop(copy);
    bench.write(5);
    let copy = copy_now(&bench, 2).await;
    bench.empty();
    bench.database().restore(&copy, &OWN).await.expect("restored");
    assert_eq!(bench.number(None), Some(5));
}

async fn what_holds_something_is_left_alone(bench: impl ServedBench) {
    bench.write(1);
    let copy = copy_now(&bench, 1).await;
    bench.write(2);
    let standing = bench.database().survey(&copy, &OWN).await.expect("a look");
    assert!(matches!(standing, DatabaseStanding::Holds(_)), "{standing:?}");
    let error = bench.database().restore(&copy, &OWN).await.expect_err("it holds something");
    assert!(matches!(error, DatabaseError::Occupied { .. }), "{error}");
    assert_eq!(bench.number(None), Some(2));
}

async fn an_empty_one_takes_the_copy(bench: impl ServedBench) {
    bench.write(1);
    let copy = copy_now(&bench, 1).await;
    bench.empty();
    for _ in 0..2 {
        let standing = bench.database().survey(&copy, &OWN).await.expect("a look");
        assert_eq!(standing, DatabaseStanding::Free(Vec::new()));
    }
    assert_eq!(bench.number(None), None, "a look changes nothing");
    bench.database().restore(&copy, &OWN).await.expect("restored");
    assert_eq!(bench.database().verify(&OWN).await.expect("judged").faults, Vec::<String>::new());
    assert_eq!(bench.number(None), Some(1));
    bench.write(4);
    assert_eq!(bench.number(None), Some(4));
}

async fn a_scratch_database_is_made_judged_and_discarded(bench: impl ServedBench) {
    bench.write(1);
    let copy = copy_now(&bench, 1).await;
    bench.write(2);
    bench.database().restore(&copy, &scratch()).await.expect("restored");
    assert_eq!(bench.number(Some(SCRATCH)), Some(1));
    assert_eq!(bench.database().verify(&scratch()).await.expect("judged").faults, Vec::<String>::new());
    for _ in 0..2 {
        bench.database().discard(&scratch()).await.expect("repeating it is harmless");
        assert_eq!(bench.number(Some(SCRATCH)), None);
    }
    assert_eq!(bench.number(None), Some(2), "the site's own is left alone");
}

async fn what_is_no_scratch_database_is_not_discarded(bench: impl ServedBench) {
    bench.write(1);
    for replace in [false, true] {
        bench.database().discard(&DatabaseTarget::Own { replace }).await.expect_err("it is the site's");
    }
    assert_eq!(bench.number(None), Some(1));
}

async fn another_content_is_refused(bench: impl ServedBench) {
    bench.write(1);
    let mut copy = copy_now(&bench, 1).await;
    copy.records.iter_mut().for_each(|record| record.hash = Some(ContentHash::of(b"another content")));
    bench.empty();
    let error = bench.database().restore(&copy, &OWN).await.expect_err("it is another content");
    assert!(matches!(error, DatabaseError::Hash(_)), "{error}");
    assert_eq!(bench.number(None), None);
}
