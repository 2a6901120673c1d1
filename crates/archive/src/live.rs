//! What snapshots need: the chunks that live.

use std::collections::HashSet;

use crate::archived::read_records;
use crate::content::Part;
use crate::crypto::Id;
use crate::error::ArchiveError;
use crate::read::Chunks;
use crate::repository::Listed;

/// Chunks that snapshots need.
#[derive(Debug, Default)]
pub(crate) struct Live {
    ids: HashSet<Id>,
}

impl Live {
    /// Adds all that a snapshot needs; `miss` hears of each chunk that is not there, once.
    ///
    /// # Errors
    /// When its records or a list cannot be read: then nobody knows what it needs.
    pub(crate) fn add(
        &mut self,
        chunks: &Chunks,
        Listed { id, snapshot }: &Listed,
        mut miss: impl FnMut(&str, &Id),
    ) -> Result<(), ArchiveError> {
        let what = format!("snapshot {id}");
        let records = read_records(chunks, &what, &snapshot.records)?;
        let paths: Vec<String> = records.iter().map(|record| record.record.path.to_string()).collect();
        let contents = records.iter().map(|record| &record.content).zip(paths.iter().map(String::as_str));
        for (content, what) in contents.chain([(&snapshot.records, &*what)]) {
            chunks.walk(content, what, |part| {
                let (Part::Chunk(id, _) | Part::List(id)) = part else { return Ok(()) };
                if self.ids.insert(id) {
                    match chunks.index.find(&id) {
                        Some((_, Some(patch))) => drop(self.ids.insert(patch.base)),
                        Some(_) => {}
                        None => miss(what, &id),
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(crate) fn has(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }
}
