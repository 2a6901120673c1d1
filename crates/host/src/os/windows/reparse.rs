//! Symbolic links and junctions.

use std::ffi::CString;
use std::os::windows::io::AsHandle;

use backup_core::wtf8;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Win32::Storage::FileSystem as win;
use windows_sys::Win32::System::Ioctl::{FSCTL_GET_REPARSE_POINT, FSCTL_SET_REPARSE_POINT};
use windows_sys::Win32::System::SystemServices::{IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK};

use super::fd::{AsFd, BorrowedFd};
use super::io::Errno;
use super::nt::{self, Opening};
use super::open::{LOOK, itself};
use super::path::Arg;

/// No reparse point holds more.
const LONGEST: usize = 16 << 10;
/// The bit of a tag by which a name stands for another one.
const SURROGATE: u32 = 0x2000_0000;
/// A symbolic link's target is relative to the link's folder.
const RELATIVE: u32 = 1;

/// Whether a name with this tag leads to another one.
pub(super) fn is_surrogate(tag: u32) -> bool {
    tag & SURROGATE != 0
}

/// Whether it is a symbolic link or a junction, whose target can be told.
pub(super) fn is_link(tag: u32) -> bool {
    tag == IO_REPARSE_TAG_SYMLINK || tag == IO_REPARSE_TAG_MOUNT_POINT
}

/// Where the link `name` leads, as it is written.
pub(crate) fn readlinkat(folder: impl AsFd, name: impl Arg, _room: Vec<u8>) -> Result<CString, Errno> {
    let link = itself(folder.as_fd(), &name.wide()?, LOOK)?;
    let target = target(&reparse_data(&link)?).ok_or(Errno::INVAL)?;
    CString::new(target).map_err(|_| Errno::INVAL)
}

/// What the reparse point says, whole.
pub(crate) fn reparse_data(link: impl AsFd) -> Result<Vec<u8>, Errno> {
    let mut data = vec![0; LONGEST];
    let count = nt::control(link.as_fd(), FSCTL_GET_REPARSE_POINT, &[], &mut data)?;
    data.truncate(count);
    Ok(data)
}

/// The target: the name that is shown where there is one, else the one that the system follows.
fn target(data: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| Some(usize::from(u16::from_le_bytes([*data.get(at)?, *data.get(at + 1)?])));
    let tag = u32::from_le_bytes(data.get(..4)?.try_into().ok()?);
    let names = match tag {
        IO_REPARSE_TAG_SYMLINK => 20,
        IO_REPARSE_TAG_MOUNT_POINT => 16,
        _ => return None,
    };
    let name = |offset: usize, length: usize| data.get(names + offset..names + offset + length);
    let shown = name(number(12)?, number(14)?)?;
    let followed = name(number(8)?, number(10)?)?;
    let wide = |bytes: &[u8]| -> Vec<u16> {
        bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect()
    };
    Some(wtf8::from_wide(&wide(if shown.is_empty() { followed } else { shown })))
}

/// Makes a symbolic link. It is one to a folder when a folder stands where it leads, as Windows wants to know beforehand.
pub(crate) fn symlinkat(target: impl AsRef<[u8]>, folder: impl AsFd, name: impl Arg) -> Result<(), Errno> {
    let target = wtf8::to_wide(target.as_ref()).ok_or(Errno::INVAL)?;
    let separated: Vec<u16> =
        target.iter().map(|unit| if *unit == u16::from(b'/') { u16::from(b'\\') } else { *unit }).collect();
    let is_folder = leads_to_folder(folder.as_fd(), &separated);
    make(folder.as_fd(), &name.wide()?, &symlink_data(&separated), is_folder)
}

/// Makes the link that `data` says, which may come from a hostile list: only what is a symbolic link or a junction and says where it
/// leads is one.
pub(crate) fn set_reparse(folder: impl AsFd, name: impl Arg, data: &[u8], is_folder: bool) -> Result<(), Errno> {
    target(data).ok_or(Errno::INVAL)?;
    make(folder.as_fd(), &name.wide()?, data, is_folder)
}

fn make(folder: BorrowedFd<'_>, name: &[u16], data: &[u8], is_folder: bool) -> Result<(), Errno> {
    let options = if is_folder { wdk::FILE_DIRECTORY_FILE } else { wdk::FILE_NON_DIRECTORY_FILE };
    let access = win::FILE_WRITE_DATA | win::FILE_WRITE_ATTRIBUTES | win::DELETE;
    let (disposition, options) = (wdk::FILE_CREATE, options | wdk::FILE_OPEN_REPARSE_POINT);
    let opening = Opening { access, disposition, options, security: None };
    let link = nt::open(folder, name, &opening)?;
    let made = nt::control(link.as_handle(), FSCTL_SET_REPARSE_POINT, data, &mut []);
    if made.is_err() {
        // What was made without becoming a link goes again; if it cannot, the error of the link is still the one to tell.
        let _stays = nt::set(link.as_handle(), wdk::FileDispositionInformation, &1_u8);
    }
    made.map(drop)
}

fn is_whole(target: &[u16]) -> bool {
    target.get(1) == Some(&u16::from(b':')) || target.first() == Some(&u16::from(b'\\'))
}

fn leads_to_folder(folder: BorrowedFd<'_>, target: &[u16]) -> bool {
    let (access, disposition, options) = (win::FILE_READ_ATTRIBUTES, wdk::FILE_OPEN, wdk::FILE_DIRECTORY_FILE);
    let opening = Opening { access, disposition, options, security: None };
    // A whole path is not looked at: it belongs to the machine that the link comes from.
    !is_whole(target) && nt::open(folder, target, &opening).is_ok()
}

fn symlink_data(target: &[u16]) -> Vec<u8> {
    let bytes = |wide: &[u16]| -> Vec<u8> { wide.iter().flat_map(|unit| unit.to_le_bytes()).collect() };
    let shown = bytes(target);
    let is_drive = target.get(1) == Some(&u16::from(b':'));
    let followed = if is_drive {
        [bytes(&r"\??\".encode_utf16().collect::<Vec<_>>()), shown.clone()].concat()
    } else {
        shown.clone()
    };
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
    let flags = if is_whole(target) { 0 } else { RELATIVE };
    [
        &IO_REPARSE_TAG_SYMLINK.to_le_bytes()[..],
        &short(12 + followed.len() + shown.len()),
        &[0; 2],
        &short(0),
        &short(followed.len()),
        &short(followed.len()),
        &short(shown.len()),
        &flags.to_le_bytes(),
        &followed,
        &shown,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_says_is_read_as_it_was_written() {
        for text in ["folder\\file", "C:\\a", "..\\x", "ä"] {
            let wide: Vec<u16> = text.encode_utf16().collect();
            assert_eq!(target(&symlink_data(&wide)).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(target(&[0; 40]), None);
        assert_eq!(target(&symlink_data(&[0x61])[..10]), None);
    }
}
