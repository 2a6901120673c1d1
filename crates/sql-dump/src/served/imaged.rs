//! A database of SQL Server whose files are taken from a shadow copy in which its own writer takes part.

mod first_page;

use async_trait::async_trait;
use backup_core::copy::chain;
use backup_core::path::SitePath;
use backup_core::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseForm, DatabaseMoment,
    DatabaseRestored, DatabaseSource, DatabaseStanding, DatabaseTarget, DatabaseVerdict, SetupOption, SiteDatabase,
};
use backup_core::ports::shadow_copies::{SQL_SERVER_WRITER, WantedComponent};
use backup_core::server_name::ServerName;

use super::sql_server::{facts_of, failed};
use crate::blocking::blocking;
use crate::sqlserver::{Facts, GroupRole, Server, SqlServer, SqlServerError};

const PINNED_BY: &str = "SQL Server's own writer, inside the shadow copy's window";

/// What can be done where another server than this machine's has the database, or a group does.
const OTHER_METHODS: &str = "use method \"native\", or \"external\" where others back it up";

const REMEDY: &str = "start the service SQLWriter and the SQL Server instance, give the account of SQLWriter the role sysadmin, \
     and look at `vssadmin list writers`; the component is named after Server and Database of the connection";

/// A database of a SQL Server on this machine, whose files the image holds: nothing is copied here, for SQL Server's writer says which files these
/// are, and settles them. Where a server can be asked it is, for the facts, and for what would make the files worthless.
#[derive(Debug, Clone)]
pub struct ImagedDatabase {
    server: Option<(SqlServer, String)>,
    machine: String,
}

/// What the server said.
struct Told {
    server: Server,
    facts: Facts,
    files: Vec<String>,
}

impl ImagedDatabase {
    /// The database named `database` on `server`, which has to run on the machine named `machine`, this one. Connects to nothing yet.
    pub fn new(server: SqlServer, database: impl Into<String>, machine: impl Into<String>) -> Self {
        Self { server: Some((server, database.into())), machine: machine.into() }
    }

    /// One that judges files of whatever server, and has none of its own.
    pub fn serverless() -> Self {
        Self { server: None, machine: String::new() }
    }

    fn own(&self) -> Result<(&SqlServer, &str), DatabaseError> {
        let own = self.server.as_ref().map(|(server, database)| (server, database.as_str()));
        own.ok_or_else(|| DatabaseError::Unsupported("no server is configured for the database".to_owned()))
    }

    /// The server's name by the configuration, refused where it is not this machine's.
    fn name(&self, server: &SqlServer) -> Result<ServerName, DatabaseError> {
        let name = server.name().ok_or_else(|| {
            let message = "the connection names no Server, so it is not known whether SQL Server runs on this machine";
            DatabaseError::Unsupported(format!("{message}: {OTHER_METHODS}"))
        })?;
        self.is_here(&name)?;
        Ok(name)
    }

    fn is_here(&self, name: &ServerName) -> Result<(), DatabaseError> {
        if name.is_on(&self.machine) {
            return Ok(());
        }
        Err(DatabaseError::Unsupported(format!(
            "SQL Server `{}` is not on this machine, `{}`, and a shadow copy is of a machine's own volumes: {OTHER_METHODS}",
            name.host, self.machine
        )))
    }

    /// What the server says, or why it cannot be asked.
    fn ask(&self) -> Result<Result<Told, SqlServerError>, DatabaseError> {
        let (server, database) = self.own()?;
        let (server, facts, group, files) = match server.inspect_files(database) {
            Ok(told) => told,
            Err(error @ (SqlServerError::Missing(_) | SqlServerError::Cancelled { .. })) => {
                return Err(failed("inspect", database, error));
            }
            Err(error) => return Ok(Err(error)),
        };
        refuse_group(group.as_ref())?;
        // A cluster's name is not the machine's, and neither is what a tunnel leads to.
        self.is_here(&ServerName::parse(&server.name))?;
        Ok(Ok(Told { server, facts, files }))
    }

    fn look(&self) -> Result<DatabaseFacts, DatabaseError> {
        let (server, database) = self.own()?;
        let mut name = self.name(server)?;
        let told = self.ask()?;
        if let Ok(told) = &told {
            name = ServerName::parse(&told.server.name);
        }
        let instance = name.instance.map(|instance| format!("\\{instance}")).unwrap_or_default();
        let logical_path = format!("{}{instance}", self.machine);
        let facts = match told {
            Ok(Told { server, facts, files }) => {
                DatabaseFacts { paths: paths(database, &files)?, ..facts_of(&server, facts) }
            }
            Err(error) => unasked(database, &error),
        };
        Ok(DatabaseFacts {
            address: format!("{logical_path}/{database}"),
            form: DatabaseForm::Files,
            moment: DatabaseMoment::Pinned,
            pinned_by: PINNED_BY.to_owned(),
            component: Some(WantedComponent {
                writer: SQL_SERVER_WRITER,
                writer_name: "SqlServerWriter".to_owned(),
                logical_path,
                name: database.to_owned(),
                known: facts.paths.clone(),
                remedy: REMEDY.to_owned(),
            }),
            ..facts
        })
    }

