//! `Key=value;Key={value}`: ODBC connection strings, shown without what is secret in them.

use std::fmt;

use backup_core::secret::Secret;

use super::saying::Saying;

/// An ODBC connection string. Shown without passwords, always.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString {
    settings: Vec<Setting>,
}

#[derive(Clone, PartialEq, Eq)]
struct Setting {
    key: String,
    value: Secret,
    /// Whether the value was given in braces: it stays there, for not every driver knows them, and some want them.
    braced: bool,
}

/// Why a text is no ODBC connection string. It never holds a part of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ODBC connection string: {0}")]
pub struct ConnectionStringError(&'static str);

/// Keys whose values may be shown; what is not among them may be a secret of a driver that nobody here knows.
const PLAIN: &[&str] = &[
    "address",
    "charset",
    "clientcharset",
    "database",
    "db",
    "driver",
    "dsn",
    "encrypt",
    "host",
    "port",
    "protocol",
    "server",
    "servername",
    "socket",
    "stepapi",
    "tds_version",
    "trusted_connection",
    "trustservercertificate",
    "uid",
    "user",
];

/// What a driver may call the password, the first one when it is added.
const PASSWORD: [&str; 2] = ["Pwd", "Password"];
const DATABASE: [&str; 2] = ["Database", "DB"];

impl ConnectionString {
    /// Reads a connection string. Nothing is connected to.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let mut settings = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (setting, after) = setting(rest)?;
            settings.push(setting);
            rest = after.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        }
        let string = Self { settings };
        if string.get("driver").is_none() && string.get("dsn").is_none() {
            return Err(ConnectionStringError("it names neither `Driver` nor `DSN`"));
        }
        Ok(string)
    }

    /// The database that it names.
    pub fn database(&self) -> Option<&str> {
        DATABASE.into_iter().find_map(|key| self.get(key))
    }

    /// Whether it holds a password.
    pub fn has_password(&self) -> bool {
        PASSWORD.into_iter().any(|key| self.get(key).is_some_and(|value| !value.is_empty()))
    }

    /// The same with this password, in place of its own if it has one.
    #[must_use]
    pub fn with_password(&self, password: &Secret) -> Self {
        self.set_any(PASSWORD, password)
    }

    /// The same for another database of the server.
    pub(crate) fn with_database(&self, name: &str) -> Self {
        self.set_any(DATABASE, &Secret::new(name))
    }

    /// The value of a key, in any case of letters.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.is(key)).map(|setting| setting.value.reveal())
    }

    /// Adds a setting unless the string has its own.
    pub(super) fn default(mut self, key: &str, value: &str) -> Self {
        if self.get(key).is_none() {
            self.settings.push(Setting { key: key.to_owned(), value: Secret::new(value), braced: false });
        }
        self
    }

    /// Sets a value that the string has.
    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        for old in self.settings.iter_mut().filter(|setting| setting.is(key)) {
            old.value = Secret::new(value);
        }
        self
    }

    /// Sets a value under every name that the string has for it, or under the first one.
    fn set_any<const N: usize>(&self, keys: [&str; N], value: &Secret) -> Self {
        let string = self.clone();
        let string =
            if keys.iter().any(|key| string.get(key).is_some()) { string } else { string.default(keys[0], "") };
        keys.into_iter().fold(string, |string, key| string.with(key, value.reveal()))
    }

    /// The whole string, for the driver manager alone.
    pub(super) fn reveal(&self) -> String {
        self.settings.iter().map(Setting::reveal).collect::<Vec<_>>().join(";")
    }

    /// What a driver said, without the values that are not shown.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let secret = self.settings.iter().filter(|setting| !setting.is_plain());
        secret.fold(Saying::new(text), |said, setting| said.without(&setting.value, setting.is_password())).into_text()
    }
}

impl Setting {
    fn is(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }

    fn is_plain(&self) -> bool {
        PLAIN.iter().any(|plain| self.is(plain))
    }

    /// Whether its value is secret however short it is.
    fn is_password(&self) -> bool {
        let key = self.key.to_ascii_lowercase();
        ["pwd", "pass", "secret", "token"].iter().any(|word| key.contains(word))
    }

    fn reveal(&self) -> String {
        let (key, value) = (&self.key, self.value.reveal());
        let braced = self.braced || value.contains([';', '{', '}']) || value.trim() != value;
        if braced { format!("{key}={{{}}}", value.replace('}', "}}")) } else { format!("{key}={value}") }
    }
}

/// The first setting of a text, and what comes after it.
fn setting(text: &str) -> Result<(Setting, &str), ConnectionStringError> {
    let (key, after) = text.split_once('=').ok_or(ConnectionStringError("a part has no `=`"))?;
    let (value, braced, after) = match after.trim_start().strip_prefix('{') {
        Some(quoted) => {
            let (value, after) = in_braces(quoted).ok_or(ConnectionStringError("a `{` has no `}`"))?;
            (value, true, after)
        }
        None => {
            let (value, after) = after.split_once(';').unwrap_or((after, ""));
            (value.trim().to_owned(), false, after)
        }
    };
    let key = key.trim();
    // A key that holds other signs is a part of a password that was not put into braces.
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || " _-".contains(c)) {
        return Err(ConnectionStringError("a key is no word; values with `;` or `=` belong into braces"));
    }
    Ok((Setting { key: key.to_owned(), value: Secret::new(value), braced }, after))
}

