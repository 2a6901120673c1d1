//! The columns of all tables, as `sys.columns` has them.

use super::words::{IDENTITY, encoding};
use super::{Result, ask};
use crate::logical::catalog::Column;
use crate::sqlserver::talk::{Row, Talk};
use crate::sqlserver::tsql::name;

/// A column of a table.
#[derive(Debug, Clone)]
pub(super) struct SqlColumn {
    pub(super) table: i64,
    pub(super) number: i64,
    pub(super) name: String,
    /// The server's own type, with its length, precision and scale.
    pub(super) full_type: String,
    /// The type that the user gave that one a name by.
    alias: Option<String>,
    pub(super) special: Special,
    is_nullable: bool,
    collation: Option<String>,
    pub(super) identity: Option<Identity>,
    pub(super) default: Option<Default>,
    is_sparse: bool,
    is_rowguid: bool,
}

/// What makes a column's values no rows of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Special {
    None,
    /// The server computes them.
    Computed {
        definition: String,
        is_persisted: bool,
    },
    /// The server counts changes of the row.
    RowVersion,
    /// They are those of other columns.
    ColumnSet,
    /// They are of a type of the user's own code.
    UserClr,
    /// Only clients with a key can read them.
    Encrypted,
}

/// How the server counts.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) seed: i128,
    pub(super) increment: i128,
    /// None while nothing was counted.
    pub(super) last: Option<i128>,
}

#[derive(Debug, Clone)]
pub(super) struct Default {
    pub(super) object: i64,
    pub(super) name: String,
    pub(super) definition: String,
}

const COLUMNS: &str = "SELECT CONVERT(bigint, c.object_id) AS object_id, CONVERT(int, c.column_id) AS column_id, c.name AS name, \
    CASE WHEN u.is_assembly_type = 1 THEN u.name ELSE b.name END AS type, \
    CASE WHEN u.is_user_defined = 1 AND u.is_assembly_type = 0 THEN SCHEMA_NAME(u.schema_id) END AS alias_schema, u.name AS alias_name, \
    CONVERT(int, c.max_length) AS max_length, CONVERT(int, c.precision) AS precision, CONVERT(int, c.scale) AS scale, \
    CONVERT(int, c.is_nullable) AS is_nullable, c.collation_name AS collation, \
    CONVERT(int, c.is_sparse) AS is_sparse, CONVERT(int, c.is_rowguidcol) AS is_rowguidcol, CONVERT(int, c.is_column_set) AS is_column_set, \
    CONVERT(int, c.encryption_type) AS encryption_type, \
    CASE WHEN u.is_user_defined = 1 AND u.is_assembly_type = 1 THEN 1 ELSE 0 END AS is_user_clr, \
    k.definition AS computed, CONVERT(int, k.is_persisted) AS is_persisted, \
    CONVERT(nvarchar(41), CONVERT(decimal(38,0), n.seed_value)) AS seed, \
    CONVERT(nvarchar(41), CONVERT(decimal(38,0), n.increment_value)) AS increment, \
    CONVERT(nvarchar(41), CONVERT(decimal(38,0), n.last_value)) AS last_value, \
    CONVERT(bigint, d.object_id) AS default_id, d.name AS default_name, d.definition AS default_definition \
    FROM sys.columns AS c JOIN sys.tables AS t ON t.object_id = c.object_id \
    JOIN sys.types AS u ON u.user_type_id = c.user_type_id LEFT JOIN sys.types AS b ON b.user_type_id = c.system_type_id \
    LEFT JOIN sys.computed_columns AS k ON k.object_id = c.object_id AND k.column_id = c.column_id \
    LEFT JOIN sys.identity_columns AS n ON n.object_id = c.object_id AND n.column_id = c.column_id \
    LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id \
    WHERE t.is_ms_shipped = 0 ORDER BY c.object_id, c.column_id";

/// Reads those of all tables.
pub(super) fn read(talk: &mut dyn Talk) -> Result<Vec<SqlColumn>> {
    Ok(ask(talk, "read columns", COLUMNS)?.rows().map(|row| column(&row)).collect())
}

pub(super) fn number(row: &Row<'_>, column: &str) -> Option<i64> {
    row.get(column)?.parse().ok()
}

