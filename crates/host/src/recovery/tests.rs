//! Recovery into real folders, hostile snapshots included.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use backup_core::copy::chain;
use backup_core::manifest::{ContentHash, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{DestinationError, SnapshotFiles};
use backup_core::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored, Standing};
use backup_core::ports::site_files::FileTime;
use rustix::fs::{XattrFlags, fsetxattr};
use tempfile::TempDir;

use super::LocalRecoveryTarget;
use crate::destination::LocalSnapshot;

fn site_path(path: &Path) -> SitePath {
    SitePath::parse(path.as_os_str().as_bytes()).expect("an absolute path")
}

fn rel(path: impl AsRef<[u8]>) -> RelPath {
    RelPath::parse(path).expect("a plain path")
}

/// A snapshot folder, and a target that does not exist yet.
struct Bench {
    snapshot: TempDir,
    base: TempDir,
    target: LocalRecoveryTarget,
}

impl Bench {
    fn new() -> Self {
        let scratch = || tempfile::tempdir().expect("a scratch folder");
        Self { snapshot: scratch(), base: scratch(), target: LocalRecoveryTarget::new() }
    }

    fn root(&self) -> std::path::PathBuf {
        self.base.path().join("target")
    }

    fn item(&self, path: impl AsRef<[u8]>, record: FileRecord) -> RestoreItem {
        RestoreItem { root: site_path(&self.root()), path: rel(path), record, link_to: None }
    }

    fn record(kind: RecordKind, path: impl AsRef<[u8]>) -> FileRecord {
        let own = fs::metadata("/proc/self").expect("facts of this process");
        FileRecord {
            modified: FileTime(1_600_000_000, 123_456_789),
            mode: if kind == RecordKind::Directory { 0o750 } else { 0o640 },
            owner: own.uid(),
            group: own.gid(),
            ..FileRecord::new(kind, rel(path))
        }
    }

    /// A file of the snapshot, to go to the same path.
    fn file(&self, path: impl AsRef<[u8]>, content: &[u8]) -> RestoreItem {
        let path = path.as_ref();
        let place = self.snapshot.path().join(std::ffi::OsStr::from_bytes(path));
        fs::create_dir_all(place.parent().expect("a parent")).expect("folders");
        fs::write(place, content).expect("a file");
        let mut record = Self::record(RecordKind::File, path);
        record.size = content.len() as u64;
        record.hash = Some(ContentHash::of(content));
        self.item(path, record)
    }

    fn folder(&self, path: &str) -> RestoreItem {
        let record = FileRecord { path: rel("any"), ..Self::record(RecordKind::Directory, "any") };
        self.item(path, record)
    }

    fn symlink(&self, path: &str, target: &[u8]) -> RestoreItem {
        let mut record = Self::record(RecordKind::Symlink, path);
        record.target = Some(target.to_vec());
        self.item(path, record)
    }

    fn hard_link(&self, path: &str, first: &str) -> RestoreItem {
        let mut item = self.item(path, Self::record(RecordKind::HardLink, path));
        item.link_to = Some(rel(first));
        item
    }

    async fn restore(&self, items: Vec<RestoreItem>) -> Vec<Result<Restored, RecoveryError>> {
        let snapshot = LocalSnapshot::open(&site_path(self.snapshot.path())).expect("a snapshot");
        self.target.restore(items, Arc::new(snapshot) as Arc<dyn SnapshotFiles>).await
    }

    async fn restore_one(&self, item: RestoreItem) -> Result<Restored, RecoveryError> {
        self.restore(vec![item]).await.pop().expect("one result")
    }

    async fn survey(&self, item: RestoreItem) -> Result<Standing, RecoveryError> {
        self.target.survey(&[item]).await.pop().expect("one result")
    }
}

fn check_facts(path: &Path, mode: u32) {
    let facts = fs::symlink_metadata(path).expect("facts");
    assert_eq!((facts.mtime(), facts.mtime_nsec()), (1_600_000_000, 123_456_789), "{}", path.display());
    assert_eq!(facts.mode() & 0o7777, mode, "{}", path.display());
    let own = fs::metadata("/proc/self").expect("facts of this process");
    assert_eq!((facts.uid(), facts.gid()), (own.uid(), own.gid()));
}

