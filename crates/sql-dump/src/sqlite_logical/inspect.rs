//! What can be told about a SQLite database without changing it.

use std::path::Path;

use super::Result;
use super::catalog::lost;
use super::origin::server;
use crate::logical::Inspection;
use crate::logical::inspect::facts;
use crate::text::TextSession;

/// Under the names that the adapter of whole files has for them.
const NAMES: [&str; 9] = [
    "journal-mode",
    "encoding",
    "auto-vacuum",
    "application-id",
    "user-version",
    "tables",
    "indexes",
    "views",
    "triggers",
];

const LOOK: &str = "SELECT page_count * page_size, CASE journal_mode WHEN 'wal' THEN 'wal' ELSE 'rollback' END, encoding,
    CASE auto_vacuum WHEN 0 THEN 'none' WHEN 1 THEN 'full' ELSE 'incremental' END, application_id, user_version,
    (SELECT count(*) FROM sqlite_master WHERE type = 'table'), (SELECT count(*) FROM sqlite_master WHERE type = 'index'),
    (SELECT count(*) FROM sqlite_master WHERE type = 'view'), (SELECT count(*) FROM sqlite_master WHERE type = 'trigger')
    FROM pragma_page_count, pragma_page_size, pragma_journal_mode, pragma_encoding, pragma_auto_vacuum, pragma_application_id, pragma_user_version";

/// The database in `file`, which `session` has open.
pub(super) fn inspect(session: &mut dyn TextSession, file: &str) -> Result<Inspection> {
    let engine = server(session)?;
    let rows = session.rows("look at the database", LOOK, NAMES.len() + 1)?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
    let size = row.next().and_then(|size| size.parse().ok()).unwrap_or(0);
    let name = Path::new(file).file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lost = lost(session)?;
    Ok(Inspection { name, engine, size, facts: facts(NAMES, row.collect()), unpinned: Vec::new(), lost })
}
