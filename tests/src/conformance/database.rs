//! The contract of [`SiteDatabase`] and [`DatabaseCopy`].

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use backup_core::manifest::{ContentHash, DatabasePart, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFolder, DatabaseForm, DatabaseSource, DatabaseTarget,
    DumpedFile, SiteDatabase,
};
use backup_core::ports::destination::{Destination, SnapshotFiles, Staging};
use backup_core::ports::site_files::FileKind;
use tokio::time::timeout;

use super::{begin, content_of, rel, run, run_checks, seal};

const _: fn(&dyn SiteDatabase) = |_| ();
const _: fn(&dyn DatabaseCopy) = |_| ();

/// A database to try: it holds one number, at first 0.
pub trait DatabaseBench: Debug + Send + Sync + 'static {
    /// The database.
    fn database(&self) -> Arc<dyn SiteDatabase>;
    /// Where copies go.
    fn destination(&self) -> Arc<dyn Destination>;
    /// Has the site write a number, by a connection of its own; must not be kept from it for long.
    fn write(&self, number: u64);
    /// The number in the database at `file`.
    fn read(&self, file: &SitePath) -> u64;
    /// Where the database is.
    fn file(&self) -> SitePath;
    /// A place where there is none yet; `None` where it can be nowhere else.
    fn elsewhere(&self) -> Option<SitePath>;
    /// The same kind of database where there is none.
    fn missing(&self) -> Option<Arc<dyn SiteDatabase>>;
    /// The same kind of database where there is something else.
    fn not_one(&self) -> Option<Arc<dyn SiteDatabase>>;
    /// Another program that works on the database as long as the result lives.
    fn hold(&self) -> Option<Box<dyn Any + Send>>;
    /// Damages the database at `file`; `false` where nobody can.
    fn damage(&self, file: &SitePath) -> bool;
}

/// Checks a database.
pub async fn suite<B: DatabaseBench>(make: impl Fn() -> B) {
    run_checks!(make: inspecting_changes_nothing, the_copy_is_of_the_moment_of_the_pin, writers_go_on_after_the_pin,
        many_pages_come_out_whole, an_unpinned_copy_is_not_finished, a_dropped_copy_gives_up_its_pin,
        a_pin_that_is_given_up_is_in_nobodys_way,
        one_copy_after_the_other, a_copy_comes_back, a_wrong_hash_changes_nothing, a_copy_that_is_not_there_changes_nothing,
        a_database_in_use_is_not_replaced, what_is_not_there_is_told, damage_is_found,
        a_copy_is_judged_before_it_is_sealed);
}

const FOLDER: &str = "SiteDBServer";

struct Copying {
    staging: Arc<dyn Staging>,
    copy: Box<dyn DatabaseCopy>,
}

async fn prepare(bench: &dyn DatabaseBench, number: u64) -> Copying {
    let staging = begin(bench.destination().as_ref(), run(number)).await;
    let copy = bench.database().prepare(folder(&staging, number)).await.expect("prepared");
    Copying { staging, copy }
}

pub(super) fn folder(staging: &Arc<dyn Staging>, number: u64) -> DatabaseFolder {
    DatabaseFolder::new(run(number), "CM_P01".to_owned(), Arc::clone(staging), rel(FOLDER))
}

/// Where the copy lies in the snapshot.
pub(super) fn place(dump: &DatabaseDump) -> RelPath {
    rel(FOLDER).join(dump.place.as_ref().expect("it is in the snapshot"))
}

/// Finishes a copy and seals it; it must be what the dump says.
async fn finish(bench: &dyn DatabaseBench, number: u64, copying: Copying) -> (Arc<dyn SnapshotFiles>, DatabaseDump) {
    let dump = copying.copy.finish().await.expect("finished");
    seal(copying.staging.as_ref(), run(number), &[]).await;
    let snapshot = bench.destination().open(run(number)).await.expect("sealed");
    for file in &dump.files {
        let content = content_of(&snapshot, &rel(FOLDER).join(&file.path)).await.expect("it is there");
        assert_eq!((file.size, file.hash), (content.len() as u64, ContentHash::of(&content)));
        assert!(file.path.strip_prefix(dump.place.as_ref().expect("it is in the snapshot")).is_some());
    }
    (snapshot, dump)
}

