//! A restore: to a scratch name for a rehearsal, or to the real one.

use super::backup::{BackupFile, file_list, same_id, verify};
use super::error::SqlServerError;
use super::facts::{self, Facts, Server};
use super::order::RestoreOrder;
use super::placement::{MovedFile, place};
use super::talk::{End, Message, PROCESSED, Talk};
use super::{replica, tsql};
use crate::scratch::is_scratch;

/// A database that was made of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its name.
    pub database: String,
    /// Those of its files that are not where they were when the backup was taken.
    pub moved: Vec<MovedFile>,
    /// Its facts, to be compared with those of the backup.
    pub facts: Facts,
    /// What `DBCC CHECKDB` found; empty when all is well.
    pub faults: Vec<String>,
    /// All that the server said.
    pub messages: Vec<Message>,
}

/// Restores, then has the server check the database.
pub(super) fn restore(
    talk: &mut dyn Talk,
    order: &RestoreOrder,
    heard: &mut dyn FnMut(&Message),
) -> Result<Restored, SqlServerError> {
    let server = facts::server(talk)?;
    let is_there = is_there(talk, &server, &order.target)?;
    if is_there && !order.replace {
        return Err(SqlServerError::Exists(order.target.clone()));
    }
    refuse_unfit(talk, order)?;
    let files = file_list(talk, &order.devices)?;
    let moved = place(talk, order, &files, &server, is_there)?;
    // What is replaced is gone with the first page: a backup that rotted is found before.
    if is_there {
        verify(talk, &order.devices, 1, heard)?;
    }
    let what = format!("restore `{}`", order.target);
    let answer = talk.run(&tsql::restore(order, &moved), heard)?.whole(&what)?;
    if !answer.has(PROCESSED) {
        let why = "it never said that the restore is processed (message 3014)".to_owned();
        return Err(SqlServerError::Unproven { what: format!("the restore of `{}`", order.target), why });
    }
    let facts = facts::facts(talk, &order.target)?;
    let mut faults = check(talk, &order.target)?;
    if facts.state() != "ONLINE" {
        faults.push(format!("the database is {}", facts.state()));
    }
    Ok(Restored { database: order.target.clone(), moved, facts, faults, messages: answer.messages })
}

/// Tells what [`restore`] would move, or refuse, but for a database that is there.
pub(super) fn survey(talk: &mut dyn Talk, order: &RestoreOrder) -> Result<Vec<MovedFile>, SqlServerError> {
    let server = facts::server(talk)?;
    let is_there = is_there(talk, &server, &order.target)?;
    refuse_unfit(talk, order)?;
    let files = file_list(talk, &order.devices)?;
    survey_place(talk, order, &files, &server, is_there)
}

/// The same before the devices are there, of a backup that is said to hold these files.
pub(super) fn survey_target(
    talk: &mut dyn Talk,
    order: &RestoreOrder,
    files: &[BackupFile],
) -> Result<Vec<MovedFile>, SqlServerError> {
    let server = facts::server(talk)?;
    let is_there = is_there(talk, &server, &order.target)?;
    survey_place(talk, order, files, &server, is_there)
}

fn survey_place(
    talk: &mut dyn Talk,
    order: &RestoreOrder,
    files: &[BackupFile],
    server: &Server,
    is_there: bool,
) -> Result<Vec<MovedFile>, SqlServerError> {
    if is_there && !order.replace { Ok(Vec::new()) } else { place(talk, order, files, server, is_there) }
}

/// Whether a database of this name is there; refuses one that belongs to an availability group.
///
/// Without REPLACE the server still overwrites a database of the same family whose log needs no backup, so it is asked first.
fn is_there(talk: &mut dyn Talk, server: &Server, database: &str) -> Result<bool, SqlServerError> {
    let answer = talk.ask(&tsql::database_id(database), "look for the database")?;
    if answer.first().and_then(|row| row.get("id").map(str::to_owned)).is_none() {
        return Ok(false);
    }
    match replica::role(talk, server, database)? {
        None => Ok(true),
        Some(role) => Err(SqlServerError::Unsupported(format!(
            "database `{database}` belongs to availability group `{}`: take it out of the group, restore it, and join it again",
            role.group
        ))),
    }
}

/// A backup that is no whole database, damaged, or not the one that is expected is not put in the place of anything.
fn refuse_unfit(talk: &mut dyn Talk, order: &RestoreOrder) -> Result<(), SqlServerError> {
    let devices = &order.devices;
    let answer = talk.ask(&tsql::header_only(devices), "read the backup's header")?;
    let unfit = |why: &str| SqlServerError::Unsupported(format!("the backup at `{}` {why}", devices.join("`, `")));
    let header = answer.first().ok_or_else(|| unfit("has no header"))?;
    let sets = answer.rows().count();
    // The first would be the oldest.
    if sets > 1 {
        return Err(unfit(&format!(
            "is one of {sets} in that file, and nothing says which: restore it with RESTORE … WITH FILE = n"
        )));
    }
    if header.get("BackupType") != Some("1") {
        return Err(unfit("is no full backup of a database"));
    }
    if header.is_set("IsDamaged") {
        return Err(unfit("is marked as damaged"));
    }
    let Some(expected) = &order.expected else { return Ok(()) };
    let (id, database) = (header.text("BackupSetGUID"), header.text("DatabaseName"));
    if expected.id.is_empty() || !same_id(&id, &expected.id) {
        let named = if expected.id.is_empty() { "one that is named" } else { &expected.id };
        return Err(unfit(&format!("is set {id}, not {named}")));
    }
    if database != expected.database {
        return Err(unfit(&format!("is of database `{database}`, not `{}`", expected.database)));
    }
    Ok(())
}

/// What `DBCC CHECKDB` has against a database: it says nothing when all is well. One that failed and does not say why has judged nothing.
pub(super) fn check(talk: &mut dyn Talk, database: &str) -> Result<Vec<String>, SqlServerError> {
    let answer = talk.run(&tsql::check_database(database), &mut |_| {})?;
    let faults = answer.messages.iter().filter(|message| message.is_error());
    let faults: Vec<String> = faults.map(|message| format!("{} {}", message.number, message.text)).collect();
    if answer.end == End::Lost || faults.is_empty() {
        answer.whole(&format!("check `{database}`"))?;
    }
    Ok(faults)
}

/// Drops a database that a rehearsal made. Refuses any other: its name is its marker.
pub(super) fn drop_scratch(talk: &mut dyn Talk, database: &str) -> Result<(), SqlServerError> {
    if !is_scratch(database) {
        return Err(SqlServerError::Unsupported(format!(
            "`{database}` was not made by a rehearsal, so it is not dropped"
        )));
    }
    talk.ask(&tsql::drop_database(database), &format!("drop `{database}`")).map(drop)
}
