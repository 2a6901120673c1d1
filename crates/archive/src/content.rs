//! Contents: the chunks of a file in their order, in lists of lists where they are many (docs/format.md).

use std::mem;

use serde::{Deserialize, Serialize};

use crate::crypto::Id;
use crate::error::ArchiveError;
use crate::wire::{Reader, Wire};

/// A content has at most so many entries itself.
const MOST_ENTRIES: usize = 4;
/// A list ends after the first entry from here on whose id says so.
const SHORTEST_LIST: usize = 16;
const LONGEST_LIST: usize = 512;
/// Lists of lists of so many levels hold more than any file.
const MOST_LEVELS: u8 = 8;
/// Bytes of an entry in a list.
const ENTRY: usize = 40;

/// A chunk or a list with the bytes of content that it stands for; a hole has no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u64, Option<Id>)")]
pub(crate) struct Entry(pub(crate) u64, pub(crate) Option<Id>);

impl TryFrom<(u64, Option<Id>)> for Entry {
    type Error = &'static str;

    /// An entry of no bytes is none: lists of such would take for ever to be walked and never not add up.
    fn try_from((len, id): (u64, Option<Id>)) -> Result<Self, Self::Error> {
        if len > 0 { Ok(Self(len, id)) } else { Err("an entry has no bytes") }
    }
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    level: u8,
    entries: Vec<Entry>,
}

impl Content {
    /// Gives back the memory that reading it left over: a snapshot has many small ones.
    pub(crate) fn fit(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// The bytes of all of it.
    pub(crate) fn len(&self) -> u64 {
        self.entries.iter().fold(0, |len, Entry(bytes, _)| len.saturating_add(*bytes))
    }

    /// Calls `see` for each chunk and hole, in order, and for each list before what is in it.
    ///
    /// # Errors
    /// What `list` and `see` say, and [`ArchiveError::Damaged`] for lists that do not add up; `what` names the content there.
    pub(crate) fn walk(
        &self,
        what: &str,
        list: &mut impl FnMut(&Id) -> Result<Vec<u8>, ArchiveError>,
        see: &mut impl FnMut(Part) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        if self.level > MOST_LEVELS {
            return Err(ArchiveError::damaged(what, "its lists have too many levels"));
        }
        for Entry(len, id) in &self.entries {
            match (self.level, id) {
                (_, None) => see(Part::Hole(*len))?,
                (0, Some(id)) => see(Part::Chunk(*id, *len))?,
                (level, Some(id)) => {
                    see(Part::List(*id))?;
                    let below = read_list(level - 1, &list(id)?).filter(|below| below.len() == *len);
                    below
                        .ok_or_else(|| ArchiveError::damaged(what, "a list does not add up"))?
                        .walk(what, list, see)?;
                }
            }
        }
        Ok(())
    }
}

/// What a walk of a content meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Hole(u64),
    Chunk(Id, u64),
    List(Id),
}

fn read_list(level: u8, list: &[u8]) -> Option<Content> {
    let (entries, []) = list.as_chunks::<ENTRY>() else { return None };
    let entry = |bytes: &[u8; ENTRY]| {
        let mut reader = Reader(bytes);
        let (len, id) = (reader.u64()?, Id::from_bytes(*reader.bytes()?));
        Entry::try_from((len, (id != Id::ZERO).then_some(id))).ok()
    };
    Some(Content { level, entries: entries.iter().map(entry).collect::<Option<_>>()? })
}

/// Puts a content together, entry by entry.
#[derive(Debug, Default)]
pub(crate) struct ContentBuilder {
    /// For each level what is not in a list yet, and whether lists of it were made already.
    levels: Vec<(Vec<Entry>, bool)>,
}

impl ContentBuilder {
    /// Adds a chunk or a hole. `put` stores a list.
    pub(crate) fn push(&mut self, entry: Entry, put: &mut impl FnMut(&[u8]) -> Id) {
        self.push_at(0, entry, put);
    }

    fn push_at(&mut self, level: usize, entry: Entry, put: &mut impl FnMut(&[u8]) -> Id) {
        if self.levels.len() == level {
            self.levels.push(Default::default());
        }
        let open = &mut self.levels[level].0;
        open.push(entry);
        let ends = |Entry(_, id): Entry| id.is_some_and(|id| id.bytes()[0].trailing_zeros() >= 7);
        if open.len() >= LONGEST_LIST || (open.len() >= SHORTEST_LIST && ends(entry)) {
            self.close(level, put);
        }
    }

