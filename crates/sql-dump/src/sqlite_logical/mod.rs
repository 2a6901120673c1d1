//! SQLite, logically: through the SQLite that the program carries, or through an ODBC driver.
//!
//! Values have types of their own here, whatever their column says, and drivers go by the column: they cut large integers and deliver blobs as
//! text. So every value is asked for as the literal that makes it, and literals are what a dump holds.

mod catalog;
mod embedded;
mod inspect;
mod origin;
mod stored;
mod target;
mod utf8;
mod words;

use std::io;

use crate::logical::dump::DumpOptions;
use crate::logical::seam::{Facts, Origin, Target};
use crate::logical::{Inspection, LogicalError, new_file};
use crate::text::{Open, TextSession};

type Result<T> = std::result::Result<T, LogicalError>;

/// The database in a file, read by the program itself.
pub(crate) fn origin(file: &str, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    let path = file.to_owned();
    let open: Open = Box::new(move || Ok(Box::new(embedded::EmbeddedSqlite::open(&path, false)?)));
    origin::origin(&open, facts(file), true, options)
}

/// The database in a file, which is made if it is not there.
pub(crate) fn target(file: &str) -> Result<Box<dyn Target>> {
    make(file)?;
    let session = embedded::EmbeddedSqlite::open(file, true)?;
    let other = embedded::EmbeddedSqlite::open(file, true)?;
    target::target([Box::new(session), Box::new(other)], facts(file), true)
}

/// Makes the file of a database that is to be restored, which SQLite would make for everybody to read. One that is there stays as it is.
pub(crate) fn make(file: &str) -> Result<()> {
    if file.is_empty() || file.starts_with(":memory:") {
        return Ok(());
    }
    match new_file().open(file) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(LogicalError::Connect { to: file.to_owned(), source: Box::new(source) })
        }
        _ => Ok(()),
    }
}

/// The same through a driver, on one connection: the driver has locks that all of its connections share, and a second one made it slower.
pub(crate) fn odbc_origin(open: &Open, facts: Facts, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    origin::origin(open, facts, false, &DumpOptions { connections: 1, ..options.clone() })
}

/// The same through a driver.
pub(crate) fn odbc_target(sessions: [Box<dyn TextSession>; 2], facts: Facts) -> Result<Box<dyn Target>> {
    target::target(sessions, facts, false)
}

/// The database in a file.
pub(crate) fn inspect(file: &str) -> Result<Inspection> {
    inspect::inspect(&mut embedded::EmbeddedSqlite::open(file, false)?, file)
}

/// The same through a driver.
pub(crate) fn odbc_inspect(mut session: Box<dyn TextSession>, file: &str) -> Result<Inspection> {
    inspect::inspect(&mut *session, file)
}

fn facts(file: &str) -> Facts {
    let address = format!("sqlite:{file}");
    Facts { dialect: "sqlite", server: String::new(), transport: "embedded".to_owned(), address }
}

/// What an error of a driver means: SQLite has no SQLSTATE of its own.
pub(crate) fn refusal(_state: &str, native: i32) -> crate::text::Refusal {
    use crate::text::Refusal;
    match native {
        5 | 6 => Refusal::Busy,
        18..=20 => Refusal::DoesNotFit,
        _ => Refusal::Other,
    }
}
