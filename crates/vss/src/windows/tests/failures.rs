use std::time::Duration;

use backup_core::copy::chain;
use backup_core::ports::shadow_copies::{Consistency, ShadowCopies, ShadowCopyError};

use super::super::{VssOptions, VssProvider};
use super::stand_in::Site;

/// What must hold of a backup that failed: it was aborted once it had asked the writers, nothing is left of it, and the site goes on.
fn assert_let_go(lines: &[String]) {
    let count = |what: &str| lines.iter().filter(|line| *line == what).count();
    let gathered = lines.iter().any(|line| line.starts_with("GatherWriterMetadata"));
    assert_eq!(count("AbortBackup"), usize::from(gathered), "{lines:?}");
    assert_eq!(count("site Freeze"), count("site Thaw"), "{lines:?}");
    assert_eq!((count("site Abort"), count("site PostSnapshot")), (1, 0), "{lines:?}");
    let released: Vec<&String> = lines.iter().filter(|line| line.starts_with("Release, ")).collect();
    if count("Create") == 1 && lines.iter().any(|line| line.starts_with("InitializeForBackup")) {
        assert_eq!(released, ["Release, 0 left"], "{lines:?}");
    }
    let place = |what: &str| lines.iter().position(|line| line.starts_with(what));
    assert!(!gathered || place("AbortBackup") < place("Release"), "{lines:?}");
}

async fn failed(site: &Site) -> (ShadowCopyError, Vec<String>) {
    let error = site.backup().await.expect_err("the script lets it fail");
    let lines = site.lines().await;
    assert_let_go(&lines);
    (error, lines)
}

#[tokio::test]
async fn who_may_not_is_told_who_may() {
    let (error, lines) = failed(&Site::new("denied", "fail Create 80070005")).await;
    let reason = "CreateVssBackupComponents returned E_ACCESSDENIED (0x80070005)";
    let advice = "it takes an administrator or a member of Backup Operators";
    assert_eq!(chain(&error), format!("provider `vss` failed to begin a backup: {reason}: {advice}"));
    assert_eq!(lines, ["site PrepareBackup", "Create", "site Abort"]);
}

#[tokio::test]
async fn another_set_in_the_making_is_an_error_of_its_own() {
    let (error, lines) = failed(&Site::new("in-progress", "fail StartSnapshotSet 80042316")).await;
    assert!(matches!(error, ShadowCopyError::InProgress { .. }), "{error}");
    assert_eq!(lines[lines.len() - 4..], ["StartSnapshotSet", "AbortBackup", "Release, 0 left", "site Abort"]);
}

#[tokio::test]
async fn no_room_for_the_image_aborts() {
    let (error, lines) = failed(&Site::new("no-room", "pending 2\nend DoSnapshotSet 8004231f")).await;
    assert!(!error.is_retryable(), "{error}");
    let reason = "IVssBackupComponents::DoSnapshotSet returned VSS_E_INSUFFICIENT_STORAGE (0x8004231F)";
    assert_eq!(chain(&error), format!("provider `vss` failed to take the shadow copy: {reason}"));
    let end = ["DoSnapshotSet ended", "AbortBackup", "Release, 0 left", "site Thaw", "site Abort"];
    assert_eq!(lines[lines.len() - end.len()..], end);
}

#[tokio::test]
async fn a_writer_of_vss_that_fails_is_named() {
    let (error, _) = failed(&Site::new("at-freeze", "writer 0 9 800423f3 DoSnapshotSet")).await;
    let ShadowCopyError::Writer { writer, step, .. } = &error else { panic!("{error}") };
    assert_eq!((writer.as_str(), *step, error.is_retryable()), ("SMS Writer", "Freeze", true));
    let reason = "its state is [9]: VSS_E_WRITERERROR_RETRYABLE (0x800423F3)";
    assert_eq!(chain(&error), format!("writer `SMS Writer` failed in Freeze: {reason}"));
    let (error, lines) = failed(&Site::new("at-prepare", "writer 0 7 800423f4 PrepareForBackup")).await;
    assert!(matches!(error, ShadowCopyError::Writer { step: "PrepareBackup", .. }), "{error}");
    assert!(!error.is_retryable(), "{error}");
    assert!(!lines.iter().any(|line| line == "DoSnapshotSet"), "{lines:?}");
}

