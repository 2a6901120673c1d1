//! A hive to a tree: strictly, or as much of it as there is.

use std::collections::HashMap;
use std::sync::Arc;

use super::cells::Cells;
use super::layout::{
    BLOCK, HBIN, INLINE, KEY_IS_ROOT, KEY_LATIN1, MAX_KEY_NAME, NK, NOWHERE, REGF, SEGMENT, SK, VALUE_LATIN1, VK, base,
    checksum, u16_at, u32_at, u64_at,
};
use super::security::is_default_security;
use super::{Fault, Header, Hive, Losses, Version};
use crate::name::{KeyPath, MAX_DEPTH, Name};
use crate::tree::Key;
use crate::value::{Value, ValueType};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Strict,
    Lenient,
}

/// What becomes of a damaged thing: in strict mode it is the error of the whole, in lenient mode there is `None` of it.
type Kept<T> = Result<Option<T>, Fault>;

type Why = &'static str;

pub(super) fn read(bytes: &[u8], mode: Mode) -> Result<(Hive, Losses), Fault> {
    let path = KeyPath::default();
    let mut notes = Notes { mode, losses: Losses::default(), room: (bytes.len() / 16).max(64 << 10), path };
    let (mut header, bins) = open(bytes, &mut notes)?;
    let mut cells = Cells::new(bins);
    let mut fault = None;
    cells.take_bins(|at, why| {
        fault = notes.fault(at + BLOCK, why).err();
        fault.is_none()
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    let big_data = header.version >= Version::V1_4;
    let mut reader = Reader { cells, notes, big_data, security: HashMap::new() };
    let offset = reader.root_offset(u32_at(bytes, base::ROOT).unwrap_or(NOWHERE))?;
    let (name, root) = match reader.tree(offset)? {
        Some(root) => root,
        None => return Err(reader.notes.new_fault(offset as usize + BLOCK, "the root key cannot be read")),
    };
    header.root_name = name;
    Ok((Hive { root, header }, reader.notes.losses))
}

/// Judges the base block, and returns what it says with the bins.
fn open<'h>(bytes: &'h [u8], notes: &mut Notes) -> Result<(Header, &'h [u8]), Fault> {
    let Some(base_block) = bytes.get(..BLOCK) else {
        return Err(notes.new_fault(bytes.len(), "the file is shorter than the base block of a hive"));
    };
    let first_bin = bytes.get(BLOCK..).filter(|bins| bins.starts_with(HBIN));
    if !base_block.starts_with(REGF) {
        if first_bin.is_none() {
            return Err(notes.new_fault(0, "expected the signature `regf`"));
        }
        notes.fault(0, "expected the signature `regf`")?;
    }
    let number = |at| u32_at(base_block, at).unwrap_or_default();
    let is_whole = number(base::CHECKSUM) == checksum(base_block);
    if !is_whole {
        notes.fault(base::CHECKSUM, "the checksum of the base block is not right; transaction logs may mend it")?;
    }
    if number(base::SEQUENCE_1) != number(base::SEQUENCE_2) {
        notes.fault(base::SEQUENCE_2, "the hive was not closed; its transaction logs are needed")?;
    }
    let version = match (number(base::MAJOR), Version::of(number(base::MINOR))) {
        (1, Some(version)) => version,
        _ => {
            notes.fault(base::MAJOR, "the version is none of 1.3 to 1.6")?;
            Version::V1_5
        }
    };
    if (number(base::FILE_TYPE), number(base::FILE_FORMAT)) != (0, 1) {
        notes.fault(base::FILE_TYPE, "the file is none that holds a whole hive")?;
    }
    let timestamp = u64_at(base_block, base::TIMESTAMP).unwrap_or_default();
    let header = Header { version, sequence: number(base::SEQUENCE_1), timestamp, root_name: Name::default() };
    Ok((header, bins(bytes, number(base::BINS_SIZE) as usize, is_whole, notes)?))
}

fn bins<'h>(bytes: &'h [u8], size: usize, is_whole: bool, notes: &mut Notes) -> Result<&'h [u8], Fault> {
    let all = &bytes[BLOCK..];
    if !size.is_multiple_of(BLOCK) {
        notes.fault(base::BINS_SIZE, "the size of the hive is no multiple of 4096")?;
        return Ok(all);
    }
    if size > all.len() {
        notes.fault(bytes.len(), "the file ends before the hive does")?;
    }
    // A base block that is damaged is not trusted to tell where the hive ends.
    Ok(if is_whole { &all[..size.min(all.len())] } else { all })
}

/// What is wrong, and where the reader is.
struct Notes {
    mode: Mode,
    losses: Losses,
    /// How many more bytes of faults are listed.
    room: usize,
    path: KeyPath,
}

