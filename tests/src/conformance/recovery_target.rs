//! The contract of [`RecoveryTarget`].

use std::sync::Arc;

use backup_core::manifest::{ContentHash, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored, Standing};
use backup_core::ports::site_files::{FileKind, FileTime};

use super::destination::DestinationBench;
use super::{
    hard_names, hold, is_refused, rel, run, run_checks, site_content, site_entries, site_files, site_paths, site_stat,
    store,
};

const _: fn(&dyn RecoveryTarget) = |_| ();

/// A recovery target to try: it recovers from the bench's destination into the bench's site.
pub trait RecoveryBench: DestinationBench {
    /// The target.
    fn target(&self) -> Arc<dyn RecoveryTarget>;
}

/// Checks a recovery target.
pub async fn suite<B: RecoveryBench>(make: impl Fn() -> B) {
    run_checks!(make: a_survey_tells_what_stands, a_survey_changes_nothing, a_file_comes_back_with_its_metadata, repeating_is_harmless,
        what_stands_is_replaced_whole, a_wrong_hash_leaves_nothing, what_the_snapshot_lacks_is_told,
        results_stand_in_the_order_of_the_items, names_of_one_file_come_back, links_come_back_as_they_were,
        no_planted_link_leads_out, a_link_in_the_place_of_a_file_is_not_followed, no_file_takes_the_place_of_a_folder,
        settled_folders_have_their_metadata, the_root_itself_comes_back, names_are_kept_byte_for_byte,
        scratch_folders_are_new_and_go, only_scratch_folders_are_discarded);
}

const LONG_AGO: FileTime = FileTime(1_000_000_000, 500_000_000);
const LATER: FileTime = FileTime(4_000_000_000, 0);

fn target_root(bench: &dyn RecoveryBench) -> SitePath {
    bench.root().join(&rel("target"))
}

fn item(bench: &dyn RecoveryBench, path: &str, record: FileRecord) -> RestoreItem {
    RestoreItem { root: target_root(bench), path: rel(path), record, link_to: None }
}

/// A record with an owner that every user may give a file to: the one who runs the test.
async fn record(bench: &dyn RecoveryBench, kind: RecordKind, from: &str) -> FileRecord {
    let walk = bench.files().walk(&site_files::source(bench.root())).await.expect("the root is there");
    let root = &walk.entries[0].stat;
    let (owner, group) = (root.owner, root.group);
    FileRecord { modified: LONG_AGO, mode: 0o640, owner, group, ..FileRecord::new(kind, rel(from)) }
}

/// The file `from` of the snapshot, which holds `content`.
async fn file(bench: &dyn RecoveryBench, path: &str, from: &str, content: &[u8]) -> RestoreItem {
    let plain = record(bench, RecordKind::File, from).await;
    let hash = Some(ContentHash::of(content));
    item(bench, path, FileRecord { size: content.len() as u64, hash, ..plain })
}

async fn folder(bench: &dyn RecoveryBench, path: &str) -> RestoreItem {
    let plain = record(bench, RecordKind::Directory, path).await;
    item(bench, path, FileRecord { mode: 0o750, ..plain })
}

async fn symlink(bench: &dyn RecoveryBench, path: &str, to: &[u8]) -> RestoreItem {
    let plain = record(bench, RecordKind::Symlink, path).await;
    item(bench, path, FileRecord { target: Some(to.to_vec()), ..plain })
}

fn below(path: &str) -> RelPath {
    rel("target").join(&rel(path))
}

async fn snapshot_of(bench: &dyn RecoveryBench, files: &[(&str, &[u8])]) -> Arc<dyn SnapshotFiles> {
    let files: Vec<_> = files.iter().map(|(path, content)| (rel(path), content.to_vec())).collect();
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store(destination.as_ref(), run(1), &files).await;
    destination.open(run(1)).await.expect("sealed")
}

async fn restore(
    bench: &dyn RecoveryBench,
    from: &Arc<dyn SnapshotFiles>,
    items: &[RestoreItem],
) -> Vec<Result<Restored, RecoveryError>> {
    let results = bench.target().restore(items.to_vec(), Arc::clone(from)).await;
    assert_eq!(results.len(), items.len(), "a result for each item");
    results
}

async fn restore_one(
    bench: &dyn RecoveryBench,
    from: &Arc<dyn SnapshotFiles>,
    item: RestoreItem,
) -> Result<Restored, RecoveryError> {
    restore(bench, from, &[item]).await.remove(0)
}

async fn content(bench: &dyn RecoveryBench, path: &str) -> Option<Vec<u8>> {
    site_content(bench, &below(path)).await
}