    fn refuse<T>(&self) -> Result<T, DatabaseError> {
        let message = "files of a database are put where they were, and an administrator attaches them to a server";
        Err(DatabaseError::Unsupported(message.to_owned()))
    }
}

fn paths(database: &str, files: &[String]) -> Result<Vec<SitePath>, DatabaseError> {
    let path = |file: &String| {
        let message =
            format!("SQL Server keeps database {database} in `{file}`, which is no whole path: {OTHER_METHODS}");
        SitePath::parse(file).map_err(|_| DatabaseError::Unsupported(message))
    };
    files.iter().map(path).collect()
}

fn refuse_group(group: Option<&GroupRole>) -> Result<(), DatabaseError> {
    let refusal = |group: &GroupRole| format!("{}: {OTHER_METHODS}", group.file_copy_refusal());
    group.map_or(Ok(()), |group| Err(DatabaseError::Unsupported(refusal(group))))
}

/// What is known of a database whose server cannot be asked.
fn unasked(database: &str, error: &SqlServerError) -> DatabaseFacts {
    let remark = format!(
        "SQL Server could not be asked about database {database} ({}): its settings and its size are not recorded, and whether it belongs to an availability group is not known",
        chain(error)
    );
    DatabaseFacts {
        name: database.to_owned(),
        engine: "SQL Server".to_owned(),
        address: String::new(),
        size: 0,
        file: None,
        paths: Vec::new(),
        form: DatabaseForm::Files,
        moment: DatabaseMoment::Pinned,
        pinned_by: String::new(),
        facts: Vec::new(),
        component: None,
        remarks: vec![remark],
        weaker: Vec::new(),
        change_tracking_days: None,
    }
}

#[async_trait]
impl SiteDatabase for ImagedDatabase {
    /// Refuses a server of another machine and a database of an availability group. A server that cannot be asked is a remark.
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        let (this, name) = (self.clone(), self.own()?.1.to_owned());
        blocking("inspect", &name, move || this.look()).await
    }

    async fn prepare(&self, _folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        let (this, name) = (self.clone(), self.own()?.1.to_owned());
        let before = blocking("inspect", &name, move || this.ask()).await?.map(|told| told.files);
        Ok(Box::new(OnImage { database: self.clone(), before, is_pinned: false }))
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

    /// Looks at the first page of a data file; the rest only a server can judge.
    async fn judge(&self, copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        let file = copy.clone();
        let judge = move || {
            let name = file.to_string();
            let failed = |error: std::io::Error| DatabaseError::Failed { action: "read", name, source: error.into() };
            first_page::faults(&file).map_err(failed)
        };
        blocking("judge", copy, judge).await.map(|faults| DatabaseVerdict { faults })
    }

    async fn verify(&self, _target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        self.refuse()
    }

    async fn discard(&self, _target: &DatabaseTarget) -> Result<(), DatabaseError> {
        self.refuse()
    }
}

/// What stands for a copy: the files are copied with the image.
#[derive(Debug)]
struct OnImage {
    database: ImagedDatabase,
    /// The files by the server before the window.
    before: Result<Vec<String>, SqlServerError>,
    is_pinned: bool,
}

#[async_trait]
impl DatabaseCopy for OnImage {
    async fn pin(&mut self) -> Result<(), DatabaseError> {
        self.is_pinned = true;
        Ok(())
    }

    /// Asks once more for the files: one that came or went meanwhile is not what the writer named.
    async fn finish(self: Box<Self>) -> Result<DatabaseDump, DatabaseError> {
        let (_, name) = self.database.own()?;
        let name = name.to_owned();
        if !self.is_pinned {
            return Err(DatabaseError::Missing(format!("{name} (pinned)")));
        }
        let (mut remarks, mut weaker) = (Vec::new(), Vec::new());
        let unknown = |error| {
            let why = chain(&error);
            format!("it is not known whether files were added to database {name} or removed while it was imaged: {why}")
        };
        match self.before {
            // As of all that the server could have told: its own writer knows its files.
            Err(error) => remarks.push(unknown(error)),
            Ok(before) => {
                let database = self.database;
                match blocking("inspect", &name, move || database.ask()).await?.map(|told| told.files) {
                    Ok(after) if after == before => {}
                    Ok(_) => weaker.push(format!("files were added to database {name} or removed while it was imaged: what the snapshot holds of it may be torn")),
                    Err(error) => weaker.push(unknown(error)),
                }
            }
        }
        Ok(DatabaseDump {
            place: None,
            files: Vec::new(),
            setup_option: SetupOption::Files,
            facts: Vec::new(),
            remarks,
            weaker,
        })
    }
}
