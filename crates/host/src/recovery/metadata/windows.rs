//! Attribute bits, times, access rules and streams.

use std::io;

use backup_core::manifest::FileRecord;
use backup_core::ports::site_files::Attributes;
use windows_sys::Wdk::Storage::FileSystem::FILE_BASIC_INFORMATION;
use windows_sys::Win32::Storage::FileSystem as win;

use super::super::place::Place;
use crate::files::attributes::{BITS, CREATED, REPARSE, SECURITY, STREAM, of_file, value};
use crate::files::stat::{modified, timestamps};
use crate::os::fd::{AsFd, OwnedFd};
use crate::os::fs::{
    Mode, OFlags, basic_of, fstat, futimens, inherits, make_sparse, openat, remove_stream, set_basic, set_described,
    set_reparse, symlinkat, write_stream,
};
use crate::os::io::Errno;

/// The bits that a program may set. The others say how the file system keeps the file, or belong to indexing.
const SETTABLE: u32 = win::FILE_ATTRIBUTE_READONLY
    | win::FILE_ATTRIBUTE_HIDDEN
    | win::FILE_ATTRIBUTE_SYSTEM
    | win::FILE_ATTRIBUTE_ARCHIVE
    | win::FILE_ATTRIBUTE_OFFLINE
    | win::FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;

/// Readies a new file for the content of `record`.
pub(in super::super) fn prepare(file: &OwnedFd, record: &FileRecord) -> io::Result<()> {
    match bits(record) {
        // A file system without holes writes zeros instead.
        Some(bits) if bits & win::FILE_ATTRIBUTE_SPARSE_FILE != 0 => match make_sparse(file) {
            Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL) => Ok(()),
            made => Ok(made?),
        },
        _ => Ok(()),
    }
}

/// Makes `file` durable: without an administrator's rights nothing else can write back what was recovered.
pub(in super::super) fn settle_file(file: &OwnedFd) -> io::Result<()> {
    Ok(crate::os::fs::fsync(file)?)
}

/// Gives an open file or folder the access rules, attribute bits and times of `record`.
///
/// The order must stand: rules may forbid what comes after them only to others, and a read-only bit forbids nothing through a handle
/// that is open. Streams come before the times, which writing them changes. A record of another system has no rules and bits; then those
/// of the folder above hold. What cannot be kept here, an error tells: it would be lost.
pub(in super::super) fn set_on(file: &OwnedFd, record: &FileRecord) -> io::Result<()> {
    refuse_foreign(record)?;
    let stand = of_file(file)?;
    match value(&record.attributes, SECURITY) {
        Some(descriptor) if value(&stand, SECURITY) == Some(descriptor) => {}
        Some(descriptor) => set_described(file, descriptor)?,
        None => inherits(file)?,
    }
    set_streams(file, record, &stand)?;
    set_times(file, record)
}

/// Gives a file the streams of its record, and no others.
fn set_streams(file: &OwnedFd, record: &FileRecord, stand: &Attributes) -> io::Result<()> {
    let of = |attributes: &Attributes| -> Vec<(Vec<u8>, Vec<u8>)> {
        let stream = |(name, value): &(Vec<u8>, Vec<u8>)| Some((name.strip_prefix(STREAM)?.to_vec(), value.clone()));
        attributes.iter().filter_map(stream).collect()
    };
    let (wanted, stand) = (of(&record.attributes), of(stand));
    let has_name = |streams: &[(Vec<u8>, Vec<u8>)], name: &[u8]| streams.iter().any(|(other, _)| other == name);
    for (name, _) in stand.iter().filter(|(name, _)| !has_name(&wanted, name)) {
        remove_stream(file, name)?;
    }
    for (name, value) in wanted.iter().filter(|stream| !stand.contains(stream)) {
        write_stream(file, name, value).map_err(|error| lost(&[STREAM, name].concat(), error.into()))?;
    }
    Ok(())
}

/// A file system without streams, Wine's among them, has no place for one.
fn lost(name: &[u8], error: io::Error) -> io::Error {
    let reason = format!("Windows cannot keep the attribute `{}` here: {error}", String::from_utf8_lossy(name));
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

fn set_times(file: impl AsFd, record: &FileRecord) -> io::Result<()> {
    let mut wanted = FILE_BASIC_INFORMATION::default();
    if let Some(bits) = bits(record) {
        // Zero would say that the bits stay.
        wanted.FileAttributes = Some(bits & SETTABLE).filter(|bits| *bits != 0).unwrap_or(win::FILE_ATTRIBUTE_NORMAL);
        let stands = basic_of(&file)?.FileAttributes;
        if stands & SETTABLE == bits & SETTABLE {
            wanted.FileAttributes = 0;
        }
    }
    let created = value(&record.attributes, CREATED).and_then(|value| value.try_into().ok());
    wanted.CreationTime = created.map_or(0, i64::from_le_bytes);
    if wanted.FileAttributes != 0 || wanted.CreationTime != 0 {
        set_basic(&file, &wanted)?;
    }
    if modified(&fstat(&file)?) != record.modified {
        futimens(&file, &timestamps(record.modified))?;
    }
    Ok(())
}

/// Gives a link its access rules, bits and times.
pub(in super::super) fn set_on_link(place: &Place, record: &FileRecord) -> io::Result<()> {
    let link = openat(&place.folder, &place.name, OFlags::PATH | OFlags::LINK, Mode::empty())?;
    if let Some(descriptor) = value(&record.attributes, SECURITY) {
        set_described(&link, descriptor)?;
    }
    set_times(&link, record)
}

/// Makes the link `name`: the junction or the very symbolic link that it was, or a symbolic link to `target`.
pub(in super::super) fn make_link(
    record: &FileRecord,
    target: &[u8],
    folder: &OwnedFd,
    name: &str,
) -> Result<(), Errno> {
    match value(&record.attributes, REPARSE) {
        Some(data) => set_reparse(folder, name, data, is_folder(record)),
        None => symlinkat(target, folder, name),
    }
}

fn is_folder(record: &FileRecord) -> bool {
    bits(record).is_some_and(|bits| bits & win::FILE_ATTRIBUTE_DIRECTORY != 0)
}

fn bits(record: &FileRecord) -> Option<u32> {
    value(&record.attributes, BITS).and_then(|value| value.try_into().ok()).map(u32::from_le_bytes)
}

fn refuse_foreign(record: &FileRecord) -> io::Result<()> {
    let known = [BITS, CREATED, SECURITY, REPARSE];
    let is_foreign = |name: &[u8]| !known.contains(&name) && !name.starts_with(STREAM);
    match record.attributes.iter().find(|(name, _)| is_foreign(name)) {
        None => Ok(()),
        Some((name, _)) => Err(lost(name, io::Error::other("it is another system's"))),
    }
}

#[cfg(test)]
mod tests;
