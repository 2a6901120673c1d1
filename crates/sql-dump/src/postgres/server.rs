//! A PostgreSQL server, asked by way of one of its databases.

use super::address::PostgresAddress;
use super::catalog::{literal, quoted};
use super::session::{Asks, Session};
use crate::logical::LogicalError;
use crate::logical::seam::Server;
use crate::text::Open;

type Result<T> = std::result::Result<T, LogicalError>;

struct PostgresServer<S>(S);

pub(crate) fn server(address: &PostgresAddress) -> Result<Box<dyn Server>> {
    Ok(Box::new(PostgresServer(Session::open(address)?)))
}

/// The same through a driver.
pub(crate) fn odbc_server(open: &Open) -> Result<Box<dyn Server>> {
    Ok(Box::new(PostgresServer(open()?)))
}

impl<S: Asks> Server for PostgresServer<S> {
    fn create_database(&mut self, name: &str) -> Result<()> {
        let sql = create(&mut self.0, name)?;
        self.0.rows(&format!("create `{name}`"), &sql, 0).map(drop)
    }

    fn drop_database(&mut self, name: &str) -> Result<()> {
        // Before version 13 nobody may be connected.
        let force = if version(&mut self.0)? >= 130_000 { " WITH (FORCE)" } else { "" };
        let sql = format!("DROP DATABASE IF EXISTS {}{force}", quoted(name));
        self.0.rows(&format!("drop `{name}`"), &sql, 0).map(drop)
    }
}

fn version(session: &mut dyn Asks) -> Result<u32> {
    Ok(session.value("read the version", "SHOW server_version_num")?.parse().unwrap_or(0))
}

/// What an encoding and a collation consist of, as text, by the columns that this version has for them.
fn locale(session: &mut dyn Asks) -> Result<[String; 6]> {
    let (provider, locale, rules) = match version(session)? {
        170_000.. => ("datlocprovider::text", "datlocale", "daticurules"),
        160_000.. => ("datlocprovider::text", "daticulocale", "daticurules"),
        150_000.. => ("datlocprovider::text", "daticulocale", "NULL"),
        _ => ("'c'", "NULL", "NULL"),
    };
    let sql = format!(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype, {provider}, coalesce({locale}, ''), coalesce({rules}, '')
         FROM pg_database WHERE datname = current_database()"
    );
    let rows = session.rows("read the encoding of the database", &sql, 6)?;
    Ok(std::array::from_fn(|column| rows.first().map(|row| row.text(column)).unwrap_or_default()))
}

/// The template is the empty one: any other is bound to its own encoding.
fn create(session: &mut dyn Asks, name: &str) -> Result<String> {
    let [encoding, collate, ctype, provider, locale, rules] = locale(session)?;
    let provider = match provider.as_str() {
        "i" => format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(&locale)),
        "b" => format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", literal(&locale)),
        _ => String::new(),
    };
    let rules = if rules.is_empty() { String::new() } else { format!(" ICU_RULES {}", literal(&rules)) };
    Ok(format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}{provider}{rules}",
        quoted(name),
        literal(&encoding),
        literal(&collate),
        literal(&ctype)
    ))
}
