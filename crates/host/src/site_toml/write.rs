//! A new `site.toml`, ready to be edited, and the copy of one that a snapshot keeps.

use std::fmt::Write;

use backup_core::config::{RegistryRoot, RegistryStore};
use backup_core::path::SitePath;
use backup_core::schedule::Schedule;
use backup_core::site::{SiteCode, SiteKind};
use jiff::civil::Weekday;
use toml::Value;
use toml::de::DeTable;

/// What is known of a site that gets its first configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSite {
    /// The site code.
    pub code: SiteCode,
    /// The site's kind: one that has a backup task.
    pub kind: SiteKind,
    /// The installation folder.
    pub install_dir: Option<SitePath>,
    /// The control file, where it is not in its usual place; without one and with `include`, the site has none.
    pub control_file: Option<SitePath>,
    /// Where roots of the control file lie on this machine: the original and the local one.
    pub paths: Vec<(SitePath, SitePath)>,
    /// Files and folders, instead of a control file.
    pub include: Vec<SitePath>,
    /// Patterns of what to leave out below them.
    pub exclude: Vec<String>,
    /// The database, where there is one.
    pub database: Option<NewDatabase>,
    /// Registry roots and what holds them.
    pub registry: Vec<RegistryRoot>,
    /// Where snapshots go: a folder of this machine, or a path `\\server\share\folder`.
    pub destination: SitePath,
    /// When backups run, by the clock of this machine.
    pub schedule: Schedule,
}

impl NewSite {
    /// A stand-alone primary site of which nothing more is known, with the product's schedule.
    pub fn new(code: SiteCode, destination: SitePath) -> Self {
        Self {
            code,
            kind: SiteKind::Primary { parent: None },
            install_dir: None,
            control_file: None,
            paths: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            database: None,
            registry: Vec::new(),
            destination,
            schedule: Schedule::default(),
        }
    }
}

/// Which database a new site has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewDatabase {
    /// An SQLite database file.
    Sqlite(SitePath),
    /// A database of SQL Server, which others back up as far as is known.
    SqlServer {
        /// The server.
        server: String,
        /// The database.
        name: String,
    },
}

/// A path that TOML cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not Unicode, so it cannot be written into a site.toml: give the folder above it")]
pub struct NotUnicode(pub SitePath);

const EXTERNAL: &str = r#"method = "external"                    # others back it up; their newest backup is looked for and judged by its age
external = { max-age = "1d" }
# method = "native"                    SQL Server's own backup, taken with each snapshot instead
# backup-folder = 'D:\Backup'          a folder as SQL Server sees it
# backup-folder-here = 'D:\Backup'     the same as this machine sees it: the backup is moved into the snapshot
# method = "vss"                       or its files, from a shadow copy: for a SQL Server of this machine, on Windows
# hold-services = "2h"                 keep the services stopped until it has ended, so that both are of one moment
"#;

#[cfg(not(windows))]
const SERVICES: &str = r#"
[services]                             # all that writes to the site stops in this order; a control file has its own
manager = "commands"
# MY_APP = { stop = ["systemctl", "stop", "my-app"], start = ["systemctl", "start", "my-app"], state = ["systemctl", "is-active", "-q", "my-app"], timeout = "60s" }
"#;

#[cfg(windows)]
const SERVICES: &str = r#"
[services]                             # all that writes to the site stops in this order; a control file has its own
manager = "windows"                    # services that need a stopped one stop before it, and start again after it
# SMS_EXECUTIVE = { timeout = "10m" }
"#;

const WRITERS: &str = r#"
# [writers]
# my-queue = { freeze = ["my-queue", "pause"], thaw = ["my-queue", "resume"], timeout = "10s" }
"#;

const TASK_REST: &str = r#"time-zone = "local"                    # local, utc, or a name such as "Europe/Berlin"
# shadow-copy = "auto"                 auto, btrfs or reflink (Linux), vss (Windows), or pre-copy
# work-dir = "/srv/.sitebackup"        on the sources' file system, btrfs or XFS: images or clones of it, which make the freeze window short
# alert-on-failure = true              runs the command of [alerts]
# after-backup = { timeout = "1h", success = "0" }     for an executable AfterBackup beside this file; "0-7" for robocopy

# [alerts]
# command = ["/usr/local/bin/tell-the-admin", "the backup has failed"]
"#;

/// The text of a configuration that [`parse`](super::parse) reads, with comments that show what else can be said.
///
/// # Errors
/// [`NotUnicode`] names the first path that TOML cannot hold.
pub fn to_toml(site: &NewSite) -> Result<String, NotUnicode> {
    let mut text = String::from(
        "# The configuration of sitebackup for one site. Relative paths start at this file's folder.\nversion = 1\n",
    );
    text.push_str("# state-dir = \"state\"                   journal, status messages and locks\n\n[site]\n");
    section_site(&mut text, site)?;
    files(&mut text, site)?;
    database(&mut text, site)?;
    if !site.registry.is_empty() {
        text.push_str("\n[registry]\n");
    }
    for root in &site.registry {
        let kind = match root.store {
            RegistryStore::Reg(_) => "reg",
            RegistryStore::Hive(_) => "hive",
            RegistryStore::WinePrefix(_) => "wine-prefix",
        };
        let (key, file) = (Value::from(root.key.as_str()), path(root.store.path())?);
        let _never_fails = writeln!(text, "{key} = {{ {kind} = {file} }}");
    }
    text.push_str(SERVICES);
    text.push_str(WRITERS);
    let option = if site.destination.to_bytes().starts_with(b"\\\\") { "network" } else { "local" };
    let _never_fails = write!(text, "\n[task]\ndestination = {{ {option} = {} }}\n", path(&site.destination)?);
    when(&mut text, &site.schedule);
    text.push_str(TASK_REST);
    Ok(text)
}

