//! A native backup: taken, then proven.
//!
//! "No error" proves nothing: a backup counts when the server said that it is processed, judged the file, and its header and the row
//! in msdb agree on whole, checksummed and undamaged.

use super::error::SqlServerError;
use super::facts::{self, Facts, Server};
use super::order::{BackupOrder, Compression, Encryption};
use super::placement::{folder_of, is_lost};
use super::replica::{self, GroupRole};
use super::talk::{Message, PROCESSED, Row, Talk, VALID};
use super::tsql::{self, Fitted, Sets};

/// A backup that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupTaken {
    /// The server that took it: the paths are its own.
    pub server: Server,
    /// The replica, where the database belongs to an availability group.
    pub group: Option<GroupRole>,
    /// The database's facts before it was taken.
    pub facts: Facts,
    /// Where it lies, as the server sees it.
    pub devices: Vec<String>,
    /// The set, as msdb has it.
    pub set: BackupSet,
    /// The database's files in it.
    pub files: Vec<BackupFile>,
    /// All that the server said.
    pub messages: Vec<Message>,
    /// The statements that were sent for it.
    pub statements: Vec<String>,
}

/// A row of msdb's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSet {
    /// The set's identity, in the file's header too.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The server that took it.
    pub server: String,
    /// When it began, in the server's local time.
    pub started: String,
    /// When it ended, in the server's local time: the moment that it holds.
    pub finished: String,
    /// Seconds since then, by the server's clock; `None` where it does not say, or says that it was not yet.
    pub age_seconds: Option<u64>,
    /// Log sequence numbers.
    pub first_lsn: String,
    /// The moment that it holds, as a log sequence number.
    pub last_lsn: String,
    /// Bytes before compression.
    pub size: u64,
    /// Bytes after it.
    pub compressed_size: u64,
    /// Whether the administrator's chain was left alone.
    pub is_copy_only: bool,
    /// Whether pages were found damaged.
    pub is_damaged: bool,
    /// Whether checksums are in it.
    pub has_checksums: bool,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
}

impl BackupSet {
    pub(super) fn from_row(row: &Row<'_>) -> Self {
        Self {
            id: row.text("backup_set"),
            name: row.text("name"),
            server: row.text("server_name"),
            started: row.text("started"),
            finished: row.text("finished"),
            age_seconds: row.number("age_seconds"),
            first_lsn: row.text("first_lsn"),
            last_lsn: row.text("last_lsn"),
            size: row.number("size").unwrap_or(0),
            compressed_size: row.number("compressed_size").unwrap_or(0),
            is_copy_only: row.is_set("is_copy_only"),
            is_damaged: row.get("is_damaged") != Some("0"),
            has_checksums: row.get("has_backup_checksums") == Some("1"),
            is_encrypted: row.get("encryptor_type").is_some(),
        }
    }
}

/// A file of a database in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFile {
    /// The name that a restore moves it by.
    pub logical: String,
    /// Where it was.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
}

/// What a file of a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Rows.
    Data,
    /// The transaction log.
    Log,
    /// A folder of file streams or of tables in memory.
    Stream,
    /// A catalogue of full-text search from before 2008.
    FullText,
}

type About = (Server, Facts, Option<GroupRole>);

/// The server, the database, and its role in an availability group.
pub(super) fn about(talk: &mut dyn Talk, database: &str) -> Result<About, SqlServerError> {
    let server = facts::server(talk)?;
    let facts = facts::facts(talk, database)?;
    let group = replica::role(talk, &server, database)?;
    Ok((server, facts, group))
}

/// What a backup would be of, and what a person should know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSurvey {
    /// The server.
    pub server: Server,
    /// The database's facts.
    pub facts: Facts,
    /// What makes it no worse as a backup, and may make it useless elsewhere.
    pub remarks: Vec<String>,
}

