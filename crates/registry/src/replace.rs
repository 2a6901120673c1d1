//! Replacing a file in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Replaces a file, or the one that a link points to, in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path)?,
        target => target?,
    };
    let folder = target.parent().ok_or(io::ErrorKind::IsADirectory)?;
    let mut file = tempfile::Builder::new().prefix(".reg-import-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    match fs::metadata(&target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        metadata => keep_owner_and_mode(file.as_file(), &metadata?)?,
    }
    // The bytes must be on disk before the name is: after a power cut the name would lead to an empty file.
    file.as_file().sync_all()?;
    file.persist(&target)?;
    sync_folder(folder)
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, metadata: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    // First the owner: a change of owner takes away set-id bits.
    fchown(file, Some(metadata.uid()), Some(metadata.gid()))?;
    file.set_permissions(metadata.permissions())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

// Windows passes the folder's access rights on to new files, and cannot flush a folder.
#[cfg(not(unix))]
fn keep_owner_and_mode(_file: &File, _metadata: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
