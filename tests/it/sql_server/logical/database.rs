//! A scripted database of two tables, a view and a sequence.

use tds_server::{Column, Script, Step, Type, Value, done, table};

/// The name that the scripted server gives to everything that needs a new one.
pub(super) const RUN: &str = "0123456789abcdef0123456789abcdef";

/// A table of columns whose types are those of their first values.
pub(super) fn answer(columns: &[&str], rows: Vec<Vec<Value>>) -> Vec<Step> {
    let kind = |n: usize| match rows.iter().map(|row| &row[n]).find(|value| **value != Value::Null) {
        Some(Value::Int(_)) => Type::BigInt,
        Some(Value::Bytes(_)) => Type::VarBinaryMax,
        Some(Value::Text(text)) if text.encode_utf16().count() > 4000 => Type::NVarCharMax,
        _ => Type::NVarChar(4000),
    };
    let columns = columns.iter().enumerate().map(|(n, name)| Column::new(name, kind(n))).collect();
    vec![table(columns, rows), done()]
}

/// No rows.
fn nothing() -> Vec<Step> {
    answer(&["nothing"], Vec::new())
}

/// A server that is ready to be dumped from, with a database of nothing.
pub(super) fn empty() -> Script {
    Script::new()
        .on("SELECT DB_NAME() AS name", about(1))
        .on_part("AS probe", answer(&["probe", "bytes"], vec![vec!["ä€😀".into(), "E400AC203DD800DE".into()]]))
        .on("SELECT HAS_PERMS_BY_NAME", may(1, 0, 0))
        .on_part("source_database_id = DB_ID() AND LEFT(", answer(&["name"], Vec::new()))
        .on("DECLARE @taken", answer(&["taken"], vec![vec![Value::Int(0)]]))
        .on_part("NEWID()", answer(&["id"], vec![vec![RUN.into()]]))
        .on_part(
            "sys.database_files",
            answer(
                &["name", "physical_name"],
                vec![vec!["CM_P01".into(), r"E:\data\CM_P01.mdf".into()], vec!["it's ]".into(), r"F:\more.ndf".into()]],
            ),
        )
        .on("CREATE DATABASE", vec![done()])
        .on("IF EXISTS (SELECT 1 FROM sys.databases", vec![done()])
        .on(
            "SELECT N'procedures'",
            answer(
                &["what", "n"],
                vec![vec!["procedures".into(), Value::Int(3)], vec!["functions".into(), Value::Int(0)]],
            ),
        )
        .on_part("FROM sys.schemas AS s WHERE", nothing())
        .on_part("FROM sys.types AS u", nothing())
        .on_part("FROM sys.sequences AS q", nothing())
        .on_part("FROM sys.sql_expression_dependencies", nothing())
        .on_part("FROM sys.indexes AS i JOIN sys.objects", nothing())
        .on_part("FROM sys.columns AS c", nothing())
        .on_part("FROM sys.tables AS t WHERE t.is_ms_shipped = 0 AND t.is_external = 0 AND t.is_filetable", nothing())
        .on_part("FROM sys.check_constraints", nothing())
        .on_part("FROM sys.foreign_keys", nothing())
        .on_part("FROM sys.views AS v", nothing())
}

pub(super) fn about(snapshot_isolation: i128) -> Vec<Step> {
    answer(
        &["name", "id", "version", "edition", "snapshot_isolation", "some_table"],
        vec![vec![
            "CM_P01".into(),
            Value::Int(7),
            "16.0.4135.4".into(),
            "Standard Edition (64-bit)".into(),
            Value::Int(snapshot_isolation),
            "[dbo].[Kinds]".into(),
        ]],
    )
}

pub(super) fn may(see: i128, masked: i128, policies: i128) -> Vec<Step> {
    let values = [see, see, 0, masked, policies].map(Value::Int).to_vec();
    answer(&["may_see", "may_read", "may_unmask", "masked", "policies"], vec![values])
}

/// A column of a table: its number, name, type, length, precision and scale.
pub(super) type Declared = (i128, &'static str, &'static str, i128, i128, i128);

