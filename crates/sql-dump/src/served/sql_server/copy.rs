//! A backup on its way: taken by the server, and brought into the snapshot or told.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::BLOCK;
use backup_core::manifest::ContentHash;
use backup_core::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFolder, DumpedFile, SetupOption,
};
use serde::{Deserialize, Serialize};

use super::handed::refuse_stopped;
use super::{LEARNED, SqlServerDatabase, failed, recorded};
use crate::blocking::{Stopper, blocking};
use crate::served::file_name;
use crate::sqlserver::{BackupTaken, GroupRole, path_in, set_name};

/// Where a backup lies that is not in the snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remote {
    /// What this file is.
    note: String,
    server: String,
    pub(super) devices: Vec<String>,
    pub(super) backup_set: String,
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
        let cancel = stopper.cancel().clone();
        database.server = database.server.stopped_by(&cancel);
        blocking("back up", &name, move || database.back_up(&folder, &cancel)).await
    }
}

impl SqlServerDatabase {
    /// Takes the backup. Where it fails, the server's file goes too, if this machine sees it.
    fn back_up(&self, folder: &DatabaseFolder, cancel: &Cancel) -> Result<DatabaseDump, DatabaseError> {
        let file = file_name(&format!("{}-{}", self.database, folder.run), ".bak").to_string();
        let Some(here) = self.folder.local()?.map(|here| here.join(&file)) else {
            return self.leave(&file, folder);
        };
        // What is removed below must be this run's own.
        if fs::symlink_metadata(&here).is_ok() {
            let source = format!("`{}` is there already", here.display()).into();
            return Err(DatabaseError::Failed { action: "back up", name: self.database.clone(), source });
        }
        self.fetch(&file, &here, folder, cancel).map_err(|error| self.cleaned_up(&here, error))
    }

    /// Has the server take the backup into its folder, and leaves it there.
    fn leave(&self, file: &str, folder: &DatabaseFolder) -> Result<DatabaseDump, DatabaseError> {
        let refused = |error| failed("back up", &self.database, error);
        let previous = self.server.newest_own_backup(&self.database).map_err(refused)?;
        let taken = self.take(file, folder).map_err(|error| self.left_there(file, error))?;
        let (places, server) = (taken.devices.join("`, `"), &taken.server.name);
        let mut remarks = vec![format!("the backup stays at `{places}` on {server}: it is remote, not hashed")];
        remarks.extend(previous.map(|previous| {
            format!("nothing removes the backup before it, `{}` on {}", previous.places.join("`, `"), previous.server)
        }));
        let mut dump = dump_of(&taken, self.note(&taken, folder)?, remarks);
        // Who looks at the snapshot later is told by it.
        dump.facts.push((format!("{LEARNED}stays-at"), taken.devices.join(", ")));
        Ok(dump)
    }

    /// Has the server take the backup, and brings it into the snapshot.
    fn fetch(
        &self,
        file: &str,
        here: &Path,
        folder: &DatabaseFolder,
        cancel: &Cancel,
    ) -> Result<DatabaseDump, DatabaseError> {
        let taken = self.take(file, folder)?;
        let dumped = self.bring(here, folder, cancel)?;
        let told = |why| format!("`{}` is in the snapshot, and could not be removed: {why}", here.display());
        Ok(dump_of(&taken, dumped, remove(here).err().map(told).into_iter().collect()))
    }

    fn take(&self, file: &str, folder: &DatabaseFolder) -> Result<BackupTaken, DatabaseError> {
        let order = self.backup_order(file, &set_name(&self.database, &folder.run.to_string()));
        self.server
            .backup(&order, &|progress| self.watch(progress))
            .map_err(|error| failed("back up", &self.database, error))
    }

