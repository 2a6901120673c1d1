use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::chain;
use backup_core::ports::Source;
use backup_core::ports::restores::{RestoreRequest, RestoreSession, RestoreStatus, RestoreWriter, Restores};
use backup_core::ports::shadow_copies::{SMS_WRITER, ShadowCopyError, WriterError, WriterLevel, WriterMetadata};

use super::super::SystemRestoreWriter;
use super::stand_in::{StandIn, locked, read};
use crate::InProcessRestores;
use crate::tests::scripted::Script;

/// What a backup selected: two components of the SMS Writer, and one of a writer that is on no system.
fn document() -> String {
    format!(
        "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" version=\"1.2\">\
         <WRITER_COMPONENTS instanceId=\"aaaa0000-0001-0002-0102-030405060708\" writerId=\"{SMS_WRITER}\" backupSchema=\"0\">\
         <COMPONENT componentName=\"Site\" componentType=\"filegroup\"/>\
         <COMPONENT logicalPath=\"SMS\" componentName=\"CM_P01\" componentType=\"database\"/></WRITER_COMPONENTS>\
         <WRITER_COMPONENTS instanceId=\"cccc0000-0001-0002-0102-030405060708\" \
         writerId=\"cccccccc-0001-0002-0102-030405060708\" backupSchema=\"0\">\
         <COMPONENT componentName=\"Gone\" componentType=\"filegroup\"/></WRITER_COMPONENTS></BACKUP_COMPONENTS>"
    )
}

/// A writer of this process, which logs to the stand-in's file.
#[derive(Debug)]
struct Site(PathBuf);

impl Site {
    fn step(&self, step: &str) {
        let mut log = locked(&self.0);
        read(&mut log);
        log.write_all(format!("site {step}\n").as_bytes()).expect("the log is written");
    }
}

#[async_trait]
impl RestoreWriter for Site {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let (name, level) = ("site".to_owned(), WriterLevel::FrontEnd);
        Ok(WriterMetadata { name, level, ..WriterMetadata::default() })
    }

    async fn pre_restore(&self) -> Result<(), WriterError> {
        self.step("PreRestore");
        Ok(())
    }

    async fn post_restore(&self, status: RestoreStatus) -> Result<(), WriterError> {
        self.step(&format!("PostRestore {status:?}"));
        Ok(())
    }
}

struct Restore {
    stand_in: StandIn,
    request: RestoreRequest,
}

impl Restore {
    fn new(name: &str, script: &str, document: &str) -> Self {
        let stand_in = StandIn::new(name, script);
        let document = document.as_bytes().to_vec();
        Self::reading(stand_in, move || Ok(document.clone()))
    }

    fn reading(stand_in: StandIn, document: impl Fn() -> Result<Vec<u8>, Source> + Send + Sync + 'static) -> Self {
        let system = SystemRestoreWriter::new(document).with_library(stand_in.library.clone());
        let writers: Vec<Arc<dyn RestoreWriter>> = vec![Arc::new(system), Arc::new(Site(stand_in.log.clone()))];
        let (limit, cancel) = (Duration::from_secs(60), Cancel::default());
        Self { stand_in, request: RestoreRequest { writers, limit, cancel, events: Arc::new(Script::default()) } }
    }

    async fn begin(&self) -> Result<Box<dyn RestoreSession>, ShadowCopyError> {
        InProcessRestores.begin(self.request.clone()).await
    }

    async fn refused(&self) -> (String, Vec<String>) {
        let error = self.begin().await.map(drop).expect_err("it cannot begin");
        (chain(&error), self.stand_in.lines())
    }
}

const BEGUN: &[&str] = &[
    "site PreRestore",
    "Create",
    "InitializeForRestore <BACKUP_COMPONENTS xmlns",
    "GatherWriterMetadata",
    "GatherWriterMetadata ended",
    "GetWriterMetadata 0",
    "GetWriterMetadata 1",
    "SetSelectedForRestore 03ba67dd 2 - Site 1",
    "SetSelectedForRestore 03ba67dd 1 SMS CM_P01 1",
    "PreRestore",
    "PreRestore ended",
    "GatherWriterStatus",
    "GatherWriterStatus ended",
];

fn ended(status: u8, name: &str) -> Vec<String> {
    let lines = [
        format!("SetFileRestoreStatus 03ba67dd 2 - Site {status}"),
        format!("SetFileRestoreStatus 03ba67dd 1 SMS CM_P01 {status}"),
    ];
    let post =
        ["PostRestore", "PostRestore ended", "GatherWriterStatus", "GatherWriterStatus ended", "Release, 0 left"];
    let site = format!("site PostRestore {name}");
    lines.into_iter().chain(post.map(str::to_owned)).chain([site]).collect()
}

/// The lines with only the beginning of the document.
fn shortened(lines: Vec<String>) -> Vec<String> {
    let shorten = |line: String| line.split_once("xmlns").map(|(begin, _)| format!("{begin}xmlns")).unwrap_or(line);
    lines.into_iter().map(shorten).collect()
}

#[tokio::test]
async fn a_restore_makes_its_calls_in_order() {
    for (status, name, number) in [(RestoreStatus::All, "All", 2), (RestoreStatus::Failed, "Failed", 3)] {
        let restore = Restore::new(&format!("restore-{name}"), "pending 2", &document());
        let session = restore.begin().await.expect("nobody minds");
        assert_eq!(shortened(restore.stand_in.take_lines()), BEGUN);
        assert!(session.end(status).await.is_empty());
        assert_eq!(restore.stand_in.lines(), ended(number, name));
    }
}

