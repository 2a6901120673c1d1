//! The rows of a SQL Server as the database part of a site.

use std::sync::Arc;

use backup_core::manifest::{DatabasePart, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::database::{
    DatabaseDump, DatabaseFolder, DatabaseForm, DatabaseSource, DatabaseStanding, DatabaseTarget, DumpedFile,
    SiteDatabase,
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
use super::{address, serve};

const PLACE: &str = "SiteDBServer";

fn rel(path: &str) -> RelPath {
    RelPath::parse(path).expect("a plain path")
}

fn looked_at(script: Script) -> Script {
    let facts = answer(&["collation", "bytes"], vec![vec!["Greek_CI_AS".into(), Value::Int(8 << 20)]]);
    script.on_part("'Collation')) AS", facts)
}

/// Backs up into a new destination, and opens what was sealed.
async fn back_up(
    driver: Driver,
    server: &TdsServer,
    scratch: &tempfile::TempDir,
) -> (LogicalDatabase, DatabaseDump, DatabaseSource) {
    let root = SitePath::parse(scratch.path().join("backup").to_str().expect("Unicode")).expect("absolute");
    std::fs::create_dir(scratch.path().join("backup")).expect("it is made");
    let destination = LocalDestination::new(root, "P01".parse().expect("a site code"));
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
        assert_eq!(database.survey(&source, &own).await.expect("it answers"), DatabaseStanding::Free, "{driver:?}");
        let changed = database.restore(&source, &own).await.unwrap_or_else(|error| panic!("{driver:?}: {error:?}"));
        assert_eq!(changed.changed, Vec::new(), "{driver:?}");
    }
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