/// A type, and a value as the server's CONVERT makes it.
pub(super) fn kinds() -> Vec<(Declared, Value)> {
    let text = |text: &str| Value::from(text);
    vec![
        ((1, "id", "bigint", 8, 19, 0), text("-9223372036854775808")),
        ((2, "bit", "bit", 1, 1, 0), text("1")),
        ((3, "tiny", "tinyint", 1, 3, 0), text("255")),
        ((4, "dec", "decimal", 17, 38, 10), text("-9999999999999999999999999999.9999999999")),
        ((5, "money", "money", 8, 19, 4), text("-922337203685477.5808")),
        ((6, "float", "float", 8, 53, 0), text("-1.7976931348623157e+308")),
        ((7, "real", "real", 4, 24, 0), text("1.1754943508222875e-038")),
        ((8, "date", "date", 3, 10, 0), text("0001-01-01")),
        ((9, "time", "time", 5, 16, 7), text("23:59:59.9999999")),
        ((10, "dt", "datetime", 8, 23, 3), text("1753-01-01 00:00:00.003")),
        ((11, "small", "smalldatetime", 4, 16, 0), text("2079-06-06 23:59:00.000")),
        ((12, "dt2", "datetime2", 7, 23, 3), text("9999-12-31 23:59:59.999")),
        ((13, "dto", "datetimeoffset", 10, 34, 7), text("0001-01-01 00:00:00.0000000 -14:00")),
        ((14, "guid", "uniqueidentifier", 16, 0, 0), text("33221100-5544-7766-8899-AABBCCDDEEFF")),
        ((15, "char", "char", 4, 0, 0), text("é   ")),
        ((16, "varchar", "varchar", 8000, 0, 0), text("'Größe'")),
        ((17, "nvarchar", "nvarchar", 8000, 0, 0), text("tab\tline\r\n🦀 '\\ N\0")),
        ((18, "empty", "nvarchar", 20, 0, 0), text("")),
        ((19, "bin", "binary", 4, 0, 0), text("FF000000")),
        ((20, "vbin", "varbinary", 8000, 0, 0), Value::Bytes(vec![0, 255, 16])),
        ((21, "hid", "hierarchyid", 892, 0, 0), text("5AC0")),
        (
            (22, "variant", "sql_variant", 8016, 0, 0),
            text("CONVERT(sql_variant, CONVERT(datetime2(7), N'2026-11-25 21:05:06.1234567'))"),
        ),
        ((23, "xml", "xml", -1, 0, 0), text("<a>\n ü🦀 </a>")),
        ((24, "geo", "geography", -1, 0, 0), Value::Bytes(vec![0xE6, 0x10, 0, 0])),
        ((25, "max", "nvarchar", -1, 0, 0), Value::Text("漢🦀ü'\0\t".repeat(40_000))),
        ((26, "vmax", "varbinary", -1, 0, 0), Value::Bytes((0..=255).cycle().take(900_001).collect())),
    ]
}

/// Names of a column's row in the catalog.
const COLUMN: [&str; 16] = [
    "object_id",
    "column_id",
    "name",
    "type",
    "max_length",
    "precision",
    "scale",
    "is_nullable",
    "collation",
    "seed",
    "increment",
    "last_value",
    "computed",
    "default_id",
    "default_name",
    "default_definition",
];

fn column(table: i128, (number, name, kind, length, precision, scale): Declared) -> Vec<Value> {
    let collation = if kind.ends_with("char") { "SQL_Latin1_General_CP1_CI_AS".into() } else { Value::Null };
    let numbers = [length, precision, scale, 1].map(Value::Int);
    let mut row = vec![Value::Int(table), Value::Int(number), name.into(), kind.into()];
    row.extend(numbers);
    row.push(collation);
    row.resize(COLUMN.len(), Value::Null);
    row
}

/// The table of short values, which is read many rows at once.
pub(super) fn sites() -> Vec<Vec<Value>> {
    (1..=5000_i128)
        .map(|n| {
            let name = if n % 7 == 0 {
                Value::Null
            } else {
                Value::Text(format!("Größe {n} 🦀 ' \\ \t{}", "x".repeat(usize::try_from(n % 300).unwrap_or(0))))
            };
            vec![Value::Text(n.to_string()), name]
        })
        .collect()
}

fn index_row(
    object: i128,
    id: i128,
    table: &str,
    name: &str,
    is_key: bool,
    column: &str,
    included: i128,
) -> Vec<Value> {
    let number = |n: bool| Value::Int(i128::from(n));
    vec![
        Value::Int(object),
        Value::Int(id),
        "U ".into(),
        "dbo".into(),
        table.into(),
        name.into(),
        Value::Int(if id == 1 { 1 } else { 2 }),
        number(is_key),
        number(!is_key),
        if is_key { Value::Null } else { "([Name] IS NOT NULL)".into() },
        column.into(),
        number(id == 2),
        Value::Int(included),
    ]
}

const INDEX: [&str; 13] = [
    "object_id",
    "index_id",
    "object_type",
    "table_schema",
    "table_name",
    "name",
    "type",
    "is_primary_key",
    "is_unique",
    "filter_definition",
    "column_name",
    "is_descending_key",
    "is_included_column",
];

