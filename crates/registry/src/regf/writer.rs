//! A tree to a hive, in one pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::layout::{
    BIN_HEADER, BLOCK, HBIN, INLINE, KEY_IS_LINK, KEY_IS_ROOT, KEY_LATIN1, KEY_NO_DELETE, MAX_KEY_NAME, MAX_VALUE_NAME,
    NK, NOWHERE, REGF, SEGMENT, SK, VALUE_LATIN1, VK, base, checksum,
};
use super::security::default_security;
use super::{Header, Version};
use crate::name::{KeyPath, MAX_DEPTH, Name};
use crate::tree::Key;
use crate::value::Value;

/// How many subkeys one leaf holds, so that it fits into a bin of the smallest size; as Windows has it.
const LEAF: usize = 507;

/// The longest value in a hive of version 1.3.
const MAX_DATA_1_3: usize = 1 << 20;

/// A key that a hive cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `{path}` cannot be written to a hive: {reason}")]
pub struct WriteError {
    /// The key.
    pub path: KeyPath,
    /// What stands against it.
    pub reason: &'static str,
}

/// Writes `root` with all below it as a hive that is closed. The same tree and header give the same bytes.
///
/// Names and their order, values, classes, last-write times and security descriptors are kept; a key without a
/// descriptor gets [`default_security`]. Fails where a name or a value is longer, or a key deeper, than Windows has them.
pub fn write(root: &Key, header: &Header) -> Result<Vec<u8>, WriteError> {
    let mut writer = Writer {
        out: vec![0; BLOCK],
        bin_end: BLOCK,
        path: KeyPath::default(),
        old: header.version == Version::V1_3,
        default: default_security(),
        security: HashMap::new(),
        last: None,
        ring: Vec::new(),
    };
    if header.root_name.units().len() > MAX_KEY_NAME {
        return Err(writer.error("its name is longer than 255 characters"));
    }
    let offset = writer.key(&header.root_name, root, NOWHERE)?;
    writer.close_bin();
    writer.join_security();
    writer.base_block(header, offset);
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    /// Where the bin ends that is being filled.
    bin_end: usize,
    path: KeyPath,
    /// Whether this is a hive of version 1.3.
    old: bool,
    default: Arc<[u8]>,
    /// The cell of each descriptor, by its bytes.
    security: HashMap<Arc<[u8]>, usize>,
    /// The descriptor that was used last, and its place in `ring`: most keys have that of their neighbour.
    last: Option<(Arc<[u8]>, usize)>,
    /// The cells of all descriptors with how many keys use each.
    ring: Vec<(u32, u32)>,
}

impl Writer {
    fn key(&mut self, name: &Name, key: &Key, parent: u32) -> Result<u32, WriteError> {
        let is_root = parent == NOWHERE;
        self.check(name, key, is_root)?;
        let offset = self.cell(NK + stored_length(name))?;
        let security = self.security(key)?;
        let (class, class_length) = self.class(key)?;
        let (values, longest_name, longest_data) = self.values(key)?;
        let (subkeys, longest_subkey, longest_class) = self.subkeys(key, offset)?;
        let flags = [
            (KEY_IS_ROOT | KEY_NO_DELETE, is_root),
            (KEY_IS_LINK, key.is_link()),
            (KEY_LATIN1, name.narrow().is_some()),
        ];
        let flags = flags.into_iter().filter(|(_, set)| *set).fold(0, |flags, (flag, _)| flags | flag);
        let mut node = Record::new(self.content(offset));
        node.bytes(b"nk").half(flags).long(key.last_write().unwrap_or_default()).word(0);
        node.word(if is_root { NOWHERE } else { parent }).word(key.subkeys().len() as u32).word(0);
        node.word(subkeys).word(NOWHERE).word(key.values().len() as u32).word(values).word(security).word(class);
        node.word(longest_subkey).word(longest_class).word(longest_name).word(longest_data).word(0);
        node.half(stored_length(name) as u16).half(class_length).name(name);
        Ok(offset)
    }

    fn check(&self, name: &Name, key: &Key, is_root: bool) -> Result<(), WriteError> {
        if self.path.names().len() > MAX_DEPTH {
            return Err(self.error("it is nested deeper than 512 levels"));
        }
        if !is_root && name.units().len() > MAX_KEY_NAME {
            return Err(self.error("its name is longer than 255 characters"));
        }
        if key.class().is_some_and(|class| class.units().len() > usize::from(u16::MAX) / 2) {
            return Err(self.error("its class name is longer than 32767 characters"));
        }
        Ok(())
    }

    fn class(&mut self, key: &Key) -> Result<(u32, u16), WriteError> {
        let Some(class) = key.class() else { return Ok((NOWHERE, 0)) };
        let length = 2 * class.units().len();
        let offset = self.cell(length)?;
        Record::new(self.content(offset)).wide(class);
        Ok((offset, length as u16))
    }

