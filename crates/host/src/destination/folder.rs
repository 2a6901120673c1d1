//! A folder at the destination, open: its marker, its manifest, its list.
//!
//! Everything is read through the open folder, so that a rename elsewhere changes nothing of what is seen.

use std::fs::File;
use std::io::{self, Read};

use crate::os::fd::{AsFd, OwnedFd};
use crate::os::fs::{AtFlags, Mode, OFlags, fstat, fsync, futimens, openat, renameat, statat, unlinkat};
use crate::os::io::Errno;
use backup_core::copy::chain;
use backup_core::manifest::{ContentHash, LIST_NAME, MANIFEST_NAME, Manifest};
use backup_core::own_files::{LOG_NAME, MARKER_NAME, SEALED_NAME, temp_name};
use backup_core::path::{RelPath, SitePath};
use backup_core::snapshot::RunId;
use backup_core::trace::is_of_another_task;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files::local_file::open_quietly;
use crate::files::stat::{file_time, id_of, timestamps};

/// The marker's version; a folder with another one is nobody's to touch.
const MARKER_VERSION: u32 = 1;
/// No marker and no manifest is longer than this.
const LONGEST: u64 = 64 << 20;
/// Bytes of a log in which it says whose it is.
const LOG_BEGINS: u64 = 64 << 10;

/// What the marker says: whose folder this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    version: u32,
    pub(super) run: RunId,
    pub(super) site: String,
}

impl Marker {
    pub(super) fn new(run: RunId, site: &str) -> Self {
        Self { version: MARKER_VERSION, run, site: site.to_owned() }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).expect("a marker holds nothing that JSON cannot say");
        json.push(b'\n');
        json
    }
}

/// A folder directly below the destination's root.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) fd: OwnedFd,
    pub(super) path: SitePath,
}

impl Folder {
    /// Opens the folder `name` of `root`; a link is not one.
    pub(super) fn open(root: &OwnedFd, root_path: &SitePath, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(root, name, flags, Mode::empty())?;
        let name = RelPath::root().try_join(name).map_err(io::Error::other)?;
        Ok(Self { fd, path: root_path.join(&name) })
    }

    /// The folder's name.
    pub(super) fn name(&self) -> &[u8] {
        self.path.name().unwrap_or_default()
    }

    /// What tells it from any other folder, whatever its name.
    pub(super) fn inode(&self) -> Option<u64> {
        fstat(&self.fd).ok().map(|stat| id_of(&stat).inode)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The marker; `None` where there is none, or none that this version understands.
    pub(super) fn marker(&self) -> Option<Marker> {
        let marker: Marker = serde_json::from_slice(&self.read(MARKER_NAME).ok()?).ok()?;
        (marker.version == MARKER_VERSION).then_some(marker)
    }

    /// The manifest when the folder holds a whole snapshot: marker, manifest and list belong together.
    pub(super) fn whole(&self) -> Option<Manifest> {
        self.judge(&self.marker()?).ok()
    }

    /// The manifest of a whole snapshot with this marker, or what is wrong.
    pub(super) fn judge(&self, marker: &Marker) -> Result<Manifest, String> {
        let unreadable =
            |name: &str, error: &dyn std::error::Error| format!("`{name}` cannot be read: {}", chain(error));
        let json = self.read(MANIFEST_NAME).map_err(|error| unreadable(MANIFEST_NAME, &error))?;
        let manifest = Manifest::parse(&json).map_err(|error| unreadable(MANIFEST_NAME, &error))?;
        if (manifest.run, &manifest.site) != (marker.run, &marker.site) {
            return Err(format!("`{MANIFEST_NAME}` is another snapshot's"));
        }
        let hash = self.list_hash().map_err(|error| unreadable(LIST_NAME, &error))?;
        if hash != manifest.list {
            return Err(format!("`{LIST_NAME}` does not have the hash in `{MANIFEST_NAME}`"));
        }
        Ok(manifest)
    }

    /// Notes durably that it was sealed.
    pub(super) fn note_sealed(&self) -> io::Result<()> {
        self.replace(SEALED_NAME, b"a sealed snapshot: never swept, whatever becomes of its manifest\n")
    }

    /// Whether it still has the name under which it was opened.
    pub(super) fn is_in_place(&self, root: &OwnedFd, root_path: &SitePath) -> bool {
        Self::open(root, root_path, self.name()).is_ok_and(|there| there.inode() == self.inode())
    }

    /// A small file directly in the folder.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open_own(name)?.take(LONGEST + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LONGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than any that this program writes"));
        }
        Ok(content)
    }

    /// A file directly in the folder, open for reading.
    pub(super) fn open_own(&self, name: &str) -> io::Result<File> {
        Ok(File::from(open_quietly(|flags| openat(&self.fd, name, flags, Mode::empty()))?))
    }

    fn list_hash(&self) -> io::Result<ContentHash> {
        let mut hasher = blake3::Hasher::new();
        let mut list = zstd::Decoder::new(self.open_own(LIST_NAME)?)?;
        io::copy(&mut list, &mut hasher)?;
        Ok(ContentHash(hasher.finalize()))
    }

    /// Writes a file directly in the folder, durably. The name stands for the old content or the new, also after a crash.
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        replace(&self.fd, name, content)
    }

    /// Gives the folder the time of its run, for administrators look at it.
    pub(super) fn date(&self, run_started: Timestamp) -> io::Result<()> {
        futimens(&self.fd, &timestamps(file_time(run_started)))?;
        Ok(fsync(&self.fd)?)
    }
}

/// When another program in our role last left its log in `root`; a log that cannot be read tells nothing.
pub(super) fn other_task(root: &OwnedFd) -> Option<Timestamp> {
    let log = File::from(open_quietly(|flags| openat(root, LOG_NAME, flags, Mode::empty())).ok()?);
    let modified = log.metadata().and_then(|facts| facts.modified()).ok()?;
    let mut begins = Vec::new();
    log.take(LOG_BEGINS).read_to_end(&mut begins).ok()?;
    is_of_another_task(&begins).then(|| Timestamp::try_from(modified).ok()).flatten()
}

/// Writes the file `name` of `folder`, durably: to another name, synced, renamed, the folder synced.
pub(super) fn replace(folder: &OwnedFd, name: &str, content: &[u8]) -> io::Result<()> {
    let temp = temp_name(name);
    let renamed = write_new(folder, &temp, content).and_then(|_| Ok(renameat(folder, &temp, folder, name)?));
    if let Err(error) = renamed {
        // What is left of it is overwritten by the next attempt, and counts as nothing until then.
        let _ = unlinkat(folder, &temp, AtFlags::empty());
        return Err(error);
    }
    Ok(fsync(folder)?)
}

/// Writes and syncs a new file, readable by its owner only, in the place of any that has the name.
pub(super) fn write_new(folder: impl AsFd, name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    match unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    io::Write::write_all(&mut &file, content)?;
    file.sync_all()?;
    Ok(file.into())
}
