use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use std::{env, io, thread};

use tempfile::TempDir;

use super::super::local::{self, LocalStorage};
use super::super::{Storage, StorageError};
use super::{WRONG_NAMES, conforms};

/// Names the folder that a second process puts objects into.
const VARIABLE: &str = "ARCHIVE_TEST_FOLDER";

fn scratch() -> (TempDir, LocalStorage) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let storage = LocalStorage::create(scratch.path().join("repository")).expect("a new folder");
    (scratch, storage)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().expect("plain")).collect();
    names.sort();
    names
}

#[test]
fn it_conforms() {
    let (scratch, storage) = scratch();
    conforms(&storage);
    let folder = scratch.path().join("repository");
    assert_eq!(names(&folder.join("tmp")), [""; 0]);
    conforms(&LocalStorage::create(scratch.path().join("second")).expect("a new folder"));
    let opened = LocalStorage::open(folder).expect("it is there");
    assert_eq!(opened.get("once/1", 10).expect("it is there"), b"first");
}

#[test]
fn it_is_created_in_an_empty_folder_and_opened_where_it_is() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path().join("a");
    assert!(matches!(LocalStorage::open(&folder), Err(StorageError::Missing(_))));
    assert!(matches!(LocalStorage::create(folder.join("b")), Err(StorageError::Missing(_))));
    fs::create_dir(&folder).expect("a folder");
    LocalStorage::create(&folder).expect("an empty folder").put_new("config", b"").expect("room");
    assert!(matches!(LocalStorage::create(&folder), Err(StorageError::Exists(_))));
    fs::write(scratch.path().join("file"), "").expect("a file");
    for taken in [LocalStorage::open(scratch.path().join("file")), LocalStorage::create(scratch.path().join("file"))] {
        assert!(matches!(taken, Err(StorageError::Failed { .. })), "{taken:?}");
    }
}

#[test]
fn wrong_names_touch_nothing() {
    let (scratch, storage) = scratch();
    fs::write(scratch.path().join("a"), "not an object").expect("written");
    for name in WRONG_NAMES {
        for result in [storage.len(name).map(drop), storage.put_new(name, b""), storage.delete(name)] {
            assert!(matches!(result, Err(StorageError::Failed { .. })), "{name}: {result:?}");
        }
    }
    for folder in ["..", "a/b", ""] {
        assert!(matches!(storage.list(folder), Err(StorageError::Failed { .. })), "{folder}");
    }
    assert_eq!(names(scratch.path()), ["a", "repository"]);
    assert_eq!(names(&scratch.path().join("repository")), [""; 0]);
}

