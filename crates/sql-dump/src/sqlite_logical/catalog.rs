//! What a SQLite database consists of: the statements that it keeps itself.

use super::Result;
use super::embedded::EmbeddedSqlite;
use super::words::{ROW_NUMBERS, literal, quoted, row_number};
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Column, Encoding, Kind, Statement, Table};
use crate::text::TextSession;

/// Reads all of it.
pub(super) fn read(session: &mut dyn TextSession) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    for (pragma, fresh) in [
        ("encoding", "UTF-8"),
        ("page_size", "4096"),
        ("auto_vacuum", "0"),
        ("application_id", "0"),
        ("user_version", "0"),
    ] {
        let value = session.value("read a setting", &format!("SELECT {pragma} FROM pragma_{pragma}"))?;
        if value != fresh {
            let sql = format!("PRAGMA {pragma} = '{value}'");
            catalog.pre.push(Statement::new(Kind::Container, pragma, sql));
        }
    }
    catalog.tables = tables(session)?;
    // In the order in which they were made: what needs another thing came after it.
    let made = "SELECT type, name, sql, tbl_name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid";
    for row in session.rows("read the catalog", made, 4)? {
        let [kind, name, sql, on] = <[String; 4]>::try_from(row).unwrap_or_default();
        let known = |name: &str| catalog.tables.iter().any(|table| table.name == name);
        let (kind, place) = match kind.as_str() {
            "table" if known(&name) => (Kind::Table, &mut catalog.pre),
            "table" => continue,
            "index" if known(&on) => (Kind::Index, &mut catalog.post),
            "index" => continue,
            "view" => (Kind::View, &mut catalog.post),
            _ => (Kind::Trigger, &mut catalog.post),
        };
        place.push(Statement::new(kind, name, sql));
    }
    counters(session, &mut catalog)?;
    if has(session, "sqlite_stat1")? {
        catalog.post.push(Statement::new(Kind::Value, "sqlite_stat1", "ANALYZE".to_owned()));
    }
    let others = virtual_tables(session)?;
    if !others.is_empty() {
        catalog.not_covered.push(format!("virtual tables: {}", others.join(", ")));
    }
    catalog.lost = lost(session)?;
    makeable(&mut catalog)?;
    Ok(catalog)
}

/// Makes all of it in memory, for SQLite opens a database whose application brings functions and orders of text of its own, and does not make it
/// without them.
fn makeable(catalog: &mut Catalog) -> Result<()> {
    let mut scratch = EmbeddedSqlite::open(":memory:", true)?;
    let reason = |error: &LogicalError| std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    for table in catalog.pre.iter().filter(|statement| statement.kind == Kind::Table) {
        scratch.run("make a table", &table.sql).map_err(|error| {
            let (name, reason) = (&table.name, reason(&error));
            LogicalError::Unsupported(format!(
                "table `{name}` cannot be made from its definition ({reason}): copy the file, as method `native` does"
            ))
        })?;
    }
    let not_covered = &mut catalog.not_covered;
    catalog.post.retain(|statement| {
        let made = scratch.run("make it", &statement.sql);
        not_covered.extend(made.as_ref().err().map(|error| format!("{}: {}", statement.name, reason(error))));
        made.is_ok()
    });
    Ok(())
}

fn virtual_tables(session: &mut dyn TextSession) -> Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual' ORDER BY name";
    Ok(session.rows("read virtual tables", sql, 1)?.into_iter().flatten().collect())
}

/// Data that a dump does not hold.
pub(super) fn lost(session: &mut dyn TextSession) -> Result<Vec<String>> {
    Ok(virtual_tables(session)?.into_iter().map(|name| format!("rows of the virtual table {name}")).collect())
}

/// The next numbers of AUTOINCREMENT columns.
fn counters(session: &mut dyn TextSession, catalog: &mut Catalog) -> Result<()> {
    if !has(session, "sqlite_sequence")? {
        return Ok(());
    }
    for row in session.rows("read counters", "SELECT name, seq FROM sqlite_sequence", 2)? {
        let name = literal(&row[0]);
        for sql in [
            format!("DELETE FROM sqlite_sequence WHERE name = {name}"),
            format!("INSERT INTO sqlite_sequence (name, seq) VALUES ({name}, {})", row[1].parse::<i64>().unwrap_or(0)),
        ] {
            catalog.post.push(Statement::new(Kind::Value, &row[0], sql));
        }
    }
    Ok(())
}

/// The tables that hold rows of their own.
fn tables(session: &mut dyn TextSession) -> Result<Vec<Table>> {
    let sql = "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut tables = Vec::new();
    for row in session.rows("read tables", sql, 2)? {
        let (name, without_rowid) = (row[0].clone(), row[1] == "1");
        let sql =
            format!("SELECT name, type, pk FROM pragma_table_xinfo({}) WHERE hidden = 0 ORDER BY cid", literal(&name));
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        for row in session.rows("read columns", &sql, 3)? {
            if let (true, Ok(number @ 1..)) = (without_rowid, row[2].parse::<usize>()) {
                key.push((number, columns.len()));
            }
            columns.push(Column {
                name: row[0].clone(),
                declared: row[1].clone(),
                encoding: Encoding::Literal,
                limit: None,
            });
        }
        key.sort_unstable();
        let key = key.into_iter().map(|(_, place)| place).collect();
        let list = ROW_NUMBERS.map(literal).join(", ");
        let sql = format!(
            "SELECT name FROM pragma_table_xinfo({}) WHERE hidden <> 0 AND lower(name) IN ({list})",
            literal(&name)
        );
        let taken = session.rows("read computed columns", &sql, 1)?.into_iter().flatten().collect();
        let mut table = Table { schema: None, name, columns, key, size: 0, taken };
        table.size = size(session, &table)?;
        tables.push(table);
    }
    Ok(tables)
}

/// A guess at the bytes of a table: SQLite keeps no count of a table's pages or rows, but finds the ends of its row numbers at once.
fn size(session: &mut dyn TextSession, table: &Table) -> Result<u64> {
    const ROW: u64 = 128;
    let Some(number) = row_number(table) else { return Ok(0) };
    let ends = ends(session, &quoted(&table.name), number)?;
    Ok(ends.map_or(0, |(low, high)| low.abs_diff(high).saturating_mul(ROW)))
}

/// The lowest and the highest row number, where there are rows.
pub(super) fn ends(session: &mut dyn TextSession, table: &str, number: &str) -> Result<Option<(i64, i64)>> {
    // Both in one query would be a scan.
    let mut end = |order: &str| -> Result<Option<i64>> {
        let sql = format!("SELECT {number} FROM {table} ORDER BY {number} {order} LIMIT 1");
        Ok(session.value("read the ends of row numbers", &sql)?.parse().ok())
    };
    Ok(end("ASC")?.zip(end("DESC")?))
}

/// Something that the database holds, besides what a restore keeps in it.
pub(super) fn contents(session: &mut dyn TextSession, but: &str) -> Result<String> {
    let sql =
        format!("SELECT type || ' `' || name || '`' FROM sqlite_master WHERE tbl_name <> {} LIMIT 1", literal(but));
    session.value("look whether the database is empty", &sql)
}

/// Whether it has a table.
pub(super) fn has(session: &mut dyn TextSession, table: &str) -> Result<bool> {
    let sql = format!("SELECT count(*) FROM {} WHERE name = {}", quoted("sqlite_master"), literal(table));
    Ok(session.value("look for a table", &sql)? != "0")
}
