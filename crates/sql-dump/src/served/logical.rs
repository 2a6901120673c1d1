//! A database whose rows are taken out as text.

use std::sync::Mutex;

use async_trait::async_trait;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::database::{
    ChangedFact, DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseForm,
    DatabaseMoment, DatabaseRestored, DatabaseSource, DatabaseStanding, DatabaseTarget, DatabaseVerdict, SetupOption,
    SiteDatabase,
};
use backup_core::ports::destination::DestinationError;

use super::file_name;
use super::part::{StagedDump, StoredDump};
use super::sql_server::LEARNED;
use crate::SqliteDatabase;
use crate::blocking::{Stopper, blocking};
use crate::logical::dump::weaker;
use crate::logical::{
    self, Address, DumpOptions, Inspection, LogicalError, PinnedDump, PreparedDump, RestoreOptions, Standing,
    scratch_name,
};

/// A database that is backed up as a logical dump (docs/dump-format.md): PostgreSQL, MariaDB, SQLite, SQL Server.
///
/// # How the moment is held
/// `prepare` connects, `pin` lets all connections see one moment, `finish` reads it while writers go on. What the dump cannot hold is a
/// remark; a table that has no part in the moment makes the dump weaker.
///
/// # What a restore needs
/// An empty database, at the same address; it never replaces anything. It goes on where an earlier one ended, and ends by comparing all rows
/// with the dump. A scratch database is made on the same server, which its user must be allowed to.
#[derive(Debug, Clone)]
pub struct LogicalDatabase {
    address: Address,
    /// The same as a file, where it is one: its files are no others' to open.
    file: Option<SqliteDatabase>,
    options: DumpOptions,
}

const PINNED_BY: &str = "one snapshot that all connections of the dump share";

impl LogicalDatabase {
    /// The database at `address`. Connects to nothing yet.
    pub fn new(address: Address) -> Self {
        Self { address, file: None, options: DumpOptions::default() }
    }

    /// The SQLite database in the file at `path`.
    ///
    /// # Errors
    /// [`LogicalError::Address`] for a path that is not Unicode.
    pub fn sqlite(path: SitePath) -> Result<Self, LogicalError> {
        let text = String::from_utf8(path.to_bytes());
        let text = text.map_err(|_| LogicalError::Address(format!("`{path}` is not Unicode")))?;
        let file = Some(SqliteDatabase::new(path, None));
        Ok(Self { file, ..Self::new(Address::parse(&format!("sqlite:{text}"))?) })
    }

    fn at(&self, target: &DatabaseTarget) -> Result<Address, DatabaseError> {
        match target {
            DatabaseTarget::Own { .. } => Ok(self.address.clone()),
            DatabaseTarget::Scratch(id) => Ok(self.address.scratch(&scratch_name(id))),
            DatabaseTarget::File(file) => {
                let message = format!("a logical dump is restored into a database, and not to the file `{file}`");
                Err(DatabaseError::Unsupported(message))
            }
        }
    }
}

fn failed(action: &'static str, address: &Address, error: LogicalError) -> DatabaseError {
    let name = address.to_string();
    match error {
        LogicalError::NotEmpty { found } => DatabaseError::Occupied { name, found },
        LogicalError::Busy { source, .. } => DatabaseError::Locked { name, source },
        LogicalError::Unsupported(message) => DatabaseError::Unsupported(message),
        LogicalError::Write { file, source } => match source.downcast::<DestinationError>() {
            Ok(error) => DatabaseError::Write(error),
            Err(source) => {
                DatabaseError::Failed { action, name, source: Box::new(LogicalError::Write { file, source }) }
            }
        },
        error => DatabaseError::Failed { action, name, source: Box::new(error) },
    }
}

fn look(address: &Address) -> Result<Inspection, DatabaseError> {
    logical::inspect(address).map_err(|error| failed("inspect", address, error))
}

