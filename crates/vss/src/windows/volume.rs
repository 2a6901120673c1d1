//! Which volume a path lies on.
#![expect(unsafe_code, reason = "the system writes the answer to a buffer")]

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};

use backup_core::path::SitePath;
use backup_core::wtf8;
use windows_sys::Win32::Storage::FileSystem::GetVolumePathNameW;

/// The place where the volume is mounted that `path` lies on: a drive's root, or a folder.
pub(super) fn mount_of(path: &SitePath) -> io::Result<SitePath> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a path of Windows");
    let mut wide = wtf8::to_wide(&path.to_verbatim_bytes()).filter(|_| path.is_windows()).ok_or_else(refused)?;
    wide.push(0);
    // A mount point is a part of the path, with a separator more.
    let mut mount = vec![0; wide.len() + 1];
    let length = u32::try_from(mount.len()).map_err(|_| refused())?;
    // SAFETY: the path ends with a NUL, and the buffer has the length that is told.
    let found = unsafe { GetVolumePathNameW(wide.as_ptr(), mount.as_mut_ptr(), length) };
    if found == 0 {
        return Err(io::Error::last_os_error());
    }
    let end = mount.iter().position(|unit| *unit == 0).unwrap_or(mount.len());
    SitePath::parse(wtf8::from_wide(&mount[..end])).map_err(io::Error::other)
}

/// The file as the system knows it, without links and short names on the way: an image has the links too, and they lead away from it.
pub(super) fn real(file: &SitePath) -> io::Result<SitePath> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a path of Windows");
    let wide = wtf8::to_wide(&file.to_verbatim_bytes()).ok_or_else(refused)?;
    let found = std::fs::canonicalize(OsString::from_wide(&wide))?;
    SitePath::parse(wtf8::from_wide(&found.as_os_str().encode_wide().collect::<Vec<_>>())).map_err(io::Error::other)
}

/// The volume's name as VSS takes it: with a separator at its end.
pub(super) fn name_of(mount: &SitePath) -> String {
    let name = mount.to_string();
    if name.ends_with('\\') { name } else { name + "\\" }
}
