//! Proving that all of one snapshot can be read, before anybody relies on it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use backup_core::cancel::Cancel;

use crate::archived::ArchivedSnapshot;
use crate::content::Part;
use crate::crypto::Id;
use crate::error::ArchiveError;
use crate::index::Place;
use crate::lock::lock;
use crate::threads::each;

/// A chunk that the snapshot needs, where it lies, and which entry needs it.
#[derive(Debug, Clone, Copy)]
struct Needed {
    /// Of a patch the base's: patches of one base then follow one another.
    place: Place,
    id: Id,
    entry: usize,
}

impl ArchivedSnapshot {
    /// Reads all that the snapshot needs: each chunk is there, opens and has its id. Changes nothing. Blocks, on a few threads.
    ///
    /// # Errors
    /// The first damage that is found, with the name of the pack; [`ArchiveError::Cancelled`].
    pub fn prove(&self, cancel: &Cancel) -> Result<(), ArchiveError> {
        let (needed, chunks) = (self.needed()?, self.chunks());
        let of_frame = |a: &Needed, b: &Needed| (a.place.pack, a.place.frame) == (b.place.pack, b.place.frame);
        let frames: Vec<&[Needed]> = needed.chunk_by(of_frame).collect();
        let first = Mutex::new(None);
        each(&frames, |frame| {
            let proven = match cancel.is_cancelled() {
                true => Err(ArchiveError::Cancelled),
                false => {
                    frame.iter().try_for_each(|needed| chunks.proven(&needed.id, &self.what(needed.entry)).map(drop))
                }
            };
            match proven {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    lock(&first).get_or_insert(error);
                    ControlFlow::Break(())
                }
            }
        });
        let first = lock(&first).take();
        first.map_or(Ok(()), Err)
    }

    /// All chunks, each once, in the order in which they lie.
    fn needed(&self) -> Result<Vec<Needed>, ArchiveError> {
        let mut needed = HashMap::new();
        let chunks = self.chunks();
        for (entry, content) in self.contents().enumerate() {
            let what = self.what(entry);
            chunks.walk(content, &what, |part| {
                let (Part::Chunk(id, _) | Part::List(id)) = part else { return Ok(()) };
                let lost = || chunks.lost(&what, &id);
                let (place, patch) = chunks.index.find(&id).ok_or_else(lost)?;
                let base = patch.map(|patch| chunks.index.find(&patch.base).ok_or_else(lost)).transpose()?;
                let place = base.map_or(place, |(base, _)| base);
                needed.entry(id).or_insert(Needed { place, id, entry });
                Ok(())
            })?;
        }
        let mut needed: Vec<Needed> = needed.into_values().collect();
        needed.sort_unstable_by_key(|needed| (needed.place.pack, needed.place.frame, needed.place.at));
        Ok(needed)
    }
}
