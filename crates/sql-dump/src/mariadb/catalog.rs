//! What a MariaDB database consists of: the server's own SHOW CREATE statements, keys and foreign keys taken apart from tables.

use super::VIEW_MODE;
use super::server::locale;
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
    let [encoding, collation] = locale(session)?;
    let sql = format!("ALTER DATABASE CHARACTER SET {encoding} COLLATE {collation}");
    catalog.pre.push(Statement::new(Kind::Container, &database, sql));
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
    let mut broken = Vec::new();
    for name in names(session, "views", "table_name FROM information_schema.views WHERE TRUE", "table_schema")? {
        let [sql, collation] = definition(session, "VIEW", &name, 4, [1, 3])?;
        // One whose tables are gone is shown, and cannot be made. The answer has no rows.
        match session.run("try a view", &format!("SELECT 1 FROM {} LIMIT 0", quoted(&name))) {
            Err(LogicalError::Failed { source, .. }) if source.to_string().contains(INVALID) => {
                broken.push(format!("view {name}, which needs what is not there"));
                continue;
            }
            _ => {}
        }
        let sql = without_database(&without_definer(&sql), &database);
        catalog.post.push(in_settings(Kind::View, &name, sql, VIEW_MODE, &collation));
    }
    code(session, &mut catalog)?;
    catalog.tables = tables(session)?;
    catalog.lost = lost(session)?;
    catalog.not_covered = broken;
    catalog.not_covered.push("definers, users and privileges".to_owned());
    Ok(catalog)
}

/// What the server says of a view whose tables, columns or functions are gone.
const INVALID: &str = "references invalid table(s) or column(s) or function(s)";

const TABLES: &str = "table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')";

fn names(session: &mut dyn TextSession, what: &str, from: &str, schema: &str) -> Result<Vec<String>> {
    ordered(session, what, &format!("{from} AND {schema} = DATABASE() ORDER BY 1"))
}

fn ordered(session: &mut dyn TextSession, what: &str, from: &str) -> Result<Vec<String>> {
    let rows = session.rows(&format!("read {what}"), &format!("SELECT {from}"), 1)?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next()).collect())
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

/// What names and text stand in; in some modes names stand in the last one.
const QUOTES: [char; 3] = ['`', '\'', '"'];

/// A statement in parts: what is in quotes, quotes included, and what is between.
fn pieces(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let quote = rest.chars().next()?;
        let end = if QUOTES.contains(&quote) {
            let mut escaped = false;
            let close = rest[1..].find(|c| {
                let closes = c == quote && !escaped;
                escaped = c == '\\' && quote == '\'' && !escaped;
                closes
            });
            close.map_or(rest.len(), |at| at + 2)
        } else {
            rest.find(QUOTES).unwrap_or(rest.len())
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// A definition without the name of its own database before sequences, where the server writes it, and before functions, where a user wrote it: those
/// of another database would be asked.
fn without_database(sql: &str, database: &str) -> String {
    let (own, mut kept) = (quoted(database), String::with_capacity(sql.len()));
    let pieces: Vec<&str> = pieces(sql).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let before = kept.strip_suffix(&own).filter(|_| *piece == ".");
        let after = || pieces[n + 1..].iter().find(|piece| !piece.starts_with('`'));
        match before {
            Some(before)
                if ["nextval(", "lastval(", "setval("].iter().any(|call| before.ends_with(call))
                    || after().is_some_and(|after| after.starts_with('(')) =>
            {
                kept.truncate(before.len());
            }
            _ => kept.push_str(piece),
        }
    }
    kept
}

/// The definition of a trigger without the name of its database before its own name and its table's, which the server keeps as they were written:
/// restored elsewhere it would be made there.
fn without_qualifiers(sql: &str) -> String {
    let (head, body) = sql.split_at(head(sql));
    let (mut kept, mut name) = (String::with_capacity(sql.len()), 0);
    for piece in pieces(head) {
        if piece.starts_with(QUOTES) {
            // A quote in a name stands there twice, and parts it.
            if !kept.ends_with(&piece[..1]) {
                name = kept.len();
            }
            kept.push_str(piece);
            continue;
        }
        for sign in piece.chars() {
            let is_name = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '$');
            if is_name(sign) && !kept.ends_with(is_name) {
                name = kept.len();
            }
            if sign == '.' { kept.truncate(name) } else { kept.push(sign) }
        }
    }
    kept + body
}

/// Where the body of a trigger begins.
fn head(sql: &str) -> usize {
    let mut place = 0;
    for piece in pieces(sql) {
        let words = piece.to_ascii_uppercase();
        let each = words.match_indices("EACH").map(|(at, _)| at);
        let mut each = each.filter(|at| words[..*at].trim_end().ends_with("FOR") && !piece.starts_with(QUOTES));
        if let Some(at) = each.next() {
            return place + at;
        }
        place += piece.len();
    }
    0
}

