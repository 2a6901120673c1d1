//! What enters a staging folder, and how.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use backup_core::copy::BLOCK;
use backup_core::manifest::ContentHash;
use backup_core::ports::destination::{Destination, DestinationError, StageContent, StageError, StageItem};
use backup_core::ports::site_files::{FileKind, SiteFilesError};
use jiff::Timestamp;
use rustix::fs::{XattrFlags, fsetxattr};

use super::{Bench, LIST, local_files, manifest, rel, run, site_path, stage};

#[tokio::test]
async fn a_copy_has_the_content_and_tells_what_it_read() {
    let bench = Bench::new();
    let source = bench.write("x", "content");
    let file = File::open(bench.source.path().join("x")).expect("open");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000, 7)).expect("a time");
    fsetxattr(&file, "user.tag", b"1", XattrFlags::empty()).expect("an attribute");
    let staging = bench.begin(run(1), None).await;
    let content = stage(&staging, "d/e/x", StageContent::Copy(source)).await.expect("staged");
    assert_eq!((content.size, content.hash), (7, Some(ContentHash::of(b"content"))));
    assert_eq!(content.before, content.after);
    assert_eq!(content.attributes, [(b"user.tag".to_vec(), b"1".to_vec())]);
    let copy = bench.staged(run(1), "d/e/x");
    assert_eq!(fs::read(&copy).expect("a copy"), b"content");
    let facts = fs::metadata(&copy).expect("facts");
    assert_eq!((facts.mtime(), facts.mtime_nsec(), facts.mode() & 0o7777), (1_000_000, 7, 0o600));
    for folder in ["", "d", "d/e"] {
        let mode = fs::metadata(bench.staged(run(1), folder)).expect("facts").permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{folder}");
    }
}

#[tokio::test]
async fn results_stand_in_the_order_of_the_items() {
    let bench = Bench::new();
    let mut items = vec![StageItem { path: rel("link"), content: StageContent::HardLink(rel("f/7")) }];
    for n in 0..300 {
        let source = bench.write(&format!("s{n}"), vec![b'x'; n]);
        items.push(StageItem { path: rel(format!("f/{n}")), content: StageContent::Copy(source) });
    }
    items.insert(100, StageItem { path: rel("gone"), content: StageContent::Copy(site_path(Path::new("/nowhere"))) });
    items.insert(200, StageItem { path: rel("folder"), content: StageContent::Directory });
    let staging = bench.begin(run(1), None).await;
    let mut results = staging.stage(items, local_files()).await;
    assert!(matches!(results.remove(200), Ok(content) if content.size == 0));
    assert!(matches!(results.remove(100), Err(StageError::Read(SiteFilesError::Missing(_)))));
    assert_eq!(results.remove(0).expect("linked").hash, None);
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(result.expect("staged").size, n as u64);
    }
    let inode = |name: &str| fs::metadata(bench.staged(run(1), name)).expect("facts").ino();
    assert_eq!(inode("link"), inode("f/7"));
    assert!(!bench.staged(run(1), "gone").exists());
}

#[tokio::test]
async fn names_need_not_be_unicode() {
    let bench = Bench::new();
    let odd = bench.source.path().join(std::ffi::OsStr::from_bytes(b"n\xff\xfe"));
    fs::write(&odd, "odd").expect("a file");
    let staging = bench.begin(run(1), None).await;
    stage(&staging, b"d\xfe/n\xff", StageContent::Copy(site_path(&odd))).await.expect("staged");
    let walk = staging.walk().await.expect("a walk");
    let paths: Vec<_> = walk.iter().map(|entry| entry.path.as_bytes()).collect();
    assert_eq!(paths, [b"d\xfe".as_slice(), b"d\xfe/n\xff"]);
}

