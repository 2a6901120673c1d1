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
