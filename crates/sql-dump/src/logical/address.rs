//! Where a database is: a PostgreSQL address, a SQLite file, or an ODBC connection string.

use std::fmt;
use std::path::{Path, PathBuf};

use backup_core::secret::Secret;

use super::dump::DumpOptions;
use super::error::LogicalError;
use super::seam::{Origin, Target};
use crate::odbc::ConnectionString;
use crate::postgres::PostgresAddress;
use crate::{postgres, sqlite_logical};

/// Where a database is. Shown without its password, always.
///
/// - `postgresql://user:password@host:5432/database`: PostgreSQL by its own protocol, rows by COPY. Without TLS: where the server
///   asks for it, use the ODBC driver.
/// - `sqlite:/path/to/file.db`: SQLite, which the program carries with it.
/// - anything else: an ODBC connection string, such as `Driver={MariaDB Unicode};Server=…;Database=…;Uid=…;Pwd=…`;
///   for MariaDB, SQLite, PostgreSQL and SQL Server.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(pub(super) Kind);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres(PostgresAddress),
    Sqlite(String),
    Odbc(ConnectionString),
}

/// What to say to a text that is none of them.
const KINDS: &str = "PostgreSQL is written as `postgresql://user@host/database`, a file of SQLite as `sqlite:/path/to/file.db`, \
    and MariaDB, MySQL and SQL Server need an ODBC connection string, such as `Driver={MariaDB Unicode};Server=localhost;Database=site;Uid=site`";

impl Address {
    /// Reads an address. Nothing is connected to.
    pub fn parse(text: &str) -> Result<Self, LogicalError> {
        if text.starts_with("postgresql://") || text.starts_with("postgres://") {
            return Ok(Self(Kind::Postgres(PostgresAddress::parse(text)?)));
        }
        if let Some(file) = text.strip_prefix("sqlite:").filter(|file| !file.is_empty()) {
            return Ok(Self(Kind::Sqlite(file.to_owned())));
        }
        // A connection string begins with a key; the text is not told back, for it may hold a password.
        if !text.split([':', '/', ';']).next().is_some_and(|key| key.contains('=')) {
            return Err(LogicalError::Address(KINDS.to_owned()));
        }
        Ok(Self(Kind::Odbc(ConnectionString::parse(text)?)))
    }

    /// Whether it holds a password. SQLite needs none and has none.
    pub fn has_password(&self) -> bool {
        match &self.0 {
            Kind::Postgres(address) => address.has_password(),
            Kind::Sqlite(_) => false,
            Kind::Odbc(string) => string.has_password(),
        }
    }

    /// The same with this password, in place of its own if it has one. SQLite has no use for it.
    #[must_use]
    pub fn with_password(&self, password: &Secret) -> Self {
        Self(match &self.0 {
            Kind::Postgres(address) => Kind::Postgres(address.with_password(password)),
            Kind::Sqlite(file) => Kind::Sqlite(file.clone()),
            Kind::Odbc(string) => Kind::Odbc(string.with_password(password)),
        })
    }

    /// The address of another database of the same server; for SQLite, of a file beside the other one, with the same extension.
    #[must_use]
    pub fn scratch(&self, name: &str) -> Self {
        Self(match &self.0 {
            Kind::Postgres(address) => Kind::Postgres(address.with_database(name)),
            Kind::Sqlite(file) => Kind::Sqlite(beside(file, name).to_string_lossy().into_owned()),
            Kind::Odbc(string) => Kind::Odbc(string.with_database(name)),
        })
    }

    /// Whether it is that of a file which is not there: to open it would make it.
    pub(super) fn is_missing_file(&self) -> bool {
        matches!(&self.0, Kind::Sqlite(file) if !Path::new(file).exists())
    }

    pub(super) fn origin(&self, options: &DumpOptions) -> Result<Box<dyn Origin>, LogicalError> {
        match &self.0 {
            Kind::Postgres(address) => postgres::origin(address, options),
            Kind::Sqlite(file) => sqlite_logical::origin(file, options),
            Kind::Odbc(string) => crate::odbc::origin(string, options),
        }
    }

    pub(super) fn target(&self) -> Result<Box<dyn Target>, LogicalError> {
        match &self.0 {
            Kind::Postgres(address) => postgres::target(address),
            Kind::Sqlite(file) => sqlite_logical::target(file),
            Kind::Odbc(string) => crate::odbc::target(string),
        }
    }
}

/// The file of another name in the same folder.
pub(super) fn beside(file: &str, name: &str) -> PathBuf {
    let path = Path::new(file);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let name = extension.map_or_else(|| name.to_owned(), |extension| format!("{name}.{extension}"));
    path.with_file_name(name)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Postgres(address) => address.fmt(f),
            Kind::Sqlite(file) => write!(f, "sqlite:{file}"),
            Kind::Odbc(string) => string.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_the_same_server() {
        let check = |text: &str, expect: &str| {
            assert_eq!(Address::parse(text).expect("an address").scratch("new").to_string(), expect);
        };
        check("postgresql://me:p@x:5433/site", "postgresql://me@x:5433/new");
        check("Driver=X;Server=y;Database=site;Uid=me", "Driver=X;Server=y;Database=new;Uid=me");
        check("sqlite:site", "sqlite:new");
        let expect = Path::new("/srv/site.v1").join("new.db");
        check("sqlite:/srv/site.v1/site.db", &format!("sqlite:{}", expect.display()));
    }

    #[test]
    fn what_is_no_address_is_told_what_there_is() {
        for text in [
            "mysql://x:secret@host/db",
            "mariadb://x@host/db?a=b",
            "site.db",
            "/srv/site.db",
            "C:\\a=b.db",
            "sqlite:",
            "",
        ] {
            let error = Address::parse(text).expect_err(text).to_string();
            assert_eq!(error, format!("the address of the database cannot be used: {KINDS}"));
        }
        let error = Address::parse("Server=x;Database=y").expect_err("no driver").to_string();
        assert!(error.ends_with("it names neither `Driver` nor `DSN`"), "{error}");
    }

    #[test]
    fn passwords_come_from_outside_and_are_not_shown() {
        for (text, takes_one) in
            [("postgresql://me@x/site", true), ("Driver=X;Uid=me", true), ("sqlite:/site.db", false)]
        {
            let address = Address::parse(text).expect("an address");
            let with = address.with_password(&Secret::new("#"));
            assert_eq!((address.has_password(), with.has_password()), (false, takes_one), "{text}");
            assert!(!format!("{with} {with:?}").contains('#'), "{with}");
        }
    }
}
