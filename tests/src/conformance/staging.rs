//! The contract of [`Staging`] and [`StagedFile`].

use std::sync::Arc;

use backup_core::manifest::ContentHash;
use backup_core::path::RelPath;
use backup_core::ports::destination::{
    Destination, StageContent, StageError, StageItem, StagedContent, StagedFile, Staging,
};
use backup_core::ports::site_files::{FileKind, FileTime, WalkEntry};

use super::destination::DestinationBench;
use super::{
    blocking, content_of, describe, hard_names, hold, is_refused, moment, rel, run, run_checks, seal, site_stat,
    some_files, store,
};

const _: fn(&dyn Staging) = |_| ();
const _: fn(&dyn StagedFile) = |_| ();

/// Checks the staging folders of a destination.
pub async fn suite<B: DestinationBench>(make: impl Fn() -> B) {
    run_checks!(make: a_copy_is_the_file_with_its_hash, results_stand_in_the_order_of_the_items, what_cannot_be_read_leaves_nothing,
        holes_stay_zeros, an_update_makes_the_copy_the_same, what_is_reused_is_not_read, what_is_reused_must_be_there,
        no_write_reaches_another_snapshot, another_name_is_the_same_file, folders_are_made_with_those_above,
        a_written_file_has_its_time, a_created_file_is_written_at_any_place, what_is_removed_is_gone, a_walk_shows_all_but_our_own,
        names_are_kept_byte_for_byte, two_runs_do_not_mix, only_its_own_manifest_seals);
}

fn item(path: &str, content: StageContent) -> StageItem {
    StageItem { path: rel(path), content }
}

fn copy_of(bench: &dyn DestinationBench, path: &str, source: &str) -> StageItem {
    item(path, StageContent::Copy(bench.root().join(&rel(source))))
}

fn update_of(bench: &dyn DestinationBench, path: &str, source: &str) -> StageItem {
    item(path, StageContent::Update(bench.root().join(&rel(source))))
}

async fn stage(
    bench: &dyn DestinationBench,
    staging: &Arc<dyn Staging>,
    items: Vec<StageItem>,
) -> Vec<Result<StagedContent, StageError>> {
    let count = items.len();
    let results = staging.stage(items, bench.files()).await;
    assert_eq!(results.len(), count, "a result for each item");
    results
}

async fn stage_one(bench: &dyn DestinationBench, staging: &Arc<dyn Staging>, item: StageItem) -> StagedContent {
    stage(bench, staging, vec![item]).await.remove(0).expect("staged")
}

async fn begin(bench: &dyn DestinationBench) -> Arc<dyn Staging> {
    super::begin(bench.destination().as_ref(), run(1)).await
}

async fn paths(staging: &Arc<dyn Staging>) -> Vec<RelPath> {
    staging.walk().await.expect("walked").into_iter().map(|entry| entry.path).collect()
}

async fn entry(staging: &Arc<dyn Staging>, path: &str) -> WalkEntry {
    let mut entries = staging.walk().await.expect("walked").into_iter();
    entries.find(|entry| entry.path == rel(path)).expect("it is there")
}

/// Seals the first run, and returns what it has under this name.
async fn sealed_content(bench: &dyn DestinationBench, staging: &Arc<dyn Staging>, path: &str) -> Option<Vec<u8>> {
    seal(staging.as_ref(), run(1), &[]).await;
    staged_before(bench.destination().as_ref(), path).await
}

async fn staged_before(destination: &dyn Destination, path: &str) -> Option<Vec<u8>> {
    content_of(&destination.open(run(1)).await.expect("sealed"), &rel(path)).await
}

fn long(seed: u8) -> Vec<u8> {
    (0..3_000_000usize).map(|number| (number / 1000) as u8 ^ seed).collect()
}