async fn a_survey_tells_what_stands(bench: impl RecoveryBench) {
    for name in ["old", "young", "touched", "where a folder goes", "where a link goes"] {
        bench.put_file(&below(name), b"stands");
    }
    bench.put_folder(&below("folder"));
    bench.put_folder(&below("where a file goes"));
    let with_time = async |path: &str, modified| {
        let item = file(&bench, path, "f", b"x").await;
        RestoreItem { record: FileRecord { modified, ..item.record }, ..item }
    };
    let stands = site_stat(&bench, &below("old")).await.modified;
    let cases = [
        (with_time("none", LATER).await, Standing::Absent),
        (with_time("no/such/folder", LATER).await, Standing::Absent),
        (with_time("old", LATER).await, Standing::Older),
        (with_time("old", stands).await, Standing::Older),
        (with_time("young", LONG_AGO).await, Standing::Newer),
        (file(&bench, "touched", "f", b"stands").await, Standing::Older),
        (with_time("where a file goes", LONG_AGO).await, Standing::Other),
        (folder(&bench, "where a folder goes").await, Standing::Other),
        (symlink(&bench, "where a link goes", b"x").await, Standing::Other),
        (folder(&bench, "folder").await, Standing::Older),
        (folder(&bench, "no folder").await, Standing::Absent),
    ];
    let (items, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let standing: Vec<_> =
        bench.target().survey(&items).await.into_iter().map(|result| result.expect("told")).collect();
    assert_eq!(standing, expected);
}

async fn a_survey_changes_nothing(bench: impl RecoveryBench) {
    bench.put_file(&rel("other"), b"");
    let before = site_entries(&bench).await;
    let items = [file(&bench, "a/b/f", "f", b"x").await, folder(&bench, "a").await];
    assert!(bench.target().survey(&items).await.iter().all(Result::is_ok));
    assert!(bench.target().survey(&[]).await.is_empty());
    assert_eq!(site_entries(&bench).await, before, "not even the root is made");
}

async fn a_file_comes_back_with_its_metadata(bench: impl RecoveryBench) {
    let long = vec![b'l'; 3_000_000];
    let from = snapshot_of(&bench, &[("s/small", b"small"), ("s/empty", b""), ("s/long", &long)]).await;
    for (name, bytes) in [("small", &b"small"[..]), ("empty", b""), ("long", &long)] {
        let item = file(&bench, &format!("d/inner/{name}"), &format!("s/{name}"), bytes).await;
        let restored = restore_one(&bench, &from, item.clone()).await.expect("restored");
        assert_eq!(restored, Restored::Written(bytes.len() as u64));
        let path = format!("d/inner/{name}");
        assert!(content(&bench, &path).await.as_deref() == Some(bytes), "{name}");
        let stat = site_stat(&bench, &below(&path)).await;
        if bench.models().metadata {
            assert_eq!(stat.modified, LONG_AGO);
        }
        if bench.models().modes {
            assert_eq!(stat.mode & 0o7777, 0o640);
            assert_eq!((stat.owner, stat.group), (item.record.owner, item.record.group));
        }
    }
    let files = ["small", "empty", "long"].map(|name| below("d/inner").join(&rel(name)));
    let there = site_paths(&bench).await;
    assert_eq!(
        there.iter().filter(|path| path.strip_prefix(&below("d/inner")).is_some_and(|rest| !rest.is_root())).count(),
        3
    );
    assert!(files.iter().all(|file| there.contains(file)), "and nothing else is left: {there:?}");
}

async fn repeating_is_harmless(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    let second = RestoreItem {
        link_to: Some(rel("d/f")),
        ..item(&bench, "d/second", record(&bench, RecordKind::HardLink, "second").await)
    };
    let mut items = vec![folder(&bench, "d").await, file(&bench, "d/f", "f", b"content").await, second];
    if bench.models().symlinks {
        items.push(symlink(&bench, "d/link", b"f").await);
    }
    let first = restore(&bench, &from, &items).await;
    assert!(first.iter().all(Result::is_ok), "{first:?}");
    let before = site_entries(&bench).await;
    for result in restore(&bench, &from, &items).await {
        assert_eq!(result.expect("restored"), Restored::Already);
    }
    let names = |entries: &[(RelPath, _)]| entries.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&site_entries(&bench).await), names(&before));
    assert_eq!(content(&bench, "d/second").await.as_deref(), Some(&b"content"[..]));
}