/// A copy of the database as it is.
async fn copy_now(bench: &dyn DatabaseBench, number: u64) -> (Arc<dyn SnapshotFiles>, DatabaseDump) {
    let mut copying = prepare(bench, number).await;
    copying.copy.pin().await.expect("pinned");
    finish(bench, number, copying).await
}

fn source((files, dump): &(Arc<dyn SnapshotFiles>, DatabaseDump)) -> DatabaseSource {
    let record = |file: &DumpedFile| FileRecord {
        hash: Some(file.hash),
        size: file.size,
        ..FileRecord::new(RecordKind::Database, rel(FOLDER).join(&file.path))
    };
    let part = DatabasePart {
        name: "CM_P01".to_owned(),
        form: DatabaseForm::File,
        engine: String::new(),
        pinned_by: String::new(),
        setup_option: dump.setup_option,
        facts: Vec::new(),
    };
    DatabaseSource {
        files: Arc::clone(files),
        place: place(dump),
        records: dump.files.iter().map(record).collect(),
        part,
    }
}

async fn restore(
    bench: &dyn DatabaseBench,
    from: &(Arc<dyn SnapshotFiles>, DatabaseDump),
    target: &SitePath,
) -> Result<(), DatabaseError> {
    bench.database().restore(&source(from), &DatabaseTarget::File(target.clone())).await.map(drop)
}

async fn assert_sound(bench: &dyn DatabaseBench, file: &SitePath, number: u64) {
    let verdict = bench.database().verify(&DatabaseTarget::File(file.clone())).await.expect("judged");
    assert_eq!(verdict.faults, Vec::<String>::new());
    assert_eq!(bench.read(file), number);
}

async fn inspecting_changes_nothing(bench: impl DatabaseBench) {
    bench.write(7);
    let database = bench.database();
    let facts = database.inspect().await.expect("inspected");
    assert!(!facts.name.is_empty() && !facts.engine.is_empty() && !facts.pinned_by.is_empty(), "{facts:?}");
    assert!(facts.size > 0 && facts.paths.contains(&bench.file()), "{facts:?}");
    assert_eq!(database.inspect().await.expect("inspected"), facts);
    assert_sound(&bench, &bench.file(), 7).await;
    let (_, dump) = copy_now(&bench, 1).await;
    assert_eq!(dump.files.iter().map(|file| file.size).sum::<u64>(), facts.size, "bytes of a whole copy");
    let after = database.inspect().await.expect("inspected");
    assert_eq!((after.facts, after.engine), (facts.facts, facts.engine), "nor does a copy change them");
}

async fn the_copy_is_of_the_moment_of_the_pin(bench: impl DatabaseBench) {
    bench.write(1);
    let mut copying = prepare(&bench, 1).await;
    bench.write(2);
    copying.copy.pin().await.expect("pinned");
    bench.write(3);
    let copy = finish(&bench, 1, copying).await;
    assert_eq!(bench.read(&bench.file()), 3);
    let target = bench.elsewhere().unwrap_or(bench.file());
    restore(&bench, &copy, &target).await.expect("restored");
    assert_sound(&bench, &target, 2).await;
}

async fn writers_go_on_after_the_pin(bench: impl DatabaseBench) {
    let mut copying = prepare(&bench, 1).await;
    copying.copy.pin().await.expect("pinned");
    for number in 1..200 {
        bench.write(number);
    }
    let copy = finish(&bench, 1, copying).await;
    bench.write(200);
    restore(&bench, &copy, &bench.file()).await.expect("restored");
    assert_sound(&bench, &bench.file(), 0).await;
}

