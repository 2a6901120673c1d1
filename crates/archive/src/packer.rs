//! From chunks to packs: what is new is gathered into frames, frames are compressed and encrypted beside the reading, packs are put.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use crate::content::{Content, ContentBuilder, Entry};
use crate::crypto::{Id, WriteKey};
use crate::error::ArchiveError;
use crate::index::Known;
use crate::lock::lock;
use crate::pack::{Digests, Frame, Kind, OpenPack, PAGE, compressor, name_of};
use crate::storage::Storage;

/// Frames that wait for a packer, for each of these.
pub(crate) const WAITING: usize = 2;

/// What all who read and all who pack have in common.
pub(crate) struct Packing<'a> {
    pub(crate) storage: &'a dyn Storage,
    pub(crate) key: &'a WriteKey,
    pub(crate) known: Mutex<Known>,
    /// The first reason to give up.
    pub(crate) failure: Mutex<Option<ArchiveError>>,
    /// Bytes of packs that were put.
    pub(crate) added: AtomicU64,
}

impl<'a> Packing<'a> {
    pub(crate) fn new(storage: &'a dyn Storage, key: &'a WriteKey, known: Known) -> Self {
        Self { storage, key, known: Mutex::new(known), failure: Mutex::default(), added: AtomicU64::new(0) }
    }

    /// Packs frames until no more come.
    pub(crate) fn pack(&self, frames: &Mutex<Receiver<Frame>>) {
        let mut zstd = compressor();
        let mut open: [Option<OpenPack>; 2] = [None, None];
        loop {
            let Ok(frame) = lock(frames).recv() else { break };
            if self.has_failed() {
                continue;
            }
            let is_meta = frame.chunks.iter().any(|chunk| chunk.kind.is_meta());
            let slot = &mut open[usize::from(is_meta)];
            let pack = slot.get_or_insert_with(|| OpenPack::new(self.key));
            pack.push(frame, &mut zstd);
            if pack.is_full() {
                self.close(slot.take());
            }
        }
        for pack in open {
            self.close(pack);
        }
    }

    fn close(&self, pack: Option<OpenPack>) {
        let Some(pack) = pack.filter(|_| !self.has_failed()) else { return };
        let (id, bytes) = pack.close(self.key);
        match self.storage.put_new(&name_of(&id), &bytes) {
            Ok(()) => drop(self.added.fetch_add(bytes.len() as u64, Ordering::Relaxed)),
            Err(error) => self.fail(error.into()),
        }
    }

    /// Has everybody give up, for the first reason that is told.
    pub(crate) fn fail(&self, error: ArchiveError) {
        lock(&self.failure).get_or_insert(error);
    }

    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.failure).is_some()
    }
}

/// What one reader has gathered: frames by what compresses well together.
pub(crate) struct Gathering<'a> {
    packing: &'a Packing<'a>,
    frames: SyncSender<Frame>,
    data: Frame,
    extents: Frame,
    meta: Frame,
}

impl<'a> Gathering<'a> {
    pub(crate) fn new(packing: &'a Packing<'a>, frames: SyncSender<Frame>) -> Self {
        Self { packing, frames, data: Frame::default(), extents: Frame::default(), meta: Frame::default() }
    }

    /// Stores a chunk unless it is stored. `kind` is none of extents.
    pub(crate) fn chunk(&mut self, kind: Kind, bytes: &[u8]) -> Id {
        let id = self.packing.key.id(bytes);
        if lock(&self.packing.known).claim(id) {
            let frame = if kind.is_meta() { &mut self.meta } else { &mut self.data };
            frame.push(kind, id, &[bytes]);
            Self::send_full(&self.frames, frame);
        }
        id
    }

    /// Stores an extent unless it is stored: whole, or by the pages in which it differs from a stored one.
    pub(crate) fn extent(&mut self, bytes: &[u8]) -> Id {
        let key = self.packing.key;
        let id = key.id(bytes);
        if !lock(&self.packing.known).claim(id) {
            return id;
        }
        let mut digests = Digests::default();
        for (digest, page) in digests.iter_mut().zip(bytes.chunks(PAGE)) {
            *digest = key.page_digest(page);
        }
        let mut known = lock(&self.packing.known);
        match known.base_of(&digests) {
            Some(patch) => {
                drop(known);
                let given = |page: &usize| patch.pages & 1 << page != 0;
                let pages: Vec<&[u8]> =
                    (0..digests.len()).filter(given).map(|page| &bytes[page * PAGE..][..PAGE]).collect();
                self.extents.push(Kind::Patch { base: patch.base, pages: patch.pages }, id, &pages);
            }
            None => {
                known.add_extent(id, digests);
                drop(known);
                self.extents.push(Kind::Extent(digests), id, &[bytes]);
            }
        }
        Self::send_full(&self.frames, &mut self.extents);
        id
    }

    /// Adds an entry to a content, whose lists are stored too.
    pub(crate) fn add(&mut self, content: &mut ContentBuilder, entry: Entry) {
        content.push(entry, &mut |list| self.chunk(Kind::List, list));
    }

    pub(crate) fn finish(&mut self, content: ContentBuilder) -> Content {
        content.finish(&mut |list| self.chunk(Kind::List, list))
    }

    fn send_full(frames: &SyncSender<Frame>, frame: &mut Frame) {
        if frame.is_full() {
            Self::send(frames, frame);
        }
    }

    // Packers take frames until all senders are gone, whatever has failed.
    fn send(frames: &SyncSender<Frame>, frame: &mut Frame) {
        if !frame.chunks.is_empty() {
            frames.send(std::mem::take(frame)).expect("a packer listens");
        }
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        let Self { frames, data, extents, meta, .. } = self;
        for frame in [data, extents, meta] {
            Self::send(frames, frame);
        }
    }
}
