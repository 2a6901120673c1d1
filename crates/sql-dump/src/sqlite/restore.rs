//! Puts a copy back under the database's name, whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::FileRecord;
use backup_core::path::SitePath;
use backup_core::ports::database::DatabaseError;
use backup_core::ports::destination::SnapshotFiles;

use super::locate::Files;
use super::target::{Held, sync_folder};
use crate::interrupted::Interrupted;

/// Restores the database at `target` from the file of a snapshot that `record` names.
///
/// The order: lock the old one, write the new one beside it under another name, make it durable, rid the old one of log and
/// journal, make that durable, rename, make that durable.
pub(super) fn restore(from: &dyn SnapshotFiles, record: &FileRecord, target: &SitePath) -> Result<(), DatabaseError> {
    let files = Files::place(target)?;
    fs::create_dir_all(files.folder()).map_err(|error| files.failed("make the folder of", error))?;
    let held = Held::take(&files)?;
    let new = NewFile::create(&files)?;
    new.fill(from, record, &files)?;
    new.dress(&files, record).map_err(|error| files.failed("set owner and permissions of", error))?;
    new.file.sync_all().map_err(|error| files.failed("make durable the copy of", error))?;
    let _held = held.clear_side_files(&files)?;
    new.rename(&files)?;
    sync_folder(&files)
}

/// The new database under a name of its own; dropping it removes it.
#[derive(Debug)]
struct NewFile {
    path: PathBuf,
    file: File,
}

impl NewFile {
    fn create(files: &Files) -> Result<Self, DatabaseError> {
        let path = restoring(files.main());
        // What an interrupted attempt left; made anew, so that no link in its place is followed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(files.failed("replace an unfinished copy of", error));
            }
            _ => (),
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| files.failed("write", error))?;
        Ok(Self { path, file })
    }

    fn fill(&self, from: &dyn SnapshotFiles, record: &FileRecord, files: &Files) -> Result<(), DatabaseError> {
        let copy = from.open(&record.path)?;
        let written = read_once(&*copy, &mut vec![0; BLOCK], false, |_, block| {
            (&self.file).write_all(block).map_err(Interrupted::Write)
        });
        match written {
            Ok((_, written)) if Some(written) == record.hash => Ok(()),
            Ok(_) => Err(DatabaseError::Hash(files.label())),
            Err(Interrupted::Read(error)) => Err(files.failed("read the copy of", error)),
            Err(Interrupted::Write(error)) => Err(files.failed("write", error)),
        }
    }

    /// Gives the new file the old one's owner and permissions; where there is none, those of the snapshot's record.
    #[cfg(unix)]
    fn dress(&self, files: &Files, record: &FileRecord) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let new = self.file.metadata()?;
        let (owner, group, permissions) = match stat(files.main())? {
            Some(old) => (old.uid(), old.gid(), old.permissions()),
            None if record.mode == 0 => return Ok(()),
            // Only root gives files away; another user's recovery keeps them.
            None if new.uid() == 0 => (record.owner, record.group, PermissionsExt::from_mode(record.mode)),
            None => (new.uid(), new.gid(), PermissionsExt::from_mode(record.mode)),
        };
        if (owner, group) != (new.uid(), new.gid()) {
            fchown(&self.file, Some(owner), Some(group))?;
        }
        self.file.set_permissions(permissions)
    }

    #[cfg(not(unix))]
    fn dress(&self, files: &Files, _record: &FileRecord) -> io::Result<()> {
        match stat(files.main())? {
            Some(old) => self.file.set_permissions(old.permissions()),
            None => Ok(()),
        }
    }

    fn rename(&self, files: &Files) -> Result<(), DatabaseError> {
        fs::rename(&self.path, files.main()).map_err(|error| files.failed("replace", error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already after the rename; what cannot be removed is replaced by the next attempt.
        let _ = fs::remove_file(&self.path);
    }
}

fn restoring(main: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(main.file_name().unwrap_or_default());
    name.push(".restoring");
    main.with_file_name(name)
}

fn stat(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
