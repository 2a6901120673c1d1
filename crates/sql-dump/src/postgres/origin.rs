//! Dumping from PostgreSQL.

use super::address::PostgresAddress;
use super::catalog::{self, quoted};
use super::server_error::judge;
use super::session::{Asks, Session};
use super::tables;
use super::wire::Copied;
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::dump::DumpOptions;
use crate::logical::format::Moment;
use crate::logical::seam::{Facts, Origin, Part, RowReader};

type Result<T> = std::result::Result<T, LogicalError>;

/// Begins the transaction that a dump reads in.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// The longest that a table's lock is waited for: a statement that waits for it holds everybody behind it up. Sizes and definitions need locks, too.
pub(super) const LOCK_LIMIT: &str = "SET lock_timeout = '5s'";
/// How many tables one LOCK statement names.
const LOCKED_AT_ONCE: usize = 500;

struct PostgresOrigin {
    facts: Facts,
    leader: Session,
    others: Vec<Session>,
    locked: Vec<String>,
    shared_snapshot: bool,
}

/// Connects, and locks every table against being dropped or altered (ACCESS SHARE). Taking locks takes no snapshot yet.
pub(crate) fn origin(address: &PostgresAddress, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    let open = || {
        let mut session = Session::open(address)?;
        session.run("limit the wait for locks", LOCK_LIMIT)?;
        Ok(session)
    };
    let mut leader = open()?;
    let others = (1..options.connections.clamp(1, 4)).map(|_| open()).collect::<Result<Vec<_>>>()?;
    let facts = facts(&mut leader, address)?;
    let tables: Vec<String> = tables::tables(&mut leader)?.iter().map(name).collect();
    let mut origin =
        PostgresOrigin { facts, leader, others, locked: Vec::new(), shared_snapshot: options.shared_snapshot };
    if origin.shared_snapshot {
        origin.leader.run("begin", BEGIN)?;
        origin.lock(tables)?;
    }
    Ok(Box::new(origin))
}

pub(super) fn facts(session: &mut Session, address: &PostgresAddress) -> Result<Facts> {
    let version = session.value("read the version", "SHOW server_version")?;
    Ok(Facts {
        dialect: "postgresql",
        server: format!("PostgreSQL {version}"),
        transport: "copy".to_owned(),
        address: address.to_string(),
    })
}

/// The table's name as SQL has it.
pub(super) fn name(table: &Table) -> String {
    match &table.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&table.name)),
        None => quoted(&table.name),
    }
}

/// The same with its columns, as COPY has it, which knows no empty list; a table without columns needs none.
pub(super) fn with_columns(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    let list = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    format!("{}{list}", name(table))
}

impl PostgresOrigin {
    fn lock(&mut self, tables: Vec<String>) -> Result<()> {
        for some in tables.chunks(LOCKED_AT_ONCE) {
            let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", some.join(", "));
            self.leader
                .wire
                .query(&sql)
                .map_err(|error| judge(error, "lock the tables", some.first().map(|t| &**t)))?;
        }
        self.locked.extend(tables);
        Ok(())
    }

    /// Tables that were made between the first look and the pin are locked now; they may have been replaced or emptied since the pin,
    /// which an old snapshot shows as no rows at all.
    fn lock_late(&mut self, tables: &[Table]) -> Result<()> {
        let late: Vec<String> = tables.iter().map(name).filter(|name| !self.locked.contains(name)).collect();
        if !late.is_empty() {
            self.lock(late)?;
        }
        not_replaced(&mut self.leader)
    }
}

/// Refuses a table whose storage is another one than in the snapshot.
pub(super) fn not_replaced(session: &mut dyn Asks) -> Result<()> {
    let replaced = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384
            AND relfilenode IS DISTINCT FROM coalesce(pg_relation_filenode(oid), 0) LIMIT 1";
    match session.value("compare tables with the snapshot", replaced)? {
        none if none.is_empty() => Ok(()),
        table => Err(LogicalError::Changed { table, source: "it was rewritten after the snapshot was taken".into() }),
    }
}

impl Origin for PostgresOrigin {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn pin(&mut self) -> Result<Moment> {
        if !self.shared_snapshot {
            return Ok(Moment { pinned_by: "nothing".to_owned(), ..Moment::default() });
        }
        let id = self.leader.value("export a snapshot", "SELECT pg_catalog.pg_export_snapshot()")?;
        let import = format!("{BEGIN}; SET TRANSACTION SNAPSHOT {}", catalog::literal(&id));
        for session in &mut self.others {
            session.run("import the snapshot", &import)?;
        }
        let pinned_by = "a snapshot that one connection exported and all others read from".to_owned();
        Ok(Moment { one_snapshot: true, pinned_by, id, ..Moment::default() })
    }

    fn catalog(&mut self) -> Result<Catalog> {
        let catalog = catalog::read(&mut self.leader)?;
        if self.shared_snapshot {
            self.lock_late(&catalog.tables)?;
        }
        Ok(catalog)
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        parts(&mut self.leader, table, wanted)
    }

    fn readers(self: Box<Self>) -> Vec<Box<dyn RowReader>> {
        let boxed = |session| Box::new(session) as Box<dyn RowReader>;
        std::iter::once(self.leader).chain(self.others).map(boxed).collect()
    }
}

/// Ranges of pages. Servers before version 14 read the whole table for each of them, so it is not cut there. Neither is one whose indexes or
/// checks call functions: a range needs a plan, for which the server looks into these, and they may need a path for names.
pub(super) fn parts(session: &mut dyn Asks, table: &Table, wanted: usize) -> Result<Vec<Part>> {
    let version = session.value("read the version", "SHOW server_version_num")?;
    let sql = format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_depend d LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
             LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
             WHERE t.oid IN (i.indrelid, k.conrelid) AND d.refclassid = 'pg_proc'::regclass) THEN 0
           ELSE pg_relation_size(t.oid) / current_setting('block_size')::bigint END FROM pg_class t WHERE t.oid = {}::regclass",
        catalog::literal(&name(table))
    );
    let pages: u64 = session.value("read the size of a table", &sql)?.parse().unwrap_or(0);
    let wanted = wanted as u64;
    if version.parse().unwrap_or(0) < 140_000 || pages < wanted * 16 {
        return Ok(vec![Part::Whole]);
    }
    let border = |n: u64| pages * n / wanted;
    // The last part has no end: pages may have been added since.
    Ok((0..wanted).map(|n| Part::Pages(border(n), (n + 1 < wanted).then(|| border(n + 1)))).collect())
}

impl RowReader for Session {
    fn read(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()> {
        let sql = match part {
            Part::Pages(from, to) => {
                let columns: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
                let (columns, name) = (columns.join(", "), name(table));
                let to = to.map(|to| format!(" AND ctid < '({to},0)'")).unwrap_or_default();
                format!("COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({from},0)'{to}) TO STDOUT")
            }
            Part::Whole | Part::Keys(..) => format!("COPY {} TO STDOUT", with_columns(table)),
        };
        let take = |copied: Copied<'_>| match copied {
            Copied::Row(line) => rows.row(line),
            Copied::Piece(piece) => rows.piece(piece),
            Copied::EndOfPieces => rows.end_row(),
        };
        let title = table.title();
        let done = self.wire.copy_out(&sql, take);
        done.map_err(|error| judge(error, &format!("read the rows of `{title}`"), Some(&title)))
    }
}
