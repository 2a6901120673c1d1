//! What a MariaDB database consists of: the server's own SHOW CREATE statements, keys and foreign keys taken apart from tables.

use super::words::{literal, quoted};
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Column, Encoding, Kind, Statement, Table};
use crate::text::TextSession;

type Result<T> = std::result::Result<T, LogicalError>;

/// Reads all of it.
pub(super) fn read(session: &mut dyn TextSession) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    let mut foreign_keys = Vec::new();
    let database = session.value("read the name of the database", "SELECT DATABASE()")?;
    for name in table_names(session)? {
        let sql = shown(session, &format!("TABLE {}", quoted(&name)), 2)?.swap_remove(1);
        let parts = take_apart(&without_database(&sql, &database));
        catalog.pre.push(Statement::new(Kind::Table, &name, parts.table));
        let adds = |list: Vec<String>| list.into_iter().map(|key| format!("ADD {key}")).collect::<Vec<_>>().join(", ");
        if !parts.keys.is_empty() {
            let sql = format!("ALTER TABLE {} {}", quoted(&name), adds(parts.keys));
            catalog.post.push(Statement::new(Kind::Index, &name, sql));
        }
        if !parts.foreign_keys.is_empty() {
            let sql = format!("ALTER TABLE {} {}", quoted(&name), adds(parts.foreign_keys));
            foreign_keys.push(Statement::new(Kind::Constraint, &name, sql));
        }
    }
    catalog.post.extend(foreign_keys);
    sequences(session, &mut catalog)?;
    for name in names(session, "views", "table_name FROM information_schema.views WHERE TRUE", "table_schema")? {
        let sql = shown(session, &format!("VIEW {}", quoted(&name)), 4)?.swap_remove(1);
        catalog.post.push(Statement::new(Kind::View, &name, without_definer(&sql)));
    }
    code(session, &mut catalog)?;
    catalog.tables = tables(session)?;
    catalog.lost = lost(session)?;
    catalog.not_covered = vec!["definers, users and privileges".to_owned()];
    Ok(catalog)
}

const TABLES: &str = "table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')";

fn names(session: &mut dyn TextSession, what: &str, from: &str, schema: &str) -> Result<Vec<String>> {
    let sql = format!("SELECT {from} AND {schema} = DATABASE() ORDER BY 1");
    Ok(session.rows(&format!("read {what}"), &sql, 1)?.into_iter().filter_map(|row| row.into_iter().next()).collect())
}

/// The row of SHOW CREATE.
fn shown(session: &mut dyn TextSession, what: &str, columns: usize) -> Result<Vec<String>> {
    let action = format!("read the definition of {what}");
    let mut rows = session.rows(&action, &format!("SHOW CREATE {what}"), columns)?;
    let missing = || LogicalError::Changed { table: what.to_owned(), source: "it has no definition any more".into() };
    if rows.is_empty() { Err(missing()) } else { Ok(rows.swap_remove(0)) }
}

struct Parts {
    table: String,
    keys: Vec<String>,
    foreign_keys: Vec<String>,
}

