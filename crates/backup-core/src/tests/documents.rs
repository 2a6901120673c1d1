//! What writers say of themselves, and the documents of it in a snapshot.

use super::*;
use crate::config::SiteConfig;
use crate::destination::DestinationOption;
use crate::manifest::RecordKind;
use crate::plan::{PlanError, Tasks};
use crate::ports::shadow_copies::{
    BACKUP_DOCUMENT, DataSource, FileSpec, RestoreMethod, Writer, WriterLevel, WriterMetadata, WriterUsage,
    writer_document,
};
use crate::recover::{RecoverRequest, RecoveryEnd, RecoveryPorts, recover};
use crate::snapshot::RunId;
use crate::verify::read_snapshot;
use crate::writer_metadata::{of_database, writer_metadata};
use crate::writers::SiteWriter;

fn site_metadata(plan: BackupPlan) -> WriterMetadata {
    let ports = World::new().ports();
    let facts = block_on(ports.database.as_ref().expect("a database").inspect()).expect("it is there");
    let writer = SiteWriter::new(ports, Arc::new(plan), RunId(uuid::Uuid::nil()), Some(facts));
    block_on(writer.identify()).expect("the site knows itself")
}

fn files(path: &str, spec: &str, recursive: bool) -> FileSpec {
    FileSpec { path: path.to_owned(), spec: spec.to_owned(), recursive, alternate: None }
}

#[test]
fn the_site_writer_says_what_it_owns_and_what_it_leaves_out() {
    let mut plan = plan();
    plan.files[0].source.exclude = vec!["**/*.tmp".to_owned(), "logs/**".to_owned()];
    plan.files[1].source.skip = vec![path("/site/data/state")];
    let metadata = site_metadata(plan);
    assert_eq!((metadata.usage, metadata.source), (WriterUsage::UserData, DataSource::Other));
    assert_eq!(metadata.restore, Some(RestoreMethod::default()));
    let [component, database] = &metadata.components[..] else { panic!("two: {:?}", metadata.components) };
    assert_eq!((component.logical_path.as_str(), component.name.as_str()), ("P01", "SiteServer"));
    assert!(!component.database && component.selectable);
    // Another program may choose it by itself.
    assert_eq!((database.logical_path.as_str(), database.name.as_str()), ("P01", "CM_P01"));
    assert!(database.database && database.selectable);
    assert_eq!(
        (database.caption.as_str(), &database.files),
        ("CM_P01 (memory 1)", &vec![files("/site/db", "CM_P01.db", false)])
    );
    assert_eq!(component.files, [files("/site/inboxes", "*", true), files("/site/data", "*", true)]);
    let left_out = [
        files("/site/inboxes", "*.tmp", true),
        files("/site/inboxes", "logs/**", false),
        files("/site/data/state", "*", true),
    ];
    assert_eq!(metadata.exclude, left_out);
}

/// Without a database there is none to choose; with one it is listed once, by the site's writer.
#[test]
fn the_database_is_listed_once() {
    let world = World::new();
    let written = |plan: &BackupPlan| block_on(writer_metadata(&world.ports(), plan)).expect("memory knows itself");
    let owned = |plan: &BackupPlan| {
        let names = |writer: WriterMetadata| writer.components.into_iter().map(|component| component.name);
        written(plan).into_iter().flat_map(names).collect::<Vec<_>>()
    };
    assert_eq!(owned(&plan()), ["SiteServer", "CM_P01"]);
    assert_eq!(owned(&BackupPlan { database: None, ..plan() }), ["SiteServer"]);
    let of_database = written(&plan()).into_iter().find(|writer| writer.level == WriterLevel::BackEnd);
    assert_eq!(of_database.expect("it pins the database").source, DataSource::TransactionDatabase);
}

#[test]
fn a_file_in_a_root_is_in_that_root() {
    assert_eq!(FileSpec::file(&path(r"C:\install.map")), files(r"C:\", "install.map", false));
    assert_eq!(FileSpec::file(&path("/site/db")), files("/site", "db", false));
}

/// The documents of a run: that of the session, then the site's and the database's.
fn names() -> [String; 3] {
    let of_writer = |metadata: WriterMetadata| writer_document(metadata.id, 0);
    [BACKUP_DOCUMENT.to_owned(), of_writer(site_metadata(plan())), of_writer(of_database())]
}

#[test]
fn every_snapshot_holds_the_documents_of_its_session_and_of_each_writer() {
    let world = World::new();
    // The second run takes over what is unchanged, and documents never are.
    for _ in 0..2 {
        backup(&world);
        let snapshot = &snapshots(&world.ports())[0];
        let (_, records) = block_on(read_snapshot(open(&world.ports(), snapshot).as_ref())).expect("it can be read");
        for name in names() {
            let record = records.iter().find(|record| record.path == place(&name)).expect("the document is listed");
            assert_eq!((record.kind, record.size > 0, record.hash.is_some()), (RecordKind::Made, true, true));
        }
        assert_all_good(&world, "with documents");
    }
}

#[test]
fn a_recovery_puts_no_document_into_the_site() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let ports = world.ports();
    world.lock().services.values_mut().for_each(|state| *state = crate::ports::services::ServiceState::Stopped);
    let recovery = RecoveryPorts::of(&ports, vec!["SMS_EXECUTIVE".to_owned()]);
    let request = RecoverRequest { overwrite_newer: true, ..RecoverRequest::default() };
    let report = block_on(recover(&recovery, open(&ports, &snapshot), &request));
    let report = report.expect("the snapshot can be read");
    assert_eq!(report.end(), RecoveryEnd::Whole, "{:?}", report.findings);
    let names = names();
    let is_document = |file: &&SitePath| names.iter().any(|name| file.name() == Some(name.as_bytes()));
    assert_eq!(world.lock().files.keys().find(is_document), None);
}

#[test]
fn no_task_writes_where_documents_go() {
    let config =
        SiteConfig::new("P01".parse().expect("a site code"), DestinationOption::Local(path("/backup")), path("/state"));
    let judged = |name: &str| {
        let tasks = Tasks { files: vec![(path("/site/data"), place(name))], ..Tasks::default() };
        BackupPlan::new(&config, tasks, Vec::new()).map(drop)
    };
    for name in names().iter().flat_map(|name| [name.clone(), name.to_uppercase(), format!("{name}/below")]) {
        let errors = judged(&name).expect_err("the place is the snapshot's own");
        assert_eq!(errors, [PlanError::ReservedPlace(place(&name))]);
    }
    for name in ["WriterMetadata", "below/BackupDocument.xml", "BackupDocument.xml.old"] {
        judged(name).expect("a place like any other");
    }
}
