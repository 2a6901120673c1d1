//! The contract of [`SnapshotFiles`].

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::manifest::ContentHash;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{Destination, SnapshotFiles};
use backup_core::ports::site_files::FileKind;
use backup_core::snapshot::RunId;

use super::destination::DestinationBench;
use super::{blocking, content_of, describe, hold, rel, run, run_checks, some_files, store};

const _: fn(&dyn SnapshotFiles) = |_| ();

/// A destination, and what reads the snapshots that are stored there.
#[async_trait]
pub trait SnapshotBench: Debug + Send + Sync + 'static {
    /// The destination of site `P01`.
    fn destination(&self) -> Arc<dyn Destination>;
    /// Makes a symbolic link in the folder of a snapshot; `false` where there is no such thing.
    fn plant_link(&self, folder: &SitePath, name: &str, target: &str) -> bool;
    /// Opens a sealed snapshot as it is now.
    async fn open(&self, run: RunId) -> Arc<dyn SnapshotFiles>;
}

#[async_trait]
impl<B: DestinationBench> SnapshotBench for B {
    fn destination(&self) -> Arc<dyn Destination> {
        DestinationBench::destination(self)
    }

    fn plant_link(&self, folder: &SitePath, name: &str, target: &str) -> bool {
        DestinationBench::plant_link(self, folder, name, target)
    }

    async fn open(&self, run: RunId) -> Arc<dyn SnapshotFiles> {
        DestinationBench::destination(self).open(run).await.expect("sealed")
    }
}

/// Checks what a destination opens, or another reader of its snapshots.
pub async fn suite<B: SnapshotBench>(make: impl Fn() -> B) {
    run_checks!(make: manifest_and_list_come_back, a_walk_shows_all_but_our_own, hashes_stand_in_the_order_of_the_paths,
        only_regular_files_open, no_path_leads_through_a_link, it_stays_the_snapshot_that_was_opened);
}

async fn opened(bench: &dyn SnapshotBench) -> Arc<dyn SnapshotFiles> {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store(destination.as_ref(), run(1), &some_files("x")).await;
    bench.open(run(1)).await
}

async fn opens(snapshot: &Arc<dyn SnapshotFiles>, path: &str) -> bool {
    let (snapshot, path) = (Arc::clone(snapshot), rel(path));
    blocking(move || snapshot.open(&path).is_ok()).await
}

async fn manifest_and_list_come_back(bench: impl SnapshotBench) {
    let snapshot = opened(&bench).await;
    let (manifest, list) = describe(run(1), &some_files("x"));
    assert_eq!(snapshot.manifest().await.expect("read"), manifest.to_json());
    assert_eq!(snapshot.list().await.expect("read"), list, "uncompressed");
}

async fn a_walk_shows_all_but_our_own(bench: impl SnapshotBench) {
    let snapshot = opened(&bench).await;
    let walk = snapshot.walk().await.expect("walked");
    let paths: Vec<RelPath> = walk.iter().map(|entry| entry.path.clone()).collect();
    assert_eq!(paths, ["a.txt", "folder", "folder/b.txt", "folder/inner", "folder/inner/c.txt"].map(rel));
    let folders: Vec<bool> = walk.iter().map(|entry| entry.stat.kind == FileKind::Directory).collect();
    assert_eq!(folders, [false, true, false, true, false]);
    assert_eq!(walk[0].stat.size, 3);
}

async fn hashes_stand_in_the_order_of_the_paths(bench: impl SnapshotBench) {
    let snapshot = opened(&bench).await;
    let mut paths: Vec<RelPath> = some_files("x").into_iter().map(|(path, _)| path).rev().collect();
    paths.insert(1, rel("no/such"));
    paths.push(rel("folder"));
    paths.push(rel("a.txt"));
    let hashes = snapshot.hash(paths).await;
    let found: Vec<_> = hashes.iter().map(|result| result.as_ref().ok().copied()).collect();
    let hash = |text: &str| Some((text.len() as u64, ContentHash::of(text.as_bytes())));
    assert_eq!(found, [hash("x c"), None, hash("x b"), hash("x a"), None, hash("x a")]);
    assert!(snapshot.hash(Vec::new()).await.is_empty());
}

async fn only_regular_files_open(bench: impl SnapshotBench) {
    let snapshot = opened(&bench).await;
    for path in ["no/such", "folder", "a.txt/below", ""] {
        assert!(!opens(&snapshot, path).await, "{path}");
    }
    for (path, content) in some_files("x") {
        assert_eq!(content_of(&snapshot, &path).await, Some(content), "{path}");
    }
}

async fn no_path_leads_through_a_link(bench: impl SnapshotBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store(destination.as_ref(), run(1), &some_files("x")).await;
    let snapshot = destination.publish(run(1)).await.expect("published");
    let links =
        [("link", "a.txt"), ("out", "/etc/hostname"), ("outer", "/etc"), ("folder/up", ".."), ("inner", "folder")];
    for (name, target) in links {
        if !bench.plant_link(&snapshot.folder, name, target) {
            return;
        }
    }
    let snapshot = bench.open(run(1)).await;
    let hostile = ["link", "out", "outer/hostname", "folder/up/a.txt", "inner/b.txt"];
    for path in hostile {
        assert!(!opens(&snapshot, path).await, "{path}");
    }
    assert!(snapshot.hash(hostile.map(rel).into()).await.iter().all(Result::is_err));
    let walk = snapshot.walk().await.expect("walked");
    assert!(walk.iter().any(|entry| entry.path == rel("outer") && matches!(entry.stat.kind, FileKind::Symlink(_))));
    assert!(!walk.iter().any(|entry| entry.path == rel("outer/hostname")), "links are not followed");
}

async fn it_stays_the_snapshot_that_was_opened(bench: impl SnapshotBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store(destination.as_ref(), run(1), &some_files("first")).await;
    destination.publish(run(1)).await.expect("published");
    let first = bench.open(run(1)).await;
    store(destination.as_ref(), run(2), &some_files("second")).await;
    destination.publish(run(2)).await.expect("published");
    let second = bench.open(run(2)).await;
    assert_eq!(content_of(&first, &rel("a.txt")).await.as_deref(), Some(&b"first a"[..]));
    assert_eq!(content_of(&second, &rel("a.txt")).await.as_deref(), Some(&b"second a"[..]));
    let (manifest, _) = describe(run(1), &some_files("first"));
    assert_eq!(first.manifest().await.expect("read"), manifest.to_json());
}
