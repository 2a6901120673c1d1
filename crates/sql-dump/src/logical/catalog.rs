//! What a database consists of, as its own catalog tells: statements that make it, and tables with their columns.

use serde::{Deserialize, Serialize};

/// All that a dump holds besides rows. Written as `schema/catalog.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    /// Statements before the rows, in order.
    pub(crate) pre: Vec<Statement>,
    /// Statements after the rows, in order.
    pub(crate) post: Vec<Statement>,
    /// The tables whose rows are in the dump.
    pub(crate) tables: Vec<Table>,
    /// What the database has and the dump has not, one line each.
    pub(crate) not_covered: Vec<String>,
    /// Data that the database has and the dump has not, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lost: Vec<String>,
}

/// One statement in the dialect of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    /// What it makes.
    pub(crate) kind: Kind,
    /// Of which object, for messages.
    pub(crate) name: String,
    /// The statement, without an end mark.
    pub(crate) sql: String,
    /// A statement that makes the session's settings fit, for this statement alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) setting: Option<String>,
}

impl Statement {
    /// One that every session's settings fit.
    pub(crate) fn new(kind: Kind, name: impl Into<String>, sql: String) -> Self {
        Self { kind, name: name.into(), sql, setting: None }
    }
}

/// What a statement makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A schema, an extension or the like.
    Container,
    /// A type or a domain.
    Type,
    /// A sequence.
    Sequence,
    /// A table, or what ties it to another one as a part.
    Table,
    /// A key, a check or a foreign key.
    Constraint,
    /// An index.
    Index,
    /// A function or procedure.
    Routine,
    /// A view, plain or materialized.
    View,
    /// A trigger.
    Trigger,
    /// What runs by itself at its time: last, for it may change rows.
    Event,
    /// A setting such as the next value of a sequence.
    Value,
    /// A comment.
    Comment,
}

/// A table whose rows are in the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// The schema, where the dialect has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// The columns of its rows in the dump, in order. Computed columns are not among them.
    pub(crate) columns: Vec<Column>,
    /// The columns of the key by which rows are found, as places in `columns`; empty where there is none.
    pub(crate) key: Vec<usize>,
    /// Bytes that the server says it has, for the order of work.
    pub(crate) size: u64,
    /// Computed columns of SQLite that have taken a name of its row number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) taken: Vec<String>,
}

impl Table {
    /// The name for messages.
    pub(crate) fn title(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its type in the words of the server's catalog.
    pub(crate) declared: String,
    /// How its values stand in the rows of the dump.
    pub(crate) encoding: Encoding,
    /// The most bytes that a value has where the type limits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

/// How values stand in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encoding {
    /// The server's text of a number: digits, sign, point, exponent.
    Number,
    /// The server's text.
    Text,
    /// `\\x` and hexadecimal digits.
    Binary,
    /// A literal of the dialect, which tells the type of the value too.
    Literal,
}
