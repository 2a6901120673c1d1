//! Chunks out of packs: each frame is opened once where the reading goes along it, within bounded memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use backup_core::copy::chain;

use crate::content::{Content, Part};
use crate::crypto::{Id, ObjectKey, ReadKey, WriteKey};
use crate::error::ArchiveError;
use crate::index::{Index, Patch, Place};
use crate::lock::lock;
use crate::pack::{EXTENT, PAGE, PAGES, PackIndex, PackedFrame};
use crate::spare::Spare;
use crate::storage::Storage;

/// Bytes of opened frames that are kept.
const KEPT: usize = 16 << 20;

/// A frame, and which.
type Opened = ((u32, u32), Arc<Vec<u8>>);

/// All chunks that can be read.
#[derive(Debug)]
pub(crate) struct Chunks {
    storage: Arc<dyn Storage>,
    pub(crate) index: Index,
    key: ReadKey,
    write: WriteKey,
    pack_keys: Mutex<HashMap<u32, ObjectKey>>,
    /// The last one used comes last.
    frames: Mutex<Vec<Opened>>,
    /// Memory of frames that are not kept any more.
    spare: Spare,
}

/// The bytes of a chunk, in the frame that holds them.
#[derive(Debug)]
pub(crate) struct ChunkBytes {
    frame: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl std::ops::Deref for ChunkBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.frame[self.range.clone()]
    }
}

impl Chunks {
    pub(crate) fn new(storage: Arc<dyn Storage>, index: Index, key: ReadKey) -> Self {
        let (write, pack_keys, frames) = (key.write_key(), Mutex::default(), Mutex::default());
        Self { storage, index, key, write, pack_keys, frames, spare: Spare::of(0) }
    }

    /// The bytes of a chunk; `what` needs it.
    pub(crate) fn get(&self, id: &Id, what: &str) -> Result<ChunkBytes, ArchiveError> {
        let lost = || self.lost(what, id);
        let (place, patch) = self.index.find(id).ok_or_else(lost)?;
        let Some(Patch { base, pages }) = patch else { return self.bytes(place) };
        let given = self.bytes(place)?;
        let (base, _) = self.index.find(&base).ok_or_else(lost)?;
        let mut extent = self.bytes(base)?.to_vec();
        let mut given = given.chunks_exact(PAGE);
        for page in (0..PAGES).filter(|page| pages & 1 << page != 0) {
            extent[page * PAGE..][..PAGE].copy_from_slice(given.next().expect("the index counted them"));
        }
        Ok(ChunkBytes { frame: Arc::new(extent), range: 0..EXTENT })
    }

    /// The same of a chunk that is what was stored: who has the write key can store false bytes under its id. A file has a hash of its own beside, lists and
    /// records have none.
    pub(crate) fn proven(&self, id: &Id, what: &str) -> Result<ChunkBytes, ArchiveError> {
        let bytes = self.get(id, what)?;
        match self.write.id(&bytes) == *id {
            true => Ok(bytes),
            false => {
                let reason = format!("chunk {id} of `{what}` is not what was stored");
                Err(ArchiveError::damaged(self.pack_of(id), reason))
            }
        }
    }

    /// The first pack that only a later program reads: what is missing may be in there.
    fn newer(&self) -> Option<ArchiveError> {
        self.index.damaged.iter().find_map(|damaged| match damaged {
            ArchiveError::Newer { name, version, ours } => {
                Some(ArchiveError::Newer { name: name.clone(), version: *version, ours: *ours })
            }
            _ => None,
        })
    }

    /// Why a chunk is not there that `what` needs: a pack that cannot be read may have it.
    pub(crate) fn lost(&self, what: &str, id: &Id) -> ArchiveError {
        match (self.newer(), self.index.damaged.first()) {
            (Some(newer), _) => newer,
            (None, Some(damage)) => {
                ArchiveError::damaged(what, format!("chunk {id} is missing, and {}", chain(damage)))
            }
            (None, None) => ArchiveError::Lost { what: what.to_owned(), id: id.to_string() },
        }
    }

    /// The name of the pack in which a chunk lies.
    pub(crate) fn pack_of(&self, id: &Id) -> &str {
        self.index.find(id).map_or("", |(place, _)| &self.index.packs[place.pack as usize].name)
    }

    fn bytes(&self, place: Place) -> Result<ChunkBytes, ArchiveError> {
        let frame = self.frame(place.pack, place.frame)?;
        let start = place.at as usize;
        Ok(ChunkBytes { frame, range: start..start + place.len as usize })
    }

    pub(crate) fn frame(&self, pack: u32, number: u32) -> Result<Arc<Vec<u8>>, ArchiveError> {
        let which = (pack, number);
        if let Some(frame) = self.kept(which) {
            return Ok(frame);
        }
        let index = &self.index.packs[pack as usize];
        let stored = self.stored_frame(index, number)?;
        let buffer = self.spare.take_or_make();
        let frame = Arc::new(index.open_frame(number as usize, stored, &self.pack_key(pack)?, buffer)?);
        self.keep(which, Arc::clone(&frame));
        Ok(frame)
    }

    /// A frame to be copied as it is; `index` is that of its pack, with the chunks in it.
    pub(crate) fn packed_frame(&self, pack: u32, index: &PackIndex, number: u32) -> Result<PackedFrame, ArchiveError> {
        let stored = self.stored_frame(index, number)?;
        index.packed_frame(number as usize, stored, &self.pack_key(pack)?)
    }

    fn stored_frame(&self, index: &PackIndex, number: u32) -> Result<Vec<u8>, ArchiveError> {
        let number = number as usize;
        Ok(self.storage.get_range(&index.name, index.offset_of(number), index.frames[number].stored as usize)?)
    }

    fn kept(&self, which: (u32, u32)) -> Option<Arc<Vec<u8>>> {
        let mut frames = lock(&self.frames);
        let at = frames.iter().rposition(|(kept, _)| *kept == which)?;
        let opened = frames.remove(at);
        let frame = Arc::clone(&opened.1);
        frames.push(opened);
        Some(frame)
    }

    fn keep(&self, which: (u32, u32), frame: Arc<Vec<u8>>) {
        let mut frames = lock(&self.frames);
        frames.push((which, frame));
        let mut bytes: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
        while bytes > KEPT && frames.len() > 1 {
            let (_, frame) = frames.remove(0);
            bytes -= frame.len();
            if let Some(buffer) = Arc::into_inner(frame) {
                self.spare.give(buffer);
            }
        }
    }

    fn pack_key(&self, pack: u32) -> Result<ObjectKey, ArchiveError> {
        if let Some(key) = lock(&self.pack_keys).get(&pack) {
            return Ok(key.clone());
        }
        let index = &self.index.packs[pack as usize];
        let key = self.key.unseal(&index.sealed).map_err(|error| ArchiveError::damaged(&index.name, error))?;
        lock(&self.pack_keys).insert(pack, key.clone());
        Ok(key)
    }

    /// Calls `see` for each chunk, hole and list of a content.
    pub(crate) fn walk(
        &self,
        content: &Content,
        what: &str,
        mut see: impl FnMut(Part) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        content.walk(what, &mut |id| Ok(self.proven(id, what)?.to_vec()), &mut see)
    }
}
