//! What writers say of themselves.

use super::*;
use crate::ports::database::DatabaseFolder;
use crate::ports::destination::Holder;
use crate::ports::shadow_copies::{DataSource, FileSpec, RestoreMethod, Writer, WriterMetadata, WriterUsage};
use crate::snapshot::RunId;
use crate::writers::{DatabaseWriter, SiteWriter};

fn site_metadata(plan: BackupPlan) -> WriterMetadata {
    let writer = SiteWriter::new(World::new().ports(), Arc::new(plan), RunId(uuid::Uuid::nil()));
    block_on(writer.identify()).expect("the site knows itself")
}

fn database_metadata() -> WriterMetadata {
    let ports = World::new().ports();
    let run = RunId(ports.clock.new_id());
    let writer = block_on(async {
        let database = ports.database.clone().expect("a database");
        let facts = database.inspect().await.expect("it is there");
        let _held = ports.destination.hold(Holder::Run(run)).await.expect("nobody else holds it");
        let staging = ports.destination.begin(run, None).await.expect("memory takes it");
        let folder = DatabaseFolder::new(run, facts.name.clone(), staging, place("SiteDBServer"));
        DatabaseWriter::new(database, facts, folder)
    });
    block_on(writer.identify()).expect("the database is known")
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
    let [component] = &metadata.components[..] else { panic!("one component: {:?}", metadata.components) };
    assert_eq!((component.logical_path.as_str(), component.name.as_str()), ("P01", "SiteServer"));
    assert!(!component.database && !component.selectable);
    assert_eq!(component.files, [files("/site/inboxes", "*", true), files("/site/data", "*", true)]);
    let left_out = [
        files("/site/inboxes", "*.tmp", true),
        files("/site/inboxes", "logs/**", false),
        files("/site/data/state", "*", true),
    ];
    assert_eq!(metadata.exclude, left_out);
}

#[test]
fn the_database_writer_says_which_file_it_pins() {
    let metadata = database_metadata();
    assert_eq!(metadata.source, DataSource::TransactionDatabase);
    let [component] = &metadata.components[..] else { panic!("one component: {:?}", metadata.components) };
    assert!(component.database && component.selectable);
    assert_eq!((component.name.as_str(), component.caption.as_str()), ("CM_P01", "CM_P01 (memory 1)"));
    let [file] = &component.files[..] else { panic!("one file: {:?}", component.files) };
    assert_eq!((file.spec.as_str(), file.recursive), ("CM_P01.db", false));
}

#[test]
fn a_file_in_a_root_is_in_that_root() {
    assert_eq!(FileSpec::file(&path(r"C:\install.map")), files(r"C:\", "install.map", false));
    assert_eq!(FileSpec::file(&path("/site/db")), files("/site", "db", false));
}
