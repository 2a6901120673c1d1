//! The server, asked by way of one of its databases: databases for rehearsals, and what can be told about one.

use super::origin::about;
use super::stream::Stream;
use super::{Opener, Result, ask, run, value};
use crate::ConnectionString;
use crate::logical::inspect::facts;
use crate::logical::seam::Server;
use crate::logical::{Inspection, LogicalError};
use crate::sqlserver::tsql::{drop_database, name};

struct SqlServerServer(Box<dyn Stream>);

pub(crate) fn server(string: ConnectionString) -> Result<Box<dyn Server>> {
    Ok(Box::new(SqlServerServer(Opener { string }.open()?)))
}

impl Server for SqlServerServer {
    fn create_database(&mut self, database: &str) -> Result<()> {
        let action = format!("create `{database}`");
        let ask = "SELECT CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation')) AS collation";
        let collation = value(&mut *self.0, &action, ask)?;
        // A word without quotes: it is taken as it is only if it is one.
        if collation.is_empty() || !collation.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(LogicalError::Unsupported(format!("`{collation}` is no collation")));
        }
        run(&mut *self.0, &action, &format!("CREATE DATABASE {} COLLATE {collation}", name(database)))
    }

    fn drop_database(&mut self, database: &str) -> Result<()> {
        run(&mut *self.0, &format!("drop `{database}`"), &drop_database(database))
    }
}

const LOOK: &str = "SELECT CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation')) AS collation, \
    (SELECT SUM(CONVERT(bigint, size)) * 8192 FROM sys.database_files) AS bytes, \
    (SELECT COUNT(*) FROM sys.objects WHERE is_ms_shipped = 0 AND type = 'U') AS tables, \
    (SELECT COUNT(*) FROM sys.objects WHERE is_ms_shipped = 0 AND type = 'V') AS views, \
    (SELECT COUNT(*) FROM sys.objects WHERE is_ms_shipped = 0 AND type = 'SO') AS sequences, \
    (SELECT COUNT(*) FROM sys.indexes AS i JOIN sys.tables AS t ON t.object_id = i.object_id \
     WHERE t.is_ms_shipped = 0 AND i.type > 0 AND i.is_hypothetical = 0) AS indexes, \
    (SELECT COUNT(*) FROM sys.objects WHERE is_ms_shipped = 0 AND type IN ('P', 'PC', 'FN', 'IF', 'TF', 'FS', 'FT', 'AF')) AS routines, \
    (SELECT COUNT(*) FROM sys.triggers WHERE is_ms_shipped = 0) AS triggers";

/// The database that a connection string leads to.
pub(crate) fn inspect(string: ConnectionString) -> Result<Inspection> {
    let mut session = Opener { string }.open()?;
    let about = about(&mut *session)?;
    let answer = ask(&mut *session, "look at the database", LOOK)?;
    let of = |name: &str| answer.first().map(|row| row.text(name)).unwrap_or_default();
    let names = ["collation", "tables", "views", "sequences", "indexes", "routines", "triggers"];
    let size = of("bytes").parse().unwrap_or(0);
    let facts = facts(names, names.map(of).to_vec());
    let (unpinned, lost) = (Vec::new(), Vec::new());
    Ok(Inspection { name: about.database, engine: about.server, size, facts, unpinned, lost })
}
