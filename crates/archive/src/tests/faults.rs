//! An error, a kill or a full disk at every call on storage; two who store beside one who prunes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use backup_core::cancel::Cancel;

use super::tree::Tree;
use super::{HOLDER, a_tree, noise, pages, read_all, read_back, repository, store};
use crate::crypto::ReadKey;
use crate::storage::faults::{Call, Fault, FaultKind, FaultyStorage};
use crate::storage::memory::MemoryStorage;
use crate::storage::{Storage, StorageError, Stored};
use crate::{ArchiveError, Key, Purpose, Repository};

const KINDS: [FaultKind; 5] =
    [FaultKind::ErrorBefore, FaultKind::ErrorAfter, FaultKind::KillBefore, FaultKind::KillAfter, FaultKind::Full];

fn verified(repository: &Repository) -> usize {
    let verified = read_all(repository);
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    verified.whole.len()
}

/// A tree that shares nothing with any other.
fn lone_tree() -> Tree {
    let mut tree = Tree::default();
    tree.put("alone", noise(7, 100_000), 1);
    tree
}

fn small_tree(day: u64) -> Tree {
    let mut tree = Tree::default();
    tree.put("same", noise(1, 70_000), 1);
    let time = i64::try_from(day).expect("small");
    tree.put("new", noise(100 + day, 300_000), time);
    tree.put("CM_P01.mdf", pages(16, &[u32::try_from(day).expect("small")]), time);
    tree
}

/// Runs `act` with each fault at each call on a copy of `before`, and `judge` on what is left.
fn at_every_call<T: std::fmt::Debug>(
    (before, key): (&MemoryStorage, &ReadKey),
    act: impl Fn(&Repository) -> Result<T, ArchiveError>,
    judge: impl Fn(&Repository, Fault, &[Call], Result<T, ArchiveError>),
) {
    for kind in KINDS {
        for at in 0.. {
            let (copy, fault) = (Arc::new(before.copy()), Fault { at, kind });
            let faulty = Arc::new(FaultyStorage::new(Arc::clone(&copy), Some(fault)));
            let result = Repository::open(faulty.clone(), Key::Read(key.clone())).and_then(|opened| act(&opened));
            let calls = faulty.calls();
            judge(&repository(copy, key), fault, &calls, result);
            if calls.len() <= at {
                assert!(at > 5, "there are calls");
                break;
            }
        }
    }
}

#[test]
fn a_store_that_fails_anywhere_leaves_what_is_there_and_can_be_repeated() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let first = store(&repository(storage.clone(), &key), &small_tree(1), 10).expect("stored").id;
    let act = |repository: &Repository| store(repository, &small_tree(2), 20);
    at_every_call((&storage, &key), act, |repository, fault, _, result| {
        assert!(read_back(repository, &first) == small_tree(1), "{fault:?}");
        let listed = verified(repository);
        assert!(listed == 2 || result.is_err(), "{fault:?}: what is not there was called stored");
        let again = store(repository, &small_tree(2), 30).expect("nothing fails any more");
        assert!(read_back(repository, &again.id) == small_tree(2), "{fault:?}");
    });
}

/// Storage of which packs go whole and in part; the snapshot that is left is of the second tree.
fn to_prune() -> (Arc<MemoryStorage>, ReadKey, String) {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let made = repository(storage.clone(), &key);
    let first = store(&made, &small_tree(1), 10).expect("stored").id;
    let second = store(&made, &small_tree(2), 20).expect("stored").id;
    // In packs of its own.
    let lone = store(&made, &lone_tree(), 30).expect("stored").id;
    [first, lone].iter().for_each(|id| made.forget(id).expect("forgotten"));
    (storage, key, second)
}

#[test]
fn a_prune_that_is_to_stop_marks_and_deletes_nothing() {
    let (storage, key, second) = to_prune();
    let repository = repository(storage.clone(), &key);
    let before = storage.list("packs").expect("listed");
    let cancel = Cancel::default();
    cancel.cancel();
    let stopped = repository.prune(HOLDER, false, &cancel).expect_err("it was to stop");
    assert!(matches!(stopped, ArchiveError::Cancelled), "{stopped}");
    assert_eq!(storage.list("packs").expect("listed"), before);
    for folder in ["leases", "marks"] {
        assert_eq!(storage.list(folder).expect("listed"), [], "{folder}");
    }
    assert!(read_back(&repository, &second) == small_tree(2));
}

