//! A MariaDB server, asked by way of one of its databases.

use super::catalog::{lost, unpinned};
use super::origin::session;
use super::words::quoted;
use crate::logical::inspect::facts;
use crate::logical::seam::Server;
use crate::logical::{Inspection, LogicalError};
use crate::text::{Open, TextSession};

type Result<T> = std::result::Result<T, LogicalError>;

struct MariaDbServer(Box<dyn TextSession>);

pub(crate) fn server(open: &Open) -> Result<Box<dyn Server>> {
    Ok(Box::new(MariaDbServer(session(open)?)))
}

impl Server for MariaDbServer {
    fn create_database(&mut self, name: &str) -> Result<()> {
        let [encoding, collation] = locale(&mut *self.0)?;
        let sql = format!("CREATE DATABASE {} CHARACTER SET {encoding} COLLATE {collation}", quoted(name));
        self.0.run(&format!("create `{name}`"), &sql)
    }

    fn drop_database(&mut self, name: &str) -> Result<()> {
        self.0.run(&format!("drop `{name}`"), &format!("DROP DATABASE IF EXISTS {}", quoted(name)))
    }
}

/// The database that a connection string leads to.
pub(crate) fn inspect(open: &Open) -> Result<Inspection> {
    let mut session = session(open)?;
    let [encoding, collation] = locale(&mut *session)?;
    let rows = session.rows("look at the database", LOOK, 11)?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
    let [name, version, size] = std::array::from_fn(|_| row.next().unwrap_or_default());
    let mut found = facts(["character-set", "collation"], vec![encoding, collation]);
    let names = ["engines", "tables", "views", "sequences", "indexes", "routines", "triggers", "events"];
    found.extend(facts(names, row.collect()));
    let (lost, unpinned) = (lost(&mut *session)?, unpinned(&mut *session)?);
    let (engine, size) = (engine(&version), size.parse().unwrap_or(0));
    Ok(Inspection { name, engine, size, facts: found, unpinned, lost })
}

/// MySQL speaks the same protocol and gives no name; MariaDB writes its own, and distributions theirs, behind the version.
pub(super) fn product(version: &str) -> &'static str {
    if version.contains("MariaDB") { "MariaDB" } else { "MySQL" }
}

fn engine(version: &str) -> String {
    format!("{} {}", product(version), version.split('-').next().unwrap_or_default())
}

/// Name, version, bytes, then facts.
const LOOK: &str = "SELECT DATABASE(), VERSION(),
    (SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = DATABASE()),
    (SELECT GROUP_CONCAT(DISTINCT engine ORDER BY engine SEPARATOR ', ') FROM information_schema.tables WHERE table_schema = DATABASE()),
    (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')),
    (SELECT COUNT(*) FROM information_schema.views WHERE table_schema = DATABASE()),
    (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE'),
    (SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND seq_in_index = 1),
    (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = DATABASE()),
    (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()),
    (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = DATABASE())";

/// The database's character set and collation.
pub(super) fn locale(session: &mut dyn TextSession) -> Result<[String; 2]> {
    let sql = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE()";
    let rows = session.rows("read the collation of the database", sql, 2)?;
    let row = rows.into_iter().next().and_then(|row| <[String; 2]>::try_from(row).ok());
    row.ok_or_else(|| LogicalError::Unsupported("the connection string names no database".to_owned()))
}
