//! The walk, open files, attributes and holes, on a real file system.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::ContentHash;
use backup_core::path::SitePath;
use backup_core::ports::site_files::{FileKind, FileSource, SiteFiles, SiteFilesError, Walk};
use rustix::fs::{CWD, Mode, OFlags, XattrFlags, fsetxattr, mkfifoat, openat};

use super::LocalSiteFiles;
use super::beneath::{open_beneath, open_stepwise};

fn site_path(path: &Path) -> SitePath {
    SitePath::parse(path.as_os_str().as_bytes()).expect("an absolute path")
}

fn source(root: &Path) -> FileSource {
    FileSource { root: site_path(root), exclude: Vec::new(), skip: Vec::new() }
}

fn names(walk: &Walk) -> Vec<String> {
    walk.entries.iter().map(|entry| String::from_utf8_lossy(entry.path.as_bytes()).into_owned()).collect()
}

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a scratch folder");
    for folder in ["a", "a/deep", "logs", "empty"] {
        fs::create_dir(root.path().join(folder)).expect("a folder");
    }
    for file in ["a.b", "a-b", "a/x", "a/deep/y.tmp", "logs/1.log", "z"] {
        fs::write(root.path().join(file), file).expect("a file");
    }
    root
}

#[tokio::test]
async fn a_walk_is_sorted_and_holds_everything() {
    let root = tree();
    symlink("nowhere/..", root.path().join("link")).expect("a link");
    mkfifoat(CWD, root.path().join("pipe"), Mode::RWXU).expect("a pipe");
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"n\xff\n")).to_owned();
    fs::write(root.path().join(&odd), "odd").expect("a file");
    let walk = LocalSiteFiles::new().walk(&source(root.path())).await.expect("a walk");
    let expected = [
        "",
        "a",
        "a/deep",
        "a/deep/y.tmp",
        "a/x",
        "a-b",
        "a.b",
        "empty",
        "link",
        "logs",
        "logs/1.log",
        "n\u{fffd}\n",
        "pipe",
        "z",
    ];
    assert_eq!(names(&walk), expected);
    assert!(walk.entries.is_sorted_by(|a, b| a.path < b.path));
    assert!(walk.problems.is_empty());
    let kind =
        |name: &str| &walk.entries.iter().find(|entry| entry.path.as_bytes() == name.as_bytes()).expect(name).stat;
    assert_eq!(kind("link").kind, FileKind::Symlink(b"nowhere/..".to_vec()));
    assert_eq!(kind("pipe").kind, FileKind::Special);
    let facts = fs::metadata(root.path().join("z")).expect("facts");
    let z = kind("z");
    assert_eq!((z.size, z.id.inode, z.modified.0, z.mode), (1, facts.ino(), facts.mtime(), facts.mode() & 0o7777));
    assert_eq!((z.changed.0, i64::from(z.changed.1)), (facts.ctime(), facts.ctime_nsec()));
}

#[tokio::test]
async fn a_walk_leaves_out_patterns_paths_and_files() {
    let root = tree();
    let mut source = source(root.path());
    source.exclude = vec!["**/*.tmp".to_owned(), "*.b".to_owned(), "empty".to_owned()];
    source.skip = vec![site_path(&root.path().join("logs")), site_path(Path::new("/elsewhere"))];
    source.skip.push(site_path(&root.path().join("z")));
    let files = LocalSiteFiles::new();
    assert_eq!(names(&files.walk(&source).await.expect("a walk")), ["", "a", "a/deep", "a/x", "a-b"]);
    source.skip.push(site_path(root.path()));
    assert_eq!(files.walk(&source).await.expect("a walk"), Walk::default());
    source.exclude = vec!["a[".to_owned()];
    let error = files.walk(&source).await.expect_err("no pattern");
    assert!(matches!(error, SiteFilesError::Pattern { pattern, .. } if pattern == "a["));
}

/// A rollback journal comes and goes with each transaction, and the next new file gets its inode: that one is the site's.
#[tokio::test]
async fn what_was_a_skipped_file_once_is_walked() {
    let root = tree();
    let mut source = source(root.path());
    source.skip = vec![site_path(&root.path().join("z"))];
    let files = LocalSiteFiles::new();
    assert!(!names(&files.walk(&source).await.expect("a walk")).iter().any(|name| name.starts_with('z')));
    fs::rename(root.path().join("z"), root.path().join("z.log")).expect("renamed");
    assert!(names(&files.walk(&source).await.expect("a walk")).iter().any(|name| name == "z.log"));
}

