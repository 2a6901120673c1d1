//! What is listed, at every instant of a publish.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backup_core::manifest::Manifest;
use backup_core::ports::destination::{Destination, DestinationError, Holder, SnapshotFiles};
use backup_core::site::SiteCode;

use super::{Bench, LIST, manifest, rel, run, site_path};
use crate::destination::{LocalDestination, LocalSnapshot};

#[tokio::test]
async fn a_snapshot_is_listed_once_it_is_sealed_whatever_its_name() {
    let bench = Bench::new();
    let staging = bench.begin(run(1), None).await;
    assert_eq!(bench.runs().await, []);
    staging.seal(&manifest(run(1), LIST), LIST).await.expect("sealed");
    let listed = bench.destination.list().await.expect("a list");
    assert_eq!((listed[0].run, listed[0].published), (run(1), false));
    let facts = fs::metadata(bench.staged(run(1), "")).expect("facts");
    assert_eq!((facts.mtime(), facts.permissions().mode() & 0o7777), (1_700_000_000, 0o700));
    fs::rename(bench.staged(run(1), ""), bench.root.path().join("moved by hand")).expect("renamed");
    assert_eq!(bench.runs().await, [run(1)]);
    let stored = bench.destination.publish(run(1)).await.expect("published");
    assert!(stored.published);
    assert_eq!(stored, bench.destination.list().await.expect("a list")[0]);
    assert_eq!(stored, bench.destination.publish(run(1)).await.expect("published again"));
    assert_eq!(bench.names(), ["P01Backup"]);
    assert_eq!(fs::metadata(bench.root.path().join("P01Backup")).expect("facts").mtime(), 1_700_000_000);
}

#[tokio::test]
async fn what_is_not_whole_is_not_listed() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    bench.sealed(run(2), "two").await;
    fs::write(bench.staged(run(2), "files.jsonl.zst"), zstd::encode_all(b"other".as_slice(), 1).expect("packed"))
        .expect("written");
    bench.sealed(run(3), "three").await;
    fs::write(bench.staged(run(3), "sitebackup.json"), "{").expect("written");
    bench.sealed(run(4), "four").await;
    fs::remove_file(bench.staged(run(4), ".sitebackup")).expect("removed");
    bench.sealed(run(5), "five").await;
    fs::copy(bench.staged(run(5), "sitebackup.json"), bench.root.path().join("other.json")).expect("copied");
    fs::write(bench.staged(run(5), "sitebackup.json"), manifest(run(6), LIST).to_json()).expect("written");
    symlink("P01Backup", bench.root.path().join("by link")).expect("a link");
    assert_eq!(bench.runs().await, [run(1)]);
    for missing in 2..6 {
        let published = bench.destination.publish(run(missing)).await;
        assert!(matches!(published, Err(DestinationError::NoSnapshot(_))), "{missing}");
    }
}

#[tokio::test]
async fn a_copy_made_by_hand_is_no_second_snapshot() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([bench.root.path().join("P01Backup"), bench.root.path().join("A copy")])
        .status();
    assert!(copied.expect("cp runs").success());
    let list = bench.destination.list().await.expect("a list");
    assert_eq!((list.len(), list[0].published), (1, true));
}

#[tokio::test]
async fn the_old_snapshot_gets_a_working_name_by_either_means() {
    for bench in [Bench::new(), Bench::without_exchange()] {
        bench.published(run(1), "one").await;
        let second = bench.published(run(2), "two").await;
        assert_eq!(second.folder, site_path(&bench.root.path().join("P01Backup")));
        assert_eq!(bench.runs().await, [run(1), run(2)]);
        assert_eq!(fs::read(bench.root.path().join("P01Backup/a")).expect("new"), b"two");
        assert_eq!(fs::read(bench.staged(run(1), "a")).expect("old"), b"one");
        assert_eq!(bench.names(), [super::super::names::working_name(run(1)), "P01Backup".to_owned()]);
        bench.destination.publish(run(1)).await.expect("the old one published again");
        assert_eq!(fs::read(bench.root.path().join("P01Backup/a")).expect("old"), b"one");
        assert_eq!(bench.runs().await, [run(1), run(2)]);
    }
}