async fn many_pages_come_out_whole(bench: impl DatabaseBench) {
    for number in 1..300 {
        bench.write(number);
    }
    let mut copying = prepare(&bench, 1).await;
    for number in 300..500 {
        bench.write(number);
    }
    copying.copy.pin().await.expect("pinned");
    let copy = finish(&bench, 1, copying).await;
    let target = bench.elsewhere().unwrap_or(bench.file());
    restore(&bench, &copy, &target).await.expect("restored");
    assert_sound(&bench, &target, 499).await;
}

async fn an_unpinned_copy_is_not_finished(bench: impl DatabaseBench) {
    let copying = prepare(&bench, 1).await;
    let error = copying.copy.finish().await.expect_err("no moment is held");
    assert!(matches!(error, DatabaseError::Failed { .. }), "{error}");
    bench.write(1);
    assert_sound(&bench, &bench.file(), 1).await;
}

async fn a_dropped_copy_gives_up_its_pin(bench: impl DatabaseBench) {
    for (number, pin) in [(1, false), (2, true)] {
        let mut copying = prepare(&bench, number).await;
        if pin {
            copying.copy.pin().await.expect("pinned");
        }
        drop(copying.copy);
        bench.write(number);
        // Nobody may have it open while it is replaced: a pin that lives on would be in the way.
        let copy = copy_now(&bench, number + 10).await;
        restore(&bench, &copy, &bench.file()).await.expect("nobody holds it");
        assert_sound(&bench, &bench.file(), number).await;
    }
}

async fn a_pin_that_is_given_up_is_in_nobodys_way(bench: impl DatabaseBench) {
    let mut copying = prepare(&bench, 1).await;
    // A deadline that is over at once: the call has begun, and its future is dropped.
    drop(timeout(Duration::ZERO, copying.copy.pin()).await);
    drop(copying.copy);
    bench.write(5);
    let copy = copy_now(&bench, 2).await;
    restore(&bench, &copy, &bench.file()).await.expect("nobody holds it");
    assert_sound(&bench, &bench.file(), 5).await;
}

async fn one_copy_after_the_other(bench: impl DatabaseBench) {
    for number in 1..4 {
        bench.write(number);
        let copy = copy_now(&bench, number).await;
        bench.write(100);
        restore(&bench, &copy, &bench.file()).await.expect("restored");
        assert_sound(&bench, &bench.file(), number).await;
    }
}

async fn a_copy_comes_back(bench: impl DatabaseBench) {
    bench.write(1);
    let copy = copy_now(&bench, 1).await;
    bench.write(2);
    for _ in 0..2 {
        restore(&bench, &copy, &bench.file()).await.expect("repeating it is harmless");
        assert_sound(&bench, &bench.file(), 1).await;
    }
    bench.write(3);
    assert_sound(&bench, &bench.file(), 3).await;
    let Some(elsewhere) = bench.elsewhere() else { return };
    restore(&bench, &copy, &elsewhere).await.expect("restored");
    assert_sound(&bench, &elsewhere, 1).await;
    assert_eq!(bench.read(&bench.file()), 3, "only the target is written");
}

async fn a_wrong_hash_changes_nothing(bench: impl DatabaseBench) {
    bench.write(1);
    let (snapshot, mut dump) = copy_now(&bench, 1).await;
    bench.write(2);
    dump.files[0].hash = ContentHash::of(b"another content");
    let copy = (snapshot, dump);
    for target in [Some(bench.file()), bench.elsewhere()].into_iter().flatten() {
        let error = restore(&bench, &copy, &target).await.expect_err("it is another content");
        assert!(matches!(error, DatabaseError::Hash(_)), "{error}");
    }
    assert_sound(&bench, &bench.file(), 2).await;
    if let Some(elsewhere) = bench.elsewhere() {
        let error = bench.database().verify(&DatabaseTarget::File(elsewhere)).await.expect_err("nothing appeared");
        assert!(matches!(error, DatabaseError::Missing(_)), "{error}");
    }
}

