//! Listing an open folder.

use std::ffi::{CStr, CString};
use std::mem::{MaybeUninit, offset_of};

use backup_core::wtf8;
use windows_sys::Wdk::Storage::FileSystem::FILE_DIRECTORY_INFORMATION as Entry;

use super::fd::AsFd;
use super::io::Errno;
use super::nt;
use super::stat::FileType;

/// Entries of one call, in words.
const ROOM: usize = 8 << 10;

/// The names in a folder, in the system's order.
#[derive(Debug)]
pub(crate) struct RawDir<Fd> {
    folder: Fd,
    room: Vec<u64>,
    /// Where the next entry of the room begins; `None` when another call is needed.
    next: Option<usize>,
    entry: Option<RawDirEntry>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct RawDirEntry {
    name: CString,
    kind: FileType,
}

impl RawDirEntry {
    /// The name in WTF-8.
    pub(crate) fn file_name(&self) -> &CStr {
        &self.name
    }

    /// The kind, as far as it is known without a look at the entry.
    pub(crate) fn file_type(&self) -> FileType {
        self.kind
    }
}

impl<Fd: AsFd> RawDir<Fd> {
    /// Lists `folder`, which must have been opened for it. The room is its own.
    pub(crate) fn new(folder: Fd, _room: &mut [MaybeUninit<u8>]) -> Self {
        Self { folder, room: vec![0; ROOM], next: None, entry: None }
    }

    /// The next name.
    pub(crate) fn next(&mut self) -> Option<Result<&RawDirEntry, Errno>> {
        let start = match self.next {
            Some(start) => start,
            None => match nt::list(self.folder.as_fd(), &mut self.room) {
                Ok(true) => 0,
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            },
        };
        let (entry, offset) = self.read(start)?;
        self.next = (offset != 0).then(|| start + offset);
        Some(Ok(self.entry.insert(entry)))
    }

    fn read(&self, start: usize) -> Option<(RawDirEntry, usize)> {
        let offset = self.number(start + offset_of!(Entry, NextEntryOffset));
        let attributes = self.number(start + offset_of!(Entry, FileAttributes));
        let length = self.number(start + offset_of!(Entry, FileNameLength)) as usize / 2;
        let name = start + offset_of!(Entry, FileName);
        let wide: Vec<u16> = (0..length).map(|index| self.unit(name + index * 2)).collect();
        // No name of Windows holds a zero.
        let name = CString::new(wtf8::from_wide(&wide)).ok()?;
        Some((RawDirEntry { name, kind: FileType::of_listed(attributes) }, offset as usize))
    }

    fn byte(&self, at: usize) -> u8 {
        self.room.get(at / 8).map_or(0, |word| word.to_ne_bytes()[at % 8])
    }

    fn unit(&self, at: usize) -> u16 {
        u16::from_ne_bytes([self.byte(at), self.byte(at + 1)])
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.byte(at), self.byte(at + 1), self.byte(at + 2), self.byte(at + 3)])
    }
}