#[tokio::test]
async fn a_publish_that_was_cut_short_is_finished_by_the_next() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    bench.sealed(run(2), "two").await;
    // The exchange happened, the order of names did not.
    let (a, b) = (bench.root.path().join("P01Backup"), bench.staged(run(2), ""));
    let root = fs::File::open(bench.root.path()).expect("the root");
    rustix::fs::renameat_with(&root, &a, &root, &b, rustix::fs::RenameFlags::EXCHANGE).expect("exchanged");
    assert_eq!(bench.runs().await, [run(1), run(2)]);
    bench.destination.publish(run(2)).await.expect("published");
    assert_eq!(bench.names(), [super::super::names::working_name(run(1)), "P01Backup".to_owned()]);
    // Without exchange: the old one has left the final name, the new one has not got it.
    bench.sealed(run(3), "three").await;
    fs::rename(&a, bench.staged(run(2), "")).expect("renamed");
    assert_eq!(bench.runs().await, [run(1), run(2), run(3)]);
    bench.destination.publish(run(3)).await.expect("published");
    assert_eq!(bench.runs().await, [run(1), run(2), run(3)]);
}

/// Rules 1 and 7: both are listed at every instant of 200 publishes, also where names cannot be exchanged.
#[test]
fn both_snapshots_are_listed_at_every_instant() {
    for bench in [Bench::new(), Bench::without_exchange()] {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            bench.published(run(1), "one").await;
            bench.sealed(run(2), "two").await;
        });
        let done = Arc::new(AtomicBool::new(false));
        let (watched, stop) = (bench.destination.clone(), Arc::clone(&done));
        let watcher = std::thread::spawn(move || {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                let list = watched.list_now().expect("a list");
                assert_eq!(list.iter().map(|snapshot| snapshot.run).collect::<Vec<_>>(), [run(1), run(2)]);
                rounds += 1;
            }
            rounds
        });
        for round in 0..200 {
            if watcher.is_finished() {
                break;
            }
            runtime.block_on(bench.destination.publish(run(1 + (round + 1) % 2))).expect("published");
        }
        done.store(true, Ordering::Relaxed);
        assert!(watcher.join().expect("both were always listed") > 0);
    }
}

#[tokio::test]
async fn what_is_foreign_is_never_touched() {
    type Make = fn(&std::path::Path);
    let makes: [Make; 5] = [
        |path| fs::create_dir(path).expect("an empty folder"),
        |path| {
            fs::create_dir(path).expect("the product's snapshot");
            fs::write(path.join("BackupDocument.xml"), "product").expect("a file");
        },
        |path| fs::write(path, "a file").expect("a file"),
        |path| symlink("nowhere", path).expect("a link"),
        |path| {
            fs::create_dir(path).expect("a folder");
            fs::write(path.join(".sitebackup"), "{\"version\":2}").expect("a later version's marker");
        },
    ];
    for make in makes {
        for bench in [Bench::new(), Bench::without_exchange()] {
            let path = bench.root.path().join("P01Backup");
            make(&path);
            let before = fs::symlink_metadata(&path).expect("facts");
            bench.sealed(run(1), "one").await;
            assert_eq!(bench.destination.inspect().await.expect("facts").foreign, Some(site_path(&path)));
            let refused = bench.destination.publish(run(1)).await;
            assert!(matches!(refused, Err(DestinationError::Foreign(found)) if found == site_path(&path)));
            bench.destination.sweep().await.expect("swept");
            let after = fs::symlink_metadata(&path).expect("facts");
            assert_eq!((after.ino(), after.ctime_nsec()), (before.ino(), before.ctime_nsec()));
            assert_eq!(bench.runs().await, [run(1)]);
        }
    }
}

#[tokio::test]
async fn another_sites_snapshots_are_not_ours() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    let code: SiteCode = "P02".parse().expect("a site code");
    let other = LocalDestination::new(site_path(bench.root.path()), code);
    assert_eq!(other.list().await.expect("a list"), []);
    assert!(matches!(other.open(run(1)).await.map(drop), Err(DestinationError::NoSnapshot(_))));
    other.remove(run(1)).await.expect("nothing of that site");
    drop(bench.begin(run(2), None).await);
    assert_eq!(other.sweep().await.expect("swept"), 0);
    assert_eq!(bench.runs().await, [run(1)]);
    assert_eq!(bench.destination.sweep().await.expect("swept"), 1);
}

