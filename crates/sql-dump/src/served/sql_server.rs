//! A database that SQL Server backs up itself.

mod copy;
mod folder;
mod handed;
mod recorded;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backup_core::event::{Event, EventSink, ServerProgress};
use backup_core::path::SitePath;
use backup_core::ports::database::{
    DatabaseCopy, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseForm, DatabaseMoment, DatabaseRestored,
    DatabaseSource, DatabaseStanding, DatabaseTarget, DatabaseVerdict, SiteDatabase,
};

use crate::blocking::{Stopper, blocking};
use crate::sqlserver::{
    Algorithm, BackupOrder, BackupSurvey, Encryption, Facts, MovedFile, Placement, RestoreOrder, Server, SqlServer,
    SqlServerError, compare, path_in, scratch_name,
};

use copy::NativeCopy;
use handed::{Lies, Stored};

/// Facts that a backup adds to those of the database begin so.
pub(super) const LEARNED: &str = "backup-";

/// Bytes of a note, at most: what a snapshot takes where the backup stays on the server.
const NOTE: u64 = 4096;

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

impl NativeFolder {
    /// The folder on this machine, which has to be there.
    fn local(&self) -> Result<Option<&Path>, DatabaseError> {
        match &self.here {
            Some(here) if !here.is_dir() => {
                Err(DatabaseError::Unsupported(format!("backup-folder-here is no folder: `{}`", here.display())))
            }
            here => Ok(here.as_deref()),
        }
    }
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
    events: Option<Arc<dyn EventSink>>,
    /// Held by a restore to its very end, also when nobody waits for that any more.
    restoring: Arc<Mutex<()>>,
}

impl SqlServerDatabase {
    /// The database named `database` on `server`. Connects to nothing yet.
    pub fn new(server: SqlServer, database: impl Into<String>, folder: NativeFolder) -> Self {
        Self { server, database: database.into(), folder, events: None, restoring: Arc::default() }
    }

    /// Tells `events` how far the server is with a backup or a restore.
    #[must_use]
    pub fn with_events(self, events: Arc<dyn EventSink>) -> Self {
        Self { events: Some(events), ..self }
    }

    fn hold(&self) -> MutexGuard<'_, ()> {
        self.restoring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, progress: ServerProgress) {
        if let Some(events) = &self.events {
            events.event(&Event::Server(progress));
        }
    }

    /// A backup into the file of that name, as a set of that name.
    fn backup_order(&self, file: &str, set: &str) -> BackupOrder {
        let certificate = self.folder.certificate.clone();
        BackupOrder {
            encryption: certificate.map(|certificate| Encryption { algorithm: Algorithm::Aes256, certificate }),
            ..BackupOrder::new(&self.database, &path_in(&self.folder.server, file), set)
        }
    }

    /// A restore of what is stored from these devices.
    fn restore_order(
        &self,
        target: &DatabaseTarget,
        stored: &Stored<'_>,
        devices: &[String],
    ) -> Result<RestoreOrder, DatabaseError> {
        let (name, replace) = self.target(target)?;
        // In place the files go where they were, if they can; a scratch database has files of its own.
        let is_own = matches!(target, DatabaseTarget::Own { .. });
        let placement = if is_own { Placement::AsBackedUp } else { Placement::Defaults };
        let (devices, expected) = (devices.to_vec(), Some(stored.expected.clone()));
        Ok(RestoreOrder { replace, placement, devices, expected, ..RestoreOrder::new("", &name) })
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
        SqlServerError::Exists(what) => {
            DatabaseError::Occupied { name, found: format!("database `{what}` exists already") }
        }
        SqlServerError::Unsupported(message) | SqlServerError::NotThisReplica(message) => {
            DatabaseError::Unsupported(message)
        }
        error => DatabaseError::Failed { action, name, source: Box::new(error) },
    }
}

fn remarks(moved: &[MovedFile]) -> Vec<String> {
    let remark = |MovedFile { logical, from, to }: &MovedFile| {
        format!("file `{logical}` goes to `{to}`: the server has no folder for `{from}`, where it was")
    };
    moved.iter().map(remark).collect()
}

/// Facts of a database on its server, whoever backs it up.
pub(super) fn facts_of(instance: &Server, facts: Facts) -> DatabaseFacts {
    DatabaseFacts {
        name: facts.database.clone(),
        engine: format!("SQL Server {} {}", instance.version, instance.edition),
        address: format!("{}/{}", instance.name, facts.database),
        size: facts.size,
        file: None,
        paths: Vec::new(),
        form: DatabaseForm::Native,
        moment: DatabaseMoment::End,
        pinned_by: "nothing: the moment of a SQL Server backup is its own end".to_owned(),
        facts: facts.values,
        component: None,
        remarks: Vec::new(),
        weaker: Vec::new(),
        change_tracking_days: facts.change_tracking_days,
    }
}

