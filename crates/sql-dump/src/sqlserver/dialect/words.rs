//! How values of each type are asked for, fetched, and given back.
//!
//! A declared type is the catalog's, such as `decimal(38,10)`; ` IDENTITY` behind it tells that the server counts the values itself.

use super::stream::Shape;
use super::variant;
use crate::logical::catalog::{Column, Encoding, Table};
use crate::logical::row_text::{HEX_MARK, unescape};
use crate::sqlserver::tsql::{name, text};

/// What stands behind the type of a column whose values the server counts.
pub(super) const IDENTITY: &str = " IDENTITY";

/// UTF-16 units of the longest value that is fetched many rows at once.
const SHORT: u64 = 4000;

/// The table's name as SQL has it.
pub(super) fn table_name(table: &Table) -> String {
    format!("{}.{}", name(table.schema.as_deref().unwrap_or("dbo")), name(&table.name))
}

/// The type alone, without what is in parentheses.
pub(super) fn word(declared: &str) -> &str {
    declared.split(['(', ' ']).next().unwrap_or_default()
}

/// The type with its length, precision and scale.
pub(super) fn full_type(declared: &str) -> &str {
    declared.strip_suffix(IDENTITY).unwrap_or(declared)
}

/// The number in parentheses: none for `max`.
fn length(declared: &str) -> Option<u64> {
    declared.split_once('(')?.1.split([',', ')']).next()?.parse().ok()
}

pub(super) fn is_whole_number(declared: &str) -> bool {
    matches!(word(declared), "tinyint" | "smallint" | "int" | "bigint")
}

/// How values of a type stand in a row, and the most bytes of their text, where it is short.
pub(super) fn encoding(declared: &str) -> (Encoding, Option<u64>) {
    let short = |limit: u64| Some(limit).filter(|limit| *limit <= SHORT);
    match word(declared) {
        "bit" | "tinyint" | "smallint" | "int" | "bigint" => (Encoding::Number, Some(20)),
        "decimal" | "numeric" | "money" | "smallmoney" | "real" | "float" => (Encoding::Number, Some(41)),
        // A unit of UTF-16 is three bytes at most.
        "char" | "varchar" | "nchar" | "nvarchar" => {
            (Encoding::Text, length(declared).and_then(short).map(|units| 3 * units.max(1)))
        }
        "binary" | "varbinary" => (Encoding::Binary, length(declared).and_then(short).map(|bytes| 2 * bytes.max(1))),
        "hierarchyid" => (Encoding::Binary, Some(2 * 892)),
        "image" | "geography" | "geometry" => (Encoding::Binary, None),
        "sql_variant" => (Encoding::Literal, None),
        "text" | "ntext" | "xml" => (Encoding::Text, None),
        _ => (Encoding::Text, Some(40)),
    }
}

/// How a column is fetched.
pub(super) fn shape(column: &Column) -> Shape {
    match (column.encoding, column.limit) {
        (Encoding::Text, Some(limit)) if word(&column.declared).ends_with("char") => Shape::Short(units(limit / 3)),
        (_, Some(limit)) => Shape::Short(units(limit)),
        (Encoding::Binary, None) => Shape::Bytes,
        (_, None) => Shape::Text,
    }
}

