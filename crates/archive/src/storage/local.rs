//! Storage in a folder of this machine, or of a share that it has mounted.
//!
//! An object is written to a temporary file, made durable, and only then given its name, by a link: a link is never made over a name that
//! is taken. Where a file system has no links (FAT, some shares), the file is renamed after a look at whether the name is free. Threads of
//! one `LocalStorage` take turns at that; two processes that make the same name in the same instant there are both told that it was
//! made, and the later object stands. Names that are random or tell their content lose nothing by it.
//!
//! Symbolic links below the root are not followed: a folder that is one is refused, an object that is one does not exist. That
//! is asked before the file is opened, so it keeps mistakes out and not somebody who changes the folder meanwhile.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::{Storage, StorageError, Stored, is_name, is_part};

/// The folder of files that have no name yet. What lies in it ends in [`PARTIAL`], which no name of an object does.
const TEMPORARY: &str = "tmp";
const PARTIAL: &str = ".part";

/// The age at which a temporary file belongs to nobody who is still at work.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of objects. On Unix its files and folders are their owner's alone.
#[derive(Debug)]
pub struct LocalStorage {
    root: PathBuf,
    /// Folders that are there, each with a name that is durable.
    ready: Mutex<BTreeSet<String>>,
    /// Held from the look at a name until the rename, where there are no links.
    renaming: Mutex<()>,
}

impl LocalStorage {
    /// Makes `folder`, in a folder that is there. It may be there itself when it is empty.
    ///
    /// # Errors
    /// [`StorageError::Exists`] when something lies in it, [`StorageError::Failed`].
    pub fn create(folder: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let root = folder.into();
        let fault = |error| refused("create", &root.to_string_lossy(), error);
        make_folder(&root).map_err(fault)?;
        if fs::read_dir(&root).map_err(fault)?.next().is_some() {
            return Err(StorageError::Exists(root.to_string_lossy().into_owned()));
        }
        let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new("."))).map_err(fault)?;
        Self::open(root)
    }

    /// The storage in `folder`. What lies in it is not looked at.
    ///
    /// # Errors
    /// [`StorageError::Missing`] when there is no such folder, [`StorageError::Failed`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let root = folder.into();
        let name = root.to_string_lossy().into_owned();
        let metadata = fs::metadata(&root).map_err(|error| refused("open", &name, error))?;
        if !metadata.is_dir() {
            return Err(StorageError::failed("open", &name, ErrorKind::NotADirectory.into()));
        }
        Ok(Self { root, ready: Mutex::default(), renaming: Mutex::default() })
    }

    /// The path of an object that may be there. No folder on the way is a link.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if !is_name(name) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no object can have this name"));
        }
        let mut path = self.root.clone();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            if parts.peek().is_some() && !plain_folder(&path)? {
                return Err(ErrorKind::NotADirectory.into());
            }
        }
        Ok(path)
    }

    /// Opens an object. A link or a folder of its name is none.
    fn object(&self, name: &str) -> io::Result<(File, Metadata)> {
        let open = || {
            let path = self.path(name)?;
            if !fs::symlink_metadata(&path)?.is_file() {
                return Err(ErrorKind::NotFound.into());
            }
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        match found(open())? {
            Some(opened) => Ok(opened),
            None => self.is_there().and(Err(ErrorKind::NotFound.into())),
        }
    }

    /// Fails where the root is gone, as a share may be: what is below it is not known then, and is not nothing.
    fn is_there(&self) -> io::Result<()> {
        match found(fs::metadata(&self.root))? {
            Some(_) => Ok(()),
            None => Err(io::Error::other("the folder of the whole storage is gone")),
        }
    }

    /// Makes a folder with those above it, all of their names durable. Another process may have made one and not synced it yet, so what is found
    /// here for the first time is synced, too.
    fn ready(&self, folder: &str) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
        for (part, end) in folder.split('/').zip(ends) {
            let parent = path.clone();
            path.push(part);
            if self.ready.lock().expect("nothing panics while it is held").contains(&folder[..end]) {
                continue;
            }
            make_folder(&path)?;
            sync_folder(&parent)?;
            self.ready.lock().expect("nothing panics while it is held").insert(folder[..end].to_owned());
        }
        Ok(path)
    }

    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if !is_name(name) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no object can have this name"));
        }
        let (folder, last) = match name.rsplit_once('/') {
            Some((folder, last)) => (self.ready(folder)?, last),
            None => (self.root.clone(), name),
        };
        let path = folder.join(last);
        let temporary = write_temporary(&self.ready(TEMPORARY)?, content)?;
        let mut placed = fs::hard_link(&temporary, &path);
        if placed.as_ref().is_err_and(has_no_links) {
            placed = self.rename(&temporary, &path);
        }
        // What is left of it here, a sweep removes; the object is whole without that.
        drop(fs::remove_file(&temporary));
        match placed {
            // Whoever is told that it exists relies on it, and its maker may not have come as far as this.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => sync_folder(&folder).and(Err(error)),
            Err(error) => Err(error),
            Ok(()) => sync_folder(&folder),
        }
    }

    /// Gives a file its name where there are no links.
    pub(super) fn rename(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        let _turn = self.renaming.lock().expect("nothing panics while it is held");
        match found(fs::symlink_metadata(path))? {
            Some(_) => Err(ErrorKind::AlreadyExists.into()),
            None => fs::rename(temporary, path),
        }
    }
}

