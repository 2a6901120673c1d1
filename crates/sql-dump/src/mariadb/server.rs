//! A MariaDB server, asked by way of one of its databases.

use super::origin::session;
use super::words::quoted;
use crate::logical::LogicalError;
use crate::logical::seam::Server;
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

/// The database's character set and collation.
fn locale(session: &mut dyn TextSession) -> Result<[String; 2]> {
    let sql = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE()";
    let rows = session.rows("read the collation of the database", sql, 2)?;
    let row = rows.into_iter().next().and_then(|row| <[String; 2]>::try_from(row).ok());
    row.ok_or_else(|| LogicalError::Unsupported("the connection string names no database".to_owned()))
}
