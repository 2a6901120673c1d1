//! Where an entry goes: a name in an open folder that lies below the root, reached over no link.

use std::io;
use std::sync::Arc;

use crate::os::fd::{AsFd, OwnedFd};
use crate::os::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, mkdirat, open, openat, readlinkat, statat};
use crate::os::io::Errno;
use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::RecordKind;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::recovery_target::{RecoveryError, RestoreItem, Restored, Standing};
use backup_core::ports::site_files::SiteFilesError;

use super::{Touched, is_folder, local};
use crate::files::beneath::open_beneath;
use crate::files::local_file::LocalFile;
use crate::files::stat::{modified, size_of};

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Turns a system's refusal into the port's error. A link on the way is an escape, wherever it leads.
pub(super) fn failed<E: Into<io::Error>>(action: &'static str, item: &RestoreItem) -> impl FnOnce(E) -> RecoveryError {
    move |error| {
        let error = error.into();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP | Errno::XDEV) => {
                RecoveryError::Escape { root: item.root.clone(), path: item.path.clone() }
            }
            _ => RecoveryError::Failed { action, path: item.root.join(&item.path), source: error.into() },
        }
    }
}

/// A name in an open folder.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
}

impl Place {
    /// What stands there.
    pub(super) fn stat(&self) -> Result<Option<Stat>, Errno> {
        match statat(&self.folder, self.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Finds places, making the folders above them. Mostly the next one is in the folder of the last.
#[derive(Debug)]
pub(super) struct Places {
    touched: Arc<Touched>,
    last: Option<(SitePath, RelPath, Arc<OwnedFd>)>,
}

impl Places {
    pub(super) fn new(touched: Arc<Touched>) -> Self {
        Self { touched, last: None }
    }

    pub(super) fn of(&mut self, item: &RestoreItem) -> Result<Place, RecoveryError> {
        match (item.path.parent(), item.path.name()) {
            (Some(parent), Some(name)) => self.below(item, &parent, name),
            _ => self.root_itself(item),
        }
    }

    /// The place of `path`, another one below the item's root.
    pub(super) fn of_other(&mut self, item: &RestoreItem, path: &RelPath) -> Result<Place, RecoveryError> {
        self.of(&RestoreItem { path: path.clone(), ..item.clone() })
    }

    fn below(&mut self, item: &RestoreItem, parent: &RelPath, name: &[u8]) -> Result<Place, RecoveryError> {
        let folder = match &self.last {
            Some((root, known, folder)) if *known == *parent && *root == item.root => Arc::clone(folder),
            _ => {
                let root = make_root(&item.root, Mode::RWXU).map_err(failed("make the folder of", item))?;
                let folder = make_below(root, parent).map_err(failed("make the folder of", item))?;
                self.touched.note(&folder).map_err(failed("sync", item))?;
                let folder = Arc::new(folder);
                self.last = Some((item.root.clone(), parent.clone(), Arc::clone(&folder)));
                folder
            }
        };
        Ok(Place { folder, name: name.to_vec() })
    }

    // The root is a file: the folder that holds it is the caller's and trusted.
    fn root_itself(&mut self, item: &RestoreItem) -> Result<Place, RecoveryError> {
        let (Some(parent), Some(name)) = (item.root.parent(), item.root.name()) else {
            return Err(failed("write", item)(io::Error::other("the root of a file system is no file")));
        };
        let folder =
            make_root(&parent, Mode::RWXU | Mode::RWXG | Mode::RWXO).map_err(failed("make the folder of", item))?;
        self.touched.note(&folder).map_err(failed("sync", item))?;
        Ok(Place { folder: Arc::new(folder), name: name.to_vec() })
    }

    /// Makes the item's folder, closed to others until it is settled.
    pub(super) fn make_folder(&mut self, item: &RestoreItem) -> Result<Restored, RecoveryError> {
        if item.path.is_root() {
            let root = make_root(&item.root, Mode::RWXU).map_err(failed("make", item))?;
            self.touched.note(&root).map_err(failed("sync", item))?;
            return Ok(Restored::Already);
        }
        let place = self.of(item)?;
        match mkdirat(&place.folder, place.name.as_slice(), Mode::RWXU) {
            Ok(()) => Ok(Restored::Written(0)),
            Err(Errno::EXIST) => {
                open_beneath(&place.folder, &plain(&place.name), FOLDER, Mode::empty())
                    .map_err(failed("open", item))?;
                Ok(Restored::Already)
            }
            Err(error) => Err(failed("make", item)(error)),
        }
    }
}

fn plain(name: &[u8]) -> RelPath {
    RelPath::root().try_join(name).expect("the name of a path is one component")
}

/// Opens the trusted folder `root`, making it, and with usual modes what is missing above it.
fn make_root(root: &SitePath, mode: Mode) -> io::Result<OwnedFd> {
    let place = crate::files::local(root)?;
    match open(&place, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return Ok(result?),
    }
    if let Some(parent) = place.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match mkdirat(CWD, &place, mode) {
        Ok(()) | Err(Errno::EXIST) => Ok(open(&place, FOLDER, Mode::empty())?),
        Err(error) => Err(error.into()),
    }
}

/// Opens the folder `path` below `root`, making what is missing with usual modes: no entry of the snapshot tells them.
fn make_below(root: OwnedFd, path: &RelPath) -> Result<OwnedFd, Errno> {
    match open_beneath(&root, path, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let mut folder = root;
    for component in path.components() {
        match mkdirat(&folder, component, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        folder = open_beneath(&folder, &plain(component), FOLDER, Mode::empty())?;
    }
    Ok(folder)
}

/// Opens the item's folder, which must be there, to give it its metadata.
pub(super) fn open_folder(item: &RestoreItem) -> Result<OwnedFd, RecoveryError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(local(&item.root)?, FOLDER, Mode::empty()).map_err(failed("open", item))?;
    if item.path.is_root() {
        return openat(&root, ".", flags, Mode::empty()).map_err(failed("open", item));
    }
    open_beneath(&root, &item.path, flags, Mode::empty()).map_err(failed("open", item))
}

/// What stands where the item would go.
pub(super) fn survey(item: &RestoreItem) -> Result<Standing, RecoveryError> {
    // The root of a folder may be reached over a link; a link in the place of a file is what stands there.
    let follow = if item.path.is_root() && !is_folder(item) { OFlags::NOFOLLOW } else { OFlags::empty() };
    let root = match open(local(&item.root)?, OFlags::PATH | OFlags::CLOEXEC | follow, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Standing::Absent),
        root => root.map_err(failed("examine", item))?,
    };
    let stat = match item.path.parent() {
        None => statat(&root, "", AtFlags::EMPTY_PATH).map(|stat| judge(item, &stat, &root, b"")),
        Some(parent) => {
            let name = item.path.name().unwrap_or_default();
            open_beneath(&root, &parent, FOLDER, Mode::empty()).and_then(|folder| {
                let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(judge(item, &stat, &folder, name))
            })
        }
    };
    match stat {
        Ok(standing) => Ok(standing),
        Err(Errno::NOENT) => Ok(Standing::Absent),
        // Something that is no folder stands where the entry's folder should be.
        Err(Errno::NOTDIR) => Ok(Standing::Other),
        Err(error) => Err(failed("examine", item)(error)),
    }
}

fn judge(item: &RestoreItem, stat: &Stat, folder: impl AsFd, name: &[u8]) -> Standing {
    let wanted = match item.record.kind {
        RecordKind::Directory => FileType::Directory,
        RecordKind::Symlink => FileType::Symlink,
        _ => FileType::RegularFile,
    };
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Standing::Other;
    }
    let same_target =
        || readlinkat(&folder, name, Vec::new()).ok().map(|target| target.into_bytes()) == item.record.target;
    match wanted {
        // A folder's time tells only that its content changed, and that is judged by itself.
        FileType::Directory => Standing::Older,
        FileType::Symlink if same_target() => Standing::Older,
        _ if modified(stat) > item.record.modified && !has_content(item, stat, folder, name) => Standing::Newer,
        _ => Standing::Older,
    }
}

/// Whether the file has the content of the entry, whatever its time says. Only a file of the same size is read.
fn has_content(item: &RestoreItem, stat: &Stat, folder: impl AsFd, name: &[u8]) -> bool {
    let (Some(hash), true) = (item.record.hash, size_of(stat) == item.record.size) else { return false };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(folder, name, flags, Mode::empty()) else { return false };
    let read = LocalFile::new(file, item.root.join(&item.path))
        .and_then(|file| read_once(&file, &mut vec![0; BLOCK], true, |_, _| Ok::<_, SiteFilesError>(())));
    read.is_ok_and(|(_, read)| read == hash)
}
