//! `Key=value;Key={value}`: ODBC connection strings, shown without what is secret in them.

use std::fmt;

use crate::logical::LogicalError;
use backup_core::secret::Secret;

/// An ODBC connection string. Shown without passwords, always.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ConnectionString {
    pairs: Vec<(String, Secret)>,
}

/// Keys whose values may be shown; what is not among them may be a secret of a driver that nobody here knows.
const PLAIN: &[&str] =
    &["driver", "dsn", "server", "servername", "host", "port", "database", "db", "uid", "user", "socket", "charset"];

impl ConnectionString {
    pub(crate) fn parse(text: &str) -> Result<Self, LogicalError> {
        let wrong = |what: &str| LogicalError::Address(format!("ODBC connection string: {what}"));
        let mut pairs: Vec<(String, Secret)> = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (key, after) = rest.split_once('=').ok_or_else(|| wrong("a part has no `=`"))?;
            let (value, after) = match after.trim_start().strip_prefix('{') {
                Some(quoted) => braced(quoted).ok_or_else(|| wrong("a `{` has no `}`"))?,
                None => {
                    let (value, after) = after.split_once(';').unwrap_or((after, ""));
                    (value.trim().to_owned(), after)
                }
            };
            let key = key.trim();
            // A key that holds other signs is a part of a password that was not put into braces.
            if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || " _-".contains(c)) {
                return Err(wrong("a key is no word; values with `;` or `=` belong into braces"));
            }
            pairs.push((key.to_owned(), Secret::new(value)));
            rest = after.trim_start();
        }
        let string = Self { pairs };
        if string.get("driver").is_none() && string.get("dsn").is_none() {
            return Err(wrong("it names neither `Driver` nor `DSN`"));
        }
        Ok(string)
    }

    /// The value of a key, in any case of letters.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.reveal())
    }

    /// Adds a setting unless the string has its own.
    pub(super) fn default(mut self, key: &str, value: &str) -> Self {
        if self.get(key).is_none() {
            self.pairs.push((key.to_owned(), Secret::new(value)));
        }
        self
    }

    /// Sets a value that the string has.
    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        let same = self.pairs.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case(key));
        same.for_each(|(_, old)| *old = Secret::new(value));
        self
    }

    /// The whole string, for the driver manager alone.
    pub(super) fn reveal(&self) -> String {
        let pair = |(key, value): &(String, Secret)| {
            let value = value.reveal();
            // Not every driver knows braces, so they are there only where they must.
            let braces = value.contains([';', '{', '}']) || value.trim() != value;
            if braces { format!("{key}={{{}}}", value.replace('}', "}}")) } else { format!("{key}={value}") }
        };
        self.pairs.iter().map(pair).collect::<Vec<_>>().join(";")
    }

    /// `text` without the values that are not shown.
    pub(super) fn scrub(&self, text: &str) -> String {
        let secret = self.pairs.iter().filter(|(key, value)| !is_plain(key) && value.reveal().len() > 3);
        secret.fold(text.to_owned(), |text, (_, value)| value.scrub(&text))
    }
}

/// The rest of a value in braces, in which `}}` stands for one, and what comes after its semicolon.
fn braced(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('}')?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('}') {
            Some(more) => {
                value.push('}');
                rest = more;
            }
            None => return Some((value, rest.trim_start().strip_prefix(';').unwrap_or(rest))),
        }
    }
}

fn is_plain(key: &str) -> bool {
    PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(key))
}

impl fmt::Display for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, value)) in self.pairs.iter().enumerate() {
            let shown = if is_plain(key) { value.reveal() } else { "***" };
            write!(f, "{}{key}={shown}", if n == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_braces() {
        let string = ConnectionString::parse("Driver={A;B};pwd={a}};b=c};Uid=me").expect("it can be read");
        assert_eq!(
            (string.get("DRIVER"), string.get("PWD"), string.get("uid")),
            (Some("A;B"), Some("a};b=c"), Some("me"))
        );
        assert_eq!(string.reveal(), "Driver={A;B};pwd={a}};b=c};Uid=me");
        assert_eq!(ConnectionString::parse(&string.reveal()).map(|again| again == string).ok(), Some(true));
    }

    #[test]
    fn passwords_are_never_shown() {
        let string = ConnectionString::parse("Driver=X;UID=me;Pwd=hunter2;Token=hunter3").expect("it can be read");
        assert_eq!(string.to_string(), "Driver=X;UID=me;Pwd=***;Token=***");
        assert_eq!(string.scrub("login with 'hunter2' failed"), "login with '***' failed");
        for text in ["Pwd=hunter2", "Driver=X;Pwd={hunter2", "Driver=X;Pwd=a;hunter2", "Driver=X;Pwd=a;hunter2!=b"] {
            let error = ConnectionString::parse(text).err().expect("it cannot be used");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