#[tokio::test]
async fn everything_comes_back_with_its_metadata_and_is_found_right_the_second_time() {
    let bench = Bench::new();
    let mut tagged = bench.file(b"d/n\xff", b"content");
    tagged.record.attributes = vec![(b"user.tag".to_vec(), b"1".to_vec())];
    tagged.record.mode = 0o4755;
    let mut closed = bench.folder("d/closed");
    closed.record.mode = 0o500;
    let folders = vec![bench.folder(""), bench.folder("d"), closed];
    let mut items =
        vec![bench.hard_link("link", "d/z"), tagged, bench.file("d/z", b"z"), bench.file("d/closed/x", b"x")];
    items.push(bench.symlink("d/to", b"../../anywhere"));
    items.extend(folders.clone());
    let written = bench.restore(items.clone()).await.into_iter().map(|result| result.expect("restored"));
    let expected = [0, 7, 1, 1, 0].map(Restored::Written).into_iter();
    let expected: Vec<_> = expected.chain([Restored::Already, Restored::Written(0), Restored::Written(0)]).collect();
    assert_eq!(written.collect::<Vec<_>>(), expected);
    for settled in bench.target.settle(folders.clone()).await {
        settled.expect("settled");
    }
    let root = bench.root();
    let odd = root.join("d").join(std::ffi::OsStr::from_bytes(b"n\xff"));
    check_facts(&odd, 0o4755);
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(&odd, "user.tag", &mut value[..]).expect("an attribute"), 1);
    check_facts(&root.join("link"), 0o640);
    check_facts(&root.join("d/to"), 0o777);
    check_facts(&root.join("d/closed"), 0o500);
    check_facts(&root.join("d"), 0o750);
    check_facts(&root, 0o750);
    assert_eq!(fs::read_link(root.join("d/to")).expect("a link"), Path::new("../../anywhere"));
    assert_eq!(fs::metadata(root.join("link")).expect("facts").nlink(), 2);
    let before = fs::metadata(&odd).expect("facts");
    for result in bench.restore(items).await {
        assert_eq!(result.expect("restored"), Restored::Already);
    }
    let after = fs::metadata(&odd).expect("facts");
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()), "not touched");
}

#[tokio::test]
async fn a_file_that_is_not_what_the_manifest_says_leaves_nothing() {
    let bench = Bench::new();
    let good = bench.file("x", b"good");
    bench.restore_one(good.clone()).await.expect("restored");
    let mut bad = bench.file("x", b"evil");
    bad.record.hash = good.record.hash;
    bad.record.modified = FileTime(1_700_000_000, 0);
    let mut without = bench.file("y", b"y");
    without.record.hash = None;
    let mut longer = bench.file("z", b"zz");
    longer.record.size = 1;
    for item in [bad, without, longer] {
        let path = item.record.path.clone();
        assert!(matches!(bench.restore_one(item).await, Err(RecoveryError::Hash(wrong)) if wrong == path));
    }
    let left: Vec<_> =
        fs::read_dir(bench.root()).expect("a listing").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["x"]);
    assert_eq!(fs::read(bench.root().join("x")).expect("the good one"), b"good");
}

#[tokio::test]
async fn holes_are_made_again() {
    let bench = Bench::new();
    let mut content = vec![0; 8 << 20];
    content[5 << 20] = 1;
    let item = bench.file("sparse", &content);
    assert_eq!(bench.restore_one(item).await.expect("restored"), Restored::Written(8 << 20));
    let facts = fs::metadata(bench.root().join("sparse")).expect("facts");
    assert!(fs::read(bench.root().join("sparse")).expect("content") == content);
    assert!(facts.blocks() * 512 <= 256 << 10, "{} blocks", facts.blocks());
}

#[test]
fn a_path_that_leads_out_is_none() {
    for hostile in ["../x", "a/../../x", "/etc/passwd", "a//b", "a/.", "a\0b"] {
        assert!(RelPath::parse(hostile).is_err(), "{hostile:?}");
    }
}

#[tokio::test]
async fn no_link_in_the_target_is_followed() {
    let bench = Bench::new();
    let outside = bench.base.path().join("outside");
    fs::create_dir_all(outside.join("inner")).expect("folders");
    fs::write(outside.join("secret"), "secret").expect("a file");
    fs::create_dir(bench.root()).expect("the target");
    symlink(&outside, bench.root().join("way")).expect("a planted link");
    symlink("real", bench.root().join("inside")).expect("a link that stays inside");
    fs::create_dir(bench.root().join("real")).expect("a folder");
    bench.restore_one(bench.file("plain", b"plain")).await.expect("restored");
    let hostile = vec![
        bench.file("way/x", b"x"),
        bench.file("way/inner/x", b"x"),
        bench.file("inside/x", b"x"),
        bench.folder("way"),
        bench.folder("way/new"),
        bench.symlink("way/link", b"x"),
        bench.hard_link("stolen", "way/secret"),
        bench.hard_link("way/given", "plain"),
    ];
    for (index, result) in bench.restore(hostile.clone()).await.into_iter().enumerate() {
        assert!(matches!(result, Err(RecoveryError::Escape { .. })), "{index}: {result:?}");
    }
    for item in &hostile[..3] {
        assert!(matches!(bench.survey(item.clone()).await, Err(RecoveryError::Escape { .. })));
    }
    for result in bench.target.settle(vec![bench.folder("way"), bench.folder("way/inner")]).await {
        assert!(matches!(result, Err(RecoveryError::Escape { .. })), "{result:?}");
    }
    // What a link leads to is no first name either.
    symlink(outside.join("secret"), bench.root().join("to-secret")).expect("a link");
    let stolen = bench.restore_one(bench.hard_link("stolen", "to-secret")).await;
    assert!(matches!(stolen, Err(RecoveryError::Escape { .. })));
    let found: Vec<_> =
        fs::read_dir(&outside).expect("a listing").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(fs::metadata(outside.join("secret")).expect("facts").nlink(), 1);
    assert_eq!(fs::read_dir(bench.root().join("real")).expect("a listing").count(), 0);
}

