//! What can be told about a database without changing it.

use super::address::{Address, Kind};
use super::dump::DumpOptions;
use super::error::LogicalError;
use crate::{odbc, postgres, sqlite_logical};

/// What a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its name; a file's without its extension.
    pub name: String,
    /// The engine with its version, such as `PostgreSQL 15.14`.
    pub engine: String,
    /// Bytes that it takes up now.
    pub size: u64,
    /// Facts worth comparing after a recovery, such as `encoding` = `UTF8`: what a dump does not hold, and what counts its parts.
    pub facts: Vec<(String, String)>,
    /// Tables that no moment of a dump would hold: their engine keeps no snapshots.
    pub unpinned: Vec<String>,
    /// Data that a dump of it would not hold, one line each.
    pub lost: Vec<String>,
}

/// Looks at the database at `address`.
pub fn inspect(address: &Address) -> Result<Inspection, LogicalError> {
    match &address.0 {
        Kind::Postgres(address) => postgres::inspect(address),
        Kind::Sqlite(file) => sqlite_logical::inspect(file),
        Kind::Odbc(string) => odbc::inspect(string),
    }
}

/// Tells before the freeze window why [`prepare`](super::prepare) would refuse the user.
///
/// # Errors
/// [`LogicalError::Unsupported`] names the privileges that are missing, and what grants them. Only MariaDB is asked: the others refuse what
/// a user may not see when it is read.
pub fn may_dump(address: &Address, options: &DumpOptions) -> Result<(), LogicalError> {
    match &address.0 {
        Kind::Odbc(string) => odbc::may_dump(string, options),
        Kind::Postgres(_) | Kind::Sqlite(_) => Ok(()),
    }
}

/// Facts by name; those without a value are left out.
pub(crate) fn facts<const N: usize>(names: [&str; N], values: Vec<String>) -> Vec<(String, String)> {
    let pairs = names.into_iter().map(str::to_owned).zip(values);
    pairs.filter(|(_, value)| !value.is_empty()).collect()
}
