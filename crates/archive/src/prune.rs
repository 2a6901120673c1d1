//! Deleting what nothing needs, beside whoever stores (docs/format.md, Pruning).

use std::collections::HashSet;
use std::sync::Arc;

use backup_core::cancel::Cancel;

use crate::crypto::random_name;
use crate::error::ArchiveError;
use crate::index::Index;
use crate::lease::{Confirmed, Lease, LeaseFacts, Mark, Purpose, put_json};
use crate::live::Live;
use crate::pack::{ChunkEntry, Frame, FrameEntry, OpenPack, PackIndex, PackedFrame, compressor, name_of};
use crate::read::Chunks;
use crate::repository::{Repository, get_json};
use crate::storage::StorageError;

/// What a prune did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Packs that nothing needs, and their bytes.
    pub dead_packs: u64,
    /// Bytes of these.
    pub dead_bytes: u64,
    /// Packs of which more than an eighth was not needed: the rest was copied to new ones.
    pub repacked: u64,
    /// Bytes of the new packs.
    pub repacked_bytes: u64,
    /// Packs of which snapshots need seven eighths or more: they stay.
    pub kept: u64,
    /// Bytes of packs that were deleted.
    pub deleted_bytes: u64,
    /// Leases for whose sake packs that are marked were not deleted yet.
    pub waits_for: Vec<(String, LeaseFacts)>,
}

/// What snapshots need, and which of them were asked, or are not to be.
#[derive(Debug, Default)]
struct Needed {
    live: Live,
    seen: HashSet<String>,
}

/// What is to become of the packs.
#[derive(Debug, Default)]
struct Plan {
    dead: Vec<PackIndex>,
    /// Packs with too much that is not needed.
    thinned: Vec<(u32, PackIndex)>,
}

impl Repository {
    /// Removes a snapshot; its chunks stay until a prune. One that is gone already is no error.
    ///
    /// # Errors
    /// [`ArchiveError::Pinned`], and what storage says.
    pub fn forget(&self, id: &str) -> Result<(), ArchiveError> {
        if self.pins()?.contains(id) {
            return Err(ArchiveError::Pinned(id.to_owned()));
        }
        Ok(self.storage.delete(&format!("snapshots/{id}"))?)
    }

    /// Keeps a snapshot whatever the policy says, until it is unpinned.
    ///
    /// # Errors
    /// What storage says.
    pub fn pin(&self, id: &str) -> Result<(), ArchiveError> {
        match self.storage.put_new(&format!("pins/{id}"), &[]) {
            Err(StorageError::Exists(_)) => Ok(()),
            put => Ok(put?),
        }
    }

    /// The contrary. One that is not pinned is no error.
    ///
    /// # Errors
    /// What storage says.
    pub fn unpin(&self, id: &str) -> Result<(), ArchiveError> {
        Ok(self.storage.delete(&format!("pins/{id}"))?)
    }

    /// The ids of pinned snapshots.
    ///
    /// # Errors
    /// What storage says.
    pub fn pins(&self) -> Result<HashSet<String>, ArchiveError> {
        Ok(self.storage.list("pins")?.into_iter().map(|pin| pin.name["pins/".len()..].to_owned()).collect())
    }

    /// Deletes packs that no snapshot needs, and copies what is left of packs of which more than an eighth is not needed. With `dry_run` nothing is changed. Blocks.
    ///
    /// It also has storage remove what killed puts have left, while no lease says that somebody stores ([`Storage::sweep`](crate::storage::Storage::sweep)).
    /// Where nothing can be deleted it fails: prune from a machine that can.
    ///
    /// Safe beside running stores and readers, and after a crash at any call. A reader that opened the repository before may miss a pack.
    ///
    /// # Errors
    /// [`ArchiveError::Busy`] when somebody else prunes; when a snapshot or a pack cannot be read, for then nobody knows what is needed.
    pub fn prune(&self, holder: &str, dry_run: bool, cancel: &Cancel) -> Result<Pruned, ArchiveError> {
        if dry_run {
            return self.preview_prune(&HashSet::new());
        }
        let lease = Lease::take(&self.storage, Purpose::Prune, holder)?;
        let is_other = |(id, facts): &(String, LeaseFacts)| facts.purpose == Purpose::Prune && *id != lease.id;
        if let Some((id, facts)) = self.leases()?.into_iter().find(is_other) {
            return Err(ArchiveError::Busy(format!("{id} ({})", facts.holder)));
        }
        let mut pruned = Pruned::default();
        let mut needed = Needed::default();
        self.add_live(&mut needed)?;
        // What an earlier prune had to leave.
        self.delete_marked(&mut needed, &mut pruned)?;
        let (index, plan) = self.planned(&needed.live, &mut pruned)?;
        let chunks = Chunks::new(Arc::clone(&self.storage), index, self.read_key()?.clone());
        pruned.repacked_bytes = self.repack(&chunks, &plan, &needed.live, cancel)?;
        let dead = plan.dead.into_iter().chain(plan.thinned.into_iter().map(|(_, pack)| pack));
        self.mark(dead.map(|pack| pack.name).collect())?;
        self.delete_marked(&mut needed, &mut pruned)?;
        self.delete_ended()?;
        // Besides the age of what is swept: while nobody stores, nobody writes anything that takes long.
        if !self.leases()?.iter().any(|(_, facts)| facts.purpose == Purpose::Store) {
            self.storage.sweep()?;
        }
        lease.end()?;
        Ok(pruned)
    }

