//! Packs: frames of chunks, each compressed and encrypted, with their index at the end (docs/format.md).

use crate::crypto::{self, Id, WriteKey};
use crate::error::ArchiveError;
use crate::storage::{Storage, Stored};
use crate::wire::{Reader, Wire};

/// A pack's first bytes: what it is, and its version.
pub(crate) const MAGIC: [u8; 8] = *b"sbpack\x01\0";
/// What stands before the frames: the magic and the sealed key.
pub(crate) const HEAD: usize = 88;
/// Bytes that encryption adds.
const TAG: usize = 16;
/// A frame is closed at this size.
pub(crate) const FRAME: usize = 1 << 20;
/// A pack is closed at this size.
pub(crate) const PACK: usize = 12 << 20;
/// No honest frame is larger, as stored or unpacked.
const MOST_FRAME: usize = 16 << 20;
/// No honest index is larger.
const MOST_INDEX: usize = 64 << 20;
/// Bytes of an extent, and of one of its pages.
pub(crate) const EXTENT: usize = 64 << 10;
pub(crate) const PAGE: usize = 8 << 10;
pub(crate) const PAGES: usize = EXTENT / PAGE;
/// The compression level: higher ones take more time than they save room on pages of databases.
const LEVEL: i32 = 3;
/// What is read of a pack's end at once: mostly the whole index.
const END: usize = 64 << 10;

/// Digests of an extent's pages.
pub(crate) type Digests = [u64; PAGES];

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Extent(Digests),
    /// The given pages of an extent; the others are those of the base.
    Patch {
        base: Id,
        pages: u8,
    },
    List,
    Records,
}

impl Kind {
    /// Whether it tells of other chunks, and lies in packs of its own.
    pub(crate) fn is_meta(self) -> bool {
        matches!(self, Self::List | Self::Records)
    }

    /// As an index has it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Extent(_) => 1,
            Self::Patch { .. } => 2,
            Self::List => 3,
            Self::Records => 4,
        }
    }
}

/// A chunk of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkEntry {
    pub(crate) kind: Kind,
    pub(crate) id: Id,
    /// Bytes in the frame.
    pub(crate) len: u32,
}

/// Chunks on their way into a pack.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) chunks: Vec<ChunkEntry>,
}

impl Frame {
    pub(crate) fn push(&mut self, kind: Kind, id: Id, parts: &[&[u8]]) {
        let before = self.bytes.len();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        let len = u32::try_from(self.bytes.len() - before).expect("a chunk is far smaller than 4 GiB");
        self.chunks.push(ChunkEntry { kind, id, len });
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FRAME
    }
}

/// A frame as the index tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrameEntry {
    /// Bytes in the pack.
    pub(crate) stored: u32,
    /// Bytes of its chunks.
    pub(crate) raw: u32,
    pub(crate) is_packed: bool,
    pub(crate) chunks: Vec<ChunkEntry>,
}

/// A frame that is compressed where that makes it smaller, and not encrypted.
#[derive(Debug)]
pub(crate) struct PackedFrame {
    /// Of a length that encryption changes yet.
    entry: FrameEntry,
    bytes: Vec<u8>,
}

impl PackedFrame {
    /// Compresses a frame by way of `buffer`, which is left with what memory is not needed.
    pub(crate) fn compress(
        Frame { mut bytes, chunks }: Frame,
        zstd: &mut zstd::bulk::Compressor<'_>,
        buffer: &mut Vec<u8>,
    ) -> Self {
        let raw = narrow(bytes.len());
        buffer.clear();
        buffer.reserve_exact(bytes.len());
        let packed = zstd.compress_to_buffer(&bytes, buffer);
        let is_packed = packed.is_ok_and(|len| len < bytes.len());
        if is_packed {
            std::mem::swap(&mut bytes, buffer);
        }
        Self { entry: FrameEntry { stored: 0, raw, is_packed, chunks }, bytes }
    }
}

/// A pack that is being filled, in memory.
pub(crate) struct OpenPack {
    bytes: Vec<u8>,
    key: crypto::ObjectKey,
    frames: Vec<FrameEntry>,
}

impl OpenPack {
    /// An empty one, in the memory of an earlier one where there is any.
    pub(crate) fn new(key: &WriteKey, mut bytes: Vec<u8>) -> Self {
        let (key, sealed) = key.new_object_key();
        bytes.clear();
        bytes.reserve(PACK + 2 * FRAME);
        bytes.extend(MAGIC);
        bytes.extend(sealed);
        Self { bytes, key, frames: Vec::new() }
    }

