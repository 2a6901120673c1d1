//! What is recorded of a server and a database before a backup, and compared after a recovery.

use backup_core::ports::database::ChangedFact;

use super::error::SqlServerError;
use super::talk::Talk;
use super::tsql;

/// A server, as far as an order depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name with the instance, of the machine that runs it now.
    pub name: String,
    /// Such as `16.0.4135.4`.
    pub version: String,
    /// Such as `Enterprise Edition (64-bit)`.
    pub edition: String,
    /// Whether availability groups are switched on.
    pub has_groups: bool,
    /// Default folder of data files.
    pub data_folder: String,
    /// Default folder of logs.
    pub log_folder: String,
}

impl Server {
    /// The first part of the version: 16 is SQL Server 2022.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|part| part.parse().ok()).unwrap_or(0)
    }

    fn is_small(&self) -> bool {
        self.edition.starts_with("Express") || self.edition.starts_with("Web")
    }

    /// Whether it compresses backups: Standard and above, from 2008 R2.
    pub fn can_compress(&self) -> bool {
        self.major() >= 10 && !self.is_small()
    }

    /// Whether it encrypts backups: Standard and above, from 2014.
    pub fn can_encrypt(&self) -> bool {
        self.major() >= 12 && !self.is_small()
    }
}

const SERVER: &str = "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ServerName')) AS name, \
     CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version, \
     CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS edition, \
     CONVERT(int, SERVERPROPERTY('IsHadrEnabled')) AS has_groups, \
     CONVERT(nvarchar(260), SERVERPROPERTY('InstanceDefaultDataPath')) AS data_folder, \
     CONVERT(nvarchar(260), SERVERPROPERTY('InstanceDefaultLogPath')) AS log_folder";

pub(super) fn server(talk: &mut dyn Talk) -> Result<Server, SqlServerError> {
    let what = "say what it is";
    let answer = talk.ask(SERVER, what)?;
    let row = answer
        .first()
        .ok_or_else(|| SqlServerError::Refused { what: what.to_owned(), messages: answer.messages.clone() })?;
    Ok(Server {
        name: row.text("name"),
        version: row.text("version"),
        edition: row.text("edition"),
        has_groups: row.is_set("has_groups"),
        data_folder: row.text("data_folder"),
        log_folder: row.text("log_folder"),
    })
}

/// Facts of a database, each under a name that stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The database.
    pub database: String,
    /// Names and values, such as `recovery-model` = `FULL`.
    pub values: Vec<(String, String)>,
    /// Bytes of its files.
    pub size: u64,
    /// Days of change tracking, where it keeps any.
    pub change_tracking_days: Option<u32>,
}

impl Facts {
    /// Such as `ONLINE`.
    pub(super) fn state(&self) -> &str {
        self.values.iter().find(|(fact, _)| fact == "state").map_or("unknown", |(_, state)| state)
    }
}

/// A fact's name and the column that it is read from.
const FACTS: [(&str, &str); 12] = [
    ("state", "state_desc"),
    ("recovery-model", "recovery_model_desc"),
    ("compatibility-level", "compatibility_level"),
    ("collation", "collation_name"),
    ("owner", "owner"),
    ("trustworthy", "is_trustworthy_on"),
    ("broker", "is_broker_enabled"),
    ("honor-broker-priority", "is_honor_broker_priority_on"),
    ("read-committed-snapshot", "is_read_committed_snapshot_on"),
    ("change-tracking-retention", "retention_period"),
    ("change-tracking-units", "retention_period_units_desc"),
    ("change-tracking-auto-cleanup", "is_auto_cleanup_on"),
];

fn facts_query(database: &str) -> String {
    format!(
        "SELECT d.state_desc, d.recovery_model_desc, CONVERT(int, d.compatibility_level) AS compatibility_level, d.collation_name, \
         SUSER_SNAME(d.owner_sid) AS owner, CONVERT(int, d.is_trustworthy_on) AS is_trustworthy_on, \
         CONVERT(int, d.is_broker_enabled) AS is_broker_enabled, \
         CONVERT(int, d.is_honor_broker_priority_on) AS is_honor_broker_priority_on, \
         CONVERT(int, d.is_read_committed_snapshot_on) AS is_read_committed_snapshot_on, \
         c.retention_period, c.retention_period_units_desc, CONVERT(int, c.is_auto_cleanup_on) AS is_auto_cleanup_on, \
         (SELECT SUM(CONVERT(bigint, f.size)) * 8192 FROM sys.master_files AS f WHERE f.database_id = d.database_id) AS bytes \
         FROM sys.databases AS d LEFT JOIN sys.change_tracking_databases AS c ON c.database_id = d.database_id WHERE d.name = {}",
        tsql::text(database)
    )
}

/// Settings of the server that a Configuration Manager database depends on.
const SETTINGS: [(&str, &str); 2] = [("clr enabled", "clr-enabled"), ("max text repl size (B)", "max-text-repl-size")];

const SETTINGS_QUERY: &str = "SELECT name, CONVERT(int, value_in_use) AS value FROM sys.configurations \
     WHERE name IN (N'clr enabled', N'max text repl size (B)') ORDER BY name";

