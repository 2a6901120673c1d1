//! A connection through the driver manager, opened and closed while no other one is.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use odbc_api::handles::{StatementImpl, slice_to_cow_utf8};
use odbc_api::{Connection, ConnectionOptions, Error, environment};

use super::connection_string::ConnectionString;
use super::drivers::{installed, located};
use super::wide::Wide;

/// Held while a connection is opened or closed. Drivers set themselves up at the first connection and tear down after the last one, and no
/// standard says that two threads may do so at once.
static COMING_AND_GOING: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    COMING_AND_GOING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection, which knows what must not be said of it.
pub(crate) struct Link<C> {
    /// There until it is dropped.
    connection: Option<C>,
    string: ConnectionString,
}

/// The connection of a dialect. Its text travels as bytes: drivers without a taste for UTF-16 get it mangled by the driver manager.
pub(crate) type ByteLink = Link<Connection<'static>>;

/// The connection of SQL Server. Its text travels as UTF-16: bytes reach Microsoft's driver as if they were Latin-1.
pub(crate) type WideLink = Link<Wide>;

/// Why no connection came about. What was said is scrubbed.
#[derive(Debug)]
pub(crate) enum NoLink {
    /// No such driver or data source.
    Driver {
        name: String,
        installed: Vec<String>,
    },
    /// The user or the password was refused.
    Denied(Said),
    Other(Said),
}

/// What a driver or its manager said; without secrets, once it has left this crate's `odbc`.
#[derive(Debug)]
pub(crate) struct Said {
    /// SQLSTATE and the server's own number, where the driver gave any.
    pub(crate) state: String,
    pub(crate) number: i32,
    pub(crate) text: String,
}

impl ByteLink {
    pub(crate) fn open(string: &ConnectionString, login_seconds: u32) -> Result<Self, NoLink> {
        let _guard = one_at_a_time();
        let failed = |error: Error| no_link(string, Said::of(&error));
        let options = ConnectionOptions { login_timeout_sec: Some(login_seconds), ..ConnectionOptions::default() };
        let manager = environment().map_err(failed)?;
        let with_zero = with_zero(&located(string));
        let text = &with_zero[..with_zero.len() - 1];
        let connection = manager.connect_with_connection_string(text, options).map_err(failed)?;
        Ok(Self { connection: Some(connection), string: string.clone() })
    }

    /// What a driver said, without secrets.
    pub(crate) fn said(&self, error: &Error) -> Said {
        Said::of(error).scrubbed(&self.string)
    }
}

impl WideLink {
    pub(crate) fn open_wide(string: &ConnectionString, login_seconds: u32) -> Result<Self, NoLink> {
        let _guard = one_at_a_time();
        let connection =
            Wide::connect(&with_zero(&located(string)), login_seconds).map_err(|said| no_link(string, said))?;
        Ok(Self { connection: Some(connection), string: string.clone() })
    }

    /// A new statement.
    pub(crate) fn statement(&self) -> Result<StatementImpl<'_>, Said> {
        self.connection().statement().map_err(|said| said.scrubbed(&self.string))
    }

    /// A text of the driver, without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.string.scrub(text)
    }
}

impl<C> Link<C> {
    pub(super) fn connection(&self) -> &C {
        self.connection.as_ref().expect("only drop takes it")
    }
}

impl<C> Drop for Link<C> {
    fn drop(&mut self) {
        let _guard = one_at_a_time();
        self.connection = None;
    }
}

impl Said {
    fn of(error: &Error) -> Self {
        let Error::Diagnostics { record, .. } = error else {
            return Self { state: String::new(), number: 0, text: error.to_string() };
        };
        let text = slice_to_cow_utf8(&record.message).into_owned();
        Self { state: record.state.as_str().to_owned(), number: record.native_error, text }
    }

    fn scrubbed(self, string: &ConnectionString) -> Self {
        Self { text: string.scrub(&self.text), ..self }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, number, text } = self;
        if state.is_empty() { f.write_str(text) } else { write!(f, "{state} {number} {}", without_origin(text)) }
    }
}

impl std::error::Error for Said {}

/// The whole string with a zero behind it. It is no part of it, but the MariaDB driver reads on until there is one, and took what lay behind for
/// a part of the last value: "memory allocation error", now and then.
fn with_zero(string: &ConnectionString) -> String {
    string.reveal() + "\0"
}

/// What was said is judged before anything is taken out of it.
fn no_link(string: &ConnectionString, said: Said) -> NoLink {
    let Said { state, number, text } = &said;
    let is_missing = match state.as_str() {
        // No such data source and no default driver; the driver's library cannot be loaded.
        "IM002" | "IM003" => true,
        "01000" => text.contains("Can't open lib"),
        _ => false,
    };
    // Access denied of MariaDB, login failed of SQL Server; psqlODBC reports a refused login as a failed connection with the server's text.
    let is_denied = matches!(state.as_str(), "28000" | "28P01")
        || matches!(number, 1045 | 18456)
        || text.contains("password authentication failed")
        || text.contains("Access denied for user");
    if is_missing {
        let name = string.get("driver").or(string.get("dsn")).unwrap_or_default().to_owned();
        NoLink::Driver { name, installed: installed() }
    } else if is_denied {
        NoLink::Denied(said.scrubbed(string))
    } else {
        NoLink::Other(said.scrubbed(string))
    }
}

/// A text without the names in brackets of those who passed it on.
pub(crate) fn without_origin(mut text: &str) -> &str {
    while let Some((_, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        text = rest;
    }
    text.trim()
}