    /// Encrypts a frame and adds it; returns its memory.
    pub(crate) fn push(&mut self, PackedFrame { mut entry, mut bytes }: PackedFrame) -> Vec<u8> {
        self.key.encrypt(self.frames.len() as u64, &[], &mut bytes);
        entry.stored = narrow(bytes.len());
        self.bytes.extend_from_slice(&bytes);
        self.frames.push(entry);
        bytes
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= PACK
    }

    /// Ends it with its index; returns its id and its bytes.
    pub(crate) fn close(mut self, key: &WriteKey) -> (String, Vec<u8>) {
        let mut index = write_index(&self.frames);
        key.index_key(sealed_part(&self.bytes)).encrypt(0, &self.bytes[..HEAD], &mut index);
        self.bytes.extend_from_slice(&index);
        self.bytes.u32(narrow(index.len()));
        (blake3::hash(&self.bytes).to_hex().to_string(), self.bytes)
    }
}

pub(crate) fn compressor() -> zstd::bulk::Compressor<'static> {
    zstd::bulk::Compressor::new(LEVEL).expect("zstd has this level")
}

/// The object's name of a pack.
pub(crate) fn name_of(id: &str) -> String {
    format!("packs/{}/{id}", &id[..2])
}

/// A pack as its index tells of it.
#[derive(Debug, Clone)]
pub(crate) struct PackIndex {
    pub(crate) name: String,
    pub(crate) len: u64,
    pub(crate) sealed: [u8; 80],
    pub(crate) frames: Vec<FrameEntry>,
}

impl PackIndex {
    /// Reads it from the end of the pack.
    pub(crate) fn read(storage: &dyn Storage, pack: &Stored, key: &WriteKey) -> Result<Self, ArchiveError> {
        let damaged = |reason: &str| ArchiveError::damaged(&pack.name, reason);
        let end = pack.len.min(END as u64) as usize;
        let tail = storage.get_range(&pack.name, pack.len - end as u64, end)?;
        let (tail, len) = tail.split_last_chunk::<4>().ok_or_else(|| damaged("it is cut off"))?;
        let len = u32::from_le_bytes(*len) as usize;
        if len > MOST_INDEX || (HEAD + len + 4) as u64 > pack.len {
            return Err(damaged("its end is no index"));
        }
        let mut index = match tail.len().checked_sub(len) {
            Some(start) => tail[start..].to_vec(),
            None => storage.get_range(&pack.name, pack.len - 4 - len as u64, len)?,
        };
        let head = storage.get_range(&pack.name, 0, HEAD)?;
        check_head(&pack.name, &head, MAGIC)?;
        let sealed = *sealed_part(&head);
        key.index_key(&sealed)
            .decrypt(0, &head, &mut index)
            .map_err(|error| damaged(&format!("its index: {error}")))?;
        let frames = read_index(&index).ok_or_else(|| damaged("its index makes no sense"))?;
        let stored: u64 = frames.iter().map(|frame| u64::from(frame.stored)).sum();
        if stored + (HEAD + len + 4) as u64 != pack.len {
            return Err(damaged("its length is not that of its frames"));
        }
        Ok(Self { name: pack.name.clone(), len: pack.len, sealed, frames })
    }

    /// Where a frame begins.
    pub(crate) fn offset_of(&self, number: usize) -> u64 {
        HEAD as u64 + self.frames[..number].iter().map(|frame| u64::from(frame.stored)).sum::<u64>()
    }

    /// Bytes behind the last frame.
    pub(crate) fn end_len(&self) -> usize {
        usize::try_from(self.len - self.offset_of(self.frames.len())).expect("an index has its limit")
    }

    /// Decrypts and unpacks a frame of which `stored` are the bytes, in the memory of `buffer` where it is packed.
    pub(crate) fn open_frame(
        &self,
        number: usize,
        stored: Vec<u8>,
        key: &crypto::ObjectKey,
        mut buffer: Vec<u8>,
    ) -> Result<Vec<u8>, ArchiveError> {
        let frame = &self.frames[number];
        let damaged = |reason: &str| ArchiveError::damaged(&self.name, format!("frame {number}: {reason}"));
        let mut bytes = self.decrypt_frame(number, stored, key)?;
        if frame.is_packed {
            buffer.clear();
            buffer.reserve_exact(frame.raw as usize);
            let unpacked =
                zstd::bulk::Decompressor::new().and_then(|mut zstd| zstd.decompress_to_buffer(&bytes, &mut buffer));
            unpacked.map_err(|error| damaged(&error.to_string()))?;
            bytes = buffer;
        }
        if bytes.len() != frame.raw as usize {
            return Err(damaged("it has another length"));
        }
        Ok(bytes)
    }