#[test]
fn a_prune_that_fails_anywhere_loses_nothing_and_can_be_repeated() {
    let (storage, key, second) = to_prune();
    let made = repository(storage.clone(), &key);
    // Of a client that deletes nothing.
    storage.put_new("leases/0f", br#"{"purpose":"store","holder":"over"}"#).expect("put");
    storage.put_new("ended/0f", b"").expect("put");
    let would = made.prune(HOLDER, true, &Cancel::default()).expect("looked");
    assert!(would.dead_packs > 0 && would.repacked > 0 && would.kept > 0, "each is tried: {would:?}");
    let packs = storage.list("packs").expect("listed").len() as u64;
    assert_eq!(would.dead_packs + would.repacked + would.kept, packs, "each is decided about");
    let act = |repository: &Repository| repository.prune(HOLDER, false, &Cancel::default());
    at_every_call((&storage, &key), act, |repository, fault, calls, result| {
        assert_eq!(verified(repository), 1, "{fault:?}");
        // Its own lease has another way to end, and a pack that cannot be read stays.
        let is_allowed = |call: &Call| match call.action {
            "delete" => call.name.starts_with("leases/"),
            "get" => call.name.starts_with("packs/"),
            _ => false,
        };
        let is_told = match (fault.kind, calls.get(fault.at)) {
            (_, None) => false,
            (FaultKind::Full, _) => calls.iter().skip(fault.at).any(|call| call.action == "put"),
            (FaultKind::ErrorBefore | FaultKind::ErrorAfter, Some(call)) if is_allowed(call) => result.is_err(),
            _ => true,
        };
        assert_eq!(result.is_err(), is_told, "{fault:?}: {result:?}, {:?}", calls.get(fault.at));
        for (id, facts) in repository.leases().expect("listed") {
            assert_eq!(facts.purpose, Purpose::Prune, "{fault:?}: a lease that was over is at work again");
            repository.break_lease(&id).expect("broken");
        }
        act(repository).expect("nothing fails any more");
        assert!(read_back(repository, &second) == small_tree(2), "{fault:?}");
        for folder in ["leases", "ended", "marks", "confirmed"] {
            assert_eq!(repository.storage.list(folder).expect("listed"), [], "{fault:?}");
        }
    });
}

/// A repository of many terabytes has as many indexes.
#[test]
fn a_prune_reads_the_index_of_a_pack_that_stays_three_times() {
    let (storage, key, _) = to_prune();
    let before = storage.list("packs").expect("listed");
    let counting = Arc::new(FaultyStorage::new(Arc::clone(&storage), None));
    let pruner = Repository::open(counting.clone(), Key::Read(key)).expect("opened");
    pruner.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    let calls = counting.calls();
    let reads = |pack: &Stored| calls.iter().filter(|call| call.action == "get" && call.name == pack.name).count();
    let stay = before.iter().filter(|pack| storage.len(&pack.name).is_ok());
    // Of a pack of content nothing else is read. Each time it is the end, and the head.
    assert_eq!(stay.map(reads).min(), Some(3 * 2), "{calls:?}");
}

#[test]
fn a_prune_waits_for_who_may_rely_on_what_it_deletes() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    let first = store(&repository, &lone_tree(), 10).expect("stored").id;
    let dead: Vec<String> = storage.list("packs").expect("listed").into_iter().map(|pack| pack.name).collect();
    store(&repository, &small_tree(2), 20).expect("stored");
    repository.forget(&first).expect("forgotten");
    storage.put_new("leases/0f", br#"{"purpose":"store","holder":"elsewhere"}"#).expect("put");
    let pruned = repository.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert_eq!(pruned.waits_for.len(), 1);
    assert_eq!(pruned.waits_for[0].1.holder, "elsewhere");
    let there = |name: &String| storage.len(name).is_ok();
    assert!(dead.iter().all(there), "what somebody may rely on was deleted");
    // Who begins now does not rely on it.
    let third = store(&repository, &lone_tree(), 30).expect("stored");
    assert!(third.snapshot.added > 50_000, "what will go counted as stored");
    repository.break_lease("0f").expect("broken");
    let pruned = repository.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert!(pruned.waits_for.is_empty() && pruned.deleted_bytes > 0);
    assert!(dead.iter().all(|name| !there(name)), "what nobody relies on any more stays");
    assert!(read_back(&repository, &third.id) == lone_tree());
    assert_eq!(verified(&repository), 2);
}

/// Storage at which something happens just before a mark is put, or a pack is listed.
struct Meanwhile<F> {
    inner: Arc<MemoryStorage>,
    before: (&'static str, &'static str),
    act: Mutex<Option<F>>,
}

impl<F> std::fmt::Debug for Meanwhile<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl<F: FnOnce() + Send> Meanwhile<F> {
    fn call(&self, action: &str, name: &str) {
        if action == self.before.0 && name.starts_with(self.before.1) {
            let act = self.act.lock().expect("nothing panics while it is held").take();
            act.into_iter().for_each(|act| act());
        }
    }
}

impl<F: FnOnce() + Send> Storage for Meanwhile<F> {
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError> {
        self.call("list", folder);
        self.inner.list(folder)
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        self.inner.len(name)
    }

    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        self.inner.get_range(name, offset, len)
    }

    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.call("put", name);
        self.inner.put_new(name, content)
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.inner.delete(name)
    }
}