pub(super) fn facts(talk: &mut dyn Talk, database: &str) -> Result<Facts, SqlServerError> {
    let answer = talk.ask(&facts_query(database), "describe the database")?;
    let row = answer.first().ok_or_else(|| SqlServerError::Missing(database.to_owned()))?;
    let fact = |(name, column): &(&str, &str)| Some(((*name).to_owned(), row.get(column)?.to_owned()));
    let mut values: Vec<_> = FACTS.iter().filter_map(fact).collect();
    let (size, change_tracking_days) = (row.number("bytes").unwrap_or(0), days(&values));
    let settings = talk.ask(SETTINGS_QUERY, "list its settings")?;
    for row in settings.rows() {
        let known = SETTINGS.iter().find(|(setting, _)| row.get("name") == Some(setting));
        values.extend(known.map(|(_, fact)| ((*fact).to_owned(), row.text("value"))));
    }
    Ok(Facts { database: database.to_owned(), values, size, change_tracking_days })
}

/// The database's files as the server names them, the primary one first.
pub(super) fn files(talk: &mut dyn Talk, database: &str) -> Result<Vec<String>, SqlServerError> {
    let query = format!(
        "SELECT physical_name FROM sys.master_files WHERE database_id = DB_ID({}) ORDER BY file_id",
        tsql::text(database)
    );
    let answer = talk.ask(&query, "list the database's files")?;
    // A login without the right is shown less, and told nothing of it.
    if answer.first().is_none() {
        let message =
            format!("SQL Server shows the login no file of database `{database}`: it needs VIEW ANY DEFINITION");
        return Err(SqlServerError::Unsupported(message));
    }
    Ok(answer.rows().map(|row| row.text("physical_name")).collect())
}

/// The logical names of the database's files.
pub(super) fn file_names(talk: &mut dyn Talk, database: &str) -> Result<Vec<String>, SqlServerError> {
    let query = format!("SELECT name FROM sys.master_files WHERE database_id = DB_ID({})", tsql::text(database));
    let answer = talk.ask(&query, "list the database's files")?;
    Ok(answer.rows().map(|row| row.text("name")).collect())
}

fn days(values: &[(String, String)]) -> Option<u32> {
    let of = |name| values.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str());
    let period: u32 = of("change-tracking-retention")?.parse().ok()?;
    match of("change-tracking-units")? {
        "DAYS" => Some(period),
        "HOURS" => Some(period / 24),
        // Whatever else there is is shorter than a day.
        _ => Some(0),
    }
}

/// What is not as it was, in the order of the record.
pub fn compare(database: &str, before: &[(String, String)], after: &[(String, String)]) -> Vec<ChangedFact> {
    let value = |facts: &[(String, String)], name: &str| {
        facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.clone())
    };
    let new = after.iter().filter(|(fact, _)| value(before, fact).is_none());
    let names = before.iter().chain(new).map(|(fact, _)| fact);
    let changed = names.filter_map(|fact| {
        let (was, is) = (value(before, fact), value(after, fact));
        let remedy = || was.as_deref().and_then(|was| remedy(database, fact, was, before));
        (was != is).then(|| ChangedFact {
            fact: fact.clone(),
            remedy: remedy(),
            before: was.clone(),
            after: is.clone(),
        })
    });
    changed.collect()
}

fn remedy(database: &str, fact: &str, was: &str, before: &[(String, String)]) -> Option<String> {
    let name = tsql::name(database);
    let switch = if was == "0" { "OFF" } else { "ON" };
    let word = |text: &str| text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    let configure = |option: &str| {
        was.parse::<i32>().ok().map(|was| format!("EXEC sp_configure {}, {was}; RECONFIGURE", tsql::text(option)))
    };
    match fact {
        "recovery-model" if word(was) => Some(format!("ALTER DATABASE {name} SET RECOVERY {was}")),
        "compatibility-level" if word(was) => Some(format!("ALTER DATABASE {name} SET COMPATIBILITY_LEVEL = {was}")),
        "owner" => Some(format!("ALTER AUTHORIZATION ON DATABASE::{name} TO {}", tsql::name(was))),
        "trustworthy" => Some(format!("ALTER DATABASE {name} SET TRUSTWORTHY {switch}")),
        "broker" if was == "0" => Some(format!("ALTER DATABASE {name} SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE")),
        "broker" => Some(format!("ALTER DATABASE {name} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE")),
        "honor-broker-priority" => Some(format!("ALTER DATABASE {name} SET HONOR_BROKER_PRIORITY {switch}")),
        "read-committed-snapshot" => Some(format!("ALTER DATABASE {name} SET READ_COMMITTED_SNAPSHOT {switch}")),
        "change-tracking-retention" | "change-tracking-units" | "change-tracking-auto-cleanup" => {
            change_tracking(&name, before)
        }
        "clr-enabled" => configure("clr enabled"),
        "max-text-repl-size" => configure("max text repl size (B)"),
        _ => None,
    }
}

fn change_tracking(name: &str, before: &[(String, String)]) -> Option<String> {
    let of = |name| before.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str());
    let period: u32 = of("change-tracking-retention")?.parse().ok()?;
    let units = of("change-tracking-units").filter(|units| ["DAYS", "HOURS", "MINUTES"].contains(units))?;
    let cleanup = if of("change-tracking-auto-cleanup") == Some("0") { "OFF" } else { "ON" };
    let options = format!("CHANGE_RETENTION = {period} {units}, AUTO_CLEANUP = {cleanup}");
    Some(format!("ALTER DATABASE {name} SET CHANGE_TRACKING = ON ({options})"))
}