    /// Makes a list of what is open.
    fn close(&mut self, level: usize, put: &mut impl FnMut(&[u8]) -> Id) {
        let entries = mem::take(&mut self.levels[level].0);
        if entries.is_empty() {
            return;
        }
        self.levels[level].1 = true;
        let mut list = Vec::with_capacity(entries.len() * ENTRY);
        for Entry(len, id) in &entries {
            list.u64(*len);
            list.extend(id.unwrap_or(Id::ZERO).bytes());
        }
        let id = put(&list);
        let len = Content { level: 0, entries }.len();
        self.push_at(level + 1, Entry(len, Some(id)), put);
    }

    /// The content of all that was added.
    pub(crate) fn finish(mut self, put: &mut impl FnMut(&[u8]) -> Id) -> Content {
        let mut level = 0;
        loop {
            match self.levels.get_mut(level) {
                None => return Content::default(),
                Some((open, false)) if open.len() <= MOST_ENTRIES => {
                    let level = u8::try_from(level).expect("each level has sixteen times fewer entries");
                    return Content { level, entries: mem::take(open) };
                }
                Some(_) => self.close(level, put),
            }
            level += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{Content, ContentBuilder, Entry, Part};
    use crate::crypto::Id;

    /// Ids as hashes are: of any bits.
    fn entries(seeds: &[u16]) -> Vec<Entry> {
        let entry = |seed: &u16| match seed % 11 {
            0 => Entry(u64::from(*seed) + 1, None),
            _ => Entry(u64::from(*seed), Some(Id::from_bytes(*blake3::hash(&seed.to_le_bytes()).as_bytes()))),
        };
        seeds.iter().map(entry).collect()
    }

    fn build(entries: &[Entry]) -> (Content, HashMap<Id, Vec<u8>>) {
        let mut lists = HashMap::new();
        let mut put = |list: &[u8]| {
            let id = Id::from_bytes(*blake3::hash(list).as_bytes());
            lists.insert(id, list.to_vec());
            id
        };
        let mut builder = ContentBuilder::default();
        entries.iter().for_each(|entry| builder.push(*entry, &mut put));
        let content = builder.finish(&mut put);
        (content, lists)
    }

    fn read(content: &Content, lists: &HashMap<Id, Vec<u8>>) -> Vec<Entry> {
        let mut seen = Vec::new();
        let mut see = |part| {
            match part {
                Part::Hole(len) => seen.push(Entry(len, None)),
                Part::Chunk(id, len) => seen.push(Entry(len, Some(id))),
                Part::List(_) => {}
            }
            Ok(())
        };
        content.walk("a file", &mut |id| Ok(lists[id].clone()), &mut see).expect("it adds up");
        seen
    }

    proptest! {
        #[test]
        fn a_content_is_what_was_pushed(seeds in prop::collection::vec(any::<u16>(), 0..3000)) {
            let entries = entries(&seeds);
            let (content, lists) = build(&entries);
            prop_assert!(content.entries.len() <= 4);
            prop_assert_eq!(content.len(), entries.iter().map(|entry| entry.0).sum::<u64>());
            prop_assert_eq!(read(&content, &lists), entries);
        }

        /// What is inserted in front changes the lists near it.
        #[test]
        fn an_insertion_leaves_most_lists_alone(at in 0..20_000_usize) {
            let seeds: Vec<u16> = (0..20_000).collect();
            let (_, before) = build(&entries(&seeds));
            let mut longer = seeds;
            longer.insert(at, 60_000);
            let (_, after) = build(&entries(&longer));
            let new = after.keys().filter(|id| !before.contains_key(id)).count();
            prop_assert!(new <= 12, "{new} of {} lists are new", after.len());
        }
    }

    #[test]
    fn a_list_that_does_not_add_up_is_refused() {
        let (content, mut lists) = build(&entries(&(1..200).collect::<Vec<u16>>()));
        lists.values_mut().for_each(|list| list.truncate(list.len() - 40));
        let damaged = content.walk("a file", &mut |id| Ok(lists[id].clone()), &mut |_| Ok(()));
        damaged.expect_err("bytes are missing");
        lists.values_mut().for_each(|list| list.truncate(39));
        content.walk("a file", &mut |id| Ok(lists[id].clone()), &mut |_| Ok(())).expect_err("no list");
    }

    #[test]
    fn an_entry_of_no_bytes_is_refused() {
        let (content, mut lists) = build(&entries(&(1..200).collect::<Vec<u16>>()));
        // The sum stays.
        lists.values_mut().for_each(|list| list.extend([[0; 8].as_slice(), &[7; 32]].concat()));
        let damaged = content.walk("a file", &mut |id| Ok(lists[id].clone()), &mut |_| Ok(()));
        damaged.expect_err("an entry has no bytes");
        let json = |len: u8| format!("{{\"level\":0,\"entries\":[[{len},\"{}\"]]}}", "07".repeat(32));
        serde_json::from_str::<Content>(&json(1)).expect("a content");
        serde_json::from_str::<Content>(&json(0)).expect_err("an entry has no bytes");
    }
}
