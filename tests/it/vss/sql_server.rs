//! `method = "vss"`: the files of a SQL Server's database, which its writer offers and the image holds.
//!
//! No ODBC driver is here: what the server itself would say is proven against the scripted server, on Linux.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::program::{Program, Ran};

use super::StandIn;

const PAGE: usize = 8192;
/// The exit code of a run whose database cannot be backed up.
const REFUSED: i32 = 14;

/// A site with some files and a database of this machine's SQL Server, its data on one volume and its log on another.
struct SqlSite {
    scratch: TempDir,
    log: TempDir,
    stand_in: StandIn,
    program: Program,
}

fn machine() -> String {
    std::env::var("COMPUTERNAME").expect("Windows has named the machine")
}

impl SqlSite {
    /// The lines of [database] follow, and those of the script.
    fn new(database: &str, task: &str, script: &str) -> Self {
        let scratch = TempDir::new_in("C:\\").expect("a scratch folder");
        let log = TempDir::new_in("E:\\").expect("a folder on another volume");
        let stand_in = StandIn::new();
        let program = Program::at(&stand_in.place("sitebackup.exe"));
        let site = Self { scratch, log, stand_in, program };
        for folder in ["files", "backup", "sql"] {
            fs::create_dir(site.path(folder)).expect("made");
        }
        fs::write(site.path("files/a.txt"), "a file").expect("written");
        site.write_database("frozen");
        let quoted = |path: PathBuf| format!("'{}'", path.display());
        let toml = format!(
            "version = 1\n[site]\ncode = \"P01\"\n[files]\ninclude = [{files}]\n[database]\n{database}\n[task]\ndestination = {{ local = {backup} }}\nsession-lock = {lock}\n{task}\n",
            files = quoted(site.path("files")),
            backup = quoted(site.path("backup")),
            lock = quoted(site.path("session.lock")),
        );
        fs::write(site.path("site.toml"), toml).expect("written");
        site.script(script);
        site
    }

    /// One whose writer offers the database, beside what `more` says.
    fn offered(more: &str) -> Self {
        let site = Self::new(&local(""), "", "");
        site.offer("", more);
        site
    }

    /// Has SQL Server's writer offer the database of the instance, such as `\SITE`.
    fn offer(&self, instance: &str, more: &str) {
        let (data, log) = (self.path("sql"), self.log.path());
        let lines = [
            "sql-writer".to_owned(),
            format!("sql-component {}{instance} CM_P01", machine()),
            format!("sql-file CM_P01 0 {} CM_P01.mdf", data.display()),
            format!("sql-file CM_P01 0 {} CM_P01_log.ldf", log.display()),
            format!("also-image 1 {}", data.display()),
            format!("also-image 2 {}", log.display()),
            // What is written after the moment.
            format!("append {} later", self.data().display()),
            format!("append {} later", self.log().display()),
        ];
        self.script(&format!("{}\n{more}", lines.join("\n")));
    }

    fn script(&self, more: &str) {
        self.stand_in.script(&self.path("files"), more);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name.replace('/', "\\"))
    }

    fn data(&self) -> PathBuf {
        self.path("sql/CM_P01.mdf")
    }

    fn log(&self) -> PathBuf {
        self.log.path().join("CM_P01_log.ldf")
    }

    /// A page that begins as that of a data file, and a log.
    fn write_database(&self, content: &str) {
        let mut page = [&[1, 15], content.as_bytes()].concat();
        page.resize(PAGE, 0);
        fs::write(self.data(), page).expect("written");
        fs::write(self.log(), content).expect("written");
    }

    fn run(&self, args: &[&str]) -> Ran {
        let site = self.path("site.toml");
        self.program.run([Path::new("--site"), &site].into_iter().chain(args.iter().map(Path::new)))
    }

    /// What the snapshot has at this place.
    fn stored(&self, place: &str) -> Vec<u8> {
        fs::read(self.path(&format!("backup/P01Backup/{place}"))).unwrap_or_else(|error| panic!("{place}: {error}"))
    }

    /// The backup ends with this code before the site is imaged, and says this; so does a check.
    fn refused(&self, code: i32, reasons: &[&str]) {
        for command in ["check", "backup"] {
            let ran = self.run(&[command]);
            assert_eq!(ran.code, code, "{command}: {ran:#?}");
            let said = ran.stdout.clone() + &ran.stderr;
            for reason in reasons {
                assert!(said.contains(reason), "{command}: {reason}: {ran:#?}");
            }
        }
        assert!(!self.path("backup/P01Backup").exists(), "there is no snapshot");
        if self.stand_in.place("vssapi.dll.log").exists() {
            let lines = self.stand_in.lines();
            assert!(!lines.iter().any(|line| line.starts_with("DoSnapshotSet")), "{lines:?}");
        }
    }
}

