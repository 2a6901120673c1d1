//! Removals and sweeps: only what is ours, the listing first, at every point at which they can be cut short.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backup_core::path::SitePath;
use backup_core::ports::destination::{Destination, DestinationError, Holder, StageContent};
use jiff::Timestamp;
use rustix::io::Errno;

use super::super::LocalDestination;
use super::super::names::{failed, working_name};
use super::{Bench, LIST, manifest, rel, run, site_path, stage};

#[tokio::test]
async fn a_removed_snapshot_is_gone_and_the_others_stay() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    bench.published(run(2), "two").await;
    symlink("/etc", bench.staged(run(1), "link")).expect("a link that AfterBackup made");
    bench.destination.remove(run(1)).await.expect("removed");
    assert_eq!((bench.runs().await, bench.names()), (vec![run(2)], vec!["P01Backup".to_owned()]));
    assert!(Path::new("/etc/passwd").exists());
    bench.destination.remove(run(1)).await.expect("nothing is left to remove");
    bench.destination.remove(run(2)).await.expect("removed");
    assert_eq!(bench.names(), [""; 0]);
}

#[tokio::test]
async fn a_staging_folder_is_removed_while_its_run_has_it() {
    let bench = Bench::new();
    let staging = bench.begin(run(1), None).await;
    staging.write(&rel("deep/er/file"), b"x", Timestamp::UNIX_EPOCH).await.expect("written");
    bench.destination.remove(run(1)).await.expect("removed");
    assert_eq!(bench.names(), [""; 0]);
}

#[tokio::test]
async fn nothing_without_our_marker_is_removed() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    fs::remove_file(bench.root.path().join("P01Backup/.sitebackup")).expect("removed");
    let alike = bench.root.path().join(working_name(run(2)));
    fs::create_dir(&alike).expect("a folder that is named like ours");
    fs::write(alike.join("precious"), "x").expect("a file");
    bench.destination.remove(run(1)).await.expect("nothing to remove");
    bench.destination.remove(run(2)).await.expect("nothing to remove");
    assert_eq!(bench.destination.sweep().await.expect("swept"), 0);
    assert!(bench.root.path().join("P01Backup/a").exists() && alike.join("precious").exists());
}

#[tokio::test]
async fn a_sweep_takes_what_was_never_sealed_and_nobody_uses() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    let source = bench.write("x", "x");
    let dead = bench.begin(run(2), Some(run(1))).await;
    stage(&dead, "f/x", StageContent::Copy(source)).await.expect("staged");
    stage(&dead, "a", StageContent::Reuse(rel("a"))).await.expect("reused");
    let alive = bench.begin(run(3), None).await;
    assert_eq!(bench.destination.sweep().await.expect("swept"), 0, "both are in use");
    drop(dead);
    assert_eq!(bench.destination.sweep().await.expect("swept"), 1);
    assert!(bench.staged(run(3), ".sitebackup").exists() && !bench.staged(run(2), "").exists());
    alive.seal(&manifest(run(3), LIST), LIST).await.expect("sealed");
    drop(alive);
    assert_eq!(bench.destination.sweep().await.expect("swept"), 0);
    assert_eq!(bench.runs().await, [run(1), run(3)]);
    assert_eq!(fs::read(bench.root.path().join("P01Backup/a")).expect("shared with what was swept"), b"one");
}

