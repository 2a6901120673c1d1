//! A PostgreSQL server, asked by way of one of its databases.

use super::address::PostgresAddress;
use super::catalog::{OURS, literal, own, quoted};
use super::not_covered::lost;
use super::session::{Asks, Session};
use crate::logical::inspect::facts;
use crate::logical::seam::Server;
use crate::logical::{Inspection, LogicalError};
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

/// The database that an address leads to.
pub(crate) fn inspect(address: &PostgresAddress) -> Result<Inspection> {
    look(&mut Session::open(address)?)
}

/// The same through a driver.
pub(crate) fn odbc_inspect(open: &Open) -> Result<Inspection> {
    look(&mut open()?)
}

fn look(session: &mut dyn Asks) -> Result<Inspection> {
    let version = session.value("read the version", "SHOW server_version")?;
    let sql = "SELECT current_database(), pg_database_size(current_database())::text";
    let rows = session.rows("read the size of the database", sql, 2)?;
    let [name, size] = std::array::from_fn(|column| rows.first().map(|row| row.text(column)).unwrap_or_default());
    let [encoding, collate, ctype, provider, locale, rules] = locale(session)?;
    let provider = match provider.as_str() {
        "i" => "icu",
        "b" => "builtin",
        _ => "libc",
    };
    let names = ["encoding", "collation", "character-type", "locale-provider", "locale", "locale-rules"];
    let mut facts = facts(names, vec![encoding, collate, ctype, provider.to_owned(), locale, rules]);
    for row in session.rows("count what the database holds", &counts(), 2)? {
        facts.push((row.text(0), row.text(1)));
    }
    // Distributions write their own version behind the server's.
    let engine = format!("PostgreSQL {}", version.split_whitespace().next().unwrap_or_default());
    let lost = lost(session)?;
    Ok(Inspection { name, engine, size: size.parse().unwrap_or(0), facts, unpinned: Vec::new(), lost })
}

/// Settings of the database, which no dump holds, and the number of its parts; those of extensions come with these.
fn counts() -> String {
    let relations = |kinds: &str| {
        let own = own("pg_class", "c.oid");
        format!(
            "(SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ({kinds}) AND {OURS} AND {own})"
        )
    };
    format!(
        "SELECT name, value FROM (VALUES
           ('settings', (SELECT array_to_string(setconfig, ', ') FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
              WHERE d.datname = current_database() AND s.setrole = 0)),
           ('extensions', (SELECT string_agg(extname || ' ' || extversion, ', ' ORDER BY extname) FROM pg_extension)),
           ('tables', {}::text), ('views', {}::text), ('sequences', {}::text), ('indexes', {}::text),
           ('functions', (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {OURS} AND {})::text),
           ('triggers', (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)::text)
         ) AS facts(name, value) WHERE value <> ''",
        relations("'r', 'p'"),
        relations("'v', 'm'"),
        relations("'S'"),
        relations("'i', 'I'"),
        own("pg_proc", "p.oid"),
    )
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
