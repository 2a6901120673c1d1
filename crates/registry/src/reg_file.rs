//! A store of keys that lives in one `.reg` file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::diff::{Change, diff};
use crate::name::KeyPath;
use crate::reg_text::{self, Encoding, RegText, Section, SyntaxError, WriteError};
use crate::tree::Key;

/// A `.reg` file as a store that exports and imports one key at a time.
///
/// An import replaces the file in one step, so that a reader sees the old or the new file whole, also after a crash;
/// it keeps the file's encoding, mode and owner, and what lies outside the imported key, but not comments. Imports
/// through one `RegFile` wait for each other. Nothing holds off other programs that write: the last one wins.
#[derive(Debug)]
pub struct RegFile {
    path: PathBuf,
    importing: Mutex<()>,
}

/// What becomes of that which the store has and the imported text has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// It stays, unless the text deletes it.
    Merge,
    /// It goes: the key becomes what the text says, no more.
    Exact,
}

/// Why an export or an import did not happen. In each case the file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegFileError {
    /// The file cannot be read; it may not exist.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file of the store.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file holds no `.reg` text.
    #[error("`{}` is not a valid .reg file", path.display())]
    Store {
        /// The file of the store.
        path: PathBuf,
        /// The first fault.
        source: SyntaxError,
    },
    /// The file cannot be replaced.
    #[error("failed to replace `{}`", path.display())]
    Replace {
        /// The file of the store.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The store does not have the key that is to be exported.
    #[error("key `{0}` does not exist")]
    KeyNotFound(KeyPath),
    /// The data to import are no `.reg` text.
    #[error("data to import are not valid .reg text")]
    Data(#[source] SyntaxError),
    /// The data to import would change a key outside the one that was asked for.
    #[error("data to import reach outside key `{key}`, to `{outside}`")]
    OutsideKey {
        /// The key that was asked for.
        key: KeyPath,
        /// The first key outside it.
        outside: KeyPath,
    },
    /// The data to import do not hold the key that they are to replace exactly.
    #[error("data to import do not hold key `{0}`")]
    KeyNotInData(KeyPath),
    /// The tree cannot be written in the file's encoding.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl RegFile {
    /// A store in the file at `path`, which is not touched before the first call.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), importing: Mutex::new(()) }
    }

    /// The file of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key at `key` with all below it, as UTF-16LE `.reg` text.
    ///
    /// The text is one version of the file, also while a writer replaces it.
    pub fn export(&self, key: &KeyPath) -> Result<Vec<u8>, RegFileError> {
        let root = self.read()?.into_tree();
        let subtree = root.get(key).ok_or_else(|| RegFileError::KeyNotFound(key.clone()))?;
        Ok(reg_text::write(subtree, key, Encoding::Utf16Le)?)
    }

    /// Puts `.reg` text into the store at `key`, and tells what that changed. Idempotent.
    ///
    /// All that the text sets and deletes must lie at or below `key`. A missing file is created, readable by its owner
    /// only; a file that holds the wanted state already is left alone. Durable when it returns.
    pub fn import(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<Vec<Change>, RegFileError> {
        // The lock guards nothing that a panic could leave half done.
        let _importing = self.importing.lock().unwrap_or_else(PoisonError::into_inner);
        let Import { after, changes, encoding } = self.plan(key, data, mode)?;
        if !changes.is_empty() {
            let bytes = reg_text::write(&after, &KeyPath::default(), encoding)?;
            replace(&self.path, &bytes).map_err(|source| RegFileError::Replace { path: self.path.clone(), source })?;
        }
        Ok(changes)
    }

    /// Tells what [`import`](Self::import) would change, and changes nothing.
    pub fn preview(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<Vec<Change>, RegFileError> {
        Ok(self.plan(key, data, mode)?.changes)
    }

    fn plan(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<Import, RegFileError> {
        let script = read_script(key, data)?;
        let store = match self.read() {
            Err(RegFileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                RegText { encoding: Encoding::Utf16Le, sections: Vec::new() }
            }
            store => store?,
        };
        let encoding = store.encoding;
        let before = store.into_tree();
        let mut after = before.clone();
        match mode {
            ImportMode::Merge => script.apply(&mut after),
            ImportMode::Exact => {
                after.replace(key, subtree(key, script)?);
            }
        }
        Ok(Import { changes: diff(&before, &after), after, encoding })
    }

    fn read(&self) -> Result<RegText, RegFileError> {
        let path = || self.path.clone();
        let bytes = fs::read(&self.path).map_err(|source| RegFileError::Read { path: path(), source })?;
        reg_text::read(&bytes).map_err(|source| RegFileError::Store { path: path(), source })
    }
}

/// Reads what [`RegFile::export`] wrote for `key`, as strictly as an exact import does.
pub fn read_export(key: &KeyPath, data: &[u8]) -> Result<Key, RegFileError> {
    subtree(key, read_script(key, data)?)
}

fn read_script(key: &KeyPath, data: &[u8]) -> Result<RegText, RegFileError> {
    let script = reg_text::read(data).map_err(RegFileError::Data)?;
    match script.sections.iter().map(Section::path).find(|path| !path.starts_with(key)) {
        Some(outside) => Err(RegFileError::OutsideKey { key: key.clone(), outside: outside.clone() }),
        None => Ok(script),
    }
}

fn subtree(key: &KeyPath, script: RegText) -> Result<Key, RegFileError> {
    script.into_tree().remove(key).ok_or_else(|| RegFileError::KeyNotInData(key.clone()))
}

struct Import {
    after: Key,
    changes: Vec<Change>,
    encoding: Encoding,
}

/// Replaces a file, or the one that a link points to, in one step.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
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

#[cfg(test)]
mod tests;
