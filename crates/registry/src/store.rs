//! A store of keys that lives in one file, whatever the file's format is.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use backup_core::ports::Source;
use backup_core::ports::registry::ImportMode;

use crate::diff::{Change, diff};
use crate::name::KeyPath;
use crate::reg_text::{self, RegText, Section};
use crate::regf;
use crate::replace::replace;
use crate::tree::{Detail, Excess, Key};

/// How a kind of file holds keys.
pub trait Format: Debug + Send + Sync + 'static {
    /// What a file says besides its keys, to be written as it was read; the default is that of a new file.
    type Rest: Default;

    /// What it has a place for. What lies beyond is not written, and is no difference.
    const DETAIL: Detail;

    /// The key that the file stands for; the root where it may hold any.
    fn mount(&self) -> &KeyPath;

    /// Reads the key that the file stands for. `file` is where the bytes are from, for what lies beside them.
    fn read(&self, bytes: Vec<u8>, file: &Path) -> Result<(Key, Self::Rest), Source>;

    /// Writes what [`read`](Self::read) reads.
    fn write(&self, key: &Key, rest: &Self::Rest) -> Result<Vec<u8>, Source>;
}

/// A file as a store that exports and imports one key at a time.
///
/// An import replaces the file in one step, so that a reader sees the old or the new file whole, also after a crash;
/// it keeps the file's mode and owner, and what lies outside the imported key. Imports through one store wait for each
/// other. Nothing holds off other programs that write: the last one wins.
#[derive(Debug)]
pub struct FileStore<F> {
    path: PathBuf,
    format: F,
    importing: Mutex<()>,
}

