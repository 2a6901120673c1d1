//! restic reads the site at one moment: a backup program of others, as Debian has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tests::program::{Ran, finish};
use tests::volume::Volume;
use tests::{Counters, Fault, JournalMode, ServiceName, read_counters};

use crate::site::TestSite;

/// A repository of restic's.
struct Repository {
    scratch: TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { scratch: tempfile::tempdir().expect("a scratch folder") };
        repository.restic(&["init"]);
        repository
    }

    fn with<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let (repository, cache) = (self.scratch.path().join("repository"), self.scratch.path().join("cache"));
        let command = command.env("RESTIC_REPOSITORY", repository).env("RESTIC_PASSWORD", "secret");
        command.env("RESTIC_CACHE_DIR", cache)
    }

    fn restic(&self, args: &[&str]) -> String {
        let output = self.with(Command::new("restic").args(args)).output();
        let output = output.unwrap_or_else(|error| panic!("`restic` is missing ({error}): apt-get install restic"));
        assert!(output.status.success(), "restic {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Has restic back the moment up.
    fn back_up(&self, test: &TestSite) -> Ran {
        let args = ["shadow-copy", "run", "--", "restic", "backup", "--quiet", "{}"];
        let child = self.with(&mut test.program.command(test.args(&args))).spawn().expect("the program starts");
        finish(child).expect("its output can be read")
    }

    /// Restores the newest snapshot, and reads the numbers in it.
    fn restored(&self) -> Counters {
        let to = self.scratch.path().join("restored");
        self.restic(&["restore", "latest", "--target", to.to_str().expect("Unicode")]);
        let told: serde_json::Value =
            serde_json::from_str(&self.restic(&["snapshots", "latest", "--json"])).expect("JSON");
        let newest = told.as_array().and_then(|all| all.last()).expect("a snapshot");
        let paths = newest["paths"].as_array().expect("its paths").iter();
        let places: Vec<PathBuf> = paths
            .map(|path| to.join(Path::new(path.as_str().expect("Unicode")).strip_prefix("/").expect("absolute")))
            .collect();
        let parts = places.iter().find(|place| place.join("SiteDBServer").exists()).expect("the database");
        let on_image = places.iter().find(|place| place.ends_with("inboxes")).and_then(|inboxes| inboxes.parent());
        let copied = parts.join("SiteServer/SMSServer");
        let registry = parts.join("SiteServer/SMSbkSiteRegSMS.dat");
        let database = parts.join("SiteDBServer/CM_P01.db");
        let counters = read_counters(on_image.unwrap_or(&copied), &database, &registry);
        let counters = counters.expect("the numbers can be read");
        fs::remove_dir_all(&to).expect("it goes");
        counters
    }
}

fn restic_keeps_one_moment(test: &TestSite, rounds: u32) {
    let repository = Repository::new();
    let mut last = 0;
    for round in 0..rounds {
        test.workload.wait_for_progress().expect("the site works");
        let ran = repository.back_up(test);
        assert_eq!(ran.code, 0, "{ran:#?}");
        let counters = repository.restored();
        assert!(counters.agree(), "round {round}: {counters}");
        assert!(counters.highest() > last, "round {round}: {counters} after {last}");
        last = counters.highest();
    }
    repository.restic(&["check", "--read-data"]);
    test.assert_services_come_back();
}

#[test]
fn restic_keeps_one_moment_of_a_btrfs_image() {
    let volume = Volume::btrfs();
    restic_keeps_one_moment(&crate::images::running(&volume, "btrfs", JournalMode::Wal), 20);
    assert_eq!(crate::images::images(&volume), Vec::<PathBuf>::new());
}

#[test]
fn restic_keeps_one_moment_of_clones() {
    let volume = Volume::xfs();
    restic_keeps_one_moment(&crate::images::running(&volume, "reflink", JournalMode::Wal), 10);
    assert_eq!(crate::images::images(&volume), Vec::<PathBuf>::new());
}

#[test]
fn restic_keeps_one_moment_of_copies() {
    restic_keeps_one_moment(&TestSite::running(JournalMode::Delete, 20), 10);
}

/// The test of the test.
#[test]
fn without_the_freeze_restic_keeps_torn_numbers() {
    let volume = Volume::btrfs();
    let test = crate::images::running(&volume, "btrfs", JournalMode::Wal);
    for name in ServiceName::IN_STOP_ORDER {
        test.workload.set_fault(Fault::LiesAboutStop, name).expect("the fault is set");
    }
    let repository = Repository::new();
    let torn = (0..30).any(|_| {
        test.workload.wait_for_progress().expect("the site works");
        repository.back_up(&test);
        !repository.restored().agree()
    });
    assert!(torn, "a site that is not frozen must show torn numbers");
}
