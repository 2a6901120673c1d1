use std::path::PathBuf;
use std::time::Duration;

use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{
    Consistency, Image, SMS_WRITER, ShadowCopies, ShadowCopyError, ShadowCopySetId,
};
use uuid::Uuid;

use super::super::backup::{Backup, Patience};
use super::super::calls::Calls;
use super::super::vssapi::Library;
use super::super::{ComponentSelection, VssOptions};
use super::stand_in::{Site, StandIn};

/// A whole backup, as [the published order](https://learn.microsoft.com/windows/win32/vss/overview-of-processing-a-backup-under-vss)
/// has it, with the site's own writer around it.
const PREPARED: &[&str] = &[
    "site PrepareBackup",
    "Create",
    "InitializeForBackup -",
    "SetContext 0",
    "SetBackupState 1 0 5 0",
    "GatherWriterMetadata",
    "GatherWriterMetadata ended",
    "GetWriterMetadata 0",
    "GetWriterMetadata 1",
    "StartSnapshotSet",
    r"AddToSnapshotSet C:\ 00000000",
    "AddComponent aaaa0000 03ba67dd 2 - Site",
    "AddComponent aaaa0000 03ba67dd 1 SMS CM_P01",
    "PrepareForBackup",
    "PrepareForBackup ended",
    "GatherWriterStatus",
    "GatherWriterStatus ended",
    "site PrepareSnapshot",
];
const TAKEN: &[&str] = &[
    "site Freeze",
    "DoSnapshotSet",
    "DoSnapshotSet ended",
    "site Thaw",
    "GatherWriterStatus",
    "GatherWriterStatus ended",
    "GetSnapshotProperties 22222221",
    "SaveAsXML",
    "site PostSnapshot",
];

#[tokio::test]
async fn a_backup_makes_its_calls_in_order() {
    let site = Site::new("in-order", "pending 3");
    let set = site.backup().await.expect("nothing goes wrong");
    assert_eq!(site.stand_in.take_lines(), [PREPARED, TAKEN].concat());
    assert_eq!((set.provider.as_str(), set.consistency, &set.weaker), ("vss", Consistency::Application, &Vec::new()));
    let Image::Borrowed(roots) = &set.image else { panic!("an image to read from") };
    let roots: Vec<String> = roots.iter().map(ToString::to_string).collect();
    let device = r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1\windows";
    assert_eq!(roots, [format!(r"{device}\system32"), device.to_owned()]);
    let documents: Vec<&str> = set.documents.iter().map(|(name, _)| name.as_str()).collect();
    let ours = ["BackupDocument.xml", "WriterMetadata-00000000-0000-0000-0000-000000000000.xml"];
    let theirs = ["BCDocument.xml", "WriterMetadata-vss-0.xml", "WriterMetadata-vss-1.xml"];
    assert_eq!(documents, [&ours[..], &theirs].concat());
    assert_eq!(set.documents[3].1, "<WRITER_METADATA friendlyName=\"SMS Writer\" site=\"ü\"/>".as_bytes());

    assert!(site.bench.coordinator.complete(set.id, true).await.is_empty());
    let completed = [
        "site BackupComplete",
        "SetBackupSucceeded aaaa0000 03ba67dd 2 - Site 1",
        "SetBackupSucceeded aaaa0000 03ba67dd 1 SMS CM_P01 1",
        "BackupComplete",
        "BackupComplete ended",
        "GatherWriterStatus",
        "GatherWriterStatus ended",
    ];
    assert_eq!(site.stand_in.take_lines(), completed);
    site.bench.coordinator.release(set.id).await.expect("released");
    assert_eq!(site.stand_in.take_lines(), ["DeleteSnapshots 11111111 2 1", "Release, 0 left"]);
    site.bench.coordinator.release(set.id).await.expect("releasing is idempotent");
    assert_eq!(site.lines().await, [""; 0]);
}

#[tokio::test]
async fn writers_hear_that_a_backup_failed() {
    let site = Site::new("not-succeeded", "");
    let set = site.backup().await.expect("nothing goes wrong");
    site.stand_in.take_lines();
    assert!(site.bench.coordinator.complete(set.id, false).await.is_empty());
    let lines = site.stand_in.take_lines();
    assert_eq!(lines[..2], ["site BackupFailed", "SetBackupSucceeded aaaa0000 03ba67dd 2 - Site 0"]);
}

#[tokio::test]
async fn a_set_that_is_released_before_its_end_is_aborted() {
    let site = Site::new("released-early", "");
    let set = site.backup().await.expect("nothing goes wrong");
    site.stand_in.take_lines();
    site.bench.coordinator.release(set.id).await.expect("released");
    assert_eq!(site.lines().await, ["AbortBackup", "DeleteSnapshots 11111111 2 1", "Release, 0 left"]);
}

#[tokio::test]
async fn a_prepared_set_can_be_given_up() {
    let site = Site::new("given-up", "");
    site.bench.coordinator.prepare(site.request().await).await.expect("prepared").abort().await;
    let mut lines = site.lines().await;
    lines.retain(|line| line != "site Abort");
    assert_eq!(lines, [PREPARED, &["AbortBackup", "Release, 0 left"]].concat());
}

