use insta::assert_snapshot;

use crate::logical::catalog::{Column, Table};
use crate::logical::row_text::escape;
use crate::logical::seam::Part;
use crate::sqlserver::dialect::reader::query;
use crate::sqlserver::dialect::snapshot::{creation, removal};
use crate::sqlserver::dialect::stream::Shape;
use crate::sqlserver::dialect::words::{encoding, literal, shape, shown, string};

/// Every type that a column of rows can have.
const TYPES: &[&str] = &[
    "bit",
    "tinyint",
    "bigint IDENTITY",
    "decimal(38,10)",
    "money",
    "float",
    "real",
    "date",
    "time(3)",
    "datetime2(7)",
    "datetimeoffset(0)",
    "datetime",
    "smalldatetime",
    "uniqueidentifier",
    "char(10)",
    "varchar(4000)",
    "varchar(4001)",
    "varchar(max)",
    "nchar(1)",
    "nvarchar(4000)",
    "nvarchar(max)",
    "text",
    "ntext",
    "xml",
    "binary(8)",
    "varbinary(4000)",
    "varbinary(8000)",
    "varbinary(max)",
    "image",
    "hierarchyid",
    "geography",
    "geometry",
];

fn column(declared: &str) -> Column {
    let (encoding, limit) = encoding(declared);
    Column { name: "c]".to_owned(), declared: declared.to_owned(), encoding, limit }
}

#[test]
fn each_type_is_read_as_text_or_bytes() {
    let line = |declared: &&str| {
        let column = column(declared);
        let shape = match shape(&column) {
            Shape::Short(units) => units.to_string(),
            long => format!("{long:?}"),
        };
        format!("{declared}: {shape}, {:?}, {}", column.encoding, shown(&column))
    };
    assert_snapshot!(TYPES.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    bit: 20, Number, CONVERT(varchar(20), [c]]])
    tinyint: 20, Number, CONVERT(varchar(20), [c]]])
    bigint IDENTITY: 20, Number, CONVERT(varchar(20), [c]]])
    decimal(38,10): 41, Number, CONVERT(varchar(41), [c]]])
    money: 41, Number, CONVERT(varchar(41), [c]]], 2)
    float: 41, Number, CONVERT(varchar(41), [c]]], 3)
    real: 41, Number, CONVERT(varchar(41), [c]]], 3)
    date: 40, Text, CONVERT(varchar(40), [c]]], 23)
    time(3): 40, Text, CONVERT(varchar(40), [c]]], 121)
    datetime2(7): 40, Text, CONVERT(varchar(40), [c]]], 121)
    datetimeoffset(0): 40, Text, CONVERT(varchar(40), [c]]], 121)
    datetime: 40, Text, CONVERT(varchar(40), [c]]], 121)
    smalldatetime: 40, Text, CONVERT(varchar(40), [c]]], 121)
    uniqueidentifier: 40, Text, CONVERT(varchar(40), [c]]])
    char(10): 10, Text, CONVERT(nvarchar(10), [c]]])
    varchar(4000): 4000, Text, CONVERT(nvarchar(4000), [c]]])
    varchar(4001): Text, Text, CONVERT(nvarchar(max), [c]]])
    varchar(max): Text, Text, CONVERT(nvarchar(max), [c]]])
    nchar(1): 1, Text, [c]]]
    nvarchar(4000): 4000, Text, [c]]]
    nvarchar(max): Text, Text, [c]]]
    text: Text, Text, CONVERT(nvarchar(max), [c]]])
    ntext: Text, Text, CONVERT(nvarchar(max), [c]]])
    xml: Text, Text, CONVERT(nvarchar(max), [c]]])
    binary(8): 16, Binary, CONVERT(varchar(16), [c]]], 2)
    varbinary(4000): 8000, Binary, CONVERT(varchar(8000), [c]]], 2)
    varbinary(8000): Bytes, Binary, CONVERT(varbinary(max), [c]]])
    varbinary(max): Bytes, Binary, CONVERT(varbinary(max), [c]]])
    image: Bytes, Binary, CONVERT(varbinary(max), [c]]])
    hierarchyid: 1784, Binary, CONVERT(varchar(1784), CONVERT(varbinary(892), [c]]]), 2)
    geography: Bytes, Binary, CONVERT(varbinary(max), [c]]])
    geometry: Bytes, Binary, CONVERT(varbinary(max), [c]]])
    "#);
}

fn given_back(declared: &str, value: Option<&str>) -> String {
    let mut field = Vec::new();
    match value {
        Some(value) => escape(value.as_bytes(), &mut field),
        None => field.extend_from_slice(b"\\N"),
    }
    let mut sql = String::new();
    literal(&column(declared), &field, &mut sql);
    sql
}

