//! Types of SQL Server over the wire, and the traps of the drivers' defaults, each shown to bite whoever trusts them.

use backup_core::cancel::Cancel;
use odbc_api::buffers::{BufferDesc, ColumnarDynBuffer};
use odbc_api::parameter::VarWCharBox;
use odbc_api::{Connection, ConnectionOptions, Cursor, CursorRow, ResultSetMetadata, environment};
use sql_dump::sqlserver::{Reading, SqlServer};
use tds_server::{Column, Script, Step, TdsServer, Type, Value, done, table};

use super::sample::{one_row, script};
use super::{DRIVERS, Driver};

fn connect(driver: Driver, server: &TdsServer) -> Connection<'static> {
    let environment = environment().expect("an environment");
    let connection =
        environment.connect_with_connection_string(&driver.by_library(server), ConnectionOptions::default());
    connection.unwrap_or_else(|error| panic!("{driver:?}: {error}"))
}

fn serving(columns: Vec<Column>, rows: Vec<Vec<Value>>, compressed: bool) -> TdsServer {
    let steps = vec![Step::Table { columns, rows, compressed }, done()];
    TdsServer::start(Script::new().on("SELECT", steps)).expect("a free port")
}

/// A type, a value at its end, and the text that it is.
fn matrix() -> Vec<(Type, Value, &'static str)> {
    let uuid = vec![0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF];
    vec![
        (Type::Bit, Value::Int(1), "1"),
        (Type::TinyInt, Value::Int(255), "255"),
        (Type::SmallInt, Value::Int(-32_768), "-32768"),
        (Type::Int, Value::Int(-2_147_483_648), "-2147483648"),
        (Type::BigInt, Value::Int(i64::MIN.into()), "-9223372036854775808"),
        (Type::Decimal(38, 10), Value::Int(10_i128.pow(38) - 1), "9999999999999999999999999999.9999999999"),
        (Type::Decimal(18, 4), Value::Int(-1), "-.0001"),
        (Type::Money, Value::Int(i64::MAX.into()), "922337203685477.5807"),
        (Type::SmallMoney, Value::Int(i32::MIN.into()), "-214748.3648"),
        (Type::Float, Value::Float(0.5), "0.5"),
        (Type::Real, Value::Float(-0.25), "-0.25"),
        (Type::Date, "0001-01-01".into(), "0001-01-01"),
        (Type::Time(7), "23:59:59.9999999".into(), "23:59:59.9999999"),
        (Type::SmallDateTime, "2079-06-06 23:59:00".into(), "2079-06-06 23:59:00"),
        (Type::DateTime, "9999-12-31 23:59:59.997".into(), "9999-12-31 23:59:59.997"),
        (Type::DateTime2(7), "9999-12-31 23:59:59.9999999".into(), "9999-12-31 23:59:59.9999999"),
        (Type::DateTimeOffset(7), "2026-11-25 21:05:06.1234567 +05:30".into(), "2026-11-25 21:05:06.1234567 +05:30"),
        (Type::UniqueIdentifier, uuid.into(), "33221100-5544-7766-8899-AABBCCDDEEFF"),
        (Type::Char(4), "é".into(), "é   "),
        (Type::VarChar(8000), "Größe".into(), "Größe"),
        (Type::NChar(4), "漢".into(), "漢   "),
        (Type::NVarChar(4000), "tab\tline\n🦀 '\\".into(), "tab\tline\n🦀 '\\"),
        (Type::NVarChar(1), "".into(), ""),
        (Type::Xml, "<a>ü🦀</a>".into(), "<a>ü🦀</a>"),
        (Type::SqlVariant, "any ü".into(), "any ü"),
        (Type::Binary(4), vec![0xFF].into(), "FF000000"),
        (Type::VarBinary(16), vec![0x00, 0xFF].into(), "00FF"),
    ]
}

/// All values as text, NULL as `None`.
fn texts(driver: Driver, server: &TdsServer) -> Vec<Vec<Option<String>>> {
    let connection = connect(driver, server);
    let mut cursor = connection.execute("SELECT * FROM t", (), None).expect("an answer").expect("rows");
    let count = cursor.num_result_cols().expect("columns").unsigned_abs();
    let mut rows = Vec::new();
    while let Some(mut row) = cursor.next_row().unwrap_or_else(|error| panic!("{driver:?}: {error}")) {
        rows.push((1..=count).map(|index| text(&mut row, index)).collect());
    }
    rows
}

