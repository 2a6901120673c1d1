use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::chain;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{
    Attributes, FileKind, FileSource, FileStat, FileTime, OpenFile, SiteFiles, SiteFilesError, Walk, WalkEntry,
};

use super::super::{ComponentSelection, SelfTest, Verdict, VssOptions, VssProvider};
use super::stand_in::StandIn;

/// A volume with `size` bytes in its only file, which can be read or not.
#[derive(Debug, Clone)]
struct Volume {
    size: u64,
    readable: bool,
}

#[async_trait]
impl SiteFiles for Volume {
    async fn sync(&self, _roots: &[SitePath]) -> Result<(), SiteFilesError> {
        Ok(())
    }

    async fn walk(&self, source: &FileSource) -> Result<Walk, SiteFilesError> {
        // In the second folder below the root: the first two walks find nothing.
        if source.exclude.iter().any(|pattern| pattern.split('/').count() < 4) {
            return Ok(Walk::default());
        }
        let time = FileTime(0, 0);
        let (kind, size) = (FileKind::File, self.size);
        let stat = FileStat {
            kind,
            size,
            modified: time,
            changed: time,
            id: Default::default(),
            links: 1,
            mode: 0,
            owner: 0,
            group: 0,
        };
        Ok(Walk { entries: vec![WalkEntry { path: path("a/b/file"), stat }], problems: Vec::new() })
    }

    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
        match self.readable {
            true => Ok(Box::new(self.clone())),
            false => Err(SiteFilesError::Missing(path.clone())),
        }
    }

    fn attributes(&self, _path: &SitePath) -> Result<Attributes, SiteFilesError> {
        Ok(Vec::new())
    }
}

impl OpenFile for Volume {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        unreachable!("its size is known")
    }

    fn read_at(&self, _offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        Ok(buffer.len().min(usize::try_from(self.size).expect("a small file")))
    }

    fn next_data(&self, _offset: u64) -> Result<Option<std::ops::Range<u64>>, SiteFilesError> {
        unreachable!("it is read from its beginning")
    }
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).expect("a plain path")
}