#[tokio::test]
async fn a_writer_that_nothing_was_selected_of_makes_the_set_weaker() {
    let site = Site::new("other-writer", "writer 1 9 800423f2 DoSnapshotSet");
    let set = site.backup().await.expect("its data are in the image as after a power cut");
    assert_eq!(set.consistency, Consistency::Application);
    assert_eq!(
        set.weaker,
        ["writer `System Writer` failed in Freeze: its state is [9]: VSS_E_WRITERERROR_TIMEOUT (0x800423F2)"]
    );
    site.bench.coordinator.release(set.id).await.expect("released");
    let set = Site::new("other-prepare", "writer 1 7 800423f4 PrepareForBackup").backup().await.expect("an image");
    let reason = "its state is [7]: VSS_E_WRITERERROR_NONRETRYABLE (0x800423F4)";
    assert_eq!(set.weaker, [format!("writer `System Writer` failed in PrepareBackup: {reason}")], "told once");
}

#[tokio::test]
async fn a_writer_that_fails_at_the_end_changes_nothing() {
    let site = Site::new("at-complete", "writer 0 12 800423f4 BackupComplete");
    let set = site.backup().await.expect("nothing is wrong yet");
    let faults = site.bench.coordinator.complete(set.id, true).await;
    let [ShadowCopyError::Writer { step: "BackupComplete", .. }] = &faults[..] else { panic!("{faults:?}") };
    site.bench.coordinator.release(set.id).await.expect("released");
    assert_eq!(site.lines().await.last().map(String::as_str), Some("Release, 0 left"));
}

#[tokio::test]
async fn an_operation_that_never_ends_is_cancelled() {
    let limit = Duration::from_millis(50);
    for operation in ["GatherWriterMetadata", "PrepareForBackup", "GatherWriterStatus", "DoSnapshotSet"] {
        let options = VssOptions { limit, ..VssOptions::default() };
        let site = Site::with(&format!("never-{operation}"), &format!("never {operation}"), options);
        let (error, lines) = failed(&site).await;
        let told = format!("provider `vss`: IVssBackupComponents::{operation} took longer than 50ms");
        assert_eq!(error.to_string(), told);
        assert!(lines.contains(&format!("Cancel {operation}")), "{lines:?}");
    }
}