impl Storage for LocalStorage {
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError> {
        let fault = |error| refused("list", folder, error);
        if !is_part(folder) {
            return Err(fault(io::Error::new(ErrorKind::InvalidInput, "it is no folder of objects")));
        }
        let (mut objects, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let path = self.root.join(&folder);
            if !found(plain_folder(&path)).map_err(fault)?.unwrap_or(false) {
                self.is_there().map_err(fault)?;
                continue;
            }
            let Some(entries) = found(fs::read_dir(path)).map_err(fault)? else { continue };
            for entry in entries {
                let entry = entry.map_err(fault)?;
                let Some(name) =
                    entry.file_name().to_str().filter(|name| is_part(name)).map(|name| format!("{folder}/{name}"))
                else {
                    continue;
                };
                match found(entry.metadata()).map_err(fault)? {
                    Some(metadata) if metadata.is_dir() => folders.push(name),
                    Some(metadata) if metadata.is_file() => objects.push(Stored { name, len: metadata.len() }),
                    _ => {}
                }
            }
        }
        objects.sort_unstable();
        Ok(objects)
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        self.object(name).map(|(_, metadata)| metadata.len()).map_err(|error| refused("read", name, error))
    }

    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        let read = || {
            let (mut file, metadata) = self.object(name)?;
            if offset.checked_add(len as u64).is_none_or(|end| end > metadata.len()) {
                return Err(ErrorKind::NotFound.into());
            }
            file.seek(SeekFrom::Start(offset))?;
            let mut content = Vec::with_capacity(len);
            file.take(len as u64).read_to_end(&mut content)?;
            if content.len() == len { Ok(content) } else { Err(ErrorKind::NotFound.into()) }
        };
        read().map_err(|error| refused("read", name, error))
    }

    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.put(name, content).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => StorageError::Exists(name.to_owned()),
            // Not `Missing`: what is missing is a folder that was there, or the root.
            ErrorKind::NotFound => StorageError::failed("put", name, error),
            _ => refused("put", name, error),
        })
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        let remove = || {
            let path = self.path(name)?;
            // A folder or a link of an object's name is no object, and not ours.
            if fs::symlink_metadata(&path)?.is_file() {
                fs::remove_file(&path)?;
            }
            sync_folder(path.parent().unwrap_or(&self.root))
        };
        found(remove())
            .and_then(|done| done.map_or_else(|| self.is_there(), Ok))
            .map_err(|error| refused("delete", name, error))
    }

    /// Takes temporary files of ours that were last written more than a day ago. What time it is there, a new file tells: the clock of this machine may be
    /// wrong, and that of the share another one.
    fn sweep(&self) -> Result<usize, StorageError> {
        let fault = |error| refused("sweep", TEMPORARY, error);
        let folder = self.root.join(TEMPORARY);
        if !found(plain_folder(&folder)).map_err(fault)?.unwrap_or(false) {
            return Ok(0);
        }
        let probe = write_temporary(&folder, &[]).map_err(fault)?;
        let now = fs::metadata(&probe).and_then(|facts| facts.modified());
        fs::remove_file(&probe).map_err(fault)?;
        sweep_folder(&folder, now.map_err(fault)?).map_err(fault)
    }
}

/// Removes what is ours and was old at `now`; returns how many.
pub(super) fn sweep_folder(folder: &Path, now: SystemTime) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(metadata) = found(entry.metadata())? else { continue };
        let age = now.duration_since(metadata.modified()?).unwrap_or_default();
        let is_ours = metadata.is_file() && entry.file_name().to_str().is_some_and(is_temporary);
        if is_ours && age > ABANDONED && found(fs::remove_file(entry.path()))?.is_some() {
            swept += 1;
        }
    }
    Ok(swept)
}

/// What the system refused, in the port's words.
pub(super) fn refused(action: &'static str, name: &str, error: io::Error) -> StorageError {
    match error.kind() {
        ErrorKind::NotFound => StorageError::Missing(name.to_owned()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full(name.to_owned()),
        _ => StorageError::failed(action, name, error),
    }
}

/// What is there, of a call on something that another process may have removed.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn plain_folder(path: &Path) -> io::Result<bool> {
    fs::symlink_metadata(path).map(|metadata| metadata.is_dir())
}

/// Makes a folder that its owner alone reads, unless it is there.
fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    // One at a time: each is synced into the one above it.
    builder.recursive(false);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Err(_) if !plain_folder(path)? => Err(ErrorKind::NotADirectory.into()),
        _ => Ok(()),
    }
}

/// A new durable file in `folder`, or nothing.
fn write_temporary(folder: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let (path, mut file) = new_temporary(folder)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    // Windows gives no name to a file and removes none that is open.
    drop(file);
    if written.is_err() {
        drop(fs::remove_file(&path));
    }
    written.map(|()| path)
}

fn new_temporary(folder: &Path) -> io::Result<(PathBuf, File)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    loop {
        // Nothing depends on nobody guessing it: a name that is taken is refused, and another one tried.
        let random = RandomState::new().build_hasher().finish();
        let path = folder.join(format!("{random:016x}{PARTIAL}"));
        match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (path, file)),
        }
    }
}

fn is_temporary(name: &str) -> bool {
    let random = name.strip_suffix(PARTIAL);
    random.is_some_and(|random| {
        random.len() == 16 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// How file systems say that they have no links: Linux by EPERM (FAT) or EOPNOTSUPP (shares), Windows by ERROR_INVALID_FUNCTION or
/// ERROR_NOT_SUPPORTED.
pub(super) fn has_no_links(error: &io::Error) -> bool {
    let says_windows = cfg!(windows) && matches!(error.raw_os_error(), Some(1 | 50));
    says_windows || matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

/// A folder's names are durable once it was synced; Windows keeps them without.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
