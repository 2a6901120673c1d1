//! A backup on its way: taken by the server, and brought into the snapshot or told.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use async_trait::async_trait;
use backup_core::copy::BLOCK;
use backup_core::manifest::ContentHash;
use backup_core::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFolder, DumpedFile, SetupOption,
};
use serde::{Deserialize, Serialize};

use super::{LEARNED, SqlServerDatabase, failed};
use crate::served::{Stopper, blocking, file_name};
use crate::sqlserver::{Algorithm, BackupOrder, BackupTaken, Encryption, Reading};

/// Where a backup lies that is not in the snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remote {
    /// What this file is.
    note: String,
    server: String,
    pub(super) devices: Vec<String>,
    backup_set: String,
    finished: String,
}

/// A backup by the server: nothing is done before it is finished.
#[derive(Debug)]
pub(super) struct NativeCopy {
    pub(super) database: SqlServerDatabase,
    pub(super) folder: DatabaseFolder,
    pub(super) is_pinned: bool,
}

#[async_trait]
impl DatabaseCopy for NativeCopy {
    /// Holds nothing: see the moment of the facts.
    async fn pin(&mut self) -> Result<(), DatabaseError> {
        self.is_pinned = true;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<DatabaseDump, DatabaseError> {
        let Self { mut database, folder, is_pinned } = *self;
        let name = database.database.clone();
        if !is_pinned {
            let source = "it was not pinned".into();
            return Err(DatabaseError::Failed { action: "back up", name, source });
        }
        let stopper = Stopper::default();
        database.server = database.server.stopped_by(&stopper.0);
        blocking("back up", &name, move || database.back_up(&folder)).await
    }
}

impl SqlServerDatabase {
    fn back_up(&self, folder: &DatabaseFolder) -> Result<DatabaseDump, DatabaseError> {
        let refused = |error| failed("back up", &self.database, error);
        let file = file_name(&format!("{}-{}", self.database, folder.run), ".bak").to_string();
        let set = format!("sitebackup {} {}", self.database, folder.run);
        let previous = self.server.newest_backup(&self.database, Reading::Skip).map_err(refused)?;
        let previous = previous.filter(|backup| backup.set.name.starts_with("sitebackup "));
        let certificate = self.folder.certificate.clone();
        let order = BackupOrder {
            encryption: certificate.map(|certificate| Encryption { algorithm: Algorithm::Aes256, certificate }),
            ..BackupOrder::new(&self.database, &self.on_server(&file), &set)
        };
        let taken = self.server.backup(&order, &|_| {}).map_err(refused)?;
        let mut remarks = Vec::new();
        let dumped = match &self.folder.here {
            Some(here) => self.bring(&here.join(&file), folder, &mut remarks)?,
            None => {
                let places = taken.devices.join("`, `");
                remarks
                    .push(format!("the backup stays at `{places}` on {}: it is remote, not hashed", taken.server.name));
                if let Some(previous) = previous {
                    let places = previous.places.join("`, `");
                    remarks.push(format!("nothing removes the backup before it, `{places}` on {}", previous.server));
                }
                self.note(&taken, folder)?
            }
        };
        if let Some(group) = &taken.group {
            remarks
                .push(format!("replica `{}` of availability group `{}` took the backup", group.replica, group.group));
        }
        Ok(DatabaseDump {
            place: Some(dumped.path.clone()),
            files: vec![dumped],
            setup_option: SetupOption::Manual,
            facts: learned(&taken),
            remarks,
            weaker: Vec::new(),
        })
    }

    /// Brings the file into the snapshot, and removes the server's: it carries the name that this run gave it.
    fn bring(
        &self,
        from: &Path,
        folder: &DatabaseFolder,
        remarks: &mut Vec<String>,
    ) -> Result<DumpedFile, DatabaseError> {
        let name = &self.database;
        let failed = |error: std::io::Error| DatabaseError::Failed {
            action: "read the backup of",
            name: name.clone(),
            source: format!("`{}`: {error}", from.display()).into(),
        };
        let path = file_name(name, ".bak");
        let (staged, mut file) = (folder.create(&path)?, File::open(from).map_err(failed)?);
        let (mut hasher, mut size, mut block) = (blake3::Hasher::new(), 0, vec![0; BLOCK]);
        loop {
            let got = file.read(&mut block).map_err(failed)?;
            if got == 0 {
                break;
            }
            staged.write_at(size, &block[..got])?;
            hasher.update(&block[..got]);
            size += got as u64;
        }
        if let Err(error) = fs::remove_file(from) {
            remarks.push(format!("`{}` is in the snapshot, and could not be removed: {error}", from.display()));
        }
        Ok(DumpedFile { path, size, hash: ContentHash(hasher.finalize()) })
    }

    fn note(&self, taken: &BackupTaken, folder: &DatabaseFolder) -> Result<DumpedFile, DatabaseError> {
        let note = Remote {
            note: "the backup of the database is not in this snapshot: it lies where the server put it".to_owned(),
            server: taken.server.name.clone(),
            devices: taken.devices.clone(),
            backup_set: taken.set.id.clone(),
            finished: taken.set.finished.clone(),
        };
        let content = serde_json::to_vec_pretty(&note).expect("plain data becomes JSON");
        let path = file_name(&self.database, ".bak.json");
        folder.create(&path)?.write_at(0, &content)?;
        Ok(DumpedFile { path, size: content.len() as u64, hash: ContentHash::of(&content) })
    }
}

/// What the backup adds to the facts of the database.
fn learned(taken: &BackupTaken) -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (format!("{LEARNED}{name}"), value);
    let mut facts = vec![
        fact("server", taken.server.name.clone()),
        fact("devices", taken.devices.join(", ")),
        fact("set", taken.set.id.clone()),
        fact("finished", taken.set.finished.clone()),
        fact("last-lsn", taken.set.last_lsn.clone()),
        fact("encrypted", if taken.set.is_encrypted { "yes" } else { "no" }.to_owned()),
    ];
    if let Some(group) = &taken.group {
        facts.push(fact("replica", group.replica.clone()));
        facts.push(fact("group", group.group.clone()));
    }
    facts
}
