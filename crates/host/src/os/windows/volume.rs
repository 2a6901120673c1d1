//! Volumes: their room, and writing them back.

use std::os::windows::io::AsHandle;

use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Wdk::System::SystemServices::FILE_FS_FULL_SIZE_INFORMATION;
use windows_sys::Win32::Storage::FileSystem as win;

use super::fd::AsFd;
use super::io::Errno;
use super::nt::{self, CWD, Opening};

/// The room of a volume.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatVfs {
    pub(crate) f_bavail: u64,
    pub(crate) f_frsize: u64,
}

/// The room on the volume of an open folder that this user may still fill.
pub(crate) fn fstatvfs(folder: impl AsFd) -> Result<StatVfs, Errno> {
    let told: FILE_FS_FULL_SIZE_INFORMATION = nt::query_volume(folder.as_fd(), wdk::FileFsFullSizeInformation)?;
    let unit = u64::from(told.SectorsPerAllocationUnit) * u64::from(told.BytesPerSector);
    Ok(StatVfs { f_bavail: u64::try_from(told.CallerAvailableAllocationUnits).unwrap_or(0), f_frsize: unit })
}

/// Writes back all files of the volume that holds the folder.
///
/// Only administrators may, and no share can: [`Errno::PERM`], and the caller writes file by file back.
pub(crate) fn syncfs(folder: impl AsFd) -> Result<(), Errno> {
    let refused = |_: Errno| Errno::PERM;
    let path = nt::final_path(folder.as_fd()).map_err(refused)?;
    let volume = volume(&path).ok_or(Errno::PERM)?;
    let access = win::FILE_GENERIC_READ | win::FILE_GENERIC_WRITE;
    let opening = Opening { access, disposition: wdk::FILE_OPEN, options: 0, security: None };
    let volume = nt::open(CWD.as_fd(), &volume, &opening).map_err(refused)?;
    nt::flush(volume.as_handle()).map_err(refused)
}

/// `\??\Volume{…}` of `\\?\Volume{…}\…`.
fn volume(path: &[u16]) -> Option<Vec<u16>> {
    let prefix: Vec<u16> = r"\\?\".encode_utf16().collect();
    let rest = path.strip_prefix(prefix.as_slice())?;
    let end = rest.iter().position(|unit| *unit == u16::from(b'\\')).unwrap_or(rest.len());
    Some(r"\??\".encode_utf16().chain(rest[..end].iter().copied()).collect())
}