impl Notes {
    fn new_fault(&self, offset: usize, reason: Why) -> Fault {
        Fault { offset: offset as u64, path: self.path.clone(), reason }
    }

    /// In strict mode the error, in lenient mode one more loss.
    fn fault(&mut self, offset: usize, reason: Why) -> Result<(), Fault> {
        if self.mode == Mode::Strict {
            return Err(self.new_fault(offset, reason));
        }
        let names = self.path.names();
        let cost =
            size_of::<Fault>() + names.iter().map(|name| size_of::<Name>() + 2 * name.units().len()).sum::<usize>();
        match self.room.checked_sub(cost) {
            Some(room) => {
                self.room = room;
                self.losses.faults.push(self.new_fault(offset, reason));
            }
            None => self.losses.unlisted += 1,
        }
        Ok(())
    }
}

/// A key whose subkeys are being read.
struct Open {
    offset: u32,
    name: Name,
    key: Key,
    offsets: std::vec::IntoIter<u32>,
    subkeys: Vec<(Name, Key)>,
}

struct Reader<'h> {
    cells: Cells<'h>,
    notes: Notes,
    /// Whether long values may lie in several cells.
    big_data: bool,
    security: HashMap<u32, Option<Arc<[u8]>>>,
}

impl<'h> Reader<'h> {
    /// The root that the base block names, or else a key node that says it is the root.
    fn root_offset(&mut self, named: u32) -> Result<u32, Fault> {
        let is_root = |cell: &[u8]| is_node(cell) && u16_at(cell, 2).is_some_and(|flags| flags & KEY_IS_ROOT != 0);
        match self.cells.peek(named) {
            Ok(cell) if is_node(cell) => {}
            _ => {
                self.notes.fault(base::ROOT, "the base block leads to no root key")?;
                let found = self.cells.find(is_root);
                let offset = found.ok_or_else(|| self.notes.new_fault(base::ROOT, "there is no root key"))?;
                return self
                    .claim(offset)?
                    .map(|_| offset)
                    .ok_or_else(|| self.notes.new_fault(0, "there is no root key"));
            }
        }
        self.claim(named)?.map(|_| named).ok_or_else(|| self.notes.new_fault(0, "the root key is used twice"))
    }

    fn lost<T>(&mut self, offset: u32, why: Why) -> Kept<T> {
        self.notes.fault(offset as usize + BLOCK, why).map(|()| None)
    }