#[tokio::test]
async fn another_process_keeps_a_folder_from_the_sweep() {
    let bench = Bench::new();
    drop(bench.begin(run(1), None).await);
    let marker = bench.staged(run(1), ".sitebackup");
    // flock(1) is in the base system; the shell says when it has the lock.
    let mut other = std::process::Command::new("flock")
        .arg(&marker)
        .args(["sh", "-c", "echo locked; exec cat"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("flock runs");
    let mut said = [0; 7];
    std::io::Read::read_exact(other.stdout.as_mut().expect("its output"), &mut said).expect("it has the lock");
    assert_eq!(bench.destination.sweep().await.expect("swept"), 0);
    drop(other.stdin.take());
    assert!(other.wait().expect("it ends").success());
    assert_eq!(bench.destination.sweep().await.expect("swept"), 1);
}

#[tokio::test]
async fn a_removal_is_finished_from_wherever_it_was_cut_short() {
    // Each step of a removal, as a crash after it leaves the folder.
    let steps: [fn(&Bench); 5] = [
        |bench| rename(bench, "P01Backup/sitebackup.json", "P01Backup/sitebackup.removing"),
        |bench| rename(bench, "P01Backup", &working_name(run(1))),
        |bench| {
            fs::remove_file(bench.staged(run(1), "a")).expect("removed");
            fs::remove_file(bench.staged(run(1), "files.jsonl.zst")).expect("removed");
            fs::remove_file(bench.staged(run(1), "sitebackup.sealed")).expect("removed");
        },
        |bench| fs::remove_file(bench.staged(run(1), "sitebackup.removing")).expect("removed"),
        |bench| fs::remove_file(bench.staged(run(1), ".sitebackup")).expect("removed"),
    ];
    for cut in 1..=steps.len() {
        let bench = Bench::new();
        bench.published(run(1), "one").await;
        for step in &steps[..cut] {
            step(&bench);
            assert_eq!(bench.runs().await, [], "not listed any more");
        }
        assert_eq!(bench.destination.sweep().await.expect("swept"), 1, "after step {cut}");
        assert_eq!(bench.names(), [""; 0], "after step {cut}");
        bench.published(run(2), "two").await;
    }
}

#[tokio::test]
async fn a_beginning_that_was_cut_short_is_swept() {
    let bench = Bench::new();
    fs::create_dir(bench.staged(run(1), "")).expect("an empty folder");
    fs::create_dir(bench.staged(run(2), "")).expect("a folder");
    fs::write(bench.staged(run(2), ".sitebackup.new-.sitebackup"), "{").expect("an unfinished marker");
    fs::create_dir(bench.root.path().join(".sitebackup-other")).expect("not our kind of name");
    assert_eq!(bench.destination.sweep().await.expect("swept"), 2);
    assert_eq!(bench.names(), [".sitebackup-other"]);
}

#[tokio::test]
async fn a_folder_whose_manifest_somebody_took_is_not_swept() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    fs::remove_file(bench.root.path().join("P01Backup/sitebackup.json")).expect("removed");
    bench.sealed(run(2), "two").await;
    fs::write(bench.staged(run(2), "sitebackup.json"), "{\"version\": 2}").expect("a later version's");
    assert_eq!(bench.destination.sweep().await.expect("swept"), 0);
    assert!(bench.root.path().join("P01Backup/a").exists() && bench.staged(run(2), "a").exists());
    // It is ours nevertheless: it makes room for a new one, and keeps its content.
    bench.published(run(3), "three").await;
    assert_eq!(bench.destination.sweep().await.expect("swept"), 0, "also under its new name");
    assert!(bench.root.path().join(format!("P01Backup.damaged-{}/a", run(1))).exists());
}

#[tokio::test]
async fn a_kept_snapshot_whose_manifest_somebody_took_is_told_and_not_swept() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    bench.published(run(2), "two").await;
    assert_eq!(bench.runs().await, [run(1), run(2)]);
    fs::remove_file(bench.staged(run(1), "sitebackup.json")).expect("removed");
    assert_eq!(bench.destination.sweep().await.expect("swept"), 0);
    let damaged = bench.destination.damaged().await.expect("looked at");
    assert_eq!(damaged.iter().map(|damaged| damaged.run).collect::<Vec<_>>(), [run(1)]);
    assert!(bench.staged(run(1), "a").exists());
    bench.destination.remove(run(1)).await.expect("what is asked for goes");
    assert_eq!(bench.names(), ["P01Backup"]);
}

#[tokio::test]
async fn a_seal_that_was_cut_short_is_swept_or_completed() {
    let bench = Bench::new();
    // Each step of a seal, the last one first.
    for run in [run(1), run(2)] {
        bench.sealed(run, "x").await;
        fs::remove_file(bench.staged(run, "sitebackup.sealed")).expect("the note comes last");
    }
    fs::remove_file(bench.staged(run(1), "sitebackup.json")).expect("and before it the manifest");
    assert_eq!(bench.destination.sweep().await.expect("swept"), 1);
    assert_eq!(bench.runs().await, [run(2)]);
    assert!(bench.staged(run(2), "sitebackup.sealed").exists(), "what is whole gets the note that it lacks");
}

fn rename(bench: &Bench, from: &str, to: &str) {
    fs::rename(bench.root.path().join(from), bench.root.path().join(to)).expect("renamed");
}

