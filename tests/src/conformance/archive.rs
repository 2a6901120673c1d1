//! The contract of [`SnapshotArchive`].

use std::sync::Arc;

use backup_core::cancel::Cancel;
use backup_core::manifest::Manifest;
use backup_core::ports::archive::{
    ArchiveFacts, ArchiveListing, SealedSnapshot, SnapshotArchive, SnapshotArchiveError,
};
use backup_core::ports::destination::StoredSnapshot;
use backup_core::retention::Archived;
use backup_core::verify::read_snapshot;

use super::destination::DestinationBench;
use super::{SITE, content_of, hold, is_refused, moment, rel, run, run_checks, some_files, store};

const _: fn(&dyn SnapshotArchive) = |_| ();

/// An archive to try, with a destination whose snapshots go into it.
pub trait ArchiveBench: DestinationBench {
    /// The archive as a new process would open it, always the same one.
    fn archive(&self) -> Arc<dyn SnapshotArchive>;
    /// The same with a key that only stores.
    fn writer(&self) -> Arc<dyn SnapshotArchive>;
    /// Pins a snapshot.
    fn pin(&self, id: &str);
    /// Writes over the first file of a published snapshot, in its place and with its size.
    fn spoil(&self, snapshot: &StoredSnapshot);
}

/// Checks an archive.
pub async fn suite<B: ArchiveBench>(make: impl Fn() -> B) {
    run_checks!(make: a_new_archive_is_empty, what_is_stored_is_listed_and_opens, a_snapshot_stored_twice_is_there_twice,
        another_process_sees_it, other_sites_are_not_listed, what_is_not_as_it_was_sealed_is_not_stored,
        who_wishes_to_stop_stores_nothing, forgetting_takes_one, what_is_pinned_is_not_forgotten,
        a_key_that_only_stores_reads_nothing, what_is_not_there_is_named);
}

async fn published(bench: &dyn ArchiveBench, n: u64, text: &str) -> StoredSnapshot {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store(destination.as_ref(), run(n), &some_files(text)).await;
    destination.publish(run(n)).await.expect("published")
}

async fn sealed(bench: &dyn ArchiveBench, snapshot: &StoredSnapshot) -> SealedSnapshot {
    let files = bench.destination().open(snapshot.run).await.expect("published");
    let (manifest, records) = read_snapshot(files.as_ref()).await.expect("whole");
    SealedSnapshot { folder: snapshot.folder.clone(), manifest, records }
}

async fn put(archive: &dyn SnapshotArchive, snapshot: SealedSnapshot) -> Result<String, SnapshotArchiveError> {
    archive.store(snapshot, moment(20), &Cancel::default()).await.map(|stored| stored.id)
}

/// A snapshot of run 1, published and archived.
async fn archived(bench: &dyn ArchiveBench) -> (String, SealedSnapshot) {
    let snapshot = sealed(bench, &published(bench, 1, "x").await).await;
    let id = put(bench.archive().as_ref(), snapshot.clone()).await.expect("archived");
    (id, snapshot)
}

async fn ids(archive: &dyn SnapshotArchive) -> Vec<String> {
    let ArchiveListing { snapshots, damaged } = archive.list(SITE).await.expect("listed");
    assert!(damaged.is_empty(), "{damaged:?}");
    let mut ids: Vec<String> = snapshots.into_iter().map(|archived| archived.id).collect();
    ids.sort();
    ids
}

async fn a_new_archive_is_empty(bench: impl ArchiveBench) {
    let archive = bench.archive();
    assert_eq!(archive.inspect().await.expect("it is there"), ArchiveFacts { reads: true });
    assert_eq!(archive.list(SITE).await.expect("listed"), ArchiveListing::default());
}

async fn what_is_stored_is_listed_and_opens(bench: impl ArchiveBench) {
    let (id, snapshot) = archived(&bench).await;
    let archive = bench.archive();
    let expected = Archived { id: id.clone(), moment: snapshot.manifest.moment, is_good: true, is_pinned: false };
    assert_eq!(archive.list(SITE).await.expect("listed").snapshots, [expected]);
    let files = archive.open(&id).await.expect("it is there");
    let manifest = files.manifest().await.expect("read");
    assert_eq!(Manifest::parse(&manifest).expect("a manifest"), snapshot.manifest);
    for (path, content) in some_files("x") {
        assert_eq!(content_of(&files, &path).await, Some(content), "{path}");
    }
    let weaker = published(&bench, 2, "y").await;
    let mut weaker = sealed(&bench, &weaker).await;
    weaker.manifest.weaker.push("its moment is another one".to_owned());
    let destination = bench.destination();
    let held = hold(destination.as_ref()).await;
    destination.amend(&weaker.manifest).await.expect("amended");
    drop(held);
    let id = put(archive.as_ref(), weaker).await.expect("archived");
    let listed = archive.list(SITE).await.expect("listed").snapshots;
    let listed = listed.into_iter().find(|archived| archived.id == id).expect("listed");
    assert!(!listed.is_good, "the weaker one");
}

