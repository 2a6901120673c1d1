//! Sites on a file system that can image itself.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tests::volume::{FileSystem, Volume, subvolume};
use tests::{Fault, JournalMode, SampleSiteOptions, ServiceName, poll_until};

use crate::site::{TestSite, workload_program};

const ROUNDS: u32 = 20;

/// A running site on a file system of its own, on a subvolume where it has them, with `shadow-copy = "<choice>"`.
pub(crate) fn running(volume: &Volume, choice: &str, journal_mode: JournalMode) -> TestSite {
    let scratch = volume.path().join("srv");
    match volume.file_system() {
        FileSystem::Btrfs => subvolume(&scratch),
        FileSystem::Xfs | FileSystem::Ext4 | FileSystem::Ramfs => fs::create_dir(&scratch).expect("made"),
    }
    let task = format!("shadow-copy = \"{choice}\"\nwork-dir = \"{}\"\n", work_dir(volume).display());
    let options =
        SampleSiteOptions { journal_mode, extra_files: 20, workload: workload_program(), task, ..Default::default() };
    TestSite::within(TempDir::new_in(scratch).expect("a scratch folder"), options)
}

pub(crate) fn work_dir(volume: &Volume) -> PathBuf {
    volume.path().join("work")
}

/// The images that are left.
pub(crate) fn images(volume: &Volume) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = ["sitebackup-images", "sitebackup-clones"].map(|name| work_dir(volume).join(name));
    folders.iter().flat_map(|folder| list(folder)).collect()
}

fn every_backup_is_of_one_moment(volume: &Volume, provider: &str, journal_mode: JournalMode) {
    running(volume, "auto", journal_mode).every_backup_is_of_one_moment(ROUNDS, |ran| {
        assert!(ran.stdout.contains(&format!("by {provider}")), "{ran:#?}");
        assert!(!ran.stderr.contains("copied anew"), "what did not change is taken over: {ran:#?}");
        assert_eq!(images(volume), Vec::<PathBuf>::new());
    });
}

#[test]
fn every_backup_of_a_btrfs_image_is_of_one_moment_in_wal_mode() {
    every_backup_is_of_one_moment(&Volume::btrfs(), "btrfs", JournalMode::Wal);
}

#[test]
fn every_backup_of_a_btrfs_image_is_of_one_moment_in_rollback_mode() {
    every_backup_is_of_one_moment(&Volume::btrfs(), "btrfs", JournalMode::Delete);
}

#[test]
fn every_backup_of_clones_is_of_one_moment_in_wal_mode() {
    every_backup_is_of_one_moment(&Volume::xfs(), "reflink", JournalMode::Wal);
}

#[test]
fn every_backup_of_clones_is_of_one_moment_in_rollback_mode() {
    every_backup_is_of_one_moment(&Volume::xfs(), "reflink", JournalMode::Delete);
}

/// The test of the test.
#[test]
fn without_the_freeze_a_btrfs_image_and_the_database_differ() {
    without_the_freeze_files_and_database_differ(&Volume::btrfs(), "btrfs");
}

#[test]
fn without_the_freeze_clones_and_the_database_differ() {
    without_the_freeze_files_and_database_differ(&Volume::xfs(), "reflink");
}

fn without_the_freeze_files_and_database_differ(volume: &Volume, provider: &str) {
    let test = running(volume, provider, JournalMode::Wal);
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
    what_a_killed_run_left_is_removed(&Volume::btrfs(), "btrfs");
}

#[test]
fn clones_of_a_killed_run_are_removed() {
    what_a_killed_run_left_is_removed(&Volume::xfs(), "reflink");
}

fn what_a_killed_run_left_is_removed(volume: &Volume, provider: &str) {
    let test = running(volume, provider, JournalMode::Wal);
    let killed = (0..20).any(|_| {
        let mut child = test.program.command(test.args(&["backup"])).spawn().expect("the program starts");
        let imaged = poll_until(Duration::from_secs(60), || (!images(volume).is_empty()).then_some(()));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        imaged.is_some() && !images(volume).is_empty()
    });
    assert!(killed, "no run was killed while it had an image");
    test.assert_services_come_back();
    let waits = || Some(test.run(&["repair"])).filter(|ran| ran.code != 10);
    let ran = poll_until(Duration::from_secs(120), waits).expect("the watchdog lets go");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(images(volume), Vec::<PathBuf>::new());
    test.backup(0);
}