/// Why an export or an import did not happen. In each case the file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be read; it may not exist.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file of the store.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not in its format.
    #[error("`{}` is damaged, or not in the format that it should be in", path.display())]
    Damaged {
        /// The file of the store.
        path: PathBuf,
        /// The first fault.
        source: Source,
    },
    /// The file cannot be replaced.
    #[error("failed to replace `{}`", path.display())]
    Replace {
        /// The file of the store.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The key does not lie in what the file stands for.
    #[error("key `{key}` does not lie in `{mount}`, which `{}` stands for", path.display())]
    OutsideStore {
        /// The key.
        key: KeyPath,
        /// The key that the file stands for.
        mount: KeyPath,
        /// The file of the store.
        path: PathBuf,
    },
    /// The store does not have the key that is to be exported.
    #[error("key `{0}` does not exist")]
    KeyNotFound(KeyPath),
    /// The data to import are neither a hive nor `.reg` text.
    #[error("data to import are neither a valid hive nor valid .reg text")]
    Data(#[source] Source),
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
    /// Windows refused a call on a key of the live registry.
    #[error("failed to {action} `{key}` in the live registry")]
    Live {
        /// What was tried, such as `open`.
        action: &'static str,
        /// The key.
        key: KeyPath,
        /// The cause.
        source: io::Error,
    },
    /// Windows called an import a success, and the live registry is not as it was to be.
    #[error("`{key}` in the live registry is not what was imported: {count} differences, such as {first}")]
    NotKept {
        /// The key.
        key: KeyPath,
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// The format has no room for the tree.
    #[error("the keys cannot be written")]
    Write(#[source] Source),
}

impl<F: Format> FileStore<F> {
    pub(crate) fn with_format(path: impl Into<PathBuf>, format: F) -> Self {
        Self { path: path.into(), format, importing: Mutex::new(()) }
    }

    /// The file of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that the file stands for; the root where it may hold any.
    pub fn mount(&self) -> &KeyPath {
        self.format.mount()
    }

    /// The key at `key` with all below it, of one version of the file, also while a writer replaces it.
    pub fn read(&self, key: &KeyPath) -> Result<Key, StoreError> {
        self.judge(key)?;
        self.read_all()?.0.remove(key).ok_or_else(|| StoreError::KeyNotFound(key.clone()))
    }

    /// The key at `key` with all below it, as a hive whose root it is. An unchanged key gives the same bytes, if it is
    /// asked for by the same name.
    pub fn export(&self, key: &KeyPath) -> Result<Vec<u8>, StoreError> {
        write_export(key, &self.read(key)?)
    }

    /// Puts a hive or `.reg` text into the store at `key`, and tells what that changed. Idempotent.
    ///
    /// A hive's root becomes `key`; all that a text sets and deletes must lie at or below it. A missing file is created,
    /// readable by its owner only; a file that holds the wanted state already is left alone. Durable when it returns.
    pub fn import(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<Vec<Change>, StoreError> {
        // The lock guards nothing that a panic could leave half done.
        let _importing = self.importing.lock().unwrap_or_else(PoisonError::into_inner);
        let Import { mut after, changes, rest } = self.plan(key, data, mode)?;
        if !changes.is_empty() {
            let root = after.remove(self.mount()).unwrap_or_default();
            let bytes = self.format.write(&root, &rest).map_err(StoreError::Write)?;
            replace(&self.path, &bytes).map_err(|source| StoreError::Replace { path: self.path.clone(), source })?;
        }
        Ok(changes)
    }

    /// What an import of `data` cannot keep of it, as the file has no place for it. Reads no file.
    pub fn loses(&self, key: &KeyPath, data: &[u8]) -> Result<Excess, StoreError> {
        match Data::read(key, data)? {
            Data::Tree(mut tree) => Ok(tree.reduce(F::DETAIL)),
            Data::Script(_) => Ok(Excess::default()),
        }
    }

    /// Tells what [`import`](Self::import) would change, and changes nothing.
    pub fn preview(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<Vec<Change>, StoreError> {
        Ok(self.plan(key, data, mode)?.changes)
    }

    fn plan(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<Import<F::Rest>, StoreError> {
        self.judge(key)?;
        let data = Data::read(key, data)?;
        let (before, rest) = match self.read_all() {
            Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Default::default(),
            store => store?,
        };
        let mut after = before.clone();
        data.put(key, &mut after, mode)?;
        after.reduce(F::DETAIL);
        Ok(Import { changes: diff(&before, &after), after, rest })
    }

    fn judge(&self, key: &KeyPath) -> Result<(), StoreError> {
        let mount = self.mount();
        if key.starts_with(mount) {
            return Ok(());
        }
        Err(StoreError::OutsideStore { key: key.clone(), mount: mount.clone(), path: self.path.clone() })
    }

    /// The tree of all keys, with the one that the file stands for in its place.
    fn read_all(&self) -> Result<(Key, F::Rest), StoreError> {
        let path = || self.path.clone();
        let bytes = fs::read(&self.path).map_err(|source| StoreError::Read { path: path(), source })?;
        let read = self.format.read(bytes, &self.path);
        let (key, rest) = read.map_err(|source| StoreError::Damaged { path: path(), source })?;
        let mut root = Key::default();
        root.replace(self.mount(), key);
        Ok((root, rest))
    }
}

/// Writes a key as [`FileStore::export`] does: a hive of version 1.5 that was last written when its newest key was, and
/// whose root has the last name of `path`.
pub fn write_export(path: &KeyPath, key: &Key) -> Result<Vec<u8>, StoreError> {
    regf::write(key, &regf::Header::of_export(path, key)).map_err(|error| StoreError::Write(error.into()))
}

/// Reads what [`FileStore::export`] wrote for `key`, or `.reg` text of it, as strictly as an exact import does.
pub fn read_export(key: &KeyPath, data: &[u8]) -> Result<Key, StoreError> {
    Data::read(key, data)?.exact(key)
}

/// What is to be imported.
pub(crate) enum Data {
    Tree(Key),
    Script(RegText),
}

impl Data {
    pub(crate) fn read(key: &KeyPath, data: &[u8]) -> Result<Self, StoreError> {
        if regf::is_hive(data) {
            let hive = regf::read(data).map_err(|fault| StoreError::Data(fault.into()))?;
            return Ok(Self::Tree(hive.root));
        }
        let script = reg_text::read(data).map_err(|fault| StoreError::Data(fault.into()))?;
        match script.sections.iter().map(Section::path).find(|path| !path.starts_with(key)) {
            Some(outside) => Err(StoreError::OutsideKey { key: key.clone(), outside: outside.clone() }),
            None => Ok(Self::Script(script)),
        }
    }

    /// Puts it into the tree at `key`.
    pub(crate) fn put(self, key: &KeyPath, root: &mut Key, mode: ImportMode) -> Result<(), StoreError> {
        match (mode, self) {
            (ImportMode::Merge, Self::Tree(tree)) => root.create(key).merge(tree),
            (ImportMode::Merge, Self::Script(script)) => script.apply(root),
            // A hive without a class or with the default descriptor says just that.
            (ImportMode::Exact, Self::Tree(tree)) => root.replace(key, tree),
            (ImportMode::Exact, script @ Self::Script(_)) => {
                let mut new = script.exact(key)?;
                if let Some(old) = root.get(key) {
                    new.inherit(old);
                }
                root.replace(key, new);
            }
        }
        Ok(())
    }

    fn exact(self, key: &KeyPath) -> Result<Key, StoreError> {
        match self {
            Self::Tree(tree) => Ok(tree),
            Self::Script(script) => script.into_tree().remove(key).ok_or_else(|| StoreError::KeyNotInData(key.clone())),
        }
    }
}

struct Import<R> {
    after: Key,
    changes: Vec<Change>,
    rest: R,
}

#[cfg(test)]
mod tests;