async fn a_copy_is_the_file_with_its_hash(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    for (name, content) in [("empty", Vec::new()), ("small", b"small".to_vec()), ("long", long(0))] {
        bench.put_file(&rel(name), &content);
        let stat = site_stat(&bench, &rel(name)).await;
        let staged = stage_one(&bench, &staging, copy_of(&bench, &format!("d/{name}"), name)).await;
        assert_eq!((staged.size, staged.hash), (content.len() as u64, Some(ContentHash::of(&content))), "{name}");
        assert_eq!((staged.before.as_ref(), staged.after.as_ref()), (Some(&stat), Some(&stat)), "nobody wrote to it");
        let copied = entry(&staging, &format!("d/{name}")).await.stat;
        assert_eq!((copied.kind, copied.size), (FileKind::File, content.len() as u64));
        assert_eq!(copied.mode & 0o077, 0, "a snapshot is for its owner only");
        assert!(!bench.models().metadata || copied.modified == stat.modified);
    }
    assert_eq!(sealed_content(&bench, &staging, "d/long").await, Some(long(0)));
    assert_eq!(staged_before(bench.destination().as_ref(), "d/empty").await, Some(Vec::new()));
}

async fn results_stand_in_the_order_of_the_items(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    let mut items = Vec::new();
    for number in 0..60 {
        let name = format!("f{number}");
        bench.put_file(&rel(&name), name.as_bytes());
        items.push(match number % 6 {
            4 => copy_of(&bench, &format!("d{number}/none"), "no/such"),
            5 => item(&format!("d{number}/folder"), StageContent::Directory),
            _ => copy_of(&bench, &format!("d{}/{name}", number % 7), &name),
        });
    }
    for (number, result) in stage(&bench, &staging, items).await.into_iter().enumerate() {
        match number % 6 {
            4 => assert!(matches!(result, Err(StageError::Read(_))), "{number}"),
            5 => assert_eq!(result.expect("made").hash, None),
            _ => assert_eq!(result.expect("staged").hash, Some(ContentHash::of(format!("f{number}").as_bytes()))),
        }
    }
}

async fn what_cannot_be_read_leaves_nothing(bench: impl DestinationBench) {
    bench.put_file(&rel("fine"), b"fine");
    bench.put_folder(&rel("folder"));
    if !bench.put_symlink(&rel("link"), b"fine") {
        bench.put_folder(&rel("link"));
    }
    let staging = begin(&bench).await;
    let items = ["missing", "folder", "link", "fine"].map(|name| copy_of(&bench, name, name));
    let results = stage(&bench, &staging, items.into()).await;
    for result in &results[..3] {
        assert!(matches!(result, Err(StageError::Read(_))), "{result:?}");
    }
    assert!(results[3].is_ok(), "the others are not concerned");
    let link = item("other name", StageContent::HardLink(rel("missing")));
    assert!(stage(&bench, &staging, vec![link]).await[0].is_err(), "nor has it another name");
    assert_eq!(paths(&staging).await, [rel("fine")]);
}

async fn holes_stay_zeros(bench: impl DestinationBench) {
    let (size, data_at) = (8 << 20, 5 << 20);
    if !bench.put_sparse(&rel("sparse"), size, data_at) {
        return;
    }
    let mut content = vec![0; 8 << 20];
    content[5 << 20] = b'x';
    let staging = begin(&bench).await;
    for make in [copy_of, update_of] {
        let staged = stage_one(&bench, &staging, make(&bench, "sparse", "sparse")).await;
        assert_eq!((staged.size, staged.hash), (size, Some(ContentHash::of(&content))));
        bench.put_file(&rel("full"), &vec![b'y'; 8 << 20]);
        stage_one(&bench, &staging, copy_of(&bench, "full", "full")).await;
    }
    // A hole takes the place of what was there.
    let staged = stage_one(&bench, &staging, update_of(&bench, "full", "sparse")).await;
    assert_eq!(staged.hash, Some(ContentHash::of(&content)));
    assert!(sealed_content(&bench, &staging, "full").await == Some(content.clone()));
    assert!(staged_before(bench.destination().as_ref(), "sparse").await == Some(content));
}