#[test]
fn a_source_with_another_volume_in_it_is_cloned_or_refused() {
    let volume = Volume::btrfs();
    let test = running(&volume, "auto", JournalMode::Wal);
    subvolume(&test.site.install_dir().join("inboxes/nested"));
    fs::write(test.site.install_dir().join("inboxes/nested/file"), "inside").expect("written");
    let ran = test.backup(0);
    assert!(ran.stdout.contains("by reflink"), "clones reach into subvolumes: {ran:#?}");
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

#[test]
fn a_site_on_another_file_system_than_the_work_dir_is_copied_or_refused() {
    let (volume, other) = (Volume::xfs(), Volume::xfs());
    let test = running(&volume, "auto", JournalMode::Wal);
    let text = fs::read_to_string(test.site.site_toml()).expect("it is there");
    let elsewhere =
        text.replace(work_dir(&volume).to_str().expect("Unicode"), work_dir(&other).to_str().expect("Unicode"));
    fs::write(test.site.site_toml(), &elsewhere).expect("written");
    let ran = test.backup(0);
    assert!(ran.stdout.contains("by pre-copy"), "{ran:#?}");
    let ran = test.run(&["check"]);
    assert!(ran.code == 0 && ran.stderr.contains("note: files are copied while the site works, for"), "{ran:#?}");
    fs::write(test.site.site_toml(), elsewhere.replace("\"auto\"", "\"reflink\"")).expect("written");
    for command in ["check", "backup"] {
        let ran = test.run(&[command]);
        assert_eq!(ran.code, 19, "{ran:#?}");
        assert!(ran.stderr.contains("cannot be cloned to"), "{ran:#?}");
    }
    let left: Vec<_> =
        fs::read_dir(work_dir(&other)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert!(left.iter().all(|folder| folder.ends_with("sitebackup-clones")), "{left:?}");
    assert_eq!(images(&other), Vec::<PathBuf>::new());
    test.assert_services_come_back();
}

/// Writes numbers into both files and syncs them, one after the other, until `meanwhile` returns.
fn written_meanwhile<R>(files: [&Path; 2], meanwhile: impl FnOnce() -> R) -> R {
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                for file in files {
                    // In place and of one size: a file that is made anew is empty for a moment.
                    let written = fs::File::options().write(true).create(true).truncate(false).open(file);
                    let text = format!("{number:020}");
                    written
                        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_data()))
                        .expect("written");
                }
                if end.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        end.store(true, Ordering::SeqCst);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Of what nobody froze a snapshot holds what was synced up to one moment, as after a power cut. What is not synced may be there in any order.
#[test]
fn a_btrfs_image_of_what_was_not_frozen_is_of_one_moment_too() {
    let volume = Volume::btrfs();
    let test = running(&volume, "btrfs", JournalMode::Wal);
    let [first, second] = ["ahead", "behind"].map(|name| test.site.install_dir().join("srvacct").join(name));
    written_meanwhile([&first, &second], || {
        for round in 0..10 {
            test.backup(0);
            let name = format!("round-{round}");
            let tree = test.recover_tree(&name);
            let [first, second] = [&first, &second].map(|file| {
                let text = fs::read_to_string(test.place_in(&tree, file)).expect("it is there");
                text.parse::<u64>().unwrap_or_else(|error| panic!("{text:?}: {error}"))
            });
            assert!(first == second || first == second + 1, "round {round}: {first} before {second}");
            test.forget(&name);
        }
    });
}

/// What nobody froze changes after it was cloned and before the window ends, and that is said.
#[test]
fn a_file_that_changes_inside_the_window_makes_the_snapshot_weaker() {
    let volume = Volume::xfs();
    let test = running(&volume, "reflink", JournalMode::Wal);
    let [file, other] = ["unfrozen", "other"].map(|name| test.site.install_dir().join("inboxes").join(name));
    let ran = written_meanwhile([&file, &other], || test.backup(3));
    assert!(ran.stderr.contains("inboxes/unfrozen`: changed inside the freeze window"), "{ran:#?}");
}