#[test]
fn each_type_is_given_back_as_a_literal_of_one_type() {
    let values = [
        ("bigint IDENTITY", "-9223372036854775808"),
        ("bit", "1"),
        ("decimal(38,38)", "-0.00000000000000000000000000000000000001"),
        ("money", "922337203685477.5807"),
        ("float", "1.7976931348623157e+308"),
        ("real", "-1.1754943508222875e-038"),
        ("datetime2(7)", "9999-12-31 23:59:59.9999999"),
        ("datetimeoffset(7)", "0001-01-01 00:00:00.0000000 +14:00"),
        ("uniqueidentifier", "33221100-5544-7766-8899-AABBCCDDEEFF"),
        ("varchar(20)", "it's \\N\n🦀"),
        ("xml", "<a b='c'> </a>"),
        ("varbinary(8)", "\\x00FF"),
        ("varbinary(8)", "\\x"),
        ("hierarchyid", "\\x5AC0"),
        ("geography", "\\xE6100000010C"),
        ("sql_variant", "CONVERT(sql_variant, CONVERT(int, N'1'))"),
    ];
    let line = |(declared, value): &(&str, &str)| {
        format!("{declared}: {} | {}", given_back(declared, Some(value)), given_back(declared, None))
    };
    assert_snapshot!(values.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    bigint IDENTITY: -9223372036854775808 | NULL
    bit: 1 | NULL
    decimal(38,38): CONVERT(decimal(38,38), N'-0.00000000000000000000000000000000000001') | CONVERT(decimal(38,38), NULL)
    money: CONVERT(money, N'922337203685477.5807') | CONVERT(money, NULL)
    float: 1.7976931348623157e+308 | NULL
    real: -1.1754943508222875e-038 | NULL
    datetime2(7): CONVERT(datetime2(7), N'9999-12-31 23:59:59.9999999') | CONVERT(datetime2(7), NULL)
    datetimeoffset(7): CONVERT(datetimeoffset(7), N'0001-01-01 00:00:00.0000000 +14:00') | CONVERT(datetimeoffset(7), NULL)
    uniqueidentifier: CONVERT(uniqueidentifier, N'33221100-5544-7766-8899-AABBCCDDEEFF') | CONVERT(uniqueidentifier, NULL)
    varchar(20): N'it''s \N
    🦀' | CONVERT(nvarchar(1), NULL)
    xml: CONVERT(xml, N'<a b=''c''> </a>', 1) | CONVERT(xml, NULL)
    varbinary(8): 0x00FF | CONVERT(varbinary(1), NULL)
    varbinary(8): 0x | CONVERT(varbinary(1), NULL)
    hierarchyid: CONVERT(hierarchyid, 0x5AC0) | CONVERT(hierarchyid, NULL)
    geography: CONVERT(geography, 0xE6100000010C) | CONVERT(geography, NULL)
    sql_variant: CONVERT(sql_variant, CONVERT(int, N'1')) | CONVERT(sql_variant, NULL)
    "#);
}

/// What claims to be a number, or bytes, and is none does not get into a statement as it is.
#[test]
fn nothing_slips_through_a_literal() {
    assert_eq!(given_back("int", Some("1); DROP TABLE t--'")), "CONVERT(int, N'1); DROP TABLE t--''')");
    assert_eq!(given_back("varbinary(8)", Some("\\x00); DROP TABLE ff")), "0x00DABEff");
    assert_eq!(given_back("nvarchar(8)", Some("'; DROP TABLE t--")), "N'''; DROP TABLE t--'");
}

/// Without the first part the sum would be cut after 4000 units.
#[test]
fn a_nul_does_not_stand_in_a_batch() {
    assert_eq!(string("a\0'\0"), "CONVERT(nvarchar(max), N'') + N'a' + NCHAR(0) + N'''' + NCHAR(0) + N''");
    let variant = given_back("sql_variant", Some("CONVERT(sql_variant, CONVERT(nvarchar(3), N'a\0b' COLLATE X))"));
    assert_eq!(variant, "CONVERT(sql_variant, CONVERT(nvarchar(3), N'a' + NCHAR(0) + N'b' COLLATE X))");
}

#[test]
fn a_variant_is_read_as_the_literal_that_makes_it() {
    let property = |sql: String, name: &str, kind: &str| {
        sql.replace(&format!("CONVERT({kind}, SQL_VARIANT_PROPERTY([c]]], '{name}'))"), name)
    };
    let mut sql = shown(&column("sql_variant"));
    for name in ["BaseType", "Precision", "Scale", "Collation"] {
        sql = property(sql, name, "nvarchar(128)");
    }
    let sql = property(sql, "MaxLength", "int").replace("[c]]]", "c");
    assert_snapshot!(sql.replace(" WHEN BaseType", "\nWHEN BaseType").replace(" ELSE N", "\nELSE N"), @r#"
    CASE WHEN c IS NULL THEN NULL
    WHEN BaseType = N'bit' THEN N'CONVERT(sql_variant, CONVERT(' + N'bit' + N', N''' + CONVERT(nvarchar(41), CONVERT(bit, c)) + N'''))'
    WHEN BaseType = N'tinyint' THEN N'CONVERT(sql_variant, CONVERT(' + N'tinyint' + N', N''' + CONVERT(nvarchar(41), CONVERT(tinyint, c)) + N'''))'
    WHEN BaseType = N'smallint' THEN N'CONVERT(sql_variant, CONVERT(' + N'smallint' + N', N''' + CONVERT(nvarchar(41), CONVERT(smallint, c)) + N'''))'
    WHEN BaseType = N'int' THEN N'CONVERT(sql_variant, CONVERT(' + N'int' + N', N''' + CONVERT(nvarchar(41), CONVERT(int, c)) + N'''))'
    WHEN BaseType = N'bigint' THEN N'CONVERT(sql_variant, CONVERT(' + N'bigint' + N', N''' + CONVERT(nvarchar(41), CONVERT(bigint, c)) + N'''))'
    WHEN BaseType = N'money' THEN N'CONVERT(sql_variant, CONVERT(' + N'money' + N', N''' + CONVERT(nvarchar(41), CONVERT(money, c), 2) + N'''))'
    WHEN BaseType = N'smallmoney' THEN N'CONVERT(sql_variant, CONVERT(' + N'smallmoney' + N', N''' + CONVERT(nvarchar(41), CONVERT(smallmoney, c), 2) + N'''))'
    WHEN BaseType = N'float' THEN N'CONVERT(sql_variant, CONVERT(' + N'float' + N', N''' + CONVERT(nvarchar(41), CONVERT(float, c), 3) + N'''))'
    WHEN BaseType = N'real' THEN N'CONVERT(sql_variant, CONVERT(' + N'real' + N', N''' + CONVERT(nvarchar(41), CONVERT(real, c), 3) + N'''))'
    WHEN BaseType = N'date' THEN N'CONVERT(sql_variant, CONVERT(' + N'date' + N', N''' + CONVERT(nvarchar(40), CONVERT(date, c), 23) + N'''))'
    WHEN BaseType = N'datetime' THEN N'CONVERT(sql_variant, CONVERT(' + N'datetime' + N', N''' + CONVERT(nvarchar(40), CONVERT(datetime, c), 121) + N'''))'
    WHEN BaseType = N'smalldatetime' THEN N'CONVERT(sql_variant, CONVERT(' + N'smalldatetime' + N', N''' + CONVERT(nvarchar(40), CONVERT(smalldatetime, c), 121) + N'''))'
    WHEN BaseType = N'uniqueidentifier' THEN N'CONVERT(sql_variant, CONVERT(' + N'uniqueidentifier' + N', N''' + CONVERT(nvarchar(40), CONVERT(uniqueidentifier, c)) + N'''))'
    WHEN BaseType = N'time' THEN N'CONVERT(sql_variant, CONVERT(' + N'time(' + Scale + N')' + N', N''' + CONVERT(nvarchar(40), CONVERT(time(7), c), 121) + N'''))'
    WHEN BaseType = N'datetime2' THEN N'CONVERT(sql_variant, CONVERT(' + N'datetime2(' + Scale + N')' + N', N''' + CONVERT(nvarchar(40), CONVERT(datetime2(7), c), 121) + N'''))'
    WHEN BaseType = N'datetimeoffset' THEN N'CONVERT(sql_variant, CONVERT(' + N'datetimeoffset(' + Scale + N')' + N', N''' + CONVERT(nvarchar(40), CONVERT(datetimeoffset(7), c), 121) + N'''))'
    WHEN BaseType = N'decimal' THEN N'CONVERT(sql_variant, CONVERT(' + N'decimal(' + Precision + N',' + Scale + N')' + N', N''' + CONVERT(nvarchar(41), c) + N'''))'
    WHEN BaseType = N'numeric' THEN N'CONVERT(sql_variant, CONVERT(' + N'numeric(' + Precision + N',' + Scale + N')' + N', N''' + CONVERT(nvarchar(41), c) + N'''))'
    WHEN BaseType = N'char' AND DATALENGTH(c) <= 4000 THEN N'CONVERT(sql_variant, CONVERT(char(' + CONVERT(nvarchar(10), CASE WHEN MaxLength < 1 THEN 1 ELSE MaxLength / 1 END) + N'), N''' + REPLACE(CONVERT(nvarchar(max), CONVERT(nvarchar(4000), c)), N'''', N'''''') + N''' COLLATE ' + Collation + N'))'
    WHEN BaseType = N'varchar' AND DATALENGTH(c) <= 4000 THEN N'CONVERT(sql_variant, CONVERT(varchar(' + CONVERT(nvarchar(10), CASE WHEN MaxLength < 1 THEN 1 ELSE MaxLength / 1 END) + N'), N''' + REPLACE(CONVERT(nvarchar(max), CONVERT(nvarchar(4000), c)), N'''', N'''''') + N''' COLLATE ' + Collation + N'))'
    WHEN BaseType = N'nchar' THEN N'CONVERT(sql_variant, CONVERT(nchar(' + CONVERT(nvarchar(10), CASE WHEN MaxLength < 2 THEN 1 ELSE MaxLength / 2 END) + N'), N''' + REPLACE(CONVERT(nvarchar(max), CONVERT(nvarchar(4000), c)), N'''', N'''''') + N''' COLLATE ' + Collation + N'))'
    WHEN BaseType = N'nvarchar' THEN N'CONVERT(sql_variant, CONVERT(nvarchar(' + CONVERT(nvarchar(10), CASE WHEN MaxLength < 2 THEN 1 ELSE MaxLength / 2 END) + N'), N''' + REPLACE(CONVERT(nvarchar(max), CONVERT(nvarchar(4000), c)), N'''', N'''''') + N''' COLLATE ' + Collation + N'))'
    WHEN BaseType = N'binary' THEN N'CONVERT(sql_variant, CONVERT(binary(' + CONVERT(nvarchar(10), CASE WHEN MaxLength < 1 THEN 1 ELSE MaxLength END) + N'), 0x' + CONVERT(nvarchar(max), CONVERT(varbinary(8000), c), 2) + N'))'
    WHEN BaseType = N'varbinary' THEN N'CONVERT(sql_variant, CONVERT(varbinary(' + CONVERT(nvarchar(10), CASE WHEN MaxLength < 1 THEN 1 ELSE MaxLength END) + N'), 0x' + CONVERT(nvarchar(max), CONVERT(varbinary(8000), c), 2) + N'))'
    ELSE N'no literal: ' + BaseType END
    "#);
}

