//! `sql_variant`: the literal that makes a value with its base type.

/// Base types that need no length, with the expression of their text.
const PLAIN: &[(&str, &str)] = &[
    ("bit", "CONVERT(nvarchar(41), CONVERT(bit, @))"),
    ("tinyint", "CONVERT(nvarchar(41), CONVERT(tinyint, @))"),
    ("smallint", "CONVERT(nvarchar(41), CONVERT(smallint, @))"),
    ("int", "CONVERT(nvarchar(41), CONVERT(int, @))"),
    ("bigint", "CONVERT(nvarchar(41), CONVERT(bigint, @))"),
    ("money", "CONVERT(nvarchar(41), CONVERT(money, @), 2)"),
    ("smallmoney", "CONVERT(nvarchar(41), CONVERT(smallmoney, @), 2)"),
    ("float", "CONVERT(nvarchar(41), CONVERT(float, @), 3)"),
    ("real", "CONVERT(nvarchar(41), CONVERT(real, @), 3)"),
    ("date", "CONVERT(nvarchar(40), CONVERT(date, @), 23)"),
    ("datetime", "CONVERT(nvarchar(40), CONVERT(datetime, @), 121)"),
    ("smalldatetime", "CONVERT(nvarchar(40), CONVERT(smalldatetime, @), 121)"),
    ("uniqueidentifier", "CONVERT(nvarchar(40), CONVERT(uniqueidentifier, @))"),
];

/// What stands for a value whose literal would not be the value; the base type follows.
pub(super) const CANNOT: &str = "no literal: ";

/// Base types with a scale.
const SCALED: &[&str] = &["time", "datetime2", "datetimeoffset"];

/// The expression that has the literal for the value of a column: `CONVERT(sql_variant, CONVERT(datetime2(7), N'…'))`.
///
/// A value that cannot be kept so makes a text that begins with [`CANNOT`].
pub(super) fn literal_of(name: &str) -> String {
    let property = |what: &str| format!("CONVERT(nvarchar(128), SQL_VARIANT_PROPERTY({name}, '{what}'))");
    let (base, precision, scale) = (property("BaseType"), property("Precision"), property("Scale"));
    let collation = property("Collation");
    let length = format!("CONVERT(int, SQL_VARIANT_PROPERTY({name}, 'MaxLength'))");
    // What is made of a type and the text of its value.
    let made =
        |kind: String, text: String| format!("N'CONVERT(sql_variant, CONVERT(' + {kind} + N', N''' + {text} + N'''))'");
    let mut cases: Vec<String> = PLAIN
        .iter()
        .map(|(kind, text)| {
            format!("WHEN {base} = N'{kind}' THEN {}", made(format!("N'{kind}'"), text.replace('@', name)))
        })
        .collect();
    for kind in SCALED {
        let text = format!("CONVERT(nvarchar(40), CONVERT({kind}(7), {name}), 121)");
        // Seven digits whose last ones are zeros are the same value at a smaller scale.
        cases.push(format!("WHEN {base} = N'{kind}' THEN {}", made(format!("N'{kind}(' + {scale} + N')'"), text)));
    }
    for kind in ["decimal", "numeric"] {
        let kind_of = format!("N'{kind}(' + {precision} + N',' + {scale} + N')'");
        cases.push(format!("WHEN {base} = N'{kind}' THEN {}", made(kind_of, format!("CONVERT(nvarchar(41), {name})"))));
    }
    for (kind, bytes) in [("char", 1), ("varchar", 1), ("nchar", 2), ("nvarchar", 2)] {
        let length = format!("CONVERT(nvarchar(10), CASE WHEN {length} < {bytes} THEN 1 ELSE {length} / {bytes} END)");
        let value = format!("REPLACE(CONVERT(nvarchar(max), CONVERT(nvarchar(4000), {name})), N'''', N'''''')");
        // No more of it can be made Unicode at once, and the code page of the database may be another one.
        let is_kept = if bytes == 1 { format!(" AND DATALENGTH({name}) <= 4000") } else { String::new() };
        cases.push(format!(
            "WHEN {base} = N'{kind}'{is_kept} THEN N'CONVERT(sql_variant, CONVERT({kind}(' + {length} + N'), N''' + {value} + N''' COLLATE ' + {collation} + N'))'"
        ));
    }
    for kind in ["binary", "varbinary"] {
        let length = format!("CONVERT(nvarchar(10), CASE WHEN {length} < 1 THEN 1 ELSE {length} END)");
        let digits = format!("CONVERT(nvarchar(max), CONVERT(varbinary(8000), {name}), 2)");
        cases.push(format!(
            "WHEN {base} = N'{kind}' THEN N'CONVERT(sql_variant, CONVERT({kind}(' + {length} + N'), 0x' + {digits} + N'))'"
        ));
    }
    format!("CASE WHEN {name} IS NULL THEN NULL {} ELSE N'{CANNOT}' + {base} END", cases.join(" "))
}