async fn an_update_makes_the_copy_the_same(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    bench.put_file(&rel("f"), &long(0));
    stage_one(&bench, &staging, copy_of(&bench, "f", "f")).await;
    let mut changed = long(0);
    changed[1_500_000] ^= 1;
    let versions = [changed, long(0)[..2_000_001].to_vec(), long(7), Vec::new(), b"short".to_vec(), long(9)];
    for content in &versions {
        bench.put_file(&rel("f"), content);
        let staged = stage_one(&bench, &staging, update_of(&bench, "f", "f")).await;
        assert_eq!((staged.size, staged.hash), (content.len() as u64, Some(ContentHash::of(content))));
        assert_eq!(entry(&staging, "f").await.stat.size, content.len() as u64);
        let stat = site_stat(&bench, &rel("f")).await;
        assert!(!bench.models().metadata || entry(&staging, "f").await.stat.modified == stat.modified);
        assert_eq!((staged.before.as_ref(), staged.after.as_ref()), (Some(&stat), Some(&stat)));
    }
    assert!(sealed_content(&bench, &staging, "f").await.as_ref() == versions.last());
}

async fn previous_and_next(bench: &dyn DestinationBench) -> (Arc<dyn Destination>, Arc<dyn Staging>) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store(destination.as_ref(), run(1), &some_files("old")).await;
    destination.publish(run(1)).await.expect("published");
    let staging = destination.begin(run(2), Some(run(1))).await.expect("begun");
    (destination, staging)
}

async fn what_is_reused_is_not_read(bench: impl DestinationBench) {
    let (destination, staging) = previous_and_next(&bench).await;
    let items =
        vec![item("a.txt", StageContent::Reuse(rel("a.txt"))), item("new/c", StageContent::Reuse(rel("folder/b.txt")))];
    for result in stage(&bench, &staging, items).await {
        let staged = result.expect("taken over");
        assert_eq!((staged.size, staged.hash, staged.before, staged.after), (5, None, None, None));
        let stored =
            staged.stored.expect("when the stored file was changed tells whether it is the one that was sealed");
        assert!(stored.is_kept(FileTime(moment(5).as_second(), 0)), "{stored:?}");
    }
    seal(staging.as_ref(), run(2), &[]).await;
    let _hold = hold(destination.as_ref()).await;
    destination.remove(run(1)).await.expect("removed");
    let snapshot = destination.open(run(2)).await.expect("sealed");
    assert_eq!(content_of(&snapshot, &rel("a.txt")).await.as_deref(), Some(&b"old a"[..]));
    assert_eq!(content_of(&snapshot, &rel("new/c")).await.as_deref(), Some(&b"old b"[..]), "it outlives the other");
}

async fn what_is_reused_must_be_there(bench: impl DestinationBench) {
    let (_destination, staging) = previous_and_next(&bench).await;
    let reuse = |path: &str, from: &str| item(path, StageContent::Reuse(rel(from)));
    let items = vec![reuse("x", "no/such"), reuse("y", "folder"), reuse("z", "a.txt/below"), reuse("a", "a.txt")];
    let results = stage(&bench, &staging, items).await;
    for result in &results[..3] {
        assert!(matches!(result, Err(StageError::Write(_))), "{result:?}");
    }
    assert!(results[3].is_ok());
    assert_eq!(paths(&staging).await, [rel("a")]);
    let alone = super::begin(bench.destination().as_ref(), run(3)).await;
    assert!(stage(&bench, &alone, vec![reuse("a", "a.txt")]).await[0].is_err(), "there is no previous snapshot");
}