async fn what_stands_is_replaced_whole(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    for stands in [&b"longer than what comes"[..], b"", b"CONTENT"] {
        bench.put_file(&below("f"), stands);
        let restored = restore_one(&bench, &from, file(&bench, "f", "f", b"content").await).await.expect("restored");
        assert_eq!((restored, content(&bench, "f").await), (Restored::Written(7), Some(b"content".to_vec())));
    }
    // What had a name of the file that stood there keeps its content.
    bench.put_file(&below("f"), b"shared");
    bench.put_hard_link(&below("kept"), &below("f"));
    restore_one(&bench, &from, file(&bench, "f", "f", b"content").await).await.expect("restored");
    assert_eq!(content(&bench, "kept").await.as_deref(), Some(&b"shared"[..]));
}

async fn a_wrong_hash_leaves_nothing(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    bench.put_file(&below("stands"), b"stands");
    for path in ["new", "stands"] {
        let error = restore_one(&bench, &from, file(&bench, path, "f", b"another").await).await.expect_err("not it");
        assert!(matches!(&error, RecoveryError::Hash(named) if *named == rel("f")), "{error}");
        let unhashed = file(&bench, path, "f", b"content").await;
        let record = FileRecord { hash: None, ..unhashed.record.clone() };
        let error = restore_one(&bench, &from, RestoreItem { record, ..unhashed }).await.expect_err("nothing to check");
        assert!(matches!(error, RecoveryError::Hash(_)), "{error}");
    }
    assert_eq!((content(&bench, "new").await, content(&bench, "stands").await), (None, Some(b"stands".to_vec())));
    assert_eq!(site_paths(&bench).await, ["target", "target/stands"].map(rel), "nothing half-written is left");
    let restored = restore_one(&bench, &from, file(&bench, "new", "f", b"content").await).await.expect("the right one");
    assert_eq!(restored, Restored::Written(7));
}

async fn what_the_snapshot_lacks_is_told(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("d/f", b"content")]).await;
    bench.put_file(&below("stands"), b"stands");
    for lacking in ["no/such", "d"] {
        let error =
            restore_one(&bench, &from, file(&bench, "stands", lacking, b"x").await).await.expect_err("not there");
        assert!(matches!(error, RecoveryError::Read(_)), "{error}");
    }
    assert_eq!(content(&bench, "stands").await.as_deref(), Some(&b"stands"[..]));
    let dangling = item(&bench, "second", record(&bench, RecordKind::HardLink, "second").await);
    assert!(restore_one(&bench, &from, dangling.clone()).await.is_err(), "a further name needs a first one");
    let dangling = RestoreItem { link_to: Some(rel("no/such")), ..dangling };
    assert!(restore_one(&bench, &from, dangling).await.is_err());
    assert!(!site_paths(&bench).await.contains(&below("second")));
}

async fn results_stand_in_the_order_of_the_items(bench: impl RecoveryBench) {
    let contents: Vec<(String, Vec<u8>)> = (0..40).map(|n| (format!("f{n}"), vec![b'x'; n * 100])).collect();
    let files: Vec<(&str, &[u8])> = contents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let from = snapshot_of(&bench, &files).await;
    let mut items = Vec::new();
    for (number, (name, bytes)) in files.iter().enumerate() {
        let place = format!("d{}/{name}", number % 3);
        items.push(match number % 4 {
            3 => file(&bench, &place, "no/such", bytes).await,
            2 => folder(&bench, &place).await,
            _ => file(&bench, &place, name, bytes).await,
        });
    }
    for (number, result) in restore(&bench, &from, &items).await.into_iter().enumerate() {
        match number % 4 {
            3 => assert!(result.is_err(), "{number}"),
            2 => drop(result.expect("made")),
            _ => assert_eq!(result.expect("restored"), Restored::Written(number as u64 * 100)),
        }
    }
    assert!(restore(&bench, &from, &[]).await.is_empty());
}

async fn names_of_one_file_come_back(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    let link = async |path: &str| RestoreItem {
        link_to: Some(rel("z/first")),
        ..item(&bench, path, record(&bench, RecordKind::HardLink, path).await)
    };
    let first = file(&bench, "z/first", "f", b"content").await;
    restore_one(&bench, &from, first).await.expect("restored");
    bench.put_file(&below("third"), b"in the way");
    let further = [link("a/second").await, link("third").await];
    for result in restore(&bench, &from, &further).await {
        result.expect("linked");
    }
    let first = site_stat(&bench, &below("z/first")).await;
    assert_eq!(first.links, 3);
    for path in ["a/second", "third"] {
        assert_eq!(site_stat(&bench, &below(path)).await.id, first.id, "{path}");
        assert_eq!(content(&bench, path).await.as_deref(), Some(&b"content"[..]));
    }
}

