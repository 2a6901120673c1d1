//! `[database]`: where it is, and how it is backed up.

#[cfg(test)]
mod tests;

use std::time::Duration;

use backup_core::config::{DatabaseConfig, DatabaseMethod, DatabasePlace, MomentChoice, NativeBackup, ServerKind};
use backup_core::path::SitePath;
use backup_core::server_name::ServerName;

use super::read::{elsewhere, limit, path};
use super::table::{Section, Value};
use crate::machine::machine_name;

/// Keys of this table, for those that stand in another one.
pub(super) const KEYS: &[&str] = &[
    "connection",
    "password-file",
    "method",
    "external",
    "backup-folder",
    "backup-folder-here",
    "certificate",
    "database-moment",
    "hold-services",
];

const PASSWORD_REMEDY: &str =
    "put it alone into a file that only this program's account reads, and name that with password-file";

/// In the names of keys whose values are secrets.
const SECRET_WORDS: [&str; 4] = ["pwd", "pass", "secret", "token"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Server(ServerKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Native,
    Logical,
    Vss,
    External,
}

pub(super) fn database(section: &Section<'_>, folder: &SitePath) -> Option<DatabaseConfig> {
    let kind = section.require("kind", "kind = \"sqlite\"").and_then(|value| kind(&value));
    let file = section.get("path").map(|value| (path(&value, folder), value));
    let connection = section.get("connection").map(|value| (connection(&value), value));
    let password_file = section.get("password-file").map(|value| (path(&value, folder), value));
    let method = section.get("method").map(|value| (method(&value), value));
    let parts = Parts::read(section, folder);
    section.finish(elsewhere);
    let kind = kind?;
    let method = match method {
        Some((method, value)) => judged(method?, kind, &value)?,
        None => {
            let server = connection.as_ref().and_then(|(text, _)| server(text.as_ref()?));
            let is_here = cfg!(windows) && server.is_some_and(|server| server.is_on(&machine_name()));
            usual(kind, is_here && !parts.names_a_backup())
        }
    };
    let place = match kind {
        Kind::Sqlite => {
            let servers = [connection.map(|(_, value)| value), password_file.map(|(_, value)| value)];
            servers.iter().flatten().for_each(|value| unused(value, "an SQLite database is a file: name it with path"));
            section.require("path", "path = \"/srv/app/app.db\"");
            DatabasePlace::Sqlite(file?.0?)
        }
        Kind::Server(kind) => {
            file.iter().for_each(|(_, value)| unused(value, "a server is named by its connection"));
            section.require("connection", example(kind));
            let password_file = match password_file {
                Some((file, _)) => Some(file?),
                None => None,
            };
            let (text, value) = connection?;
            let connection = text?;
            if !is_of_kind(kind, &connection) {
                value.report("this is no connection of that kind", Some(format!("write {}", example(kind))));
                return None;
            }
            DatabasePlace::Server { kind, connection, password_file }
        }
    };
    let (method, moment) = parts.method(section, kind, method)?;
    Some(DatabaseConfig { place, method, moment })
}

/// The method where none is written. SQL Server's writer is asked only where its server is Windows' own and on this machine.
fn usual(kind: Kind, is_server_here: bool) -> Method {
    match kind {
        Kind::Server(ServerKind::SqlServer) if is_server_here => Method::Vss,
        Kind::Sqlite | Kind::Server(ServerKind::SqlServer) => Method::Native,
        Kind::Server(ServerKind::PostgreSql | ServerKind::Odbc) => Method::Logical,
    }
}

/// The server that an ODBC connection string names.
fn server(connection: &str) -> Option<ServerName> {
    let pairs = connection.split(';').filter_map(|pair| pair.split_once('='));
    let value =
        pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("server")).map(|(_, value)| value.trim()).next()?;
    Some(ServerName::parse(value.strip_prefix('{').and_then(|value| value.strip_suffix('}')).unwrap_or(value)))
}

fn kind(value: &Value<'_>) -> Option<Kind> {
    value.text("\"sqlite\"")?.choose(
        "kind of database",
        &[
            ("sqlite", Kind::Sqlite),
            ("postgresql", Kind::Server(ServerKind::PostgreSql)),
            ("sql-server", Kind::Server(ServerKind::SqlServer)),
            ("odbc", Kind::Server(ServerKind::Odbc)),
        ],
    )
}

fn example(kind: ServerKind) -> &'static str {
    match kind {
        ServerKind::SqlServer => {
            "connection = \"Driver={ODBC Driver 18 for SQL Server};Server=sql1;Database=CM_P01;Trusted_Connection=yes\""
        }
        ServerKind::PostgreSql => "connection = \"postgresql://user@host/database\"",
        ServerKind::Odbc => "connection = \"Driver={MariaDB Unicode};Server=host;Database=app;Uid=backup\"",
    }
}

/// An address or connection string; one with a password in it is refused.
fn connection(value: &Value<'_>) -> Option<String> {
    let text = value.text("an address or an ODBC connection string between quotes")?;
    if has_password(text.text) {
        text.report("a password stands in the configuration", Some(PASSWORD_REMEDY.to_owned()));
        return None;
    }
    Some(text.text.to_owned())
}

fn has_password(connection: &str) -> bool {
    if let Some((_, rest)) = connection.split_once("://") {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let in_query = rest.split(['?', '&']).skip(1).any(|pair| pair.to_ascii_lowercase().starts_with("password="));
        return in_query || authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    }
    let keys = connection.split(';').filter_map(|pair| pair.split_once('='));
    keys.map(|(key, _)| key.trim().to_ascii_lowercase()).any(|key| SECRET_WORDS.iter().any(|word| key.contains(word)))
}