/// A statement in parts: what is in quotes, quotes included, and what is between.
fn pieces(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let quote = rest.chars().next()?;
        let end = if matches!(quote, '`' | '\'') {
            let mut escaped = false;
            let close = rest[1..].find(|c| {
                let closes = c == quote && !escaped;
                escaped = c == '\\' && quote == '\'' && !escaped;
                closes
            });
            close.map_or(rest.len(), |at| at + 2)
        } else {
            rest.find(['`', '\'']).unwrap_or(rest.len())
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// A definition without the name of its own database, which the server writes before sequences: a table of another one would count by that.
fn without_database(sql: &str, database: &str) -> String {
    let (own, mut kept) = (quoted(database), String::with_capacity(sql.len()));
    for piece in pieces(sql) {
        match piece.strip_prefix('.').filter(|_| kept.ends_with(&format!("({own}"))) {
            Some(rest) => {
                kept.truncate(kept.len() - own.len());
                kept.push_str(rest);
            }
            None => kept.push_str(piece),
        }
    }
    kept
}

/// The lines of a statement; names may have line ends of their own.
fn lines(sql: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces(sql) {
        let (here, later) = match piece.split_once('\n') {
            Some((here, later)) if !piece.starts_with(['`', '\'']) => (here, Some(later)),
            _ => (piece, None),
        };
        lines.last_mut().expect("there is one").push_str(here);
        lines.extend(later.into_iter().flat_map(|later| later.split('\n')).map(str::to_owned));
    }
    lines
}

/// Takes keys and foreign keys out of a CREATE TABLE, which has one definition on each line. A table that counts by itself keeps its keys.
fn take_apart(sql: &str) -> Parts {
    let lines = lines(sql);
    let counts = lines.iter().any(|line| line.starts_with("  `") && line.contains(" AUTO_INCREMENT"));
    let (mut head, mut body, mut tail) = (String::new(), Vec::new(), Vec::new());
    let mut parts = Parts { table: String::new(), keys: Vec::new(), foreign_keys: Vec::new() };
    for (n, line) in lines.iter().enumerate() {
        let definition = line.trim_start().trim_end_matches(',').to_owned();
        if n == 0 {
            head.clone_from(line);
        } else if !tail.is_empty() || line.starts_with(')') {
            tail.push(line.as_str());
        } else if definition.starts_with("CONSTRAINT ") && definition.contains(" FOREIGN KEY (") {
            parts.foreign_keys.push(definition);
        } else if !counts
            && ["KEY ", "UNIQUE KEY ", "FULLTEXT KEY ", "SPATIAL KEY "].iter().any(|key| definition.starts_with(key))
        {
            parts.keys.push(definition);
        } else {
            body.push(format!("  {definition}"));
        }
    }
    parts.table = format!("{head}\n{}\n{}", body.join(",\n"), tail.join("\n"));
    parts
}

/// The restoring user becomes the definer: the old one may not exist.
fn without_definer(sql: &str) -> String {
    let Some(at) = sql.find(" DEFINER=") else { return sql.to_owned() };
    let rest = &sql[at + 9..];
    let mut quotes = 0;
    let end = rest.find(|c: char| {
        // In some modes names stand in double quotes.
        quotes += usize::from(c == '`' || c == '"');
        c == ' ' && quotes % 2 == 0
    });
    format!("{}{}", &sql[..at], &rest[end.unwrap_or(rest.len())..])
}

fn sequences(session: &mut dyn TextSession, catalog: &mut Catalog) -> Result<()> {
    for name in names(
        session,
        "sequences",
        "table_name FROM information_schema.tables WHERE table_type = 'SEQUENCE'",
        "table_schema",
    )? {
        let sql = shown(session, &format!("SEQUENCE {}", quoted(&name)), 2)?.swap_remove(1);
        catalog.pre.insert(0, Statement::new(Kind::Sequence, &name, sql));
        let next = session.value("read a sequence", &format!("SELECT next_not_cached_value FROM {}", quoted(&name)))?;
        let sql = format!("SELECT SETVAL({}, {next}, 0)", quoted(&name));
        catalog.post.push(Statement::new(Kind::Value, &name, sql));
    }
    Ok(())
}

fn code(session: &mut dyn TextSession, catalog: &mut Catalog) -> Result<()> {
    let kinds = [
        (
            "FUNCTION",
            "routine_name FROM information_schema.routines WHERE routine_type = 'FUNCTION'",
            "routine_schema",
            6,
            2,
        ),
        (
            "PROCEDURE",
            "routine_name FROM information_schema.routines WHERE routine_type = 'PROCEDURE'",
            "routine_schema",
            6,
            2,
        ),
        (
            "PACKAGE",
            "routine_name FROM information_schema.routines WHERE routine_type = 'PACKAGE'",
            "routine_schema",
            6,
            2,
        ),
        (
            "PACKAGE BODY",
            "routine_name FROM information_schema.routines WHERE routine_type = 'PACKAGE BODY'",
            "routine_schema",
            6,
            2,
        ),
        ("TRIGGER", "trigger_name FROM information_schema.triggers WHERE TRUE", "trigger_schema", 7, 2),
        ("EVENT", "event_name FROM information_schema.events WHERE TRUE", "event_schema", 7, 3),
    ];
    for (what, from, schema, columns, column) in kinds {
        for name in names(session, what, from, schema)? {
            let mut shown = shown(session, &format!("{what} {}", quoted(&name)), columns)?;
            let sql = without_definer(&shown.swap_remove(column));
            if sql.is_empty() {
                let missing =
                    format!("the server does not show the text of the {} `{name}` to this user", what.to_lowercase());
                return Err(LogicalError::Unsupported(missing));
            }
            // What its text means depends on the mode in which it was written.
            let setting = Some(format!("SET SESSION sql_mode = {}", literal(&shown.swap_remove(1))));
            let kind = if columns == 6 { Kind::Routine } else { Kind::Trigger };
            // A view or a trigger of the same restore may call it.
            let place = if kind == Kind::Routine { &mut catalog.pre } else { &mut catalog.post };
            place.push(Statement { setting, ..Statement::new(kind, &name, sql) });
        }
    }
    Ok(())
}

/// The tables that hold rows.
pub(super) fn tables(session: &mut dyn TextSession) -> Result<Vec<Table>> {
    let sql = "SELECT table_name, COALESCE(data_length, 0) FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name";
    let mut tables = Vec::new();
    for row in session.rows("read tables", sql, 2)? {
        let name = row[0].clone();
        let columns = columns(session, &name)?;
        let sql = format!(
            "SELECT column_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = {}
             AND index_name = 'PRIMARY' AND sub_part IS NULL ORDER BY seq_in_index",
            literal(&name)
        );
        let key = session.rows("read keys", &sql, 1)?;
        let key: Option<Vec<usize>> =
            key.iter().map(|row| columns.iter().position(|column| column.name == row[0])).collect();
        let size = row[1].parse().unwrap_or(0);
        let key = key.unwrap_or_default();
        tables.push(Table { schema: None, name, columns, key, size, taken: Vec::new() });
    }
    Ok(tables)
}

fn columns(session: &mut dyn TextSession, table: &str) -> Result<Vec<Column>> {
    let sql = format!(
        "SELECT column_name, column_type, COALESCE(character_maximum_length, 0), COALESCE(character_octet_length, 0)
         FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = {}
         AND COALESCE(generation_expression, '') = '' ORDER BY ordinal_position",
        literal(table)
    );
    let column = |row: Vec<String>| {
        let [characters, bytes] = [2, 3].map(|n| row[n].parse::<u64>().unwrap_or(0));
        let word = row[1].split(['(', ' ']).next().unwrap_or_default();
        let (encoding, limit) = shape(word, characters, bytes);
        Column { name: row[0].clone(), declared: row[1].clone(), encoding, limit }
    };
    Ok(session.rows("read columns", &sql, 4)?.into_iter().map(column).collect())
}

/// How values of a type are written, and the most bytes of their text.
fn shape(word: &str, characters: u64, bytes: u64) -> (Encoding, Option<u64>) {
    match word {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "bit" => (Encoding::Number, Some(24)),
        "decimal" => (Encoding::Number, Some(80)),
        "float" | "double" => (Encoding::Number, Some(64)),
        "date" | "datetime" | "timestamp" | "time" | "year" | "uuid" | "inet6" | "inet4" => (Encoding::Text, Some(64)),
        "char" | "varchar" | "enum" | "set" => (Encoding::Text, Some(characters.max(1) * 4)),
        "binary" | "varbinary" => (Encoding::Binary, Some(bytes.max(1) * 2)),
        "tinyblob" | "blob" | "mediumblob" | "longblob" | "geometry" | "point" | "linestring" | "polygon"
        | "multipoint" | "multilinestring" | "multipolygon" | "geometrycollection" => (Encoding::Binary, None),
        _ => (Encoding::Text, None),
    }
}

/// Data that a dump does not hold.
pub(super) fn lost(session: &mut dyn TextSession) -> Result<Vec<String>> {
    let of = "table_name FROM information_schema.tables WHERE table_type = 'SYSTEM VERSIONED'";
    let versioned = names(session, "what a dump does not hold", of, "table_schema")?;
    Ok(versioned.into_iter().map(|name| format!("history of the system-versioned table {name}")).collect())
}

/// The names of the tables that hold rows.
pub(super) fn table_names(session: &mut dyn TextSession) -> Result<Vec<String>> {
    names(session, "tables", TABLES, "table_schema")
}

/// Tables whose engine keeps no snapshots.
pub(super) fn unpinned(session: &mut dyn TextSession) -> Result<Vec<String>> {
    names(
        session,
        "engines",
        "table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND engine NOT IN ('InnoDB', 'ROCKSDB')",
        "table_schema",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_of_a_table() {
        let parts = take_apart(
            "CREATE TABLE `t` (\n  `id` int(11) NOT NULL,\n  `a` varchar(9) DEFAULT 'KEY x,',\n  PRIMARY KEY (`id`),\n  KEY `k` (`a`),\n  \
             CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`b`),\n  CONSTRAINT `c` CHECK (`id` > 0)\n) ENGINE=InnoDB\n PARTITION BY HASH (`id`)",
        );
        assert_eq!(parts.keys, ["KEY `k` (`a`)"]);
        assert_eq!(parts.foreign_keys, ["CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`b`)"]);
        assert_eq!(
            parts.table,
            "CREATE TABLE `t` (\n  `id` int(11) NOT NULL,\n  `a` varchar(9) DEFAULT 'KEY x,',\n  PRIMARY KEY (`id`),\n  \
             CONSTRAINT `c` CHECK (`id` > 0)\n) ENGINE=InnoDB\n PARTITION BY HASH (`id`)"
        );
    }

    /// Only outside of quotes does a line end, and a name name something.
    #[test]
    fn what_is_in_quotes_stays() {
        let parts = take_apart(
            "CREATE TABLE `t` (\n  `a\nKEY b` int(11) DEFAULT nextval(`d``b`.`s`),\n  `c` text DEFAULT '(`d``b`.`s`) it''s \\'\n  KEY x',\n  \
             `n` int(11) DEFAULT nextval(`other`.`s`),\n  KEY `k\n,` (`c`)\n) ENGINE=InnoDB COMMENT='a\n)'",
        );
        assert_eq!(parts.keys, ["KEY `k\n,` (`c`)"]);
        assert_eq!(
            without_database(&parts.table, "d`b"),
            "CREATE TABLE `t` (\n  `a\nKEY b` int(11) DEFAULT nextval(`s`),\n  `c` text DEFAULT '(`d``b`.`s`) it''s \\'\n  KEY x',\n  \
             `n` int(11) DEFAULT nextval(`other`.`s`)\n) ENGINE=InnoDB COMMENT='a\n)'"
        );
    }

    #[test]
    fn a_definer_goes() {
        let sql = "CREATE ALGORITHM=UNDEFINED DEFINER=`a b`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1";
        assert_eq!(without_definer(sql), "CREATE ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW `v` AS select 1");
        let sql = r#"CREATE DEFINER="a b"@"%" PACKAGE "p" AS END"#;
        assert_eq!(without_definer(sql), r#"CREATE PACKAGE "p" AS END"#);
        assert_eq!(without_definer("CREATE TABLE x"), "CREATE TABLE x");
    }
}
