//! Scripts for sites of every kind, every rule that refuses one, and what is said of them.

mod cd_latest;
mod explained;
mod refusals;
mod scripts;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::manifest::{ContentHash, FORMAT_VERSION, FileRecord, Manifest, RecordKind};
use crate::path::RelPath;
use crate::ports::database::{DatabaseForm, SetupOption};
use crate::ports::shadow_copies::Consistency;
use crate::ports::site_files::{FileId, FileKind, FileStat, FileTime, WalkEntry};
use crate::snapshot::RunId;

/// The files of a whole CD.Latest.
const WHOLE: [&str; 3] =
    ["CD.Latest/SMSSETUP/BIN/X64/setup.exe", "CD.Latest/SMSSETUP/version.ini", "CD.Latest/redist/ccmsetup.cab"];

fn stand_alone() -> SiteKind {
    SiteKind::Primary { parent: None }
}

fn child() -> SiteKind {
    SiteKind::Primary { parent: Some("CAS".parse().expect("a site code")) }
}

fn central() -> SiteKind {
    SiteKind::CentralAdministration
}

fn part(setup_option: SetupOption, form: DatabaseForm) -> DatabasePart {
    DatabasePart {
        name: "CM_P01".to_owned(),
        form,
        engine: "SQL Server 2022".to_owned(),
        pinned_by: "itself".to_owned(),
        setup_option,
        facts: Vec::new(),
    }
}

/// The database part for which Setup has its option 10.
fn files() -> DatabasePart {
    part(SetupOption::Files, DatabaseForm::File)
}

fn manifest(version: Option<&str>) -> Manifest {
    Manifest {
        version: FORMAT_VERSION,
        run: RunId(Uuid::nil()),
        site: "P01".to_owned(),
        started: Timestamp::UNIX_EPOCH,
        moment: Timestamp::UNIX_EPOCH,
        consistency: Consistency::Application,
        provider: "memory".to_owned(),
        freeze_window: Duration::ZERO,
        outage: Duration::ZERO,
        weaker: Vec::new(),
        origins: Vec::new(),
        database: None,
        cd_latest: version.map(str::to_owned),
        entries: 0,
        bytes: 0,
        list: ContentHash::of(b""),
        additions: Vec::new(),
    }
}

fn record(path: &str) -> FileRecord {
    FileRecord { size: 8, ..FileRecord::new(RecordKind::File, RelPath::parse(path).expect("a plain path")) }
}

fn entry(path: &str) -> WalkEntry {
    let stat = FileStat {
        kind: FileKind::File,
        size: 8,
        modified: FileTime::default(),
        changed: FileTime::default(),
        id: FileId { device: 1, inode: 1 },
        links: 1,
        mode: 0,
        owner: 0,
        group: 0,
    };
    WalkEntry { path: RelPath::parse(path).expect("a plain path"), stat }
}

/// The folder as it is listed and as it lies there, both of version 5.00.9122.1000.
fn cd_latest(listed: &[&str], there: &[&str]) -> CdLatest {
    let version = Some("5.00.9122.1000");
    let records: Vec<FileRecord> = listed.iter().map(|path| record(path)).collect();
    let walk: Vec<WalkEntry> = there.iter().map(|path| entry(path)).collect();
    CdLatest::judge(&manifest(version), &records, &walk, version.map(str::to_owned))
}

/// A snapshot that is so many days old, of a site that keeps change tracking data for five.
fn facts(kind: SiteKind, database: Option<DatabasePart>, days: i64) -> SnapshotFacts {
    SnapshotFacts {
        site: "P01".parse().expect("a site code"),
        kind,
        site_server: Some("CM01.corp.example".to_owned()),
        moment: Timestamp::UNIX_EPOCH,
        now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days),
        retention: Some(DEFAULT_RETENTION),
        database,
        cd_latest: cd_latest(&WHOLE, &WHOLE),
    }
}

/// What every script needs.
fn answers(kind: &SiteKind) -> Answers {
    let some = |text: &str| Some(text.to_owned());
    Answers {
        site_server_backup_location: some(r"E:\P01Backup"),
        product_id: Some(Secret::new("Eval")),
        sms_install_dir: some(r"C:\Program Files\Microsoft Configuration Manager"),
        sdk_server: some("CM01.corp.example"),
        prerequisite_path: some(r"D:\CD.Latest\Redist"),
        sql_server_name: some("SQL1.corp.example"),
        ccar_site_server: some("CAS01.corp.example").filter(|_| *kind == child()),
        ..Answers::default()
    }
}

fn made(facts: SnapshotFacts, answers: &Answers) -> UnattendedRecovery {
    UnattendedRecovery::new(facts, answers).expect("no rule is broken")
}
