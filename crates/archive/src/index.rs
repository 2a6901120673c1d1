//! What the packs hold: all of it is read from their ends, and nothing else is the truth.

use std::collections::{HashMap, HashSet};

use crate::crypto::{Id, WriteKey};
use crate::error::ArchiveError;
use crate::pack::{ChunkEntry, Digests, Kind, PackIndex};
use crate::storage::Storage;

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pack: u32,
    pub(crate) frame: u32,
    /// Where in the frame.
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// A patch, by its base and the pages that it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) base: Id,
    pub(crate) pages: u8,
}

/// All packs that can be read, without the chunks of their frames: those are in the maps.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) packs: Vec<PackIndex>,
    chunks: HashMap<Id, Place>,
    patches: HashMap<Id, Patch>,
    /// What could not be read: the chunks in there count as missing.
    pub(crate) damaged: Vec<ArchiveError>,
}

impl Index {
    /// Reads the ends of all packs but those of `without`. `see` hears of each chunk that counts.
    ///
    /// # Errors
    /// When storage cannot be listed. A pack that cannot be read, or is gone since it was listed, is in [`damaged`](Self::damaged).
    pub(crate) fn load(
        storage: &dyn Storage,
        key: &WriteKey,
        without: &HashSet<String>,
        mut see: impl FnMut(&ChunkEntry),
    ) -> Result<Self, ArchiveError> {
        let mut index = Self::default();
        let mut patches = Vec::new();
        for stored in storage.list("packs")? {
            if without.contains(&stored.name) {
                continue;
            }
            match PackIndex::read(storage, &stored, key) {
                Ok(pack) => index.add(pack, &mut patches, &mut see),
                Err(error) => index.damaged.push(error),
            }
        }
        index.add_patches(patches);
        Ok(index)
    }

    /// Adds what is whole; what is not goes to `patches`.
    fn add(&mut self, mut pack: PackIndex, patches: &mut Vec<(Id, Patch, Place)>, see: &mut impl FnMut(&ChunkEntry)) {
        let number = u32::try_from(self.packs.len()).expect("fewer packs than 2^32");
        for (frame, entry) in (0..).zip(&mut pack.frames) {
            let mut at = 0;
            for chunk in std::mem::take(&mut entry.chunks) {
                see(&chunk);
                let place = Place { pack: number, frame, at, len: chunk.len };
                at += chunk.len;
                match chunk.kind {
                    Kind::Patch { base, pages } => patches.push((chunk.id, Patch { base, pages }, place)),
                    _ => drop(self.chunks.insert(chunk.id, place)),
                }
            }
        }
        self.packs.push(pack);
    }

    /// Whole is better than patched. Of several patches one counts whose base is there: a crash may have left one without, and a prune
    /// deletes the base of one that has another beside it.
    fn add_patches(&mut self, all: Vec<(Id, Patch, Place)>) {
        let Self { chunks, patches, .. } = self;
        for (id, patch, place) in all {
            let base_is_whole = chunks.contains_key(&patch.base) && !patches.contains_key(&patch.base);
            if base_is_whole && !chunks.contains_key(&id) {
                patches.insert(id, patch);
                chunks.insert(id, place);
            }
        }
    }

    /// Where a chunk lies, and of what its patch is where it is one.
    pub(crate) fn find(&self, id: &Id) -> Option<(Place, Option<Patch>)> {
        Some((*self.chunks.get(id)?, self.patches.get(id).copied()))
    }

    /// For each pack the bytes of the chunks that are read from there, and of which this holds.
    pub(crate) fn bytes_of(&self, holds: impl Fn(&Id) -> bool) -> Vec<u64> {
        let mut bytes = vec![0; self.packs.len()];
        for (_, place) in self.chunks.iter().filter(|(id, _)| holds(id)) {
            bytes[place.pack as usize] += u64::from(place.len);
        }
        bytes
    }

    /// Whether a chunk can be read.
    pub(crate) fn has(&self, id: &Id) -> bool {
        self.chunks.contains_key(id)
    }
}

/// What is stored, for one who stores more.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What was there before.
    pub(crate) index: Index,
    claimed: HashSet<Id>,
    /// Extents that are stored whole, which others may be patches of.
    extents: Vec<(Id, Digests)>,
    /// The newest of them by the digests of two of their pages: whoever shares half of its pages with one mostly shares one of these.
    by_page: HashMap<u64, u32>,
}

/// Pages of an extent by which it is found.
const FOUND_BY: [usize; 2] = [2, 5];

impl Known {
    /// What the packs of `storage` hold but those of `without`.
    ///
    /// # Errors
    /// As [`Index::load`].
    pub(crate) fn load(storage: &dyn Storage, key: &WriteKey, without: &HashSet<String>) -> Result<Self, ArchiveError> {
        let mut known = Self::default();
        known.index = Index::load(storage, key, without, |chunk| {
            if let Kind::Extent(digests) = chunk.kind {
                known.add_extent(chunk.id, digests);
            }
        })?;
        Ok(known)
    }

    /// Whether a chunk has still to be stored; from now on it counts as stored.
    pub(crate) fn claim(&mut self, id: Id) -> bool {
        !self.index.has(&id) && self.claimed.insert(id)
    }

    /// Takes note of an extent that is stored whole.
    pub(crate) fn add_extent(&mut self, id: Id, digests: Digests) {
        let number = u32::try_from(self.extents.len()).expect("fewer extents than 2^32");
        self.extents.push((id, digests));
        for page in FOUND_BY {
            self.by_page.insert(digests[page], number);
        }
    }

    /// An extent that shares at least half of its pages with this one, and the pages that it does not share.
    pub(crate) fn base_of(&self, digests: &Digests) -> Option<Patch> {
        let bases = FOUND_BY.iter().filter_map(|page| self.by_page.get(&digests[*page]));
        let differing = |base: &Digests| {
            (0..digests.len()).filter(|page| digests[*page] != base[*page]).fold(0_u8, |pages, page| pages | 1 << page)
        };
        let patches = bases.map(|number| {
            let (base, of_base) = &self.extents[*number as usize];
            Patch { base: *base, pages: differing(of_base) }
        });
        // Another extent with the same digests: one of them lies, and neither can be a patch of the other.
        patches.filter(|patch| (1..=4).contains(&patch.pages.count_ones())).min_by_key(|patch| patch.pages.count_ones())
    }
}
