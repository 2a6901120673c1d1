//! `postgresql://user:password@host:port/database?host=/socket/folder`, the part of libpq's addresses that names one server.

use std::fmt;

use crate::logical::LogicalError;
use backup_core::secret::Secret;

/// A PostgreSQL server, database and user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresAddress {
    /// A name, an address, or the folder of a socket.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: Secret,
}

impl PostgresAddress {
    pub(crate) fn parse(text: &str) -> Result<Self, LogicalError> {
        let wrong = |what: &str| LogicalError::Address(format!("PostgreSQL: {what}"));
        let (_, rest) = text.split_once("://").ok_or_else(|| wrong("no `://`"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, database) = rest.split_once('/').ok_or_else(|| wrong("no database is named"))?;
        let (login, server) = place.rsplit_once('@').ok_or_else(|| wrong("no user is named"))?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = split_port(server).ok_or_else(|| wrong("the port is no number"))?;
        let decode = |part: &str, what| percent_decode(part).ok_or_else(|| wrong(what));
        let mut address = Self {
            host: decode(host, "the host has a wrong % sequence")?,
            port,
            database: decode(database, "the database has a wrong % sequence")?,
            user: decode(user, "the user has a wrong % sequence")?,
            password: Secret::new(decode(password, "the password has a wrong % sequence")?),
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("host", folder)) => address.host = decode(folder, "the host has a wrong % sequence")?,
                Some(("sslmode", "disable" | "allow" | "prefer")) => {}
                Some(("sslmode", mode)) => {
                    let what = format!("sslmode={mode} needs TLS, which this way does not have: use the ODBC driver");
                    return Err(wrong(&what));
                }
                // The value may be a secret.
                Some((name, _)) => return Err(wrong(&format!("unknown option `{name}`"))),
                None => return Err(wrong("an option has no value")),
            }
        }
        if address.database.is_empty() || address.user.is_empty() || address.host.is_empty() {
            return Err(wrong("host, user and database must all be named"));
        }
        Ok(address)
    }

    pub(crate) fn has_password(&self) -> bool {
        !self.password.reveal().is_empty()
    }

    pub(crate) fn with_database(&self, name: &str) -> Self {
        Self { database: name.to_owned(), ..self.clone() }
    }

    pub(crate) fn with_password(&self, password: &Secret) -> Self {
        Self { password: password.clone(), ..self.clone() }
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

fn split_port(server: &str) -> Option<(&str, u16)> {
    if let Some(rest) = server.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host, port.strip_prefix(':').map_or(Ok(5432), str::parse).ok()?));
    }
    match server.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((server, 5432)),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16, login: &str) {
        let address = PostgresAddress::parse(text).expect("an address");
        let found = format!("{}:{}@{}", address.user, address.password.reveal(), address.database);
        assert_eq!((address.host.as_str(), address.port, found.as_str()), (host, port, login));
    }

    #[test]
    fn addresses() {
        check("postgresql://me:p%40ss@db.example:5433/site", "db.example", 5433, "me:p@ss@site");
        check("postgres://me@[::1]/a%20b?sslmode=prefer", "::1", 5432, "me:@a b");
        check("postgresql://me:a:b@x/site?host=/run/pg", "/run/pg", 5432, "me:a:b@site");
    }

    #[test]
    fn a_password_comes_from_outside() {
        for (text, had) in [
            ("postgresql://me@x/site", false),
            ("postgresql://me:@x/site", false),
            ("postgresql://me:old@x/site", true),
        ] {
            let address = PostgresAddress::parse(text).expect("an address");
            assert_eq!(address.has_password(), had, "{text}");
            let with = address.with_password(&Secret::new("p@/%"));
            assert_eq!((with.password.reveal(), with.has_password()), ("p@/%", true));
            assert_eq!(with.to_string(), "postgresql://me@x:5432/site");
        }
    }

    #[test]
    fn no_message_holds_the_password() {
        for text in [
            "postgresql://me:hunter2@x",
            "postgresql://me:hunter2%zz@x/site",
            "postgresql://me:hunter2@x:port/site",
            "postgresql://me:hunter2@x/site?sslmode=require",
            "postgresql://me:hunter2@x/site?password=hunter2",
            "postgresql://me:hunter2@x/",
        ] {
            let error = PostgresAddress::parse(text).err().expect("it cannot be used");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        let address = PostgresAddress::parse("postgresql://me:hunter2@x/site").expect("an address");
        assert_eq!(address.to_string(), "postgresql://me@x:5432/site");
    }
}
