//! PostgreSQL through an ODBC driver: the same snapshot and the same rows, read in pages by place of storage and loaded by INSERT.

use std::sync::Arc;

use super::catalog::{self, literal, quoted};
use super::origin::{BEGIN, LOCK_LIMIT, name, not_replaced, parts};
use super::session::{Asks, SETTINGS};
use super::tables;
use super::target::{LOADING, PostgresTarget, Restores, note};
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Column, Encoding, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::dump::DumpOptions;
use crate::logical::format::Moment;
use crate::logical::row_text::unescape;
use crate::logical::rows::ChunkReader;
use crate::logical::seam::{Facts, Origin, Part, RowLoader, RowReader, Target};
use crate::text::{
    InsertLoader, KeyPart, LongValue, Open, PagedReader, Refusal, Row, Shown, TextSession, Words, insert_whole,
};

type Result<T> = std::result::Result<T, LogicalError>;

struct DriverOrigin {
    facts: Facts,
    sessions: Vec<Box<dyn TextSession>>,
    shared_snapshot: bool,
}

/// What an error of the server means.
pub(crate) fn refusal(state: &str, _native: i32) -> Refusal {
    match state {
        "57P01" | "57P02" | "57P03" => Refusal::Gone,
        "55P03" | "40P01" | "57014" => Refusal::Busy,
        // The driver has names of its own for undefined tables and columns.
        "42P01" | "42703" | "3F000" | "72000" | "42S02" | "42S22" => Refusal::Changed,
        state if state.starts_with("08") => Refusal::Gone,
        state if state.starts_with("22") || state.starts_with("23") => Refusal::DoesNotFit,
        _ => Refusal::Other,
    }
}

pub(crate) fn origin(open: &Open, mut facts: Facts, options: &DumpOptions) -> Result<Box<dyn Origin>> {
    let mut sessions = Vec::new();
    for _ in 0..options.connections.clamp(1, 4) {
        let mut session = session(open)?;
        session.run("limit the wait for locks", LOCK_LIMIT)?;
        sessions.push(session);
    }
    facts.server = server(&mut sessions[0])?;
    let mut origin = DriverOrigin { facts, sessions, shared_snapshot: options.shared_snapshot };
    let tables = tables::tables(&mut origin.sessions[0])?;
    if origin.shared_snapshot {
        origin.sessions[0].run("begin", BEGIN)?;
        origin.lock(&tables)?;
    }
    Ok(Box::new(origin))
}

fn session(open: &Open) -> Result<Box<dyn TextSession>> {
    let mut session = open()?;
    for setting in SETTINGS.split(';') {
        session.run("set up the session", setting)?;
    }
    // With a condition on the place of storage a scan of a range is then the only plan.
    session.run("set up the session", "SET enable_seqscan = off")?;
    same_text(&mut *session)?;
    Ok(session)
}

fn server(session: &mut Box<dyn TextSession>) -> Result<String> {
    Ok(format!("PostgreSQL {}", Asks::value(session, "read the version", "SHOW server_version")?))
}

/// The same database, to be restored into: rows by INSERT, which takes several times as long as COPY.
pub(crate) fn target(open: Open, mut facts: Facts) -> Result<Box<dyn Target>> {
    let mut first = session(&open)?;
    facts.server = server(&mut first)?;
    let loader = move || {
        let connection = PagedReader { session: session(&open)?, words: Arc::new(PostgresWords) };
        Ok(Box::new(InsertLoader { connection, note, longest: usize::MAX }) as Box<dyn RowLoader>)
    };
    Ok(Box::new(PostgresTarget { facts, session: Box::new(first), loader: Box::new(loader) }))
}

impl Restores for Box<dyn TextSession> {
    fn execute(&mut self, action: &str, statement: &str, rows_of: Option<&str>) -> Result<()> {
        let done = self.run(action, statement);
        done.map_err(|error| match rows_of {
            Some(name) => error.about(name),
            None => error,
        })
    }
}

/// Text of all planes must arrive, and come back, as it is, whatever the locale.
fn same_text(session: &mut dyn TextSession) -> Result<()> {
    let sql = "SELECT 'ä€😀', encode(convert_to('ä€😀', 'UTF8'), 'hex')";
    let found = session.rows("try text out", sql, 2)?;
    if found.first().is_some_and(|row| row[0] == "ä€😀" && row[1] == "c3a4e282acf09f9880") {
        return Ok(());
    }
    let what = format!("the driver does not hand text on as it is ({found:?}): set LC_ALL=C.UTF-8");
    Err(LogicalError::Unsupported(what))
}