async fn no_write_reaches_another_snapshot(bench: impl DestinationBench) {
    let (destination, staging) = previous_and_next(&bench).await;
    bench.put_file(&rel("source"), b"new, and longer");
    let names = ["updated", "copied", "written", "created", "linked", "removed"];
    let reuse = |name: &&str| item(name, StageContent::Reuse(rel("a.txt")));
    for result in stage(&bench, &staging, names.iter().map(reuse).collect()).await {
        result.expect("taken over");
    }
    stage_one(&bench, &staging, update_of(&bench, "updated", "source")).await;
    stage_one(&bench, &staging, copy_of(&bench, "copied", "source")).await;
    staging.write(&rel("written"), b"new", moment(0)).await.expect("written");
    let created = staging.create(&rel("created")).expect("created");
    blocking(move || created.write_at(0, b"new").expect("written")).await;
    stage_one(&bench, &staging, item("linked too", StageContent::HardLink(rel("linked")))).await;
    stage_one(&bench, &staging, update_of(&bench, "linked too", "source")).await;
    staging.remove(vec![rel("removed")]).await.expect("removed");
    assert_eq!(staged_before(destination.as_ref(), "a.txt").await.as_deref(), Some(&b"old a"[..]));
    seal(staging.as_ref(), run(2), &[]).await;
    let next = destination.open(run(2)).await.expect("sealed");
    for name in ["updated", "copied", "linked too"] {
        assert_eq!(content_of(&next, &rel(name)).await.as_deref(), Some(&b"new, and longer"[..]), "{name}");
    }
    for name in ["written", "created"] {
        assert_eq!(content_of(&next, &rel(name)).await.as_deref(), Some(&b"new"[..]), "{name}");
    }
    assert_eq!(staged_before(destination.as_ref(), "a.txt").await.as_deref(), Some(&b"old a"[..]));
}

async fn another_name_is_the_same_file(bench: impl DestinationBench) {
    bench.put_file(&rel("f"), b"content");
    let staging = begin(&bench).await;
    stage_one(&bench, &staging, copy_of(&bench, "z/first", "f")).await;
    for name in ["a/second", "third"] {
        let staged = stage_one(&bench, &staging, item(name, StageContent::HardLink(rel("z/first")))).await;
        assert_eq!((staged.hash, staged.before), (None, None), "it was not read");
    }
    if bench.models().hard_links {
        let first = entry(&staging, "z/first").await.stat;
        assert_eq!(first.links, 3);
        for name in ["a/second", "third"] {
            assert_eq!(entry(&staging, name).await.stat.id, first.id, "{name}");
        }
    }
    assert_eq!(sealed_content(&bench, &staging, "a/second").await.as_deref(), Some(&b"content"[..]));
    assert_eq!(staged_before(bench.destination().as_ref(), "third").await.as_deref(), Some(&b"content"[..]));
}

