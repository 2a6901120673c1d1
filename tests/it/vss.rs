//! The real program on Windows' shadow copy service, for which a library stands in.
//!
//! The program loads `vssapi.dll` from the system's folder and nowhere else. A manifest beside a copy of it says that the library beside it
//! is meant, as Windows and Wine have it for private libraries; the program knows nothing of that.

mod sql_server;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::program::{Program, Ran};
use tests::{JournalMode, SampleSiteOptions};

use crate::site::{TestSite, workload_program};

/// Where `cargo xtask windows` has put the library.
const PLACE: &str = "SITEBACKUP_FAKE_VSSAPI";

const MANIFEST: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <assemblyIdentity type="win32" name="sitebackup" version="1.0.0.0" processorArchitecture="amd64"/>
  <file name="vssapi.dll"/>
</assembly>
"#;

/// A working site with `shadow-copy = "<choice>"`.
pub(crate) fn running(choice: &str) -> TestSite {
    let task = format!("shadow-copy = \"{choice}\"\n");
    let workload = workload_program();
    // The library copies the site by calls that know no odd names.
    let options =
        SampleSiteOptions { journal_mode: JournalMode::Wal, nasty: false, workload, task, ..Default::default() };
    TestSite::with(options)
}

/// Has the site ask for another provider.
fn choose(test: &TestSite, from: &str, to: &str) {
    let text = fs::read_to_string(test.site.site_toml()).expect("it is there");
    fs::write(test.site.site_toml(), text.replace(&format!("\"{from}\""), &format!("\"{to}\""))).expect("written");
}

/// A copy of the program with the library beside it.
pub(crate) struct StandIn {
    folder: TempDir,
}

impl StandIn {
    pub(crate) fn new() -> Self {
        let place = std::env::var(PLACE).unwrap_or_else(|_| panic!("{PLACE} is not set: run `cargo xtask windows`"));
        let folder = tempfile::tempdir().expect("a scratch folder");
        let stand_in = Self { folder };
        fs::copy(Program::build().path(), stand_in.place("sitebackup.exe")).expect("copied");
        fs::copy(PathBuf::from(place.replace('/', "\\")), stand_in.place("vssapi.dll")).expect("copied");
        fs::write(stand_in.place("sitebackup.exe.manifest"), MANIFEST).expect("written");
        stand_in
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the library does, besides copying the site where Windows would keep its blocks.
    pub(crate) fn script(&self, site: &Path, more: &str) {
        let device = self.place("HarddiskVolumeShadowCopy");
        let script = format!("image {} {}\n{more}\n", site.display(), device.display());
        fs::write(self.place("vssapi.dll.script"), script).expect("written");
    }

    /// What the library has heard so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        let text = fs::read_to_string(self.place("vssapi.dll.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What the library heard, and forgets it.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.place("vssapi.dll.log")).expect("the library was called");
        fs::remove_file(self.place("vssapi.dll.log")).expect("removed");
        text.lines().map(str::to_owned).collect()
    }
}

fn newest_provider(test: &TestSite) -> String {
    let snapshots = test.snapshots();
    snapshots.last().and_then(|newest| newest["provider"].as_str()).expect("a provider").to_owned()
}

/// The log of the published snapshot.
fn log(test: &TestSite) -> String {
    fs::read_to_string(test.site.destination().join("P01Backup/smsbkup.log")).expect("each snapshot has its log")
}

