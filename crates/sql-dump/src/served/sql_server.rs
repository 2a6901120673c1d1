//! A database that SQL Server backs up itself.

mod copy;
mod handed;

use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::path::SitePath;
use backup_core::ports::database::{
    DatabaseCopy, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseForm, DatabaseMoment, DatabaseRestored,
    DatabaseSource, DatabaseStanding, DatabaseTarget, DatabaseVerdict, SiteDatabase,
};

use super::blocking;
use crate::sqlserver::{GroupRole, Placement, RestoreOrder, SqlServer, SqlServerError, compare, scratch_name};

use copy::NativeCopy;
use handed::Handed;

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

    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError> {
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
            let changed = compare(&name, &before, &restored.facts.values);
            Ok(DatabaseRestored { changed, not_covered: Vec::new() })
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
