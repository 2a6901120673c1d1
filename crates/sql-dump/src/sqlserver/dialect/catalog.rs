//! What a SQL Server database consists of, read from `sys`.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{self, Special, SqlColumn, full_type, number};
use super::statements::{Constraint, Index, checks, foreign_keys, indexes};
use super::words::table_name;
use super::{Result, ask, not_covered};
use crate::logical::catalog::{Catalog, Kind, Statement, Table};
use crate::sqlserver::talk::{Row, Talk};
use crate::sqlserver::tsql::{name, text};

/// Reads all of it.
pub(super) fn read(talk: &mut dyn Talk) -> Result<Catalog> {
    let mut catalog = Catalog { not_covered: not_covered::counted(talk)?, ..Catalog::default() };
    schemas(talk, &mut catalog)?;
    types(talk, &mut catalog)?;
    sequences(talk, &mut catalog)?;
    let code = needs_code(talk)?;
    let (indexes, columns) = (indexes(talk)?, columns::read(talk)?);
    // A site has thousands of tables: each finds its own without a look at all of them.
    let mut of_table: BTreeMap<i64, Vec<&SqlColumn>> = BTreeMap::new();
    for column in &columns {
        of_table.entry(column.table).or_default().push(column);
    }
    let primary = indexes.iter().filter(|index| index.is_primary_key);
    let keys: BTreeMap<i64, &Index> = primary.map(|index| (index.object, index)).collect();
    let mut left_out = BTreeSet::new();
    for row in ask(talk, "read tables", TABLES)?.rows() {
        let id = number(&row, "object_id").unwrap_or(0);
        let own = of_table.get(&id).map_or(&[][..], Vec::as_slice);
        table(&row, own, keys.get(&id).copied(), &code, &mut left_out, &mut catalog);
    }
    let (of_views, of_tables): (Vec<&Index>, Vec<&Index>) = indexes.iter().partition(|index| index.is_of_view);
    put_indexes(&of_tables, &left_out, &mut catalog);
    put_constraints(checks(talk)?, &code, &mut catalog);
    put_constraints(foreign_keys(talk)?, &code, &mut catalog);
    let views = views(talk, &code, &mut catalog)?;
    let of_views: Vec<&Index> = of_views.into_iter().filter(|index| views.contains(&index.object)).collect();
    put_indexes(&of_views, &left_out, &mut catalog);
    Ok(catalog)
}

fn full_name(row: &Row<'_>) -> String {
    format!("{}.{}", name(&row.text("schema_name")), name(&row.text("name")))
}

/// The name for messages.
fn title(row: &Row<'_>) -> String {
    format!("{}.{}", row.text("schema_name"), row.text("name"))
}

fn schemas(talk: &mut dyn Talk, catalog: &mut Catalog) -> Result<()> {
    // The server's own are the first four and those of its fixed roles.
    let sql = "SELECT s.name AS name FROM sys.schemas AS s WHERE s.schema_id > 4 AND s.schema_id < 16384 ORDER BY s.schema_id";
    for row in ask(talk, "read schemas", sql)?.rows() {
        let schema = row.text("name");
        catalog.pre.push(Statement::new(Kind::Container, &schema, format!("CREATE SCHEMA {}", name(&schema))));
    }
    Ok(())
}

/// Names that the user gave to types of the server.
fn types(talk: &mut dyn Talk, catalog: &mut Catalog) -> Result<()> {
    let sql = "SELECT SCHEMA_NAME(u.schema_id) AS schema_name, u.name AS name, b.name AS type, CONVERT(int, u.max_length) AS max_length, \
        CONVERT(int, u.precision) AS precision, CONVERT(int, u.scale) AS scale, CONVERT(int, u.is_nullable) AS is_nullable \
        FROM sys.types AS u JOIN sys.types AS b ON b.user_type_id = u.system_type_id \
        WHERE u.is_user_defined = 1 AND u.is_assembly_type = 0 AND u.is_table_type = 0 ORDER BY u.user_type_id";
    for row in ask(talk, "read types", sql)?.rows() {
        let length = number(&row, "max_length").unwrap_or(0);
        let base = full_type(&row.text("type"), length, &row.text("precision"), &row.text("scale"));
        let null = if row.is_set("is_nullable") { "NULL" } else { "NOT NULL" };
        let sql = format!("CREATE TYPE {} FROM {base} {null}", full_name(&row));
        catalog.pre.push(Statement::new(Kind::Type, title(&row), sql));
    }
    Ok(())
}