/// Whether a connection leads to a database of this kind: the kinds are told apart by it, and what is no server's is no server's to open.
fn is_of_kind(kind: ServerKind, connection: &str) -> bool {
    let is_address = connection.starts_with("postgresql://") || connection.starts_with("postgres://");
    match kind {
        ServerKind::PostgreSql => is_address,
        ServerKind::SqlServer | ServerKind::Odbc => {
            let names_driver = |part: &str| part.trim().to_ascii_lowercase().starts_with("driver");
            let drivers = connection.split(';').filter(|part| names_driver(part));
            let is_file = drivers.clone().any(|part| part.to_ascii_lowercase().contains("sqlite"));
            !connection.contains("://") && !connection.starts_with("sqlite:") && connection.contains('=') && !is_file
        }
    }
}

fn method(value: &Value<'_>) -> Option<Method> {
    let text = value.text("\"native\", \"logical\", \"vss\" or \"external\"")?;
    let methods = [
        ("native", Method::Native),
        ("logical", Method::Logical),
        ("vss", Method::Vss),
        ("external", Method::External),
    ];
    text.choose("method", &methods)
}

fn judged(method: Method, kind: Kind, value: &Value<'_>) -> Option<Method> {
    let refusal = match (kind, method) {
        (Kind::Server(ServerKind::PostgreSql | ServerKind::Odbc), Method::Native | Method::Vss | Method::External) => {
            "only SQL Server has backups of its own here: remove the line, for \"logical\" is what there is"
        }
        (Kind::Sqlite, Method::Vss) => {
            "no writer of Windows knows an SQLite database: choose \"native\", which copies it at the moment of the files"
        }
        (Kind::Sqlite, Method::External) => {
            "nobody records backups of an SQLite database: choose \"native\" or \"logical\""
        }
        _ => return Some(method),
    };
    value.report("this database cannot be backed up so", Some(refusal.to_owned()));
    None
}

fn unused(value: &Value<'_>, remedy: &str) {
    value.report_key(format!("`{}` says nothing here", value.key), Some(remedy.to_owned()));
}

/// What only some methods have.
struct Parts<'d> {
    external: Option<Value<'d>>,
    folder: Option<Value<'d>>,
    here: Option<(Option<SitePath>, Value<'d>)>,
    certificate: Option<Value<'d>>,
    moment: Option<Value<'d>>,
    hold: Option<(Option<Duration>, Value<'d>)>,
}

impl<'d> Parts<'d> {
    fn read(section: &Section<'d>, folder: &SitePath) -> Self {
        Self {
            external: section.get("external"),
            folder: section.get("backup-folder"),
            here: section.get("backup-folder-here").map(|value| (path(&value, folder), value)),
            certificate: section.get("certificate"),
            moment: section.get("database-moment"),
            hold: section.get("hold-services").map(|value| (limit(&value), value)),
        }
    }

    /// Whether it says where the server is to put a backup.
    fn names_a_backup(&self) -> bool {
        self.folder.is_some() || self.here.is_some() || self.certificate.is_some()
    }

    fn method(self, section: &Section<'_>, kind: Kind, method: Method) -> Option<(DatabaseMethod, MomentChoice)> {
        let is_served = method == Method::Native && kind != Kind::Sqlite;
        let here = self.here.as_ref().map(|(_, value)| value);
        let hold = self.hold.as_ref().map(|(_, value)| value);
        if !is_served {
            let only = [self.folder.as_ref(), here, self.certificate.as_ref(), self.moment.as_ref(), hold];
            only.iter().flatten().for_each(|value| unused(value, "it belongs to SQL Server's method \"native\""));
        }
        if method != Method::External {
            self.external.iter().for_each(|value| unused(value, "it belongs to method \"external\""));
        }
        let method = match method {
            Method::Native if is_served => DatabaseMethod::Native(self.native(section)?),
            Method::Native => DatabaseMethod::Pages,
            Method::Logical => DatabaseMethod::Logical,
            Method::Vss => DatabaseMethod::Vss,
            Method::External => DatabaseMethod::External { max_age: max_age(section)? },
        };
        Some((method, self.moment()?))
    }

    fn native(&self, section: &Section<'_>) -> Option<NativeBackup> {
        let folder = section.require("backup-folder", "backup-folder = \'D:\\Backup\', as SQL Server sees it")?;
        let here = match &self.here {
            Some((here, _)) => Some(here.clone()?),
            None => None,
        };
        let certificate = match &self.certificate {
            Some(value) => Some(value.text("the name of a certificate between quotes")?.text.to_owned()),
            None => None,
        };
        Some(NativeBackup { folder: folder.text("a path between quotes")?.text.to_owned(), here, certificate })
    }

    fn moment(&self) -> Option<MomentChoice> {
        let choices = [("same", MomentChoice::Same), ("later", MomentChoice::Later)];
        let moment = match &self.moment {
            Some(value) => value.text("\"same\" or \"later\"")?.choose("moment", &choices)?,
            None => MomentChoice::Same,
        };
        match (&self.hold, moment) {
            (None, moment) => Some(moment),
            (Some((hold, _)), MomentChoice::Same) => (*hold).map(MomentChoice::HoldServices),
            (Some((_, value)), _) => {
                value.report_key(
                    "services are held for nothing: a later moment is accepted",
                    Some("remove it, or write database-moment = \"same\"".to_owned()),
                );
                None
            }
        }
    }
}

fn max_age(section: &Section<'_>) -> Option<Duration> {
    let example = "external = { max-age = \"1d\" }";
    let external = section.require("external", example)?.section("external", example)?;
    let age = external.require("max-age", "max-age = \"1d\"").and_then(|value| limit(&value));
    external.finish(|_| None);
    age
}