    /// Writes the values of a key; returns their list, and the lengths of the longest name and the longest data.
    fn values(&mut self, key: &Key) -> Result<(u32, u32, u32), WriteError> {
        let count = key.values().len();
        if count == 0 {
            return Ok((NOWHERE, 0, 0));
        }
        let list = self.cell(4 * count)?;
        let (mut longest_name, mut longest_data) = (0, 0);
        for (at, (name, value)) in key.values().enumerate() {
            let offset = self.value(name, value)?;
            self.content(list)[4 * at..4 * at + 4].copy_from_slice(&offset.to_le_bytes());
            longest_name = longest_name.max(2 * name.units().len() as u32);
            longest_data = longest_data.max(value.data().len() as u32);
        }
        Ok((list, longest_name, longest_data))
    }

    fn value(&mut self, name: &Name, value: &Value) -> Result<u32, WriteError> {
        if name.units().len() > MAX_VALUE_NAME {
            return Err(self.error("the name of a value is longer than 16383 characters"));
        }
        let offset = self.cell(VK + stored_length(name))?;
        let data = value.data();
        let (size, place) = match data.len() {
            0..=4 => {
                let mut place = [0; 4];
                place[..data.len()].copy_from_slice(data);
                (data.len() as u32 | INLINE, u32::from_le_bytes(place))
            }
            length => (length as u32, self.data(data)?),
        };
        let flags = if name.narrow().is_some() { VALUE_LATIN1 } else { 0 };
        let mut record = Record::new(self.content(offset));
        record.bytes(b"vk").half(stored_length(name) as u16).word(size).word(place).word(value.kind().0).half(flags);
        record.half(0).name(name);
        Ok(offset)
    }

    fn data(&mut self, data: &[u8]) -> Result<u32, WriteError> {
        if self.old && data.len() > MAX_DATA_1_3 {
            return Err(self.error("a value is longer than the 1 MiB that version 1.3 has room for"));
        }
        if !self.old && data.len() > SEGMENT {
            return self.segments(data);
        }
        let offset = self.cell(data.len())?;
        self.content(offset)[..data.len()].copy_from_slice(data);
        Ok(offset)
    }

    fn segments(&mut self, data: &[u8]) -> Result<u32, WriteError> {
        let count = data.len().div_ceil(SEGMENT);
        let Ok(count_written) = u16::try_from(count) else {
            return Err(self.error("a value is longer than 1 GiB"));
        };
        let offset = self.cell(12)?;
        let list = self.cell(4 * count)?;
        Record::new(self.content(offset)).bytes(b"db").half(count_written).word(list).word(0);
        for (at, segment) in data.chunks(SEGMENT).enumerate() {
            // Windows leaves four bytes at the end of each.
            let cell = self.cell(segment.len() + 4)?;
            self.content(cell)[..segment.len()].copy_from_slice(segment);
            self.content(list)[4 * at..4 * at + 4].copy_from_slice(&cell.to_le_bytes());
        }
        Ok(offset)
    }

    /// Writes the subkeys of a key; returns their list, and the lengths of the longest name and class.
    fn subkeys(&mut self, key: &Key, parent: u32) -> Result<(u32, u32, u32), WriteError> {
        let count = key.subkeys().len();
        let (mut longest_name, mut longest_class) = (0, 0);
        let mut elements = Vec::with_capacity(count);
        for (name, subkey) in key.subkeys() {
            self.path.push(name);
            let offset = self.key(name, subkey, parent)?;
            self.path.pop();
            elements.push((offset, if self.old { hint(name) } else { hash(name) }));
            longest_name = longest_name.max(2 * name.units().len() as u32);
            longest_class = longest_class.max(2 * subkey.class().map_or(0, |class| class.units().len()) as u32);
        }
        let list = match elements.len() {
            0 => NOWHERE,
            1..=LEAF => self.leaf(&elements)?,
            _ => self.leaves(&elements)?,
        };
        Ok((list, longest_name, longest_class))
    }

    fn leaf(&mut self, elements: &[(u32, u32)]) -> Result<u32, WriteError> {
        let signature = if self.old { b"lf" } else { b"lh" };
        let offset = self.cell(4 + 8 * elements.len())?;
        let mut record = Record::new(self.content(offset));
        record.bytes(signature).half(elements.len() as u16);
        for (node, hash) in elements {
            record.word(*node).word(*hash);
        }
        Ok(offset)
    }

    fn leaves(&mut self, elements: &[(u32, u32)]) -> Result<u32, WriteError> {
        let count = elements.len().div_ceil(LEAF);
        let Ok(count_written) = u16::try_from(count) else {
            return Err(self.error("it has more than 33 million subkeys"));
        };
        let offset = self.cell(4 + 4 * count)?;
        Record::new(self.content(offset)).bytes(b"ri").half(count_written);
        // Leaves of nearly one size, so that a key more splits none of them.
        for at in 0..count {
            let (from, to) = (at * elements.len() / count, (at + 1) * elements.len() / count);
            let leaf = self.leaf(&elements[from..to])?;
            self.content(offset)[4 + 4 * at..8 + 4 * at].copy_from_slice(&leaf.to_le_bytes());
        }
        Ok(offset)
    }