/// The rest of a value in braces, in which `}}` stands for one, and what comes after its semicolon.
fn in_braces(text: &str) -> Option<(String, &str)> {
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

impl fmt::Display for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, setting) in self.settings.iter().enumerate() {
            let shown = if setting.is_plain() { setting.value.reveal() } else { "***" };
            write!(f, "{}{}={shown}", if n == 0 { "" } else { ";" }, setting.key)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ConnectionString {
        ConnectionString::parse(text).expect("it can be read")
    }

    #[test]
    fn values_in_braces() {
        let string = parse("Driver={A;B};pwd={a}};b=c};Uid=me");
        assert_eq!(
            (string.get("DRIVER"), string.get("PWD"), string.get("uid")),
            (Some("A;B"), Some("a};b=c"), Some("me"))
        );
        assert_eq!(string.reveal(), "Driver={A;B};pwd={a}};b=c};Uid=me");
        assert_eq!(parse(&string.reveal()), string);
    }

    /// Old strings have empty parts, and spaces where nobody looks.
    #[test]
    fn what_drivers_read_is_read() {
        let string = parse(" server=x; DRIVER = {ODBC Driver 18 for SQL Server} ;;PWD=p ; Trusted_Connection=no;");
        assert_eq!(string.reveal(), "server=x;DRIVER={ODBC Driver 18 for SQL Server};PWD=p;Trusted_Connection=no");
        assert_eq!(parse("PWD={a;Driver=x}};y};driver=z").get("driver"), Some("z"));
        assert_eq!(parse("DSN=site;UID=Driver").get("driver"), None);
        assert_eq!(parse("Driver=X;Pwd={p=w}").reveal(), "Driver=X;Pwd={p=w}");
        for text in ["", ";;", "PWD={a;Driver=x", "UID=me;PWD=x", "Driver", "Driver=X;=y"] {
            assert!(ConnectionString::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        let string = parse("Driver=X;UID=me;Pwd=hunter2;Token=hunter3");
        assert_eq!(string.to_string(), "Driver=X;UID=me;Pwd=***;Token=***");
        assert_eq!(format!("{string:?}"), string.to_string());
        assert_eq!(string.scrub("login with 'hunter2' failed"), "login with '***' failed");
        for text in ["Pwd=hunter2", "Driver=X;Pwd={hunter2", "Driver=X;Pwd=a;hunter2", "Driver=X;Pwd=a;hunter2!=b"] {
            let error = ConnectionString::parse(text).expect_err("it cannot be used");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn passwords_of_any_length_and_form_are_taken_out() {
        let check = |string: &str, said: &str, expect: &str| assert_eq!(parse(string).scrub(said), expect, "{string}");
        check("Driver=X;UID=sa;PWD=p-w1;x=y", "bad p-w1 for sa", "bad *** for sa");
        check("Driver=X;Password = {a;}}b} ;UID=sa", "near a;}b and {a;}}b}", "near *** and {***}");
        check("Driver=X;UID=sa;PWD=;x=y", "as it is", "as it is");
        check("Driver=X;UID=sa", "as it is", "as it is");
        // What is no password is not taken out when it is shorter than a word.
        check("Driver=X;Mars=no", "there is no such thing", "there is no such thing");
        for short in ["s", "#", "12", "}", " "] {
            let string = parse("Driver=X;UID=me").with_password(&Secret::new(short));
            for said in
                [format!("the password {short} is wrong: is it"), format!("PWD={{{}}};", short.replace('}', "}}"))]
            {
                assert_eq!(string.scrub(&said), super::super::saying::WITHHELD, "{short}");
            }
            assert_eq!(string.to_string(), "Driver=X;UID=me;Pwd=***");
            assert_eq!(parse(&string.reveal()).get("pwd"), Some(short));
        }
        check("Driver=X;PWD=s", "Loin failed", "Loin failed");
    }

    #[test]
    fn a_password_comes_from_outside() {
        let check = |text: &str, had: bool, expect: &str| {
            let string = parse(text);
            assert_eq!(string.has_password(), had, "{text}");
            let with = string.with_password(&Secret::new("a;}b"));
            assert_eq!(with.reveal(), expect);
            assert!(with.has_password());
        };
        check("Driver=X;UID=me", false, "Driver=X;UID=me;Pwd={a;}}b}");
        check("Driver=X;PWD=;UID=me", false, "Driver=X;PWD={a;}}b};UID=me");
        check("Driver=X;Password={old};UID=me", true, "Driver=X;Password={a;}}b};UID=me");
        check("Driver=X;pwd=1;PASSWORD=2", true, "Driver=X;pwd={a;}}b};PASSWORD={a;}}b}");
    }

    #[test]
    fn another_database_of_the_server() {
        let check = |text: &str, named: Option<&str>, expect: &str| {
            let string = parse(text);
            assert_eq!(string.database(), named, "{text}");
            assert_eq!(string.with_database("new").reveal(), expect);
        };
        check("Driver=X;DATABASE=a", Some("a"), "Driver=X;DATABASE=new");
        check("Driver=X;db={a;b};UID=me", Some("a;b"), "Driver=X;db={new};UID=me");
        check("DSN=site", None, "DSN=site;Database=new");
    }
}