#[tokio::test]
async fn a_skipped_folder_is_not_entered() {
    let root = tree();
    let closed = root.path().join("logs");
    let files = LocalSiteFiles::new();
    let mut source = source(root.path());
    source.skip = vec![site_path(&closed)];
    let before = fs::metadata(&closed).expect("facts");
    // A listing would change the time of access on file systems that keep one; a pattern would match below it.
    source.exclude = vec!["logs/**".to_owned()];
    let walk = files.walk(&source).await.expect("a walk");
    assert!(!names(&walk).iter().any(|name| name.starts_with("logs")));
    assert_eq!(fs::metadata(&closed).expect("facts").atime_nsec(), before.atime_nsec());
}

#[tokio::test]
async fn a_root_may_be_a_file_or_a_link_to_a_folder() {
    let root = tree();
    let files = LocalSiteFiles::new();
    let walk = files.walk(&source(&root.path().join("z"))).await.expect("a walk");
    assert_eq!((names(&walk), walk.entries[0].stat.size), (vec![String::new()], 1));
    symlink(root.path().join("a"), root.path().join("to-folder")).expect("a link");
    let walk = files.walk(&source(&root.path().join("to-folder"))).await.expect("a walk");
    assert_eq!(names(&walk), ["", "deep", "deep/y.tmp", "x"]);
    symlink(root.path().join("z"), root.path().join("to-file")).expect("a link");
    let walk = files.walk(&source(&root.path().join("to-file"))).await.expect("a walk");
    assert_eq!((walk.entries.len(), walk.problems.len()), (1, 1));
    let missing = files.walk(&source(&root.path().join("missing"))).await.expect_err("nothing there");
    assert!(matches!(missing, SiteFilesError::Missing(_)));
}

#[tokio::test]
async fn what_cannot_be_examined_is_a_problem() {
    let root = tempfile::tempdir().expect("a scratch folder");
    let mut path = root.path().to_owned();
    // Deeper than any path may be long: not even root can list that by path.
    let name = "d".repeat(250);
    let mut folder = openat(CWD, &path, OFlags::PATH, Mode::empty()).expect("a folder");
    for _ in 0..20 {
        rustix::fs::mkdirat(&folder, &name, Mode::RWXU).expect("a folder");
        folder = openat(&folder, &name, OFlags::PATH, Mode::empty()).expect("a folder");
        path.push(&name);
    }
    let walk = LocalSiteFiles::new().walk(&source(root.path())).await.expect("a walk");
    assert_eq!(walk.problems.len(), 1, "{:?}", walk.problems);
    assert!(walk.problems[0].message.contains("failed to list it"), "{}", walk.problems[0].message);
    assert!(walk.entries.len() > 10);
}

#[test]
fn only_regular_files_are_opened() {
    let root = tree();
    symlink("z", root.path().join("link")).expect("a link");
    mkfifoat(CWD, root.path().join("pipe"), Mode::RWXU).expect("a pipe");
    let open = |name: &str| LocalSiteFiles::new().open(&site_path(&root.path().join(name)));
    for name in ["link", "pipe", "a"] {
        assert!(matches!(open(name).map(drop), Err(SiteFilesError::Failed { .. })), "{name}");
    }
    assert!(matches!(open("missing").map(drop), Err(SiteFilesError::Missing(_))));
    let windows = SitePath::parse(r"C:\SMS\x").expect("absolute");
    assert!(matches!(LocalSiteFiles::new().open(&windows).map(drop), Err(SiteFilesError::Failed { .. })));
}

#[test]
fn reading_stops_at_the_end_and_sees_a_file_grow() {
    let root = tree();
    let path = root.path().join("z");
    let file = LocalSiteFiles::new().open(&site_path(&path)).expect("open");
    let mut buffer = [0; 16];
    assert_eq!(file.read_at(0, &mut buffer).expect("read"), 1);
    let before = file.stat().expect("facts");
    fs::write(&path, "zz").expect("written");
    assert!(!file.stat().expect("facts").looks_like(&before));
    assert_eq!(file.read_at(0, &mut buffer).expect("read"), 2);
    assert_eq!(file.read_at(1, &mut buffer).expect("read"), 1);
    assert_eq!(file.read_at(9, &mut buffer).expect("read"), 0);
}

