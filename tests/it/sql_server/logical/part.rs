//! The rows of a SQL Server as the database part of a site.

use std::sync::Arc;

use backup_core::manifest::{DatabasePart, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::database::{
    DatabaseDump, DatabaseError, DatabaseFolder, DatabaseForm, DatabaseSource, DatabaseStanding, DatabaseTarget,
    DumpedFile, SiteDatabase,
};
use backup_core::ports::destination::{Destination, Staging};
use backup_core::snapshot::RunId;
use host::destination::LocalDestination;
use sql_dump::LogicalDatabase;
use tds_server::{Script, TdsServer, Value};
use tests::conformance::seal;

use super::super::{DRIVERS, Driver};
use super::database::{answer, database};
use super::store::{Store, refusing};
use super::{address, count, serve};

const PLACE: &str = "SiteDBServer";

fn rel(path: &str) -> RelPath {
    RelPath::parse(path).expect("a plain path")
}

fn looked_at(script: Script) -> Script {
    let facts = answer(&["collation", "bytes"], vec![vec!["Greek_CI_AS".into(), Value::Int(8 << 20)]]);
    script.on_part("'Collation')) AS", facts)
}

fn destination_in(scratch: &tempfile::TempDir) -> LocalDestination {
    let root = SitePath::parse(scratch.path().join("backup").to_str().expect("Unicode")).expect("absolute");
    LocalDestination::new(root, "P01".parse().expect("a site code"))
}

/// Backs up into a new destination, and opens what was sealed.
async fn back_up(
    driver: Driver,
    server: &TdsServer,
    scratch: &tempfile::TempDir,
) -> (LogicalDatabase, DatabaseDump, DatabaseSource) {
    std::fs::create_dir(scratch.path().join("backup")).expect("it is made");
    let destination = destination_in(scratch);
    let run = RunId(uuid::Uuid::from_u128(0x01a2));
    let staging: Arc<dyn Staging> = destination.begin(run, None).await.expect("begun");
    let database = LogicalDatabase::new(address(driver, server));
    let seen = database.inspect().await.expect("it is inspected");
    assert_eq!((seen.name.as_str(), seen.form), ("CM_P01", DatabaseForm::Logical));
    let folder = DatabaseFolder::new(run, seen.name.clone(), Arc::clone(&staging), rel(PLACE));
    let mut copy = database.prepare(folder).await.expect("it is prepared");
    copy.pin().await.expect("it is pinned");
    let dump = copy.finish().await.expect("it is dumped");
    seal(staging.as_ref(), run, &[]).await;
    let record = |file: &DumpedFile| {
        let path = rel(PLACE).join(&file.path);
        FileRecord { size: file.size, hash: Some(file.hash), ..FileRecord::new(RecordKind::Database, path) }
    };
    let part = DatabasePart {
        name: seen.name,
        form: seen.form,
        engine: seen.engine,
        pinned_by: seen.pinned_by,
        setup_option: dump.setup_option,
        facts: [seen.facts, dump.facts.clone()].concat(),
    };
    let place = rel(PLACE).join(dump.place.as_ref().expect("a place"));
    let records = dump.files.iter().map(record).collect();
    let files = destination.open(run).await.expect("sealed");
    (database, dump, DatabaseSource { files, place, records, part })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_taken_and_put_back() {
    for driver in DRIVERS {
        let server = serve(looked_at(Store::default().script()));
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let (database, dump, source) = back_up(driver, &server, &scratch).await;
        let by = dump.facts.iter().find(|(fact, _)| fact == "backup-pinned-by").map(|(_, by)| by.as_str());
        assert!(by.is_some_and(|by| by.contains("database snapshot")), "{driver:?}: {by:?}");
        assert!(dump.remarks.contains(&"not in the logical dump: procedures: 3".to_owned()), "{:?}", dump.remarks);
        let own = DatabaseTarget::Own { replace: false };
        assert_eq!(
            database.survey(&source, &own).await.expect("it answers"),
            DatabaseStanding::Free(Vec::new()),
            "{driver:?}"
        );
        let restored = database.restore(&source, &own).await.unwrap_or_else(|error| panic!("{driver:?}: {error:?}"));
        assert_eq!(restored.changed, Vec::new(), "{driver:?}");
    }
}

/// What the snapshot says of its own size is judged before anything is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_too_long_is_not_read() {
    let server = serve(looked_at(Store::default().script()));
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let (database, _, mut source) = back_up(Driver::Microsoft, &server, &scratch).await;
    let is_manifest = |record: &&mut FileRecord| record.path.to_string().ends_with("/manifest.json");
    source.records.iter_mut().find(is_manifest).expect("it is listed").size = (1 << 30) + 1;
    let error = database.survey(&source, &DatabaseTarget::Own { replace: false }).await.expect_err("it is refused");
    let DatabaseError::Failed { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("1073741825 bytes"), "{source}");
}

/// Begins `work` and gives it up while the one thread for what blocks is busy; then that thread goes on with what is left of it.
async fn given_up(work: impl Future) {
    let (go, busy) = std::sync::mpsc::channel::<()>();
    let busy = tokio::task::spawn_blocking(move || busy.recv());
    tokio::select! {
        biased;
        _ = work => panic!("the thread is busy"),
        () = std::future::ready(()) => {}
    }
    go.send(()).expect("it waits");
    busy.await.expect("no panic").expect("it was sent");
    tokio::task::spawn_blocking(|| ()).await.expect("all before it is done");
}

fn with_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn a_pin_that_was_given_up_makes_no_snapshot_later() {
    with_one_thread(async {
        let server = serve(looked_at(Store::default().script()));
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let (database, ..) = back_up(Driver::Microsoft, &server, &scratch).await;
        let made = count(&server, "CREATE DATABASE");
        let destination = destination_in(&scratch);
        let run = RunId(uuid::Uuid::from_u128(0x01a3));
        let staging: Arc<dyn Staging> = destination.begin(run, None).await.expect("begun");
        let folder = DatabaseFolder::new(run, "CM_P01".to_owned(), staging, rel(PLACE));
        let mut copy = database.prepare(folder).await.expect("it is prepared");
        given_up(copy.pin()).await;
        assert_eq!(count(&server, "CREATE DATABASE"), made);
    });
}

#[test]
fn a_restore_that_was_given_up_ends() {
    with_one_thread(async {
        let server = serve(looked_at(Store::default().script()));
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let (database, _, source) = back_up(Driver::Microsoft, &server, &scratch).await;
        let own = DatabaseTarget::Own { replace: false };
        given_up(database.restore(&source, &own)).await;
        assert_eq!(count(&server, "CREATE TABLE"), 0);
        database.restore(&source, &own).await.expect("it goes on");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_on_the_server_is_told() {
    let script = refusing(looked_at(database()), "IF EXISTS (SELECT 1 FROM sys.databases", 3702);
    let server = serve(script);
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let (_, dump, _) = back_up(Driver::Microsoft, &server, &scratch).await;
    let told = dump.remarks.iter().any(|remark| remark.starts_with("left on the server: ") && remark.contains("3702"));
    assert!(told, "{:?}", dump.remarks);
}