async fn links_come_back_as_they_were(bench: impl RecoveryBench) {
    if !bench.models().symlinks {
        return;
    }
    let from = snapshot_of(&bench, &[]).await;
    bench.put_file(&below("stands"), b"in the way");
    for (path, to) in [("d/link", &b"../f"[..]), ("out", b"/etc/passwd"), ("odd", b"no \xff"), ("stands", b"x")] {
        restore_one(&bench, &from, symlink(&bench, path, to).await).await.expect("linked");
        assert_eq!(site_stat(&bench, &below(path)).await.kind, FileKind::Symlink(to.to_vec()), "{path}");
    }
    restore_one(&bench, &from, symlink(&bench, "out", b"elsewhere").await).await.expect("linked");
    let kind = site_stat(&bench, &below("out")).await.kind;
    assert_eq!(kind, FileKind::Symlink(b"elsewhere".to_vec()), "another target is another link");
}

async fn no_planted_link_leads_out(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    bench.put_file(&rel("elsewhere/victim"), b"mine");
    if !bench.put_symlink(&below("out"), b"../elsewhere") {
        return;
    }
    let absolute = bench.root().join(&rel("elsewhere")).to_bytes();
    if !bench.put_symlink(&below("d/out"), &absolute) {
        return;
    }
    let before = site_entries(&bench).await;
    let second = item(&bench, "out/second", record(&bench, RecordKind::HardLink, "second").await);
    let items = [
        file(&bench, "out/victim", "f", b"content").await,
        file(&bench, "out/new", "f", b"content").await,
        file(&bench, "d/out/new", "f", b"content").await,
        file(&bench, "d/out/deeper/new", "f", b"content").await,
        folder(&bench, "out/folder").await,
        symlink(&bench, "out/link", b"x").await,
        RestoreItem { link_to: Some(rel("f")), ..second },
    ];
    restore_one(&bench, &from, file(&bench, "f", "f", b"content").await).await.expect("restored");
    let escapes = |error: &RecoveryError, path: &RelPath| matches!(error, RecoveryError::Escape { root, path: named } if *root == target_root(&bench) && named == path);
    for (item, result) in items.iter().zip(restore(&bench, &from, &items).await) {
        let error = result.expect_err("a link leads out");
        assert!(escapes(&error, &item.path), "{}: {error}", item.path);
    }
    for (item, result) in items.iter().zip(bench.target().survey(&items).await) {
        let error = result.expect_err("a link leads out");
        assert!(escapes(&error, &item.path), "{}: {error}", item.path);
    }
    let folders = vec![folder(&bench, "out/inner").await];
    assert!(bench.target().settle(folders).await[0].is_err(), "nor does its metadata");
    let after: Vec<_> = site_paths(&bench).await.into_iter().filter(|path| *path != below("f")).collect();
    assert_eq!(after, before.into_iter().map(|(path, _)| path).collect::<Vec<_>>());
    assert_eq!(site_content(&bench, &rel("elsewhere/victim")).await.as_deref(), Some(&b"mine"[..]));
}

async fn a_link_in_the_place_of_a_file_is_not_followed(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    bench.put_file(&rel("victim"), b"mine");
    if !bench.put_symlink(&below("f"), b"../victim") {
        return;
    }
    let survey = bench.target().survey(&[file(&bench, "f", "f", b"content").await]).await.remove(0);
    assert_eq!(survey.expect("told"), Standing::Other, "the link itself stands there");
    restore_one(&bench, &from, file(&bench, "f", "f", b"content").await).await.expect("the link gives way");
    assert_eq!(site_stat(&bench, &below("f")).await.kind, FileKind::File);
    assert_eq!(content(&bench, "f").await.as_deref(), Some(&b"content"[..]));
    assert_eq!(site_content(&bench, &rel("victim")).await.as_deref(), Some(&b"mine"[..]));
}

async fn no_file_takes_the_place_of_a_folder(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    bench.put_file(&below("d/kept"), b"kept");
    let result = restore_one(&bench, &from, file(&bench, "d", "f", b"content").await).await;
    assert!(result.is_err(), "a folder with all in it is not replaced");
    assert_eq!(content(&bench, "d/kept").await.as_deref(), Some(&b"kept"[..]));
    assert_eq!(site_paths(&bench).await, ["target", "target/d", "target/d/kept"].map(rel), "nothing is left");
}

