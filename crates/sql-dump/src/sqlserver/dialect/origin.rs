//! Dumping from SQL Server.

use super::reader::Reader;
use super::snapshot::{Hold, Ready};
use super::stream::Stream;
use super::words::{is_whole_number, table_name};
use super::{Opener, Result, ask, catalog, run};
use crate::ConnectionString;
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Table};
use crate::logical::dump::DumpOptions;
use crate::logical::format::Moment;
use crate::logical::seam::{Facts, Held, Origin, Part, RowReader};
use crate::sqlserver::tsql::name;

/// Style 3 of CONVERT, which writes floating-point numbers exactly, came with SQL Server 2016.
const OLDEST: u32 = 13;

struct SqlServerOrigin {
    facts: Facts,
    // Dropped before what holds the moment: a database that is in use cannot be dropped.
    readers: Vec<Reader>,
    ready: Option<Ready>,
    hold: Option<Hold>,
    about: About,
}

/// What is known before the moment.
pub(super) struct About {
    pub(super) database: String,
    pub(super) server: String,
    allows_snapshot_isolation: bool,
    some_table: Option<String>,
}

pub(crate) fn origin(string: ConnectionString, mut facts: Facts, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    let opener = Opener { string };
    let reader = |_| Ok(Reader { session: opener.open()?, is_in_snapshot: false });
    let mut readers = (0..options.connections.clamp(1, 4)).map(reader).collect::<Result<Vec<_>>>()?;
    let about = about(&mut *readers[0].session)?;
    whole_view(&mut *readers[0].session)?;
    let ready = if options.shared_snapshot { Some(Ready::new(opener, &about.database)?) } else { None };
    facts.server.clone_from(&about.server);
    Ok(Box::new(SqlServerOrigin { facts, readers, ready, hold: None, about }))
}

pub(super) fn about(session: &mut dyn Stream) -> Result<About> {
    let sql = "SELECT DB_NAME() AS name, CONVERT(int, DB_ID()) AS id, \
        CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version, CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS edition, \
        CONVERT(int, d.snapshot_isolation_state) AS snapshot_isolation, \
        (SELECT TOP (1) QUOTENAME(SCHEMA_NAME(t.schema_id)) + N'.' + QUOTENAME(t.name) FROM sys.tables AS t \
         WHERE t.is_ms_shipped = 0 AND t.is_memory_optimized = 0 AND t.is_external = 0) AS some_table \
        FROM sys.databases AS d WHERE d.database_id = DB_ID()";
    let answer = ask(session, "ask what the database is", sql)?;
    let row = answer
        .first()
        .ok_or_else(|| LogicalError::Unsupported("the server does not say what the database is".into()))?;
    let version = row.text("version");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < OLDEST {
        return Err(LogicalError::Unsupported(format!(
            "SQL Server {version} is older than 2016, with which logical dumps begin"
        )));
    }
    if row.number("id").is_none_or(|id| id <= 4) {
        let database = row.text("name");
        return Err(LogicalError::Unsupported(format!(
            "`{database}` is a database of the server's own: name another one"
        )));
    }
    same_text(session)?;
    Ok(About {
        database: row.text("name"),
        server: format!("SQL Server {version} {}", row.text("edition")),
        allows_snapshot_isolation: row.text("snapshot_isolation") == "1",
        some_table: row.get("some_table").map(str::to_owned),
    })
}

/// Text of all planes must arrive at the server, and come back, as it is.
fn same_text(session: &mut dyn Stream) -> Result<()> {
    const PROBE: &str = "ä€😀";
    const UTF_16: &str = "E400AC203DD800DE";
    let sql =
        format!("SELECT N'{PROBE}' AS probe, CONVERT(varchar(40), CONVERT(varbinary(20), N'{PROBE}'), 2) AS bytes");
    let answer = ask(session, "try text out", &sql)?;
    let same = answer.first().is_some_and(|row| row.text("probe") == PROBE && row.text("bytes") == UTF_16);
    let what = || format!("the driver does not hand text on as it is ({:?})", answer.tables);
    if same { Ok(()) } else { Err(LogicalError::Unsupported(what())) }
}

