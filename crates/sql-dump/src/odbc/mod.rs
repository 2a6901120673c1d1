//! ODBC: connection strings, connections, and which dialect answers.
//!
//! The driver manager is linked into the program (unixODBC, as Windows has its own), so the program starts where none is installed; drivers
//! are looked up when a connection is asked for.

mod connection;
mod connection_string;
mod drivers;
mod link;
mod saying;
mod wide;

pub use connection_string::{ConnectionString, ConnectionStringError};
pub(crate) use link::{NoLink, Said, WideLink, without_origin};
pub(crate) use wide::{record, sql_result};

use connection::OdbcConnection;

use crate::logical::dump::DumpOptions;
use crate::logical::seam::{Facts, Origin, Server, Target};
use crate::logical::{Inspection, LogicalError};
use crate::text::{Open, Refusal, TextSession};
use crate::{mariadb, postgres, sqlite_logical, sqlserver};

type Result<T> = std::result::Result<T, LogicalError>;

enum Dialect {
    MariaDb,
    Postgres,
    Sqlite,
    SqlServer,
}

/// Asks the database what it is, and sets up the string so that its driver hands values on unchanged.
fn look(string: &ConnectionString) -> Result<(ConnectionString, Dialect)> {
    let product = OdbcConnection::open(string, |_, _| Refusal::Other)?.product()?;
    match product.as_str() {
        "MariaDB" | "MySQL" => Ok((string.clone().default("charset", "utf8mb4"), Dialect::MariaDb)),
        // Savepoints around statements would keep a snapshot from being exported.
        "PostgreSQL" => Ok((string.clone().default("Protocol", "7.4-1"), Dialect::Postgres)),
        // Without StepAPI the driver keeps whole results, and without NoCreat it makes a file where there is none.
        "SQLite" | "SQLite3" => Ok((string.clone().default("StepAPI", "1").default("NoCreat", "1"), Dialect::Sqlite)),
        "Microsoft SQL Server" | "SQL Server" => Ok((string.clone(), Dialect::SqlServer)),
        other => Err(LogicalError::Unsupported(format!("`{other}` is no database that can be dumped logically"))),
    }
}

fn is_sqlite(string: &ConnectionString) -> bool {
    string.get("driver").is_some_and(|driver| driver.to_ascii_lowercase().contains("sqlite"))
}

/// The driver of SQLite makes a file where there is none, unless it is told not to.
fn only_what_is_there(string: &ConnectionString) -> ConnectionString {
    if is_sqlite(string) { string.clone().default("NoCreat", "1") } else { string.clone() }
}

fn facts(string: &ConnectionString, dialect: &'static str) -> Facts {
    let driver = string.get("driver").or(string.get("dsn")).unwrap_or_default();
    Facts { dialect, server: String::new(), transport: format!("ODBC: {driver}"), address: string.to_string() }
}

fn opener(string: ConnectionString, refusal: fn(&str, i32) -> Refusal) -> Open {
    Box::new(move || OdbcConnection::open(&string, refusal).map(|session| Box::new(session) as Box<dyn TextSession>))
}

pub(crate) fn origin(string: &ConnectionString, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    let (string, dialect) = look(&only_what_is_there(string))?;
    match dialect {
        Dialect::MariaDb => {
            let facts = facts(&string, "mariadb");
            mariadb::origin(&opener(string, mariadb::refusal), facts, options)
        }
        Dialect::Postgres => {
            let facts = facts(&string, "postgresql");
            postgres::odbc_origin(&opener(string, postgres::refusal), facts, options)
        }
        Dialect::Sqlite => {
            let facts = facts(&string, "sqlite");
            sqlite_logical::odbc_origin(&opener(string, sqlite_logical::refusal), facts, options)
        }
        Dialect::SqlServer => {
            let facts = facts(&string, "sqlserver");
            sqlserver::origin(string, facts, options)
        }
    }
}

pub(crate) fn target(string: &ConnectionString) -> Result<Box<dyn Target>> {
    if is_sqlite(string) {
        sqlite_logical::make(string.database().unwrap_or_default())?;
    }
    let (string, dialect) = look(string)?;
    match dialect {
        Dialect::MariaDb => {
            let facts = facts(&string, "mariadb");
            mariadb::target(opener(string, mariadb::refusal), facts)
        }
        Dialect::Postgres => {
            let facts = facts(&string, "postgresql");
            postgres::odbc_target(opener(string, postgres::refusal), facts)
        }
        Dialect::Sqlite => {
            let facts = facts(&string, "sqlite");
            // With StepAPI the driver does not run a PRAGMA that returns nothing.
            let session = opener(string.clone().with("StepAPI", "0"), sqlite_logical::refusal)()?;
            let loader = opener(string, sqlite_logical::refusal)()?;
            sqlite_logical::odbc_target([session, loader], facts)
        }
        Dialect::SqlServer => {
            let facts = facts(&string, "sqlserver");
            sqlserver::target(string, facts)
        }
    }
}

pub(crate) fn server(string: &ConnectionString) -> Result<Box<dyn Server>> {
    let (string, dialect) = look(string)?;
    match dialect {
        Dialect::MariaDb => mariadb::server(&opener(string, mariadb::refusal)),
        Dialect::Postgres => postgres::odbc_server(&opener(string, postgres::refusal)),
        Dialect::Sqlite => {
            let what = "a driver for SQLite makes and drops no files: give the address as `sqlite:…`".to_owned();
            Err(LogicalError::Unsupported(what))
        }
        Dialect::SqlServer => sqlserver::server(string),
    }
}

/// Whether the user may dump the database, where this can be known beforehand.
pub(crate) fn may_dump(string: &ConnectionString, options: &DumpOptions) -> Result<()> {
    let (string, dialect) = look(&only_what_is_there(string))?;
    match dialect {
        Dialect::MariaDb => mariadb::may_dump(&opener(string, mariadb::refusal), options),
        Dialect::Postgres | Dialect::Sqlite | Dialect::SqlServer => Ok(()),
    }
}

pub(crate) fn inspect(string: &ConnectionString) -> Result<Inspection> {
    let (string, dialect) = look(&only_what_is_there(string))?;
    match dialect {
        Dialect::MariaDb => mariadb::inspect(&opener(string, mariadb::refusal)),
        Dialect::Postgres => postgres::odbc_inspect(&opener(string, postgres::refusal)),
        Dialect::Sqlite => {
            let file = string.database().unwrap_or_default().to_owned();
            sqlite_logical::odbc_inspect(opener(string, sqlite_logical::refusal)()?, &file)
        }
        Dialect::SqlServer => sqlserver::inspect(string),
    }
}