/// The scripted database.
pub(super) fn database() -> Script {
    let mut columns: Vec<Vec<Value>> = kinds().iter().map(|(declared, _)| column(100, *declared)).collect();
    columns.push(column(100, (27, "rv", "timestamp", 8, 0, 0)));
    let mut counted = column(200, (1, "ID", "int", 4, 10, 0));
    counted[7] = Value::Int(0);
    counted[9..12].clone_from_slice(&["1".into(), "2".into(), "9001".into()]);
    let mut named = column(200, (2, "Name", "nvarchar", 800, 0, 0));
    named[13..16].clone_from_slice(&[Value::Int(900), "DF_it's".into(), "(N'?')".into()]);
    let mut computed = column(200, (3, "Twice", "int", 4, 10, 0));
    computed[12] = "([ID]*(2))".into();
    columns.extend([counted, named, computed]);

    let view = "CREATE VIEW sms.V AS -- what?\nSELECT '?' AS q, [ID] FROM dbo.[Sites ]]']";
    empty()
        .on_part("FROM sys.schemas AS s WHERE", answer(&["name"], vec![vec!["sms".into()]]))
        .on_part(
            "FROM sys.sequences AS q",
            answer(
                &[
                    "schema_name",
                    "name",
                    "type",
                    "precision",
                    "start_value",
                    "increment",
                    "minimum_value",
                    "maximum_value",
                    "current_value",
                    "is_cycling",
                    "is_cached",
                    "cache_size",
                ],
                vec![vec![
                    "sms".into(),
                    "S".into(),
                    "int".into(),
                    Value::Int(10),
                    "1".into(),
                    "5".into(),
                    "1".into(),
                    "2147483647".into(),
                    "36".into(),
                    Value::Int(0),
                    Value::Int(1),
                    Value::Null,
                ]],
            ),
        )
        .on_part("FROM sys.columns AS c", answer(&COLUMN, columns))
        .on_part(
            "FROM sys.tables AS t WHERE t.is_ms_shipped = 0 AND t.is_external = 0 AND t.is_filetable",
            answer(
                &["object_id", "schema_name", "name", "pages"],
                vec![
                    vec![Value::Int(100), "dbo".into(), "Kinds".into(), Value::Int(4)],
                    vec![Value::Int(200), "dbo".into(), "Sites ]'".into(), Value::Int(1 << 20)],
                ],
            ),
        )
        .on_part(
            "FROM sys.indexes AS i JOIN sys.objects",
            answer(
                &INDEX,
                vec![
                    index_row(200, 1, "Sites ]'", "PK_Sites", true, "ID", 0),
                    index_row(200, 2, "Sites ]'", "IX_Name", false, "Name", 0),
                    index_row(200, 2, "Sites ]'", "IX_Name", false, "ID", 1),
                ],
            ),
        )
        .on_part(
            "FROM sys.views AS v",
            answer(
                &["object_id", "schema_name", "name", "definition", "uses_ansi_nulls", "uses_quoted_identifier"],
                vec![
                    vec![Value::Int(300), "sms".into(), "V".into(), view.into(), Value::Int(1), Value::Int(0)],
                    vec![Value::Int(301), "sms".into(), "Hidden".into(), Value::Null, Value::Null, Value::Null],
                ],
            ),
        )
        .on("SELECT CONVERT(bigint, COUNT_BIG(*)) AS n FROM [dbo].[Kinds]", count(2))
        .when(|sql| {
            let wanted = sql.starts_with("SELECT CONVERT(bigint, COUNT_BIG(*)) AS n FROM [dbo].[Sites ]]']");
            wanted.then(|| count(range(sql).len()))
        })
        .on("SELECT CONVERT(bigint, MIN([ID]))", answer(&["low", "high"], vec![vec![Value::Int(1), Value::Int(5000)]]))
        .when(|sql| {
            let wanted = sql.starts_with("SELECT ")
                && sql.contains(" FROM [dbo].[Kinds]")
                && sql.contains("CONVERT(varchar(20), [id])");
            wanted.then(|| {
                kinds_answer(&[kinds().into_iter().map(|(_, value)| value).collect(), vec![Value::Null; kinds().len()]])
            })
        })
        .when(|sql| {
            let wanted = sql.starts_with("SELECT CONVERT(varchar(20), [ID]), [Name] FROM [dbo].[Sites ]]']");
            wanted.then(|| answer(&["a", "b"], range(sql)))
        })
}

pub(super) fn count(rows: usize) -> Vec<Step> {
    answer(&["n"], vec![vec![Value::Int(rows as i128)]])
}

/// Rows of the first table.
pub(super) fn kinds_answer(rows: &[Vec<Value>]) -> Vec<Step> {
    let columns = kinds().iter().map(|(declared, value)| Column::new(declared.1, on_the_wire(value))).collect();
    vec![table(columns, rows.to_vec()), done()]
}

fn on_the_wire(value: &Value) -> Type {
    match value {
        Value::Bytes(_) => Type::VarBinaryMax,
        Value::Text(text) if text.len() > 4000 => Type::NVarCharMax,
        _ => Type::NVarChar(4000),
    }
}

/// The sites that a query with a range asks for.
fn range(sql: &str) -> Vec<Vec<Value>> {
    let bound = |mark: &str| sql.split(mark).nth(1)?.split(' ').next()?.parse::<usize>().ok();
    let (from, to) = (bound("[ID] >= ").unwrap_or(0), bound("[ID] < ").unwrap_or(usize::MAX));
    let number =
        |row: &Vec<Value>| if let Value::Text(text) = &row[0] { text.parse::<usize>().unwrap_or(0) } else { 0 };
    sites().into_iter().filter(|row| (from..to).contains(&number(row))).collect()
}