#[tokio::test]
async fn a_machine_without_the_writers_has_nobody_to_tell() {
    let scripts = [
        ("restore-no-writer", "no-sms-writer"),
        ("restore-no-service", "fail Create 80004001"),
        ("restore-not-registered", "fail Create 80040154"),
    ];
    for (name, script) in scripts {
        let restore = Restore::new(name, script, &document());
        let session = restore.begin().await.expect("nobody minds");
        assert!(session.end(RestoreStatus::All).await.is_empty(), "{name}");
        let lines = restore.stand_in.lines();
        assert!(!lines.iter().any(|line| line.starts_with("PreRestore")), "{name}: {lines:?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("site")).count(), 2, "{name}: {lines:?}");
    }
    let nothing = Restore::new("restore-nothing", "", "<BACKUP_COMPONENTS version=\"1.2\"/>");
    nothing.begin().await.expect("nobody minds").end(RestoreStatus::All).await;
    assert_eq!(nothing.stand_in.lines(), ["site PreRestore", "site PostRestore All"], "nothing of VSS was backed up");
}

/// Each call failing once: nothing is written, and who heard of the restore hears that.
#[tokio::test]
async fn every_failure_ends_it_before_anything_is_written() {
    for call in [
        "Create",
        "InitializeForRestore",
        "GatherWriterMetadata",
        "SetSelectedForRestore",
        "PreRestore",
        "GatherWriterStatus",
    ] {
        let restore = Restore::new(&format!("restore-fail-{call}"), &format!("fail {call} 80042302"), &document());
        let (error, lines) = restore.refused().await;
        assert!(error.contains(&format!("{call} returned VSS_E_UNEXPECTED")) || call == "Create", "{call}: {error}");
        assert_eq!(lines.last().map(String::as_str), Some("site PostRestore Nothing"), "{call}: {lines:?}");
        let created = call != "Create";
        assert_eq!(lines.iter().any(|line| line == "Release, 0 left"), created, "{call}: {lines:?}");
    }
}

#[tokio::test]
async fn a_writer_that_vetoes_is_named_and_hears_that_nothing_was_written() {
    let restore = Restore::new("restore-veto", "writer 0 13 800423f4 PreRestore", &document());
    let (error, lines) = restore.refused().await;
    let reason =
        "writer `SMS Writer` failed in PreRestore: its state is [13]: VSS_E_WRITERERROR_NONRETRYABLE (0x800423F4)";
    assert_eq!(error, format!("writer `VSS` failed in PreRestore: the writers of VSS: {reason}"));
    assert_eq!(lines[BEGUN.len()..], ended(1, "Nothing"));
}

#[tokio::test]
async fn one_that_fails_at_the_end_is_told() {
    let restore = Restore::new("restore-post", "writer 0 14 800423f3 PostRestore", &document());
    let faults = restore.begin().await.expect("nobody minds").end(RestoreStatus::All).await;
    let [fault @ ShadowCopyError::Writer { step: "PostRestore", .. }] = &faults[..] else { panic!("{faults:?}") };
    assert!(chain(fault).contains("its state is [14]"), "{}", chain(fault));
    assert_eq!(
        restore.stand_in.lines().last().map(String::as_str),
        Some("site PostRestore All"),
        "the others hear of it"
    );
}

#[tokio::test]
async fn a_document_that_is_none_ends_it() {
    let restore = Restore::new("restore-no-document", "", "no document");
    let (error, lines) = restore.refused().await;
    assert!(error.contains("read what was backed up"), "{error}");
    assert_eq!(lines, ["site PreRestore", "site PostRestore Nothing"]);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_ends_it() {
    let stand_in = StandIn::new("restore-unreadable", "");
    let (error, lines) = Restore::reading(stand_in, || Err("the disk is torn".into())).refused().await;
    assert!(error.ends_with("failed to read what was backed up: the disk is torn"), "{error}");
    assert_eq!(lines, ["site PreRestore", "site PostRestore Nothing"]);
}

/// A thread that is gone has told nobody, and that is not the end of a restore.
#[tokio::test]
async fn a_thread_that_dies_is_told_at_both_ends() {
    let restore = Restore::reading(StandIn::new("restore-dies", ""), || panic!("a bug"));
    let error = chain(&restore.begin().await.map(drop).expect_err("nobody was told"));
    assert!(error.ends_with("provider `vss` failed to answer a command: its thread has ended"), "{error}");
    let writer = SystemRestoreWriter::new(|| panic!("a bug"));
    for ended in [writer.pre_restore().await, writer.post_restore(RestoreStatus::All).await] {
        let error = chain(&ended.expect_err("nobody was told"));
        assert!(error.ends_with("its thread has ended"), "{error}");
    }
}

#[tokio::test]
async fn a_document_is_read_by_nobody_before_it_is_used() {
    let writer = SystemRestoreWriter::new(|| panic!("nobody writes in place"));
    writer.identify().await.expect("it says who it is");
    writer.post_restore(RestoreStatus::Nothing).await.expect("nobody was told to make way");
}