/// A value in pieces of one size; odbc-api's own `get_wide_text` panics on what FreeTDS says of the length of a long one.
fn text(row: &mut CursorRow<'_>, index: u16) -> Option<String> {
    let mut units = Vec::new();
    loop {
        let mut piece: VarWCharBox = VarWCharBox::from_vec(vec![0; 4097]);
        row.get_data(index, &mut piece).unwrap_or_else(|error| panic!("column {index}: {error}"));
        units.extend_from_slice(piece.as_slice()?);
        if piece.is_complete() {
            return Some(String::from_utf16_lossy(&units));
        }
    }
}

#[test]
fn every_type_arrives_at_its_end_and_as_null() {
    let columns: Vec<Column> =
        matrix().iter().enumerate().map(|(n, (kind, ..))| Column::new(&format!("c{n}"), *kind)).collect();
    let values: Vec<Value> = matrix().into_iter().map(|(_, value, _)| value).collect();
    let nulls = vec![Value::Null; values.len()];
    for driver in DRIVERS {
        for compressed in [false, true] {
            let server = serving(columns.clone(), vec![values.clone(), nulls.clone(), values.clone()], compressed);
            let rows = texts(driver, &server);
            assert!(rows[1].iter().all(Option::is_none), "{driver:?}: {:?}", rows[1]);
            assert_eq!(rows[0], rows[2], "{driver:?}");
            for ((kind, _, expect), seen) in matrix().iter().zip(&rows[0]) {
                let seen = seen.as_deref().expect("a value");
                assert_eq!(seen, spelled(driver, expect), "{driver:?}, {kind:?}");
            }
        }
    }
}