#[tokio::test]
async fn a_manifest_is_amended_and_a_log_kept() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    let mut amended = manifest(run(1), LIST);
    amended.weaker.push("something".to_owned());
    bench.destination.amend(&amended).await.expect("amended");
    assert_eq!(bench.destination.list().await.expect("a list")[0].manifest, amended);
    let refused = bench.destination.amend(&manifest(run(1), b"another list")).await;
    assert!(matches!(refused, Err(DestinationError::Damaged { .. })));
    assert!(matches!(bench.destination.amend(&manifest(run(7), LIST)).await, Err(DestinationError::NoSnapshot(_))));
    bench.destination.keep_log(None, b"first").await.expect("kept");
    bench.destination.keep_log(Some(run(1)), b"second").await.expect("kept");
    for log in ["smsbkup.log", "P01Backup/smsbkup.log"] {
        assert_eq!(fs::read(bench.root.path().join(log)).expect("a log"), b"second");
    }
    assert_eq!(fs::metadata(bench.root.path().join("P01Backup")).expect("facts").mtime(), 1_700_000_000);
    assert_eq!(bench.names(), ["P01Backup", "smsbkup.log"]);
}

#[tokio::test]
async fn a_log_of_the_products_own_task_is_told_with_its_time() {
    let bench = Bench::new();
    let told = async || bench.destination.inspect().await.expect("facts").other_task;
    assert_eq!(told().await, None, "no log");
    let log = bench.root.path().join("smsbkup.log");
    let line =
        "SMS site backup service started.  $$<SMS_SITE_BACKUP><12-23-2001 01:53:55.007+300><thread=1180 (0x049C)>";
    fs::write(&log, line).expect("written");
    let file = fs::File::options().write(true).open(&log).expect("open");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).expect("dated");
    assert_eq!(told().await.map(|at| at.as_second()), Some(1_700_000_000));
    fs::write(&log, format!("{line}\r\nThis is sitebackup 0.1.0")).expect("written");
    assert_eq!(told().await, None, "ours");
    fs::remove_file(&log).expect("removed");
    symlink("/dev/zero", &log).expect("a link");
    assert_eq!(told().await, None, "no file");
}

#[tokio::test]
async fn a_snapshot_is_read_wherever_it_is_and_over_no_link() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    let folder = bench.root.path().join("P01Backup");
    symlink("/etc", folder.join("way")).expect("a link");
    symlink("a", folder.join("b")).expect("a link");
    let by_run = bench.destination.open(run(1)).await.expect("open");
    let bare: Arc<dyn SnapshotFiles> = Arc::new(LocalSnapshot::open(&site_path(&folder)).expect("open"));
    bench.published(run(2), "two").await;
    bench.destination.publish(run(2)).await.expect("the first one has another name now");
    for snapshot in [by_run, bare] {
        let read = Manifest::parse(&snapshot.manifest().await.expect("a manifest")).expect("a manifest");
        assert_eq!((read.run, snapshot.list().await.expect("a list")), (run(1), LIST.to_vec()));
        let names: Vec<_> = snapshot.walk().await.expect("a walk").iter().map(|entry| entry.path.to_string()).collect();
        assert_eq!(names, ["a", "b", "way"]);
        let mut buffer = [0; 8];
        assert_eq!(snapshot.open(&rel("a")).expect("open").read_at(0, &mut buffer).expect("read"), 3);
        for path in ["b", "way/passwd", "missing", ""] {
            snapshot.open(&rel(path)).map(drop).expect_err(path);
        }
        let hashes = snapshot.hash(vec![rel("a"), rel("b")]).await;
        let expected = (3, backup_core::manifest::ContentHash::of(b"one"));
        assert_eq!((hashes[0].as_ref().ok(), hashes[1].is_err()), (Some(&expected), true));
    }
    LocalSnapshot::open(&site_path(&folder.join("a"))).map(drop).expect_err("a file");
}