fn units(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The expression that has a column's value as text, or as bytes.
pub(super) fn shown(column: &Column) -> String {
    let name = name(&column.name);
    let short = column.limit.is_some();
    match word(&column.declared) {
        "bit" | "tinyint" | "smallint" | "int" | "bigint" => format!("CONVERT(varchar(20), {name})"),
        "decimal" | "numeric" => format!("CONVERT(varchar(41), {name})"),
        // Style 2: four decimals, no commas.
        "money" | "smallmoney" => format!("CONVERT(varchar(41), {name}, 2)"),
        // Style 3: 17 digits, which tell every value apart.
        "float" | "real" => format!("CONVERT(varchar(41), {name}, 3)"),
        "date" => format!("CONVERT(varchar(40), {name}, 23)"),
        // Style 121: `yyyy-mm-dd hh:mi:ss` with all digits of the type, and the offset.
        "time" | "datetime2" | "datetimeoffset" | "datetime" | "smalldatetime" => {
            format!("CONVERT(varchar(40), {name}, 121)")
        }
        "uniqueidentifier" => format!("CONVERT(varchar(40), {name})"),
        "nchar" | "nvarchar" => name,
        "char" | "varchar" if short => {
            format!("CONVERT(nvarchar({}), {name})", column.limit.unwrap_or(3) / 3)
        }
        // Style 2: hexadecimal digits without a mark.
        "binary" | "varbinary" if short => {
            format!("CONVERT(varchar({}), {name}, 2)", column.limit.unwrap_or(2))
        }
        "hierarchyid" => format!("CONVERT(varchar(1784), CONVERT(varbinary(892), {name}), 2)"),
        "sql_variant" => variant::literal_of(&name),
        _ if column.encoding == Encoding::Binary => format!("CONVERT(varbinary(max), {name})"),
        _ => format!("CONVERT(nvarchar(max), {name})"),
    }
}

/// Adds the literal for a field of a dump. The rows of one INSERT are like the parts of a UNION ALL: the literals of a column must be of one type, whatever
/// the values are, or the server would convert them to a common one and round.
pub(super) fn literal(column: &Column, field: &[u8], sql: &mut String) {
    let declared = full_type(&column.declared);
    if field == b"\\N" {
        sql.push_str(&null(column));
        return;
    }
    match (word(declared), column.encoding) {
        ("bit" | "tinyint" | "smallint" | "int" | "bigint" | "float" | "real", _) if is_number(field) => {
            sql.push_str(&String::from_utf8_lossy(field));
        }
        // A NUL can only stand in a text there.
        ("sql_variant", _) => sql.push_str(&given(field).replace('\0', "' + NCHAR(0) + N'")),
        (word @ ("hierarchyid" | "geography" | "geometry"), _) => {
            sql.push_str(&format!("CONVERT({word}, {})", bytes(field)));
        }
        (_, Encoding::Binary) => sql.push_str(&bytes(field)),
        // Style 1 keeps white space.
        ("xml", _) => sql.push_str(&format!("CONVERT(xml, {}, 1)", string(&given(field)))),
        ("char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext", _) => sql.push_str(&string(&given(field))),
        _ => sql.push_str(&format!("CONVERT({declared}, {})", string(&given(field)))),
    }
}

/// NULL of the type that the literals of a column have. Rows of nothing but plain NULLs would be whole numbers to the server.
fn null(column: &Column) -> String {
    let declared = full_type(&column.declared);
    match word(declared) {
        "bit" | "tinyint" | "smallint" | "int" | "bigint" | "float" | "real" => "NULL".to_owned(),
        "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext" => "CONVERT(nvarchar(1), NULL)".to_owned(),
        "binary" | "varbinary" | "image" => "CONVERT(varbinary(1), NULL)".to_owned(),
        _ => format!("CONVERT({declared}, NULL)"),
    }
}

/// The text of a field.
pub(super) fn given(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field).unwrap_or_default()).into_owned()
}

/// A text literal of any length. A NUL cannot stand in a batch; joined texts are cut after 4000 units unless the first one is of type `max`.
pub(super) fn string(value: &str) -> String {
    if value.contains('\0') {
        let parts: Vec<String> = value.split('\0').map(text).collect();
        return format!("CONVERT(nvarchar(max), N'') + {}", parts.join(" + NCHAR(0) + "));
    }
    text(value)
}

/// A literal of bytes: digits only, whatever the field holds.
pub(super) fn bytes(field: &[u8]) -> String {
    let digits = field.strip_prefix(HEX_MARK).unwrap_or(field);
    let digits: Vec<u8> = digits.iter().copied().filter(u8::is_ascii_hexdigit).collect();
    format!("0x{}", String::from_utf8_lossy(&digits))
}

fn is_number(field: &[u8]) -> bool {
    !field.is_empty() && field.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
}