fn sequences(talk: &mut dyn Talk, catalog: &mut Catalog) -> Result<()> {
    let value = |column: &str| format!("CONVERT(nvarchar(41), CONVERT(decimal(38,0), q.{column})) AS {column}");
    let values = ["start_value", "increment", "minimum_value", "maximum_value", "current_value"].map(value).join(", ");
    let sql = format!(
        "SELECT SCHEMA_NAME(q.schema_id) AS schema_name, q.name AS name, TYPE_NAME(q.system_type_id) AS type, CONVERT(int, q.precision) AS precision, \
         {values}, CONVERT(int, q.is_cycling) AS is_cycling, CONVERT(int, q.is_cached) AS is_cached, CONVERT(int, q.cache_size) AS cache_size \
         FROM sys.sequences AS q WHERE q.is_ms_shipped = 0 ORDER BY q.object_id"
    );
    for row in ask(talk, "read sequences", &sql)?.rows() {
        let cache = match (row.is_set("is_cached"), number(&row, "cache_size").filter(|size| *size > 0)) {
            (false, _) => "NO CACHE".to_owned(),
            (true, Some(size)) => format!("CACHE {size}"),
            (true, None) => "CACHE".to_owned(),
        };
        let sql = format!(
            "CREATE SEQUENCE {} AS {} START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {} {} {cache}",
            full_name(&row),
            full_type(&row.text("type"), 0, &row.text("precision"), "0"),
            row.text("start_value"),
            row.text("increment"),
            row.text("minimum_value"),
            row.text("maximum_value"),
            if row.is_set("is_cycling") { "CYCLE" } else { "NO CYCLE" }
        );
        catalog.pre.push(Statement::new(Kind::Sequence, title(&row), sql));
        next_of_sequence(&row, catalog);
    }
    Ok(())
}

/// The server tells the last value, and the first one of a sequence that was never used: so the one after it is next, at the price of a gap.
fn next_of_sequence(row: &Row<'_>, catalog: &mut Catalog) {
    let whole = |column: &str| row.get(column).and_then(|value| value.parse::<i128>().ok()).unwrap_or(0);
    let (increment, least, most) = (whole("increment"), whole("minimum_value"), whole("maximum_value"));
    let next = match whole("current_value") + increment {
        next if (least..=most).contains(&next) => next,
        _ if row.is_set("is_cycling") && increment > 0 => least,
        _ if row.is_set("is_cycling") => most,
        _ => {
            let line = format!("sequence {} is used up: after a restore it gives its last value once more", title(row));
            catalog.not_covered.push(line);
            whole("current_value")
        }
    };
    let sql = format!("ALTER SEQUENCE {} RESTART WITH {next}", full_name(row));
    catalog.post.push(Statement::new(Kind::Value, title(row), sql));
}

const TABLES: &str = "SELECT CONVERT(bigint, t.object_id) AS object_id, SCHEMA_NAME(t.schema_id) AS schema_name, t.name AS name, \
    (SELECT SUM(a.total_pages) FROM sys.partitions AS p JOIN sys.allocation_units AS a ON a.container_id = p.partition_id \
     WHERE p.object_id = t.object_id) AS pages \
    FROM sys.tables AS t WHERE t.is_ms_shipped = 0 AND t.is_external = 0 AND t.is_filetable = 0 ORDER BY t.object_id";

/// A column of a table.
type Place = (i64, String);

