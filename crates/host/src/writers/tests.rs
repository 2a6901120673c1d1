use std::fs;
use std::path::Path;
use std::time::Duration;

use backup_core::ports::shadow_copies::WriterLevel;
use tempfile::TempDir;

use super::*;
use crate::services::CommandServices;

fn writer(folder: &Path) -> CommandWriter {
    let sh = |script: &str| vec!["sh".into(), "-c".into(), format!("cd '{}' || exit 9; {script}", folder.display())];
    let config = CommandWriterConfig {
        name: "queue".into(),
        level: WriterLevel::BackEnd,
        freeze: sh("test -e broken && exit 1; echo freeze >> calls"),
        thaw: sh("test -e broken && exit 1; echo thaw >> calls"),
        timeout: Duration::from_secs(30),
        restore: None,
    };
    let control = Arc::new(CommandServices::new(vec![service_of(&config)]));
    CommandWriter::new(config, control)
}

fn calls(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("calls")).unwrap_or_default().replace('\n', " ")
}

#[tokio::test]
async fn a_session_freezes_and_thaws_once() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let writer = writer(folder.path());
    let metadata = writer.identify().await.expect("its commands are there");
    assert_eq!((metadata.name.as_str(), metadata.level, metadata.id), ("queue", WriterLevel::BackEnd, id_of("queue")));
    writer.prepare_backup().await.expect("nothing to do");
    writer.prepare_snapshot().await.expect("nothing to do");
    writer.freeze().await.expect("frozen");
    writer.thaw().await.expect("thawed");
    writer.post_snapshot().await.expect("nothing left to do");
    assert_eq!(calls(&folder), "freeze thaw ");
}

#[tokio::test]
async fn a_thaw_that_failed_is_tried_again() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let writer = writer(folder.path());
    writer.prepare_snapshot().await.expect("nothing to do");
    writer.freeze().await.expect("frozen");
    fs::write(folder.path().join("broken"), "").expect("written");
    let error = writer.thaw().await.expect_err("it is broken");
    assert_eq!(error.to_string(), "failed to thaw `queue`");
    fs::remove_file(folder.path().join("broken")).expect("removed");
    writer.post_snapshot().await.expect("thawed");
    assert_eq!(calls(&folder), "freeze thaw ");
}

/// The process that froze it may have died.
#[tokio::test]
async fn a_new_writer_thaws_what_it_finds() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    writer(folder.path()).abort().await.expect("thawed");
    assert_eq!(calls(&folder), "thaw ");
    let other = writer(folder.path());
    other.prepare_backup().await.expect("nothing to do");
    other.abort().await.expect("nothing to do");
    assert_eq!(calls(&folder), "thaw ", "one that was never asked to come to rest is left alone");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_found_before_the_window() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut writer = writer(folder.path());
    writer.config.thaw = vec!["/no/such/program".into(), "resume".into()];
    let error = writer.identify().await.expect_err("it is not there");
    assert_eq!(error.to_string(), "writer `queue`: its thaw command `/no/such/program resume` is not there");
}

fn restore_writer(folder: &Path, before: &str) -> CommandRestoreWriter {
    let sh = |script: &str| vec!["sh".into(), "-c".into(), format!("cd '{}' || exit 9; {script}", folder.display())];
    let note = |name: &str| format!("echo {name} $SITEBACKUP_RESTORE >> calls");
    let restore =
        Some(RestoreCommands { before: sh(&format!("{}; {before}", note("before"))), after: sh(&note("after")) });
    let config = CommandWriterConfig {
        name: "queue".into(),
        level: WriterLevel::BackEnd,
        freeze: sh("exit 1"),
        thaw: sh("exit 1"),
        timeout: Duration::from_secs(30),
        restore,
    };
    CommandRestoreWriter::new(&config).expect("it has commands for it")
}

#[tokio::test]
async fn it_is_told_of_a_recovery_and_how_it_ended() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let writer = restore_writer(folder.path(), "true");
    assert_eq!(writer.identify().await.expect("its commands are there").id, id_of("queue"), "the same as in backups");
    writer.pre_restore().await.expect("it makes way");
    for status in [RestoreStatus::Nothing, RestoreStatus::All, RestoreStatus::Failed] {
        writer.post_restore(status).await.expect("it works again");
    }
    assert_eq!(calls(&folder), "before begins after nothing after all after failed ");
}

#[tokio::test]
async fn what_a_command_said_is_the_reason() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let error = restore_writer(folder.path(), "echo still busy; exit 7").pre_restore().await.expect_err("it cannot");
    let chain = backup_core::copy::chain(&error);
    assert_eq!(chain, "the pre-restore command of `queue` failed: exit code 7: still busy");
}

#[tokio::test]
async fn a_restore_command_that_is_not_there_is_found_before_it_is_needed() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut writer = restore_writer(folder.path(), "true");
    writer.commands.after = vec!["/nowhere/at-all".to_owned()];
    let error = writer.identify().await.expect_err("it is missing");
    assert_eq!(error.to_string(), "writer `queue`: its post-restore command `/nowhere/at-all` is not there");
}
