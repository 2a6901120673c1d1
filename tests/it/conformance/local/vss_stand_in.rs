//! A site whose images VSS makes: the library that stands in for Windows' copies the site where Windows would keep its blocks, and has writers of
//! the system, which fail where a check wants it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::ports::restores::{RestoreStatus, RestoreWriter};
use backup_core::ports::shadow_copies::SMS_WRITER;
use tests::conformance::shadow_copies::{End, Trouble, UNSELECTABLE};
use vss::{Provider, SystemRestoreWriter, VssOptions, VssProvider};

use super::Local;

/// Where `cargo xtask windows` has put the library.
const PLACE: &str = "SITEBACKUP_FAKE_VSSAPI";

/// A copy of the library. A suite has one, for the checks of a suite come one after the other; each has a script of its own.
#[derive(Debug)]
pub(super) struct StandIn {
    library: PathBuf,
    script: String,
}

impl Local {
    /// For the suite of shadow copies.
    pub(in super::super) fn with_vss() -> Self {
        Self::beside("conformance-shadow-copies.dll")
    }

    /// For the suite of restores.
    pub(in super::super) fn with_vss_restores() -> Self {
        Self::beside("conformance-restores.dll")
    }

    fn beside(library: &str) -> Self {
        let place = std::env::var(PLACE).unwrap_or_else(|_| panic!("{PLACE} is not set: run `cargo xtask windows`"));
        let original = PathBuf::from(place.replace('/', "\\"));
        let library = original.with_file_name(library);
        if !library.exists() || fs::read(&library).ok() != fs::read(&original).ok() {
            fs::copy(&original, &library).expect("the library is copied");
        }
        let local = Self::new();
        let device = local.folder.join("HarddiskVolumeShadowCopy");
        let (logical_path, name) = UNSELECTABLE;
        let script = format!(
            "image {} {}\nsql-writer\nsql-component {logical_path} {name} hidden\n",
            local.site().display(),
            device.display()
        );
        let stand_in = StandIn { library, script };
        stand_in.play("");
        Self { provider: stand_in.provider(), vss: Some(stand_in), ..local }
    }
}

impl StandIn {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(VssProvider::with_library(VssOptions::default(), self.library.clone()))
    }

    /// Has the library do more than making images.
    fn play(&self, more: &str) {
        let script = format!("{}{more}\n", self.script);
        fs::write(self.library.with_extension("dll.script"), script).expect("the script is written");
    }

    pub(super) fn in_trouble(&self, trouble: Trouble) -> Arc<dyn Provider> {
        let line = match trouble {
            Trouble::AnotherProgram => "fail StartSnapshotSet 80042316",
            Trouble::NoRoom => "end DoSnapshotSet 8004231f",
            Trouble::BusyDisks => "end DoSnapshotSet 80042313",
            Trouble::Never => "never DoSnapshotSet",
            Trouble::Writer(step) => failing_at(step),
        };
        self.play(line);
        self.provider()
    }

    pub(super) fn restore_writer(&self, fails_at: Option<&'static str>) -> Arc<dyn RestoreWriter> {
        self.play(fails_at.map_or("", failing_at));
        let document = format!(
            "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" version=\"1.2\">\
             <WRITER_COMPONENTS instanceId=\"aaaa0000-0001-0002-0102-030405060708\" writerId=\"{SMS_WRITER}\" backupSchema=\"0\">\
             <COMPONENT componentName=\"Site\" componentType=\"filegroup\"/>\
             <COMPONENT logicalPath=\"SMS\" componentName=\"CM_P01\" componentType=\"database\"/>\
             </WRITER_COMPONENTS></BACKUP_COMPONENTS>"
        );
        Arc::new(SystemRestoreWriter::new(move || Ok(document.clone().into_bytes())).with_library(self.library.clone()))
    }

    /// What the library has heard since it was last asked for a backup or a restore.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.library.with_extension("dll.log")).expect("the library was called");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let last = lines.iter().rposition(|line| line == "Create").expect("it made one");
        lines[last..].to_vec()
    }

    pub(super) fn end(&self) -> End {
        let lines = self.lines();
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        let vouched_for = |how: &str| {
            let told = lines.iter().filter(|line| line.starts_with("SetBackupSucceeded") && line.ends_with(how));
            told.count() == count("AddComponent") && count("AddComponent") > 0
        };
        match (count("BackupComplete ended"), count("AbortBackup")) {
            (1, 0) if vouched_for(" 1") => End::Succeeded,
            (1, 0) if vouched_for(" 0") => End::Failed,
            (0, 1) => End::Aborted,
            _ => panic!("no end: {lines:?}"),
        }
    }

    pub(super) fn heard_of_restore(&self) -> Vec<String> {
        let lines = self.lines();
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        let mut heard = Vec::new();
        if count("PreRestore ended") == 1 {
            heard.push("PreRestore".to_owned());
        }
        if count("PostRestore ended") == 1 {
            let all = [RestoreStatus::Nothing, RestoreStatus::All, RestoreStatus::Failed];
            let told = |status: &RestoreStatus| {
                let number = format!(" {}", *status as u8);
                let told =
                    lines.iter().filter(|line| line.starts_with("SetFileRestoreStatus") && line.ends_with(&number));
                told.count() == count("SetSelectedForRestore")
            };
            let status = all.into_iter().find(told).expect("of each component that was selected");
            heard.push(format!("PostRestore {status:?}"));
        }
        heard
    }
}

/// The line that has the SMS Writer fail.
fn failing_at(step: &str) -> &'static str {
    match step {
        "Identify" => "writer 0 6 800423f4 GatherWriterMetadata",
        "PrepareBackup" => "writer 0 7 800423f4 PrepareForBackup",
        "PrepareSnapshot" => "writer 0 8 800423f4 DoSnapshotSet",
        "Freeze" => "writer 0 9 800423f4 DoSnapshotSet",
        "BackupComplete" => "writer 0 12 800423f4 BackupComplete",
        "PreRestore" => "writer 0 13 800423f4 PreRestore",
        "PostRestore" => "writer 0 14 800423f4 PostRestore",
        _ => panic!("the library's writers do not fail at {step}"),
    }
}
