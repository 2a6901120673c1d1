//! What can be told about a database without changing it.

use backup_core::ports::database::{DatabaseError, DatabaseFacts, DatabaseForm, DatabaseMoment};
use blake3::Hasher;
use rusqlite::Connection;

use super::connection::{Access, BRIEFLY, Journal, is_hot_journal, look, open, probe, refusal};
use super::locate::Files;

/// How messages name the engine.
pub(super) const ENGINE: &str = "SQLite";

const PINNED_WAL: &str = "a read transaction opened in the freeze window; its pages are copied afterwards";

const PINNED_ROLLBACK: &str = "pages copied before the freeze window, and all of them read again inside it under a shared lock when \
     anything was written since: a database with a rollback journal cannot be held any longer without locking its writers out";

/// What one look yields.
struct Look {
    size: u64,
    facts: Vec<(String, String)>,
}

/// Tells the facts. With a hot journal they are those of the main file as it is.
pub(super) fn inspect(files: &Files, name: String) -> Result<DatabaseFacts, DatabaseError> {
    let journal = probe(files)?;
    let seen = match look(files, |connection| read(connection, journal))? {
        Err(error) if is_hot_journal(&error) => open(files, Access::Torn, BRIEFLY)
            .and_then(|connection| read(&connection, journal))
            .map(|look| look.with("hot-journal", "yes")),
        seen => seen,
    };
    let look = seen.map_err(|error| refusal(files, "inspect", error))?;
    let pinned_by = match journal {
        Journal::Wal => PINNED_WAL,
        Journal::Rollback => PINNED_ROLLBACK,
    };
    Ok(DatabaseFacts {
        name,
        address: files.site().to_string(),
        form: DatabaseForm::File,
        moment: DatabaseMoment::Pinned,
        engine: format!("{ENGINE} {}", rusqlite::version()),
        size: look.size,
        file: Some(files.site().clone()),
        paths: files.site_paths(),
        pinned_by: pinned_by.to_owned(),
        facts: look.facts,
        component: None,
        remarks: Vec::new(),
        weaker: Vec::new(),
        change_tracking_days: None,
    })
}

impl Look {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.facts.push((name.to_owned(), value.to_owned()));
        self
    }
}

fn read(connection: &Connection, journal: Journal) -> rusqlite::Result<Look> {
    connection.execute_batch("BEGIN")?;
    let tables = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get::<_, i64>(0))?;
    let page_size = number(connection, "page_size")?;
    let look =
        Look { size: page_size.unsigned_abs() * number(connection, "page_count")?.unsigned_abs(), facts: vec![] };
    let encoding: String = connection.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    let look = look
        .with("journal-mode", if journal == Journal::Wal { "wal" } else { "rollback" })
        .with("page-size", &page_size.to_string())
        .with("encoding", &encoding)
        .with("auto-vacuum", ["none", "full", "incremental"][(number(connection, "auto_vacuum")? & 3) as usize % 3])
        .with("application-id", &number(connection, "application_id")?.to_string())
        .with("user-version", &number(connection, "user_version")?.to_string())
        .with("tables", &tables.to_string())
        .with("schema-hash", &schema_hash(connection)?);
    connection.execute_batch("ROLLBACK")?;
    Ok(look)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
}

/// Equal for equal definitions, wherever their pages lie in the file.
fn schema_hash(connection: &Connection) -> rusqlite::Result<String> {
    let definitions =
        "SELECT quote(type) || quote(name) || quote(tbl_name) || quote(sql) FROM sqlite_schema ORDER BY type, name";
    let mut statement = connection.prepare(definitions)?;
    let mut rows = statement.query([])?;
    let mut hasher = Hasher::new();
    while let Some(row) = rows.next()? {
        hasher.update(row.get_ref(0)?.as_bytes()?);
    }
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}