async fn a_snapshot_stored_twice_is_there_twice(bench: impl ArchiveBench) {
    let (first, snapshot) = archived(&bench).await;
    let second = put(bench.archive().as_ref(), snapshot).await.expect("archived");
    assert_ne!(first, second);
    assert_eq!(ids(bench.archive().as_ref()).await.len(), 2);
}

async fn another_process_sees_it(bench: impl ArchiveBench) {
    let open_before = bench.archive();
    assert!(ids(open_before.as_ref()).await.is_empty());
    let (id, _) = archived(&bench).await;
    assert_eq!(ids(open_before.as_ref()).await, [id]);
}

async fn other_sites_are_not_listed(bench: impl ArchiveBench) {
    archived(&bench).await;
    for other in ["P02", "p01", ""] {
        assert_eq!(bench.archive().list(other).await.expect("listed"), ArchiveListing::default(), "{other}");
    }
}

async fn what_is_not_as_it_was_sealed_is_not_stored(bench: impl ArchiveBench) {
    let published = published(&bench, 1, "x").await;
    let whole = sealed(&bench, &published).await;
    bench.spoil(&published);
    let refused = put(bench.archive().as_ref(), whole).await;
    assert!(matches!(refused, Err(SnapshotArchiveError::Snapshot(_))), "{refused:?}");
    assert!(ids(bench.archive().as_ref()).await.is_empty(), "nothing of it is half there");
}

async fn who_wishes_to_stop_stores_nothing(bench: impl ArchiveBench) {
    let snapshot = sealed(&bench, &published(&bench, 1, "x").await).await;
    let cancel = Cancel::default();
    cancel.cancel();
    let stopped = bench.archive().store(snapshot.clone(), moment(20), &cancel).await;
    assert!(matches!(stopped, Err(SnapshotArchiveError::Cancelled)), "{stopped:?}");
    assert!(ids(bench.archive().as_ref()).await.is_empty());
    put(bench.archive().as_ref(), snapshot).await.expect("a repeated call goes on");
}

async fn forgetting_takes_one(bench: impl ArchiveBench) {
    let (first, snapshot) = archived(&bench).await;
    let archive = bench.archive();
    let second = put(archive.as_ref(), snapshot).await.expect("archived");
    for _ in 0..2 {
        archive.forget(&first).await.expect("one that is gone is no error");
        assert_eq!(ids(archive.as_ref()).await, std::slice::from_ref(&second));
    }
    let files = archive.open(&second).await.expect("it is there");
    assert_eq!(content_of(&files, &rel("a.txt")).await.as_deref(), Some(&b"x a"[..]), "what they share stays");
}

async fn what_is_pinned_is_not_forgotten(bench: impl ArchiveBench) {
    let (id, _) = archived(&bench).await;
    bench.pin(&id);
    let archive = bench.archive();
    assert!(archive.list(SITE).await.expect("listed").snapshots[0].is_pinned);
    let refused = archive.forget(&id).await;
    assert!(matches!(refused, Err(SnapshotArchiveError::Pinned(_))), "{refused:?}");
    assert_eq!(ids(archive.as_ref()).await, [id]);
}

async fn a_key_that_only_stores_reads_nothing(bench: impl ArchiveBench) {
    let snapshot = sealed(&bench, &published(&bench, 1, "x").await).await;
    let writer = bench.writer();
    assert_eq!(writer.inspect().await.expect("it is there"), ArchiveFacts { reads: false });
    let id = put(writer.as_ref(), snapshot).await.expect("archived");
    assert!(matches!(writer.list(SITE).await, Err(SnapshotArchiveError::WriteOnly)));
    assert!(matches!(writer.open(&id).await, Err(SnapshotArchiveError::WriteOnly)));
    assert_eq!(ids(bench.archive().as_ref()).await, [id]);
}

async fn what_is_not_there_is_named(bench: impl ArchiveBench) {
    let (_, snapshot) = archived(&bench).await;
    let id = "f".repeat(64);
    let archive = bench.archive();
    let missing = archive.open(&id).await.map(drop);
    assert!(matches!(&missing, Err(SnapshotArchiveError::NoSnapshot(what)) if what.contains(&id)), "{missing:?}");
    let gone = SealedSnapshot { folder: snapshot.folder.join(&rel("gone")), ..snapshot };
    assert!(is_refused(async move { put(archive.as_ref(), gone).await }).await, "a folder that is not there");
    assert_eq!(ids(bench.archive().as_ref()).await.len(), 1);
}