#[tokio::test]
async fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
    let bench = Bench::new();
    let victim = bench.base.path().join("victim");
    fs::write(&victim, "untouched").expect("a file");
    fs::create_dir(bench.root()).expect("the target");
    symlink(&victim, bench.root().join("x")).expect("a planted link");
    // The name under which a file is written is known: a link planted there is not followed either.
    let part = format!(".sitebackup-{}.part", &blake3::hash(b"x").to_hex()[..16]);
    symlink(&victim, bench.root().join(part)).expect("a planted link");
    let item = bench.file("x", b"new");
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Other);
    bench.restore_one(item).await.expect("restored");
    assert_eq!(fs::read_to_string(&victim).expect("content"), "untouched");
    assert!(fs::symlink_metadata(bench.root().join("x")).expect("facts").is_file());
    assert_eq!(fs::read_dir(bench.root()).expect("a listing").count(), 1);
}

#[tokio::test]
async fn a_snapshot_that_links_out_is_not_followed() {
    let bench = Bench::new();
    let mut item = bench.file("x", b"x");
    symlink("/etc", bench.snapshot.path().join("way")).expect("a link");
    item.record.path = rel("way/passwd");
    item.record.hash = Some(ContentHash::of(&fs::read("/etc/passwd").expect("a file")));
    let result = bench.restore_one(item).await;
    assert!(matches!(result, Err(RecoveryError::Read(DestinationError::Damaged { .. }))), "{result:?}");
}

#[tokio::test]
async fn the_survey_tells_what_stands_there() {
    let bench = Bench::new();
    let item = bench.file("d/x", b"x");
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Absent);
    fs::create_dir(bench.root()).expect("the target");
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Absent);
    assert_eq!(bench.survey(bench.folder("")).await.expect("surveyed"), Standing::Older);
    fs::write(bench.root().join("d"), "in the way").expect("a file");
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Other);
    assert_eq!(bench.survey(bench.folder("d")).await.expect("surveyed"), Standing::Other);
    bench.restore_one(item.clone()).await.expect_err("nothing gives way to a folder");
    assert_eq!(fs::read(bench.root().join("d")).expect("it stays"), b"in the way");
    fs::remove_file(bench.root().join("d")).expect("removed");
    bench.restore_one(item.clone()).await.expect("restored");
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Older);
    fs::write(bench.root().join("d/x"), "newer").expect("changed");
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Newer);
    assert_eq!(bench.restore_one(item).await.expect("the caller says so"), Restored::Written(1));
    let link = bench.symlink("l", b"there");
    bench.restore_one(link.clone()).await.expect("restored");
    assert_eq!(bench.survey(link).await.expect("surveyed"), Standing::Older);
    let mut in_the_way = bench.file("other", b"d");
    in_the_way.path = rel("d");
    bench.restore_one(in_the_way).await.expect_err("a folder never gives way");
    assert_eq!(fs::read(bench.root().join("d/x")).expect("it stays"), b"x");
}

#[tokio::test]
async fn the_root_may_be_a_file() {
    let bench = Bench::new();
    let mut item = bench.file("conf", b"conf");
    item.root = site_path(&bench.base.path().join("etc/site.conf"));
    item.path = RelPath::root();
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Absent);
    bench.restore_one(item.clone()).await.expect("restored");
    assert_eq!(fs::read(bench.base.path().join("etc/site.conf")).expect("content"), b"conf");
    assert_eq!(bench.survey(item.clone()).await.expect("surveyed"), Standing::Older);
    assert_eq!(bench.restore_one(item).await.expect("restored"), Restored::Already);
    assert!(bench.target.settle(Vec::new()).await.is_empty());
}

