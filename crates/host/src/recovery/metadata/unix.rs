//! Owners, extended attributes, modes and times.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use backup_core::manifest::FileRecord;
use backup_core::ports::site_files::Attributes;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, Uid, XattrFlags, chownat, fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr,
    fstat, futimens, lgetxattr, llistxattr, lremovexattr, lsetxattr, symlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::super::place::Place;
use crate::files::attributes;
use crate::files::stat::{modified, timestamps};

/// Readies a new file for the content of `record`: nothing is needed here.
#[expect(clippy::unnecessary_wraps, reason = "on Windows it can fail")]
pub(in super::super) fn prepare(_file: &OwnedFd, _record: &FileRecord) -> io::Result<()> {
    Ok(())
}

/// A file becomes durable with its file system, when all is settled.
#[expect(clippy::unnecessary_wraps, reason = "on Windows it can fail")]
pub(in super::super) fn settle_file(_file: &OwnedFd) -> io::Result<()> {
    Ok(())
}

/// Makes the symbolic link `name` to `target`.
pub(in super::super) fn make_link(
    _record: &FileRecord,
    target: &[u8],
    folder: &OwnedFd,
    name: &str,
) -> Result<(), Errno> {
    symlinkat(target, folder, name)
}

/// Gives an open file or folder the owner, attributes, mode and time of `record`.
///
/// The order must stand: a new owner takes capabilities and the bits that run a program as its owner away, an access control list
/// changes the mode, and all of them the time.
pub(in super::super) fn set_on(file: &OwnedFd, record: &FileRecord) -> io::Result<()> {
    let stat = fstat(file)?;
    let mut changed = false;
    if geteuid().is_root() && (stat.st_uid, stat.st_gid) != (record.owner, record.group) {
        fchown(file, Some(Uid::from_raw(record.owner)), Some(Gid::from_raw(record.group)))?;
        changed = true;
    }
    let stand = attributes::all(|buffer| flistxattr(file, buffer), |name, buffer| fgetxattr(file, name, buffer))?;
    for change in changes(&stand, &record.attributes) {
        match change {
            Change::Set(name, value) => fsetxattr(file, name, value, XattrFlags::empty())?,
            Change::Remove(name) => fremovexattr(file, name)?,
        }
        changed = true;
    }
    if changed || stat.st_mode & 0o7777 != record.mode & 0o7777 {
        fchmod(file, Mode::from_raw_mode(record.mode & 0o7777))?;
        changed = true;
    }
    if changed || modified(&stat) != record.modified {
        futimens(file, &timestamps(record.modified))?;
    }
    Ok(())
}

/// Gives a symbolic link its owner, attributes and time; its mode means nothing.
pub(in super::super) fn set_on_link(place: &Place, record: &FileRecord) -> io::Result<()> {
    let (folder, name) = (place.folder.as_fd(), place.name.as_slice());
    if geteuid().is_root() {
        let (owner, group) = (Uid::from_raw(record.owner), Gid::from_raw(record.group));
        chownat(folder, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    // No call takes a folder and a name; through the open folder the path leads nowhere else.
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    let stand = attributes::all(|buffer| llistxattr(&path, buffer), |name, buffer| lgetxattr(&path, name, buffer))?;
    for change in changes(&stand, &record.attributes) {
        match change {
            Change::Set(name, value) => lsetxattr(&path, name, value, XattrFlags::empty())?,
            Change::Remove(name) => lremovexattr(&path, name)?,
        }
    }
    Ok(utimensat(folder, name, &timestamps(record.modified), AtFlags::SYMLINK_NOFOLLOW)?)
}

enum Change<'a> {
    Set(&'a [u8], &'a [u8]),
    Remove(&'a [u8]),
}

/// What makes `stand` into `wanted`. A new file inherits access control lists from its folder: what is not wanted goes. The labels that
/// a security module gives stay, for they are its own.
fn changes<'a>(stand: &'a Attributes, wanted: &'a Attributes) -> impl Iterator<Item = Change<'a>> {
    let removed = stand.iter().filter(|(name, _)| !wanted.iter().any(|(other, _)| other == name));
    let removed = removed.filter(|(name, _)| !name.starts_with(b"security.") || name == b"security.capability");
    let set = wanted.iter().filter(|attribute| !stand.contains(attribute));
    removed.map(|(name, _)| Change::Remove(name)).chain(set.map(|(name, value)| Change::Set(name, value)))
}