fn database(text: &mut String, site: &NewSite) -> Result<(), NotUnicode> {
    match &site.database {
        None => {}
        Some(NewDatabase::Sqlite(file)) => {
            text.push_str("\n[database]\nkind = \"sqlite\"\n");
            line(text, "path", &path(file)?);
        }
        Some(NewDatabase::SqlServer { server, name }) => {
            text.push_str("\n[database]\nkind = \"sql-server\"\n");
            let braced = |value: &str| format!("{{{}}}", value.replace('}', "}}"));
            let connection = format!(
                "Driver={{ODBC Driver 18 for SQL Server}};Server={};Database={};Trusted_Connection=yes",
                braced(server),
                braced(name)
            );
            line(text, "connection", &Value::from(connection));
            text.push_str(EXTERNAL);
        }
    }
    Ok(())
}

fn section_site(text: &mut String, site: &NewSite) -> Result<(), NotUnicode> {
    line(text, "code", &Value::from(site.code.as_str()));
    let kind = match &site.kind {
        SiteKind::CentralAdministration => "central-administration",
        SiteKind::Primary { .. } => "primary",
        SiteKind::Secondary => "secondary",
        SiteKind::SiteSystem => "site-system",
    };
    let _never_fails = writeln!(text, "{:38} # primary, central-administration", format!("kind = \"{kind}\""));
    match &site.kind {
        SiteKind::Primary { parent: Some(parent) } => line(text, "parent", &Value::from(parent.as_str())),
        _ => text.push_str("# parent = \"CAS\"                       makes it a child primary site\n"),
    }
    if let Some(install_dir) = &site.install_dir {
        line(text, "install-dir", &path(install_dir)?);
    }
    if let Some(control_file) = &site.control_file {
        line(text, "control-file", &path(control_file)?);
    }
    Ok(())
}

fn files(text: &mut String, site: &NewSite) -> Result<(), NotUnicode> {
    if !site.include.is_empty() || site.install_dir.is_none() {
        let include = site.include.iter().map(path).collect::<Result<Vec<_>, _>>()?;
        text.push_str("\n[files]\n");
        line(text, "include", &Value::Array(include));
        match site.exclude.as_slice() {
            [] => text.push_str("# exclude = [\"**/*.tmp\"]\n"),
            exclude => line(text, "exclude", &strings(exclude)),
        }
        return Ok(());
    }
    let comment = "where the control file's Windows paths lie on this machine";
    if site.paths.is_empty() {
        let _never_fails = writeln!(text, "\n{:38} {comment}", "# [paths]");
        text.push_str("# 'C:\\Program Files\\Microsoft Configuration Manager' = \"/srv/configmgr\"\n");
        return Ok(());
    }
    let _never_fails = writeln!(text, "\n{:38} # {comment}", "[paths]");
    for (original, here) in &site.paths {
        let _never_fails = writeln!(text, "{} = {}", path(original)?, path(here)?);
    }
    Ok(())
}

fn when(text: &mut String, schedule: &Schedule) {
    let days: Vec<&str> = schedule.days.iter().map(|day| day_name(*day)).collect();
    line(text, "days", &strings(&days));
    for (key, time) in [("begin", schedule.begin), ("latest-begin", schedule.latest_begin)] {
        line(text, key, &Value::from(time.strftime("%H:%M").to_string()));
    }
}

fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Sunday => "sun",
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
    }
}

fn strings<T: AsRef<str>>(texts: &[T]) -> Value {
    Value::Array(texts.iter().map(|text| Value::from(text.as_ref())).collect())
}

fn line(text: &mut String, key: &str, value: &Value) {
    let _never_fails = writeln!(text, "{key} = {value}");
}

fn path(path: &SitePath) -> Result<Value, NotUnicode> {
    String::from_utf8(path.to_bytes()).map(Value::from).map_err(|_| NotUnicode(path.clone()))
}

/// The text as each snapshot keeps it: without what could be a secret.
///
/// A `site.toml` holds no passwords by design. Only the arguments of the alert command, which may hold a token or an address, become
/// `***`; everything else stays byte for byte, comments too. A text that is no TOML is kept out as a whole.
pub fn without_secrets(text: &str) -> String {
    let Ok(document) = DeTable::parse(text) else {
        return "# The configuration could not be read, so it is not kept here.\n".to_owned();
    };
    let command = document.get_ref().get("alerts").and_then(|alerts| alerts.get_ref().get("command"));
    let arguments = command.and_then(|command| command.get_ref().as_array()).into_iter().flatten().skip(1);
    let mut kept = String::new();
    let mut copied = 0;
    for argument in arguments {
        let span = argument.span();
        kept.push_str(&text[copied..span.start]);
        kept.push_str("\"***\"");
        copied = span.end;
    }
    kept.push_str(&text[copied..]);
    kept
}
