//! A component of SQL Server's writer beside the sources, whole or not at all.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::copy::chain;
use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{SQL_SERVER_WRITER, ShadowCopies, ShadowCopyError, WantedComponent};

use super::super::{ComponentSelection, VssOptions, VssProvider};
use super::stand_in::Site;
use crate::provider::Best;
use crate::tests::scripted::{Bench, Script};

fn wanted() -> WantedComponent {
    WantedComponent {
        writer: SQL_SERVER_WRITER,
        writer_name: "SqlServerWriter".to_owned(),
        logical_path: "site1".to_owned(),
        name: "cm_p01".to_owned(),
        known: Vec::new(),
        remedy: "start SQLWriter".to_owned(),
    }
}

/// A database with its data on one volume and its log on another.
struct Database {
    data: PathBuf,
    log: PathBuf,
    script: String,
}

impl Database {
    /// The files of the test of this name.
    fn new(name: &str) -> Self {
        let [data, log] = ["C:", "E:"].map(|drive| PathBuf::from(format!(r"{drive}\sql-{name}")));
        for (folder, file) in [(&data, "CM_P01.mdf"), (&log, "CM_P01_log.ldf")] {
            fs::create_dir_all(folder).expect("a folder");
            fs::write(folder.join(file), "content").expect("written");
        }
        let file = |number, folder: &PathBuf, file| format!("sql-file CM_P01 {number} {} {file}\n", folder.display());
        let script = [
            "sql-writer\nsql-component SITE1 master\nsql-component SITE1 CM_P01\n".to_owned(),
            file(0, &data, "CM_P01.mdf"),
            file(2, &log, "CM_P01_log.ldf"),
        ]
        .concat();
        Self { data, log, script }
    }

    fn site(&self, name: &str, more: &str) -> Site {
        Site { components: vec![wanted()], ..Site::new(name, &format!("{}{more}\n", self.script)) }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for folder in [&self.data, &self.log] {
            fs::remove_dir_all(folder).expect("removed");
        }
    }
}

/// Why there is no image; nothing of it is left then, and the site goes on.
async fn refused(site: &Site) -> (ShadowCopyError, Vec<String>) {
    let error = site.backup().await.expect_err("the script lets it fail");
    let lines = site.lines().await;
    let count = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("AbortBackup"), count("Release, 0 left"), count("site Abort")), (1, 1, 1), "{lines:?}");
    (error, lines)
}

