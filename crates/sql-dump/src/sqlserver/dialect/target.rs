//! Restoring into SQL Server. Statements of definition are part of transactions there, so each is noted in the transaction that runs it.

use std::collections::BTreeSet;

use super::loader::Loader;
use super::origin::{about, parts};
use super::stream::Stream;
use super::{Opener, Result, SETTINGS, ask, run, value};
use crate::ConnectionString;
use crate::logical::catalog::{Statement, Table};
use crate::logical::seam::{Facts, Found, Part, RowLoader, Target, mark};
use crate::sqlserver::tsql::text;

/// What an unfinished restore has done so far.
const PROGRESS: &str = "[dbo].[sitebackup_restore]";

struct SqlServerTarget {
    facts: Facts,
    opener: Opener,
    session: Box<dyn Stream>,
}

pub(crate) fn target(string: ConnectionString, mut facts: Facts) -> Result<Box<dyn Target>> {
    let opener = Opener { string };
    let mut session = opener.open()?;
    facts.server = about(&mut *session)?.server;
    Ok(Box::new(SqlServerTarget { facts, opener, session }))
}

fn note(step: &str) -> String {
    format!("INSERT INTO {PROGRESS} (step) VALUES ({})", text(step))
}

/// Something of a user's in the database; parts of tables go with their tables. The server's own words have a collation of their own, and texts of two
/// collations are not joined.
pub(super) const CONTENTS: &str = "SELECT TOP (1) what FROM (\
    SELECT LOWER(REPLACE(o.type_desc, N'_', N' ')) COLLATE DATABASE_DEFAULT + N' `' + SCHEMA_NAME(o.schema_id) COLLATE DATABASE_DEFAULT + N'.' \
    + o.name COLLATE DATABASE_DEFAULT + N'`' AS what FROM sys.objects AS o \
    WHERE o.is_ms_shipped = 0 AND o.parent_object_id = 0 AND NOT (o.name = N'sitebackup_restore' AND o.schema_id = 1) \
    UNION ALL SELECT N'type `' + SCHEMA_NAME(u.schema_id) COLLATE DATABASE_DEFAULT + N'.' + u.name COLLATE DATABASE_DEFAULT + N'`' \
    FROM sys.types AS u WHERE u.is_user_defined = 1 \
    UNION ALL SELECT N'schema `' + s.name COLLATE DATABASE_DEFAULT + N'`' FROM sys.schemas AS s WHERE s.schema_id > 4 AND s.schema_id < 16384 \
    UNION ALL SELECT N'assembly `' + a.name COLLATE DATABASE_DEFAULT + N'`' FROM sys.assemblies AS a WHERE a.is_user_defined = 1) AS contents";

impl Target for SqlServerTarget {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn standing(&mut self, dump: &str) -> Result<Found> {
        let there = format!("SELECT CONVERT(int, OBJECT_ID({})) AS id", text(PROGRESS));
        let session = &mut *self.session;
        if value(session, "look for an unfinished restore", &there)?.is_empty() {
            return value(session, "look whether the database is empty", CONTENTS).map(Found::by_contents);
        }
        let answer = ask(session, "read what is done", &format!("SELECT step FROM {PROGRESS}"))?;
        let done: BTreeSet<String> = answer.rows().map(|row| row.text("step")).collect();
        Ok(Found::by_steps(done, &mark(dump)))
    }

    fn begin(&mut self, dump: &str) -> Result<()> {
        let table =
            format!("CREATE TABLE {PROGRESS} (step nvarchar(400) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY)");
        in_transaction(&mut *self.session, "begin the restore", &[&table, &note(&mark(dump))])
    }

    fn run(&mut self, statement: &Statement, step: &str) -> Result<()> {
        let action = format!("restore `{}`", statement.name);
        if let Some(setting) = &statement.setting {
            run(&mut *self.session, &action, setting)?;
        }
        let done = in_transaction(&mut *self.session, &action, &[&statement.sql, &note(step)]);
        for setting in SETTINGS.iter().filter(|_| statement.setting.is_some()) {
            run(&mut *self.session, &action, setting)?;
        }
        done.map_err(|error| error.about(&statement.name))
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        parts(&mut *self.session, table, wanted)
    }

    fn loaders(&mut self, wanted: usize) -> Result<Vec<Box<dyn RowLoader>>> {
        let open = |_| {
            let mut session = self.opener.open()?;
            // Nobody but the other loaders can be in the way, and they end.
            run(&mut *session, "set up the session", "SET LOCK_TIMEOUT -1")?;
            Ok(Box::new(Loader { session, note }) as Box<dyn RowLoader>)
        };
        (0..wanted.clamp(1, 4)).map(open).collect()
    }

    fn end(&mut self) -> Result<()> {
        run(&mut *self.session, "end the restore", &format!("DROP TABLE {PROGRESS}"))
    }
}

/// Runs batches, all or none of them.
fn in_transaction(session: &mut dyn Stream, action: &str, batches: &[&str]) -> Result<()> {
    run(session, action, "BEGIN TRANSACTION")?;
    let done = batches
        .iter()
        .try_for_each(|sql| run(session, action, sql))
        .and_then(|()| run(session, action, "COMMIT TRANSACTION"));
    if done.is_err() {
        // A lost connection takes back by itself.
        let _ = run(session, action, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION");
    }
    done
}
