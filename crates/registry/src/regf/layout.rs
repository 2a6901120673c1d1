//! Numbers of the format that reader, logs and writer share. docs/hive-format.md tells what they mean.

pub(super) const REGF: &[u8] = b"regf";
pub(super) const HBIN: &[u8] = b"hbin";

/// The size of the base block, and what the size of a bin is a multiple of.
pub(super) const BLOCK: usize = 4096;
pub(super) const BIN_HEADER: usize = 32;

/// An offset that leads nowhere.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Offsets of the base block.
pub(super) mod base {
    pub(in crate::regf) const SEQUENCE_1: usize = 4;
    pub(in crate::regf) const SEQUENCE_2: usize = 8;
    pub(in crate::regf) const TIMESTAMP: usize = 12;
    pub(in crate::regf) const MAJOR: usize = 20;
    pub(in crate::regf) const MINOR: usize = 24;
    pub(in crate::regf) const FILE_TYPE: usize = 28;
    pub(in crate::regf) const FILE_FORMAT: usize = 32;
    pub(in crate::regf) const ROOT: usize = 36;
    pub(in crate::regf) const BINS_SIZE: usize = 40;
    pub(in crate::regf) const CLUSTERING: usize = 44;
    pub(in crate::regf) const CHECKSUM: usize = 508;
}

/// The length of a key node without its name, and of a key value.
pub(super) const NK: usize = 76;
pub(super) const VK: usize = 20;
pub(super) const SK: usize = 20;

pub(super) const KEY_IS_ROOT: u16 = 0x4;
pub(super) const KEY_NO_DELETE: u16 = 0x8;
pub(super) const KEY_IS_LINK: u16 = 0x10;
pub(super) const KEY_LATIN1: u16 = 0x20;
pub(super) const VALUE_LATIN1: u16 = 0x1;

/// The bit of a value's size which says that the data stand in place of their offset.
pub(super) const INLINE: u32 = 0x8000_0000;

/// How much of a long value's data one of its cells holds, and so the longest data in one cell since 1.4.
pub(super) const SEGMENT: usize = 16_344;

/// The longest name of a key that Windows takes, in units.
pub(super) const MAX_KEY_NAME: usize = 255;
/// The longest name of a value that Windows takes, in units.
pub(super) const MAX_VALUE_NAME: usize = 16_383;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The checksum of a base block, which must be there up to it.
pub(super) fn checksum(base: &[u8]) -> u32 {
    let (words, _) = base[..base::CHECKSUM].as_chunks();
    let sum = words.iter().copied().map(u32::from_le_bytes).fold(0, |sum, word| sum ^ word);
    // Neither of these two is a checksum, so that neither a blank nor an erased sector has a right one.
    match sum {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    }
}