#[tokio::test]
async fn holes_stay_holes() {
    let bench = Bench::new();
    let path = bench.source.path().join("sparse");
    let file = File::create(&path).expect("a file");
    file.set_len(64 << 20).expect("a hole");
    file.write_all_at(b"data", 32 << 20).expect("written");
    let staging = bench.begin(run(1), None).await;
    let content = stage(&staging, "sparse", StageContent::Copy(site_path(&path))).await.expect("staged");
    let copy = bench.staged(run(1), "sparse");
    assert_eq!(content.hash, Some(ContentHash::of(&fs::read(&copy).expect("a copy"))));
    let facts = fs::metadata(&copy).expect("facts");
    assert_eq!(facts.len(), 64 << 20);
    assert!(facts.blocks() * 512 < 1 << 20, "{} blocks", facts.blocks());
    // An update brings new data and a new hole where data was.
    file.write_all_at(b"more", 48 << 20).expect("written");
    let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, hole, 32 << 20, 1 << 20).expect("a hole");
    let content = stage(&staging, "sparse", StageContent::Update(site_path(&path))).await.expect("updated");
    assert!(fs::read(&copy).expect("a copy") == fs::read(&path).expect("the source"));
    assert_eq!(content.hash, Some(ContentHash::of(&fs::read(&path).expect("the source"))));
    assert!(fs::metadata(&copy).expect("facts").blocks() * 512 < 1 << 20);
}

#[tokio::test]
async fn an_update_writes_only_what_differs() {
    let bench = Bench::new();
    let mut content: Vec<u8> = (0..5 * BLOCK).map(|n| (n / 4096) as u8).collect();
    let source = bench.write("db", &content);
    let staging = bench.begin(run(1), None).await;
    stage(&staging, "db", StageContent::Copy(source.clone())).await.expect("staged");
    let copy = bench.staged(run(1), "db");
    let inode = fs::metadata(&copy).expect("facts").ino();
    content[3 * BLOCK + 5] ^= 1;
    content.truncate(4 * BLOCK + 77);
    let longer = [content.clone(), vec![9; BLOCK]].concat();
    for content in [&content, &longer, &content[..10].to_vec()] {
        bench.write("db", content);
        let updated = stage(&staging, "db", StageContent::Update(source.clone())).await.expect("updated");
        assert_eq!((updated.size, updated.hash), (content.len() as u64, Some(ContentHash::of(content))));
        assert!(fs::read(&copy).expect("a copy") == *content);
        assert_eq!(fs::metadata(&copy).expect("facts").ino(), inode, "written in place");
    }
    let new = stage(&staging, "new", StageContent::Update(source)).await.expect("an update of nothing is a copy");
    assert_eq!(new.size, 10);
}

/// The heart of rule 1: what the previous snapshot shares is never written into.
#[tokio::test]
async fn what_is_reused_and_then_updated_leaves_the_previous_snapshot_alone() {
    let bench = Bench::new();
    bench.published(run(1), "old content").await;
    let before = fs::metadata(bench.root.path().join("P01Backup/a")).expect("facts");
    let staging = bench.begin(run(2), Some(run(1))).await;
    let reused = stage(&staging, "a", StageContent::Reuse(rel("a"))).await.expect("reused");
    assert_eq!((reused.size, reused.hash, reused.before), (11, None, None));
    assert_eq!(reused.stored.map(|time| time.0), Some(before.mtime()));
    assert_eq!(fs::read(bench.staged(run(2), "a")).expect("reused"), b"old content");
    let source = bench.write("a", "new content");
    for content in [StageContent::Update(source.clone()), StageContent::Copy(source)] {
        stage(&staging, "b", StageContent::Reuse(rel("a"))).await.expect("reused");
        stage(&staging, "b", content).await.expect("staged");
        assert_eq!(fs::read(bench.staged(run(2), "b")).expect("staged"), b"new content");
    }
    stage(&staging, "c", StageContent::Reuse(rel("a"))).await.expect("reused");
    staging.write(&rel("c"), b"written", Timestamp::UNIX_EPOCH).await.expect("written");
    stage(&staging, "d", StageContent::Reuse(rel("a"))).await.expect("reused");
    staging.create(&rel("d")).expect("created").write_at(0, b"created").expect("written");
    let after = fs::metadata(bench.root.path().join("P01Backup/a")).expect("facts");
    assert_eq!(fs::read(bench.root.path().join("P01Backup/a")).expect("the old one"), b"old content");
    assert_eq!((after.ino(), after.mtime(), after.mtime_nsec()), (before.ino(), before.mtime(), before.mtime_nsec()));
}