#[tokio::test]
async fn a_hostile_list_is_not_unpacked_without_end() {
    let bench = Bench::new();
    bench.published(run(1), "one").await;
    let folder = bench.root.path().join("P01Backup");
    let bomb = zstd::encode_all(std::io::repeat(0).take(200 << 20), 1).expect("packed");
    fs::write(folder.join("files.jsonl.zst"), bomb).expect("written");
    let snapshot = LocalSnapshot::open(&site_path(&folder)).expect("open");
    assert!(matches!(snapshot.list().await, Err(DestinationError::Damaged { .. })));
}

#[tokio::test]
async fn facts_tell_room_volume_and_whether_it_can_be_written() {
    let bench = Bench::new();
    let facts = bench.destination.inspect().await.expect("facts");
    assert!(facts.free > 0 && facts.writable && facts.foreign.is_none());
    assert_eq!(facts.device, fs::metadata(bench.root.path()).expect("facts").dev());
    assert_eq!(bench.names(), [""; 0]);
    let missing = LocalDestination::new(site_path(&bench.root.path().join("none")), "P01".parse().expect("a code"));
    let error = missing.inspect().await.expect_err("no root");
    let text = backup_core::copy::chain(&error);
    assert!(text.contains("none`: the folder does not exist: create it"), "{text}");
    missing.begin(run(1), None).await.map(drop).expect_err("no root");
    let system = LocalDestination::new(site_path(std::path::Path::new("/proc")), "P01".parse().expect("a code"));
    assert!(!system.inspect().await.expect("facts").writable);
}

/// Whatever was done to the published folder, it is named with the reason, gives way, and no sweep takes it.
#[tokio::test]
async fn a_damaged_snapshot_gives_way_and_stays() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 5] = [
        ("`sitebackup.json` cannot be read", |folder| {
            fs::write(folder.join("sitebackup.json"), "{}").expect("written");
        }),
        ("`sitebackup.json` cannot be read", |folder| fs::remove_file(folder.join("sitebackup.json")).expect("gone")),
        ("`files.jsonl.zst` cannot be read", |folder| fs::remove_file(folder.join("files.jsonl.zst")).expect("gone")),
        ("`files.jsonl.zst` cannot be read", |folder| fs::write(folder.join("files.jsonl.zst"), "#").expect("written")),
        ("does not have the hash", |folder| {
            let other = zstd::encode_all(&b"other"[..], 1).expect("packed");
            fs::write(folder.join("files.jsonl.zst"), other).expect("written");
        }),
    ];
    for (reason, damage) in damages {
        for bench in [Bench::new(), Bench::without_exchange()] {
            let folder = bench.published(run(1), "one").await.folder;
            damage(&bench.root.path().join("P01Backup"));
            assert_eq!(bench.destination.list().await.expect("listed"), []);
            let damaged = bench.destination.damaged().await.expect("looked at");
            assert_eq!((damaged.len(), damaged[0].run, &damaged[0].folder), (1, run(1), &folder));
            assert!(damaged[0].reason.contains(reason), "{}", damaged[0].reason);
            bench.published(run(2), "two").await;
            bench.destination.sweep().await.expect("swept");
            let aside = bench.root.path().join(format!("P01Backup.damaged-{}", run(1)));
            assert_eq!(fs::read(aside.join("a")).expect("its content is left alone"), b"one", "{reason}");
            assert_eq!(bench.destination.damaged().await.expect("looked at").len(), 1, "{reason}");
        }
    }
}

/// A place that is made at need is empty before, and is made for a run only.
#[tokio::test]
async fn a_place_is_made_by_the_first_run_that_holds_it() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let place = scratch.path().join("work/kept");
    let destination = LocalDestination::made_at_need(site_path(&place), "P01".parse().expect("a site code"));
    assert_eq!(destination.list().await.expect("nothing yet"), []);
    assert_eq!(destination.damaged().await.expect("nothing yet"), []);
    let refused = destination.hold(Holder::Repair).await.expect_err("there is nothing to repair");
    assert!(backup_core::copy::chain(&refused).contains("mount its drive"), "{refused}");
    assert!(!scratch.path().join("work").exists(), "who looks makes nothing");
    drop(destination.hold(Holder::Run(run(1))).await.expect("made"));
    assert_eq!(fs::metadata(&place).expect("made").permissions().mode() & 0o777, 0o700);
    destination.begin(run(1), None).await.expect("a staging folder");
}