/// The same, where it was told before a service stopped that the component cannot be had.
async fn not_to_be_had(site: &Site) -> String {
    let (error, lines) = refused(site).await;
    assert!(!lines.iter().any(|line| line == "site PrepareSnapshot"), "{lines:?}");
    assert!(matches!(error, ShadowCopyError::Component { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn the_component_is_selected_and_its_files_are_on_the_image() {
    let database = Database::new("selected");
    let site = database.site("sql-selected", "");
    let set = site.backup().await.expect("nothing goes wrong");
    let lines = site.stand_in.take_lines();
    let of = |start: &str| lines.iter().filter(|line| line.starts_with(start)).cloned().collect::<Vec<_>>();
    assert_eq!(of("AddToSnapshotSet"), [r"AddToSnapshotSet C:\ 00000000", r"AddToSnapshotSet E:\ 00000000"]);
    let added = of("AddComponent");
    assert_eq!(
        (added.len(), added.last().map(String::as_str)),
        (3, Some("AddComponent cccc0000 a65faa63 2 SITE1 CM_P01"))
    );
    let files = set.components.iter().flatten().map(|file| (file.original.to_string(), file.place.to_string()));
    let device = r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy";
    let expect = [
        (r"C:\sql-selected\CM_P01.mdf".to_owned(), format!(r"{device}1\sql-selected\CM_P01.mdf")),
        (r"E:\sql-selected\CM_P01_log.ldf".to_owned(), format!(r"{device}2\sql-selected\CM_P01_log.ldf")),
    ];
    assert_eq!(files.collect::<Vec<_>>(), expect);
    assert!(site.bench.coordinator.complete(set.id, true).await.is_empty());
    let told = site.stand_in.take_lines();
    assert!(told.contains(&"SetBackupSucceeded cccc0000 a65faa63 2 SITE1 CM_P01 1".to_owned()), "{told:?}");
    site.bench.coordinator.release(set.id).await.expect("released");
    assert_eq!(site.lines().await.last().map(String::as_str), Some("Release, 0 left"));
}

#[tokio::test]
async fn one_that_was_selected_anyway_is_added_once() {
    let database = Database::new("once");
    let these = vec![(SQL_SERVER_WRITER, "SITE1".to_owned(), "CM_P01".to_owned())];
    let options = VssOptions { components: ComponentSelection::These(these), ..VssOptions::default() };
    let site = Site { components: vec![wanted()], ..Site::with("sql-once", &database.script, options) };
    site.backup().await.expect("nothing goes wrong");
    let added = site.lines().await.into_iter().filter(|line| line.starts_with("AddComponent"));
    assert_eq!(added.collect::<Vec<_>>(), ["AddComponent cccc0000 a65faa63 2 SITE1 CM_P01"]);
}

#[tokio::test]
async fn a_writer_or_a_component_that_is_missing_is_named_beside_what_is_there() {
    let site = Site { components: vec![wanted()], ..Site::new("sql-no-writer", "") };
    let said = not_to_be_had(&site).await;
    let missing = "writer `SqlServerWriter` {a65faa63-5ea8-4ebc-9dbd-a0c4db26912a} did not answer; these did: `SMS Writer`, `System Writer`";
    assert_eq!(said, format!(r"component `site1\cm_p01` cannot be backed up: {missing}"));
    let offered = "sql-writer\nsql-component SITE1 master\nsql-component SITE1\\REPORTS CM_P01";
    let said = not_to_be_had(&Site { components: vec![wanted()], ..Site::new("sql-not-offered", offered) }).await;
    assert!(said.ends_with(r"does not offer it; it offers: `SITE1\master`, `SITE1\REPORTS\CM_P01`"), "{said}");
    let hidden = Site::new("sql-hidden", "sql-writer\nsql-component SITE1 CM_P01 hidden");
    let said = not_to_be_had(&Site { components: vec![wanted()], ..hidden }).await;
    assert!(said.ends_with("does not let it be selected"), "{said}");
}

#[tokio::test]
async fn a_writer_that_lies_about_its_files_is_not_believed() {
    const OFFER: &str = "sql-writer\nsql-component SITE1 CM_P01\n";
    for (name, line, reason) in [
        ("none", "", "names no file of it"),
        ("pattern", r"sql-file CM_P01 0 C:\sql *.mdf", "a pattern and no file"),
        ("recursive", r"sql-file CM_P01 0 C:\sql x.mdf recursive", "a pattern and no file"),
        ("escape", r"sql-file CM_P01 1 C:\sql ..\x.mdf", "no name of a file"),
        ("up", r"sql-file CM_P01 1 C:\sql\..\.. x.mdf", "no whole path"),
        ("share", r"sql-file CM_P01 2 \\server\share x.ldf", "on no drive of this machine"),
        ("elsewhere", r"sql-file CM_P01 0 C:\sql x.mdf plain E:\", r"to be read in `E:\` instead"),
        ("many", "sql-count CM_P01 4000000000", "names 4000000000 files of it"),
        ("gone", r"sql-file CM_P01 0 C:\windows not-there.mdf", r"`C:\windows\not-there.mdf` is not to be found"),
    ] {
        let site = Site::new(&format!("sql-lie-{name}"), &format!("{OFFER}{line}\n"));
        let said = not_to_be_had(&Site { components: vec![wanted()], ..site }).await;
        assert!(said.contains(reason), "{name}: {said}");
    }
    let site = Site::new("sql-get-file", &format!("{OFFER}sql-file CM_P01 0 C:\\windows x\nfail GetFile 80042302\n"));
    let (error, _) = refused(&Site { components: vec![wanted()], ..site }).await;
    assert!(chain(&error).contains("IVssWMComponent::GetFile returned VSS_E_UNEXPECTED"), "{}", chain(&error));
}

#[tokio::test]
async fn a_component_that_would_be_torn_is_refused_with_the_file_and_the_volume() {
    let database = Database::new("torn");
    let said = not_to_be_had(&database.site("sql-torn", r"refuse-volume E:\ 8004230c")).await;
    let torn = r"`E:\sql-torn\CM_P01_log.ldf` lies on volume `E:\`, which cannot be imaged";
    assert!(said.contains(torn) && said.contains("VSS_E_VOLUME_NOT_SUPPORTED"), "{said}");
}

#[tokio::test]
async fn a_writer_that_fails_for_it_fails_the_set() {
    let database = Database::new("fails");
    for (state, step, operation) in [
        (7, "PrepareBackup", "PrepareForBackup"),
        (9, "Freeze", "DoSnapshotSet"),
        (10, "Thaw", "DoSnapshotSet"),
        (11, "PostSnapshot", "DoSnapshotSet"),
    ] {
        let site = database.site(&format!("sql-fails-{state}"), &format!("writer 2 {state} 800423f4 {operation}"));
        let (error, lines) = refused(&site).await;
        let ShadowCopyError::Writer { writer, step: failed, .. } = &error else { panic!("{error}") };
        assert_eq!((writer.as_str(), *failed), ("SqlServerWriter", step));
        assert_eq!(lines.iter().any(|line| line == "site Thaw"), state > 7, "{lines:?}");
    }
    let site = database.site("sql-fails-12", "writer 2 12 800423f4 BackupComplete");
    let set = site.backup().await.expect("nothing is wrong yet");
    let faults = site.bench.coordinator.complete(set.id, true).await;
    let [ShadowCopyError::Writer { step: "BackupComplete", .. }] = &faults[..] else { panic!("{faults:?}") };
}

#[tokio::test]
async fn a_check_asks_the_writers_and_makes_no_image() {
    let database = Database::new("inspected");
    let inspect = async |site: &Site| {
        let request = site.request().await;
        site.stand_in.take_lines();
        let samples = vec![SitePath::parse(r"C:\windows").expect("absolute")];
        site.bench.coordinator.inspect(samples, request.components, request.files).await
    };
    let site = database.site("sql-inspected", "");
    let told = inspect(&site).await.expect("it is there");
    let files = r"`C:\sql-inspected\CM_P01.mdf`, `E:\sql-inspected\CM_P01_log.ldf`";
    assert_eq!(told, [format!(r"vss: component `site1\cm_p01` with {files}; volumes `C:\`, `E:\`")]);
    let lines = site.lines().await;
    assert!(!lines.iter().any(|line| line.starts_with("StartSnapshotSet") || line.starts_with("site ")), "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["AbortBackup", "Release, 0 left"]);
    let none = Site { components: vec![wanted()], ..Site::new("sql-inspected-none", "") };
    let error = inspect(&none).await.expect_err("there is no such writer");
    assert!(matches!(error, ShadowCopyError::Component { .. }), "{error:?}");
    assert_eq!(none.lines().await.last().map(String::as_str), Some("Release, 0 left"));
}

/// Copies of files that a server has open are no database: there is nothing to fall back to.
#[tokio::test]
async fn nothing_is_copied_instead() {
    let provider = VssProvider::with_library(VssOptions::default(), PathBuf::from(r"C:\not-there.dll"));
    let bench = Bench::with(Script::default(), Arc::new(Best::new(vec![Arc::new(provider)])));
    let request = async |components| {
        let mut request = bench.request(Vec::new()).await;
        request.components = components;
        bench.coordinator.prepare(request).await
    };
    let error = request(vec![wanted()]).await.expect_err("there is no library");
    assert_eq!(error.to_string(), "provider `vss` failed to load `vssapi.dll`");
    request(Vec::new()).await.expect("without it files are copied").abort().await;
}
