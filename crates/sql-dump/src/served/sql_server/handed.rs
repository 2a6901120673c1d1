//! A backup of a snapshot, where the server can read it.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use backup_core::cancel::Cancel;
use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::FileRecord;
use backup_core::ports::Source;
use backup_core::ports::database::{DatabaseError, DatabaseSource};

use super::copy::Remote;
use super::folder::is_below;
use super::{LEARNED, SqlServerDatabase};
use crate::interrupted::Interrupted;
use crate::served::part::read_listed;
use crate::sqlserver::{ExpectedSet, path_in};

/// No note is longer.
const LONGEST_NOTE: u64 = 1 << 20;

/// A backup as a snapshot has it.
pub(super) struct Stored<'a> {
    record: &'a FileRecord,
    /// What the server must find in it.
    pub(super) expected: ExpectedSet,
    pub(super) lies: Lies,
}

/// Where a backup lies.
pub(super) enum Lies {
    /// In the snapshot; the server gets it by way of this folder.
    Here(PathBuf),
    /// Where the server put it, in its own folder.
    There(Vec<String>),
}

impl<'a> Stored<'a> {
    /// Looks at it, and writes nothing.
    pub(super) fn look(this: &SqlServerDatabase, from: &'a DatabaseSource) -> Result<Self, DatabaseError> {
        let name = &from.part.name;
        let [record] = &from.records[..] else {
            return Err(DatabaseError::Unsupported(format!("the snapshot holds no single backup of `{name}`")));
        };
        let (id, lies) = if record.path.name().is_some_and(|file| file.ends_with(b".json")) {
            let note = read_note(from, record)?;
            refuse_outside(&this.folder.server, &note.devices)?;
            (note.backup_set, Lies::There(note.devices))
        } else {
            (set_of(from)?, Lies::Here(here(this, name)?))
        };
        Ok(Self { record, expected: ExpectedSet { id, database: name.clone() }, lies })
    }

    /// Puts it where the server can read it, unless it lies there.
    pub(super) fn hand_over(
        &self,
        this: &SqlServerDatabase,
        from: &DatabaseSource,
        cancel: &Cancel,
    ) -> Result<Handed, DatabaseError> {
        let here = match &self.lies {
            Lies::There(devices) => return Ok(Handed { devices: devices.clone(), put: None }),
            Lies::Here(here) => here,
        };
        let name = &from.part.name;
        let failed = |action, source: Source| DatabaseError::Failed { action, name: name.clone(), source };
        let file = format!("sitebackup-restore-{:016x}.bak", RandomState::new().build_hasher().finish());
        let open = from.files.open(&self.record.path)?;
        let unwritten = |error: io::Error| failed("write the backup of", error.into());
        let put = here.join(&file);
        let mut out = create(&put).map_err(unwritten)?;
        let handed = Handed { devices: vec![path_in(&this.folder.server, &file)], put: Some(put) };
        // The server is to be in the group of the folder; on Windows the folder's access rules hold.
        #[cfg(unix)]
        out.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640)).map_err(unwritten)?;
        let read = read_once(&*open, &mut vec![0; BLOCK], false, |_, block| {
            refuse_stopped(cancel).and_then(|()| out.write_all(block)).map_err(Interrupted::Write)
        });
        match read {
            Ok((_, hash)) if Some(hash) == self.record.hash => Ok(handed),
            Ok(_) => Err(DatabaseError::Hash(name.clone())),
            Err(Interrupted::Read(error)) => Err(failed("read the backup of", error.into())),
            Err(Interrupted::Write(error)) => Err(unwritten(error)),
        }
    }
}

fn read_note(from: &DatabaseSource, record: &FileRecord) -> Result<Remote, DatabaseError> {
    let (action, name) = ("read the note of", &from.part.name);
    let content = read_listed(&*from.files, record, LONGEST_NOTE, (action, name))?;
    serde_json::from_slice(&content).map_err(|error| DatabaseError::Failed {
        action,
        name: name.clone(),
        source: error.into(),
    })
}

/// The snapshot may be anybody's: it does not choose what the server opens.
fn refuse_outside(folder: &str, devices: &[String]) -> Result<(), DatabaseError> {
    match devices.iter().find(|device| !is_below(folder, device)) {
        None if devices.is_empty() => {
            Err(DatabaseError::Unsupported("the snapshot does not say where its backup lies".to_owned()))
        }
        None => Ok(()),
        Some(device) => Err(DatabaseError::Unsupported(format!(
            "the snapshot names `{device}` as its backup, which is not below `{folder}`: name its folder with backup-folder"
        ))),
    }
}

/// The identity of the set in the snapshot.
fn set_of(from: &DatabaseSource) -> Result<String, DatabaseError> {
    let set = format!("{LEARNED}set");
    let found = from.part.facts.iter().find(|(fact, _)| *fact == set).map(|(_, id)| id.clone());
    found.ok_or_else(|| DatabaseError::Unsupported("the snapshot does not say which backup set it holds".to_owned()))
}

/// The folder through which the server gets a backup.
fn here(this: &SqlServerDatabase, name: &str) -> Result<PathBuf, DatabaseError> {
    this.folder.local()?.map(Path::to_owned).ok_or_else(|| {
        DatabaseError::Unsupported(format!(
            "the backup of `{name}` is in the snapshot, and SQL Server cannot reach it: name a folder that both see with \
             backup-folder and backup-folder-here"
        ))
    })
}

/// Creates a file of the owner's; nothing that is there is followed or overwritten.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Refuses to go on when somebody asked to stop.
pub(super) fn refuse_stopped(cancel: &Cancel) -> io::Result<()> {
    if cancel.is_cancelled() { Err(io::Error::other("stopped, as asked")) } else { Ok(()) }
}

/// A backup that is where the server can read it; what was put there for that is removed in the end.
pub(super) struct Handed {
    pub(super) devices: Vec<String>,
    put: Option<PathBuf>,
}

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(put) = &self.put {
            // A copy of what is in the snapshot.
            let _ = fs::remove_file(put);
        }
    }
}