/// [database] of a local server, as it is named, with more lines.
fn local(more: &str) -> String {
    of_server("(local)", more)
}

fn of_server(server: &str, more: &str) -> String {
    let connection =
        format!("Driver={{ODBC Driver 18 for SQL Server}};Server={server};Database=CM_P01;Trusted_Connection=yes");
    format!("kind = 'sql-server'\nconnection = '{connection}'\n{more}")
}

/// No method is written: on Windows this is the usual one for a server of the machine.
#[test]
fn the_files_of_the_frozen_moment_are_in_the_snapshot() {
    let site = SqlSite::offered("");
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:#?}");
    let component = format!(r"component `{}\CM_P01` with `{}`", machine(), site.data().display());
    assert!((checked.stdout + &checked.stderr).contains(&component));
    site.stand_in.lines();

    let ran = site.run(&["backup"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(
        ran.stderr.contains("SQL Server could not be asked about database CM_P01"),
        "no driver is a remark: {ran:#?}"
    );
    let lines = site.stand_in.lines();
    let has = |line: &str| lines.iter().filter(|other| *other == line).count();
    let component = format!("cccc0000 a65faa63 2 {} CM_P01", machine());
    assert_eq!(
        (has(&format!("AddComponent {component}")), has(&format!("SetBackupSucceeded {component} 1"))),
        (1, 1),
        "{lines:?}"
    );
    assert_eq!((has(r"AddToSnapshotSet C:\ 00000000"), has(r"AddToSnapshotSet E:\ 00000000")), (1, 1), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("Release, 0 left"));

    let data = site.stored("SiteDBServer/CM_P01.mdf");
    assert_eq!((data.len(), &data[2..8]), (PAGE, &b"frozen"[..]));
    assert_eq!(site.stored("SiteDBServer/CM_P01_log.ldf"), b"frozen");
    assert!(fs::read(site.log()).expect("it is there").ends_with(b"later"), "the live one has gone on");
    let manifest: serde_json::Value = serde_json::from_slice(&site.stored("sitebackup.json")).expect("JSON");
    let database = &manifest["database"];
    assert_eq!((&database["form"], &database["setup_option"]), (&"files".into(), &"files".into()), "{database}");
    assert_eq!(manifest["weaker"], serde_json::json!([]), "{manifest}");

    let verified = site.run(&["verify", "--read-data"]);
    assert_eq!(verified.code, 0, "{verified:#?}");
    let rehearsed = site.run(&["rehearse"]);
    assert_eq!(rehearsed.code, 0, "{rehearsed:#?}");
    assert!(rehearsed.stderr.contains("whether a server attaches them was not tried"), "{rehearsed:#?}");
}

/// SQL Server leaves the times of its files as they were while it has them open.
#[test]
fn files_that_look_unchanged_are_read_anew() {
    let site = SqlSite::offered("");
    let write = |content: &str| {
        site.write_database(content);
        for file in [site.data(), site.log()] {
            let file = fs::File::options().write(true).open(file).expect("it is there");
            file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000))
                .expect("set");
        }
    };
    for content in ["first.", "second"] {
        write(content);
        let ran = site.run(&["backup"]);
        assert_eq!(ran.code, 0, "{ran:#?}");
        assert_eq!(site.stored("SiteDBServer/CM_P01_log.ldf"), content.as_bytes());
        assert_eq!(site.stored("SiteDBServer/CM_P01.mdf")[2..8], *content.as_bytes());
    }
}

#[test]
fn files_come_back_where_none_are_and_over_none() {
    let site = SqlSite::offered("");
    assert_eq!(site.run(&["backup"]).code, 0);
    site.write_database("other");
    let recover = ["recover", "--part", "database", "--overwrite-newer"];
    let refused = site.run(&recover);
    assert_ne!(refused.code, 0, "{refused:#?}");
    assert!(refused.stderr.contains("files of a database are never overwritten"), "{refused:#?}");
    assert_eq!(fs::read(site.log()).expect("it is there"), b"other");
    for file in [site.data(), site.log()] {
        fs::remove_file(file).expect("removed");
    }
    let ran = site.run(&recover);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let attach = format!("CREATE DATABASE [CM_P01] ON (FILENAME = N'{}')", site.data().display());
    assert!(ran.stderr.contains(&attach), "{ran:#?}");
    assert_eq!(fs::read(site.log()).expect("it is back"), b"frozen");
    assert_eq!(fs::read(site.data()).expect("it is back").len(), PAGE);
}