#[tokio::test]
async fn the_freeze_window_ends_what_vss_does_not() {
    let site = Site::new("window", "never DoSnapshotSet");
    let mut request = site.request().await;
    request.limits.freeze = Duration::from_millis(200);
    let prepared = site.bench.coordinator.prepare(request).await.expect("nothing is wrong yet");
    let error = prepared.commit().await.expect_err("the window is over");
    assert_eq!(error.to_string(), "provider `vss` took longer than 200ms");
    let lines = site.lines().await;
    assert_let_go(&lines);
    assert!(lines.contains(&"Cancel DoSnapshotSet".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn a_wish_to_stop_is_heard_while_vss_works() {
    let mut site = Site::new("stopped", "never GatherWriterMetadata");
    site.stops = true;
    let (error, lines) = failed(&site).await;
    assert!(matches!(error, ShadowCopyError::Cancelled), "{error}");
    assert!(lines.contains(&"Cancel GatherWriterMetadata".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn a_caller_who_is_gone_leaves_nothing_behind() {
    let site = Site::new("dropped", "never PrepareForBackup");
    let request = site.request().await;
    let waiting = tokio::time::timeout(Duration::from_millis(300), site.bench.coordinator.prepare(request));
    let _elapsed = waiting.await.expect_err("it never ends");
    let lines = site.lines().await;
    let end = ["PrepareForBackup", "Cancel PrepareForBackup", "AbortBackup", "Release, 0 left"];
    assert_eq!(lines[lines.len() - end.len()..], end);
}

#[tokio::test]
async fn a_veto_of_the_site_aborts_before_the_image() {
    for step in ["PrepareSnapshot", "Freeze"] {
        let mut site = Site::new(&format!("veto-{step}"), "");
        site.fails_at = Some(step);
        let (error, lines) = failed(&site).await;
        assert_eq!(chain(&error), format!("writer `site` failed in {step}: no"));
        assert!(!lines.iter().any(|line| line == "DoSnapshotSet"), "{lines:?}");
    }
}

/// Every call that can fail, at the call and at its end.
#[tokio::test]
async fn whatever_fails_is_told_and_aborted() {
    let calls = [
        "InitializeForBackup",
        "SetContext",
        "SetBackupState",
        "GatherWriterMetadata",
        "GetWriterMetadata",
        "GetComponent",
        "StartSnapshotSet",
        "AddToSnapshotSet",
        "AddComponent",
        "PrepareForBackup",
        "GatherWriterStatus",
        "DoSnapshotSet",
        "GetSnapshotProperties",
        "SaveAsXML",
    ];
    let operations = ["GatherWriterMetadata", "PrepareForBackup", "GatherWriterStatus", "DoSnapshotSet"];
    let fail = calls.map(|call| ("fail", call)).into_iter().chain(operations.map(|operation| ("end", operation)));
    for (how, call) in fail {
        let site = Site::new(&format!("{how}-{call}"), &format!("{how} {call} 8000ffff"));
        let (error, _) = failed(&site).await;
        let said = chain(&error);
        assert!(said.contains(&format!("::{call} returned E_UNEXPECTED (0x8000FFFF)")), "{how} {call}: {said}");
    }
}

#[tokio::test]
async fn a_backup_that_cannot_be_completed_is_aborted() {
    for script in ["fail SetBackupSucceeded 8000ffff", "fail BackupComplete 8000ffff", "end BackupComplete 8000ffff"] {
        let site = Site::new(&script.replace(' ', "-"), script);
        let set = site.backup().await.expect("nothing is wrong yet");
        let faults = site.bench.coordinator.complete(set.id, true).await;
        assert!(matches!(&faults[..], [ShadowCopyError::Provider { action: "complete the backup", .. }]), "{faults:?}");
        site.bench.coordinator.release(set.id).await.expect("released");
        let lines = site.lines().await;
        assert_eq!(lines[lines.len() - 3..], ["AbortBackup", "DeleteSnapshots 11111111 2 1", "Release, 0 left"]);
    }
}

#[tokio::test]
async fn a_shadow_copy_that_stays_is_told() {
    let site = Site::new("stays", "fail DeleteSnapshots 80042302");
    let set = site.backup().await.expect("nothing is wrong yet");
    assert!(site.bench.coordinator.complete(set.id, true).await.is_empty());
    let error = site.bench.coordinator.release(set.id).await.expect_err("it may still be there");
    assert!(chain(&error).contains("DeleteSnapshots returned VSS_E_UNEXPECTED (0x80042302)"), "{error}");
    site.bench.coordinator.release(set.id).await.expect("there is nothing that could be asked again");
    assert_eq!(site.lines().await.last().map(String::as_str), Some("Release, 0 left"));
}

/// Wine has the library, and in it nothing. On Windows itself this would be a backup.
#[tokio::test]
async fn a_system_without_the_service_is_told_so() {
    if std::env::var_os("WINEPREFIX").is_none() {
        return;
    }
    let site = Site::new("of-wine", "");
    let provider = VssProvider::new(VssOptions::default());
    let bench = crate::tests::scripted::Bench::with(Default::default(), std::sync::Arc::new(provider));
    let error = bench.coordinator.prepare(site.request().await).await.expect_err("Wine has stubs only");
    let reason = "CreateVssBackupComponents returned E_NOTIMPL (0x80004001)";
    let advice = "this system has no Volume Shadow Copy Service; shadow-copy = \"pre-copy\" does without one";
    assert_eq!(chain(&error), format!("provider `vss` failed to begin a backup: {reason}: {advice}"));
}