fn table(
    row: &Row<'_>,
    columns: &[&SqlColumn],
    key: Option<&Index>,
    code: &Code,
    left_out: &mut BTreeSet<Place>,
    catalog: &mut Catalog,
) {
    let id = number(row, "object_id").unwrap_or(0);
    let mut table = Table {
        schema: Some(row.text("schema_name")),
        name: row.text("name"),
        columns: Vec::new(),
        key: Vec::new(),
        size: row.number("pages").unwrap_or(0) * 8192,
        taken: Vec::new(),
    };
    let title = table.title();
    let mut definitions = Vec::new();
    for column in columns {
        let place = format!("{title}.{}", column.name);
        let mut tell = |line: String| catalog.not_covered.push(line);
        match &column.special {
            Special::None => table.columns.push(column.in_rows()),
            Special::RowVersion => tell(format!("values of {place}: the server counts them anew")),
            Special::Computed { .. } if code.has_part(id, column.number) => {
                tell(format!("computed column {place}: it needs code that is not covered"));
            }
            Special::UserClr => tell(format!("column {place}: its type is a CLR type of the database's own")),
            Special::Encrypted => tell(format!("column {place}: it is encrypted by its clients")),
            Special::Computed { .. } | Special::ColumnSet => {}
        }
        if code.has_part(id, column.number) || matches!(column.special, Special::UserClr | Special::Encrypted) {
            left_out.insert((id, column.name.clone()));
            continue;
        }
        let keeps_default = column.default.as_ref().is_none_or(|default| !code.has(default.object));
        if !keeps_default {
            tell(format!("the default of {place}: it needs code that is not covered"));
        }
        definitions.push(column.definition(keeps_default));
        counter(&table, column, catalog);
    }
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
    let key: Option<Vec<usize>> =
        key.map(|key| key.columns.iter().map(|column| place(&column.name)).collect()).unwrap_or_default();
    table.key = key.unwrap_or_default();
    let sql = format!("CREATE TABLE {} (\n  {}\n)", table_name(&table), definitions.join(",\n  "));
    catalog.pre.push(Statement::new(Kind::Table, &title, sql));
    if table.columns.is_empty() {
        catalog.not_covered.push(format!("rows of {title}: none of its columns can be written"));
    } else {
        catalog.tables.push(table);
    }
}

fn put_indexes(indexes: &[&Index], left_out: &BTreeSet<Place>, catalog: &mut Catalog) {
    for index in indexes {
        if index.columns.iter().any(|column| left_out.contains(&(index.object, column.name.clone()))) {
            catalog.not_covered.push(format!("index {}: a column of it is not covered", index.name));
            continue;
        }
        let kind = match index {
            // It can need a view that waits for another one.
            index if index.is_of_view => Kind::View,
            index if index.is_key() => Kind::Constraint,
            _ => Kind::Index,
        };
        catalog.post.push(Statement::new(kind, &index.name, index.sql()));
        let off = index.disabling().map(|sql| Statement::new(Kind::Value, &index.name, sql));
        catalog.post.extend(off);
    }
}

fn put_constraints(constraints: Vec<Constraint>, code: &Code, catalog: &mut Catalog) {
    for constraint in constraints {
        if code.has(constraint.object) {
            catalog.not_covered.push(format!("check {}: it needs code that is not covered", constraint.name));
            continue;
        }
        let off = constraint.disabling.map(|sql| Statement::new(Kind::Value, &constraint.name, sql));
        catalog.post.push(Statement::new(Kind::Constraint, &constraint.name, constraint.sql));
        catalog.post.extend(off);
    }
}