#[test]
fn a_named_instance_is_another_component() {
    let site = SqlSite::new(&of_server(r".\SITE", "method = 'vss'"), "", "");
    site.offer("", "");
    site.refused(
        REFUSED,
        &[
            &format!(r"component `{}\SITE\CM_P01` cannot be backed up", machine()),
            &format!(r"it offers: `{}\CM_P01`", machine()),
        ],
    );
    site.offer(r"\SITE", "");
    let ran = site.run(&["backup"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(site.stored("SiteDBServer/CM_P01_log.ldf"), b"frozen");
}

#[test]
fn what_cannot_be_is_refused_with_its_reason_before_anything_is_touched() {
    let remote = SqlSite::new(&of_server("sql1.example.com", "method = 'vss'"), "", "");
    remote.refused(REFUSED, &["SQL Server `sql1.example.com` is not on this machine", "use method \"native\""]);
    let copied = SqlSite::new(&local("method = 'vss'"), "shadow-copy = \"pre-copy\"", "");
    copied.refused(2, &["`shadow-copy = \"pre-copy\"` makes no shadow copy in which SQL Server's writer takes part"]);
    let none = SqlSite::new(&local(""), "", "");
    let missing = "writer `SqlServerWriter` {a65faa63-5ea8-4ebc-9dbd-a0c4db26912a} did not answer";
    none.refused(REFUSED, &[missing, "start the service SQLWriter", "vssadmin list writers"]);
    let torn = SqlSite::offered(r"refuse-volume E:\ 8004230c");
    let ran = torn.run(&["backup"]);
    assert_eq!(ran.code, REFUSED, "{ran:#?}");
    assert!(
        ran.stderr.contains(&format!(r"`{}` lies on volume `E:\`, which cannot be imaged", torn.log().display())),
        "{ran:#?}"
    );
}

#[test]
fn a_file_that_the_image_lacks_ends_the_run() {
    let site = SqlSite::offered("");
    // Its volume is imaged, and the stand-in has not copied it.
    let lines = fs::read_to_string(site.stand_in.place("vssapi.dll.script")).expect("written");
    let lines: Vec<&str> = lines.lines().filter(|line| !line.starts_with("also-image 2")).collect();
    fs::write(site.stand_in.place("vssapi.dll.script"), lines.join("\n")).expect("written");
    let ran = site.run(&["backup"]);
    assert_eq!(ran.code, REFUSED, "{ran:#?}");
    assert!(ran.stderr.contains(&format!("database CM_P01: `{}` could not be read", site.log().display())), "{ran:#?}");
    assert!(!site.path("backup/P01Backup").exists());
    let lines = site.stand_in.lines();
    assert!(
        lines.iter().any(|line| line.starts_with("SetBackupSucceeded cccc0000") && line.ends_with(" 0")),
        "{lines:?}"
    );
    assert_eq!(lines.last().map(String::as_str), Some("Release, 0 left"));
}

#[test]
fn a_writer_that_fails_is_loud() {
    for (state, operation, step) in
        [(9, "DoSnapshotSet", "Freeze"), (10, "DoSnapshotSet", "Thaw"), (11, "DoSnapshotSet", "PostSnapshot")]
    {
        let site = SqlSite::offered(&format!("writer 2 {state} 800423f4 {operation}"));
        let ran = site.run(&["backup"]);
        assert_eq!(ran.code, 19, "{ran:#?}");
        assert!(ran.stderr.contains(&format!("writer `SqlServerWriter` failed in {step}")), "{ran:#?}");
        assert!(!site.path("backup/P01Backup").exists(), "{step}");
    }
    let site = SqlSite::offered("writer 2 12 800423f4 BackupComplete");
    let ran = site.run(&["backup"]);
    assert_eq!(ran.code, 0, "the snapshot is whole: {ran:#?}");
    assert!(ran.stderr.contains("warning: writer `SqlServerWriter` failed in BackupComplete"), "{ran:#?}");
}