    fn claim(&mut self, offset: u32) -> Kept<&'h [u8]> {
        match self.cells.claim(offset) {
            Ok(cell) => Ok(Some(cell)),
            Err(why) => self.lost(offset, why),
        }
    }

    /// Reads the root with all below it. Not recursive: how deep a hostile hive is must not decide how much stack is used.
    fn tree(&mut self, offset: u32) -> Kept<(Name, Key)> {
        let Some(root) = self.open(offset, true)? else { return Ok(None) };
        let mut parents = Vec::new();
        let mut open = root;
        loop {
            if let Some(offset) = open.offsets.next() {
                if let Some(subkey) = self.open(offset, false)? {
                    self.notes.path.push(&subkey.name);
                    parents.push(std::mem::replace(&mut open, subkey));
                }
                continue;
            }
            if open.key.fill_subkeys(open.subkeys) {
                self.lost::<()>(open.offset, "two subkeys have one name")?;
            }
            let Some(mut parent) = parents.pop() else { return Ok(Some((open.name, open.key))) };
            self.notes.path.pop();
            parent.subkeys.push((open.name, open.key));
            open = parent;
        }
    }

    /// Reads the key whose node, at `offset`, was claimed, as far as its subkeys.
    fn open(&mut self, offset: u32, is_root: bool) -> Kept<Open> {
        let node = match self.cells.peek(offset) {
            Ok(node) if is_node(node) => node,
            Ok(_) => return self.lost(offset, "expected a key node"),
            Err(why) => return self.lost(offset, why),
        };
        let name = match key_name(node) {
            Ok(name) => name,
            Err(why) => return self.lost(offset, why),
        };
        if let Some(why) = fault_of_name(&name).filter(|_| !is_root) {
            return self.lost(offset, why);
        }
        if !is_root && self.notes.path.names().len() == MAX_DEPTH {
            return self.lost(offset, "the key is nested deeper than 512 levels");
        }
        if !is_root {
            self.notes.path.push(&name);
        }
        let open = self.contents(offset, node, name);
        if !is_root {
            self.notes.path.pop();
        }
        open.map(Some)
    }

    fn contents(&mut self, offset: u32, node: &'h [u8], name: Name) -> Result<Open, Fault> {
        let number = |at| u32_at(node, at).unwrap_or_default();
        let mut key = Key::default();
        key.set_last_write(u64_at(node, 4));
        key.set_class(self.class(number(48), u16_at(node, 74).unwrap_or_default())?);
        key.set_security(self.security(number(44))?);
        let values = self.values(number(40), number(36))?;
        if key.fill_values(values) {
            self.lost::<()>(offset, "two values have one name")?;
        }
        let offsets = self.subkeys(offset, number(28), number(20))?;
        let subkeys = Vec::with_capacity(offsets.len());
        Ok(Open { offset, name, key, offsets: offsets.into_iter(), subkeys })
    }

    fn class(&mut self, offset: u32, length: u16) -> Kept<Name> {
        if length == 0 || offset == NOWHERE {
            return Ok(None);
        }
        let Some(cell) = self.claim(offset)? else { return Ok(None) };
        match cell.get(..usize::from(length)).map(<[u8]>::as_chunks) {
            Some((units, [])) => Ok(Some(Name::from_utf16le(units))),
            _ => self.lost(offset, "the class name does not fit its cell"),
        }
    }

    fn security(&mut self, offset: u32) -> Kept<Arc<[u8]>> {
        if offset == NOWHERE {
            return Ok(None);
        }
        if let Some(known) = self.security.get(&offset) {
            return Ok(known.clone());
        }
        let read = self.new_security(offset)?;
        self.security.insert(offset, read.clone());
        Ok(read)
    }

    fn new_security(&mut self, offset: u32) -> Kept<Arc<[u8]>> {
        let Some(cell) = self.claim(offset)? else { return Ok(None) };
        let length = u32_at(cell, 16).unwrap_or_default() as usize;
        match cell.get(SK..).and_then(|rest| rest.get(..length)).filter(|_| cell.starts_with(b"sk")) {
            Some(descriptor) if is_default_security(descriptor) => Ok(None),
            Some(descriptor) => Ok(Some(descriptor.into())),
            None => self.lost(offset, "expected a security descriptor"),
        }
    }

    /// Claims the nodes of a key's subkeys.
    fn subkeys(&mut self, node: u32, list: u32, count: u32) -> Result<Vec<u32>, Fault> {
        let mut offsets = Vec::new();
        if count > 0 {
            self.list(list, &mut offsets, true)?;
        }
        if offsets.len() != count as usize {
            self.lost::<()>(node, "the lists hold another number of subkeys than the key says")?;
        }
        self.claim_all(&mut offsets, is_node, "expected a key node")?;
        Ok(offsets)
    }

    /// Appends the offsets of subkeys in a list, and in the lists that it leads to if it is the upper one of two levels.
    fn list(&mut self, offset: u32, offsets: &mut Vec<u32>, upper: bool) -> Result<(), Fault> {
        let Some(cell) = self.claim(offset)? else { return Ok(()) };
        let step = match cell.get(..2) {
            Some(b"lf" | b"lh") => 8,
            Some(b"li") => 4,
            Some(b"ri") if upper => 4,
            _ => return self.lost::<()>(offset, "expected a list of subkeys").map(drop),
        };
        let length = usize::from(u16_at(cell, 2).unwrap_or_default()) * step;
        let Some(elements) = cell.get(4..).and_then(|rest| rest.get(..length)) else {
            return self.lost::<()>(offset, "the list of subkeys does not fit its cell").map(drop);
        };
        for element in elements.chunks_exact(step) {
            let element = u32_at(element, 0).unwrap_or(NOWHERE);
            if cell.starts_with(b"ri") {
                self.list(element, offsets, false)?;
            } else {
                offsets.push(element);
            }
        }
        Ok(())
    }

    /// Claims the cells at `offsets`, and keeps those that are as they should be; so that memory is taken for them alone.
    fn claim_all(&mut self, offsets: &mut Vec<u32>, is: fn(&[u8]) -> bool, expected: Why) -> Result<(), Fault> {
        let mut kept = 0;
        for at in 0..offsets.len() {
            let offset = offsets[at];
            match self.claim(offset)? {
                Some(cell) if !is(cell) => self.lost::<()>(offset, expected).map(drop)?,
                Some(_) => {
                    offsets[kept] = offset;
                    kept += 1;
                }
                None => {}
            }
        }
        offsets.truncate(kept);
        Ok(())
    }

    fn values(&mut self, list: u32, count: u32) -> Result<Vec<(Name, Value)>, Fault> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let Some(cell) = self.claim(list)? else { return Ok(Vec::new()) };
        let fitting = cell.len() / 4;
        if count as usize > fitting {
            self.lost::<()>(list, "the list of values does not fit its cell")?;
        }
        let (elements, _) = cell.as_chunks();
        let count = fitting.min(count as usize);
        let mut offsets: Vec<u32> = elements[..count].iter().copied().map(u32::from_le_bytes).collect();
        self.claim_all(&mut offsets, is_value, "expected a key value")?;
        let mut values = Vec::with_capacity(offsets.len());
        for offset in offsets {
            values.extend(self.value(offset)?);
        }
        Ok(values)
    }

    /// Reads the value that, at `offset`, was claimed and judged.
    fn value(&mut self, offset: u32) -> Kept<(Name, Value)> {
        let cell = self.cells.peek(offset).unwrap_or_default();
        let number = |at| u32_at(cell, at).unwrap_or_default();
        let is_latin1 = u16_at(cell, 16).is_some_and(|flags| flags & VALUE_LATIN1 != 0);
        let length = usize::from(u16_at(cell, 2).unwrap_or_default());
        let Some(name) = cell.get(VK..).and_then(|rest| name_of(rest.get(..length)?, is_latin1)) else {
            return self.lost(offset, "the name of the value does not fit its cell");
        };
        let (size, kind) = (number(4), ValueType(number(12)));
        if size & INLINE != 0 {
            return match cell[8..12].get(..(size & !INLINE) as usize) {
                Some(data) => Ok(Some((name, Value::new(kind, data)))),
                None => self.lost(offset, "more than four bytes of data in place of their offset"),
            };
        }
        if size == 0 {
            return Ok(Some((name, Value::new(kind, &[][..]))));
        }
        Ok(self.data(number(8), size as usize, kind)?.map(|value| (name, value)))
    }

    fn data(&mut self, offset: u32, length: usize, kind: ValueType) -> Kept<Value> {
        let Some(cell) = self.claim(offset)? else { return Ok(None) };
        match cell.get(..length) {
            Some(data) => Ok(Some(Value::new(kind, data))),
            None if self.big_data && length > SEGMENT && cell.starts_with(b"db") => {
                let Some(segments) = self.segments(offset, cell, length)? else { return Ok(None) };
                Ok(Some(Value::new(kind, segments.concat())))
            }
            None => self.lost(offset, "the data of the value do not fit their cell"),
        }
    }

    fn segments(&mut self, offset: u32, cell: &[u8], length: usize) -> Kept<Vec<&'h [u8]>> {
        let count = usize::from(u16_at(cell, 2).unwrap_or_default());
        let list_offset = u32_at(cell, 4).unwrap_or(NOWHERE);
        if count != length.div_ceil(SEGMENT) {
            return self.lost(offset, "the number of segments does not fit the length of the data");
        }
        let Some(list) = self.claim(list_offset)? else { return Ok(None) };
        let Some(elements) = list.get(..4 * count) else {
            return self.lost(list_offset, "the list of segments does not fit its cell");
        };
        let mut segments = Vec::new();
        let mut missing = length;
        for element in elements.chunks_exact(4) {
            let at = u32_at(element, 0).unwrap_or(NOWHERE);
            let Some(segment) = self.claim(at)? else { return Ok(None) };
            let Some(segment) = segment.get(..missing.min(SEGMENT)) else {
                return self.lost(at, "the segment is shorter than its part of the data");
            };
            missing -= segment.len();
            segments.push(segment);
        }
        Ok(Some(segments))
    }
}

