//! What a reader refuses however well it is encrypted and hashed: storage is anybody's, and so is the key that writes (docs/format.md, Limits).

use std::sync::Arc;

use super::{HOLDER, about, put_pack, repository};
use crate::archived::read_records;
use crate::content::{Content, Part};
use crate::crypto::{Id, ReadKey};
use crate::pack::{ChunkEntry, Frame, FrameEntry, HEAD, Kind, PackIndex, read_index, write_index};
use crate::repository::MOST_JSON;
use crate::snapshot::Snapshot;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Storage, StorageError, Stored};
use crate::{ArchiveError, Key, Repository};
use backup_core::cancel::Cancel;

/// Bytes of the largest frame.
const MOST_FRAME: u32 = 16 << 20;

#[test]
fn frames_have_at_most_16_mib_on_both_sides() {
    let index = |stored: u32, raw: u32| {
        let chunk = ChunkEntry { kind: Kind::Data, id: Id::ZERO, len: raw };
        write_index(&[FrameEntry { stored, raw, is_packed: true, chunks: vec![chunk] }])
    };
    assert!(read_index(&index(MOST_FRAME, MOST_FRAME)).is_some());
    assert!(read_index(&index(MOST_FRAME + 1, MOST_FRAME)).is_none());
    assert!(read_index(&index(MOST_FRAME, MOST_FRAME + 1)).is_none());
    // A frame has its authentication.
    assert!(read_index(&index(16, 1)).is_some());
    assert!(read_index(&index(15, 1)).is_none());
}

#[test]
fn an_index_of_more_than_64_mib_is_not_read() {
    let (storage, key) = (MemoryStorage::default(), ReadKey::generate().write_key());
    let refused = |index: u32| {
        let mut pack = vec![0; HEAD + index as usize];
        pack.extend(index.to_le_bytes());
        let stored = Stored { name: format!("packs/aa/{index}"), len: pack.len() as u64 };
        storage.put_new(&stored.name, &pack).expect("room");
        PackIndex::read(&storage, &stored, &key).expect_err("it is all zeros").to_string()
    };
    let limit = 64 << 20;
    assert!(refused(limit).contains("it begins with something else"));
    assert!(refused(limit + 1).contains("its end is no index"));
}

#[test]
fn nothing_lies_between_the_frames_and_their_index() {
    let (storage, key) = (MemoryStorage::default(), ReadKey::generate().write_key());
    let mut frame = Frame::default();
    frame.push(Kind::Data, key.id(b"content"), &[b"content"]);
    let name = put_pack(&storage, &key, frame);
    let mut pack = storage.get(&name, usize::MAX).expect("read");
    let read =
        |name: &str, len: usize| PackIndex::read(&storage, &Stored { name: name.to_owned(), len: len as u64 }, &key);
    let index = u32::from_le_bytes(*pack.last_chunk().expect("its length")) as usize;
    assert_eq!(read(&name, pack.len()).expect("whole").end_len(), index + 4);
    pack.insert(pack.len() - 4 - index, 0);
    storage.put_new("packs/aa/aa", &pack).expect("room");
    let refused = read("packs/aa/aa", pack.len()).expect_err("there is a gap").to_string();
    assert!(refused.contains("its length is not that of its frames"), "{refused}");
}

#[test]
fn lists_have_at_most_eight_levels() {
    let walk = |level: u8| {
        let json = format!("{{\"level\":{level},\"entries\":[[5,null]]}}");
        let content: Content = serde_json::from_str(&json).expect("a content");
        content.walk("a file", &mut |_| unreachable!("it has no list"), &mut |part| {
            assert_eq!(part, Part::Hole(5), "a hole may stand at any level");
            Ok(())
        })
    };
    walk(8).expect("eight are allowed");
    let refused = walk(9).expect_err("nine are not").to_string();
    assert!(refused.contains("too many levels"), "{refused}");
}

#[test]
fn a_record_has_at_most_16_mib() {
    let key = ReadKey::generate();
    let storage = Arc::new(MemoryStorage::default());
    let opened = repository(storage.clone(), &key);
    let refused = |bytes: usize| {
        // Spaces are no record, and that they are none is found at its end.
        let part = vec![b' '; bytes / 2];
        let id = key.write_key().id(&part);
        let mut frame = Frame::default();
        frame.push(Kind::Records, id, &[&part]);
        let name = put_pack(&*storage, &key.write_key(), frame);
        let json = format!("{{\"level\":0,\"entries\":[[{0},\"{id}\"],[{0},\"{id}\"]]}}", bytes / 2);
        let content: Content = serde_json::from_str(&json).expect("a content");
        let read = read_records(&opened.chunks().expect("read"), "snapshot", &content);
        storage.delete(&name).expect("deleted");
        read.expect_err("it has no end").to_string()
    };
    assert!(refused(16 << 20).contains("its last record has no end"));
    assert!(refused((16 << 20) + 2).contains("a record has no end"));
}

#[test]
fn small_objects_have_at_most_16_mib() {
    let key = ReadKey::generate();
    let too_long = vec![b' '; MOST_JSON + 1];
    assert_eq!(MOST_JSON, 16 << 20);
    let is_refused = |result: Result<(), ArchiveError>, name: &str| {
        let refused = result.expect_err(name);
        let is_too_long =
            matches!(&refused, ArchiveError::Storage(StorageError::Failed { name: failed, .. }) if failed == name);
        assert!(is_too_long, "{refused}");
    };
    for name in ["leases/0f", "marks/0f"] {
        let storage = Arc::new(MemoryStorage::default());
        let opened = repository(storage.clone(), &key);
        storage.put_new(name, &too_long).expect("room");
        is_refused(opened.prune(HOLDER, false, &Cancel::default()).map(drop), name);
    }
    let storage = Arc::new(MemoryStorage::default());
    let opened = repository(storage.clone(), &key);
    let records = Content::default();
    let about = about(1);
    let whole = Snapshot { stored: about.moment, about, entries: 0, bytes: 0, added: 0, records };
    let (id, _) = whole.seal(&key.write_key());
    storage.put_new(&format!("snapshots/{id}"), &too_long).expect("room");
    is_refused(opened.find(&id).map(drop), &format!("snapshots/{id}"));
    let storage = Arc::new(MemoryStorage::default());
    storage.put_new("config", &too_long).expect("room");
    is_refused(Repository::open(storage, Key::Read(key)).map(drop), "config");
}