    /// What a prune would do once these snapshots are forgotten as well. Changes nothing. Blocks.
    ///
    /// # Errors
    /// When a snapshot or a pack cannot be read, for then nobody knows what is needed.
    pub fn preview_prune(&self, forgotten: &HashSet<String>) -> Result<Pruned, ArchiveError> {
        let mut needed = Needed { seen: forgotten.clone(), ..Needed::default() };
        self.add_live(&mut needed)?;
        let mut pruned = Pruned::default();
        self.planned(&needed.live, &mut pruned)?;
        // What an earlier prune had to leave.
        let marked = self.marked()?;
        for pack in self.storage.list("packs")?.iter().filter(|pack| marked.contains(&pack.name)) {
            pruned.dead_packs += 1;
            pruned.dead_bytes += pack.len;
        }
        Ok(pruned)
    }

    fn planned(&self, live: &Live, pruned: &mut Pruned) -> Result<(Index, Plan), ArchiveError> {
        // What is marked still is not planned with: its chunks may have a copy that stays.
        let index = self.readable(&self.marked()?)?;
        let plan = self.plan(&index, live)?;
        pruned.dead_packs = plan.dead.len() as u64;
        pruned.dead_bytes = plan.dead.iter().map(|pack| pack.len).sum();
        pruned.repacked = plan.thinned.len() as u64;
        pruned.kept = index.packs.len() as u64 - pruned.dead_packs - pruned.repacked;
        Ok((index, plan))
    }

    /// What all packs hold but those of `without`; one that cannot be read is an error here.
    fn readable(&self, without: &HashSet<String>) -> Result<Index, ArchiveError> {
        let mut index = Index::load(&*self.storage, &self.write, without, |_| ())?;
        match std::mem::take(&mut index.damaged).into_iter().next() {
            Some(damage) => Err(damage),
            None => Ok(index),
        }
    }

    /// Adds what snapshots need that were not seen yet.
    fn add_live(&self, Needed { live, seen }: &mut Needed) -> Result<(), ArchiveError> {
        let listing = self.snapshots()?;
        if let Some(damage) = listing.damaged.into_iter().next() {
            return Err(damage);
        }
        let new = Vec::from_iter(listing.snapshots.iter().filter(|listed| seen.insert(listed.id.clone())));
        if new.is_empty() {
            return Ok(());
        }
        // After the listing: the packs of a snapshot that is listed are there.
        let index = self.readable(&HashSet::new())?;
        let chunks = Chunks::new(Arc::clone(&self.storage), index, self.read_key()?.clone());
        // A chunk that is missing is missing whatever is deleted.
        new.into_iter().try_for_each(|listed| live.add(&chunks, listed, |_, _| ()))
    }

    fn plan(&self, index: &Index, live: &Live) -> Result<Plan, ArchiveError> {
        let mut plan = Plan::default();
        for ((number, pack), needed) in (0..).zip(&index.packs).zip(index.bytes_of(|id| live.has(id))) {
            let all: u64 = pack.frames.iter().map(|frame| u64::from(frame.raw)).sum();
            match needed {
                0 => plan.dead.push(pack.clone()),
                needed if needed * 8 < all * 7 => plan.thinned.push((number, self.read_index(pack)?)),
                _ => {}
            }
        }
        Ok(plan)
    }

    fn read_index(&self, pack: &PackIndex) -> Result<PackIndex, ArchiveError> {
        let stored = crate::storage::Stored { name: pack.name.clone(), len: pack.len };
        PackIndex::read(&*self.storage, &stored, &self.write)
    }