#[test]
fn a_site_is_backed_up_through_vss() {
    let mut test = running("vss");
    let stand_in = StandIn::new();
    stand_in.script(&test.site.site_dir(), "");
    test.program = Program::at(&stand_in.place("sitebackup.exe"));
    test.every_backup_is_of_one_moment(1, |ran| {
        assert!(ran.stdout.contains("by vss"), "{ran:#?}");
        let lines = stand_in.lines();
        // All that the SMS Writer offers is selected, and nothing is left of the set.
        let has = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(has("AddComponent aaaa0000 03ba67dd"), 2, "{lines:?}");
        assert_eq!((has("DoSnapshotSet ended"), has("BackupComplete ended")), (1, 1), "{lines:?}");
        assert_eq!((has("DeleteSnapshots"), has("AbortBackup"), has("Release, 0 left")), (1, 0, 1), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains("is not in the image")).count(), 0, "{lines:?}");
    });
    assert_eq!(newest_provider(&test), "vss");
    for document in ["BCDocument.xml", "WriterMetadata-vss-0.xml"] {
        assert!(test.site.destination().join("P01Backup").join(document).exists(), "{document} is missing");
    }
    test.assert_services_come_back();

    // A recovery in place tells the writers of what was selected of them, before anything is written and after.
    test.workload.stop_all().expect("the services stop");
    let recovered = test.run(&["recover", "--overwrite-newer"]);
    assert_eq!(recovered.code, 0, "{recovered:#?}");
    let lines = stand_in.lines();
    let at = |line: &str| lines.iter().position(|one| one == line).unwrap_or_else(|| panic!("{line}: {lines:?}"));
    assert!(at("SetSelectedForRestore 03ba67dd 1 SMS CM_P01 1") < at("PreRestore ended"));
    assert!(at("PreRestore ended") < at("SetFileRestoreStatus 03ba67dd 2 - Site 2"));
    assert!(at("SetFileRestoreStatus 03ba67dd 2 - Site 2") < at("PostRestore ended"));
    assert_eq!(lines.last().map(String::as_str), Some("Release, 0 left"), "{lines:?}");

    // Whom to tell is not known without the document: nothing is written then, but to another place.
    fs::remove_file(test.site.destination().join("P01Backup/BCDocument.xml")).expect("removed");
    let refused = test.run(&["recover", "--overwrite-newer"]);
    let told = |ran: &Ran| ran.stderr.contains("BCDocument.xml` is damaged: it is missing");
    assert!(refused.code != 0 && told(&refused), "{refused:#?}");
    assert!(refused.stdout.contains("nothing was written"), "{refused:#?}");
    let elsewhere = tempfile::tempdir().expect("a scratch folder");
    let to = elsewhere.path().join("site").display().to_string();
    let recovered = test.run(&["recover", "--to", &to]);
    assert!(recovered.code == 0 && !told(&recovered), "{recovered:#?}");
    test.workload.start_all().expect("the services start");

    // `auto` takes it too, and copies where the volume is refused.
    choose(&test, "vss", "auto");
    assert!(test.backup(0).stdout.contains("by vss"));
    stand_in.script(&test.site.site_dir(), "fail AddToSnapshotSet 8004230c");
    let ran = test.backup(0);
    assert!(ran.stderr.contains("note: files are copied while the site works, for provider `vss`"), "{ran:#?}");
    assert_eq!(newest_provider(&test), "pre-copy");
    assert!(log(&test).contains("VSS_E_VOLUME_NOT_SUPPORTED (0x8004230C)"), "{}", log(&test));
}