/// Refuses a login that does not see all: the server would show less without a word.
fn whole_view(session: &mut dyn Stream) -> Result<()> {
    let sql = "SELECT HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'VIEW DEFINITION') AS may_see, \
        HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'SELECT') AS may_read, \
        HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'UNMASK') AS may_unmask, \
        (SELECT COUNT(*) FROM sys.columns WHERE is_masked = 1) AS masked, \
        (SELECT COUNT(*) FROM sys.security_policies WHERE is_enabled = 1) AS policies";
    let answer = ask(session, "ask what the login may see", sql)?;
    let row = answer.first();
    let is_set = |column: &str| row.is_some_and(|row| row.is_set(column));
    let why = if !is_set("may_see") || !is_set("may_read") {
        "the login needs VIEW DEFINITION and SELECT on the database: without them tables are missing from what it sees"
    } else if is_set("masked") && !is_set("may_unmask") {
        "columns are masked for the login: it needs UNMASK"
    } else if is_set("policies") {
        "a security policy filters rows: switch it off, or take a backup by the server"
    } else {
        return Ok(());
    };
    Err(LogicalError::Unsupported(why.to_owned()))
}

impl SqlServerOrigin {
    /// Every connection reads the snapshot from here on.
    fn enter(&mut self, hold: Hold) -> Result<Moment> {
        let snapshot = hold.name().to_owned();
        self.hold = Some(hold);
        for reader in &mut self.readers {
            reader.is_in_snapshot = true;
            run(&mut *reader.session, "enter the database snapshot", &format!("USE {}", name(&snapshot)))?;
        }
        let pinned_by = "a database snapshot that every connection read, dropped when all was read".to_owned();
        Ok(Moment { one_snapshot: true, pinned_by, id: snapshot, ..Moment::default() })
    }

    /// A transaction of SNAPSHOT isolation belongs to one connection, so that one alone reads.
    fn isolate(&mut self, why: &LogicalError) -> Result<Moment> {
        let reason = std::error::Error::source(why).map_or_else(|| why.to_string(), ToString::to_string);
        if !self.about.allows_snapshot_isolation {
            return Err(LogicalError::Unsupported(format!(
                "no moment can be held: the server made no database snapshot ({reason}), and the database does not allow SNAPSHOT isolation"
            )));
        }
        self.readers.truncate(1);
        let session = &mut *self.readers[0].session;
        run(session, "begin", "SET TRANSACTION ISOLATION LEVEL SNAPSHOT")?;
        run(session, "begin", "BEGIN TRANSACTION")?;
        // Reading begins the snapshot, not BEGIN.
        if let Some(table) = &self.about.some_table {
            run(session, "begin the snapshot", &format!("SELECT TOP (1) 1 AS one FROM {table}"))?;
        }
        let pinned_by = format!(
            "one transaction of SNAPSHOT isolation on one connection, for the server made no database snapshot: {reason}"
        );
        Ok(Moment { one_snapshot: true, pinned_by, ..Moment::default() })
    }
}

impl Origin for SqlServerOrigin {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn pin(&mut self) -> Result<Moment> {
        let Some(ready) = self.ready.take() else {
            return Ok(Moment { pinned_by: "nothing".to_owned(), ..Moment::default() });
        };
        match ready.make() {
            Ok(hold) => self.enter(hold),
            Err(why @ LogicalError::Failed { .. }) => self.isolate(&why),
            Err(error) => Err(error),
        }
    }

    fn catalog(&mut self) -> Result<Catalog> {
        catalog::read(&mut *self.readers[0].session)
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        parts(&mut *self.readers[0].session, table, wanted)
    }

    fn held(&mut self) -> Option<Box<dyn Held>> {
        self.hold.take().map(|hold| Box::new(hold) as Box<dyn Held>)
    }

    fn readers(self: Box<Self>) -> Vec<Box<dyn RowReader>> {
        self.readers.into_iter().map(|reader| Box::new(reader) as Box<dyn RowReader>).collect()
    }
}

/// Ranges of the first column of the key where it is a whole number.
pub(super) fn parts(session: &mut dyn Stream, table: &Table, wanted: usize) -> Result<Vec<Part>> {
    let first = table.key.first().map(|place| &table.columns[*place]);
    let Some(first) = first.filter(|column| is_whole_number(&column.declared)) else { return Ok(vec![Part::Whole]) };
    let (name, table) = (name(&first.name), table_name(table));
    let sql = format!("SELECT CONVERT(bigint, MIN({name})) AS low, CONVERT(bigint, MAX({name})) AS high FROM {table}");
    let answer = ask(session, "read the ends of a key", &sql)?;
    let end = |column: &str| answer.first().and_then(|row| row.get(column)?.parse::<i64>().ok());
    Ok(match (end("low"), end("high")) {
        (Some(low), Some(high)) => Part::ranges(low, high, wanted),
        _ => vec![Part::Whole],
    })
}