    fn decrypt_frame(
        &self,
        number: usize,
        mut stored: Vec<u8>,
        key: &crypto::ObjectKey,
    ) -> Result<Vec<u8>, ArchiveError> {
        let opened = key.decrypt(number as u64, &[], &mut stored);
        opened.map_err(|error| ArchiveError::damaged(&self.name, format!("frame {number}: {error}")))?;
        Ok(stored)
    }

    /// A frame for another pack, of which `stored` are the bytes.
    pub(crate) fn packed_frame(
        &self,
        number: usize,
        stored: Vec<u8>,
        key: &crypto::ObjectKey,
    ) -> Result<PackedFrame, ArchiveError> {
        Ok(PackedFrame { entry: self.frames[number].clone(), bytes: self.decrypt_frame(number, stored, key)? })
    }
}

/// Refuses what is not of this kind or of a later version.
pub(crate) fn check_head(name: &str, head: &[u8], magic: [u8; 8]) -> Result<(), ArchiveError> {
    match head.get(..8) {
        Some(found) if found == magic => Ok(()),
        Some(found) if found[..6] == magic[..6] && found[6] > magic[6] => {
            Err(ArchiveError::Newer { name: name.to_owned(), version: found[6].into(), ours: magic[6].into() })
        }
        _ => Err(ArchiveError::damaged(name, "it begins with something else")),
    }
}

/// The sealed key in the head of a pack or a snapshot.
pub(crate) fn sealed_part(head: &[u8]) -> &[u8; 80] {
    head[8..HEAD].first_chunk().expect("a head has 88 bytes")
}

pub(crate) fn write_index(frames: &[FrameEntry]) -> Vec<u8> {
    let mut index = Vec::new();
    index.u32(narrow(frames.len()));
    for frame in frames {
        index.u32(frame.stored);
        index.u32(frame.raw);
        index.push(frame.is_packed.into());
        index.u32(narrow(frame.chunks.len()));
        for ChunkEntry { kind, id, len } in &frame.chunks {
            index.push(kind.number());
            index.extend(id.bytes());
            index.u32(*len);
            match kind {
                Kind::Extent(digests) => digests.iter().for_each(|digest| index.u64(*digest)),
                Kind::Patch { base, pages } => {
                    index.extend(base.bytes());
                    index.push(*pages);
                }
                _ => {}
            }
        }
    }
    index
}

/// `None` for what no program writes.
pub(crate) fn read_index(index: &[u8]) -> Option<Vec<FrameEntry>> {
    let mut reader = Reader(index);
    let count = reader.u32()?;
    // An entry has 13 bytes at least: a count that lies allots nothing.
    let mut frames = Vec::with_capacity((count as usize).min(index.len() / 13));
    for _ in 0..count {
        let (stored, raw, packing, chunks) = (reader.u32()?, reader.u32()?, reader.u8()?, reader.u32()?);
        let chunks = (0..chunks).map(|_| read_chunk(&mut reader)).collect::<Option<Vec<_>>>()?;
        let all: u64 = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
        let within = stored as usize <= MOST_FRAME && raw as usize <= MOST_FRAME && stored as usize >= TAG;
        if packing > 1 || all != u64::from(raw) || !within {
            return None;
        }
        frames.push(FrameEntry { stored, raw, is_packed: packing == 1, chunks });
    }
    reader.0.is_empty().then_some(frames)
}

fn read_chunk(reader: &mut Reader<'_>) -> Option<ChunkEntry> {
    let (kind, id, len) = (reader.u8()?, Id::from_bytes(*reader.bytes()?), reader.u32()?);
    let kind = match kind {
        0 => Kind::Data,
        1 => {
            let mut digests = Digests::default();
            for digest in &mut digests {
                *digest = reader.u64()?;
            }
            Kind::Extent(digests)
        }
        2 => Kind::Patch { base: Id::from_bytes(*reader.bytes()?), pages: reader.u8()? },
        3 => Kind::List,
        4 => Kind::Records,
        _ => return None,
    };
    let expected = match kind {
        Kind::Extent(_) => Some(EXTENT),
        Kind::Patch { pages, .. } => Some(pages.count_ones() as usize * PAGE),
        _ => None,
    };
    expected.is_none_or(|expected| expected == len as usize).then_some(ChunkEntry { kind, id, len })
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("nothing in a pack comes near 4 GiB")
}