async fn settled_folders_have_their_metadata(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    let folders = [folder(&bench, "").await, folder(&bench, "d").await, folder(&bench, "d/inner").await];
    let items = [&folders[..], &[file(&bench, "d/inner/f", "f", b"content").await]].concat();
    for result in restore(&bench, &from, &items).await {
        result.expect("restored");
    }
    for result in bench.target().settle(folders.to_vec()).await {
        result.expect("settled");
    }
    assert_eq!(content(&bench, "d/inner/f").await.as_deref(), Some(&b"content"[..]));
    for path in ["d/inner", "d", ""].map(below) {
        let stat = site_stat(&bench, &path).await;
        assert_eq!(stat.kind, FileKind::Directory);
        if bench.models().metadata {
            assert_eq!(stat.modified, LONG_AGO, "{path}");
        }
        if bench.models().modes {
            assert_eq!(stat.mode & 0o7777, 0o750, "{path}");
        }
    }
}

async fn the_root_itself_comes_back(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    let one = file(&bench, "", "f", b"content").await;
    assert_eq!(bench.target().survey(std::slice::from_ref(&one)).await.remove(0).expect("told"), Standing::Absent);
    let restored = restore_one(&bench, &from, one.clone()).await.expect("a file may be the root");
    assert_eq!(restored, Restored::Written(7));
    assert_eq!(site_content(&bench, &rel("target")).await.as_deref(), Some(&b"content"[..]));
    assert_eq!(restore_one(&bench, &from, one).await.expect("again"), Restored::Already);
}

async fn names_are_kept_byte_for_byte(bench: impl RecoveryBench) {
    // A name as long as the file system takes leaves room for no other beside it.
    let names = hard_names();
    let contents: Vec<_> = names.iter().map(|name| (name.clone(), name.as_bytes().to_vec())).collect();
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store(destination.as_ref(), run(1), &contents).await;
    let from = destination.open(run(1)).await.expect("sealed");
    for name in &names {
        let plain = file(&bench, "x", "x", name.as_bytes()).await;
        let record = FileRecord { path: name.clone(), ..plain.record };
        let item = RestoreItem { path: name.clone(), record, ..plain };
        restore_one(&bench, &from, item).await.expect("restored");
        let there = site_content(&bench, &rel("target").join(name)).await;
        assert_eq!(there.as_deref(), Some(name.as_bytes()), "{name}");
    }
}

async fn scratch_folders_are_new_and_go(bench: impl RecoveryBench) {
    let from = snapshot_of(&bench, &[("f", b"content")]).await;
    bench.put_file(&rel("rehearsals/kept"), b"kept");
    let (target, parent) = (bench.target(), bench.root().join(&rel("rehearsals")));
    let first = target.scratch(Some(&parent)).await.expect("made");
    let second = target.scratch(Some(&parent)).await.expect("made");
    assert!(first != second && first != parent && first.starts_with(&parent) && second.starts_with(&parent));
    for scratch in [&first, &second] {
        let walk = bench.files().walk(&site_files::source(scratch.clone())).await.expect("there");
        assert_eq!(walk.entries.len(), 1, "empty");
        let plain = file(&bench, "d/f", "f", b"content").await;
        restore_one(&bench, &from, RestoreItem { root: scratch.clone(), ..plain }).await.expect("restored");
    }
    target.discard(&first).await.expect("discarded with all in it");
    assert!(bench.files().walk(&site_files::source(first)).await.is_err());
    assert!(bench.files().walk(&site_files::source(second.clone())).await.is_ok());
    target.discard(&second).await.expect("discarded");
    assert_eq!(site_paths(&bench).await, ["rehearsals", "rehearsals/kept"].map(rel));
    let anywhere = target.scratch(None).await.expect("the system has a place");
    target.discard(&anywhere).await.expect("discarded");
}

async fn only_scratch_folders_are_discarded(bench: impl RecoveryBench) {
    bench.put_file(&rel("d/kept"), b"kept");
    let parent = bench.root();
    let scratch = bench.target().scratch(Some(&parent)).await.expect("made");
    let inner = scratch.join(&rel("inner"));
    let above = scratch.parent().expect("it lies below the root");
    for other in [bench.root().join(&rel("d")), bench.root(), above, inner, bench.root().join(&rel("none"))] {
        let (target, path) = (bench.target(), other.clone());
        assert!(is_refused(async move { target.discard(&path).await }).await, "{other}");
    }
    assert_eq!(site_content(&bench, &rel("d/kept")).await.as_deref(), Some(&b"kept"[..]));
    bench.target().discard(&scratch).await.expect("still there");
}