#[test]
fn what_others_put_there_is_not_listed_and_stays() {
    let (scratch, storage) = scratch();
    let folder = scratch.path().join("repository");
    storage.put_new("packs/1f/1f", b"ours").expect("room");
    for name in ["packs/Thumbs.db", "packs/1f/1f.part", "packs/1f/UPPER", "packs/1f/.hidden"] {
        fs::write(folder.join(name), "theirs").expect("written");
    }
    fs::create_dir_all(folder.join("packs/.Trash/1f")).expect("a folder");
    fs::write(folder.join("packs/.Trash/1f/1f"), "theirs").expect("written");
    fs::create_dir_all(folder.join("packs/folder")).expect("a folder");
    let listed = storage.list("packs").expect("a listing");
    assert_eq!(listed.iter().map(|stored| stored.name.as_str()).collect::<Vec<_>>(), ["packs/1f/1f"]);
    storage.delete("packs/folder").expect("it is no object");
    assert!(folder.join("packs/folder").is_dir());
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (scratch, storage) = scratch();
    let (folder, elsewhere) = (scratch.path().join("repository"), scratch.path().join("elsewhere"));
    fs::create_dir(&elsewhere).expect("a folder");
    fs::write(elsewhere.join("1f"), "theirs").expect("written");
    storage.put_new("packs/aa/aa", b"ours").expect("room");
    symlink(&elsewhere, folder.join("packs/1f")).expect("a link");
    symlink(elsewhere.join("1f"), folder.join("packs/aa/1f")).expect("a link");
    symlink(&elsewhere, folder.join("keys")).expect("a link");
    symlink(&elsewhere, folder.join("tmp2")).expect("a link");

    assert_eq!(storage.list("packs").expect("a listing").len(), 1);
    assert_eq!(storage.list("keys").expect("a listing"), []);
    assert!(matches!(storage.get("packs/aa/1f", 10), Err(StorageError::Missing(_))));
    storage.delete("packs/aa/1f").expect("it is no object");
    assert!(fs::symlink_metadata(folder.join("packs/aa/1f")).is_ok());
    assert!(matches!(storage.put_new("packs/aa/1f", b"x"), Err(StorageError::Exists(_))));
    for name in ["packs/1f/1f", "keys/1f"] {
        let results = [storage.len(name).map(drop), storage.put_new(&format!("{name}2"), b"x"), storage.delete(name)];
        for result in results {
            assert!(matches!(result, Err(StorageError::Failed { .. })), "{name}: {result:?}");
        }
    }
    assert_eq!(names(&elsewhere), ["1f"]);

    fs::remove_dir(folder.join("tmp")).expect("it is empty");
    symlink(&elsewhere, folder.join("tmp")).expect("a link");
    fs::write(elsewhere.join("0123456789abcdef.part"), "theirs").expect("written");
    File::options()
        .write(true)
        .open(elsewhere.join("0123456789abcdef.part"))
        .expect("it is there")
        .set_modified(SystemTime::UNIX_EPOCH)
        .expect("old");
    assert_eq!(storage.sweep().expect("swept"), 0);
    let anew = LocalStorage::open(folder).expect("it is there");
    assert!(matches!(anew.put_new("packs/aa/bb", b"x"), Err(StorageError::Failed { .. })));
    assert_eq!(names(&elsewhere), ["0123456789abcdef.part", "1f"]);
}

#[cfg(unix)]
#[test]
fn everything_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (scratch, storage) = scratch();
    let folder = scratch.path().join("repository");
    storage.put_new("packs/1f/1f", b"content").expect("room");
    for (path, mode) in [("", 0o700), ("packs", 0o700), ("packs/1f", 0o700), ("packs/1f/1f", 0o600), ("tmp", 0o700)] {
        let found = fs::metadata(folder.join(path)).expect("it is there").permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
}

#[test]
fn storage_that_is_gone_is_not_empty() {
    let (scratch, storage) = scratch();
    storage.put_new("packs/1f", b"content").expect("room");
    fs::rename(scratch.path().join("repository"), scratch.path().join("away")).expect("renamed");
    assert!(matches!(storage.list("packs"), Err(StorageError::Failed { .. })));
    let results = [storage.len("packs/1f").map(drop), storage.put_new("packs/2f", b"x"), storage.delete("packs/1f")];
    for result in results {
        assert!(matches!(result, Err(StorageError::Failed { .. })), "{result:?}");
    }
}

#[test]
fn a_sweep_takes_what_is_ours_and_a_day_old() {
    let (scratch, storage) = scratch();
    assert_eq!(storage.sweep().expect("there is no such folder yet"), 0);
    storage.put_new("packs/1f", b"content").expect("room");
    let folder = scratch.path().join("repository/tmp");
    let now = SystemTime::now();
    let old = now - Duration::from_secs(24 * 60 * 60 + 1);
    let (ours, young) = ("0123456789abcdef.part", "fedcba9876543210.part");
    let others =
        ["0123456789abcdef", "0123456789abcde.part", "0123456789ABCDE0.part", "notes.part", "0123456789abcdefg.part"];
    for name in others.iter().chain([&ours, &young]) {
        let file = File::create(folder.join(name)).expect("a file");
        file.set_modified(if *name == young { old + Duration::from_secs(60) } else { old }).expect("old");
    }
    fs::create_dir(folder.join("1111111111111111.part")).expect("a folder");
    // A clock that went back makes nothing old.
    assert_eq!(local::sweep_folder(&folder, old - Duration::from_secs(1 << 20)).expect("swept"), 0);
    assert_eq!(storage.sweep().expect("swept"), 1);
    assert!(!folder.join(ours).exists() && folder.join(young).exists());
    assert_eq!(names(&folder).len(), others.len() + 2);
    assert_eq!(storage.list("packs").expect("a listing").len(), 1);
}

