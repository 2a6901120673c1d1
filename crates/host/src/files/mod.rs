//! Files of this machine: walked, and read where they lie with all their metadata.
//!
//! Follows no symbolic link below a root and opens nothing but regular files and folders, so that neither a pipe nor a device can hang
//! a run. Closing any descriptor of a file drops this process's POSIX locks on it: a database's files are never opened here.

pub(crate) mod attributes;
pub(crate) mod beneath;
pub(crate) mod local_file;
pub(crate) mod parallel;
pub(crate) mod stat;
pub(crate) mod walk;

#[cfg(unix)]
mod clones;
#[cfg(unix)]
mod mounts;
mod sync;

use std::io;
use std::path::PathBuf;

use crate::os::fs::CWD;
use async_trait::async_trait;
use backup_core::path::{PathError, SitePath};
use backup_core::ports::Source;
#[cfg(unix)]
use backup_core::ports::site_files::CloneOf;
use backup_core::ports::site_files::{Attributes, FileSource, OpenFile, SiteFiles, SiteFilesError, Walk};

use self::local_file::LocalFile;
use crate::blocking::blocking;

/// The files of this machine.
///
/// Reading leaves access times alone where the system lets this process ask for that (its own files, or root's rights).
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalSiteFiles;

impl LocalSiteFiles {
    /// The files of this machine; touches nothing.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl SiteFiles for LocalSiteFiles {
    /// One `syncfs` for each file system that holds a root, or is mounted below one.
    async fn sync(&self, roots: &[SitePath]) -> Result<(), SiteFilesError> {
        let roots = roots.to_vec();
        blocking(move || sync::sync_roots(&roots)).await
    }

    /// Walks with one `lstat` an entry. An entry that goes away during the walk is simply not there.
    ///
    /// The root itself is the first entry. A root that is a symbolic link to a folder is walked as that folder; what is below it is
    /// never followed. In a pattern `*` stays within a folder and `**` does not; what matches is left out with all below it.
    async fn walk(&self, source: &FileSource) -> Result<Walk, SiteFilesError> {
        let source = source.clone();
        blocking(move || walk::walk_source(&source)).await
    }

    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
        let place = local(path).map_err(failed("open", path))?;
        Ok(Box::new(LocalFile::open(CWD, &place, path.clone())?))
    }

    fn attributes(&self, path: &SitePath) -> Result<Attributes, SiteFilesError> {
        let place = local(path).map_err(failed("read the attributes of", path))?;
        attributes::of_path(&place).map_err(failed("read the attributes of", path))
    }

    /// By FICLONE, which XFS and btrfs have.
    #[cfg(unix)]
    async fn clone_all(&self, clones: Vec<CloneOf>) -> Vec<Result<(), SiteFilesError>> {
        parallel::in_parallel(parallel::MOST_THREADS, clones, || (), |(), clone| clones::make(clone)).await
    }
}

/// The path as this system writes it.
#[cfg(unix)]
pub(crate) fn local(path: &SitePath) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    if path.is_windows() {
        let reason = "this is a Windows path: say in [paths] where its root lies on this machine";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(path.to_bytes())))
}

/// The path behind `\\?\`, so that Windows takes it as it is: of any length, with any name.
#[cfg(windows)]
pub(crate) fn local(path: &SitePath) -> io::Result<PathBuf> {
    use std::os::windows::ffi::OsStringExt;
    let refused = |reason| io::Error::new(io::ErrorKind::InvalidInput, reason);
    if !path.is_windows() {
        return Err(refused("this is no Windows path: say in [paths] where its root lies on this machine"));
    }
    let verbatim = path.to_verbatim_bytes();
    let wide = backup_core::wtf8::to_wide(&verbatim).ok_or_else(|| refused("it is not a name of Windows"))?;
    Ok(PathBuf::from(std::ffi::OsString::from_wide(&wide)))
}

/// The domain's path of one of this machine's.
#[cfg(unix)]
pub(crate) fn site_path(path: &std::path::Path) -> Result<SitePath, PathError> {
    use std::os::unix::ffi::OsStrExt;
    SitePath::parse(path.as_os_str().as_bytes())
}

/// The domain's path of one of this machine's.
#[cfg(windows)]
pub(crate) fn site_path(path: &std::path::Path) -> Result<SitePath, PathError> {
    use std::os::windows::ffi::OsStrExt;
    let wide: Vec<u16> = path.as_os_str().encode_wide().collect();
    SitePath::parse(backup_core::wtf8::from_wide(&wide))
}

/// Turns a system's refusal into the port's error.
pub(crate) fn failed<E: Into<io::Error>>(action: &'static str, path: &SitePath) -> impl FnOnce(E) -> SiteFilesError {
    move |error| {
        let error = error.into();
        match error.kind() {
            io::ErrorKind::NotFound => SiteFilesError::Missing(path.clone()),
            _ => SiteFilesError::Failed { action, path: path.clone(), source: with_remedy(error) },
        }
    }
}

#[cfg(unix)]
fn with_remedy(error: io::Error) -> Source {
    error.into()
}

/// On Windows who has a file open can keep it from everybody else.
#[cfg(windows)]
fn with_remedy(error: io::Error) -> Source {
    let Some(remedy) = crate::os::io::Errno::remedy(&error) else { return error.into() };
    format!("{error}; {remedy}").into()
}

#[cfg(all(test, unix))]
mod tests;
