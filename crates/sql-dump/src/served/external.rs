//! A database that others back up.

use std::time::Duration;

use async_trait::async_trait;
use backup_core::path::SitePath;
use backup_core::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseForm, DatabaseMoment,
    DatabaseRestored, DatabaseSource, DatabaseStanding, DatabaseTarget, DatabaseVerdict, SetupOption, SiteDatabase,
};

use super::sql_server::{facts_of, failed};
use crate::blocking::blocking;
use crate::sqlserver::{ExternalBackup, Reading, SqlServer};

/// A database of SQL Server that a maintenance plan, another program or an availability group's job backs up: the newest backup is found and
/// judged by its age, never touched.
#[derive(Debug, Clone)]
pub struct ExternalDatabase {
    server: SqlServer,
    database: String,
    max_age: Duration,
}

impl ExternalDatabase {
    /// The database named `database` on `server`, whose newest backup is to be no older than `max_age`. Connects to nothing yet.
    pub fn new(server: SqlServer, database: impl Into<String>, max_age: Duration) -> Self {
        Self { server, database: database.into(), max_age }
    }

    fn look(&self) -> Result<(DatabaseFacts, Seen), DatabaseError> {
        let refused = |error| failed("inspect", &self.database, error);
        let (instance, facts, _) = self.server.inspect(&self.database).map_err(refused)?;
        let newest = self.server.newest_backup(&self.database, Reading::Skip).map_err(refused)?;
        let seen = Seen::judge(&self.database, newest.as_ref(), self.max_age);
        let facts = DatabaseFacts {
            size: 0,
            form: DatabaseForm::External,
            moment: DatabaseMoment::Pinned,
            pinned_by: "nothing: others back this database up".to_owned(),
            weaker: seen.weaker.iter().cloned().collect(),
            ..facts_of(&instance, facts)
        };
        Ok((facts, seen))
    }

    fn refuse<T>(&self) -> Result<T, DatabaseError> {
        let message = format!("others back up database `{}`: recover it with their means", self.database);
        Err(DatabaseError::Unsupported(message))
    }
}

/// What was seen of others' backups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    facts: Vec<(String, String)>,
    weaker: Option<String>,
}

impl Seen {
    fn judge(database: &str, newest: Option<&ExternalBackup>, max_age: Duration) -> Self {
        let Some(backup) = newest else {
            let weaker = Some(format!("nobody has ever taken a full backup of database `{database}`"));
            return Self { facts: Vec::new(), weaker };
        };
        let fact = |name: &str, value: String| (format!("backup-{name}"), value);
        let set = &backup.set;
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let mut facts = vec![
            fact("server", backup.server.clone()),
            fact("places", backup.places.join(", ")),
            fact("set", set.id.clone()),
            fact("name", set.name.clone()),
            fact("finished", set.finished.clone()),
            fact("checksums", yes(set.has_checksums)),
            fact("damaged", yes(set.is_damaged)),
            fact("copy-only", yes(set.is_copy_only)),
            fact("verified", "no".to_owned()),
        ];
        facts.extend(set.age_seconds.map(|seconds| fact("age-seconds", seconds.to_string())));
        let told = format!(
            "the newest full backup of database `{database}`, of {} at `{}`,",
            set.finished,
            backup.places.join("`, `")
        );
        let weaker = match set.age_seconds {
            _ if set.is_damaged => Some(format!("{told} is marked as damaged")),
            None => Some(format!("{told} has no age that the server can tell")),
            Some(seconds) if seconds > max_age.as_secs() => {
                Some(format!("{told} is {} old, more than {}", age(seconds), age(max_age.as_secs())))
            }
            Some(_) => None,
        };
        Self { facts, weaker }
    }
}

/// Whole hours, or days from two on.
fn age(seconds: u64) -> String {
    let one = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match seconds / 3600 {
        hours if hours >= 48 => one(hours / 24, "day"),
        hours => one(hours, "hour"),
    }
}