/// Without links, threads still take turns.
#[test]
fn a_rename_replaces_nothing_either() {
    let (scratch, storage) = scratch();
    for round in 0..300 {
        // Threads that a barrier wakes come one after the other.
        let (path, together) = (scratch.path().join(format!("{round}")), AtomicUsize::new(0));
        let put = |name: &str| {
            let temporary = scratch.path().join(name);
            fs::write(&temporary, name).expect("written");
            together.fetch_add(1, Ordering::SeqCst);
            while together.load(Ordering::SeqCst) < 2 {
                std::hint::spin_loop();
            }
            storage.rename(&temporary, &path).map_err(|error| error.kind())
        };
        let results = thread::scope(|scope| {
            ["one", "two"].map(|name| scope.spawn(move || put(name))).map(|thread| thread.join().expect("no panic"))
        });
        assert!(results.contains(&Ok(())) && results.contains(&Err(io::ErrorKind::AlreadyExists)), "{results:?}");
        let winner = if results[0].is_ok() { "one" } else { "two" };
        assert_eq!(fs::read(&path).expect("it is there"), winner.as_bytes());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_file_systems_say_is_understood() {
    use std::io::Write;
    let full = File::options().write(true).open("/dev/full").and_then(|mut full| full.write_all(b"x"));
    let full = local::refused("put", "a", full.expect_err("it is always full"));
    assert!(matches!(full, StorageError::Full(name) if name == "a"));
    // EPERM, EOPNOTSUPP; EIO, EACCES' neighbour EXDEV, ENOSPC.
    for (code, has_none) in [(1, true), (95, true), (5, false), (18, false), (28, false)] {
        assert_eq!(local::has_no_links(&io::Error::from_raw_os_error(code)), has_none, "{code}");
    }
}

#[test]
fn a_put_that_is_killed_leaves_a_whole_object_or_none() {
    let (scratch, storage) = scratch();
    let folder = scratch.path().join("repository");
    for round in 0..8 {
        let mut command = Command::new(env::current_exe().expect("the test program"));
        command.args(["--exact", "storage::tests::local::puts_until_it_is_killed"]).env(VARIABLE, &folder);
        let mut child = command.stdout(Stdio::null()).spawn().expect("a second process");
        let before = storage.list("killed").expect("a listing").len();
        // Somewhere in the middle of what it does next, a little later in each round.
        let wanted = before + 3 + round;
        while storage.list("killed").expect("a listing").len() < wanted {
            assert!(child.try_wait().expect("it runs").is_none(), "it ended by itself");
        }
        child.kill().expect("it runs");
        child.wait().expect("it has ended");
        for stored in storage.list("killed").expect("a listing") {
            assert_eq!(stored.len, LARGE as u64);
            let content = storage.get(&stored.name, LARGE).expect("it is there");
            assert!(content.iter().all(|byte| *byte == 7), "{}", stored.name);
        }
    }
    let left = names(&folder.join("tmp"));
    let tomorrow = SystemTime::now() + Duration::from_secs(25 * 60 * 60);
    assert_eq!(local::sweep_folder(&folder.join("tmp"), tomorrow).expect("swept"), left.len(), "{left:?}");
}

const LARGE: usize = 2_000_000;

/// The other process of the test above; nothing by itself.
#[test]
fn puts_until_it_is_killed() {
    let Some(folder) = env::var_os(VARIABLE) else { return };
    let storage = LocalStorage::open(folder).expect("it is there");
    let first = storage.list("killed").expect("a listing").len();
    for number in first.. {
        storage.put_new(&format!("killed/{number}"), &vec![7; LARGE]).expect("room");
    }
}