/// Prunes while, before that call, somebody stores again what was forgotten, and has ended when the prune goes on.
fn stored_meanwhile(before: (&'static str, &'static str)) {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    let first = store(&repository, &lone_tree(), 10).expect("stored").id;
    store(&repository, &small_tree(2), 20).expect("stored");
    repository.forget(&first).expect("forgotten");
    let writer = repository.clone();
    let act = move || {
        assert_eq!(store(&writer, &lone_tree(), 30).expect("stored").snapshot.added, 0, "it relies on what is to go");
    };
    let meanwhile = Meanwhile { inner: storage, before, act: Mutex::new(Some(act)) };
    let pruner = Repository::open(Arc::new(meanwhile), Key::Read(key)).expect("opened");
    pruner.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert_eq!(verified(&repository), 2);
    assert!(read_back(&repository, &repository.find("latest").expect("listed").id) == lone_tree());
}

#[test]
fn what_is_stored_before_a_mark_can_be_seen_stays() {
    stored_meanwhile(("put", "marks/"));
}

#[test]
fn what_is_stored_while_a_prune_looks_around_stays() {
    for folder in ["leases", "snapshots", "packs"] {
        stored_meanwhile(("list", folder));
    }
}

/// A share that goes away leaves a folder that takes what is put.
#[test]
fn nothing_counts_as_stored_where_the_repository_has_gone_away() {
    for before in [("put", "leases/"), ("put", "packs/")] {
        let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
        repository(storage.clone(), &key);
        let place = Arc::clone(&storage);
        let act = move || place.delete("config").expect("deleted");
        let meanwhile = Meanwhile { inner: storage.clone(), before, act: Mutex::new(Some(act)) };
        let writer = Repository::open(Arc::new(meanwhile), Key::Read(key)).expect("opened");
        let refused = store(&writer, &lone_tree(), 10).expect_err("there is none any more");
        assert!(matches!(refused, ArchiveError::NoRepository), "{before:?}: {refused}");
        assert_eq!(storage.list("snapshots").expect("listed"), [], "{before:?}");
        let is_taken = storage.list("packs").expect("listed").is_empty();
        assert_eq!(is_taken, before.1 == "leases/", "{before:?}");
    }
}