/// As long as the manifest is there, all of the content is; and the other snapshot is listed all the time.
#[test]
fn a_snapshot_is_whole_or_not_listed_at_every_instant_of_its_removal() {
    let bench = Bench::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(bench.published(run(1), "one"));
    let done = Arc::new(AtomicBool::new(false));
    for round in 2..12 {
        runtime.block_on(async {
            let staging = bench.begin(run(round), None).await;
            for n in 0..100 {
                staging.write(&rel(format!("f/{n}")), b"x", Timestamp::UNIX_EPOCH).await.expect("written");
            }
            staging.seal(&manifest(run(round), LIST), LIST).await.expect("sealed");
        });
        let (watched, folder) = (bench.destination.clone(), bench.staged(run(round), ""));
        let stop = Arc::clone(&done);
        let watcher = std::thread::spawn(move || {
            let mut listed_before = true;
            while !stop.load(Ordering::Relaxed) {
                let count = fs::read_dir(folder.join("f")).map_or(0, Iterator::count);
                assert!(count == 100 || !folder.join("sitebackup.json").exists(), "{count} files with a manifest");
                let runs: Vec<_> = watched.list_now().expect("a list").iter().map(|snapshot| snapshot.run).collect();
                assert_eq!(runs.first(), Some(&run(1)));
                assert!(listed_before || runs.len() == 1, "listed again");
                listed_before = runs.len() > 1;
            }
        });
        runtime.block_on(bench.destination.remove(run(round))).expect("removed");
        done.store(true, Ordering::Relaxed);
        watcher.join().expect("whole or not listed");
        done.store(false, Ordering::Relaxed);
    }
}

#[test]
fn no_room_is_an_error_of_its_own() {
    let path = SitePath::parse("/backup/x").expect("absolute");
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        assert!(matches!(failed("write", &path)(errno), DestinationError::Full(full) if full == path));
        assert!(matches!(failed("write", &path)(std::io::Error::from(errno)), DestinationError::Full(_)));
    }
    assert!(matches!(failed("write", &path)(Errno::IO), DestinationError::Failed { action: "write", .. }));
}

#[tokio::test]
async fn a_lock_that_a_crash_left_holds_nobody() {
    let bench = Bench::new();
    let lock = bench.root.path().join(".P01Backup.lock");
    fs::write(&lock, "run 1, process 1 on elsewhere, since long ago\n").expect("written");
    let hold = bench.destination.hold(Holder::Repair).await.expect("nobody has it locked");
    let told = fs::read_to_string(&lock).expect("it says who holds it");
    assert!(told.starts_with(&format!("repair, process {} on ", std::process::id())), "{told}");
    drop(hold);
    assert!(!lock.exists(), "nothing is left");
}

#[tokio::test]
async fn a_link_in_the_place_of_the_lock_is_not_followed() {
    let bench = Bench::new();
    let victim = bench.source.path().join("victim");
    fs::write(&victim, "kept").expect("written");
    symlink(&victim, bench.root.path().join(".P01Backup.lock")).expect("a link");
    bench.destination.hold(Holder::Repair).await.expect_err("it is no lock of ours");
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), "kept");
}

#[tokio::test]
async fn another_name_of_a_file_is_no_lock() {
    let bench = Bench::new();
    let victim = bench.source.path().join("victim");
    fs::write(&victim, "kept").expect("written");
    let lock = bench.root.path().join(".P01Backup.lock");
    fs::hard_link(&victim, &lock).expect("a second name");
    bench.destination.hold(Holder::Repair).await.expect_err("it is no lock of ours");
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), "kept");
    assert!(lock.exists(), "nor is the name removed");
    fs::remove_file(&lock).expect("removed");
    rustix::fs::mknodat(rustix::fs::CWD, &lock, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("a pipe");
    bench.destination.hold(Holder::Repair).await.expect_err("a pipe is none either");
    assert!(lock.exists());
}

#[tokio::test]
async fn sites_below_one_root_do_not_wait_for_each_other() {
    let bench = Bench::new();
    let _hold = bench.destination.hold(Holder::Repair).await.expect("free");
    let other = LocalDestination::new(site_path(bench.root.path()), "P02".parse().expect("a site code"));
    other.hold(Holder::Repair).await.expect("another site's snapshots");
}

#[tokio::test]
async fn a_note_that_is_not_ours_is_told() {
    let bench = Bench::new();
    let note = bench.root.path().join(".P01Backup.half-recovered");
    fs::write(&note, "half").expect("written");
    let error = bench.destination.half_recovered().await.expect_err("no note of ours");
    assert!(matches!(error, DestinationError::Damaged { .. }), "{error}");
    fs::remove_file(&note).expect("removed");
    symlink("/etc/hostname", &note).expect("linked");
    bench.destination.half_recovered().await.expect_err("links are not followed");
}
