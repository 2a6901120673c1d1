//! A file's hash, kept in parts, so that a block that has changed is known without the old one being read.
//!
//! BLAKE3 is a tree: the values of equal blocks at equal places are equal, and all of them together give the hash of the file.

use backup_core::copy::BLOCK;
use backup_core::manifest::ContentHash;
use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// The values of a file's blocks, all of [`BLOCK`] bytes but the last: 32 bytes for each.
#[derive(Debug, Default)]
pub(super) struct BlockHashes {
    values: Vec<ChainingValue>,
    size: u64,
    // The root of a tree is finished differently, and the first block may be all there is.
    first: Option<blake3::Hash>,
}

impl BlockHashes {
    /// Adds the block that follows.
    ///
    /// # Panics
    /// When an earlier one was not full.
    pub(super) fn push(&mut self, block: &[u8]) {
        assert_eq!(self.size, (self.values.len() * BLOCK) as u64, "only the last block may be short");
        let mut hasher = Hasher::new();
        hasher.set_input_offset(self.size);
        hasher.update(block);
        if self.values.is_empty() {
            self.first = Some(hasher.finalize());
        }
        self.values.push(hasher.finalize_non_root());
        self.size += block.len() as u64;
    }

    /// Whether the block added last is the one that `other` has in its place.
    pub(super) fn last_is_in(&self, other: &Self) -> bool {
        let last = self.values.len().checked_sub(1);
        last.is_some_and(|last| other.values.get(last) == Some(&self.values[last]))
    }

    /// How many bytes there were.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The hash of all blocks.
    pub(super) fn hash(&self) -> ContentHash {
        ContentHash(match (self.first, self.values.as_slice()) {
            (None, _) => blake3::hash(&[]),
            (Some(only), [_]) => only,
            (_, values) => {
                let (left, right) = halves(values);
                merge_subtrees_root(&value(left), &value(right), Mode::Hash)
            }
        })
    }
}

fn value(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [only] => *only,
        _ => {
            let (left, right) = halves(values);
            merge_subtrees_non_root(&value(left), &value(right), Mode::Hash)
        }
    }
}

/// The left side of a BLAKE3 tree is the largest full one that leaves something for the right.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().div_ceil(2).next_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_give_the_hash_of_the_whole() {
        let bytes: Vec<u8> =
            (0..9 * BLOCK as u32 / 4).flat_map(|n| n.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect();
        let sizes = [0, 1, 512, 4096, BLOCK - 512, BLOCK, BLOCK + 512];
        let more = (2..=8).flat_map(|blocks| [blocks * BLOCK - 4096, blocks * BLOCK, blocks * BLOCK + 65536]);
        for size in sizes.into_iter().chain(more) {
            let mut blocks = BlockHashes::default();
            bytes[..size].chunks(BLOCK).for_each(|block| blocks.push(block));
            assert_eq!((blocks.hash(), blocks.size()), (ContentHash::of(&bytes[..size]), size as u64));
        }
    }

    #[test]
    fn a_block_is_known_by_content_place_and_length() {
        let mut old = BlockHashes::default();
        old.push(&[1; BLOCK]);
        old.push(&[1; 8192]);
        let mut new = BlockHashes::default();
        assert!(!new.last_is_in(&old));
        new.push(&[1; BLOCK]);
        assert!(new.last_is_in(&old));
        new.push(&[1; 4096]);
        assert!(!new.last_is_in(&old));
    }
}
