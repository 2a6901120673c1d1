//! The parsers of all that storage gives, for whoever throws bytes at them (the fuzz targets, `tests/hostile.rs`): none panics, and what one takes
//! it writes again as it was, or as what is read the same.
//!
//! Storage cannot forge what lies behind encryption. Whoever has the write key can, so each parser gets plain bytes here.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::content::{Content, Part};
use crate::crypto::{Id, KEY_LEN, ObjectKey, ReadKey, SEALED_LEN, WriteKey};
use crate::error::ArchiveError;
use crate::index::Index;
use crate::keys;
use crate::keys::identity::{Identity, Recipient};
use crate::lease::{Confirmed, LeaseFacts, Mark};
use crate::pack::{FrameEntry, HEAD, MAGIC, PackIndex, read_index, write_index};
use crate::read::Chunks;
use crate::repository::{Config, Repository};
use crate::snapshot::{Record, Snapshot};
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;

fn key() -> ReadKey {
    ReadKey::from_bytes(&[7; 32])
}

/// The bytes as the index of a pack, and as a whole pack.
pub fn pack(bytes: &[u8]) {
    if let Some(frames) = read_index(bytes) {
        assert_eq!(write_index(&frames), bytes);
    }
    let (key, storage) = (key(), Arc::new(MemoryStorage::default()));
    let forged = forged(&key.write_key(), bytes);
    for (name, content) in [("packs/aa/aa", bytes), ("packs/bb/bb", &forged)] {
        storage.put_new(name, content).expect("room");
    }
    let mut ids = Vec::new();
    let index = Index::load(&*storage, &key.write_key(), &Default::default(), |chunk| ids.push(chunk.id));
    let index = index.expect("listed");
    let chunks = Chunks::new(storage, index, key);
    for id in ids {
        drop(chunks.get(&id, "a file"));
    }
}

/// The bytes as a frame that was encrypted: the first one says whether it is packed, three more how long it is unpacked.
pub fn frame(bytes: &[u8]) {
    let Some(([packing, length @ ..], content)) = bytes.split_first_chunk::<4>() else { return };
    let raw = length.iter().fold(0, |raw, byte| raw << 8 | u32::from(*byte));
    let object = ObjectKey::new([9; KEY_LEN].into());
    let mut stored = content.to_vec();
    object.encrypt(0, &[], &mut stored);
    let entry = FrameEntry { stored: stored.len() as u32, raw, is_packed: packing & 1 == 1, chunks: Vec::new() };
    let index = PackIndex { name: "packs/aa/aa".to_owned(), len: 0, sealed: [0; SEALED_LEN], frames: vec![entry] };
    if let Ok(opened) = index.open_frame(0, stored, &object, Vec::new()) {
        assert_eq!(opened.len(), raw as usize);
    }
}

/// The first line as a content, the rest as each of its lists.
pub fn content(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (json, list) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some(content) = again::<Content>(json, |_| ()) else { return };
    // A list that is in itself has no end, and no honest hash.
    let mut lists = 0;
    let mut get = |_: &Id| {
        lists += 1;
        Ok(if lists <= 16 { list.to_vec() } else { Vec::new() })
    };
    let mut len = 0_u64;
    let walked = content.walk("a file", &mut get, &mut |part| {
        if let Part::Hole(bytes) | Part::Chunk(_, bytes) = part {
            len = len.saturating_add(bytes);
        }
        Ok::<_, ArchiveError>(())
    });
    assert!(walked.is_err() || len == content.len(), "{content:?}");
}

/// The bytes as lines of records.
pub fn records(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(record) = again(line, |record: &mut Record| {
            // Left out, a content of nothing is written so, whatever its level was.
            if record.content.len() == 0 {
                record.content = Content::default();
            }
        }) else {
            continue;
        };
        let first = record.record.first.iter().chain([&record.record.path]);
        for part in first.filter(|path| !path.as_bytes().is_empty()).flat_map(|path| path.components()) {
            assert!(!matches!(part, b"" | b"." | b"..") && !part.contains(&b'/'), "{record:?}");
        }
    }
}

/// The bytes as a snapshot's object, and as what is encrypted in one.
pub fn snapshot(bytes: &[u8]) {
    drop(Snapshot::open("snapshots/aa", bytes, &key()));
    again::<Snapshot>(bytes, |_| ());
}

/// The bytes as a key file, an identity and a recipient.
pub fn key_file(bytes: &[u8]) {
    keys::reread(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(identity) = text.parse::<Identity>() {
        assert_eq!(*identity.to_text(), text);
    }
    if let Ok(recipient) = text.parse::<Recipient>() {
        assert_eq!(recipient.to_string(), text);
    }
}

/// The bytes as a configuration, a lease, a mark and a confirmation; what a repository with these says.
pub fn small_objects(bytes: &[u8]) {
    again::<Config>(bytes, |_| ());
    again::<LeaseFacts>(bytes, |_| ());
    again::<Mark>(bytes, |_| ());
    again::<Confirmed>(bytes, |_| ());
    let (key, storage) = (key(), Arc::new(MemoryStorage::default()));
    let repository = Repository::create(storage.clone(), &key).expect("made");
    for name in ["leases/aa", "marks/aa", "confirmed/aa"] {
        storage.put_new(name, bytes).expect("room");
        drop(repository.prune("a fuzzer", false, &Default::default()));
    }
    storage.delete("config").expect("deleted");
    storage.put_new("config", bytes).expect("room");
    drop(Repository::id_of(&*storage));
}

/// What is read, if it is; written and read again it is the same.
fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(json: &[u8], tidy: fn(&mut T)) -> Option<T> {
    let mut value: T = serde_json::from_slice(json).ok()?;
    tidy(&mut value);
    let written = serde_json::to_vec(&value).expect("it was JSON");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("we wrote it"), value);
    Some(value)
}

/// A pack whose index says what it likes, as who has the write key can make one.
fn forged(key: &WriteKey, index: &[u8]) -> Vec<u8> {
    static SEALED: OnceLock<[u8; SEALED_LEN]> = OnceLock::new();
    let sealed = SEALED.get_or_init(|| key.new_object_key().1);
    let mut bytes = [&MAGIC[..], sealed].concat();
    let frames = read_index(index).unwrap_or_default();
    let mut index = index.to_vec();
    key.index_key(sealed).encrypt(0, &bytes, &mut index);
    let stored: usize = frames.iter().map(|frame| frame.stored as usize).sum();
    bytes.resize(HEAD + stored.min(1 << 20), 0);
    bytes.extend_from_slice(&index);
    bytes.extend((index.len() as u32).to_le_bytes());
    bytes
}