async fn a_copy_that_is_not_there_changes_nothing(bench: impl DatabaseBench) {
    bench.write(1);
    let (snapshot, mut dump) = copy_now(&bench, 1).await;
    bench.write(2);
    dump.files[0].path = rel("no/such");
    assert!(restore(&bench, &(snapshot, dump), &bench.file()).await.is_err());
    assert_sound(&bench, &bench.file(), 2).await;
}

async fn a_database_in_use_is_not_replaced(bench: impl DatabaseBench) {
    bench.write(1);
    let copy = copy_now(&bench, 1).await;
    bench.write(2);
    let Some(program) = bench.hold() else { return };
    let error = restore(&bench, &copy, &bench.file()).await.expect_err("somebody works on it");
    assert!(matches!(error, DatabaseError::Locked { .. }), "{error}");
    drop(program);
    assert_sound(&bench, &bench.file(), 2).await;
    restore(&bench, &copy, &bench.file()).await.expect("nobody works on it any more");
    assert_sound(&bench, &bench.file(), 1).await;
}

async fn what_is_not_there_is_told(bench: impl DatabaseBench) {
    let staging = begin(bench.destination().as_ref(), run(1)).await;
    if let Some(missing) = bench.missing() {
        let prepared = missing.prepare(folder(&staging, 1)).await;
        let errors = [missing.inspect().await.map(drop), prepared.map(drop)];
        for error in errors.map(|result| result.expect_err("there is none")) {
            assert!(matches!(error, DatabaseError::Missing(_)), "{error}");
        }
    }
    if let Some(other) = bench.not_one() {
        let prepared = other.prepare(folder(&staging, 1)).await;
        let errors = [other.inspect().await.map(drop), prepared.map(drop)];
        for error in errors.map(|result| result.expect_err("it is something else")) {
            assert!(matches!(error, DatabaseError::NotOne { .. }), "{error}");
        }
    }
}

async fn damage_is_found(bench: impl DatabaseBench) {
    for number in 1..300 {
        bench.write(number);
    }
    let copy = copy_now(&bench, 1).await;
    restore(&bench, &copy, &bench.file()).await.expect("restored");
    if !bench.damage(&bench.file()) {
        return;
    }
    let verdict = bench.database().verify(&DatabaseTarget::File(bench.file())).await.expect("still one to judge");
    assert!(!verdict.faults.is_empty());
}

/// A faithful copy of a damaged database is damaged as well, and only its judge can tell.
async fn a_copy_is_judged_before_it_is_sealed(bench: impl DatabaseBench) {
    for number in 1..300 {
        bench.write(number);
    }
    for (run, damaged) in [(1, false), (2, true)] {
        if damaged && !bench.damage(&bench.file()) {
            return;
        }
        let mut copying = prepare(&bench, run).await;
        copying.copy.pin().await.expect("pinned");
        let dump = copying.copy.finish().await.expect("finished");
        let copy = copying.staging.place(&place(&dump)).expect("it lies on this machine");
        let verdict = bench.database().judge(&copy).await.expect("judged");
        assert_eq!(!verdict.faults.is_empty(), damaged, "{verdict:?}");
        let walk = copying.staging.walk().await.expect("walked");
        assert_eq!(
            walk.iter().filter(|entry| entry.stat.kind == FileKind::File).count(),
            1,
            "nothing is left beside it"
        );
        seal(copying.staging.as_ref(), super::run(run), &[]).await;
        let snapshot = bench.destination().open(super::run(run)).await.expect("sealed");
        let content = content_of(&snapshot, &place(&dump)).await.expect("it is there");
        assert_eq!(ContentHash::of(&content), dump.files[0].hash, "no byte has changed");
    }
}