/// An image of Windows goes with its process: nothing is pretended, nothing touched.
#[test]
fn a_shadow_copy_of_windows_is_not_kept() {
    let mut test = running("vss");
    let stand_in = StandIn::new();
    stand_in.script(&test.site.site_dir(), "");
    test.program = Program::at(&stand_in.place("sitebackup.exe"));
    for choice in ["vss", "auto"] {
        choose(&test, "vss", choice);
        let ran = test.run(&["shadow-copy", "create"]);
        assert_eq!(ran.code, 19, "{ran:#?}");
        assert!(ran.stderr.contains("goes with the program that made it"), "{ran:#?}");
        assert!(ran.stderr.contains("shadow-copy run"), "{ran:#?}");
        assert!(!stand_in.place("vssapi.dll.log").exists(), "VSS was not asked");
    }
    choose(&test, "auto", "pre-copy");
    let ran = test.run(&["shadow-copy", "create"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let kept = test.run(&["--json", "shadow-copy", "list"]).json();
    assert_eq!(kept["result"]["kept"][0]["provider"], "pre-copy", "{kept}");
    let ran = test.run(&["shadow-copy", "delete", "--all"]);
    assert!(ran.code == 0 && ran.stdout.contains("1 shadow copy"), "{ran:#?}");
}

#[test]
fn the_program_tries_a_machine() {
    let stand_in = StandIn::new();
    let volume = tempfile::Builder::new().prefix("volume").tempdir_in("C:\\").expect("a folder on the volume");
    fs::write(volume.path().join("file"), "content").expect("written");
    stand_in.script(volume.path(), "");
    let program = Program::at(&stand_in.place("sitebackup.exe"));
    let ran = program.run(["--json", "vss-selftest"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let said = ran.json();
    assert_eq!(
        (&said["result"]["verdict"], &said["result"]["files"][0]["bytes"]),
        (&"passed".into(), &7.into()),
        "{said}"
    );
    let lines = stand_in.lines();
    let selected = |lines: &[String]| lines.iter().filter(|line| line.starts_with("AddComponent")).count();
    assert_eq!((selected(&lines), lines.last().map(String::as_str)), (0, Some("Release, 0 left")), "{lines:?}");
    assert_eq!(program.run(["vss-selftest", "--components", "C:"]).code, 0);
    assert_eq!(selected(&stand_in.lines()), 2, "what a backup selects");
    stand_in.script(volume.path(), "fail DoSnapshotSet 8004231f");
    let ran = program.run(["vss-selftest"]);
    assert_eq!(ran.code, 19, "{ran:#?}");
    assert!(ran.stdout.contains("Verdict: failed.") && ran.stderr.contains("vssadmin list shadows"), "{ran:#?}");
    assert_eq!(stand_in.lines().last().map(String::as_str), Some("Release, 0 left"));
}

/// Wine has the library, and in it nothing. On Windows itself this would be a backup.
#[test]
fn a_system_without_the_service_copies_or_says_so() {
    if std::env::var_os("WINEPREFIX").is_none() {
        return;
    }
    let test = running("auto");
    let ran = test.backup(0);
    assert_eq!(newest_provider(&test), "pre-copy");
    let why =
        "CreateVssBackupComponents returned E_NOTIMPL (0x80004001): this system has no Volume Shadow Copy Service";
    assert!(log(&test).contains(why) && ran.stderr.contains(why), "{ran:#?} {}", log(&test));
    choose(&test, "auto", "vss");
    let ran = test.run(&["--json", "backup"]);
    assert_eq!(ran.code, 19, "{ran:#?}");
    let said = ran.json();
    assert_eq!(said["result"]["outage"], 0.0, "no service was stopped: {said}");
    let findings = said["findings"].to_string();
    assert!(findings.contains(why) && findings.contains("does without one"), "{findings}");
    let ran = test.program.run(["vss-selftest"]);
    assert_eq!(ran.code, 19, "{ran:#?}");
    assert!(ran.stdout.contains("Verdict: not available here.") && ran.stdout.contains("0x80004001"), "{ran:#?}");
}

#[test]
fn a_demand_of_another_system_is_refused_before_anything_is_touched() {
    let test = running("btrfs");
    choose(&test, "btrfs", "btrfs\"\nwork-dir = \"C:/work");
    let ran = test.run(&["backup"]);
    assert_eq!(ran.code, 2, "{ran:#?}");
    assert!(ran.stderr.contains("cannot be met on Windows: it takes a file system of Linux"), "{ran:#?}");
    assert!(ran.stderr.contains(r#"write "auto", "vss" or "pre-copy""#), "{ran:#?}");
    let listed = test.run(&["snapshots"]);
    assert_eq!(listed.code, 0, "what only reads goes on: {listed:#?}");
}
