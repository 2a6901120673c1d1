//! Moments that are kept for other programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::program::Ran;
use tests::{Counters, JournalMode, poll_until, read_counters};

use crate::site::TestSite;

/// Keeps a moment; returns what is told of it.
fn create(test: &TestSite) -> Value {
    let ran = test.run(&["--json", "shadow-copy", "create"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran.json()["result"]["kept"].clone()
}

fn id(kept: &Value) -> String {
    kept["short"].as_str().expect("an id").to_owned()
}

/// What is kept, as it is listed.
fn list(test: &TestSite, code: i32) -> Vec<Value> {
    let ran = test.run(&["--json", "shadow-copy", "list"]);
    assert_eq!(ran.code, code, "{ran:#?}");
    ran.json()["result"]["kept"].as_array().expect("a list").clone()
}

fn path(test: &TestSite, id: &str, source: &[&Path]) -> PathBuf {
    let mut args = vec!["shadow-copy", "path", id];
    args.extend(source.iter().map(|source| source.to_str().expect("Unicode")));
    let ran = test.run(&args);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{ran:#?}");
    PathBuf::from(ran.stdout.trim_end_matches('\n'))
}

fn delete(test: &TestSite, id: &str) -> Ran {
    // After a kill the watchdog may only now look after the services.
    let delete = || Some(test.run(&["shadow-copy", "delete", id])).filter(|ran| ran.code != 10);
    let ran = poll_until(Duration::from_secs(120), delete).expect("the watchdog lets go");
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran
}

/// Copies all that is kept by `cp`, and reads the numbers in the copy.
fn copied(test: &TestSite, id: &str) -> Counters {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let copy = |from: &Path, to: &str| {
        let to = scratch.path().join(to);
        let status = Command::new("cp").arg("-a").args([from, &to]).status();
        assert!(status.expect("cp runs").success(), "{}", from.display());
        to
    };
    let parts = copy(&path(test, id, &[]), "parts");
    for folder in ["inboxes", "Logs"] {
        assert!(copy(&path(test, id, &[&test.site.install_dir().join(folder)]), folder).is_dir());
    }
    let registry = parts.join("SiteServer/SMSbkSiteRegSMS.dat");
    read_counters(scratch.path(), &parts.join("SiteDBServer/CM_P01.db"), &registry).expect("the numbers can be read")
}

/// What is in the folder with all that are kept, besides the lock that a killed run left.
fn entries(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|entry| entry.extension().is_none_or(|extension| extension != "lock")).collect()
}

fn what_is_kept_is_of_one_moment(test: &TestSite, store: &Path) {
    test.backup(0);
    let mut kept = Vec::new();
    for round in 0..3 {
        test.workload.wait_for_progress().expect("the site works");
        let id = id(&create(test));
        test.assert_services_come_back();
        let counters = copied(test, &id);
        assert!(counters.agree() && counters.highest() > 0, "round {round}: {counters}");
        kept.push((id, counters));
    }
    // Backups and repairs go on beside it and leave it alone.
    test.backup(0);
    assert_eq!(test.run(&["repair"]).code, 0);
    let ran = test.run(&["verify", "--read-data"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(test.run(&["check"]).code, 0);
    let ids: Vec<String> = list(test, 0).iter().map(id).collect();
    assert_eq!(ids.len(), 3);
    for (id, counters) in &kept {
        assert_eq!(copied(test, id), *counters, "it is as it was");
    }
    delete(test, &kept[1].0);
    assert_eq!(copied(test, &kept[0].0), kept[0].1, "another one's deletion does not concern it");
    let ran = test.run(&["shadow-copy", "delete", "--all"]);
    assert!(ran.code == 0 && ran.stdout.contains("2 shadow copies"), "{ran:#?}");
    assert_eq!(list(test, 0), Vec::<Value>::new());
    assert_eq!(entries(store), Vec::<PathBuf>::new());
    let ran = test.run(&["shadow-copy", "path", &kept[0].0]);
    assert!(ran.code == 22 && ran.stderr.contains("no kept shadow copy starts with"), "{ran:#?}");
}

#[test]
fn copies_that_are_kept_are_of_one_moment() {
    let test = TestSite::running(JournalMode::Wal, 0);
    what_is_kept_is_of_one_moment(&test, &test.site.destination().join("sitebackup-kept"));
}

#[cfg(all(target_os = "linux", feature = "servers"))]
#[test]
fn a_btrfs_image_that_is_kept_is_of_one_moment() {
    let volume = tests::volume::Volume::btrfs();
    let test = crate::images::running(&volume, "btrfs", JournalMode::Wal);
    what_is_kept_is_of_one_moment(&test, &crate::images::work_dir(&volume).join("sitebackup-kept"));
    assert_eq!(crate::images::images(&volume), Vec::<PathBuf>::new());
}

#[cfg(all(target_os = "linux", feature = "servers"))]
#[test]
fn clones_that_are_kept_are_of_one_moment() {
    let volume = tests::volume::Volume::xfs();
    let test = crate::images::running(&volume, "reflink", JournalMode::Wal);
    what_is_kept_is_of_one_moment(&test, &crate::images::work_dir(&volume).join("sitebackup-kept"));
    assert_eq!(crate::images::images(&volume), Vec::<PathBuf>::new());
}

/// Whatever a killed `create` left: the next repair removes it, or it is whole and listed.
fn a_killed_one_is_not_forgotten(test: &TestSite, store: &Path, left: impl Fn() -> bool) {
    let mut seen = 0;
    for round in 0_u64..12 {
        let mut child = test.program.command(test.args(&["shadow-copy", "create"])).spawn().expect("it starts");
        let begun = poll_until(Duration::from_secs(60), || (left() || !entries(store).is_empty()).then_some(()));
        std::thread::sleep(Duration::from_millis(20 * round));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        seen += usize::from(begun.is_some());
        test.assert_services_come_back();
        let waits = || Some(test.run(&["repair"])).filter(|ran| ran.code != 10);
        let ran = poll_until(Duration::from_secs(120), waits).expect("the watchdog lets go");
        assert_eq!(ran.code, 0, "{ran:#?}");
        for kept in list(test, 0) {
            assert!(copied(test, &id(&kept)).agree(), "round {round}");
            delete(test, &id(&kept));
        }
        assert!(!left() && entries(store).is_empty(), "round {round}: {:?}", entries(store));
    }
    assert!(seen > 6, "killed too early: {seen}");
    test.backup(0);
}

#[test]
fn copies_of_a_killed_create_are_not_forgotten() {
    let test = TestSite::running(JournalMode::Wal, 0);
    a_killed_one_is_not_forgotten(&test, &test.site.destination().join("sitebackup-kept"), || false);
}

#[cfg(all(target_os = "linux", feature = "servers"))]
#[test]
fn an_image_of_a_killed_create_is_not_forgotten() {
    let volume = tests::volume::Volume::btrfs();
    let test = crate::images::running(&volume, "btrfs", JournalMode::Wal);
    let store = crate::images::work_dir(&volume).join("sitebackup-kept");
    a_killed_one_is_not_forgotten(&test, &store, || !crate::images::images(&volume).is_empty());
}

/// Nothing but its image is left of it, and both commands say so.
#[cfg(all(target_os = "linux", feature = "servers"))]
#[test]
fn what_somebody_removed_is_told_and_still_deleted() {
    let volume = tests::volume::Volume::btrfs();
    let test = crate::images::running(&volume, "btrfs", JournalMode::Wal);
    let work_dir = crate::images::work_dir(&volume);
    let kept = create(&test);
    let folder = PathBuf::from(kept["folder"].as_str().expect("a folder"));
    fs::remove_dir_all(&folder).expect("somebody's mistake");
    let broken = list(&test, 3);
    assert!(broken.len() == 1 && broken[0]["broken"].as_str().is_some_and(|why| why.contains("no folder of it is in")));
    let ran = test.run(&["shadow-copy", "path", &id(&kept)]);
    assert!(ran.code == 22 && ran.stderr.contains("cannot be read"), "{ran:#?}");
    assert_eq!(test.run(&["status"]).code, 30, "there is no backup yet");
    test.backup(0);
    let ran = test.run(&["status"]);
    assert!(ran.code == 3 && ran.stderr.contains("cannot be read"), "{ran:#?}");
    // Without the volume nothing is forgotten.
    let (store, aside) = (work_dir.join("sitebackup-kept"), work_dir.join("aside"));
    fs::rename(&store, &aside).expect("renamed");
    let ran = test.run(&["shadow-copy", "delete", &id(&kept)]);
    assert!(ran.code == 11 && ran.stderr.contains("mount its drive"), "{ran:#?}");
    fs::rename(&aside, &store).expect("renamed");
    // Another choice in site.toml does not know of images, and lets go of this one all the same.
    let text = fs::read_to_string(test.site.site_toml()).expect("it is there");
    fs::write(test.site.site_toml(), text.replace("\"btrfs\"", "\"pre-copy\"")).expect("written");
    assert_eq!(crate::images::images(&volume).len(), 1);
    delete(&test, &id(&kept));
    assert_eq!(crate::images::images(&volume), Vec::<PathBuf>::new());
    assert_eq!(list(&test, 0), Vec::<Value>::new());
}

#[test]
fn what_cannot_be_read_is_listed_with_the_reason() {
    let test = TestSite::running(JournalMode::Wal, 0);
    for (damaged, reason) in [
        ("sitebackup.json", "`sitebackup.json` cannot be read"),
        ("files.jsonl.zst", "`files.jsonl.zst`"),
        ("sitebackup/shadow-copy.json", "`sitebackup/shadow-copy.json` cannot be read"),
    ] {
        let kept = create(&test);
        let folder = PathBuf::from(kept["folder"].as_str().expect("a folder"));
        fs::write(folder.join(damaged), "{").expect("damaged");
        let broken = list(&test, 3);
        let told = broken[0]["broken"].as_str().unwrap_or_default();
        assert!(broken.len() == 1 && told.contains(reason), "{damaged}: {told}");
        delete(&test, &id(&kept));
        assert!(!folder.exists(), "{damaged}");
    }
    // What lost its marker is not ours any more.
    let kept = create(&test);
    let folder = PathBuf::from(kept["folder"].as_str().expect("a folder"));
    fs::remove_file(folder.join(".sitebackup")).expect("removed");
    assert_eq!(list(&test, 3).len(), 1);
    delete(&test, &id(&kept));
    assert!(folder.join("sitebackup.json").exists(), "nothing is deleted that does not carry our marker");
}

#[test]
fn bad_input_names_what_is_wrong() {
    let test = TestSite::running(JournalMode::Wal, 0);
    let kept = id(&create(&test));
    let ran = test.run(&["shadow-copy", "path", &kept, "/no/source"]);
    assert!(ran.code == 2 && ran.stderr.contains("`/no/source` is no source"), "{ran:#?}");
    let ran = test.run(&["shadow-copy", "delete", "ffff"]);
    assert!(ran.code == 22 && ran.stderr.contains("no kept shadow copy starts with `ffff`"), "{ran:#?}");
    let ran = test.run(&["shadow-copy", "delete"]);
    assert_eq!(ran.code, 2, "{ran:#?}");
    // A site whose images would lie elsewhere does not forget this one.
    let text = fs::read_to_string(test.site.site_toml()).expect("it is there");
    let elsewhere = tempfile::tempdir().expect("a scratch folder");
    fs::create_dir(elsewhere.path().join("sitebackup-kept")).expect("made");
    let work_dir = format!("[task]\nwork-dir = \"{}\"", elsewhere.path().display());
    fs::write(test.site.site_toml(), text.replace("[task]", &work_dir)).expect("written");
    assert_eq!(list(&test, 3).len(), 1);
    let ran = test.run(&["shadow-copy", "delete", &kept]);
    assert!(ran.code == 2 && ran.stderr.contains("are kept in"), "{ran:#?}");
    fs::write(test.site.site_toml(), text).expect("written");
    assert!(copied(&test, &kept).agree());
}