#[async_trait]
impl SiteDatabase for SqlServerDatabase {
    /// Refuses what the server would not begin, or nobody could fetch: before any service is stopped.
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        let this = self.clone();
        let inspect = move || {
            let is_brought = this.folder.local()?.is_some();
            let survey = this.server.survey_backup(&this.backup_order("", ""));
            let BackupSurvey { server, facts, remarks } =
                survey.map_err(|error| failed("inspect", &this.database, error))?;
            let facts = facts_of(&server, facts);
            Ok(DatabaseFacts { size: if is_brought { facts.size } else { NOTE }, remarks, ..facts })
        };
        blocking("inspect", &self.database, inspect).await
    }

    async fn prepare(&self, folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        Ok(Box::new(NativeCopy { database: self.clone(), folder, is_pinned: false }))
    }

    fn logs(&self, _target: &SitePath) -> Vec<SitePath> {
        Vec::new()
    }

    /// Refuses what a restore would refuse, as far as it can be told before the backup is where the server reads it.
    async fn survey(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError> {
        let (name, replace) = self.target(target)?;
        let (this, from, target, label) = (self.clone(), from.clone(), target.clone(), name.clone());
        let look = move || {
            let stored = Stored::look(&this, &from)?;
            let moved = match &stored.lies {
                Lies::Here(_) => {
                    let files = recorded::from_facts(&from.part.facts);
                    this.server.survey_target(&this.restore_order(&target, &stored, &[])?, &files)
                }
                Lies::There(devices) => this.server.survey_restore(&this.restore_order(&target, &stored, devices)?),
            };
            let moved = moved.map_err(|error| failed("look for the backup of", &name, error))?;
            match this.server.inspect(&name) {
                Err(SqlServerError::Missing(_)) => Ok(DatabaseStanding::Free(remarks(&moved))),
                Err(error) => Err(failed("look for", &name, error)),
                Ok(_) if replace => Ok(DatabaseStanding::Free(remarks(&moved))),
                Ok((instance, facts, _)) => Ok(DatabaseStanding::Holds(format!(
                    "{} has a database of that name with {} bytes",
                    instance.name, facts.size
                ))),
            }
        };
        blocking("look for", &label, look).await
    }

    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError> {
        let (name, _) = self.target(target)?;
        let stopper = Stopper::default();
        let (cancel, server) = (stopper.cancel().clone(), self.server.stopped_by(stopper.cancel()));
        let (this, from, target, label) = (Self { server, ..self.clone() }, from.clone(), target.clone(), name.clone());
        let restore = move || {
            let _restoring = this.hold();
            let stored = Stored::look(&this, &from)?;
            let handed = stored.hand_over(&this, &from, &cancel)?;
            let order = this.restore_order(&target, &stored, &handed.devices)?;
            let restored = this
                .server
                .restore(&order, &|progress| this.watch(progress))
                .map_err(|error| failed("restore", &name, error))?;
            if let Some(fault) = restored.faults.first() {
                let source = format!("DBCC CHECKDB found {} faults, such as: {fault}", restored.faults.len()).into();
                return Err(DatabaseError::Failed { action: "restore a sound", name, source });
            }
            let known = from.part.facts.iter().filter(|(fact, _)| !fact.starts_with(LEARNED));
            let changed = compare(&name, &known.cloned().collect::<Vec<_>>(), &restored.facts.values);
            // The files of a scratch database are nobody's: they go with it.
            let remarks = if order.placement == Placement::AsBackedUp { remarks(&restored.moved) } else { Vec::new() };
            Ok(DatabaseRestored { changed, not_covered: Vec::new(), remarks })
        };
        blocking("restore", &label, restore).await
    }

    /// The server has verified it, with its checksums.
    async fn judge(&self, _copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        Ok(DatabaseVerdict::default())
    }

    async fn verify(&self, target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        let (name, _) = self.target(target)?;
        let stopper = Stopper::default();
        let (server, label) = (self.server.stopped_by(stopper.cancel()), name.clone());
        let check = move || server.check(&name).map_err(|error| failed("check", &name, error));
        blocking("check", &label, check).await.map(|faults| DatabaseVerdict { faults })
    }

    async fn discard(&self, target: &DatabaseTarget) -> Result<(), DatabaseError> {
        let DatabaseTarget::Scratch(id) = target else {
            return Err(DatabaseError::Unsupported("only a scratch database is ever dropped".to_owned()));
        };
        let (this, name) = (self.clone(), scratch_name(id));
        // What a restore that is being given up still makes would come after the drop, and stay.
        let drop = move || {
            let _no_restore = this.hold();
            this.server.drop_scratch(&name).map_err(|error| failed("drop", &name, error))
        };
        blocking("drop", &self.database, drop).await
    }
}
