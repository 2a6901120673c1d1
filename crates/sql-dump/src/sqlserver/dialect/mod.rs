//! SQL Server as a dialect of [`logical`](crate::logical): rows read from a database snapshot as text, loaded by INSERT.
//!
//! Every value is made text by the server's own CONVERT, or bytes, so that no driver's idea of a type counts. Rows are streamed: they come as the server
//! reads them, and values of any size in pieces.

mod catalog;
mod columns;
mod loader;
mod not_covered;
mod origin;
mod reader;
mod refusal;
mod server;
mod snapshot;
mod statements;
mod stream;
mod target;
#[cfg(test)]
mod tests;
mod variant;
mod words;

pub(crate) use origin::origin;
pub(crate) use server::{inspect, server};
pub(crate) use target::target;

use backup_core::cancel::Cancel;

use super::error::SqlServerError;
use super::session::Session;
use super::talk::Talk;
use crate::ConnectionString;
use crate::logical::LogicalError;
use refusal::refused;
use stream::Stream;

type Result<T> = std::result::Result<T, LogicalError>;

/// Settings of every session, one statement each. Text of any length, dates that do not depend on a language, and an error ends the transaction.
const SETTINGS: &[&str] = &[
    "SET NOCOUNT ON",
    "SET TEXTSIZE 2147483647",
    "SET DATEFORMAT ymd",
    "SET XACT_ABORT ON",
    "SET LOCK_TIMEOUT 5000",
    "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON",
    "SET NUMERIC_ROUNDABORT OFF",
];

/// Opens connections to the same database.
#[derive(Clone)]
struct Opener {
    string: ConnectionString,
}

impl Opener {
    fn open(&self) -> Result<Box<dyn Stream>> {
        let opened = Session::open(&self.string, &Cancel::default());
        let to = || self.string.to_string();
        let mut session = opened.map_err(|error| match error {
            SqlServerError::NoDriver { name, installed } => LogicalError::NoDriver { name, installed },
            SqlServerError::Denied(said) => LogicalError::Denied { to: to(), source: said.into() },
            SqlServerError::Connect(said) => LogicalError::Connect { to: to(), source: said.into() },
            other => LogicalError::Connect { to: to(), source: Box::new(other) },
        })?;
        for setting in SETTINGS {
            run(&mut session, "set up the session", setting)?;
        }
        Ok(Box::new(session))
    }
}

/// Runs a batch to its end.
fn run<T: Talk + ?Sized>(talk: &mut T, action: &str, sql: &str) -> Result<()> {
    ask(talk, action, sql).map(drop)
}

/// Runs a batch whose first result is wanted.
fn ask<T: Talk + ?Sized>(talk: &mut T, action: &str, sql: &str) -> Result<super::talk::Answer> {
    talk.ask(sql, action).map_err(|error| refused(action, error))
}

/// The first value of the first row; empty for NULL and where there is none.
fn value<T: Talk + ?Sized>(talk: &mut T, action: &str, sql: &str) -> Result<String> {
    let answer = ask(talk, action, sql)?;
    let first = answer.tables.first().and_then(|table| table.rows.first()).and_then(|row| row.first());
    Ok(first.cloned().flatten().unwrap_or_default())
}
