//! The whole archive on storage in memory.

mod append_only;
mod clock;
mod damage;
mod faults;
mod hostile;
mod known;
mod model;
mod progress;
mod tree;
mod versions;

use std::sync::Arc;

use backup_core::cancel::Cancel;
use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::RecordKind;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::site_files::{SiteFilesError, WalkEntry};
use jiff::Timestamp;

use crate::crypto::ReadKey;
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;
use crate::{About, ArchiveError, ArchivedSnapshot, Folder, Key, Repository, StoreContext, StoredFolder};
use tree::{Tree, root};

/// The holder of every lease.
const HOLDER: &str = "test";

fn repository(storage: Arc<dyn Storage>, key: &ReadKey) -> Repository {
    match Repository::open(Arc::clone(&storage), Key::Read(key.clone())) {
        Err(ArchiveError::NoRepository) => Repository::create(storage, key).expect("made"),
        opened => opened.expect("opened"),
    }
}

fn about(second: i64) -> About {
    let moment = Timestamp::from_second(1_700_000_000 + second).expect("a time");
    About { site: "P01".to_owned(), run: None, folder: "P01Backup".to_owned(), moment, good: true }
}

/// Archives a tree as of this second.
fn store(repository: &Repository, tree: &Tree, second: i64) -> Result<StoredFolder, ArchiveError> {
    store_entries(repository, tree, &tree.entries(), second)
}

/// Archives a tree whose walk gave these entries.
fn store_entries(
    repository: &Repository,
    tree: &Tree,
    entries: &[WalkEntry],
    second: i64,
) -> Result<StoredFolder, ArchiveError> {
    let folder = Folder { files: Arc::new(tree.clone()), root: root(), sealed: Vec::new() };
    let about = about(second);
    let context = StoreContext { now: about.moment, holder: HOLDER.to_owned(), cancel: Cancel::default(), threads: 1 };
    repository.store_walk(&folder, entries, about, &context)
}

/// All files of a snapshot.
fn restored(snapshot: &ArchivedSnapshot) -> Result<Tree, String> {
    let mut tree = Tree::default();
    for record in snapshot.records().filter(|record| record.kind == RecordKind::File) {
        let file = snapshot.open(&record.path).map_err(|error| error.to_string())?;
        let mut content = Vec::new();
        let (size, hash) = read_once(&*file, &mut vec![0; BLOCK], true, |offset, block| {
            content.resize(usize::try_from(offset).expect("small"), 0);
            content.extend_from_slice(block);
            Ok::<_, SiteFilesError>(())
        })
        .map_err(|error| backup_core::copy::chain(&error))?;
        content.resize(usize::try_from(size).expect("small"), 0);
        assert_eq!(Some(hash), record.hash, "{}", record.path);
        assert_eq!(record.attributes, [(b"user.path".to_vec(), root().join(&record.path).to_bytes())]);
        tree.0.insert(record.path.clone(), (content, record.modified));
    }
    Ok(tree)
}

/// The snapshot of this id, whole.
fn read_back(repository: &Repository, id: &str) -> Tree {
    let listed = repository.find(id).expect("it is listed");
    restored(&repository.open_snapshot(&listed).expect("its records are there")).expect("its files are there")
}

/// Bytes that no compression and no deduplication makes smaller; the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Pages as SQL Server writes them; `changed` pages hold something else.
fn pages(count: u32, changed: &[u32]) -> Vec<u8> {
    let mut file = Vec::new();
    for page in 0..count {
        let start = file.len();
        file.extend(noise(u64::from(page) + if changed.contains(&page) { 1 << 40 } else { 0 }, 8192));
        file[start] = 1;
        file[start + 32..start + 36].copy_from_slice(&page.to_le_bytes());
        file[start + 36..start + 38].copy_from_slice(&1_u16.to_le_bytes());
    }
    file
}

fn a_tree() -> Tree {
    let mut tree = Tree::default();
    tree.put("empty", Vec::new(), 10);
    tree.put("a/small", b"small".to_vec(), 11);
    tree.put("a/b/large", noise(1, 3_000_000), 12);
    tree.put("a/b/twice", noise(1, 3_000_000), 13);
    tree.put("CM_P01.mdf", pages(512, &[]), 14);
    tree.put("zeros", vec![0; 1 << 20], 15);
    tree
}

#[test]
fn what_is_stored_comes_back() {
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let tree = a_tree();
    let stored = store(&repository, &tree, 100).expect("stored");
    assert!(read_back(&repository, &stored.id) == tree);
    assert!(stored.snapshot.added < 3_000_000 + (4 << 20) + 200_000, "{stored:?}");
}

#[test]
fn what_has_not_changed_costs_next_to_nothing() {
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let tree = a_tree();
    store(&repository, &tree, 100).expect("stored");
    let again = store(&repository, &tree, 200).expect("stored");
    assert_eq!(again.snapshot.added, 0);
    assert!(read_back(&repository, &again.id) == tree);
}

#[test]
fn a_changed_page_costs_a_page() {
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let mut tree = a_tree();
    store(&repository, &tree, 100).expect("stored");
    tree.put("CM_P01.mdf", pages(512, &[3, 100, 101, 300]), 30);
    let stored = store(&repository, &tree, 200).expect("stored");
    assert!((4 * 8192..4 * 8192 + 8000).contains(&stored.snapshot.added), "{}", stored.snapshot.added);
    assert!(read_back(&repository, &stored.id) == tree);
    // And a page that changes again is given beside the first ones, not on top of them.
    tree.put("CM_P01.mdf", pages(512, &[3, 4, 100, 101, 300]), 40);
    let stored = store(&repository, &tree, 300).expect("stored");
    assert!((2 * 8192..2 * 8192 + 8000).contains(&stored.snapshot.added), "{}", stored.snapshot.added);
    assert!(read_back(&repository, &stored.id) == tree);
}

#[test]
fn who_can_only_write_deduplicates_and_reads_nothing() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let whole = repository(storage.clone(), &key);
    let writing = Repository::open(storage, Key::Write(key.write_key())).expect("opened");
    let mut tree = a_tree();
    store(&writing, &tree, 100).expect("stored");
    tree.put("CM_P01.mdf", pages(512, &[3, 100, 101, 300]), 30);
    let stored = store(&writing, &tree, 200).expect("stored");
    assert!(stored.snapshot.added < 4 * 8192 + 8000, "{}", stored.snapshot.added);
    assert!(matches!(writing.snapshots(), Err(ArchiveError::WriteOnly)));
    assert!(read_back(&whole, &stored.id) == tree);
}
