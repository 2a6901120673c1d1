//! A client that deletes nothing, on storage that lets it delete nothing.

use std::sync::Arc;

use backup_core::cancel::Cancel;

use super::tree::root;
use super::{HOLDER, a_tree, about, context, noise, read_all, read_back, repository, store};
use crate::crypto::ReadKey;
use crate::storage::append_only::AppendOnly;
use crate::storage::faults::FaultyStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Storage, StorageError};
use crate::{ArchiveError, Folder, Key, Repository};

#[test]
fn a_store_needs_no_delete_and_a_prune_elsewhere_waits_for_none_that_is_over() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let whole = repository(storage.clone(), &key);
    let refusing = Arc::new(AppendOnly(storage.clone()));
    let counting = Arc::new(FaultyStorage::new(refusing, None));
    let client = Repository::open(counting.clone(), Key::Write(key.write_key())).expect("opened");
    let mut tree = a_tree();
    let first = store(&client, &tree, 100).expect("stored").id;
    tree.put("new", noise(9, 200_000), 20);
    let second = store(&client, &tree, 200).expect("stored").id;
    assert!(counting.calls().iter().all(|call| call.action != "delete" || call.name.starts_with("leases/")));
    assert_eq!(client.leases().expect("listed"), [], "what is over counts as at work");
    assert_eq!(storage.list("ended").expect("listed").len(), 2);

    whole.forget(&first).expect("forgotten");
    let pruned = whole.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert_eq!(pruned.waits_for, []);
    for folder in ["leases", "ended", "marks", "confirmed"] {
        assert_eq!(storage.list(folder).expect("listed"), [], "{folder}");
    }
    assert!(read_back(&whole, &second) == tree);
}

#[test]
fn a_store_that_failed_says_so_and_is_over_too() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    repository(storage.clone(), &key);
    let client = Repository::open(Arc::new(AppendOnly(storage)), Key::Write(key.write_key())).expect("opened");
    let folder = Folder { files: Arc::new(a_tree()), root: root(), sealed: Vec::new() };
    let context = context(&about(100));
    context.cancel.cancel();
    let stored = client.store_walk(&folder, &a_tree().entries(), about(100), &context);
    assert!(matches!(stored, Err(ArchiveError::Cancelled)));
    assert_eq!(client.leases().expect("listed"), []);
}

#[test]
fn nothing_is_deleted_whatever_is_asked() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let id = store(&repository(storage.clone(), &key), &a_tree(), 100).expect("stored").id;
    let refusing = AppendOnly(FaultyStorage::new(storage.clone(), None));
    let client = Repository::open(Arc::new(AppendOnly(storage.clone())), Key::Read(key)).expect("opened");
    client.pin(&id).expect("pinned");
    let before = storage.list("packs").expect("listed");
    for refused in [client.unpin(&id), client.break_lease("0f"), refusing.delete("config").map_err(Into::into)] {
        assert!(matches!(refused, Err(ArchiveError::Storage(StorageError::Failed { action: "delete", .. }))));
    }
    assert_eq!(refusing.sweep().expect("it has nothing to do"), 0);
    assert_eq!(refusing.0.calls(), [], "what was refused was not even asked");
    assert_eq!(client.pins().expect("listed").len(), 1);
    let second = store(&client, &a_tree(), 200).expect("stored").id;
    for refused in [client.forget(&second), client.prune(HOLDER, false, &Cancel::default()).map(drop)] {
        assert!(matches!(refused, Err(ArchiveError::Storage(StorageError::Failed { action: "delete", .. }))));
    }
    assert_eq!(read_all(&client).whole.len(), 2);
    assert_eq!(storage.list("packs").expect("listed"), before);
}

/// Whoever stores may be writing for longer than a day, and a clock may jump.
#[test]
fn nothing_is_swept_while_somebody_stores() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    repository(storage.clone(), &key);
    storage.put_new("leases/0f", br#"{"purpose":"store","holder":"elsewhere"}"#).expect("put");
    let counting = Arc::new(FaultyStorage::new(storage, None));
    let opened = Repository::open(counting.clone(), Key::Read(key)).expect("opened");
    let sweeps = || counting.calls().iter().filter(|call| call.action == "sweep").count();
    opened.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert_eq!(sweeps(), 0);
    opened.break_lease("0f").expect("broken");
    opened.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert_eq!(sweeps(), 1);
}
