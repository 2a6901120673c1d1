//! The streams that NTFS keeps beside a file's content, under names of their own.

use std::mem::offset_of;
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};

use backup_core::wtf8;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Win32::Storage::FileSystem as win;

use super::fd::AsFd;
use super::io::Errno;
use super::nt::{self, Opening};

/// Bytes of names that are listed at first, and at most.
const ROOM: (usize, usize) = (4 << 10, 1 << 20);
/// What follows the name of a stream that holds data.
const DATA: &str = ":$DATA";

/// A stream beside the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Its name, in WTF-8.
    pub(crate) name: Vec<u8>,
    /// Its bytes.
    pub(crate) size: u64,
}

/// The streams of an open file or folder; none where the file system has no such thing.
pub(crate) fn streams(file: impl AsFd) -> Result<Vec<Stream>, Errno> {
    let mut room = ROOM.0;
    loop {
        let mut words = vec![0_u64; room / size_of::<u64>()];
        match nt::query_streams(file.as_fd(), &mut words) {
            Ok(count) => {
                let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).take(count).collect();
                return listed(&bytes).ok_or(Errno::IO);
            }
            Err(Errno::MORE_DATA) if room < ROOM.1 => room *= 4,
            Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}

/// The content of a stream.
pub(crate) fn read_stream(file: impl AsFd, Stream { name, size }: &Stream) -> Result<Vec<u8>, Errno> {
    let stream = opened(file.as_fd(), name, win::FILE_READ_DATA, wdk::FILE_OPEN)?;
    let mut content = vec![0; usize::try_from(*size).map_err(|_| Errno::INVAL)?];
    let mut read = 0;
    while read < content.len() {
        match nt::read(stream.as_handle(), &mut content[read..], read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    content.truncate(read);
    Ok(content)
}

/// Gives a file a stream with this content, in place of one that has the name.
pub(crate) fn write_stream(file: impl AsFd, name: &[u8], content: &[u8]) -> Result<(), Errno> {
    let stream = opened(file.as_fd(), name, win::FILE_WRITE_DATA, wdk::FILE_OVERWRITE_IF)?;
    let mut written = 0;
    while written < content.len() {
        written += nt::write(stream.as_handle(), &content[written..], written as u64)?;
    }
    Ok(())
}

/// Takes a stream away from a file.
pub(crate) fn remove_stream(file: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    let stream = opened(file.as_fd(), name, win::DELETE, wdk::FILE_OPEN)?;
    nt::set(stream.as_handle(), wdk::FileDispositionInformation, &1_u8)
}

fn opened(
    file: BorrowedHandle<'_>,
    name: &[u8],
    access: u32,
    disposition: wdk::NTCREATEFILE_CREATE_DISPOSITION,
) -> Result<OwnedHandle, Errno> {
    let name: Vec<u16> = [u16::from(b':')].into_iter().chain(wtf8::to_wide(name).ok_or(Errno::INVAL)?).collect();
    nt::open(file, &name, &Opening { access, disposition, options: 0, security: None })
}

/// The entries of a list, each a `FILE_STREAM_INFORMATION`; `None` when it is none. The content itself has no name.
fn listed(bytes: &[u8]) -> Option<Vec<Stream>> {
    const NAME: usize = offset_of!(wdk::FILE_STREAM_INFORMATION, StreamName);
    let mut streams = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let number = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?) as usize);
        let (next, length) = (number(0)?, number(4)?);
        let size = u64::from_le_bytes(rest.get(8..16)?.try_into().ok()?);
        let units: Vec<u16> =
            rest.get(NAME..NAME + length)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let whole = wtf8::from_wide(&units);
        let name = whole.strip_prefix(b":").and_then(|name| name.strip_suffix(DATA.as_bytes()));
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            streams.push(Stream { name: name.to_vec(), size });
        }
        rest = if next == 0 { &[] } else { rest.get(next..)? };
    }
    Some(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry as NTFS writes it, `next` being 0 for the last one.
    fn entry(next: u32, name: &str, size: i64) -> Vec<u8> {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u32::try_from(name.len()).expect("short");
        let mut bytes = [next.to_le_bytes(), length.to_le_bytes()].concat();
        bytes.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
        bytes.extend(name);
        bytes.resize(bytes.len().next_multiple_of(8).max(next as usize), 0);
        bytes
    }

    #[test]
    fn names_and_sizes_are_read_from_a_list() {
        let list = [
            entry(40, "::$DATA", 5),
            entry(72, ":Zone.Identifier:$DATA", 26),
            entry(0, ":\u{fc}\u{1f600}:$DATA", 70_000),
        ];
        let stream = |name: &str, size| Stream { name: name.as_bytes().to_vec(), size };
        let expected = [stream("Zone.Identifier", 26), stream("\u{fc}\u{1f600}", 70_000)];
        assert_eq!(listed(&list.concat()).as_deref(), Some(&expected[..]));
        assert_eq!(listed(&[]), Some(Vec::new()), "a folder has no content of its own");
        assert_eq!(listed(&entry(0, ":$I30:$INDEX_ALLOCATION", 4096)), Some(Vec::new()), "no data");
    }

    #[test]
    fn a_list_that_leads_beyond_itself_is_none() {
        let whole = entry(0, ":a:$DATA", 1);
        for length in 1..whole.len() - 7 {
            assert_eq!(listed(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(listed(&entry(4000, ":a:$DATA", 1)[..48]), None);
    }

    /// Wine lists no streams.
    #[test]
    fn a_file_without_streams_has_none() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let file = std::fs::File::create(scratch.path().join("f")).expect("made");
        assert_eq!(streams(&file), Ok(Vec::new()));
    }
}
