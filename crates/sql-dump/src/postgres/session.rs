//! A connection with the settings that make its text exact and its waits bounded.

use super::address::PostgresAddress;
use super::server_error::judge;
use super::wire::Wire;
use crate::logical::LogicalError;
use crate::text::TextSession;

type Result<T> = std::result::Result<T, LogicalError>;

/// Settings of every session. An empty search path makes the server write every name with its schema; the rest fixes how values look.
pub(super) const SETTINGS: &str = "
    SET client_encoding = 'UTF8'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = 'content'; SET standard_conforming_strings = on;
    SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET row_security = off; SET check_function_bodies = off;
    SET lc_monetary = 'C'; SET client_min_messages = 'warning'; SET synchronize_seqscans = off;
    SELECT pg_catalog.set_config('search_path', '', false)";

/// A connection.
pub(super) struct Session {
    pub(super) wire: Wire,
}

/// A row of a catalog query.
pub(super) struct Row(Vec<Option<String>>);

impl Row {
    /// The text of a column, empty for NULL.
    pub(super) fn text(&self, column: usize) -> String {
        self.0.get(column).cloned().flatten().unwrap_or_default()
    }
}

impl Session {
    pub(super) fn open(address: &PostgresAddress) -> Result<Self> {
        let mut session = Self { wire: Wire::connect(address)? };
        session.run("set up the session", SETTINGS)?;
        Ok(session)
    }

    /// Runs statements; their rows do not matter.
    pub(super) fn run(&mut self, action: &str, sql: &str) -> Result<()> {
        self.rows(action, sql, 0).map(drop)
    }
}

/// Who answers queries on the catalog.
pub(super) trait Asks {
    /// The rows of a query with so many columns.
    fn rows(&mut self, action: &str, sql: &str, columns: usize) -> Result<Vec<Row>>;

    /// The first value of the first row.
    fn value(&mut self, action: &str, sql: &str) -> Result<String> {
        Ok(self.rows(action, sql, 1)?.first().map(|row| row.text(0)).unwrap_or_default())
    }
}

impl Asks for Session {
    fn rows(&mut self, action: &str, sql: &str, _columns: usize) -> Result<Vec<Row>> {
        let rows = self.wire.query(sql).map_err(|error| judge(error, action, None))?;
        Ok(rows.into_iter().map(Row).collect())
    }
}

/// A session through a driver.
impl Asks for Box<dyn TextSession> {
    fn rows(&mut self, action: &str, sql: &str, columns: usize) -> Result<Vec<Row>> {
        let rows = (**self).rows(action, sql, columns)?;
        Ok(rows.into_iter().map(|row| Row(row.into_iter().map(Some).collect())).collect())
    }
}
