//! Stock programs judge what the program made: diff, sqlite3, b3sum, a file system that is full.
//!
//! `cargo xtask test` installs them; a suite whose judge is missing fails and names it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tests::program::Program;

pub(crate) fn judge(program: &str, args: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("`{program}` is missing ({error}): apt-get install {program}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A folder of `files` files with a database that stock sqlite3 made, as nobody prepared it.
struct Folder {
    scratch: TempDir,
    program: Program,
}

impl Folder {
    fn new(files: usize, journal_mode: &str) -> Self {
        let scratch = TempDir::new().expect("a scratch folder");
        let data = scratch.path().join("data");
        for number in 0..files {
            let folder = data.join(format!("{:03}", number / 100));
            if number % 100 == 0 {
                fs::create_dir_all(&folder).expect("a new folder");
            }
            fs::write(folder.join(format!("file {number}")), format!("{number}\n").repeat(number % 50))
                .expect("it is written");
        }
        let sql = format!(
            "PRAGMA journal_mode={journal_mode}; CREATE TABLE t(n INTEGER PRIMARY KEY, b BLOB);
             WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 20000) INSERT INTO t SELECT n, randomblob(100) FROM c;"
        );
        judge("sqlite3", &["app.db", &sql], &data);
        fs::create_dir(scratch.path().join("backup")).expect("a new folder");
        let folder = Self { scratch, program: Program::build() };
        folder.run(
            0,
            &[
                "init",
                "--code",
                "P01",
                "--include",
                &folder.text("data"),
                "--database",
                &folder.text("data/app.db"),
                "--destination",
                &folder.text("backup"),
            ],
        );
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a Unicode path").to_owned()
    }

    fn run(&self, expect: i32, args: &[&str]) -> tests::program::Ran {
        let site = self.text("site.toml");
        let ran = self.program.run(["--site", &site].iter().chain(args));
        assert_eq!(ran.code, expect, "{args:?}: {ran:#?}");
        ran
    }

    fn recovered(&self) -> PathBuf {
        fs::create_dir(self.path("other")).expect("a new folder");
        self.run(0, &["recover", "--to", &self.text("other")]);
        self.path("other").join(self.path("data").strip_prefix("/").expect("absolute"))
    }
}

fn a_folder_nobody_prepared(journal_mode: &str) {
    let folder = Folder::new(20_000, journal_mode);
    folder.run(0, &["backup"]);
    let recovered = folder.recovered();
    judge("diff", &["-r", &folder.text("data"), recovered.to_str().expect("Unicode")], &recovered);
    let query = "PRAGMA integrity_check; SELECT count(*), sum(n) FROM t;";
    assert_eq!(judge("sqlite3", &["app.db", query], &recovered), "ok\n20000|200010000\n");
    // The copy in the snapshot folder opens by itself too.
    let part = folder.path("backup/P01Backup/SiteDBServer");
    assert_eq!(judge("sqlite3", &["app.db", query], &part), "ok\n20000|200010000\n");
}

#[test]
fn a_folder_nobody_prepared_in_wal_mode() {
    a_folder_nobody_prepared("wal");
}

#[test]
fn a_folder_nobody_prepared_in_rollback_mode() {
    a_folder_nobody_prepared("delete");
}

#[test]
fn b3sum_agrees_with_the_list() {
    let folder = Folder::new(100, "wal");
    folder.run(0, &["backup"]);
    let list = folder.path("b3sums");
    fs::write(&list, folder.run(0, &["files", "--b3sum"]).stdout).expect("it is written");
    let said = judge("b3sum", &["--check", list.to_str().expect("Unicode")], &folder.path("backup/P01Backup"));
    assert!(said.lines().count() > 100 && said.lines().all(|line| line.ends_with(": OK")), "{said}");
}

/// A destination that `check` finds full, and one that runs full in the middle of a run: the old snapshot stays, nothing half is
/// listed, the next run works.
#[test]
fn a_destination_that_is_full() {
    let folder = Folder::new(100, "wal");
    let options = "size=16m,nr_inodes=300";
    judge("mount", &["-t", "tmpfs", "-o", options, "tmpfs", "backup"], folder.scratch.path());
    let unmount = Unmount(folder.path("backup"));
    folder.run(0, &["backup"]);
    let first = folder.run(0, &["--json", "snapshots"]).json();

    let filler = folder.path("backup/filler");
    fs::write(&filler, vec![0; 12 << 20]).expect("there is room yet");
    assert!(folder.run(12, &["check"]).stderr.contains("bytes free"));
    folder.run(12, &["backup"]);
    fs::remove_file(&filler).expect("it goes");

    // Bytes enough, but no inodes: that shows only when the files are made.
    for number in 0..300 {
        fs::write(folder.path("data").join(format!("new {number}")), "x").expect("it is written");
    }
    let full = folder.run(12, &["backup"]);
    assert!(full.stderr.contains("no space is left"), "{full:#?}");
    assert_eq!(folder.run(0, &["--json", "snapshots"]).json()["result"], first["result"]);
    folder.run(0, &["verify", "--read-data"]);

    for number in 0..300 {
        fs::remove_file(folder.path("data").join(format!("new {number}"))).expect("it goes");
    }
    folder.run(0, &["backup"]);
    drop(unmount);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking(), "umount failed");
    }
}
