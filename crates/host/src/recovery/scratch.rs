//! Scratch folders of rehearsals: made here, and only such removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backup_core::path::SitePath;
use backup_core::ports::recovery_target::RecoveryError;
use uuid::Uuid;

use super::local;
use crate::files::site_path;
use crate::os::fs::{CWD, Mode, mkdirat};

const PREFIX: &str = "sitebackup-rehearsal-";
const MARKER: &str = ".sitebackup-rehearsal";
/// What is handed out; the marker lies beside it.
const INNER: &str = "site";

/// Makes `<parent>/sitebackup-rehearsal-<id>/site`, with the marker beside it.
pub(super) fn make(parent: Option<&SitePath>) -> Result<SitePath, RecoveryError> {
    let parent = parent.map_or_else(|| Ok(std::env::temp_dir()), local)?;
    let name = format!("{PREFIX}{}", Uuid::now_v7().simple());
    let outer = parent.join(&name);
    let inner = outer.join(INNER);
    let made = build(&outer).and_then(|()| fs::write(outer.join(MARKER), &name)).and_then(|()| build(&inner));
    made.map_err(failed("make", &outer))?;
    site_path(&inner).map_err(|error| failed("make", &outer)(io::Error::other(error)))
}

fn build(folder: &Path) -> io::Result<()> {
    Ok(mkdirat(CWD, folder, Mode::RWXU)?)
}

/// Removes what [`make`] made. The marker goes last, so that an interrupted removal can be repeated.
pub(super) fn remove(scratch: &SitePath) -> Result<(), RecoveryError> {
    let inner = local(scratch)?;
    let outer = ours(&inner).ok_or_else(|| {
        let reason = "it is not a folder that a rehearsal made: it stays";
        failed("remove", &inner)(io::Error::new(io::ErrorKind::InvalidInput, reason))
    })?;
    remove_content(&inner)
        .and_then(|()| fs::remove_file(outer.join(MARKER)))
        .and_then(|()| fs::remove_dir(&outer))
        .map_err(failed("remove", &outer))
}

/// The folder that holds `inner` and the marker.
fn ours(inner: &Path) -> Option<PathBuf> {
    let outer = inner.parent()?;
    let name = outer.file_name()?.to_str()?;
    let marker = outer.join(MARKER);
    let is_file = fs::symlink_metadata(&marker).ok()?.is_file();
    let ours = inner.file_name()? == INNER && name.starts_with(PREFIX) && is_file;
    (ours && fs::read(marker).ok()? == name.as_bytes()).then(|| outer.to_owned())
}

fn remove_content(inner: &Path) -> io::Result<()> {
    match fs::remove_dir_all(inner) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Recovered folders may be closed even to their owner.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(inner)?;
            fs::remove_dir_all(inner)
        }
        result => result,
    }
}

fn unlock(folder: &Path) -> io::Result<()> {
    open_to_owner(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn open_to_owner(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

/// Gives the owner all rights to the folder, and to what inherits from it.
#[cfg(windows)]
fn open_to_owner(folder: &Path) -> io::Result<()> {
    use crate::os::fs::{OFlags, close_to_others, open};
    Ok(close_to_others(open(folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, true)?)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecoveryError {
    let path = site_path(path).unwrap_or_else(|_| SitePath::parse("/").expect("absolute"));
    move |error| RecoveryError::Failed { action, path, source: error.into() }
}