#[tokio::test]
async fn what_cannot_be_reused_is_an_error() {
    let bench = Bench::new();
    bench.published(run(1), "old").await;
    symlink("/etc/passwd", bench.root.path().join("P01Backup/out")).expect("a link");
    symlink("/etc", bench.root.path().join("P01Backup/way")).expect("a link");
    let staging = bench.begin(run(2), Some(run(1))).await;
    for name in ["out", "way/passwd", "missing"] {
        let error = stage(&staging, "x", StageContent::Reuse(rel(name))).await.expect_err(name);
        assert!(matches!(error, StageError::Write(DestinationError::Damaged { .. })), "{name}: {error:?}");
    }
    let none = bench.begin(run(3), None).await;
    stage(&none, "x", StageContent::Reuse(rel("a"))).await.expect_err("no previous snapshot");
    let unknown = bench.destination.begin(run(4), Some(run(9))).await.map(drop);
    assert!(matches!(unknown, Err(DestinationError::NoSnapshot(missing)) if missing == run(9)));
}

#[tokio::test]
async fn a_link_to_what_was_not_staged_is_unread() {
    let bench = Bench::new();
    let staging = bench.begin(run(1), None).await;
    let error = stage(&staging, "x", StageContent::HardLink(rel("first"))).await.expect_err("no first name");
    assert!(matches!(error, StageError::Read(SiteFilesError::Missing(_))));
}

#[tokio::test]
async fn an_entry_of_another_kind_gives_way() {
    let bench = Bench::new();
    let source = bench.write("s", "s");
    let staging = bench.begin(run(1), None).await;
    stage(&staging, "p", StageContent::Copy(source.clone())).await.expect("staged");
    stage(&staging, "p/q/r", StageContent::Copy(source.clone())).await.expect("a folder in the file's place");
    stage(&staging, "p", StageContent::Copy(source)).await.expect("a file in the folder's place");
    let walk = staging.walk().await.expect("a walk");
    assert_eq!((walk.len(), &walk[0].stat.kind), (1, &FileKind::File));
}

#[tokio::test]
async fn files_are_written_at_any_place_and_removed() {
    let bench = Bench::new();
    let staging = bench.begin(run(1), None).await;
    let time = Timestamp::from_second(1_600_000_000).expect("an instant");
    staging.write(&rel("docs/BackupDocument.xml"), b"<x/>", time).await.expect("written");
    let facts = fs::metadata(bench.staged(run(1), "docs/BackupDocument.xml")).expect("facts");
    assert_eq!((facts.mtime(), facts.mode() & 0o7777), (1_600_000_000, 0o600));
    let file = staging.create(&rel("db/site.sqlite")).expect("created");
    file.write_at(100, b"abc").expect("written");
    file.set_len(102).expect("cut");
    let mut buffer = [1; 8];
    assert_eq!(file.read_at(98, &mut buffer).expect("read"), 4);
    assert_eq!(&buffer[..4], b"\0\0ab");
    let gone = vec![rel("db"), rel("docs/BackupDocument.xml"), rel("docs/BackupDocument.xml/x"), rel("never")];
    staging.remove(gone).await.expect("removed");
    let walk = staging.walk().await.expect("a walk");
    assert_eq!(walk.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>(), ["docs"]);
}

#[tokio::test]
async fn our_own_names_are_neither_walked_nor_given_away() {
    let bench = Bench::new();
    let staging = bench.begin(run(1), None).await;
    for name in [".sitebackup", "sitebackup.json", "files.jsonl.zst", "smsbkup.log"] {
        staging.write(&rel(name), b"", Timestamp::UNIX_EPOCH).await.expect_err(name);
        staging.remove(vec![rel(name)]).await.expect_err(name);
        staging.write(&rel(format!("below/{name}")), b"", Timestamp::UNIX_EPOCH).await.expect("only at the top");
    }
    staging.remove(vec![rel("")]).await.expect_err("the folder itself");
    staging.seal(&manifest(run(1), LIST), LIST).await.expect("sealed");
    bench.destination.keep_log(Some(run(1)), b"log").await.expect("kept");
    assert_eq!(staging.walk().await.expect("a walk").len(), 5);
}

#[tokio::test]
async fn no_manifest_is_sealed_that_would_not_be_listed() {
    let bench = Bench::new();
    let staging = bench.begin(run(1), None).await;
    let mut elsewhere = manifest(run(1), LIST);
    elsewhere.site = "P02".to_owned();
    for wrong in [manifest(run(2), LIST), manifest(run(1), b"another"), elsewhere] {
        staging.seal(&wrong, LIST).await.expect_err("refused");
        assert!(!bench.staged(run(1), "sitebackup.json").exists());
    }
    bench.destination.begin(run(1), None).await.map(drop).expect_err("one staging folder a run");
}