/// Drivers spell some of them in ways of their own.
fn spelled(driver: Driver, text: &'static str) -> &'static str {
    match (driver, text) {
        (Driver::FreeTds, "0001-01-01") => "1-01-01",
        (Driver::FreeTds, "-.0001") => "-0.0001",
        (Driver::FreeTds, "FF000000") => "ff000000",
        (Driver::FreeTds, "00FF") => "00ff",
        (_, text) => text,
    }
}

#[test]
fn texts_of_any_length_arrive() {
    let long = "漢🦀ü".repeat(20_000);
    let latin = "é".repeat(100_000);
    let columns = vec![Column::new("n", Type::NVarCharMax), Column::new("v", Type::VarCharMax)];
    let row = vec![Value::Text(long.clone()), Value::Text(latin.clone())];
    for driver in DRIVERS {
        let server = serving(columns.clone(), vec![row.clone()], false);
        let rows = texts(driver, &server);
        for (seen, expect) in rows[0].iter().zip([&long, &latin]) {
            assert!(seen.as_ref() == Some(expect), "{driver:?}");
        }
    }
}

/// As bytes, and as digits where a piece has room for an even number of them: drivers do not part the two digits of a byte.
#[test]
fn bytes_of_any_length_arrive() {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for driver in DRIVERS {
        let row = vec![bytes.clone().into()];
        let server = serving(vec![Column::new("b", Type::VarBinaryMax)], vec![row.clone(), row], false);
        let connection = connect(driver, &server);
        let mut cursor = connection.execute("SELECT b", (), None).expect("an answer").expect("rows");
        let mut seen = Vec::new();
        cursor.next_row().expect("it is read").expect("a row").get_binary(1, &mut seen).expect("bytes");
        assert!(seen == bytes, "{driver:?}: {} bytes", seen.len());
        let whole = text(&mut cursor.next_row().expect("it is read").expect("a row"), 1).expect("a value");
        assert_eq!(whole.len(), 2 * bytes.len(), "{driver:?}");
    }
}

/// Trap 5: `tinyint` has no sign, and the default buffer has one. Microsoft's driver refuses 255; FreeTDS makes it -1 and reports success.
#[test]
fn the_default_buffer_of_a_tinyint_is_too_small() {
    for driver in DRIVERS {
        let server = serving(vec![Column::new("n", Type::TinyInt)], vec![vec![Value::Int(255)]], false);
        let connection = connect(driver, &server);
        let mut cursor = connection.execute("SELECT n", (), None).expect("an answer").expect("rows");
        let described = cursor.col_data_type(1).expect("a type");
        let default = BufferDesc::from_data_type(described, true).expect("a buffer");
        assert_eq!(default, BufferDesc::I8 { nullable: true }, "{driver:?}");
        let buffer = ColumnarDynBuffer::from_descs(1, [default]);
        let mut bound = cursor.bind_buffer(buffer).expect("it is bound");
        match (driver, bound.fetch()) {
            (Driver::Microsoft, Err(error)) => assert!(error.to_string().contains("22003"), "{error}"),
            (Driver::FreeTds, Ok(Some(batch))) => {
                let numbers = batch.column(0).as_nullable_slice::<i8>().expect("bytes");
                assert_eq!(numbers.collect::<Vec<_>>(), [Some(&-1)]);
            }
            (_, other) => panic!("{driver:?}: {:?}", other.map(|_| "read")),
        }
    }
}

/// Trap 3: FreeTDS cuts a text that is longer than its buffer and reports success; only the length that it leaves tells.
#[test]
fn a_text_that_is_cut_goes_unsaid_by_freetds() {
    let long = "x".repeat(20_000);
    for (driver, is_said) in [(Driver::FreeTds, false), (Driver::Microsoft, true)] {
        let server = serving(vec![Column::new("t", Type::VarCharMax)], vec![vec![Value::Text(long.clone())]], false);
        let connection = connect(driver, &server);
        let cursor = connection.execute("SELECT t", (), None).expect("an answer").expect("rows");
        let buffer = ColumnarDynBuffer::from_descs(1, [BufferDesc::Text { max_str_len: 4096 }]);
        let mut bound = cursor.bind_buffer(buffer).expect("it is bound");
        let fetched = bound.fetch_with_truncation_check(true);
        assert_eq!(fetched.is_err(), is_said, "{driver:?}");
        if let Ok(Some(batch)) = fetched {
            let column = batch.column(0).as_text().expect("a text");
            assert!(column.get(0).is_some_and(|text| text.len() < long.len()), "{driver:?}: it is cut");
            assert!(column.has_truncated_values().is_some(), "{driver:?}: whoever asks is told");
        }
    }
}

/// What this crate reads of a server is never cut.
#[test]
fn a_long_place_is_read_whole() {
    let place = format!(r"B:\{}\🦀.bak", "ü漢".repeat(10_000));
    for driver in DRIVERS {
        let long = vec![
            table(
                vec![Column::new("place", Type::NVarCharMax), Column::new("device_type", Type::TinyInt)],
                vec![vec![Value::Text(place.clone()), Value::Int(2)]],
            ),
            done(),
        ];
        let server = TdsServer::start(script().on_part("msdb.dbo.backupmediafamily", long)).expect("a free port");
        let sql_server: SqlServer = driver.sql_server(&server, &Cancel::default());
        let found =
            sql_server.newest_backup("CM_P01", Reading::Skip).expect("the server answers").expect("there is one");
        assert_eq!(found.places, std::slice::from_ref(&place), "{driver:?}");
    }
}

/// Narrow text of a result is UTF-8 with both drivers, whatever the locale; that of a statement is not, see the feature `wide`.
#[test]
fn narrow_texts_of_results_are_utf8() {
    let odd = "Größe 漢 🦀";
    for driver in DRIVERS {
        let server = serving(vec![Column::new("t", Type::NVarChar(100))], vec![vec![odd.into()]], false);
        let connection = connect(driver, &server);
        let mut cursor = connection.execute("SELECT t", (), None).expect("an answer").expect("rows");
        let mut narrow = Vec::new();
        cursor.next_row().expect("it is read").expect("a row").get_text(1, &mut narrow).expect("a text");
        assert_eq!(String::from_utf8_lossy(&narrow), odd, "{driver:?}");
    }
}

/// A column without rows, and rows without values.
#[test]
fn nothing_is_nothing() {
    for driver in DRIVERS {
        let server = serving(vec![Column::new("n", Type::Int).identity()], Vec::new(), false);
        assert_eq!(texts(driver, &server), Vec::<Vec<Option<String>>>::new());
        let server = TdsServer::start(Script::new().on("SELECT", one_row(&[("n", Value::Null)]))).expect("a free port");
        assert_eq!(texts(driver, &server), [[None]]);
    }
}
