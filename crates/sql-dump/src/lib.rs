//! Takes a site database out, and puts it back, at one moment.
//!
//! [`SqliteDatabase`] is the adapter for SQLite, the embedded default. It carries its own SQLite and needs nothing installed.
//! [`sqlserver`] has SQL Server take, prove and restore its own backups; it needs an ODBC driver.
//! [`ConnectionString`] leads to a server through ODBC and never shows a password.
//! [`logical`] takes the rows of PostgreSQL, MariaDB, SQLite and SQL Server databases out as text, and puts them back.
//!
//! # Before the process ends
//! End the threads that used a driver and join them, those of a runtime too (its `shutdown_timeout` with a time that is not zero). Drivers keep
//! things for a thread until it ends, and one that ends while the process tears down OpenSSL may crash it (seen with MariaDB's, once in a hundred).
//!
//! ```
//! use backup_core::path::SitePath;
//! use backup_core::ports::database::{DatabaseTarget, SiteDatabase};
//! use sql_dump::SqliteDatabase;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("CM_P01.db");
//! rusqlite::Connection::open(&file)?.execute_batch("CREATE TABLE Sites (SiteCode TEXT)")?;
//!
//! let path = SitePath::parse(file.to_str().ok_or("not Unicode")?)?;
//! let database = SqliteDatabase::new(path.clone(), None);
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! let facts = runtime.block_on(database.inspect())?;
//! assert_eq!(facts.name, "CM_P01");
//! assert_eq!(facts.size, 8192);
//! assert!(runtime.block_on(database.verify(&DatabaseTarget::File(path)))?.faults.is_empty());
//! # Ok(())
//! # }
//! ```

mod blocking;
mod interrupted;
pub mod logical;
mod mariadb;
mod odbc;
mod postgres;
mod scratch;
mod served;
mod sqlite;
mod sqlite_logical;
pub mod sqlserver;
mod text;

pub use odbc::{ConnectionString, ConnectionStringError};
pub use served::{ExternalDatabase, ImagedDatabase, LogicalDatabase, NativeFolder, SqlServerDatabase};
pub use sqlite::SqliteDatabase;
