//! Repositories that programs of each version of the format have made, under `fixtures/`; `tests/examples/known_archive.rs` made them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::manifest::FileRecord;

use super::read_all;
use crate::Repository;
use crate::content::{Content, Part};
use crate::keys::identity::Identity;
use crate::keys::{self, Opened};
use crate::pack::{HEAD, PackIndex, sealed_part};
use crate::read::Chunks;
use crate::repository::CONFIG;
use crate::storage::Storage;
use crate::storage::local::LocalStorage;
use crate::storage::memory::MemoryStorage;

pub(super) const FOLDERS: [&str; 7] = ["keys", "packs", "snapshots", "pins", "leases", "marks", "confirmed"];

/// A repository of a version, in memory.
pub(super) struct Known {
    folder: PathBuf,
    pub(super) storage: Arc<MemoryStorage>,
}

impl Known {
    pub(super) fn of(version: u64) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/v{version}"));
        let disk = LocalStorage::open(folder.join("repository")).expect("each version has a fixture");
        let storage = Arc::new(MemoryStorage::default());
        let mut names = vec![CONFIG.to_owned()];
        for part in FOLDERS {
            let listed = disk.list(part).expect("listed");
            assert!(!listed.is_empty(), "there is none of {part}");
            names.extend(listed.into_iter().map(|stored| stored.name));
        }
        for name in names {
            storage.put_new(&name, &disk.get(&name, usize::MAX).expect("read")).expect("put");
        }
        Self { folder, storage }
    }

    /// A file beside the repository.
    pub(super) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).expect("it is there")
    }

    pub(super) fn opened_by(&self, file: &str) -> Opened {
        let identity: Identity = self.text(file).parse().expect("an identity");
        keys::open_with_identity(&*self.storage, &identity, None).expect("a key")
    }

    pub(super) fn repository(&self) -> Repository {
        Repository::open(self.storage.clone(), self.opened_by("identity").key).expect("opened")
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.storage.get(name, usize::MAX).expect("read")
    }

    /// All objects of a folder.
    pub(super) fn all(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let listed = self.storage.list(folder).expect("listed");
        listed.into_iter().map(|stored| (stored.name.clone(), self.bytes(&stored.name))).collect()
    }

    /// All packs, each with its index as it was before it was encrypted.
    pub(super) fn packs(&self) -> Vec<(PackIndex, Vec<u8>)> {
        let key = self.repository().write;
        let read = |(name, bytes): (String, Vec<u8>)| {
            let stored = crate::storage::Stored { name, len: bytes.len() as u64 };
            let pack = PackIndex::read(&*self.storage, &stored, &key).expect("an index");
            let (rest, len) = bytes.split_last_chunk::<4>().expect("a length");
            let mut index = rest[rest.len() - u32::from_le_bytes(*len) as usize..].to_vec();
            key.index_key(sealed_part(&bytes)).decrypt(0, &bytes[..HEAD], &mut index).expect("it opens");
            (pack, index)
        };
        self.all("packs").into_iter().map(read).collect()
    }

    /// All snapshots, each as it was before it was encrypted.
    pub(super) fn snapshots(&self) -> Vec<Vec<u8>> {
        let key = self.repository().read.expect("it reads");
        let read = |(_, object): (String, Vec<u8>)| {
            let mut body = object[HEAD..].to_vec();
            let object_key = key.unseal(sealed_part(&object)).expect("its key");
            object_key.decrypt(0, &object[..HEAD], &mut body).expect("it opens");
            body
        };
        self.all("snapshots").into_iter().map(read).collect()
    }

    /// The lines of all snapshots' records, as they are stored.
    pub(super) fn records(&self) -> Vec<Vec<u8>> {
        let chunks = self.repository().chunks().expect("read");
        let listed = self.repository().snapshots().expect("listed").snapshots;
        listed.iter().map(|listed| content(&chunks, &listed.snapshot.records)).collect()
    }

    /// The records of each snapshot, as they were listed when it was stored.
    pub(super) fn expected(&self) -> BTreeMap<String, Vec<FileRecord>> {
        let read = |id: &str| {
            let text = self.text(&format!("{id}.jsonl"));
            text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
        };
        let listed = self.repository().snapshots().expect("listed").snapshots;
        listed.into_iter().map(|listed| (listed.id.clone(), read(&listed.id))).collect()
    }

    pub(super) fn is_whole(&self) {
        let verified = read_all(&self.repository());
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    }
}

fn content(chunks: &Chunks, content: &Content) -> Vec<u8> {
    let mut bytes = Vec::new();
    let walked = chunks.walk(content, "records", |part| {
        if let Part::Chunk(id, _) = part {
            bytes.extend_from_slice(&chunks.get(&id, "records")?);
        }
        Ok(())
    });
    walked.expect("it adds up");
    bytes
}