#[async_trait]
impl SiteDatabase for ExternalDatabase {
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        let this = self.clone();
        blocking("inspect", &self.database, move || this.look()).await.map(|(facts, _)| facts)
    }

    async fn prepare(&self, _folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        Ok(Box::new(NoCopy(self.clone())))
    }

    fn logs(&self, _target: &SitePath) -> Vec<SitePath> {
        Vec::new()
    }

    async fn survey(&self, _from: &DatabaseSource, _to: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError> {
        self.refuse()
    }

    async fn restore(&self, _from: &DatabaseSource, _to: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError> {
        self.refuse()
    }

    /// There is no copy.
    async fn judge(&self, _copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        Ok(DatabaseVerdict::default())
    }

    async fn verify(&self, _target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        self.refuse()
    }

    async fn discard(&self, _target: &DatabaseTarget) -> Result<(), DatabaseError> {
        self.refuse()
    }
}

/// What stands for a copy: a look at the newest backup of others.
#[derive(Debug)]
struct NoCopy(ExternalDatabase);

#[async_trait]
impl DatabaseCopy for NoCopy {
    async fn pin(&mut self) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<DatabaseDump, DatabaseError> {
        let database = self.0.database.clone();
        let (_, seen) = blocking("inspect", &database, move || self.0.look()).await?;
        Ok(DatabaseDump {
            place: None,
            files: Vec::new(),
            setup_option: SetupOption::None,
            facts: seen.facts,
            remarks: Vec::new(),
            weaker: seen.weaker.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlserver::{BackupSet, Verdict};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn backup(age_seconds: Option<u64>, is_damaged: bool) -> ExternalBackup {
        let text = |text: &str| text.to_owned();
        let set = BackupSet {
            id: text("1"),
            name: text("nightly"),
            server: text("SQL01"),
            started: text("2026-11-25T21:00:00"),
            finished: text("2026-11-25T21:05:06"),
            age_seconds,
            first_lsn: text("1"),
            last_lsn: text("2"),
            size: 1,
            compressed_size: 1,
            is_copy_only: false,
            is_damaged,
            has_checksums: true,
            is_encrypted: false,
        };
        let places = vec![text(r"B:\1.bak"), text(r"B:\2.bak")];
        ExternalBackup { server: text("SQL01"), set, places, verdict: Verdict::NotRead("not asked for") }
    }

    #[test]
    fn a_backup_of_others_is_judged_by_damage_and_age() {
        let told = |seconds, is_damaged| Seen::judge("CM_P01", Some(&backup(seconds, is_damaged)), DAY).weaker;
        let why = |seconds, is_damaged| {
            let told = told(seconds, is_damaged).expect("it is weaker");
            let newest =
                r"the newest full backup of database `CM_P01`, of 2026-11-25T21:05:06 at `B:\1.bak`, `B:\2.bak`,";
            told.strip_prefix(newest).map(str::to_owned).unwrap_or(told)
        };
        assert_eq!(told(Some(DAY.as_secs()), false), None, "as old as it may be");
        assert_eq!(why(Some(DAY.as_secs() + 1), false), " is 24 hours old, more than 24 hours");
        assert_eq!(why(Some(3 * DAY.as_secs()), false), " is 3 days old, more than 24 hours");
        assert_eq!(why(None, false), " has no age that the server can tell");
        assert_eq!(why(Some(0), true), " is marked as damaged");
        let none = Seen::judge("CM_P01", None, DAY);
        assert_eq!(none.weaker.as_deref(), Some("nobody has ever taken a full backup of database `CM_P01`"));
        assert_eq!(none.facts, Vec::new());
    }

    #[test]
    fn what_is_known_of_it_is_recorded() {
        let facts = Seen::judge("CM_P01", Some(&backup(Some(7200), false)), DAY).facts;
        let of = |name: &str| facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str());
        for (fact, value) in [
            ("backup-places", r"B:\1.bak, B:\2.bak"),
            ("backup-finished", "2026-11-25T21:05:06"),
            ("backup-age-seconds", "7200"),
            ("backup-checksums", "yes"),
            ("backup-damaged", "no"),
            ("backup-verified", "no"),
        ] {
            assert_eq!(of(fact), Some(value), "{fact}");
        }
    }
}
