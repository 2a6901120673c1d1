//! Replacing a file in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

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
    persist(file, &target)?;
    sync_folder(folder)
}

#[cfg(unix)]
fn persist(file: NamedTempFile, target: &Path) -> io::Result<()> {
    file.persist(target)?;
    Ok(())
}

/// Windows replaces no file that somebody reads at this moment, and readers are done soon.
#[cfg(not(unix))]
fn persist(mut file: NamedTempFile, target: &Path) -> io::Result<()> {
    use std::time::{Duration, Instant};
    let began = Instant::now();
    loop {
        match file.persist(target) {
            Ok(_) => return Ok(()),
            Err(refused)
                if refused.error.kind() == io::ErrorKind::PermissionDenied
                    && began.elapsed() < Duration::from_secs(5) =>
            {
                file = refused.file;
            }
            Err(refused) => return Err(refused.error),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
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
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn keep_owner_and_mode(_file: &File, _metadata: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