    fn bring(&self, from: &Path, folder: &DatabaseFolder, cancel: &Cancel) -> Result<DumpedFile, DatabaseError> {
        let name = &self.database;
        let failed = |error: io::Error| DatabaseError::Failed {
            action: "read the backup of",
            name: name.clone(),
            source: format!("`{}`: {error}", from.display()).into(),
        };
        let path = file_name(name, ".bak");
        let (staged, mut file) = (folder.create(&path)?, File::open(from).map_err(failed)?);
        let (mut hasher, mut size, mut block) = (blake3::Hasher::new(), 0, vec![0; BLOCK]);
        loop {
            refuse_stopped(cancel).map_err(failed)?;
            let got = file.read(&mut block).map_err(failed)?;
            if got == 0 {
                break;
            }
            staged.write_at(size, &block[..got])?;
            hasher.update(&block[..got]);
            size += got as u64;
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

    /// The error of a backup whose file is gone, or what is left of it.
    fn cleaned_up(&self, file: &Path, error: DatabaseError) -> DatabaseError {
        let Err(why) = remove(file) else { return error };
        self.left(format!("`{}` could not be removed: {why}", file.display()), error)
    }

    /// The error of a backup whose file nobody here can see. One that was refused has none.
    fn left_there(&self, file: &str, error: DatabaseError) -> DatabaseError {
        if !matches!(error, DatabaseError::Failed { .. }) {
            return error;
        }
        let place = path_in(&self.folder.server, file);
        self.left(format!("the server may have left `{place}`, which is no backup and which nothing removes"), error)
    }

    fn left(&self, what: String, source: DatabaseError) -> DatabaseError {
        let (action, name) = ("clean up after a failed backup of", self.database.clone());
        DatabaseError::Failed { action, name, source: Box::new(Left { what, source }) }
    }
}

/// What a backup left, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Left {
    what: String,
    source: DatabaseError,
}

/// Removes the server's file, by the name that this run gave it.
fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn dump_of(taken: &BackupTaken, file: DumpedFile, mut remarks: Vec<String>) -> DatabaseDump {
    let by = |group: &GroupRole| {
        format!("replica `{}` of availability group `{}` took the backup", group.replica, group.group)
    };
    remarks.extend(taken.group.as_ref().map(by));
    DatabaseDump {
        place: Some(file.path.clone()),
        files: vec![file],
        setup_option: SetupOption::Manual,
        facts: learned(taken),
        remarks,
        weaker: Vec::new(),
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
    facts.extend(taken.files.iter().map(recorded::to_fact));
    facts
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::{Arc, Mutex};

    use backup_core::ports::destination::{DestinationError, StagedFile};

    use super::*;
    use crate::ConnectionString;
    use crate::served::sql_server::NativeFolder;
    use crate::sqlite::tests::doubles::folder_for_one;
    use crate::sqlserver::SqlServer;

    /// A staged file during whose first block somebody asks to stop.
    #[derive(Debug)]
    struct Stopping {
        cancel: Cancel,
        written: Arc<Mutex<usize>>,
    }

    impl StagedFile for Stopping {
        fn write_at(&self, _offset: u64, data: &[u8]) -> Result<(), DestinationError> {
            *self.written.lock().expect("no panic") += data.len();
            self.cancel.cancel();
            Ok(())
        }

        fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> Result<usize, DestinationError> {
            Ok(0)
        }

        fn set_len(&self, _len: u64) -> Result<(), DestinationError> {
            Ok(())
        }
    }

    #[test]
    fn bringing_ends_with_the_block_at_which_it_is_given_up() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let file = scratch.path().join("x.bak");
        fs::write(&file, vec![1; 3 * BLOCK]).expect("written");
        let string = ConnectionString::parse("Driver=none").expect("a connection string");
        let folder = NativeFolder { server: r"B:\bk".to_owned(), here: None, certificate: None };
        let database = SqlServerDatabase::new(SqlServer::new(string, Cancel::default()), "CM_P01", folder);
        let (cancel, written) = (Cancel::default(), Arc::default());
        let staged = Stopping { cancel: cancel.clone(), written: Arc::clone(&written) };
        let error = database.bring(&file, &folder_for_one("CM_P01.bak", staged), &cancel).expect_err("it was given up");
        let DatabaseError::Failed { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().ends_with("stopped, as asked"), "{source}");
        assert_eq!(*written.lock().expect("no panic"), BLOCK);
    }
}
