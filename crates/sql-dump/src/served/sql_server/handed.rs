//! A backup of a snapshot, where the server can read it.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use backup_core::copy::{BLOCK, read_once};
use backup_core::ports::Source;
use backup_core::ports::database::{DatabaseError, DatabaseSource};

use super::SqlServerDatabase;
use super::copy::Remote;
use crate::interrupted::Interrupted;

/// A backup that is where the server can read it; what was put there for that is removed in the end.
pub(super) struct Handed {
    pub(super) devices: Vec<String>,
    put: Option<PathBuf>,
}

impl Handed {
    pub(super) fn new(this: &SqlServerDatabase, from: &DatabaseSource) -> Result<Self, DatabaseError> {
        let name = from.part.name.clone();
        let [record] = &from.records[..] else {
            return Err(DatabaseError::Unsupported(format!("the snapshot holds no single backup of `{name}`")));
        };
        let failed = |action, source: Source| DatabaseError::Failed { action, name: name.clone(), source };
        let open = from.files.open(&record.path)?;
        let is_note = record.path.name().is_some_and(|file| file.ends_with(b".json"));
        let file = format!("sitebackup-restore-{}.bak", record.hash.map_or_else(String::new, |hash| hash.to_string()));
        let here = match (&this.folder.here, is_note) {
            (_, true) => None,
            (Some(here), false) => Some(here.join(&file)),
            (None, false) => {
                let message = format!(
                    "the backup of `{name}` is in the snapshot, and SQL Server cannot reach it: name a folder that both see with \
                     backup-folder and backup-folder-here"
                );
                return Err(DatabaseError::Unsupported(message));
            }
        };
        let mut content = Vec::new();
        let mut out =
            here.as_ref().map(File::create).transpose().map_err(|error| failed("write the backup of", error.into()))?;
        let read = read_once(&*open, &mut vec![0; BLOCK], false, |_, block| match &mut out {
            Some(out) => out.write_all(block).map_err(Interrupted::Write),
            None => {
                content.extend_from_slice(block);
                Ok(())
            }
        });
        let handed = Self { devices: vec![this.on_server(&file)], put: here };
        match read {
            Ok((_, hash)) if Some(hash) == record.hash => {}
            Ok(_) => return Err(DatabaseError::Hash(name)),
            Err(Interrupted::Read(error)) => return Err(failed("read the backup of", error.into())),
            Err(Interrupted::Write(error)) => return Err(failed("write the backup of", error.into())),
        }
        if !is_note {
            return Ok(handed);
        }
        let note: Remote =
            serde_json::from_slice(&content).map_err(|error| failed("read the note of", error.into()))?;
        Ok(Self { devices: note.devices, put: None })
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(put) = &self.put {
            // A copy of what is in the snapshot; the next restore of the same backup replaces it.
            let _ = fs::remove_file(put);
        }
    }
}