#[test]
fn holes_are_found_and_hashed_as_zeros() {
    let root = tempfile::tempdir().expect("a scratch folder");
    let path = root.path().join("sparse");
    let file = File::create(&path).expect("a file");
    file.set_len(4 << 20).expect("a hole");
    file.write_all_at(&[7; 65536], 1 << 20).expect("written");
    drop(file);
    let open = LocalSiteFiles::new().open(&site_path(&path)).expect("open");
    let data = open.next_data(0).expect("a range").expect("data");
    assert!(data.start <= 1 << 20 && data.end >= (1 << 20) + 65536 && data.end < 4 << 20, "{data:?}");
    assert_eq!(open.next_data(2 << 20).expect("a range"), None);
    let mut handed = 0;
    let sink = |_, block: &[u8]| {
        handed += block.len();
        Ok::<_, SiteFilesError>(())
    };
    let (size, hash) = read_once(open.as_ref(), &mut vec![0; BLOCK], true, sink).expect("read");
    assert_eq!((size, hash), (4 << 20, ContentHash::of(&fs::read(&path).expect("content"))));
    assert!(handed < 1 << 20, "{handed}");
}

#[test]
fn attributes_are_read_sorted_and_links_are_not_followed() {
    let root = tree();
    let path = root.path().join("z");
    let file = File::open(&path).expect("open");
    let long = vec![b'v'; 2000];
    fsetxattr(&file, "user.b", &long, XattrFlags::empty()).expect("an attribute");
    fsetxattr(&file, "user.a", b"", XattrFlags::empty()).expect("an attribute");
    let files = LocalSiteFiles::new();
    let found = files.attributes(&site_path(&path)).expect("attributes");
    assert_eq!(found, [(b"user.a".to_vec(), Vec::new()), (b"user.b".to_vec(), long)]);
    symlink("z", root.path().join("link")).expect("a link");
    assert!(files.attributes(&site_path(&root.path().join("link"))).expect("attributes").is_empty());
}

#[tokio::test]
async fn sync_takes_files_and_folders() {
    let root = tree();
    let files = LocalSiteFiles::new();
    let roots = [site_path(root.path()), site_path(&root.path().join("z"))];
    files.sync(&roots).await.expect("synced");
    let missing = files.sync(&[site_path(&root.path().join("missing"))]).await;
    assert!(matches!(missing, Err(SiteFilesError::Missing(_))));
}

#[test]
fn nothing_is_opened_over_a_link_by_either_means() {
    use backup_core::path::RelPath;
    use rustix::fd::AsFd;
    use rustix::io::Errno;

    let root = tree();
    symlink("a", root.path().join("way")).expect("a link");
    symlink("/etc", root.path().join("out")).expect("a link");
    let folder = File::open(root.path()).expect("a folder");
    for (path, expected) in [
        ("a/x", Ok(())),
        ("way/x", Err(Errno::LOOP)),
        ("out/passwd", Err(Errno::LOOP)),
        ("way", Err(Errno::LOOP)),
        ("a/missing", Err(Errno::NOENT)),
        ("z/x", Err(Errno::NOTDIR)),
    ] {
        let rel = RelPath::parse(path).expect("plain");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        assert_eq!(open_beneath(&folder, &rel, flags, Mode::empty()).map(drop), expected, "{path}");
        let stepwise = open_stepwise(folder.as_fd(), &rel, flags | OFlags::NOFOLLOW, Mode::empty());
        assert_eq!(stepwise.map(drop), expected, "{path} stepwise");
    }
    // Asked for a folder, the kernel must not call a link something else.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for (path, expected) in [("way", Errno::LOOP), ("way/deep", Errno::LOOP), ("z", Errno::NOTDIR)] {
        let rel = RelPath::parse(path).expect("plain");
        assert_eq!(open_beneath(&folder, &rel, flags, Mode::empty()).map(drop), Err(expected), "{path}");
        let stepwise = open_stepwise(folder.as_fd(), &rel, flags, Mode::empty());
        assert_eq!(stepwise.map(drop), Err(expected), "{path} stepwise");
    }
}