/// The lines of a statement; names may have line ends of their own.
fn lines(sql: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces(sql) {
        let (here, later) = match piece.split_once('\n') {
            Some((here, later)) if !piece.starts_with(QUOTES) => (here, Some(later)),
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
        // A number that is beyond the ends is not taken, that of the last value is: none is left then.
        let next = format!(
            "SELECT CASE WHEN next_not_cached_value BETWEEN minimum_value AND maximum_value THEN CONCAT(next_not_cached_value, ', 0, ')
               ELSE CONCAT(IF(increment < 0, minimum_value, maximum_value), ', 1, ') END, cycle_count FROM {}",
            quoted(&name)
        );
        let next = session.rows("read a sequence", &next, 2)?.concat().concat();
        catalog.post.push(Statement::new(Kind::Value, &name, format!("SELECT SETVAL({}, {next})", quoted(&name))));
    }
    Ok(())
}

fn code(session: &mut dyn TextSession, catalog: &mut Catalog) -> Result<()> {
    for what in ["FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY"] {
        let from = format!("routine_name FROM information_schema.routines WHERE routine_type = '{what}'");
        for name in names(session, what, &from, "routine_schema")? {
            let [mode, sql, collation] = definition(session, what, &name, 6, [1, 2, 4])?;
            // A view or a trigger of the same restore may call it.
            catalog.pre.push(in_settings(Kind::Routine, &name, without_definer(&sql), &mode, &collation));
        }
    }
    // Those of one moment of a table run in the order in which they are made.
    let triggers = "trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()
        ORDER BY event_object_table, action_timing, event_manipulation, action_order";
    for name in ordered(session, "triggers", triggers)? {
        let [mode, sql, collation] = definition(session, "TRIGGER", &name, 7, [1, 2, 4])?;
        let sql = without_qualifiers(&without_definer(&sql));
        catalog.post.push(in_settings(Kind::Trigger, &name, sql, &mode, &collation));
    }
    for name in names(session, "events", "event_name FROM information_schema.events WHERE TRUE", "event_schema")? {
        let [mode, zone, sql, collation] = definition(session, "EVENT", &name, 7, [1, 2, 3, 5])?;
        let mut event = in_settings(Kind::Event, &name, without_definer(&sql), &mode, &collation);
        event.setting = event.setting.map(|setting| format!("{setting}, time_zone = {}", literal(&zone)));
        catalog.post.push(event);
    }
    Ok(())
}

/// Some columns of SHOW CREATE.
fn definition<const N: usize>(
    session: &mut dyn TextSession,
    what: &str,
    name: &str,
    columns: usize,
    wanted: [usize; N],
) -> Result<[String; N]> {
    let mut shown = shown(session, &format!("{what} {}", quoted(name)), columns)?;
    let found = wanted.map(|column| std::mem::take(&mut shown[column]));
    if found.iter().any(|text| text.starts_with("CREATE ")) {
        return Ok(found);
    }
    let what = what.to_lowercase();
    Err(LogicalError::Unsupported(format!("the server does not show the text of the {what} `{name}` to this user")))
}

/// A statement whose text means what it does in the settings in which it was written.
fn in_settings(kind: Kind, name: &str, sql: String, mode: &str, collation: &str) -> Statement {
    let setting = format!("SET SESSION sql_mode = {}, collation_connection = {}", literal(mode), literal(collation));
    Statement { setting: Some(setting), ..Statement::new(kind, name, sql) }
}

/// The tables that hold rows.
pub(super) fn tables(session: &mut dyn TextSession) -> Result<Vec<Table>> {
    // Some engines show the rows of other tables.
    let sql = "SELECT table_name, COALESCE(data_length, 0) FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND engine NOT IN ('MRG_MyISAM', 'FEDERATED')
        ORDER BY table_name";
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
        "SELECT column_name, column_type, COALESCE(character_maximum_length, 0), COALESCE(character_octet_length, 0), COALESCE(character_set_name, '')
         FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = {}
         AND COALESCE(generation_expression, '') = '' ORDER BY ordinal_position",
        literal(table)
    );
    let column = |row: Vec<String>| {
        let [characters, bytes] = [2, 3].map(|n| row[n].parse::<u64>().unwrap_or(0));
        let word = row[1].split(['(', ' ']).next().unwrap_or_default();
        let is_text = row[4].is_empty() || UNICODE.contains(&row[4].as_str()) || matches!(word, "enum" | "set");
        let (encoding, limit) = match shape(word, characters, bytes) {
            (Encoding::Text, limit) if !is_text => (Encoding::Binary, limit.map(|_| bytes.max(1) * 2)),
            shape => shape,
        };
        Column { name: row[0].clone(), declared: row[1].clone(), encoding, limit }
    };
    Ok(session.rows("read columns", &sql, 5)?.into_iter().map(column).collect())
}

/// The character sets of which every sign goes to Unicode and comes back. Text in others is dumped by its bytes.
const UNICODE: [&str; 19] = [
    "utf8mb4", "utf8mb3", "utf8", "utf16", "utf16le", "utf32", "ucs2", "latin1", "latin2", "latin5", "latin7", "cp850",
    "cp852", "cp866", "koi8r", "koi8u", "keybcs2", "macce", "macroman",
];

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
        "table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND engine NOT IN ('InnoDB', 'ROCKSDB', 'MRG_MyISAM', 'FEDERATED')",
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