#[test]
fn ranges_of_a_key() {
    let table = Table {
        schema: Some("a]b".to_owned()),
        name: "t'".to_owned(),
        columns: vec![column("int")],
        key: vec![0],
        size: 0,
        taken: Vec::new(),
    };
    let all = Part::ranges(i64::MIN, i64::MAX, 3);
    let queries: Vec<String> = all.into_iter().map(|part| query(&table, part)).collect();
    assert_snapshot!(queries.join("\n"), @r#"
    SELECT CONVERT(varchar(20), [c]]]) FROM [a]]b].[t'] WHERE [c]]] < -3074457345618258603
    SELECT CONVERT(varchar(20), [c]]]) FROM [a]]b].[t'] WHERE [c]]] >= -3074457345618258603 AND [c]]] < 3074457345618258602
    SELECT CONVERT(varchar(20), [c]]]) FROM [a]]b].[t'] WHERE [c]]] >= 3074457345618258602
    "#);
    assert_eq!(Part::ranges(5, 6, 3), [Part::Whole]);
}

#[test]
fn a_snapshot_is_made_and_dropped_by_name() {
    let files = [("it's]".to_owned(), r"E:\it's.mdf".to_owned()), ("b".to_owned(), "/var/b.ndf".to_owned())];
    assert_snapshot!(creation("sitebackup_dump_1", "C'M]", &files), @r"CREATE DATABASE [sitebackup_dump_1] ON (NAME = [it's]]], FILENAME = N'E:\it''s.mdf.sitebackup_dump_1.ss'), (NAME = [b], FILENAME = N'/var/b.ndf.sitebackup_dump_1.ss') AS SNAPSHOT OF [C'M]]]");
    assert_snapshot!(removal("sitebackup_dump_1", "C'M]"), @"IF EXISTS (SELECT 1 FROM sys.databases WHERE name = N'sitebackup_dump_1' AND source_database_id = DB_ID(N'C''M]')) DROP DATABASE [sitebackup_dump_1]");
}
