//! The port of core on a repository: what the suite of the port (`tests/src/conformance/archive.rs`) does not ask.

use std::sync::Arc;

use backup_core::ports::archive::{SnapshotArchive, SnapshotArchiveError};
use backup_core::report::Cause;

use super::tree::Tree;
use super::{HOLDER, a_tree, repository, store};
use crate::crypto::ReadKey;
use crate::storage::faults::{Fault, FaultKind, FaultyStorage};
use crate::storage::memory::MemoryStorage;
use crate::{ArchiveError, Key, Repository, RepositoryArchive};

fn block_on<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(call)
}

fn adapter(open: impl Fn() -> Result<Repository, SnapshotArchiveError> + Send + Sync + 'static) -> RepositoryArchive {
    RepositoryArchive::new(open, Arc::new(Tree::default()), HOLDER.to_owned())
}

/// Retention must know of it: the last good snapshot may be the one that cannot be read.
#[test]
fn a_snapshot_that_cannot_be_read_is_told_to_whoever_lists() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    let ids = [10, 20].map(|second| store(&repository, &a_tree(), second).expect("stored").id);
    storage.damage(&format!("snapshots/{}", ids[0]), |bytes| bytes[100] ^= 1);
    let archive = adapter(move || Ok(repository.clone()));
    // Whosever it is, nobody knows.
    for (site, whole) in [("P01", 1), ("P02", 0)] {
        let listed = block_on(archive.list(site)).expect("the others are listed");
        assert_eq!(listed.snapshots.len(), whole, "{site}");
        assert!(listed.damaged.len() == 1 && listed.damaged[0].contains(&ids[0]), "{:?}", listed.damaged);
    }
    let refused = block_on(archive.open(&ids[0])).expect_err("it cannot be read");
    assert!(matches!(refused, SnapshotArchiveError::Damaged(_)), "{refused}");
}

#[test]
fn why_a_snapshot_could_not_be_read_is_told() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    store(&repository(storage.clone(), &key), &a_tree(), 10).expect("stored");
    let told = (0..20).find_map(|at| {
        let storage = FaultyStorage::new(storage.clone(), Some(Fault { at, kind: FaultKind::ErrorBefore }));
        let opened = Repository::open(Arc::new(storage), Key::Read(key.clone())).ok()?;
        let archive = adapter(move || Ok(opened.clone()));
        block_on(archive.list("P01")).ok()?.damaged.pop()
    });
    let told = told.expect("one of the calls reads it");
    assert!(told.contains("failed to") && told.contains("injected fault"), "{told}");
}

/// A share that comes back is found by the next call.
#[test]
fn a_repository_that_was_out_of_reach_is_asked_for_anew() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let (place, kept) = (storage.clone(), key.clone());
    let archive = adapter(move || Ok(Repository::open(place.clone(), Key::Read(kept.clone()))?));
    let away = block_on(archive.inspect()).expect_err("there is none yet");
    assert_eq!(away.cause(), Cause::Archive, "{away}");
    repository(storage, &key);
    assert!(block_on(archive.inspect()).expect("it is there").reads);
}

#[test]
fn what_failed_is_told_by_what_it_is_about() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    repository(storage.clone(), &key);
    let full = FaultyStorage::new(storage.clone(), Some(Fault { at: 0, kind: FaultKind::Full }));
    let full = Repository::open(Arc::new(full), Key::Read(key)).expect("opened");
    let error = store(&full, &a_tree(), 10).expect_err("there is no room");
    let other = Repository::open(storage, Key::Read(ReadKey::generate())).expect_err("another key");
    let lost = ArchiveError::Lost { what: "a".to_owned(), id: "b".to_owned() };
    let unsealed = ArchiveError::Unsealed { path: "a".to_owned(), reason: "b".to_owned() };
    for (error, cause) in [
        (error, Cause::Full),
        (other, Cause::Key),
        (ArchiveError::WriteOnly, Cause::Key),
        (ArchiveError::damaged("a", "b"), Cause::ArchiveDamaged),
        (lost, Cause::ArchiveDamaged),
        (unsealed, Cause::Snapshot),
        (ArchiveError::NoSnapshot("a".to_owned()), Cause::Snapshot),
        (ArchiveError::Pinned("a".to_owned()), Cause::Archive),
        (ArchiveError::Busy("a".to_owned()), Cause::Archive),
        (ArchiveError::Cancelled, Cause::Interrupted),
    ] {
        let told = error.to_string();
        assert_eq!(SnapshotArchiveError::from(error).cause(), cause, "{told}");
    }
}
