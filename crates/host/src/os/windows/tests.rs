use std::fs;
use std::path::Path;

use super::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, RenameFlags, Timespec, Timestamps, UTIME_OMIT, basic_of,
    close_to_others, described, fstat, fstatvfs, futimens, linkat, mkdirat, open, openat, renameat, renameat_with,
    set_basic, set_described, statat, unlinkat,
};
use super::io::{Errno, pread, pwrite};

fn folder(path: &Path) -> super::fd::OwnedFd {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("it is a folder")
}

fn bench() -> (tempfile::TempDir, super::fd::OwnedFd) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let opened = folder(scratch.path());
    (scratch, opened)
}

fn names(folder: &super::fd::OwnedFd) -> Vec<String> {
    let mut listing = RawDir::new(folder, &mut []);
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        names.push(entry.expect("listed").file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    names
}

#[test]
fn names_below_an_open_folder_are_made_renamed_and_removed() {
    let (scratch, root) = bench();
    mkdirat(&root, "a", Mode::RWXU).expect("made");
    assert_eq!(mkdirat(&root, "A", Mode::RWXU), Err(Errno::EXIST), "names have no case");
    let file = openat(&root, "a/x", OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR);
    assert_eq!(pwrite(file.expect("made"), b"hello", 3), Ok(5));
    fs::write(scratch.path().join("y"), "old").expect("written");
    renameat(&root, "a/x", &root, "y").expect("renamed onto a file");
    assert_eq!(fs::read(scratch.path().join("y")).expect("read"), b"\0\0\0hello");
    assert_eq!(renameat_with(&root, "y", &root, "a", RenameFlags::NOREPLACE), Err(Errno::EXIST));
    assert_eq!(unlinkat(&root, "a", AtFlags::empty()), Err(Errno::ISDIR));
    assert_eq!(unlinkat(&root, "y", AtFlags::REMOVEDIR), Err(Errno::NOTDIR));
    unlinkat(&root, "y", AtFlags::empty()).expect("removed");
    assert_eq!(unlinkat(&root, "y", AtFlags::empty()), Err(Errno::NOENT));
    unlinkat(&root, "a", AtFlags::REMOVEDIR).expect("removed");
    assert_eq!(names(&root), [""; 0]);
}

#[test]
fn a_folder_goes_when_the_last_file_in_it_is_closed() {
    let (_scratch, root) = bench();
    mkdirat(&root, "a", Mode::RWXU).expect("made");
    let read = openat(&root, "a/x", OFlags::RDWR | OFlags::CREATE, Mode::RUSR | Mode::WUSR).expect("made");
    unlinkat(&root, "a/x", AtFlags::empty()).expect("removed");
    let reader = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        drop(read);
    });
    unlinkat(&root, "a", AtFlags::REMOVEDIR).expect("removed");
    reader.join().expect("closed");
    assert_eq!(names(&root), [""; 0]);
}

#[test]
fn a_folder_is_renamed_while_it_is_open() {
    let (_scratch, root) = bench();
    mkdirat(&root, "a", Mode::RWXU).expect("made");
    let held = openat(&root, "a", OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).expect("opened");
    renameat_with(&root, "a", &root, "b", RenameFlags::NOREPLACE).expect("renamed");
    openat(&held, "inside", OFlags::WRONLY | OFlags::CREATE, Mode::empty()).expect("made");
    let again = openat(&root, "b", OFlags::DIRECTORY, Mode::empty()).expect("opened");
    assert_eq!(names(&again), ["inside"]);
}

#[test]
fn a_second_name_is_the_same_file() {
    let (scratch, root) = bench();
    fs::write(scratch.path().join("a"), "x").expect("written");
    linkat(&root, "a", &root, "b", AtFlags::empty()).expect("linked");
    let stat = |name: &str| statat(&root, name, AtFlags::SYMLINK_NOFOLLOW).expect("examined");
    assert_eq!((stat("a").st_ino, stat("a").st_nlink), (stat("b").st_ino, 2));
    fs::write(scratch.path().join("c"), "x").expect("written");
    assert_ne!(stat("a").st_ino, stat("c").st_ino);
    assert_eq!(linkat(&root, "a", &root, "c", AtFlags::empty()), Err(Errno::EXIST));
}

