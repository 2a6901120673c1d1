//! Proving that what is stored can be read.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use backup_core::cancel::Cancel;

use crate::crypto::Id;
use crate::error::ArchiveError;
use crate::index::Index;
use crate::live::Live;
use crate::lock::lock;
use crate::pack::{HEAD, Kind, PAGE, PackIndex};
use crate::read::Chunks;
use crate::repository::{Listed, Repository};
use crate::storage::Stored;
use crate::threads::each;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadData {
    /// Indexes, snapshots, records and lists: whether all that snapshots need is there.
    #[default]
    Structure,
    /// The packs of one part of so many: parts 1 to `of` of a week or a month are all of it. A pack stays in its part.
    Part {
        /// Which part, from 1.
        part: u32,
        /// Of how many.
        of: u32,
    },
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Snapshots whose every chunk is there.
    pub whole: Vec<Listed>,
    /// Snapshots that lack something.
    pub broken: Vec<Listed>,
    /// Packs that were read whole, and their bytes.
    pub packs: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// All that is wrong.
    pub problems: Vec<ArchiveError>,
}

impl Repository {
    /// Looks through the repository; changes nothing. Blocks.
    ///
    /// # Errors
    /// When storage cannot be listed; what is wrong with what lies there is in the result.
    pub fn verify(&self, read: ReadData, cancel: &Cancel) -> Result<Verified, ArchiveError> {
        let listing = self.snapshots()?;
        let mut chunks = self.chunks()?;
        let mut verified = Verified { problems: listing.damaged, ..Verified::default() };
        verified.problems.append(&mut chunks.index.damaged);
        // No snapshot needs these, and whoever stores or prunes does.
        verified.problems.extend([self.leases().err(), self.marks().err()].into_iter().flatten());
        if let ReadData::Part { part, of } = read {
            let bad = self.read_packs(&chunks, (part, of), cancel, &mut verified)?;
            // Anew, for what lies in a bad pack may lie in a good one too.
            chunks.index = Index::load(&*self.storage, &self.write, &bad.into_iter().collect(), |_| ())?;
        }
        for listed in listing.snapshots {
            if cancel.is_cancelled() {
                return Err(ArchiveError::Cancelled);
            }
            let mut missing = None;
            // Each snapshot anew: what one lacks the next one may lack too.
            let added = Live::default().add(&chunks, &listed, |what, id| {
                missing.get_or_insert_with(|| ArchiveError::Lost { what: what.to_owned(), id: id.to_string() });
            });
            match added.err().or(missing) {
                None => verified.whole.push(listed),
                Some(problem) => {
                    verified.problems.push(problem);
                    verified.broken.push(listed);
                }
            }
        }
        Ok(verified)
    }

    /// Reads the packs of a part; returns the names of those that are not what was written.
    fn read_packs(
        &self,
        chunks: &Chunks,
        (part, of): (u32, u32),
        cancel: &Cancel,
        verified: &mut Verified,
    ) -> Result<Vec<String>, ArchiveError> {
        let is_in = |stored: &Stored| {
            let digits = stored.name.rsplit('/').next().and_then(|id| u32::from_str_radix(id.get(..8)?, 16).ok());
            digits.is_some_and(|digits| digits % of.max(1) + 1 == part)
        };
        let packs: Vec<Stored> = self.storage.list("packs")?.into_iter().filter(is_in).collect();
        let meter = self.meter(packs.len() as u64, packs.iter().map(|stored| stored.len).sum());
        let problems = Mutex::new(Vec::new());
        each(&packs, |stored| {
            if cancel.is_cancelled() {
                return ControlFlow::Break(());
            }
            if let Err(error) = self.read_pack(chunks, stored) {
                lock(&problems).push((stored.name.clone(), error));
            }
            meter.add(1, stored.len);
            ControlFlow::Continue(())
        });
        if cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        verified.packs = packs.len() as u64;
        verified.bytes = packs.iter().map(|stored| stored.len).sum();
        let problems = problems.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (names, errors): (Vec<_>, Vec<_>) = problems.into_iter().unzip();
        verified.problems.extend(errors);
        Ok(names)
    }

    /// Reads one pack whole, once: each frame opens, each chunk has its id, and the name is the hash of it all.
    fn read_pack(&self, chunks: &Chunks, stored: &Stored) -> Result<(), ArchiveError> {
        let damaged = |reason: &str| ArchiveError::damaged(&stored.name, reason);
        let index = PackIndex::read(&*self.storage, stored, &self.write)?;
        let key = self.read_key()?.unseal(&index.sealed).map_err(|error| damaged(&error.to_string()))?;
        let (mut hash, mut offset, mut buffer) = (blake3::Hasher::new(), 0, Vec::new());
        let mut next = |len: usize| {
            let bytes = self.storage.get_range(&stored.name, offset, len)?;
            offset += len as u64;
            hash.update(&bytes);
            Ok::<_, ArchiveError>(bytes)
        };
        next(HEAD)?;
        for (number, frame) in index.frames.iter().enumerate() {
            buffer = index.open_frame(number, next(frame.stored as usize)?, &key, buffer)?;
            let mut rest = &buffer[..];
            for chunk in &frame.chunks {
                let (bytes, after) = rest.split_at(chunk.len as usize);
                rest = after;
                let is_right = match chunk.kind {
                    Kind::Patch { .. } => self.is_patch_right(chunks, &chunk.id),
                    Kind::Extent(digests) => {
                        let pages = bytes.chunks(PAGE).map(|page| self.write.page_digest(page));
                        self.write.id(bytes) == chunk.id && pages.eq(digests)
                    }
                    _ => self.write.id(bytes) == chunk.id,
                };
                if !is_right {
                    return Err(damaged(&format!("chunk {} in frame {number} is not what was stored", chunk.id)));
                }
            }
        }
        next(index.end_len())?;
        match stored.name.ends_with(hash.finalize().to_hex().as_str()) {
            true => Ok(()),
            false => Err(damaged("its bytes have another hash")),
        }
    }

    /// A patch without its base counts as not stored; one that is stored whole too is not used.
    fn is_patch_right(&self, chunks: &Chunks, id: &Id) -> bool {
        match chunks.index.find(id) {
            Some((_, Some(_))) => chunks.get(id, "a patch").is_ok_and(|bytes| self.write.id(&bytes) == *id),
            _ => true,
        }
    }
}
