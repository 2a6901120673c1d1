//! Keys, indexes, checks and foreign keys, as statements.

use super::columns::number;
use super::{Result, ask};
use crate::sqlserver::talk::{Row, Talk};
use crate::sqlserver::tsql::name;

/// A key or an index.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) object: i64,
    pub(super) is_of_view: bool,
    pub(super) is_primary_key: bool,
    is_constraint: bool,
    is_unique: bool,
    is_disabled: bool,
    kind: i64,
    table: String,
    pub(super) name: String,
    filter: Option<String>,
    options: Vec<String>,
    pub(super) columns: Vec<IndexColumn>,
}

#[derive(Debug, Clone)]
pub(super) struct IndexColumn {
    pub(super) name: String,
    is_descending: bool,
    is_included: bool,
}

/// Clustered and not, and the same two of columnstore.
const CLUSTERED: i64 = 1;
const CLUSTERED_COLUMNSTORE: i64 = 5;
const COLUMNSTORE: i64 = 6;

const INDEXES: &str = "SELECT CONVERT(bigint, i.object_id) AS object_id, CONVERT(int, i.index_id) AS index_id, o.type AS object_type, \
    SCHEMA_NAME(o.schema_id) AS table_schema, o.name AS table_name, i.name AS name, CONVERT(int, i.type) AS type, \
    CONVERT(int, i.is_primary_key) AS is_primary_key, CONVERT(int, i.is_unique_constraint) AS is_unique_constraint, \
    CONVERT(int, i.is_unique) AS is_unique, CONVERT(int, i.is_disabled) AS is_disabled, i.filter_definition AS filter_definition, \
    CONVERT(int, i.ignore_dup_key) AS ignore_dup_key, CONVERT(int, i.fill_factor) AS fill_factor, CONVERT(int, i.is_padded) AS is_padded, \
    c.name AS column_name, CONVERT(int, ic.is_descending_key) AS is_descending_key, CONVERT(int, ic.is_included_column) AS is_included_column \
    FROM sys.indexes AS i JOIN sys.objects AS o ON o.object_id = i.object_id \
    JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id \
    JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id \
    WHERE o.is_ms_shipped = 0 AND o.type IN ('U', 'V') AND i.type IN (1, 2, 5, 6) AND i.is_hypothetical = 0 \
    AND (ic.key_ordinal > 0 OR ic.is_included_column = 1) \
    ORDER BY i.object_id, i.index_id, ic.is_included_column, ic.key_ordinal, ic.index_column_id";

/// Reads them; those that order the rows come first, for the others are built anew when one is made.
pub(super) fn indexes(talk: &mut dyn Talk) -> Result<Vec<Index>> {
    let answer = ask(talk, "read indexes", INDEXES)?;
    let mut indexes: Vec<(Option<i64>, Index)> = Vec::new();
    for row in answer.rows() {
        let column = IndexColumn {
            name: row.text("column_name"),
            is_descending: row.is_set("is_descending_key"),
            is_included: row.is_set("is_included_column"),
        };
        let (object, id) = (number(&row, "object_id").unwrap_or(0), number(&row, "index_id"));
        match indexes.last_mut().filter(|(last, index)| *last == id && index.object == object) {
            Some((_, index)) => index.columns.push(column),
            None => indexes.push((id, index(&row, object, column))),
        }
    }
    let mut indexes: Vec<Index> = indexes.into_iter().map(|(_, index)| index).collect();
    indexes.sort_by_key(|index| !matches!(index.kind, CLUSTERED | CLUSTERED_COLUMNSTORE));
    Ok(indexes)
}