#[tokio::test]
async fn metadata_that_cannot_be_set_is_an_error() {
    let bench = Bench::new();
    let mut file = bench.file("x", b"x");
    file.record.attributes = vec![(b"nosuchspace.name".to_vec(), b"1".to_vec())];
    let mut link = bench.symlink("l", b"x");
    link.record.attributes = vec![(b"user.not-on-links".to_vec(), b"1".to_vec())];
    let mut folder = bench.folder("f");
    folder.record.attributes = vec![(b"nosuchspace.name".to_vec(), b"1".to_vec())];
    bench.restore_one(folder.clone()).await.expect("folders are settled later");
    let settled = bench.target.settle(vec![folder]).await.pop().expect("one result");
    for error in [
        bench.restore_one(file).await.expect_err("no such attribute"),
        bench.restore_one(link).await.expect_err("no such attribute"),
        settled.expect_err("no such attribute"),
    ] {
        assert!(chain(&error).contains("failed to set the metadata of"), "{error:?}");
    }
    assert!(!bench.root().join("x").exists() && fs::symlink_metadata(bench.root().join("l")).is_err());
}

#[tokio::test]
async fn what_a_folder_hands_down_is_taken_away_again() {
    let bench = Bench::new();
    fs::create_dir(bench.root()).expect("the target");
    // Version 2: owner, user 12345, group, mask, others, all with all rights, for new files of the folder.
    let entry = |tag: u16, id: u32| [tag.to_le_bytes().as_slice(), &7u16.to_le_bytes(), &id.to_le_bytes()].concat();
    let none = u32::MAX;
    let entries = [entry(1, none), entry(2, 12345), entry(4, none), entry(16, none), entry(32, none)];
    let list = [2u32.to_le_bytes().to_vec(), entries.concat()].concat();
    let folder = File::open(bench.root()).expect("the target");
    fsetxattr(&folder, "system.posix_acl_default", &list, XattrFlags::empty()).expect("an access control list");
    bench.restore_one(bench.file("x", b"x")).await.expect("restored");
    check_facts(&bench.root().join("x"), 0o640);
    let mut names = [0; 256];
    let count = rustix::fs::listxattr(bench.root().join("x"), &mut names[..]).expect("attributes");
    assert!(!names[..count].starts_with(b"system.posix_acl_access"), "the list was taken away");
}

#[tokio::test]
async fn what_an_interrupted_recovery_left_is_replaced() {
    let bench = Bench::new();
    fs::create_dir(bench.root()).expect("the target");
    let part = format!(".sitebackup-{}.part", &blake3::hash(b"x").to_hex()[..16]);
    fs::write(bench.root().join(part), "half").expect("a file");
    let short = File::create(bench.root().join("x")).expect("a file that a power cut left empty");
    short.write_all_at(b"\0\0\0", 0).expect("written");
    short.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000, 123_456_789)).expect("a time");
    bench.restore_one(bench.file("x", b"new")).await.expect("restored");
    assert_eq!(fs::read(bench.root().join("x")).expect("content"), b"new");
    assert_eq!(fs::read_dir(bench.root()).expect("a listing").count(), 1);
}

#[tokio::test]
async fn a_scratch_folder_is_removed_and_no_other() {
    let bench = Bench::new();
    let parent = site_path(bench.base.path());
    let scratch = bench.target.scratch(Some(&parent)).await.expect("made");
    let place = crate::files::local(&scratch).expect("a local path");
    assert_eq!(fs::read_dir(&place).expect("a listing").count(), 0);
    assert_eq!(fs::metadata(&place).expect("facts").permissions().mode() & 0o7777, 0o700);
    fs::create_dir(place.join("d")).expect("a folder");
    fs::write(place.join("d/x"), "x").expect("a file");
    fs::set_permissions(place.join("d"), fs::Permissions::from_mode(0o500)).expect("a mode");
    symlink(bench.snapshot.path(), place.join("link")).expect("a link");
    fs::write(bench.snapshot.path().join("kept"), "x").expect("a file");
    let outer = scratch.parent().expect("a parent");
    for other in [&parent, &outer, &scratch.join(&rel("d")), &site_path(bench.snapshot.path())] {
        bench.target.discard(other).await.expect_err("not a scratch folder");
    }
    assert!(place.join("d/x").exists());
    bench.target.discard(&scratch).await.expect("removed");
    assert_eq!(fs::read_dir(bench.base.path()).expect("a listing").count(), 0);
    assert!(bench.snapshot.path().join("kept").exists());
    let elsewhere = bench.target.scratch(None).await.expect("made");
    bench.target.discard(&elsewhere).await.expect("removed");
}
