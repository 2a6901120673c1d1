//! SQLite's own judgement of a database.

use backup_core::ports::database::{DatabaseError, DatabaseVerdict};
use rusqlite::Connection;

use super::connection::{is_damage, is_hot_journal, is_mistake, look, refusal};
use super::locate::Files;

/// Faults told; a wrecked database could fill the memory with them.
const MOST: usize = 100;

/// Judges structure, indexes and references. Writes nothing and leaves nothing beside the file.
pub(super) fn verify(files: &Files) -> Result<DatabaseVerdict, DatabaseError> {
    judged(files, whole)
}

/// Judges structure alone: one pass over the pages, about three times as long as reading them, where `verify` may take fifteen times
/// that, for it looks up each row in each index (docs/performance.md has the figures).
pub(super) fn judge(files: &Files) -> Result<DatabaseVerdict, DatabaseError> {
    judged(files, |connection| check(connection, "quick_check"))
}

fn judged(
    files: &Files,
    judge: impl Fn(&Connection) -> rusqlite::Result<Vec<String>>,
) -> Result<DatabaseVerdict, DatabaseError> {
    let mut faults = match look(files, judge)? {
        Ok(faults) => faults,
        Err(error) if is_hot_journal(&error) => {
            vec!["a transaction was left unfinished: its journal is still there".into()]
        }
        Err(error) if is_damage(&error) => vec![error.to_string()],
        Err(error) => return Err(refusal(files, "verify", error)),
    };
    faults.truncate(MOST);
    Ok(DatabaseVerdict { faults })
}

fn check(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut faults = lines(connection, &format!("PRAGMA {pragma}({MOST})"))?;
    faults.retain(|line| line != "ok");
    Ok(faults)
}

fn whole(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults = check(connection, "integrity_check")?;
    let orphans = format!(
        "SELECT 'row ' || coalesce(rowid, '?') || ' of table `' || \"table\" || '` refers to no row of table `' || parent || '`' \
         FROM pragma_foreign_key_check LIMIT {MOST}"
    );
    match lines(connection, &orphans) {
        Ok(orphans) => faults.extend(orphans),
        // A reference to columns that can bear none makes the whole check fail.
        Err(error) if is_mistake(&error) => faults.push(error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(faults)
}

fn lines(connection: &Connection, query: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}
