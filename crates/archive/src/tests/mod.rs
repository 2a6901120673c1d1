//! The whole archive on storage in memory.

mod adapter;
mod append_only;
mod away;
mod clock;
mod copies;
mod damage;
mod faults;
mod hostile;
mod known;
mod limits;
mod model;
mod progress;
mod reading;
mod tree;
mod versions;

use std::sync::Arc;

use backup_core::cancel::Cancel;
use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::RecordKind;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::site_files::{SiteFilesError, WalkEntry};
use jiff::Timestamp;

use crate::crypto::{ReadKey, WriteKey};
use crate::pack::{Frame, OpenPack, PackedFrame, compressor, name_of};
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;
use crate::{
    About, ArchiveError, ArchivedSnapshot, Folder, Key, ReadData, Repository, StoreContext, StoredFolder, Verified,
};
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

fn context(about: &About) -> StoreContext {
    StoreContext { now: about.moment, holder: HOLDER.to_owned(), cancel: Cancel::default(), threads: 1 }
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
    let context = context(&about);
    repository.store_walk(&folder, entries, about, &context)
}

/// What a verification finds that reads all.
fn read_all(repository: &Repository) -> Verified {
    let all = ReadData::Part { part: 1, of: 1 };
    repository.verify(all, &Cancel::default()).expect("it can be looked through")
}

/// Puts a pack of one frame, as anybody with the write key can; returns its name.
fn put_pack(storage: &dyn Storage, key: &WriteKey, frame: Frame) -> String {
    let mut pack = OpenPack::new(key, Vec::new());
    drop(pack.push(PackedFrame::compress(frame, &mut compressor(), &mut Vec::new())));
    let (id, bytes) = pack.close(key);
    storage.put_new(&name_of(&id), &bytes).expect("put");
    name_of(&id)
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
    let snapshot = repository.open_snapshot(&repository.find(&stored.id).expect("listed")).expect("opened");
    let zeros = snapshot.records().position(|record| record.path.to_string() == "zeros").expect("it is there");
    let json = serde_json::to_string(snapshot.contents().nth(zeros).expect("it has one")).expect("JSON");
    assert_eq!(json, "{\"level\":0,\"entries\":[[1048576,null]]}", "zeros are a hole");
}

#[test]
fn packs_are_closed_at_12_mib() {
    let storage = Arc::new(MemoryStorage::default());
    let repository = repository(storage.clone(), &ReadKey::generate());
    let mut tree = Tree::default();
    tree.put("large", noise(1, 30 << 20), 1);
    store(&repository, &tree, 100).expect("stored");
    let mut packs: Vec<u64> = storage.list("packs").expect("listed").into_iter().map(|pack| pack.len).collect();
    packs.sort_unstable();
    // What tells of the content has a pack of its own.
    assert!(packs.len() == 4 && packs[0] < 100_000, "{packs:?}");
    let full = 12 << 20..(12 << 20) + (2 << 20);
    assert!(packs[2..].iter().all(|len| full.contains(len)) && packs[1] < full.start, "{packs:?}");
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

/// A patch has a base that is stored whole, also beside one that resembles it more.
#[test]
fn two_that_changed_alike_are_both_patches_of_what_was_there() {
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let mut tree = Tree::default();
    tree.put("one", pages(64, &[]), 1);
    store(&repository, &tree, 100).expect("stored");
    tree.put("two", pages(64, &[0, 8, 16]), 2);
    tree.put("three", pages(64, &[0, 1, 8, 9, 16]), 2);
    let stored = store(&repository, &tree, 200).expect("stored");
    // The pages that both give are in one frame, which is compressed.
    assert!((5 * 8192..5 * 8192 + 8000).contains(&stored.snapshot.added), "{}", stored.snapshot.added);
    assert!(read_back(&repository, &stored.id) == tree);
}

#[test]
fn the_newest_is_the_last_one_stored_of_the_latest_moment() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    // Their names are new each time, and so is the order in which they are listed.
    for round in 0..4 {
        let stored = [5, 9, 7].map(|second| {
            let about = about(round);
            let now = about.moment + jiff::SignedDuration::from_secs(second);
            let snapshot = crate::Snapshot {
                stored: now,
                about,
                entries: 0,
                bytes: 0,
                added: 0,
                records: crate::content::Content::default(),
            };
            let (id, object) = snapshot.seal(&key.write_key());
            storage.put_new(&format!("snapshots/{id}"), &object).expect("put");
            id
        });
        assert_eq!(repository.find("latest").expect("listed").id, stored[1]);
    }
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
