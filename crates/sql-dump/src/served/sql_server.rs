//! A database that SQL Server backs up itself.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::copy::BLOCK;
use backup_core::manifest::ContentHash;
use backup_core::path::SitePath;
use backup_core::ports::database::{
    ChangedFact, DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseForm,
    DatabaseMoment, DatabaseSource, DatabaseStanding, DatabaseTarget, DatabaseVerdict, DumpedFile, SetupOption,
    SiteDatabase,
};
use serde::{Deserialize, Serialize};

use super::{Stopper, blocking, file_name};
use crate::sqlserver::{
    Algorithm, BackupOrder, BackupTaken, Encryption, GroupRole, Placement, Reading, RestoreOrder, SqlServer,
    SqlServerError, compare, scratch_name,
};

/// Facts that a backup adds to those of the database begin so.
const LEARNED: &str = "backup-";

/// Where a server puts its backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeFolder {
    /// The folder, as the server names it.
    pub server: String,
    /// The same folder on this machine. Without it backups stay there: they are not in the snapshot, not hashed, and nobody removes them.
    pub here: Option<PathBuf>,
    /// A certificate in the server's `master` that encrypts them.
    pub certificate: Option<String>,
}

/// A database that SQL Server backs up by itself, COPY_ONLY, and restores (docs/sql-server.md).
///
/// The moment of a backup is its own end. Its file gets a name that no other run uses; where this machine sees the server's folder it is moved
/// into the snapshot, else the snapshot holds a note that says where it lies.
#[derive(Debug, Clone)]
pub struct SqlServerDatabase {
    server: SqlServer,
    database: String,
    folder: NativeFolder,
}

impl SqlServerDatabase {
    /// The database named `database` on `server`. Connects to nothing yet.
    pub fn new(server: SqlServer, database: impl Into<String>, folder: NativeFolder) -> Self {
        Self { server, database: database.into(), folder }
    }

    /// A path in the server's folder, by whose separators its system is told.
    fn on_server(&self, file: &str) -> String {
        let folder = &self.folder.server;
        let separator = if folder.starts_with('/') { '/' } else { '\\' };
        format!("{}{separator}{file}", folder.trim_end_matches(['/', '\\']))
    }

    fn target(&self, target: &DatabaseTarget) -> Result<(String, bool), DatabaseError> {
        match target {
            DatabaseTarget::Own { replace } => Ok((self.database.clone(), *replace)),
            DatabaseTarget::Scratch(id) => Ok((scratch_name(id), false)),
            DatabaseTarget::File(file) => Err(DatabaseError::Unsupported(format!(
                "SQL Server restores its backups itself, and not to the file `{file}`"
            ))),
        }
    }
}

pub(super) fn failed(action: &'static str, name: &str, error: SqlServerError) -> DatabaseError {
    let name = name.to_owned();
    match error {
        SqlServerError::Missing(name) => DatabaseError::Missing(name),
        SqlServerError::Exists(what) => DatabaseError::Occupied { name, found: format!("{what} exists already") },
        SqlServerError::Unsupported(message) | SqlServerError::NotThisReplica(message) => {
            DatabaseError::Unsupported(message)
        }
        error => DatabaseError::Failed { action, name, source: Box::new(error) },
    }
}

/// Facts of a database on its server, whoever backs it up.
pub(super) fn facts_of(
    server: &SqlServer,
    database: &str,
) -> Result<(DatabaseFacts, Option<GroupRole>), SqlServerError> {
    let (instance, facts, group) = server.inspect(database)?;
    let facts = DatabaseFacts {
        name: database.to_owned(),
        engine: format!("SQL Server {} {}", instance.version, instance.edition),
        address: format!("{}/{database}", instance.name),
        size: facts.size,
        file: None,
        paths: Vec::new(),
        ids: Vec::new(),
        form: DatabaseForm::Native,
        moment: DatabaseMoment::End,
        pinned_by: "nothing: the moment of a SQL Server backup is its own end".to_owned(),
        facts: facts.values,
        weaker: Vec::new(),
        change_tracking_days: facts.change_tracking_days,
    };
    Ok((facts, group))
}

/// Where a backup lies that is not in the snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remote {
    /// What this file is.
    note: String,
    server: String,
    devices: Vec<String>,
    backup_set: String,
    finished: String,
}