async fn test_of(provider: &VssProvider, volume: Volume) -> SelfTest {
    let places = vec![SitePath::parse(r"C:\").expect("absolute")];
    provider.self_test(places, Arc::new(volume), Cancel::default()).await
}

const READABLE: Volume = Volume { size: 3, readable: true };

/// A self-test of the library with a script, and what the library heard.
async fn tested(name: &str, script: &str, volume: Volume) -> (SelfTest, Vec<String>) {
    let stand_in = StandIn::new(&format!("self-test-{name}"), script);
    let provider = VssProvider::with_library(VssOptions::default(), stand_in.library.clone());
    let test = test_of(&provider, volume).await;
    (test, stand_in.take_lines())
}

/// The shadow copy goes with the backup, so it must be released, and everything with it.
fn assert_nothing_left(lines: &[String]) {
    assert_eq!(lines.last().map(String::as_str), Some("Release, 0 left"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("Release")).count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_self_test_makes_the_calls_of_a_backup_and_keeps_nothing() {
    let (test, lines) = tested("good", "pending 2", READABLE).await;
    assert_eq!((test.verdict(), test.error.is_none()), (Verdict::Passed, true), "{test:?}");
    assert_nothing_left(&lines);
    let made: Vec<String> = lines.iter().map(|line| line.split(' ').next().expect("a word").to_owned()).collect();
    let name = |name: &str| name.rsplit("::").next().expect("a name").replace("CreateVssBackupComponents", "Create");
    let mut told: Vec<String> = test.calls.iter().map(|call| name(call.name)).collect();
    // What the library does not log.
    let logged = |name: &String| made.contains(name) || name == "Release,";
    told.iter_mut().filter(|name| *name == "Release").for_each(|name| name.push(','));
    told.retain(logged);
    // SaveAsXML is a method of the documents of writers, too, where it is not logged.
    let (told_xml, made_xml) = (told.iter().filter(|name| *name == "SaveAsXML").count(), 1);
    assert_eq!(told_xml, made_xml + 2, "{told:?}");
    let without = |names: &[String]| names.iter().filter(|name| *name != "SaveAsXML").cloned().collect::<Vec<_>>();
    let made: Vec<String> = without(&made).into_iter().filter(|name| name != "GetComponent").collect();
    assert_eq!(without(&told), made, "each call is told, in order");
    let states: Vec<_> =
        test.writers.iter().map(|writer| (writer.name.as_str(), writer.components, writer.states.len())).collect();
    assert_eq!(states, [("SMS Writer", 3, 3), ("System Writer", 3, 3)]);
    let [file] = &test.files[..] else { panic!("{test:?}") };
    assert_eq!(
        (file.path.to_string().as_str(), file.bytes),
        (r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1\a\b\file", 3)
    );
    assert!(!lines.iter().any(|line| line == "AbortBackup"), "{lines:?}");
}

#[tokio::test]
async fn nothing_is_selected_where_nothing_is_to_be() {
    let stand_in = StandIn::new("self-test-unselected", "");
    let options = VssOptions { components: ComponentSelection::These(Vec::new()), ..VssOptions::default() };
    let test = test_of(&VssProvider::with_library(options, stand_in.library.clone()), READABLE).await;
    assert_eq!(test.verdict(), Verdict::Passed, "{test:?}");
    let lines = stand_in.take_lines();
    assert!(
        !lines.iter().any(|line| line.starts_with("AddComponent")
            || line.starts_with("SetBackup") && !line.starts_with("SetBackupState")),
        "{lines:?}"
    );
}

/// Every call that can fail, at the call and at its end: it is the last failure told, and nothing is left.
#[tokio::test]
async fn whatever_fails_is_named_and_leaves_nothing() {
    let calls = [
        "Create",
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
        "SetBackupSucceeded",
        "BackupComplete",
        "DeleteSnapshots",
    ];
    let operations =
        ["GatherWriterMetadata", "PrepareForBackup", "GatherWriterStatus", "DoSnapshotSet", "BackupComplete"];
    let fail = calls.map(|call| ("fail", call)).into_iter().chain(operations.map(|operation| ("end", operation)));
    for (how, call) in fail {
        let (test, lines) = tested(&format!("{how}-{call}"), &format!("{how} {call} 8000ffff"), READABLE).await;
        assert_eq!(test.verdict(), Verdict::Failed, "{how} {call}");
        let failed: Vec<_> =
            test.calls.iter().filter(|call| !call.result.is_ok() && !call.name.starts_with("Co")).collect();
        let [told] = &failed[..] else { panic!("{how} {call}: {failed:?}") };
        assert!(told.name.contains(call), "{told:?}");
        assert_eq!((told.result.number(), told.ended), (0x8000_ffff, how == "end"), "{told:?}");
        let said = chain(test.error.as_ref().expect("it failed"));
        assert!(said.contains("E_UNEXPECTED (0x8000FFFF)"), "{said}");
        if call == "Create" {
            assert_eq!(lines, ["Create"]);
            continue;
        }
        assert_nothing_left(&lines);
        let taken = lines.iter().any(|line| line == "BackupComplete ended") && (how, call) != ("end", "BackupComplete");
        let gathered = lines.iter().any(|line| line.starts_with("GatherWriterMetadata"));
        assert_eq!(lines.iter().any(|line| line == "AbortBackup"), gathered && !taken, "{how} {call}: {lines:?}");
    }
}

#[tokio::test]
async fn an_image_that_cannot_be_read_is_a_failure_that_the_writers_hear_of() {
    let (test, lines) = tested("unreadable", "", Volume { readable: false, ..READABLE }).await;
    assert_eq!(test.verdict(), Verdict::Failed);
    let said = chain(test.error.as_ref().expect("it failed"));
    let device = r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1";
    assert_eq!(said, format!(r"provider `vss` failed to read the shadow copy: `{device}\a\b\file` does not exist"));
    assert!(lines.contains(&"SetBackupSucceeded aaaa0000 03ba67dd 2 - Site 0".to_owned()), "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["DeleteSnapshots 11111111 2 1", "Release, 0 left"]);
    let (test, _) = tested("empty", "", Volume { size: 0, ..READABLE }).await;
    assert!(
        chain(test.error.as_ref().expect("it failed")).ends_with(&format!("no file lies below `{device}\\`")),
        "{test:?}"
    );
}

#[tokio::test]
async fn a_writer_that_fails_is_not_all_well() {
    for (name, script) in
        [("frozen", "writer 1 9 800423f2 DoSnapshotSet"), ("completed", "writer 0 12 800423f4 BackupComplete")]
    {
        let (test, lines) = tested(name, script, READABLE).await;
        assert_eq!((test.verdict(), test.weaker.len()), (Verdict::Weaker, 1), "{test:?}");
        assert!(test.writers.iter().any(|writer| writer.states.iter().any(|(state, _)| *state > 5)), "{test:?}");
        assert_nothing_left(&lines);
    }
}

#[tokio::test]
async fn an_operation_that_never_ends_is_cancelled_and_told() {
    let stand_in = StandIn::new("self-test-never", "never DoSnapshotSet");
    let options = VssOptions { limit: Duration::from_millis(50), ..VssOptions::default() };
    let test = test_of(&VssProvider::with_library(options, stand_in.library.clone()), READABLE).await;
    assert_eq!(test.verdict(), Verdict::Failed);
    assert!(test.calls.iter().any(|call| call.name == "IVssAsync::Cancel"), "{test:?}");
    assert_nothing_left(&stand_in.take_lines());
}

#[tokio::test]
async fn a_system_without_the_service_is_told_from_a_failure() {
    let (test, _) = tested("not-registered", "fail Create 80040154", READABLE).await;
    assert_eq!(test.verdict(), Verdict::NotAvailable);
    let (test, _) = tested("denied", "fail Create 80070005", READABLE).await;
    assert_eq!(test.verdict(), Verdict::Failed);
    let missing = VssProvider::with_library(VssOptions::default(), PathBuf::from(r"C:\not-there.dll"));
    assert_eq!(test_of(&missing, READABLE).await.verdict(), Verdict::NotAvailable);
    let nowhere = vec![SitePath::parse("/not/of/windows").expect("absolute")];
    let test = missing.self_test(nowhere, Arc::new(READABLE), Cancel::default()).await;
    assert_eq!(test.verdict(), Verdict::Failed, "the volume was not found: {test:?}");
    // Wine has the library, and in it nothing.
    if std::env::var_os("WINEPREFIX").is_some() {
        let test = test_of(&VssProvider::new(VssOptions::default()), READABLE).await;
        assert_eq!(test.verdict(), Verdict::NotAvailable, "{test:?}");
        assert_eq!(test.calls.last().map(|call| call.result.name()), Some(Some("E_NOTIMPL")));
    }
}