/// Stores again what was forgotten while, before that call, somebody prunes, and has ended when the store goes on.
fn pruned_meanwhile(before: (&'static str, &'static str)) {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    let first = store(&repository, &lone_tree(), 10).expect("stored").id;
    store(&repository, &small_tree(2), 20).expect("stored");
    repository.forget(&first).expect("forgotten");
    let (pruner, ended) = (repository.clone(), Arc::new(AtomicBool::new(false)));
    let has_ended = Arc::clone(&ended);
    let act = move || {
        pruner.prune(HOLDER, false, &Cancel::default()).expect("pruned");
        has_ended.store(true, Ordering::SeqCst);
    };
    let meanwhile = Meanwhile { inner: storage, before, act: Mutex::new(Some(act)) };
    let writer = Repository::open(Arc::new(meanwhile), Key::Read(key)).expect("opened");
    let id = store(&writer, &lone_tree(), 30).expect("stored").id;
    assert!(ended.load(Ordering::SeqCst), "{before:?} is never called");
    assert_eq!(verified(&repository), 2, "{before:?}");
    repository.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert_eq!(verified(&repository), 2, "{before:?}");
    assert!(read_back(&repository, &id) == lone_tree(), "{before:?}");
}

#[test]
fn what_a_store_relies_on_stays_whenever_somebody_prunes() {
    for before in
        [("put", "leases/"), ("list", "marks"), ("list", "packs"), ("list", "snapshots"), ("put", "snapshots/")]
    {
        pruned_meanwhile(before);
    }
}

#[test]
fn only_one_prunes() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    storage.put_new("leases/0f", br#"{"purpose":"prune","holder":"elsewhere"}"#).expect("put");
    let busy = repository.prune(HOLDER, false, &Cancel::default()).expect_err("somebody prunes");
    assert_eq!(busy.to_string(), "a prune is at work already, or ended without removing its lease 0f (elsewhere)");
    let left: Vec<Purpose> = repository.leases().expect("listed").into_iter().map(|(_, facts)| facts.purpose).collect();
    assert_eq!(left, [Purpose::Prune], "the one that gave way holds nothing");
}

#[test]
fn a_pinned_snapshot_is_not_forgotten() {
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let id = store(&repository, &small_tree(1), 10).expect("stored").id;
    repository.pin(&id).expect("pinned");
    repository.pin(&id).expect("pinned already");
    assert!(matches!(repository.forget(&id), Err(ArchiveError::Pinned(_))));
    repository.unpin(&id).expect("unpinned");
    repository.forget(&id).expect("forgotten");
    assert!(repository.snapshots().expect("listed").snapshots.is_empty());
}

#[test]
fn a_name_is_given_once() {
    let storage = MemoryStorage::default();
    storage.put_new("config", b"first").expect("put");
    assert!(matches!(storage.put_new("config", b"second"), Err(StorageError::Exists(_))));
}

/// Two who store different and changing trees, and one who forgets and prunes all the while.
#[test]
fn storing_and_pruning_go_on_side_by_side() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    repository(storage.clone(), &key);
    let opened = || repository(storage.clone(), &key);
    let writer = |shift: u64| {
        let repository = opened();
        move || {
            let days = (0..12).map(|day| {
                // Days come back, so that what was forgotten is wanted again.
                let tree = small_tree((day + shift) % 4);
                let second = i64::try_from(day * 10 + shift).expect("small");
                (store(&repository, &tree, second).expect("stored").id, tree)
            });
            days.collect::<Vec<_>>()
        }
    };
    let kept: Vec<(String, Tree)> = thread::scope(|scope| {
        let writers = [scope.spawn(writer(0)), scope.spawn(writer(2))];
        let pruner = opened();
        while writers.iter().any(|writer| !writer.is_finished()) {
            let listing = pruner.snapshots().expect("listed");
            // Of every four the first one is kept for good.
            for listed in listing.snapshots.iter().filter(|listed| !listed.id.starts_with(['0', '1', '2', '3'])) {
                pruner.forget(&listed.id).expect("forgotten");
            }
            pruner.prune(HOLDER, false, &Cancel::default()).expect("nothing is in its way");
        }
        writers.into_iter().flat_map(|writer| writer.join().expect("it stored")).collect()
    });
    let repository = opened();
    let listed = repository.snapshots().expect("listed").snapshots;
    assert_eq!(verified(&repository), listed.len());
    for (id, tree) in kept.iter().filter(|(id, _)| listed.iter().any(|listed| listed.id == *id)) {
        assert!(&read_back(&repository, id) == tree);
    }
    // The trees that come back cost nothing that was there.
    store(&repository, &a_tree(), 1000).expect("stored");
}