fn index(row: &Row<'_>, object: i64, column: IndexColumn) -> Index {
    let mut options = Vec::new();
    if row.is_set("is_padded") {
        options.push("PAD_INDEX = ON".to_owned());
    }
    if let Some(factor) = number(row, "fill_factor").filter(|factor| (1..100).contains(factor)) {
        options.push(format!("FILLFACTOR = {factor}"));
    }
    if row.is_set("ignore_dup_key") {
        options.push("IGNORE_DUP_KEY = ON".to_owned());
    }
    Index {
        object,
        is_of_view: row.text("object_type").trim() == "V",
        is_primary_key: row.is_set("is_primary_key"),
        is_constraint: row.is_set("is_primary_key") || row.is_set("is_unique_constraint"),
        is_unique: row.is_set("is_unique"),
        is_disabled: row.is_set("is_disabled"),
        kind: number(row, "type").unwrap_or(0),
        table: format!("{}.{}", name(&row.text("table_schema")), name(&row.text("table_name"))),
        name: row.text("name"),
        filter: row.get("filter_definition").map(str::to_owned),
        options,
        columns: vec![column],
    }
}

impl Index {
    pub(super) fn is_key(&self) -> bool {
        self.is_constraint
    }

    pub(super) fn sql(&self) -> String {
        let (table, name) = (&self.table, name(&self.name));
        let mut sql = match self.kind {
            CLUSTERED_COLUMNSTORE => return format!("CREATE CLUSTERED COLUMNSTORE INDEX {name} ON {table}"),
            COLUMNSTORE => {
                format!("CREATE NONCLUSTERED COLUMNSTORE INDEX {name} ON {table} ({})", self.list(|_| true, false))
            }
            _ if self.is_constraint => {
                let kind = if self.is_primary_key { "PRIMARY KEY" } else { "UNIQUE" };
                format!("ALTER TABLE {table} ADD CONSTRAINT {name} {kind} {} ({})", self.order(), self.keys())
            }
            _ => {
                let unique = if self.is_unique { "UNIQUE " } else { "" };
                format!("CREATE {unique}{} INDEX {name} ON {table} ({})", self.order(), self.keys())
            }
        };
        if self.kind != COLUMNSTORE && self.columns.iter().any(|column| column.is_included) {
            sql += &format!(" INCLUDE ({})", self.list(|column| column.is_included, false));
        }
        if let Some(filter) = &self.filter {
            sql += &format!(" WHERE {filter}");
        }
        if !self.options.is_empty() {
            sql += &format!(" WITH ({})", self.options.join(", "));
        }
        sql
    }

    /// What switches it off, where it is.
    pub(super) fn disabling(&self) -> Option<String> {
        self.is_disabled.then(|| format!("ALTER INDEX {} ON {} DISABLE", name(&self.name), self.table))
    }

    fn order(&self) -> &'static str {
        if self.kind == CLUSTERED { "CLUSTERED" } else { "NONCLUSTERED" }
    }

    fn keys(&self) -> String {
        self.list(|column| !column.is_included, true)
    }

    fn list(&self, wanted: impl Fn(&IndexColumn) -> bool, with_order: bool) -> String {
        let column = |column: &IndexColumn| {
            let descending = if with_order && column.is_descending { " DESC" } else { "" };
            format!("{}{descending}", name(&column.name))
        };
        self.columns.iter().filter(|column| wanted(column)).map(column).collect::<Vec<_>>().join(", ")
    }
}

/// A check or a foreign key.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    pub(super) object: i64,
    pub(super) name: String,
    pub(super) sql: String,
    pub(super) disabling: Option<String>,
}

const CHECKS: &str = "SELECT CONVERT(bigint, k.object_id) AS object_id, k.name AS name, SCHEMA_NAME(t.schema_id) AS table_schema, \
    t.name AS table_name, k.definition AS definition, CONVERT(int, k.is_not_trusted) AS is_not_trusted, \
    CONVERT(int, k.is_disabled) AS is_disabled, CONVERT(int, k.is_not_for_replication) AS is_not_for_replication \
    FROM sys.check_constraints AS k JOIN sys.tables AS t ON t.object_id = k.parent_object_id \
    WHERE t.is_ms_shipped = 0 ORDER BY k.object_id";

