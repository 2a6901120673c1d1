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

    /// Which files there are now.
    pub(super) fn ids(&self) -> Vec<FileId> {
        std::iter::once(self.main.clone()).chain(self.side_files()).filter_map(|path| file_id(&path)).collect()
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

#[cfg(not(unix))]
fn local_path(path: &SitePath) -> Option<PathBuf> {
    path.is_windows().then(|| String::from_utf8(path.to_bytes()).ok().map(PathBuf::from)).flatten()
}

#[cfg(unix)]
fn site_path(path: &Path) -> Option<SitePath> {
    use std::os::unix::ffi::OsStrExt;
    SitePath::parse(path.as_os_str().as_bytes()).ok()
}

#[cfg(not(unix))]
fn site_path(path: &Path) -> Option<SitePath> {
    let text = path.to_str()?;
    SitePath::parse(text.strip_prefix(r"\\?\").unwrap_or(text)).ok()
}

/// The identity of what a path leads to.
#[cfg(unix)]
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let stat = fs::metadata(path).ok()?;
    Some(FileId { device: stat.dev(), inode: stat.ino() })
}

// Elsewhere the standard library tells no identity without opening the file.
#[cfg(not(unix))]
pub(super) fn file_id(_path: &Path) -> Option<FileId> {
    None
}
