//! The whole way once, on every platform: a working site is backed up, the snapshot judged, and the site recovered elsewhere.

use tests::JournalMode;

use crate::site::TestSite;

#[test]
fn a_site_is_backed_up_verified_and_recovered() {
    let test = TestSite::running(JournalMode::Wal, 0);
    test.workload.wait_for_progress().expect("the site works");
    test.backup(0);
    let verified = test.run(&["verify", "--read-data"]);
    assert_eq!(verified.code, 0, "{verified:#?}");
    let counters = test.recover_to("recovered");
    assert!(counters.agree() && counters.highest() > 0, "{counters}");
    test.assert_services_come_back();
    // A second one takes over what has not changed, and replaces the first.
    test.backup(0);
    assert_eq!(test.snapshots().len(), 1);
}
