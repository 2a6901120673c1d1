//! From chunks to packs: what is new is gathered into frames, frames are compressed and encrypted beside the reading, packs are put.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use crate::chunker::WINDOW;
use crate::content::{Content, ContentBuilder, Entry};
use crate::crypto::{Id, WriteKey};
use crate::error::ArchiveError;
use crate::index::{Known, Patch};
use crate::lock::lock;
use crate::pack::{Digests, FRAME, Frame, Kind, OpenPack, PAGE, PackedFrame, compressor, name_of};
use crate::spare::Spare;
use crate::storage::Storage;

/// Frames that wait, for each packer.
pub(crate) const WAITING: usize = 1;

/// What all who read and all who pack have in common.
pub(crate) struct Packing<'a> {
    pub(crate) storage: &'a dyn Storage,
    pub(crate) key: &'a WriteKey,
    pub(crate) known: Mutex<Known>,
    /// The packs that are being filled: of content, and of what tells of content. One of each, however many threads fill it, for memory's sake.
    open: [Mutex<Option<OpenPack>>; 2],
    /// For both open packs, and one that is put meanwhile.
    packs: Spare,
    frames: Spare,
    /// The first reason to give up.
    pub(crate) failure: Mutex<Option<ArchiveError>>,
    /// Bytes of packs that were put.
    pub(crate) added: AtomicU64,
}

impl<'a> Packing<'a> {
    pub(crate) fn new(storage: &'a dyn Storage, key: &'a WriteKey, known: Known) -> Self {
        let (known, open, failure) = (Mutex::new(known), Default::default(), Mutex::default());
        let (packs, frames) = (Spare::of(3), Spare::of(0));
        Self { storage, key, known, open, packs, frames, failure, added: AtomicU64::new(0) }
    }

    /// Packs frames until no more come. What is not full then stays open.
    pub(crate) fn pack(&self, frames: &Mutex<Receiver<Frame>>) {
        let (mut zstd, mut buffer) = (compressor(), Vec::new());
        loop {
            let Ok(frame) = lock(frames).recv() else { break };
            if self.has_failed() {
                continue;
            }
            let is_meta = frame.chunks.iter().any(|chunk| chunk.kind.is_meta());
            let frame = PackedFrame::compress(frame, &mut zstd, &mut buffer);
            let mut open = lock(&self.open[usize::from(is_meta)]);
            let used = open.get_or_insert_with(|| OpenPack::new(self.key, self.packs.wait())).push(frame);
            let full = open.take_if(|pack| pack.is_full());
            drop(open);
            self.frames.give(used);
            self.close(full);
        }
    }

    /// Puts the packs that are still open, once nobody packs any more.
    pub(crate) fn finish(&self) {
        for open in &self.open {
            self.close(lock(open).take());
        }
    }

    fn close(&self, pack: Option<OpenPack>) {
        let Some(pack) = pack.filter(|_| !self.has_failed()) else { return };
        let (id, bytes) = pack.close(self.key);
        match self.storage.put_new(&name_of(&id), &bytes) {
            Ok(()) => drop(self.added.fetch_add(bytes.len() as u64, Ordering::Relaxed)),
            Err(error) => self.fail(error.into()),
        }
        self.packs.give(bytes);
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
            Self::push(self.packing, &self.frames, frame, (kind, id, &[bytes]));
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
        let Some(Patch { base, pages }) = known.base_of(&digests) else {
            known.add_extent(id, digests);
            drop(known);
            Self::push(self.packing, &self.frames, &mut self.extents, (Kind::Extent(digests), id, &[bytes]));
            return id;
        };
        drop(known);
        let given = (0..digests.len()).filter(|page| pages & 1 << page != 0);
        let given: Vec<&[u8]> = given.map(|page| &bytes[page * PAGE..][..PAGE]).collect();
        Self::push(self.packing, &self.frames, &mut self.extents, (Kind::Patch { base, pages }, id, &given));
        id
    }

    /// Adds an entry to a content, whose lists are stored too.
    pub(crate) fn add(&mut self, content: &mut ContentBuilder, entry: Entry) {
        content.push(entry, &mut |list| self.chunk(Kind::List, list));
    }

    pub(crate) fn finish(&mut self, content: ContentBuilder) -> Content {
        content.finish(&mut |list| self.chunk(Kind::List, list))
    }

    fn push(
        packing: &Packing<'_>,
        frames: &SyncSender<Frame>,
        frame: &mut Frame,
        (kind, id, parts): (Kind, Id, &[&[u8]]),
    ) {
        if frame.chunks.is_empty() {
            frame.bytes = packing.frames.take_or_make();
            frame.bytes.reserve(FRAME + WINDOW);
        }
        frame.push(kind, id, parts);
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