#[async_trait]
impl SiteDatabase for LogicalDatabase {
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        if let Some(file) = &self.file {
            let facts = file.inspect().await?;
            let address = self.address.clone();
            let seen = blocking("inspect", &self.address.to_string(), move || look(&address)).await?;
            return Ok(DatabaseFacts {
                form: DatabaseForm::Logical,
                file: None,
                pinned_by: PINNED_BY.to_owned(),
                weaker: weaker(&[], true, &seen.lost),
                ..facts
            });
        }
        let (address, options) = (self.address.clone(), self.options.clone());
        let inspect = move || {
            logical::may_dump(&address, &options).map_err(|error| failed("inspect", &address, error))?;
            look(&address)
        };
        let seen = blocking("inspect", &self.address.to_string(), inspect).await?;
        Ok(DatabaseFacts {
            name: seen.name,
            engine: seen.engine,
            address: self.address.to_string(),
            size: seen.size,
            file: None,
            paths: Vec::new(),
            form: DatabaseForm::Logical,
            moment: DatabaseMoment::Pinned,
            pinned_by: PINNED_BY.to_owned(),
            facts: seen.facts,
            component: None,
            remarks: Vec::new(),
            weaker: weaker(&seen.unpinned, seen.unpinned.is_empty(), &seen.lost),
            change_tracking_days: None,
        })
    }

    async fn prepare(&self, folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        let stopper = Stopper::default();
        let (address, options) =
            (self.address.clone(), DumpOptions { cancel: stopper.cancel().clone(), ..self.options.clone() });
        let prepare =
            move || logical::prepare(&address, &options).map_err(|error| failed("connect to", &address, error));
        let dump = blocking("connect to", &self.address.to_string(), prepare).await?;
        let place = file_name(&folder.name, "");
        let (state, address) = (Mutex::new(State::Prepared(dump)), self.address.clone());
        Ok(Box::new(LogicalCopy { address, folder, place, state, stopper }))
    }

    fn logs(&self, _target: &SitePath) -> Vec<SitePath> {
        Vec::new()
    }

    async fn survey(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError> {
        let (address, from) = (self.at(target)?, from.clone());
        let name = address.to_string();
        let survey = move || {
            let dump = StoredDump::open(&from)?;
            match logical::survey(&address, &dump).map_err(|error| failed("look into", &address, error))? {
                Standing::Empty | Standing::Begun => Ok(DatabaseStanding::Free(Vec::new())),
                Standing::Holds(found) => Ok(DatabaseStanding::Holds(found)),
            }
        };
        blocking("look into", &name, survey).await
    }

    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError> {
        let (address, source, own) = (self.at(target)?, from.clone(), self.address.clone());
        let scratch = match target {
            DatabaseTarget::Scratch(id) => Some(scratch_name(id)),
            _ => None,
        };
        let (name, before) = (address.to_string(), from.part.facts.clone());
        let stopper = Stopper::default();
        let options = RestoreOptions { cancel: stopper.cancel().clone(), ..RestoreOptions::default() };
        let restore = move || {
            let dump = StoredDump::open(&source)?;
            if options.cancel.is_cancelled() {
                return Err(failed("restore", &address, LogicalError::Stopped));
            }
            if let Some(name) = scratch {
                logical::create_database(&own, &name)
                    .map_err(|error| failed("make a scratch database beside", &own, error))?;
            }
            let restored = logical::restore(&dump, &address, &options);
            let restored = restored.map_err(|error| failed("restore", &address, error))?;
            Ok(DatabaseRestored {
                changed: changed(&before, &look(&address)?.facts),
                not_covered: restored.not_covered,
                remarks: Vec::new(),
            })
        };
        blocking("restore", &name, restore).await
    }

    /// Each file was hashed as it was written, and each row added up: there is nothing that a second look would find.
    async fn judge(&self, _copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        Ok(DatabaseVerdict::default())
    }

    /// A restore has compared every row already; that the database answers is what is left.
    async fn verify(&self, target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        let address = self.at(target)?;
        let name = address.to_string();
        blocking("inspect", &name, move || look(&address)).await.map(|_| DatabaseVerdict::default())
    }

    async fn discard(&self, target: &DatabaseTarget) -> Result<(), DatabaseError> {
        let DatabaseTarget::Scratch(id) = target else {
            return Err(DatabaseError::Unsupported("only a scratch database is ever dropped".to_owned()));
        };
        let (own, name) = (self.address.clone(), scratch_name(id));
        let drop = move || {
            logical::drop_database(&own, &name).map_err(|error| failed("drop a scratch database of", &own, error))
        };
        blocking("drop a scratch database of", &self.address.to_string(), drop).await
    }
}