#[async_trait]
impl SiteDatabase for SqlServerDatabase {
    /// Refuses on a replica on which the availability group does not want backups: before any service is stopped.
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        let (server, database) = (self.server.clone(), self.database.clone());
        let inspect = move || {
            let (facts, group) = facts_of(&server, &database).map_err(|error| failed("inspect", &database, error))?;
            match group.filter(|group| !group.is_preferred) {
                None => Ok(facts),
                Some(group) => Err(DatabaseError::Unsupported(format!(
                    "`{}` is not the replica that availability group `{}` prefers for backups ({})",
                    group.replica, group.group, group.preference
                ))),
            }
        };
        blocking("inspect", &self.database, inspect).await
    }

    async fn prepare(&self, folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        Ok(Box::new(NativeCopy { database: self.clone(), folder, is_pinned: false }))
    }

    fn logs(&self, _target: &SitePath) -> Vec<SitePath> {
        Vec::new()
    }

    async fn survey(&self, _from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError> {
        let (name, replace) = self.target(target)?;
        let (server, label) = (self.server.clone(), name.clone());
        let look = move || match server.inspect(&name) {
            Err(SqlServerError::Missing(_)) => Ok(DatabaseStanding::Free),
            Err(error) => Err(failed("look for", &name, error)),
            Ok(_) if replace => Ok(DatabaseStanding::Free),
            Ok((instance, facts, _)) => Ok(DatabaseStanding::Holds(format!(
                "{} has a database of that name with {} bytes",
                instance.name, facts.size
            ))),
        };
        blocking("look for", &label, look).await
    }

    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<Vec<ChangedFact>, DatabaseError> {
        let (name, replace) = self.target(target)?;
        let (this, from, label) = (self.clone(), from.clone(), name.clone());
        let is_own = matches!(target, DatabaseTarget::Own { .. });
        let restore = move || {
            let device = Handed::new(&this, &from)?;
            // In place the files go where they were; a scratch database has files of its own.
            let placement = if is_own { Placement::AsBackedUp } else { Placement::Defaults };
            let order =
                RestoreOrder { replace, placement, devices: device.devices.clone(), ..RestoreOrder::new("", &name) };
            let restored = this.server.restore(&order, &|_| {}).map_err(|error| failed("restore", &name, error))?;
            if let Some(fault) = restored.faults.first() {
                let source = format!("DBCC CHECKDB found {} faults, such as: {fault}", restored.faults.len()).into();
                return Err(DatabaseError::Failed { action: "restore a sound", name, source });
            }
            let before: Vec<_> = from.part.facts.into_iter().filter(|(fact, _)| !fact.starts_with(LEARNED)).collect();
            Ok(compare(&name, &before, &restored.facts.values))
        };
        blocking("restore", &label, restore).await
    }

    /// The server has verified it, with its checksums.
    async fn judge(&self, _copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        Ok(DatabaseVerdict::default())
    }

    async fn verify(&self, target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        let (name, _) = self.target(target)?;
        let (server, label) = (self.server.clone(), name.clone());
        let check = move || server.check(&name).map_err(|error| failed("check", &name, error));
        blocking("check", &label, check).await.map(|faults| DatabaseVerdict { faults })
    }

    async fn discard(&self, target: &DatabaseTarget) -> Result<(), DatabaseError> {
        let DatabaseTarget::Scratch(id) = target else {
            return Err(DatabaseError::Unsupported("only a scratch database is ever dropped".to_owned()));
        };
        let (server, name) = (self.server.clone(), scratch_name(id));
        let drop = move || match server.drop_scratch(&name) {
            Err(SqlServerError::Missing(_)) => Ok(()),
            dropped => dropped.map_err(|error| failed("drop", &name, error)),
        };
        blocking("drop", &self.database, drop).await
    }
}

/// A backup that is where the server can read it; what was put there for that is removed in the end.
struct Handed {
    devices: Vec<String>,
    put: Option<PathBuf>,
}

impl Handed {
    fn new(this: &SqlServerDatabase, from: &DatabaseSource) -> Result<Self, DatabaseError> {
        let name = from.part.name.clone();
        let [record] = &from.records[..] else {
            return Err(DatabaseError::Unsupported(format!("the snapshot holds no single backup of `{name}`")));
        };
        let failed = |action, source: Box<dyn std::error::Error + Send + Sync>| DatabaseError::Failed {
            action,
            name: name.clone(),
            source,
        };
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
        let read = backup_core::copy::read_once(&*open, &mut vec![0; BLOCK], false, |_, block| match &mut out {
            Some(out) => std::io::Write::write_all(out, block).map_err(Interrupted::Write),
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

enum Interrupted {
    Read(backup_core::ports::site_files::SiteFilesError),
    Write(std::io::Error),
}

impl From<backup_core::ports::site_files::SiteFilesError> for Interrupted {
    fn from(error: backup_core::ports::site_files::SiteFilesError) -> Self {
        Self::Read(error)
    }
}

/// A backup by the server: nothing is done before it is finished.
#[derive(Debug)]
struct NativeCopy {
    database: SqlServerDatabase,
    folder: DatabaseFolder,
    is_pinned: bool,
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
        from: &std::path::Path,
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