    /// Copies live chunks as they are, patches too; returns the bytes of the new packs.
    fn repack(&self, chunks: &Chunks, plan: &Plan, live: &Live, cancel: &Cancel) -> Result<u64, ArchiveError> {
        let (mut zstd, mut buffer, mut bytes) = (compressor(), Vec::new(), 0);
        let meter = self.meter(plan.thinned.len() as u64, plan.thinned.iter().map(|(_, pack)| pack.len).sum());
        let mut open: [Option<OpenPack>; 2] = [None, None];
        let mut put = |pack: OpenPack| {
            let (id, content) = pack.close(&self.write);
            bytes += content.len() as u64;
            self.storage.put_new(&name_of(&id), &content)
        };
        for (number, pack) in &plan.thinned {
            for (frame_number, frame) in (0..).zip(&pack.frames) {
                if cancel.is_cancelled() {
                    return Err(ArchiveError::Cancelled);
                }
                let is_needed = |chunk: &ChunkEntry| is_needed_here(&chunks.index, live, *number, chunk);
                let Some(first) = frame.chunks.iter().find(|chunk| is_needed(chunk)) else { continue };
                let slot = &mut open[usize::from(first.kind.is_meta())];
                let copy = match frame.chunks.iter().all(is_needed) {
                    true => chunks.packed_frame(*number, pack, frame_number)?,
                    false => {
                        let opened = chunks.frame(*number, frame_number)?;
                        PackedFrame::compress(what_is_needed(frame, &opened, is_needed), &mut zstd, &mut buffer)
                    }
                };
                drop(slot.get_or_insert_with(|| OpenPack::new(&self.write, Vec::new())).push(copy));
                if let Some(full) = slot.take_if(|pack| pack.is_full()) {
                    put(full)?;
                }
            }
            meter.add(1, pack.len);
        }
        for pack in open.into_iter().flatten() {
            put(pack)?;
        }
        Ok(bytes)
    }

    /// Makes known which packs will go.
    fn mark(&self, packs: Vec<String>) -> Result<(), ArchiveError> {
        if packs.is_empty() {
            return Ok(());
        }
        put_json(&*self.storage, &format!("marks/{}", random_name()), &Mark { packs })
    }

    /// Deletes what any mark names, unless a run that may not have seen the mark still stores, or a snapshot needs it.
    fn delete_marked(&self, needed: &mut Needed, pruned: &mut Pruned) -> Result<(), ArchiveError> {
        let marks = self.marks()?;
        if marks.is_empty() {
            return Ok(());
        }
        for (id, _) in &marks {
            self.confirm(id)?;
        }
        // Who stores now has seen all marks or stands in their confirmations; who has ended left a snapshot that is listed from here on.
        let leases = self.leases()?;
        let mut due = Vec::new();
        for (id, mark) in marks {
            let confirmed = self.confirmed(&id)?;
            let waits: Vec<_> = leases.iter().filter(|(id, _)| confirmed.leases.contains(id)).cloned().collect();
            match waits.is_empty() {
                true => due.push((id, mark)),
                false => pruned.waits_for.extend(waits),
            }
        }
        pruned.waits_for.sort_by(|a, b| a.0.cmp(&b.0));
        pruned.waits_for.dedup();
        self.add_live(needed)?;
        let going: HashSet<String> = due.iter().flat_map(|(_, mark)| mark.packs.iter().cloned()).collect();
        let staying = Index::load(&*self.storage, &self.write, &going, |_| ())?;
        for pack in self.storage.list("packs")?.into_iter().filter(|pack| going.contains(&pack.name)) {
            let index = PackIndex::read(&*self.storage, &pack, &self.write)?;
            let mut all = index.frames.iter().flat_map(|frame| &frame.chunks);
            if !all.any(|chunk| needed.live.has(&chunk.id) && !staying.has(&chunk.id)) {
                self.storage.delete(&pack.name)?;
                pruned.deleted_bytes += pack.len;
            }
        }
        for (id, _) in due {
            self.storage.delete(&format!("confirmed/{id}"))?;
            self.storage.delete(&format!("marks/{id}"))?;
        }
        Ok(())
    }

    /// Writes down who stores at a time when the mark can be seen.
    fn confirm(&self, mark: &str) -> Result<(), ArchiveError> {
        let storing = self.leases()?.into_iter().filter(|(_, facts)| facts.purpose == Purpose::Store);
        let confirmed = Confirmed { leases: storing.map(|(id, _)| id).collect() };
        match put_json(&*self.storage, &format!("confirmed/{mark}"), &confirmed) {
            // By an earlier prune.
            Err(ArchiveError::Storage(StorageError::Exists(_))) => Ok(()),
            put => put,
        }
    }

    fn confirmed(&self, mark: &str) -> Result<Confirmed, ArchiveError> {
        let name = format!("confirmed/{mark}");
        let text = get_json(&*self.storage, &name)?;
        serde_json::from_slice(&text).map_err(|error| ArchiveError::damaged(name, error))
    }
}

fn what_is_needed(frame: &FrameEntry, opened: &[u8], is_needed: impl Fn(&ChunkEntry) -> bool) -> Frame {
    let (mut needed, mut rest) = (Frame::default(), opened);
    for chunk in &frame.chunks {
        let (bytes, after) = rest.split_at(chunk.len as usize);
        rest = after;
        if is_needed(chunk) {
            needed.push(chunk.kind, chunk.id, &[bytes]);
        }
    }
    needed
}

/// Whether a snapshot needs the chunk, and needs it from this pack: of two copies one is enough.
fn is_needed_here(index: &Index, live: &Live, pack: u32, chunk: &ChunkEntry) -> bool {
    live.has(&chunk.id) && index.find(&chunk.id).is_some_and(|(place, _)| place.pack == pack)
}
