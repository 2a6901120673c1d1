//! The files of one database on this machine, found without opening any of them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backup_core::path::SitePath;
use backup_core::ports::database::DatabaseError;
use backup_core::ports::site_files::FileId;

/// What follows the main file's name: the log, its index, the rollback journal.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The main file and the names of those beside it.
#[derive(Debug, Clone)]
pub(super) struct Files {
    main: PathBuf,
    site: SitePath,
}

impl Files {
    /// Finds an existing database. A link in the last place is followed, as SQLite follows it.
    pub(super) fn locate(path: &SitePath) -> Result<Self, DatabaseError> {
        let files = Self::place(path)?;
        match fs::metadata(&files.main) {
            Ok(stat) if stat.is_file() => Ok(files),
            Ok(_) => Err(DatabaseError::NotOne {
                name: files.label(),
                engine: super::facts::ENGINE,
                source: "it is not a regular file".into(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DatabaseError::Missing(files.label())),
            Err(error) => Err(files.failed("find", error)),
        }
    }

    /// The place of a database that may not be there.
    pub(super) fn place(path: &SitePath) -> Result<Self, DatabaseError> {
        let refused = |source| DatabaseError::Failed { action: "find", name: path.to_string(), source };
        let main = local_path(path).ok_or_else(|| refused("the path belongs to another platform".into()))?;
        if !fs::symlink_metadata(&main).is_ok_and(|stat| stat.is_symlink()) {
            return Ok(Self { main, site: path.clone() });
        }
        let main = fs::canonicalize(&main).map_err(|error| refused(error.into()))?;
        let site = site_path(&main).ok_or_else(|| refused("its link leads to a name that is no path".into()))?;
        Ok(Self { main, site })
    }

    /// The main file.
    pub(super) fn main(&self) -> &Path {
        &self.main
    }

    /// The main file as the site knows it.
    pub(super) fn site(&self) -> &SitePath {
        &self.site
    }

    /// How messages name the database.
    pub(super) fn label(&self) -> String {
        self.site.to_string()
    }

    /// The folder that holds all of it.
    pub(super) fn folder(&self) -> &Path {
        self.main.parent().unwrap_or(Path::new("/"))
    }

    /// A file beside the main one whose name ends in `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&self.main);
        path.push(suffix);
        path.into()
    }

    /// Whether there is a file with this suffix.
    pub(super) fn has(&self, suffix: &str) -> bool {
        fs::symlink_metadata(self.beside(suffix)).is_ok()
    }

    /// The log, its index and the journal, there or not.
    pub(super) fn side_files(&self) -> impl Iterator<Item = PathBuf> {
        SIDE_FILES.iter().map(|suffix| self.beside(suffix))
    }

    /// Every path that belongs to the database, there or not.
    pub(super) fn site_paths(&self) -> Vec<SitePath> {
        let bytes = self.site.to_bytes();
        let beside = SIDE_FILES.iter().map(|suffix| SitePath::parse([bytes.as_slice(), suffix.as_bytes()].concat()));
        let beside = beside.map(|path| path.expect("a longer last component keeps a path one"));
        std::iter::once(self.site.clone()).chain(beside).collect()
    }

    /// Which file bears the main name now.
    pub(super) fn id(&self) -> Option<FileId> {
        file_id(&self.main)
    }

    /// The error for anything the system refused.
    pub(super) fn failed(&self, action: &'static str, source: impl Into<backup_core::ports::Source>) -> DatabaseError {
        DatabaseError::Failed { action, name: self.label(), source: source.into() }
    }
}

#[cfg(unix)]
fn local_path(path: &SitePath) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    (!path.is_windows()).then(|| OsString::from_vec(path.to_bytes()).into())
}

#[cfg(windows)]
fn local_path(path: &SitePath) -> Option<PathBuf> {
    use std::os::windows::ffi::OsStringExt;
    // SQLite takes names in UTF-8, which a lone surrogate is not.
    let wide = String::from_utf8(path.to_bytes()).ok()?.encode_utf16().collect::<Vec<_>>();
    path.is_windows().then(|| OsString::from_wide(&wide).into())
}

#[cfg(unix)]
fn site_path(path: &Path) -> Option<SitePath> {
    use std::os::unix::ffi::OsStrExt;
    SitePath::parse(path.as_os_str().as_bytes()).ok()
}

#[cfg(windows)]
fn site_path(path: &Path) -> Option<SitePath> {
    SitePath::parse(path.to_str()?).ok()
}

/// The identity of what a path leads to.
#[cfg(unix)]
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let stat = fs::metadata(path).ok()?;
    Some(FileId { device: stat.dev(), inode: stat.ino() })
}

/// The identity of what a path leads to, as every adapter tells it. The file is opened without any right to it, and Windows' locks belong
/// to the handle that took them: those of a connection stay.
#[cfg(windows)]
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    let handle = winapi_util::Handle::from_path_any(path).ok()?;
    let told = winapi_util::file::information(&handle).ok()?;
    Some(FileId { device: told.volume_serial_number(), inode: told.file_index() })
}