/// The views that are made again.
fn views(talk: &mut dyn Talk, code: &Code, catalog: &mut Catalog) -> Result<BTreeSet<i64>> {
    let sql = "SELECT CONVERT(bigint, v.object_id) AS object_id, SCHEMA_NAME(v.schema_id) AS schema_name, v.name AS name, \
        m.definition AS definition, CONVERT(int, m.uses_ansi_nulls) AS uses_ansi_nulls, \
        CONVERT(int, m.uses_quoted_identifier) AS uses_quoted_identifier \
        FROM sys.views AS v LEFT JOIN sys.sql_modules AS m ON m.object_id = v.object_id WHERE v.is_ms_shipped = 0 ORDER BY v.object_id";
    let mut made = BTreeSet::new();
    for row in ask(talk, "read views", sql)?.rows() {
        let id = number(&row, "object_id").unwrap_or(0);
        let why = match row.get("definition") {
            None => "the server does not show its text",
            Some(_) if code.has(id) => "it needs code that is not covered",
            Some(definition) => {
                made.insert(id);
                let setting = setting(row.is_set("uses_ansi_nulls"), row.is_set("uses_quoted_identifier"));
                catalog
                    .post
                    .push(Statement { setting, ..Statement::new(Kind::View, title(&row), definition.to_owned()) });
                continue;
            }
        };
        catalog.not_covered.push(format!("view {}: {why}", title(&row)));
    }
    Ok(made)
}

/// What a text means depends on the settings with which it was written; those of every session are ON.
fn setting(ansi_nulls: bool, quoted_identifier: bool) -> Option<String> {
    let word = |is_on: bool| if is_on { "ON" } else { "OFF" };
    let (nulls, quotes) = (word(ansi_nulls), word(quoted_identifier));
    (!ansi_nulls || !quoted_identifier).then(|| format!("SET ANSI_NULLS {nulls}; SET QUOTED_IDENTIFIER {quotes}"))
}

/// Where counting goes on. A table that never had a row begins with the value that it is told, another one goes on after it.
fn counter(table: &Table, column: &SqlColumn, catalog: &mut Catalog) {
    let Some(identity) = &column.identity else { return };
    let Some(last) = identity.last else { return };
    let (own, quoted) = (table_name(table), text(&table_name(table)));
    let check = |value: i128| format!("DBCC CHECKIDENT ({quoted}, RESEED, {value}) WITH NO_INFOMSGS");
    let (filled, empty) = (check(last), check(last + identity.increment));
    let sql = format!("IF EXISTS (SELECT 1 FROM {own}) {filled} ELSE {empty}");
    catalog.post.push(Statement::new(Kind::Value, table.title(), sql));
}

/// Objects, and columns of tables, that need functions, synonyms or the like.
#[derive(Debug, Default)]
struct Code {
    objects: BTreeSet<i64>,
    parts: BTreeSet<(i64, i64)>,
}

impl Code {
    fn has(&self, object: i64) -> bool {
        self.objects.contains(&object)
    }

    fn has_part(&self, object: i64, number: i64) -> bool {
        self.parts.contains(&(object, number))
    }
}

/// What needs code that is not covered, by itself or through views.
fn needs_code(talk: &mut dyn Talk) -> Result<Code> {
    let sql = "SELECT CONVERT(bigint, d.referencing_id) AS object_id, CONVERT(int, d.referencing_minor_id) AS part, \
        CONVERT(bigint, d.referenced_id) AS referenced_id, o.type AS type \
        FROM sys.sql_expression_dependencies AS d JOIN sys.objects AS o ON o.object_id = d.referenced_id \
        WHERE o.type IN ('FN', 'IF', 'TF', 'FS', 'FT', 'AF', 'SN', 'V')";
    let answer = ask(talk, "read what depends on code", sql)?;
    let needs: Vec<(i64, i64, i64, bool)> = answer
        .rows()
        .map(|row| {
            let id = |column: &str| number(&row, column).unwrap_or(0);
            (id("object_id"), id("part"), id("referenced_id"), row.text("type").trim() == "V")
        })
        .collect();
    let mut code = Code::default();
    loop {
        let before = code.objects.len() + code.parts.len();
        for (object, part, referenced, is_view) in &needs {
            if !is_view || code.has(*referenced) {
                if *part == 0 {
                    code.objects.insert(*object)
                } else {
                    code.parts.insert((*object, *part))
                };
            }
        }
        if code.objects.len() + code.parts.len() == before {
            return Ok(code);
        }
    }
}