    /// The cell of a key's security descriptor, which all keys with the same bytes share.
    fn security(&mut self, key: &Key) -> Result<u32, WriteError> {
        let descriptor = Arc::clone(key.security().unwrap_or(&self.default));
        let at = match &self.last {
            Some((last, at)) if Arc::ptr_eq(last, &descriptor) => *at,
            _ => match self.security.get(&descriptor) {
                Some(&at) => at,
                None => self.new_security(&descriptor)?,
            },
        };
        self.last = Some((descriptor, at));
        self.ring[at].1 += 1;
        Ok(self.ring[at].0)
    }

    fn new_security(&mut self, descriptor: &Arc<[u8]>) -> Result<usize, WriteError> {
        let offset = self.cell(SK + descriptor.len())?;
        let mut record = Record::new(self.content(offset));
        record.bytes(b"sk").half(0).word(0).word(0).word(0).word(descriptor.len() as u32).bytes(descriptor);
        self.ring.push((offset, 0));
        self.security.insert(Arc::clone(descriptor), self.ring.len() - 1);
        Ok(self.ring.len() - 1)
    }

    /// Makes the cells of descriptors a ring, and writes how many keys use each.
    fn join_security(&mut self) {
        let count = self.ring.len();
        for at in 0..count {
            let (offset, users) = self.ring[at];
            let (next, previous) = (self.ring[(at + 1) % count].0, self.ring[(at + count - 1) % count].0);
            Record::new(&mut self.content(offset)[4..]).word(next).word(previous).word(users);
        }
    }

    /// Makes a cell in use with room for `length` bytes, all zero; returns its offset.
    fn cell(&mut self, length: usize) -> Result<u32, WriteError> {
        let size = (4 + length).next_multiple_of(8);
        if self.out.len() + size > self.bin_end {
            self.close_bin();
            self.open_bin(size);
        }
        let at = self.out.len();
        // The highest bit of an offset is not part of it.
        let too_large = || self.error("with all before it, it is larger than the 2 GiB that a hive can have");
        let end = i32::try_from(at + size).map_err(|_| too_large())?;
        self.out.extend_from_slice(&(-(size as i32)).to_le_bytes());
        self.out.resize(end as usize, 0);
        Ok((at - BLOCK) as u32)
    }

    fn open_bin(&mut self, cell: usize) {
        let size = (BIN_HEADER + cell).next_multiple_of(BLOCK);
        let offset = (self.out.len() - BLOCK) as u32;
        self.bin_end = self.out.len() + size;
        self.out.extend_from_slice(HBIN);
        for word in [offset, size as u32, 0, 0, 0, 0, 0] {
            self.out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Makes what is left of the bin a cell that is not in use.
    fn close_bin(&mut self) {
        let left = self.bin_end - self.out.len();
        if left > 0 {
            self.out.extend_from_slice(&(left as u32).to_le_bytes());
            self.out.resize(self.bin_end, 0);
        }
    }

    fn content(&mut self, offset: u32) -> &mut [u8] {
        &mut self.out[BLOCK + offset as usize + 4..]
    }

    fn base_block(&mut self, header: &Header, root: u32) {
        let bins_size = (self.out.len() - BLOCK) as u32;
        let minor = if self.old { 3 } else { Version::V1_5.minor() };
        let mut record = Record::new(&mut self.out);
        record.bytes(REGF).word(header.sequence).word(header.sequence).long(header.timestamp);
        record.word(1).word(minor).word(0).word(1).word(root).word(bins_size).word(1);
        // The first bin keeps the time a second time.
        self.out[BLOCK + 20..BLOCK + 28].copy_from_slice(&header.timestamp.to_le_bytes());
        let sum = checksum(&self.out);
        self.out[base::CHECKSUM..base::CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
    }

    fn error(&self, reason: &'static str) -> WriteError {
        WriteError { path: self.path.clone(), reason }
    }
}

/// How many bytes a name takes in a key node or value.
fn stored_length(name: &Name) -> usize {
    name.narrow().map_or_else(|| 2 * name.units().len(), <[u8]>::len)
}

/// What stands beside a subkey in a list of version 1.5.
fn hash(name: &Name) -> u32 {
    name.folded().fold(0u32, |hash, unit| hash.wrapping_mul(37).wrapping_add(unit.into()))
}

/// What stands beside a subkey in a list of version 1.3: its first four characters, or zero where one is not Latin-1.
fn hint(name: &Name) -> u32 {
    let mut hint = [0; 4];
    for (place, unit) in hint.iter_mut().zip(name.units()) {
        match u8::try_from(unit) {
            Ok(unit) => *place = unit,
            Err(_) => return 0,
        }
    }
    u32::from_le_bytes(hint)
}

/// Numbers and bytes, one after the other.
struct Record<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl<'o> Record<'o> {
    fn new(out: &'o mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    fn half(&mut self, number: u16) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn word(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn long(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn name(&mut self, name: &Name) -> &mut Self {
        match name.narrow() {
            Some(units) => self.bytes(units),
            None => self.wide(name),
        }
    }

    fn wide(&mut self, name: &Name) -> &mut Self {
        name.units().fold(self, |record, unit| record.half(unit))
    }
}