/// The same, where the order could be carried out.
pub(super) fn survey(talk: &mut dyn Talk, order: &BackupOrder) -> Result<BackupSurvey, SqlServerError> {
    let (server, facts, group) = about(talk, &order.database)?;
    fit(order, &server, group.as_ref())?;
    if facts.state() != "ONLINE" {
        let message =
            format!("database `{}` is {}: only one that is ONLINE is backed up", order.database, facts.state());
        return Err(SqlServerError::Unsupported(message));
    }
    let mut remarks = survey_certificate(talk, order.encryption.as_ref())?;
    for folder in order.devices.iter().map(|device| folder_of(device)) {
        if is_lost(talk, &folder, &server.data_folder)? {
            remarks.push(format!(
                "the server says that it has no folder `{folder}`, where the backup is to go: make it there, or name another one"
            ));
        }
    }
    let answer = talk.ask(&tsql::may_back_up(&order.database), "say what the login may do")?;
    // NULL is no answer: the backup itself will tell.
    let may_not = |what: &str| answer.first().and_then(|row| row.number(what)) == Some(0);
    if may_not("may_back_up") {
        let message = format!("the login has no right to back up database `{}`: db_backupoperator has", order.database);
        return Err(SqlServerError::Unsupported(message));
    }
    if may_not("may_read_back") {
        let message = "the login has no right to have a backup read and proven: it needs CREATE ANY DATABASE, which dbcreator has";
        return Err(SqlServerError::Unsupported(message.to_owned()));
    }
    Ok(BackupSurvey { server, facts, remarks })
}

/// Refuses a certificate that is not there, and tells of one that nobody has saved: without it no other server restores the backup.
fn survey_certificate(talk: &mut dyn Talk, encryption: Option<&Encryption>) -> Result<Vec<String>, SqlServerError> {
    let Some(Encryption { certificate, .. }) = encryption else { return Ok(Vec::new()) };
    let answer = talk.ask(&tsql::certificate(certificate), "show its certificates")?;
    let row = answer.first().ok_or_else(|| {
        SqlServerError::Unsupported(format!(
            "SQL Server has no certificate `{certificate}` in master that the login may use: CREATE CERTIFICATE makes one, GRANT VIEW DEFINITION ON CERTIFICATE shows it"
        ))
    })?;
    let unsaved = row.get("saved").is_none().then(|| {
        format!(
            "certificate `{certificate}` encrypts the backup and was never saved: without it no other server restores the backup; save it with BACKUP CERTIFICATE … WITH PRIVATE KEY"
        )
    });
    Ok(unsaved.into_iter().collect())
}

/// Takes the backup and proves it.
pub(super) fn take(
    talk: &mut dyn Talk,
    order: &BackupOrder,
    heard: &mut dyn FnMut(&Message),
) -> Result<BackupTaken, SqlServerError> {
    let (server, facts, group) = about(talk, &order.database)?;
    let fitted = fit(order, &server, group.as_ref())?;
    order.devices.iter().try_for_each(|device| refuse_existing(talk, device))?;

    let statement = tsql::backup(order, fitted);
    let what = format!("back up `{}`", order.database);
    let backup = talk.run(&statement, heard)?.whole(&what)?;
    let done = format!("the backup of `{}`", order.database);
    if !backup.has(PROCESSED) {
        let why = "it never said that the backup is processed (message 3014)".to_owned();
        return Err(SqlServerError::Unproven { what: done, why });
    }
    let mut messages = backup.messages;
    messages.extend(verify(talk, &order.devices, 1, heard)?);
    let set = proven_set(talk, order, fitted)?;
    let files = file_list(talk, &order.devices)?;
    let statements = vec![
        statement,
        tsql::verify_only(&order.devices, 1),
        tsql::header_only(&order.devices),
        tsql::history(&order.database, Sets::Named(&order.name)),
        tsql::file_list_only(&order.devices),
    ];
    Ok(BackupTaken { server, group, facts, devices: order.devices.clone(), set, files, messages, statements })
}

/// What the server at hand makes of the order.
fn fit(order: &BackupOrder, server: &Server, group: Option<&GroupRole>) -> Result<Fitted, SqlServerError> {
    let copy_only = replica::judge(group, order.replica, order.copy_only)?;
    let cannot = |what: &str| SqlServerError::Unsupported(format!("{} {what}", server.edition));
    if order.encryption.is_some() && !server.can_encrypt() {
        return Err(cannot("does not encrypt backups"));
    }
    let compress = match order.compression {
        Compression::Off => false,
        Compression::WhereSupported => server.can_compress(),
        Compression::On if !server.can_compress() => return Err(cannot("does not compress backups")),
        Compression::On => true,
    };
    Ok(Fitted { copy_only, compress })
}

