//! Long calls tell how far they are, and at their end that all is done.

use std::sync::{Arc, Mutex};

use backup_core::cancel::Cancel;
use backup_core::event::{Event, EventSink, Progress};

use super::{HOLDER, a_tree, noise, read_all, repository, store};
use crate::crypto::ReadKey;
use crate::storage::memory::MemoryStorage;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Progress>>);

impl EventSink for Heard {
    fn event(&self, event: &Event) {
        let Event::Progress(progress) = event else { panic!("{event:?}") };
        self.0.lock().expect("no panic").push(*progress);
    }
}

impl Heard {
    /// What was told since the last call of this: it only grows, its totals stay, and it ends with all of them.
    fn all_of_it(&self) -> Progress {
        let heard = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let last = *heard.last().expect("something was told");
        assert!(heard.is_sorted_by_key(|progress| progress.bytes), "{heard:?}");
        assert!(heard.is_sorted_by_key(|progress| progress.files), "{heard:?}");
        assert!(heard.iter().all(|now| (now.total_files, now.total_bytes) == (last.total_files, last.total_bytes)));
        assert_eq!((last.files, last.bytes), (last.total_files, last.total_bytes));
        assert!(heard.len() as u64 >= last.total_files);
        last
    }
}

#[test]
fn storing_verifying_and_pruning_tell_how_far_they_are() {
    let heard = Arc::new(Heard::default());
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let repository = repository.with_events(heard.clone());
    let mut tree = a_tree();
    let of_tree = |tree: &super::Tree| {
        (tree.0.len() as u64, tree.0.values().map(|(content, _)| content.len() as u64).sum::<u64>())
    };
    let first = store(&repository, &tree, 100).expect("stored");
    let told = heard.all_of_it();
    assert_eq!((told.files, told.bytes), of_tree(&tree));
    // Of a file that is not read all is done at once.
    tree.put("new", noise(9, 2_000_000), 20);
    store(&repository, &tree, 200).expect("stored");
    let told = heard.all_of_it();
    assert_eq!((told.files, told.bytes), of_tree(&tree));

    let verified = read_all(&repository);
    let told = heard.all_of_it();
    assert_eq!((told.files, told.bytes), (verified.packs, verified.bytes));

    let mut small = super::Tree::default();
    small.put("a/small", b"small".to_vec(), 11);
    store(&repository, &small, 300).expect("stored");
    heard.all_of_it();
    for listed in repository.snapshots().expect("listed").snapshots {
        if listed.snapshot.entries > 3 {
            repository.forget(&listed.id).expect("forgotten");
        }
    }
    assert!(repository.find(&first.id).is_err());
    let pruned = repository.prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert!(pruned.repacked > 0, "{pruned:?}");
    assert_eq!(heard.all_of_it().files, pruned.repacked);
}