pub(super) fn checks(talk: &mut dyn Talk) -> Result<Vec<Constraint>> {
    let answer = ask(talk, "read checks", CHECKS)?;
    let check = |row: Row<'_>| constraint(&row, &format!("CHECK{} {}", replication(&row), row.text("definition")));
    Ok(answer.rows().map(check).collect())
}

fn replication(row: &Row<'_>) -> &'static str {
    if row.is_set("is_not_for_replication") { " NOT FOR REPLICATION" } else { "" }
}

/// Added as the server had it: proven against all rows or not, in force or not.
fn constraint(row: &Row<'_>, what: &str) -> Constraint {
    let table = format!("{}.{}", name(&row.text("table_schema")), name(&row.text("table_name")));
    let own = name(&row.text("name"));
    let check = if row.is_set("is_not_trusted") || row.is_set("is_disabled") { "NOCHECK" } else { "CHECK" };
    Constraint {
        object: number(row, "object_id").unwrap_or(0),
        name: row.text("name"),
        sql: format!("ALTER TABLE {table} WITH {check} ADD CONSTRAINT {own} {what}"),
        disabling: row.is_set("is_disabled").then(|| format!("ALTER TABLE {table} NOCHECK CONSTRAINT {own}")),
    }
}

const FOREIGN_KEYS: &str = "SELECT CONVERT(bigint, f.object_id) AS object_id, f.name AS name, SCHEMA_NAME(t.schema_id) AS table_schema, \
    t.name AS table_name, SCHEMA_NAME(r.schema_id) AS other_schema, r.name AS other_name, c.name AS column_name, o.name AS other_column, \
    f.delete_referential_action_desc AS on_delete, f.update_referential_action_desc AS on_update, \
    CONVERT(int, f.is_not_trusted) AS is_not_trusted, CONVERT(int, f.is_disabled) AS is_disabled, \
    CONVERT(int, f.is_not_for_replication) AS is_not_for_replication \
    FROM sys.foreign_keys AS f JOIN sys.tables AS t ON t.object_id = f.parent_object_id JOIN sys.tables AS r ON r.object_id = f.referenced_object_id \
    JOIN sys.foreign_key_columns AS k ON k.constraint_object_id = f.object_id \
    JOIN sys.columns AS c ON c.object_id = k.parent_object_id AND c.column_id = k.parent_column_id \
    JOIN sys.columns AS o ON o.object_id = k.referenced_object_id AND o.column_id = k.referenced_column_id \
    WHERE t.is_ms_shipped = 0 ORDER BY f.object_id, k.constraint_column_id";

pub(super) fn foreign_keys(talk: &mut dyn Talk) -> Result<Vec<Constraint>> {
    let answer = ask(talk, "read foreign keys", FOREIGN_KEYS)?;
    let rows: Vec<Row<'_>> = answer.rows().collect();
    let keys = rows.chunk_by(|one, other| one.get("object_id") == other.get("object_id"));
    Ok(keys.map(foreign_key).collect())
}

fn foreign_key(rows: &[Row<'_>]) -> Constraint {
    let list = |column: &str| rows.iter().map(|row| name(&row.text(column))).collect::<Vec<_>>().join(", ");
    let row = &rows[0];
    let other = format!("{}.{}", name(&row.text("other_schema")), name(&row.text("other_name")));
    let action = |event: &str, column: &str| match row.text(column).as_str() {
        "" | "NO_ACTION" => String::new(),
        action => format!(" ON {event} {}", action.replace('_', " ")),
    };
    let what = format!(
        "FOREIGN KEY ({}) REFERENCES {other} ({}){}{}{}",
        list("column_name"),
        list("other_column"),
        action("DELETE", "on_delete"),
        action("UPDATE", "on_update"),
        replication(row)
    );
    constraint(row, &what)
}
