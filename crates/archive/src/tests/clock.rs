//! A clock that goes back, by years: nothing young is deleted, and what changed is read.

use std::sync::Arc;

use backup_core::cancel::Cancel;

use super::{HOLDER, a_tree, noise, read_all, read_back, repository, store};
use crate::crypto::ReadKey;
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;

const LATE: i64 = 300_000_000;

#[test]
fn what_changed_before_its_time_is_read() {
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let mut tree = a_tree();
    let late = store(&repository, &tree, LATE).expect("stored").id;
    // Of the same size, with a time long before the snapshot that is compared with.
    tree.put("a/small", b"other".to_vec(), 3);
    let early = store(&repository, &tree, 5).expect("stored").id;
    assert!(read_back(&repository, &early) == tree);
    assert!(read_back(&repository, &late) == a_tree());
    // The latest moment is the newest, whenever it was stored.
    assert_eq!(repository.find("latest").expect("there are two").id, late);
    tree.put("a/small", b"again".to_vec(), 4);
    let again = store(&repository, &tree, 6).expect("stored").id;
    assert!(read_back(&repository, &again) == tree);
}

#[test]
fn a_prune_deletes_nothing_that_a_store_of_yesterday_or_tomorrow_needs() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    let late = store(&repository, &a_tree(), LATE).expect("stored").id;
    let mut tree = a_tree();
    tree.put("new", noise(9, 200_000), 20);
    // Somebody who began at the late time stores still, somebody else at the early one.
    storage.put_new("leases/0a", br#"{"purpose":"store","holder":"since 2033"}"#).expect("put");
    storage.put_new("leases/0b", br#"{"purpose":"store","holder":"since 1970"}"#).expect("put");
    repository.forget(&late).expect("forgotten");
    let packs = storage.list("packs").expect("listed");
    let prune = || repository.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert_eq!(prune().waits_for.len(), 2);
    let early = store(&repository, &tree, 5).expect("stored").id;
    // Either lease alone is waited for, whatever time it tells.
    repository.break_lease("0a").expect("broken");
    let pruned = prune();
    assert_eq!((pruned.waits_for.len(), pruned.deleted_bytes), (1, 0));
    assert!(packs.iter().all(|pack| storage.len(&pack.name).is_ok()), "what somebody relies on was deleted");
    repository.break_lease("0b").expect("broken");
    assert!(prune().deleted_bytes > 0);
    assert!(read_back(&repository, &early) == tree);
    assert_eq!(read_all(&repository).problems.len(), 0);
}
