//! The statements, as text. Pure: what a dry run prints is what a run sends.

use std::fmt::Write;

use super::order::{BackupOrder, Encryption, RestoreOrder};
use super::placement::MovedFile;

/// An identifier in brackets.
pub(super) fn name(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// A text literal.
pub(super) fn text(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

fn disks(devices: &[String]) -> String {
    let disk = |device: &String| format!("DISK = {}", text(device));
    devices.iter().map(disk).collect::<Vec<_>>().join(", ")
}

/// What the server at hand makes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) copy_only: bool,
    pub(super) compress: bool,
}

pub(super) fn backup(order: &BackupOrder, fitted: Fitted) -> String {
    let mut options = Vec::new();
    if fitted.copy_only {
        options.push("COPY_ONLY".to_owned());
    }
    // STOP_ON_ERROR is the default with CHECKSUM; said, so that it stays so.
    options.extend(["CHECKSUM", "STOP_ON_ERROR", "FORMAT", "INIT"].map(str::to_owned));
    options.push(if fitted.compress { "COMPRESSION" } else { "NO_COMPRESSION" }.to_owned());
    options.extend(order.encryption.as_ref().map(encryption));
    options.push(format!("NAME = {}", text(&order.name)));
    if let Some(description) = &order.description {
        options.push(format!("DESCRIPTION = {}", text(description)));
    }
    options.push(format!("STATS = {}", order.stats.clamp(1, 100)));
    format!("BACKUP DATABASE {} TO {} WITH {}", name(&order.database), disks(&order.devices), options.join(", "))
}

fn encryption(encryption: &Encryption) -> String {
    let algorithm = encryption.algorithm.keyword();
    format!("ENCRYPTION (ALGORITHM = {algorithm}, SERVER CERTIFICATE = {})", name(&encryption.certificate))
}

/// `set` is its number in the file: those of others may hold many.
pub(super) fn verify_only(devices: &[String], set: u64) -> String {
    format!("RESTORE VERIFYONLY FROM {} WITH FILE = {set}, CHECKSUM", disks(devices))
}

pub(super) fn header_only(devices: &[String]) -> String {
    format!("RESTORE HEADERONLY FROM {}", disks(devices))
}

pub(super) fn file_list_only(devices: &[String]) -> String {
    format!("RESTORE FILELISTONLY FROM {} WITH FILE = 1", disks(devices))
}

pub(super) fn restore(order: &RestoreOrder, moved: &[MovedFile]) -> String {
    let mut options = vec!["FILE = 1".to_owned()];
    options.extend(moved.iter().map(|file| format!("MOVE {} TO {}", text(&file.logical), text(&file.to))));
    options.extend(["CHECKSUM", "RECOVERY"].map(str::to_owned));
    if order.replace {
        options.push("REPLACE".to_owned());
    }
    options.push(format!("STATS = {}", order.stats.clamp(1, 100)));
    format!("RESTORE DATABASE {} FROM {} WITH {}", name(&order.target), disks(&order.devices), options.join(", "))
}

pub(super) fn check_database(database: &str) -> String {
    format!("DBCC CHECKDB ({}) WITH NO_INFOMSGS, ALL_ERRORMSGS", text(database))
}

/// Drops a database that is there. Whoever is connected to it is thrown out; one that is being restored has nobody, and cannot be altered.
pub(super) fn drop_database(database: &str) -> String {
    let (quoted, name) = (text(database), name(database));
    format!(
        "IF DB_ID({quoted}) IS NOT NULL BEGIN IF CONVERT(nvarchar(60), DATABASEPROPERTYEX({quoted}, 'Status')) = N'ONLINE' \
         ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE {name} END"
    )
}

/// Whether the login may take a backup, and read it back: VERIFYONLY and the like want the right to make databases.
pub(super) fn may_back_up(database: &str) -> String {
    format!(
        "SELECT HAS_PERMS_BY_NAME({}, 'DATABASE', 'BACKUP DATABASE') AS may_back_up, \
         HAS_PERMS_BY_NAME(N'master', 'DATABASE', 'CREATE DATABASE') AS may_read_back",
        text(&name(database))
    )
}

/// The certificate that encrypts, where it is there and the login may use it, and when somebody last saved its private key.
pub(super) fn certificate(name: &str) -> String {
    format!(
        "SELECT c.name AS name, CONVERT(nvarchar(30), c.pvt_key_last_backup_date, 126) AS saved \
         FROM master.sys.certificates AS c WHERE c.name = {}",
        text(name)
    )
}

/// Whether a file is there. The procedure is old and undocumented, and on every version; an administrator can forbid it.
pub(super) fn file_exists(path: &str) -> String {
    format!("EXEC master.dbo.xp_fileexist {}", text(path))
}

pub(super) fn database_id(database: &str) -> String {
    format!("SELECT CONVERT(int, DB_ID({})) AS id", text(database))
}

/// Which rows of msdb are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sets<'a> {
    /// The one of this name.
    Named(&'a str),
    /// Full backups of this program's.
    Ours,
    /// Full backups.
    Full,
}

/// How the names of this program's backups begin.
pub(super) const OURS: &str = "sitebackup ";

/// The rows of msdb for a database, newest first: by when it ended, for a restore adds a row of an old backup. Age is the server's own reckoning: the times in msdb are its local time, without a zone.
pub(super) fn history(database: &str, sets: Sets<'_>) -> String {
    let mut sql = format!(
        "SELECT TOP (1) CONVERT(nvarchar(36), s.backup_set_uuid) AS backup_set, s.name AS name, s.position AS position, \
         CONVERT(int, s.is_damaged) AS is_damaged, CONVERT(int, s.has_backup_checksums) AS has_backup_checksums, \
         CONVERT(int, s.is_copy_only) AS is_copy_only, s.server_name AS server_name, \
         CONVERT(nvarchar(30), s.backup_start_date, 126) AS started, CONVERT(nvarchar(30), s.backup_finish_date, 126) AS finished, \
         DATEDIFF(second, s.backup_finish_date, GETDATE()) AS age_seconds, \
         CONVERT(nvarchar(40), s.first_lsn) AS first_lsn, CONVERT(nvarchar(40), s.last_lsn) AS last_lsn, \
         CONVERT(bigint, s.backup_size) AS size, CONVERT(bigint, s.compressed_backup_size) AS compressed_size, \
         s.encryptor_type AS encryptor_type, s.media_set_id AS media_set_id \
         FROM msdb.dbo.backupset AS s WHERE s.database_name = {}",
        text(database)
    );
    // Writing to a string cannot fail.
    _ = match sets {
        Sets::Named(name) => write!(sql, " AND s.name = {}", text(name)),
        Sets::Ours => write!(sql, " AND s.type = 'D' AND s.name LIKE {}", text(&format!("{OURS}%"))),
        Sets::Full => write!(sql, " AND s.type = 'D'"),
    };
    sql + " ORDER BY s.backup_finish_date DESC, s.backup_set_id DESC"
}

/// Where the backup of a media set lies.
pub(super) fn places(media_set: u64) -> String {
    format!(
        "SELECT f.physical_device_name AS place, f.device_type AS device_type FROM msdb.dbo.backupmediafamily AS f \
         WHERE f.media_set_id = {media_set} AND f.mirror = 0 ORDER BY f.family_sequence_number"
    )
}

/// How far a session has come.
pub(super) fn progress(session: u64) -> String {
    format!(
        "SELECT CONVERT(int, r.percent_complete) AS percent_complete, r.estimated_completion_time AS left_ms, \
         r.wait_type AS wait_type FROM sys.dm_exec_requests AS r WHERE r.session_id = {session}"
    )
}

pub(super) const SESSION: &str = "SELECT CONVERT(int, @@SPID) AS session";
