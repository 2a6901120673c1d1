//! SQL Server's own backups: taken, proven, restored, checked; and those that others take, found and judged.
//!
//! Paths are the server's: nothing here opens them. What SQL Server does inside BACKUP is its own affair; docs/sql-server.md says
//! what of it is proven here.

mod backup;
mod dialect;
mod error;
mod external;
mod facts;
mod order;
mod placement;
mod progress;
mod replica;
mod restore;
mod session;
mod talk;
#[cfg(test)]
mod tests;
mod tsql;

use std::fmt;

use backup_core::cancel::Cancel;
use backup_core::event::ServerProgress;
use backup_core::secret::Secret;
use backup_core::server_name::ServerName;

use crate::ConnectionString;

pub use crate::scratch::scratch_name;
pub(crate) use dialect::{inspect, origin, server, target};

pub use backup::{BackupFile, BackupSet, BackupSurvey, BackupTaken, FileKind};
pub use error::SqlServerError;
pub use external::{ExternalBackup, Reading, Verdict};
pub use facts::{Facts, Server, compare};
pub use order::{
    Algorithm, BackupOrder, Compression, Encryption, ExpectedSet, Placement, Replica, RestoreOrder, set_name,
};
pub use placement::MovedFile;
pub(crate) use placement::path_in;
pub use replica::GroupRole;
pub use restore::Restored;
use session::Session;
pub use talk::Message;
use tsql::Sets;

/// A SQL Server. Each call connects anew, blocks until its work is done, and stops the server's work when it is cancelled.
#[derive(Clone)]
pub struct SqlServer {
    connection: ConnectionString,
    cancel: Cancel,
}

impl fmt::Debug for SqlServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlServer").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl SqlServer {
    /// The server that an ODBC connection string leads to, whatever database it names: that may be one that is not there yet, at which the server
    /// refuses the login, or one that is to be replaced, which nobody may be in.
    pub fn new(connection: ConnectionString, cancel: Cancel) -> Self {
        Self { connection: connection.with_database("master"), cancel }
    }

    /// Whether the connection string holds a password.
    pub fn has_password(&self) -> bool {
        self.connection.has_password()
    }

    /// The same server, asked with this password.
    #[must_use]
    pub fn with_password(&self, password: &Secret) -> Self {
        Self { connection: self.connection.with_password(password), cancel: self.cancel.clone() }
    }

    /// The same server, whose work ends when `cancel` says so.
    #[must_use]
    pub fn stopped_by(&self, cancel: &Cancel) -> Self {
        Self { connection: self.connection.clone(), cancel: cancel.clone() }
    }

    /// The server that the connection string names; none where a data source does.
    pub(crate) fn name(&self) -> Option<ServerName> {
        self.connection.get("server").map(ServerName::parse)
    }

    fn session(&self) -> Result<Session, SqlServerError> {
        Session::open(&self.connection, &self.cancel)
    }

    /// What the server is, a database's facts, and its role in an availability group.
    pub fn inspect(&self, database: &str) -> Result<(Server, Facts, Option<GroupRole>), SqlServerError> {
        backup::about(&mut self.session()?, database)
    }

    /// What [`inspect`](Self::inspect) tells, and the files in which the server keeps the database, as it names them.
    pub fn inspect_files(
        &self,
        database: &str,
    ) -> Result<(Server, Facts, Option<GroupRole>, Vec<String>), SqlServerError> {
        let mut session = self.session()?;
        let (server, facts, group) = backup::about(&mut session, database)?;
        Ok((server, facts, group, facts::files(&mut session, database)?))
    }

    /// What the backup would be of, or why the server would not begin it: the edition, the replica, the database's state, a certificate, the login's
    /// rights.
    pub fn survey_backup(&self, order: &BackupOrder) -> Result<BackupSurvey, SqlServerError> {
        backup::survey(&mut self.session()?, order)
    }

    /// Takes a full backup and proves it. `watch` hears how far it has come, from a thread of its own too.
    ///
    /// After an error the server may have left a file; it is not usable and nothing here lists it.
    pub fn backup(
        &self,
        order: &BackupOrder,
        watch: &(dyn Fn(ServerProgress) + Sync),
    ) -> Result<BackupTaken, SqlServerError> {
        let mut session = self.session()?;
        let open = |stop: &Cancel| Session::open(&self.connection, stop);
        progress::watched(&mut session, &open, watch, |session, heard| backup::take(session, order, heard))
    }

    /// Has the server read all backups that the devices hold, with their checksums.
    pub fn verify(&self, devices: &[String]) -> Result<Vec<Message>, SqlServerError> {
        backup::verify_all(&mut self.session()?, devices)
    }

    /// The database's files in a backup.
    pub fn files(&self, devices: &[String]) -> Result<Vec<BackupFile>, SqlServerError> {
        backup::file_list(&mut self.session()?, devices)
    }

    /// Why a restore would be refused before it begins, an existing database that is not to be replaced aside: what the devices hold, a target in an
    /// availability group, a file in the way. Tells which files would not go where they were. Changes nothing.
    pub fn survey_restore(&self, order: &RestoreOrder) -> Result<Vec<MovedFile>, SqlServerError> {
        restore::survey(&mut self.session()?, order)
    }

    /// The same for a restore of devices that are not there yet, and are said to hold these files.
    pub fn survey_target(&self, order: &RestoreOrder, files: &[BackupFile]) -> Result<Vec<MovedFile>, SqlServerError> {
        restore::survey_target(&mut self.session()?, order, files)
    }

    /// Restores and has the server check the database. An existing database is refused unless the order says to replace it.
    pub fn restore(
        &self,
        order: &RestoreOrder,
        watch: &(dyn Fn(ServerProgress) + Sync),
    ) -> Result<Restored, SqlServerError> {
        let mut session = self.session()?;
        let open = |stop: &Cancel| Session::open(&self.connection, stop);
        progress::watched(&mut session, &open, watch, |session, heard| restore::restore(session, order, heard))
    }

    /// What `DBCC CHECKDB` has against a database; empty when all is well.
    pub fn check(&self, database: &str) -> Result<Vec<String>, SqlServerError> {
        restore::check(&mut self.session()?, database)
    }

    /// Drops a database that a rehearsal made under a [`scratch_name`]; refuses any other. One that is not there is no error.
    pub fn drop_scratch(&self, database: &str) -> Result<(), SqlServerError> {
        restore::drop_scratch(&mut self.session()?, database)
    }

    /// The newest full backup that the server's msdb knows, whoever took it.
    pub fn newest_backup(&self, database: &str, reading: Reading) -> Result<Option<ExternalBackup>, SqlServerError> {
        external::newest(&mut self.session()?, database, Sets::Full, reading)
    }

    /// The newest full backup that this program took, whatever others took since.
    pub fn newest_own_backup(&self, database: &str) -> Result<Option<ExternalBackup>, SqlServerError> {
        external::newest(&mut self.session()?, database, Sets::Ours, Reading::Skip)
    }
}
