//! Content that two have stored at the same time, each not knowing of the other.

use std::sync::Arc;

use backup_core::cancel::Cancel;

use super::tree::Tree;
use super::{HOLDER, noise, read_back, repository, store};
use crate::crypto::ReadKey;
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;

/// Of the two copies one stays with the pack that it lies in, and the other is not copied out of a pack that goes.
#[test]
fn a_prune_keeps_one_of_two_copies() {
    let (one, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    repository(one.clone(), &key);
    let other = Arc::new(one.copy());
    let mut tree = Tree::default();
    tree.put("both", noise(1, 300_000), 1);
    let first = store(&repository(one.clone(), &key), &tree, 1).expect("stored").id;
    tree.put("kept", noise(2, 20_000), 2);
    let kept = tree.clone();
    tree.put("gone", noise(3, 400_000), 3);
    store(&repository(other.clone(), &key), &tree, 2).expect("stored");
    for folder in ["packs", "snapshots"] {
        for stored in one.list(folder).expect("listed") {
            other.put_new(&stored.name, &one.get(&stored.name, usize::MAX).expect("read")).expect("put");
        }
    }
    let repository = repository(other.clone(), &key);
    let second = repository.snapshots().expect("listed").snapshots.pop().expect("two").id;
    let third = store(&repository, &kept, 3).expect("stored").id;
    repository.forget(&second).expect("forgotten");
    repository.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    let bytes: u64 = other.list("packs").expect("listed").iter().map(|pack| pack.len).sum();
    assert!((320_000..330_000).contains(&bytes), "{bytes} of 320,000 and what tells of them");
    assert!(read_back(&repository, &third) == kept);
    assert_eq!(read_back(&repository, &first).0.len(), 1);
}