#[tokio::test]
async fn a_second_set_is_made_while_the_first_one_is_read() {
    let site = Site::new("two-sets", "");
    let first = site.backup().await.expect("nothing goes wrong");
    let second = site.backup().await.expect("nothing goes wrong");
    assert_ne!(first.id, second.id);
    site.stand_in.take_lines();
    for set in [first.id, second.id] {
        assert!(site.bench.coordinator.complete(set, true).await.is_empty());
        site.bench.coordinator.release(set).await.expect("released");
    }
    let lines = site.lines().await;
    assert_eq!(lines.iter().filter(|line| line.starts_with("Release, ")).count(), 2, "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("Release, 0 left"));
}

async fn selected(name: &str, script: &str, components: ComponentSelection) -> Result<Vec<String>, ShadowCopyError> {
    let site = Site::with(name, script, VssOptions { components, ..VssOptions::default() });
    let prepared = site.bench.coordinator.prepare(site.request().await).await?;
    let lines = site.stand_in.lines().into_iter().filter(|line| line.starts_with("AddComponent")).collect();
    prepared.abort().await;
    Ok(lines)
}

#[tokio::test]
async fn components_are_selected_as_asked() {
    let of_system = Uuid::from_u128(0xe813_2975_6f93_4464_a53e_1050_253a_e220);
    let database = |writer| ComponentSelection::These(vec![(writer, "SMS".to_owned(), "CM_P01".to_owned())]);
    let lines = selected("of-system", "", database(of_system)).await.expect("it is offered");
    assert_eq!(lines, ["AddComponent bbbb0000 e8132975 1 SMS CM_P01"]);
    let none = selected("no-sms-writer", "no-sms-writer", ComponentSelection::SmsWriter).await;
    assert_eq!(none.expect("it need not be there"), [""; 0]);
    let missing = selected("missing-component", "no-sms-writer", database(SMS_WRITER)).await.expect_err("not offered");
    let reason = "writer 03ba67dd-dc6d-4729-a038-251f7018463b offers no `SMS\\CM_P01`";
    assert_eq!(backup_core::copy::chain(&missing), format!("provider `vss` failed to select a component: {reason}"));
    let hidden = vec![(SMS_WRITER, "SMS".to_owned(), "Hidden".to_owned())];
    selected("hidden-component", "", ComponentSelection::These(hidden)).await.expect_err("it cannot be selected");
}

/// Calls out of turn are refused here; the library hears of none.
#[test]
fn a_wrong_order_is_an_error_before_any_call() {
    let stand_in = StandIn::new("wrong-order", "");
    let library = Library::at(&stand_in.library).expect("it loads");
    let patience = Patience { limit: Duration::from_secs(60), stop: &|| false };
    let mounts = || vec![SitePath::parse(r"C:\").expect("absolute")];
    let roots = [SitePath::parse(r"C:\windows").expect("absolute")];
    let selection = ComponentSelection::SmsWriter;
    let mut backup = Backup::begin(&library, &Calls::new(None)).expect("nothing goes wrong");
    let check = |wrong: Result<(), ShadowCopyError>| {
        assert!(matches!(wrong, Err(ShadowCopyError::BadState(_))), "{wrong:?}");
        assert_eq!(stand_in.take_lines(), [""; 0]);
    };
    stand_in.take_lines();
    check(backup.start_set(mounts()));
    check(backup.select(&selection));
    check(backup.prepare(&patience));
    check(backup.take(&patience));
    check(backup.look(&roots, &patience).map(drop));
    check(backup.complete(true, &patience).map(drop));
    backup.gather(&patience).expect("its turn");
    stand_in.take_lines();
    check(backup.gather(&patience));
    check(backup.select(&selection));
    check(backup.prepare(&patience));
    check(backup.take(&patience));
    check(backup.look(&roots, &patience).map(drop));
    backup.start_set(mounts()).expect("its turn");
    stand_in.take_lines();
    check(backup.start_set(mounts()));
    backup.select(&selection).expect("its turn");
    backup.prepare(&patience).expect("its turn");
    stand_in.take_lines();
    check(backup.start_set(mounts()));
    check(backup.select(&selection));
    check(backup.complete(true, &patience).map(drop));
    check(backup.look(&roots, &patience).map(drop));
    backup.take(&patience).expect("its turn");
    stand_in.take_lines();
    check(backup.take(&patience));
    check(backup.complete(true, &patience).map(drop));
    backup.look(&roots, &patience).expect("its turn");
    stand_in.take_lines();
    check(backup.take(&patience));
    check(backup.look(&roots, &patience).map(drop));
    check(backup.prepare(&patience));
    backup.complete(true, &patience).expect("its turn");
    stand_in.take_lines();
    check(backup.complete(true, &patience).map(drop));
    check(backup.take(&patience));
    check(backup.look(&roots, &patience).map(drop));
    drop(backup);
    assert_eq!(stand_in.take_lines(), ["Release, 0 left"], "a complete backup is not aborted");
}

#[tokio::test]
async fn nobody_hears_of_a_set_that_was_never_made() {
    let site = Site::new("never-made", "");
    let unknown = ShadowCopySetId(Uuid::nil());
    assert!(site.bench.coordinator.complete(unknown, true).await.is_empty());
    site.bench.coordinator.release(unknown).await.expect("an unknown set is released");
    assert_eq!(site.lines().await, [""; 0]);
}

#[tokio::test]
async fn a_library_that_is_not_there_is_an_error() {
    let provider = super::super::VssProvider::with_library(VssOptions::default(), PathBuf::from(r"C:\not-there.dll"));
    let site = Site::new("not-there", "");
    let bench = crate::tests::scripted::Bench::with(Default::default(), std::sync::Arc::new(provider));
    let error = bench.coordinator.prepare(site.request().await).await.expect_err("nothing is loaded");
    assert_eq!(error.to_string(), "provider `vss` failed to load `vssapi.dll`");
}