#[test]
fn times_and_bits_are_kept_exactly() {
    let (scratch, root) = bench();
    fs::write(scratch.path().join("a"), "x").expect("written");
    let file = openat(&root, "a", OFlags::RDONLY, Mode::empty()).expect("opened");
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 1_700_000_000, tv_nsec: 123_456_700 },
    };
    futimens(&file, &times).expect("set");
    let stat = fstat(&file).expect("examined");
    assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (1_700_000_000, 123_456_700));
    let mut basic = basic_of(&file).expect("examined");
    (basic.LastWriteTime, basic.FileAttributes) = (0, 1);
    set_basic(&file, &basic).expect("set");
    assert_eq!(basic_of(&file).expect("examined").FileAttributes & 1, 1, "read-only");
    assert_eq!(fstat(&file).expect("examined").st_mode & 0o777, 0o400);
    drop(file);
    unlinkat(&root, "a", AtFlags::empty()).expect("a read-only file is removed like any other");
}

#[test]
fn an_open_file_is_read_whoever_writes_to_it() {
    let (scratch, root) = bench();
    let writer = fs::File::create(scratch.path().join("a")).expect("made");
    std::io::Write::write_all(&mut &writer, b"live").expect("written");
    let file = openat(&root, "a", OFlags::RDONLY, Mode::empty()).expect("opened beside the writer");
    let mut buffer = [0; 8];
    assert_eq!(pread(&file, &mut buffer, 1), Ok(3));
    assert_eq!(pread(&file, &mut buffer, 4), Ok(0));
    renameat(&root, "a", &root, "b").expect("renamed under both");
}

/// Wine lets everybody read what is locked, so that these codes are given here.
#[test]
fn what_others_keep_to_themselves_has_a_remedy() {
    let has_remedy = |error: super::io::Errno| super::io::Errno::remedy(&error.into()).is_some();
    assert!(has_remedy(super::io::Errno::SHARING) && has_remedy(super::io::Errno::WOULDBLOCK));
    assert!(!has_remedy(super::io::Errno::ACCESS));
}

#[test]
fn long_paths_are_opened() {
    let (_scratch, root) = bench();
    let mut path = String::new();
    let mut folder = openat(&root, ".", OFlags::DIRECTORY, Mode::empty()).expect("opened");
    for _ in 0..10 {
        let name = "a".repeat(40);
        mkdirat(&folder, &name, Mode::empty()).expect("made");
        folder = openat(&folder, &name, OFlags::DIRECTORY, Mode::empty()).expect("opened");
        path = if path.is_empty() { name } else { format!("{path}/{name}") };
    }
    assert!(statat(&root, &path, AtFlags::SYMLINK_NOFOLLOW).is_ok());
}

#[test]
fn kinds_and_room_are_told() {
    let (scratch, root) = bench();
    let stat = fstat(&root).expect("examined");
    assert_eq!(FileType::from_raw_mode(stat.st_mode), FileType::Directory);
    let room = fstatvfs(&root).expect("examined");
    assert!(room.f_bavail * room.f_frsize > 0);
    assert_eq!(statat(CWD, scratch.path(), AtFlags::SYMLINK_NOFOLLOW).expect("examined").st_ino, stat.st_ino);
}

/// Whether the descriptor has a rule for everybody (S-1-1-0).
fn names_everybody(descriptor: &[u8]) -> bool {
    descriptor.windows(12).any(|sid| sid == [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
}

#[test]
fn what_is_private_is_closed_to_others() {
    let (_scratch, root) = bench();
    mkdirat(&root, "open", Mode::empty()).expect("made");
    mkdirat(&root, "closed", Mode::RWXU).expect("made");
    let opened = |name: &str| openat(&root, name, OFlags::DIRECTORY, Mode::empty()).expect("opened");
    let open_rules = described(opened("open")).expect("read");
    assert!(names_everybody(&open_rules), "or this test sees nothing");
    assert!(!names_everybody(&described(opened("closed")).expect("read")));
    close_to_others(opened("open"), true).expect("closed");
    assert!(!names_everybody(&described(opened("open")).expect("read")));
    set_described(opened("open"), &open_rules).expect("set");
    assert!(names_everybody(&described(opened("open")).expect("read")));
}