impl DriverOrigin {
    fn lock(&mut self, tables: &[Table]) -> Result<()> {
        for table in tables {
            let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", name(table));
            self.sessions[0].run("lock a table", &sql).map_err(|error| error.about(&table.title()))?;
        }
        Ok(())
    }
}

impl Origin for DriverOrigin {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn pin(&mut self) -> Result<Moment> {
        if !self.shared_snapshot {
            return Ok(Moment { pinned_by: "nothing".to_owned(), ..Moment::default() });
        }
        let export = "SELECT pg_catalog.pg_export_snapshot()";
        let id = Asks::value(&mut self.sessions[0], "export a snapshot", export)?;
        for session in &mut self.sessions[1..] {
            session.run("begin", BEGIN)?;
            session.run("import the snapshot", &format!("SET TRANSACTION SNAPSHOT {}", literal(&id)))?;
        }
        let pinned_by = "a snapshot that one connection exported and all others read from".to_owned();
        Ok(Moment { one_snapshot: true, pinned_by, id, ..Moment::default() })
    }

    fn catalog(&mut self) -> Result<Catalog> {
        let catalog = catalog::read(&mut self.sessions[0])?;
        if self.shared_snapshot {
            self.lock(&catalog.tables)?;
            not_replaced(&mut self.sessions[0])?;
        }
        Ok(catalog)
    }

    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>> {
        parts(&mut self.sessions[0], table, wanted)
    }

    fn readers(self: Box<Self>) -> Vec<Box<dyn RowReader>> {
        let words: Arc<dyn Words> = Arc::new(PostgresWords);
        let reader = |session| Box::new(PagedReader { session, words: words.clone() }) as Box<dyn RowReader>;
        self.sessions.into_iter().map(reader).collect()
    }
}

struct PostgresWords;

/// The text that COPY would write: that of the type's own output function, which a cast to text is not for every type.
fn text(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.declared.split('(').next() {
        Some("text" | "character varying") => name,
        _ => format!("CASE WHEN {name} IS NOT NULL THEN concat({name}) END"),
    }
}

impl Words for PostgresWords {
    fn name(&self, name: &str) -> String {
        quoted(name)
    }

    fn table(&self, table: &Table) -> String {
        format!("ONLY {}", name(table))
    }

    fn key(&self, _table: &Table) -> Vec<KeyPart> {
        let literal = |text: &[u8]| format!("'{}'::tid", String::from_utf8_lossy(text));
        vec![KeyPart { expression: "ctid".to_owned(), shown: Shown::Expression("ctid::text".to_owned(), 32), literal }]
    }

    fn comes_in_order(&self) -> bool {
        true
    }

    fn value(&self, column: &Column) -> String {
        match column.encoding {
            Encoding::Binary => format!("encode({}, 'hex')", quoted(&column.name)),
            _ => text(column),
        }
    }

    fn value_up_to(&self, column: &Column, units: usize) -> String {
        let most = units + 1;
        match column.encoding {
            // encode() sets no line ends for hexadecimal digits.
            Encoding::Binary => format!("encode(substring({} from 1 for {most}), 'hex')", quoted(&column.name)),
            _ => format!("left({}, {most})", text(column)),
        }
    }

    fn long_value(
        &self,
        session: &mut dyn TextSession,
        row: &Row<'_>,
        column: &Column,
        rows: &mut RowWriter<'_>,
    ) -> Result<()> {
        let (name, is_binary) = (quoted(&column.name), column.encoding == Encoding::Binary);
        let length = if is_binary { format!("octet_length({name})") } else { format!("length({})", text(column)) };
        let piece = |from: u64, units: u64| match is_binary {
            true => format!("encode(substring({name} from {from} for {units}), 'hex')"),
            false => format!("substring({} from {from} for {units})", text(column)),
        };
        LongValue { is_binary, length, piece: &piece }.read(session, row, rows)
    }

    /// Values of identity columns are the dump's, whatever their column says, as with COPY.
    fn insert(&self, table: &Table) -> String {
        let names: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        match names.as_slice() {
            [] => format!("INSERT INTO {} DEFAULT VALUES", name(table)),
            names => format!("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ", name(table), names.join(", ")),
        }
    }

    /// A literal of no type, which the column's type reads as COPY would.
    fn literal(&self, _column: &Column, field: &[u8], sql: &mut Vec<u8>) {
        sql.push(b'\'');
        for byte in unescape(field).unwrap_or_default() {
            if byte == b'\'' {
                sql.push(b'\'');
            }
            sql.push(byte);
        }
        sql.push(b'\'');
    }

    fn load_long(&self, session: &mut dyn TextSession, table: &Table, chunk: &mut ChunkReader<'_>) -> Result<()> {
        insert_whole(self, session, table, chunk)
    }

    fn begin(&self) -> &'static str {
        LOADING
    }
}
