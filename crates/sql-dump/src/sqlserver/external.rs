//! A backup that somebody else takes: found, aged, judged, never touched.

use super::backup::{BackupSet, verify};
use super::error::SqlServerError;
use super::facts;
use super::talk::{Message, Talk};
use super::tsql::{self, Sets};

/// The newest full backup that msdb knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalBackup {
    /// The server whose msdb was asked. Each replica of an availability group knows its own backups only.
    pub server: String,
    /// The row.
    pub set: BackupSet,
    /// Where it lies, as that server sees it; names of virtual devices where a program took it.
    pub places: Vec<String>,
    /// What the server says to the files.
    pub verdict: Verdict,
}

/// What is known of a backup's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server read them just now, and they are valid.
    Valid,
    /// The server read them, or tried to.
    Faulty(Vec<Message>),
    /// They were not read.
    NotRead(&'static str),
}

/// Whether the files are to be read: that takes as long as reading them takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Read them.
    Verify,
    /// Believe msdb.
    Skip,
}

/// Files on disks; everything else cannot be named in a RESTORE by its path.
const DISK: &str = "2";

/// The newest of these backups; `None` when there is none.
pub(super) fn newest(
    talk: &mut dyn Talk,
    database: &str,
    sets: Sets<'_>,
    reading: Reading,
) -> Result<Option<ExternalBackup>, SqlServerError> {
    let server = facts::server(talk)?.name;
    let history = talk.ask(&tsql::history(database, sets), "list the backups")?;
    let Some(row) = history.first() else { return Ok(None) };
    let set = BackupSet::from_row(&row);
    let families = talk.ask(&tsql::places(row.number("media_set_id").unwrap_or(0)), "say where the backup lies")?;
    let places: Vec<String> = families.rows().map(|row| row.text("place")).collect();
    let is_readable = !places.is_empty() && families.rows().all(|row| row.get("device_type") == Some(DISK));
    let verdict = match reading {
        Reading::Skip => Verdict::NotRead("not asked for"),
        Reading::Verify if !is_readable => Verdict::NotRead("it is not in files of the server"),
        Reading::Verify => match verify(talk, &places, row.number("position").unwrap_or(1), &mut |_| {}) {
            Ok(_) => Verdict::Valid,
            Err(SqlServerError::Refused { messages, .. }) => Verdict::Faulty(messages),
            Err(error) => return Err(error),
        },
    };
    Ok(Some(ExternalBackup { server, set, places, verdict }))
}