/// Facts that only the adapter of SQLite's files has: rows restored into a new file need not share them, and nobody looks here.
const OF_FILES: [&str; 3] = ["page-size", "schema-hash", "hot-journal"];

/// Facts of the database that are not as they were, or are gone.
fn changed(before: &[(String, String)], after: &[(String, String)]) -> Vec<ChangedFact> {
    let of_rows = |(fact, _): &&(String, String)| !fact.starts_with(LEARNED) && !OF_FILES.contains(&fact.as_str());
    let differs = |(fact, was): &(String, String)| {
        let is = after.iter().find(|(name, _)| name == fact).map(|(_, is)| is);
        (is != Some(was)).then(|| ChangedFact {
            fact: fact.clone(),
            before: Some(was.clone()),
            after: is.cloned(),
            remedy: None,
        })
    };
    before.iter().filter(of_rows).filter_map(differs).collect()
}

#[derive(Debug)]
enum State {
    Prepared(PreparedDump),
    Pinned(PinnedDump),
    Over,
}

/// A logical dump on its way.
#[derive(Debug)]
struct LogicalCopy {
    address: Address,
    folder: DatabaseFolder,
    place: RelPath,
    /// Its connections belong to one call at a time.
    state: Mutex<State>,
    stopper: Stopper,
}

impl LogicalCopy {
    fn take(&mut self) -> State {
        let state = self.state.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::replace(state, State::Over)
    }

    fn out_of_turn(&self, action: &'static str) -> DatabaseError {
        let source = "it is not that call's turn".into();
        DatabaseError::Failed { action, name: self.address.to_string(), source }
    }
}

#[async_trait]
impl DatabaseCopy for LogicalCopy {
    async fn pin(&mut self) -> Result<(), DatabaseError> {
        let State::Prepared(dump) = self.take() else { return Err(self.out_of_turn("pin")) };
        let address = self.address.clone();
        let pin = move || dump.pin().map_err(|error| failed("pin", &address, error));
        let given_up = Stopper::new(self.stopper.cancel());
        let pinned = blocking("pin", &self.address.to_string(), pin).await?;
        given_up.disarm();
        self.state = Mutex::new(State::Pinned(pinned));
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<DatabaseDump, DatabaseError> {
        let State::Pinned(dump) = self.take() else { return Err(self.out_of_turn("finish the dump of")) };
        let (address, name) = (self.address.clone(), self.address.to_string());
        let sink = StagedDump::new(self.folder, self.place.clone());
        let write = move || {
            let report = dump.finish(&sink).map_err(|error| failed("dump", &address, error))?;
            Ok((report, sink.files()))
        };
        let (report, files) = blocking("dump", &name, write).await?;
        let moment = &report.manifest.moment;
        let weaker = report.weaker();
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let missing = report.not_covered.iter().map(|what| format!("not in the logical dump: {what}"));
        let left = report.left_behind.iter().map(|what| format!("left on the server: {what}"));
        Ok(DatabaseDump {
            place: Some(self.place),
            files,
            setup_option: SetupOption::None,
            facts: vec![
                fact("backup-pinned-by", moment.pinned_by.clone()),
                fact("backup-moment", moment.id.clone()),
                fact("backup-transport", report.manifest.transport.clone()),
            ],
            remarks: missing.chain(left).collect(),
            weaker,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_told_and_what_rows_do_not_hold_is_not() {
        let facts = |facts: &[(&str, &str)]| -> Vec<(String, String)> {
            facts.iter().map(|(fact, value)| ((*fact).to_owned(), (*value).to_owned())).collect()
        };
        let before = facts(&[
            ("encoding", "UTF8"),
            ("settings", "work_mem=8MB"),
            ("tables", "2"),
            ("page-size", "4096"),
            ("backup-moment", "00000003-1"),
        ]);
        let changed = changed(&before, &facts(&[("encoding", "UTF8"), ("tables", "3"), ("views", "1")]));
        let told: Vec<_> = changed.iter().map(|fact| (fact.fact.as_str(), fact.after.as_deref())).collect();
        assert_eq!(told, [("settings", None), ("tables", Some("3"))]);
    }
}