fn is_node(cell: &[u8]) -> bool {
    cell.starts_with(b"nk") && cell.len() >= NK
}

fn is_value(cell: &[u8]) -> bool {
    cell.starts_with(b"vk") && cell.len() >= VK
}

fn name_of(bytes: &[u8], is_latin1: bool) -> Option<Name> {
    if is_latin1 {
        return Some(Name::from_latin1(bytes));
    }
    let (units, rest) = bytes.as_chunks();
    rest.is_empty().then(|| Name::from_utf16le(units))
}

fn key_name(node: &[u8]) -> Result<Name, Why> {
    let is_latin1 = u16_at(node, 2).is_some_and(|flags| flags & KEY_LATIN1 != 0);
    let length = usize::from(u16_at(node, 72).unwrap_or_default());
    let name = node.get(NK..).and_then(|rest| name_of(rest.get(..length)?, is_latin1));
    name.ok_or("the name of the key does not fit its cell")
}

fn fault_of_name(name: &Name) -> Option<Why> {
    if name.is_empty() {
        return Some("the key has no name");
    }
    if name.units().len() > MAX_KEY_NAME {
        return Some("the name of the key is longer than 255 characters");
    }
    name.units().any(|unit| unit == u16::from(b'\\')).then_some("backslash in the name of the key")
}