async fn folders_are_made_with_those_above(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    for _ in 0..2 {
        stage_one(&bench, &staging, item("a/b/c", StageContent::Directory)).await;
    }
    staging.write(&rel("a/b/file"), b"", moment(0)).await.expect("written");
    stage_one(&bench, &staging, item("a", StageContent::Directory)).await;
    assert_eq!(paths(&staging).await, ["a", "a/b", "a/b/c", "a/b/file"].map(rel));
    let kinds = staging.walk().await.expect("walked").into_iter().map(|entry| entry.stat.kind);
    let expected = [FileKind::Directory, FileKind::Directory, FileKind::Directory, FileKind::File];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

async fn a_written_file_has_its_time(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    for content in [&b"first, and longer"[..], b"second"] {
        staging.write(&rel("d/file"), content, moment(42)).await.expect("written");
        let stat = entry(&staging, "d/file").await.stat;
        assert_eq!((&stat.kind, stat.size, stat.mode & 0o077), (&FileKind::File, content.len() as u64, 0));
        assert!(!bench.models().metadata || stat.modified == FileTime(1_700_000_042, 0), "{stat:?}");
    }
    assert_eq!(sealed_content(&bench, &staging, "d/file").await.as_deref(), Some(&b"second"[..]));
}

async fn a_created_file_is_written_at_any_place(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    let file = staging.create(&rel("d/database")).expect("created");
    let stat = entry(&staging, "d/database").await.stat;
    assert_eq!((stat.size, stat.mode & 0o077), (0, 0), "empty, and readable by its owner only");
    blocking(move || {
        file.write_at(10, b"tail").expect("written");
        file.write_at(0, b"head").expect("written");
        let mut buffer = [0xee; 20];
        assert_eq!(file.read_at(0, &mut buffer).expect("read"), 14, "less only at the end");
        assert_eq!(&buffer[..14], b"head\0\0\0\0\0\0tail");
        assert_eq!(file.read_at(12, &mut buffer[..2]).expect("read"), 2);
        assert_eq!(file.read_at(14, &mut buffer).expect("read"), 0);
        file.set_len(2).expect("cut");
        file.set_len(4).expect("extended");
        assert_eq!(file.read_at(0, &mut buffer).expect("read"), 4);
        assert_eq!(&buffer[..4], b"he\0\0");
        file.write_at(4, b"!").expect("written");
    })
    .await;
    assert_eq!(sealed_content(&bench, &staging, "d/database").await.as_deref(), Some(&b"he\0\0!"[..]));
}

async fn what_is_removed_is_gone(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    for name in ["d/x", "d/inner/y", "dx", "e", "f/g"] {
        staging.write(&rel(name), b"", moment(0)).await.expect("written");
    }
    staging.remove(["d", "e", "no/such", "e/below"].map(rel).into()).await.expect("removed");
    assert_eq!(paths(&staging).await, ["dx", "f", "f/g"].map(rel));
    staging.remove(["d", "e", "f/g"].map(rel).into()).await.expect("removed already");
    assert!(!paths(&staging).await.contains(&rel("f/g")));
    staging.write(&rel("d"), b"now a file", moment(0)).await.expect("written");
    assert_eq!(sealed_content(&bench, &staging, "d").await.as_deref(), Some(&b"now a file"[..]));
}

async fn a_walk_shows_all_but_our_own(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    assert_eq!(paths(&staging).await, []);
    for name in ["b", "a/x", "a.b", "a-b/z"] {
        staging.write(&rel(name), b"", moment(0)).await.expect("written");
    }
    let expected = ["a", "a/x", "a-b", "a-b/z", "a.b", "b"].map(rel);
    assert_eq!(paths(&staging).await, expected, "each folder before its content, and its content directly after it");
    seal(staging.as_ref(), run(1), &[]).await;
    let walk = bench.destination().open(run(1)).await.expect("sealed").walk().await.expect("walked");
    assert_eq!(walk.into_iter().map(|entry| entry.path).collect::<Vec<_>>(), expected);
}

async fn names_are_kept_byte_for_byte(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    let names = hard_names();
    for name in &names {
        bench.put_file(name, name.as_bytes());
        let copy = StageItem { path: name.clone(), content: StageContent::Copy(bench.root().join(name)) };
        stage_one(&bench, &staging, copy).await;
    }
    assert_eq!(paths(&staging).await, names);
    seal(staging.as_ref(), run(1), &[]).await;
    let snapshot = bench.destination().open(run(1)).await.expect("sealed");
    for name in &names {
        assert_eq!(content_of(&snapshot, name).await.as_deref(), Some(name.as_bytes()), "{name}");
    }
}

async fn two_runs_do_not_mix(bench: impl DestinationBench) {
    let destination = bench.destination();
    let first = super::begin(destination.as_ref(), run(1)).await;
    let second = super::begin(destination.as_ref(), run(2)).await;
    first.write(&rel("a"), b"first", moment(0)).await.expect("written");
    second.write(&rel("a"), b"second", moment(0)).await.expect("written");
    second.remove(vec![rel("b")]).await.expect("removed");
    seal(second.as_ref(), run(2), &[]).await;
    first.write(&rel("b"), b"first", moment(0)).await.expect("written");
    assert_eq!(paths(&first).await, ["a", "b"].map(rel));
    assert_eq!(sealed_content(&bench, &first, "a").await.as_deref(), Some(&b"first"[..]));
    let snapshot = destination.open(run(2)).await.expect("sealed");
    assert_eq!(content_of(&snapshot, &rel("a")).await.as_deref(), Some(&b"second"[..]));
}

async fn only_its_own_manifest_seals(bench: impl DestinationBench) {
    let staging = begin(&bench).await;
    let (other, list) = describe(run(2), &[]);
    let sealing = Arc::clone(&staging);
    assert!(is_refused(async move { sealing.seal(&other, &list).await }).await, "the manifest is another run's");
    assert_eq!(bench.destination().list().await.expect("listed"), []);
    seal(staging.as_ref(), run(1), &[]).await;
    assert_eq!(bench.destination().list().await.expect("listed").len(), 1);
}