fn column(row: &Row<'_>) -> SqlColumn {
    let whole = |column: &str| row.get(column)?.parse::<i128>().ok();
    let (length, precision, scale) = (number(row, "max_length"), row.text("precision"), row.text("scale"));
    let alias = row.get("alias_schema").map(|schema| format!("{}.{}", name(schema), name(&row.text("alias_name"))));
    let default = |definition: &str| Default {
        object: number(row, "default_id").unwrap_or(0),
        name: row.text("default_name"),
        definition: definition.to_owned(),
    };
    SqlColumn {
        table: number(row, "object_id").unwrap_or(0),
        number: number(row, "column_id").unwrap_or(0),
        name: row.text("name"),
        full_type: full_type(&row.text("type"), length.unwrap_or(0), &precision, &scale),
        alias,
        special: special(row),
        is_nullable: row.is_set("is_nullable"),
        collation: row.get("collation").map(str::to_owned),
        identity: whole("seed").zip(whole("increment")).map(|(seed, increment)| Identity {
            seed,
            increment,
            last: whole("last_value"),
        }),
        default: row.get("default_definition").map(default),
        is_sparse: row.is_set("is_sparse"),
        is_rowguid: row.is_set("is_rowguidcol"),
    }
}

fn special(row: &Row<'_>) -> Special {
    if let Some(definition) = row.get("computed") {
        return Special::Computed { definition: definition.to_owned(), is_persisted: row.is_set("is_persisted") };
    }
    match row.get("type") {
        _ if row.is_set("is_user_clr") => Special::UserClr,
        _ if row.is_set("is_column_set") => Special::ColumnSet,
        _ if row.is_set("encryption_type") => Special::Encrypted,
        Some("timestamp") => Special::RowVersion,
        _ => Special::None,
    }
}

/// The type as a statement has it.
pub(super) fn full_type(base: &str, length: i64, precision: &str, scale: &str) -> String {
    match base {
        "char" | "varchar" | "nchar" | "nvarchar" | "binary" | "varbinary" if length < 0 => format!("{base}(max)"),
        "nchar" | "nvarchar" => format!("{base}({})", length / 2),
        "char" | "varchar" | "binary" | "varbinary" => format!("{base}({length})"),
        "decimal" | "numeric" => format!("{base}({precision},{scale})"),
        "time" | "datetime2" | "datetimeoffset" => format!("{base}({scale})"),
        "timestamp" => "rowversion".to_owned(),
        _ => base.to_owned(),
    }
}

impl SqlColumn {
    /// As a column of the rows of a dump.
    pub(super) fn in_rows(&self) -> Column {
        let counted = if self.identity.is_some() { IDENTITY } else { "" };
        let (encoding, limit) = encoding(&self.full_type);
        Column { name: self.name.clone(), declared: format!("{}{counted}", self.full_type), encoding, limit }
    }

    /// Its definition in CREATE TABLE. `default` tells whether its default can be made again.
    pub(super) fn definition(&self, with_default: bool) -> String {
        let mut sql = name(&self.name);
        if let Special::Computed { definition, is_persisted } = &self.special {
            sql += &format!(" AS {definition}");
            if *is_persisted {
                sql += if self.is_nullable { " PERSISTED" } else { " PERSISTED NOT NULL" };
            }
            return sql;
        }
        sql += &format!(" {}", self.alias.as_ref().unwrap_or(&self.full_type));
        if self.special == Special::ColumnSet {
            return sql + " COLUMN_SET FOR ALL_SPARSE_COLUMNS";
        }
        if let Some(collation) = self.collation.as_ref().filter(|_| self.alias.is_none()) {
            sql += &format!(" COLLATE {collation}");
        }
        if self.is_sparse {
            sql += " SPARSE";
        }
        if let Some(default) = self.default.as_ref().filter(|_| with_default) {
            sql += &format!(" CONSTRAINT {} DEFAULT {}", name(&default.name), default.definition);
        }
        if let Some(identity) = &self.identity {
            sql += &format!(" IDENTITY({},{})", identity.seed, identity.increment);
        }
        sql += if self.is_nullable { " NULL" } else { " NOT NULL" };
        if self.is_rowguid {
            sql += " ROWGUIDCOL";
        }
        sql
    }
}
