//! The whole way once, on every platform: a working site is backed up, the snapshot judged, and the site recovered elsewhere.

use std::fs;

use tests::JournalMode;
use vss::documents::{BackupDocument, WriterDocument};

use crate::site::TestSite;

#[test]
fn a_site_is_backed_up_verified_and_recovered() {
    let test = TestSite::running(JournalMode::Wal, 0);
    test.workload.wait_for_progress().expect("the site works");
    test.backup(0);
    let verified = test.run(&["verify", "--read-data"]);
    assert_eq!(verified.code, 0, "{verified:#?}");
    assert_documents(&test);
    let counters = test.recover_to("recovered");
    assert!(counters.agree() && counters.highest() > 0, "{counters}");
    test.assert_services_come_back();
    // A second one takes over what has not changed, and replaces the first.
    test.backup(0);
    assert_eq!(test.snapshots().len(), 1);
}

/// The published snapshot holds what each writer said of itself beside what was backed up of it.
fn assert_documents(test: &TestSite) {
    let snapshot = test.site.destination().join("P01Backup");
    let read = |name: &str| fs::read(snapshot.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let document = BackupDocument::parse(&read("BackupDocument.xml")).expect("our own document");
    assert_eq!(document.writers.len(), 2, "the site and its database: {document:?}");
    for writer in document.writers {
        let own = read(&format!("WriterMetadata-{}.xml", writer.id));
        let own = WriterDocument::parse(&own).expect("our own document");
        assert_eq!(own.instance, writer.instance);
        let names: Vec<&str> = own.metadata.components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, writer.components.iter().map(|component| component.name.as_str()).collect::<Vec<_>>());
        assert!(own.metadata.components.iter().all(|component| !component.files.is_empty()), "{own:?}");
    }
}