/// FORMAT overwrites whatever lies at a path, so nothing may lie there.
///
/// Where an administrator forbids the question, the name alone keeps files apart: it is made for one run.
pub(super) fn refuse_existing(talk: &mut dyn Talk, path: &str) -> Result<(), SqlServerError> {
    let answer = talk.run(&tsql::file_exists(path), &mut |_| {})?;
    match answer.first() {
        Some(row) if row.is_set("File Exists") || row.is_set("File is a Directory") => {
            Err(SqlServerError::FileExists(path.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Has the server read all backups that the devices hold.
pub(super) fn verify_all(talk: &mut dyn Talk, devices: &[String]) -> Result<Vec<Message>, SqlServerError> {
    let header = talk.ask(&tsql::header_only(devices), "read the backup's header")?;
    let sets = header.rows().count().max(1) as u64;
    let said = (1..=sets).map(|set| verify(talk, devices, set, &mut |_| {})).collect::<Result<Vec<_>, _>>()?;
    Ok(said.concat())
}

/// Has the server read a backup and its checksums; returns what it said.
pub(super) fn verify(
    talk: &mut dyn Talk,
    devices: &[String],
    set: u64,
    heard: &mut dyn FnMut(&Message),
) -> Result<Vec<Message>, SqlServerError> {
    let backup = format!("the backup at `{}`", devices.join("`, `"));
    let what = format!("verify {backup}");
    let answer = talk.run(&tsql::verify_only(devices, set), heard)?.whole(&what)?;
    if !answer.has(VALID) {
        let why = "it never said that the set is valid (message 3262)".to_owned();
        return Err(SqlServerError::Unproven { what: backup, why });
    }
    Ok(answer.messages)
}

/// The row of msdb, when it and the header in the file are of one whole backup with checksums.
fn proven_set(talk: &mut dyn Talk, order: &BackupOrder, fitted: Fitted) -> Result<BackupSet, SqlServerError> {
    let what = format!("the backup of `{}`", order.database);
    let unproven = |why: String| SqlServerError::Unproven { what: what.clone(), why };
    let header = talk.ask(&tsql::header_only(&order.devices), "read the backup's header")?;
    let header = header.first().ok_or_else(|| unproven("there is no header in its file".to_owned()))?;
    let history = talk.ask(&tsql::history(&order.database, Sets::Named(&order.name)), "list the backups")?;
    let row = history.first().ok_or_else(|| unproven(format!("msdb has no set named `{}`", order.name)))?;
    let set = BackupSet::from_row(&row);
    let id = header.text("BackupSetGUID");
    let faults = [
        (!same_id(&id, &set.id), format!("the header is of set {id}, the row in msdb of {}", set.id)),
        (set.id.is_empty(), "the row in msdb has no identity".to_owned()),
        (set.is_damaged || header.is_set("IsDamaged"), "the set is marked as damaged".to_owned()),
        (!set.has_checksums || !header.is_set("HasBackupChecksums"), "the set has no checksums".to_owned()),
        (set.is_copy_only != fitted.copy_only, "COPY_ONLY is not as ordered".to_owned()),
        (order.encryption.is_some() && !set.is_encrypted, "the set is not encrypted".to_owned()),
        (header.get("DatabaseName") != Some(&order.database), "the header names another database".to_owned()),
    ];
    match faults.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, why)) => Err(unproven(why)),
        None => Ok(set),
    }
}

/// Drivers write such identities with and without braces, in either case.
pub(super) fn same_id(one: &str, other: &str) -> bool {
    let bare = |id: &str| id.trim_matches(['{', '}']).to_ascii_lowercase();
    bare(one) == bare(other)
}

/// The database's files in a backup.
pub(super) fn file_list(talk: &mut dyn Talk, devices: &[String]) -> Result<Vec<BackupFile>, SqlServerError> {
    let answer = talk.ask(&tsql::file_list_only(devices), "list the files in the backup")?;
    let file = |row: Row<'_>| BackupFile {
        logical: row.text("LogicalName"),
        path: row.text("PhysicalName"),
        kind: match row.get("Type") {
            Some("L") => FileKind::Log,
            Some("S") => FileKind::Stream,
            Some("F") => FileKind::FullText,
            _ => FileKind::Data,
        },
        size: row.number("Size").unwrap_or(0),
    };
    Ok(answer.rows().map(file).collect())
}
