//! Sites on a file system that can image itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tests::volume::{Volume, subvolume};
use tests::{Fault, JournalMode, SampleSiteOptions, ServiceName, poll_until};

use crate::site::{TestSite, workload_program};

const ROUNDS: u32 = 20;

/// A running site on a subvolume of a btrfs, with `shadow-copy = "<choice>"`.
fn running(volume: &Volume, choice: &str, journal_mode: JournalMode) -> TestSite {
    let scratch = volume.path().join("srv");
    subvolume(&scratch);
    let task = format!("shadow-copy = \"{choice}\"\nwork-dir = \"{}\"\n", work_dir(volume).display());
    let options =
        SampleSiteOptions { journal_mode, extra_files: 20, workload: workload_program(), task, ..Default::default() };
    TestSite::within(TempDir::new_in(scratch).expect("a scratch folder"), options)
}

fn work_dir(volume: &Volume) -> PathBuf {
    volume.path().join("work")
}

/// The images that are left.
fn images(volume: &Volume) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    list(&work_dir(volume).join("sitebackup-images")).collect()
}

fn every_backup_is_of_one_moment(journal_mode: JournalMode) {
    let volume = Volume::btrfs();
    running(&volume, "auto", journal_mode).every_backup_is_of_one_moment(ROUNDS, |ran| {
        assert!(ran.stdout.contains("btrfs"), "{ran:#?}");
        assert_eq!(images(&volume), Vec::<PathBuf>::new());
    });
}

#[test]
fn every_backup_of_a_btrfs_image_is_of_one_moment_in_wal_mode() {
    every_backup_is_of_one_moment(JournalMode::Wal);
}

#[test]
fn every_backup_of_a_btrfs_image_is_of_one_moment_in_rollback_mode() {
    every_backup_is_of_one_moment(JournalMode::Delete);
}

/// The test of the test.
#[test]
fn without_the_freeze_a_btrfs_image_and_the_database_differ() {
    let volume = Volume::btrfs();
    let test = running(&volume, "btrfs", JournalMode::Wal);
    for name in ServiceName::IN_STOP_ORDER {
        test.workload.set_fault(Fault::LiesAboutStop, name).expect("the fault is set");
    }
    let torn = (0..30).any(|round| {
        test.workload.wait_for_progress().expect("the site works");
        test.run(&["backup"]);
        let name = format!("round-{round}");
        let counters = test.recover_to(&name);
        test.forget(&name);
        !counters.agree()
    });
    assert!(torn, "a site that is not frozen must show torn numbers");
}

/// A killed run leaves its image to the next one's repair.
#[test]
fn an_image_of_a_killed_run_is_removed() {
    let volume = Volume::btrfs();
    let test = running(&volume, "btrfs", JournalMode::Wal);
    let killed = (0..20).any(|_| {
        let mut child = test.program.command(test.args(&["backup"])).spawn().expect("the program starts");
        let imaged = poll_until(Duration::from_secs(60), || (!images(&volume).is_empty()).then_some(()));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        imaged.is_some() && !images(&volume).is_empty()
    });
    assert!(killed, "no run was killed while it had an image");
    test.assert_services_come_back();
    let waits = || Some(test.run(&["repair"])).filter(|ran| ran.code != 10);
    let ran = poll_until(Duration::from_secs(120), waits).expect("the watchdog lets go");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(images(&volume), Vec::<PathBuf>::new());
    test.backup(0);
}

#[test]
fn a_source_with_another_volume_in_it_is_copied_or_refused() {
    let volume = Volume::btrfs();
    let test = running(&volume, "auto", JournalMode::Wal);
    subvolume(&test.site.install_dir().join("inboxes/nested"));
    fs::write(test.site.install_dir().join("inboxes/nested/file"), "inside").expect("written");
    let ran = test.backup(0);
    assert!(ran.stdout.contains("pre-copy"), "{ran:#?}");
    assert!(ran.stderr.contains("note: files are copied while the site works, for provider `btrfs`"), "{ran:#?}");
    let tree = test.recover_tree("tree");
    let file = test.place_in(&tree, &test.site.install_dir().join("inboxes/nested/file"));
    assert_eq!(fs::read_to_string(file).expect("it is there"), "inside");
    let text = fs::read_to_string(test.site.site_toml()).expect("it is there");
    fs::write(test.site.site_toml(), text.replace("\"auto\"", "\"btrfs\"")).expect("written");
    let ran = test.run(&["backup"]);
    assert_eq!(ran.code, 19, "{ran:#?}");
    assert!(ran.stderr.contains("inboxes/nested` is another volume"), "{ran:#?}");
    assert_eq!(images(&volume), Vec::<PathBuf>::new());
    test.assert_services_come_back();
}
