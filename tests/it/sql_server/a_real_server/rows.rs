//! A logical dump of a database with every type, restored into an empty one, both judged by the server itself.

use backup_core::cancel::Cancel;
use odbc_api::{Connection, ConnectionOptions, Cursor, environment};
use sql_dump::ConnectionString;
use sql_dump::logical::{
    Address, DumpOptions, FolderDump, LogicalError, RestoreOptions, dump, prepare, restore, verify,
};
use sql_dump::sqlserver::{SqlServer, scratch_name};

use super::VARIABLE;

/// What the database consists of, one batch each.
const SCHEMA: &[&str] = &[
    "CREATE SCHEMA [it's]]]",
    "CREATE TYPE dbo.Code FROM nvarchar(3) NOT NULL",
    "CREATE SEQUENCE dbo.Up AS bigint START WITH 7 INCREMENT BY 3",
    "CREATE TABLE [it's]]].[Kinds ]]'] (id int IDENTITY(-5, -1) NOT NULL CONSTRAINT PK PRIMARY KEY CLUSTERED, \
     c_bit bit, c_tiny tinyint, c_small smallint, c_big bigint, c_dec decimal(38, 10), c_dec38 decimal(38, 38), c_money money, c_smallmoney smallmoney, \
     c_float float, c_real real, c_date date, c_time time(7), c_time0 time(0), c_dt datetime, c_sdt smalldatetime, c_dt2 datetime2(7), c_dt23 datetime2(3), \
     c_dto datetimeoffset(7), c_guid uniqueidentifier ROWGUIDCOL, c_char char(10), c_varchar varchar(8000), c_greek varchar(20) COLLATE Greek_CI_AS, \
     c_nchar nchar(10), c_nvarchar nvarchar(4000), c_max nvarchar(max), c_vmax varchar(max), c_bin binary(8), c_vbin varbinary(8000), c_vbmax varbinary(max), \
     c_xml xml, c_variant sql_variant, c_hid hierarchyid, c_geo geography, c_text text, c_ntext ntext, c_image image, c_code dbo.Code, \
     c_rare int SPARSE, c_default int CONSTRAINT DF DEFAULT (NEXT VALUE FOR dbo.Up), c_sum AS (id + 1) PERSISTED NOT NULL, c_ver rowversion)",
    "CREATE UNIQUE INDEX IX ON [it's]]].[Kinds ]]'] (c_big DESC, id) INCLUDE (c_date) WHERE c_big IS NOT NULL WITH (FILLFACTOR = 80)",
    "ALTER TABLE [it's]]].[Kinds ]]'] ADD CONSTRAINT CK CHECK (id < 0)",
    "CREATE TABLE dbo.Heap (parent int NOT NULL CONSTRAINT FK REFERENCES [it's]]].[Kinds ]]'] (id) ON DELETE CASCADE, n int NULL)",
    "CREATE VIEW dbo.Above AS SELECT id FROM dbo.Below -- what?",
    "CREATE PROCEDURE dbo.Nothing AS SELECT 1",
];

/// Values at their ends; a column that is not named is NULL.
const ROWS: &[&str] = &[
    "(c_bit, c_tiny, c_small, c_big, c_dec, c_dec38, c_money, c_smallmoney, c_float, c_real) VALUES \
     (1, 255, -32768, -9223372036854775808, -9999999999999999999999999999.9999999999, 0.99999999999999999999999999999999999999, -922337203685477.5808, \
     214748.3647, -1.7976931348623157E+308, 3.4028235E+38)",
    "(c_dec, c_dec38, c_float, c_real, c_money) VALUES (0.0000000001, -0.00000000000000000000000000000000000001, 2.2250738585072014E-308, 1.1754944E-38, 0.0001)",
    "(c_float, c_real) VALUES (0.1, 0.1)",
    "(c_float, c_real) VALUES (0.30000000000000004, -16777217)",
    "(c_date, c_time, c_time0, c_dt, c_sdt, c_dt2, c_dt23, c_dto) VALUES ('00010101', '23:59:59.9999999', '23:59:59', '1753-01-01T00:00:00.003', \
     '1900-01-01T00:00:00', '9999-12-31T23:59:59.9999999', '2026-11-25T21:05:06.123', '0001-01-01T00:00:00.0000000+14:00')",
    "(c_dt, c_sdt, c_dto) VALUES ('9999-12-31T23:59:59.997', '2079-06-06T23:59:00', '9999-12-31T23:59:59.9999999-14:00')",
    "(c_guid, c_char, c_varchar, c_greek, c_nchar, c_nvarchar) VALUES ('33221100-5544-7766-8899-AABBCCDDEEFF', 'é', REPLICATE('x', 8000), N'αβγ', N'漢', \
     N'tab' + NCHAR(9) + N'line' + NCHAR(13) + NCHAR(10) + N'🦀 ''\\ \\N' + NCHAR(0))",
    "(c_varchar, c_nvarchar, c_max, c_vbin, c_vbmax) VALUES ('', N'', N'', 0x, 0x)",
    "(c_max, c_vmax, c_vbmax) VALUES (REPLICATE(CONVERT(nvarchar(max), N'漢🦀'' '), 600000), REPLICATE(CONVERT(varchar(max), 'é'), 3000000), \
     CONVERT(varbinary(max), REPLICATE(CONVERT(varchar(max), 'bytes'), 500000)))",
    "(c_bin, c_vbin, c_xml, c_hid, c_geo) VALUES (0x00FF, CONVERT(varbinary(8000), REPLICATE('ab', 4000)), \
     CONVERT(xml, N'<a>  <b c=\"''\"> 🦀 </b></a>', 1), hierarchyid::Parse('/1/2.3/'), geography::Point(47.6, -122.3, 4326))",
    "(c_text, c_ntext, c_image, c_code, c_rare, c_hid) VALUES ('text', N'漢', 0x0102, N'abc', 5, hierarchyid::GetRoot())",
    "(c_variant) VALUES (CONVERT(decimal(9, 3), 1.5))",
    "(c_variant) VALUES (CONVERT(datetimeoffset(3), '2026-11-25T21:05:06.123+05:30'))",
    "(c_variant) VALUES (CONVERT(varchar(20), N'αβγ''' COLLATE Greek_CI_AS))",
    "(c_variant) VALUES (CONVERT(varbinary(9), 0x00FF))",
    "(c_variant) VALUES (CONVERT(float, 0.1))",
    "(c_variant) VALUES (NEWID())",
];

/// Columns that two rows can be compared by; the others as bytes.
const COMPARED: &str = "id, c_bit, c_tiny, c_small, c_big, c_dec, c_dec38, c_money, c_smallmoney, CONVERT(binary(8), c_float) AS f, CONVERT(binary(4), c_real) AS r, \
    c_date, c_time, c_time0, c_dt, c_sdt, c_dt2, c_dt23, c_dto, c_guid, CONVERT(varbinary(8000), c_char) AS c, CONVERT(varbinary(8000), c_varchar) AS v, \
    CONVERT(varbinary(8000), c_greek) AS g, CONVERT(varbinary(8000), c_nvarchar) AS n, HASHBYTES('SHA2_256', c_max) AS m, HASHBYTES('SHA2_256', c_vmax) AS vm, \
    c_bin, c_vbin, HASHBYTES('SHA2_256', c_vbmax) AS vb, CONVERT(nvarchar(max), c_xml) AS x, \
    CONVERT(varbinary(8000), c_variant) AS va, SQL_VARIANT_PROPERTY(c_variant, 'BaseType') AS vt, SQL_VARIANT_PROPERTY(c_variant, 'Scale') AS vs, \
    SQL_VARIANT_PROPERTY(c_variant, 'Collation') AS vc, c_hid, CONVERT(varbinary(max), c_geo) AS ge, CONVERT(nvarchar(max), c_text) AS t, \
    CONVERT(nvarchar(max), c_ntext) AS nt, CONVERT(varbinary(max), c_image) AS im, c_code, c_rare, c_default, c_sum";

fn connect(connection: &str) -> Connection<'static> {
    let environment = environment().expect("an environment");
    environment.connect_with_connection_string(connection, ConnectionOptions::default()).expect("a connection")
}

fn run(connection: &Connection<'_>, sql: &str) {
    connection.execute(sql, (), None).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn number(connection: &Connection<'_>, sql: &str) -> i64 {
    let mut cursor = connection.execute(sql, (), None).unwrap_or_else(|error| panic!("{sql}: {error}")).expect("rows");
    let mut row = cursor.next_row().expect("it is read").expect("a row");
    let mut number = 0_i64;
    row.get_data(1, &mut number).expect("a number");
    number
}

/// The first of a keyword that is there twice counts.
fn of(connection: &str, database: &str) -> String {
    format!("Database={database};{connection}")
}

fn make(connection: &str, database: &str) {
    run(&connect(connection), &format!("CREATE DATABASE [{database}]"));
    let inside = connect(&of(connection, database));
    for sql in SCHEMA {
        // A view of one that is made later: a restore has to find the order.
        if sql.starts_with("CREATE VIEW dbo.Above") {
            run(&inside, "CREATE VIEW dbo.Below AS SELECT id FROM [it's]]].[Kinds ]]']");
        }
        run(&inside, sql);
    }
    for row in ROWS {
        run(&inside, &format!("INSERT INTO [it's]]].[Kinds ]]'] {row}"));
    }
    run(&inside, "DELETE FROM [it's]]].[Kinds ]]'] WHERE id = (SELECT MIN(id) FROM [it's]]].[Kinds ]]'])");
    let fill = "INSERT INTO dbo.Heap SELECT TOP (100000) -5, a.object_id FROM sys.all_columns AS a CROSS JOIN sys.all_columns AS b";
    run(&inside, fill);
}

#[test]
fn rows_of_every_type_come_back() {
    let Ok(connection) = std::env::var(VARIABLE) else { return };
    let run_id = uuid::Uuid::now_v7().simple().to_string();
    let (source, target) = (scratch_name(&format!("{run_id}_a")), scratch_name(&format!("{run_id}_b")));
    make(&connection, &source);
    let server = connect(&connection);
    run(&server, &format!("CREATE DATABASE [{target}]"));
    let scratch = tempfile::TempDir::new().expect("a scratch folder");
    let place = FolderDump::new(scratch.path().join("dump"));
    let [from, to] = [&source, &target].map(|database| Address::parse(&of(&connection, database)).expect("an address"));

    let pinned = prepare(&from, &DumpOptions::default()).and_then(|dump| dump.pin()).expect("it is pinned");
    assert!(pinned.moment().pinned_by.contains("database snapshot"), "{:?}", pinned.moment());
    let inside = connect(&of(&connection, &source));
    run(&inside, "DELETE FROM dbo.Heap");
    let report = pinned.finish(&place).expect("a dump");
    assert_eq!(verify(&place, &Cancel::default()).expect("a whole dump"), report.manifest);
    assert_eq!(report.left_behind, Vec::<String>::new());
    let rows = |name: &str| report.manifest.tables.iter().find(|table| table.name == name).map(|table| table.rows);
    assert_eq!(rows("dbo.Heap"), Some(100_000), "what was deleted after the moment is in the dump");
    let snapshots =
        format!("SELECT CONVERT(bigint, COUNT(*)) FROM sys.databases WHERE source_database_id = DB_ID(N'{source}')");
    assert_eq!(number(&server, &snapshots), 0, "the snapshot is gone");

    let restored = restore(&place, &to, &RestoreOptions::default()).expect("it is restored, and each row compared");
    assert!(restored.compared);
    let again = restore(&place, &to, &RestoreOptions::default());
    assert!(matches!(again, Err(LogicalError::NotEmpty { .. })), "{again:?}");
    let rows = |database: &str| format!("SELECT {COMPARED} FROM [{database}].[it's]]].[Kinds ]]']");
    for (one, other) in [(&source, &target), (&target, &source)] {
        let sql = format!("SELECT CONVERT(bigint, COUNT(*)) FROM ({} EXCEPT {}) AS different", rows(one), rows(other));
        assert_eq!(number(&server, &sql), 0, "{sql}");
    }
    let mut catalogs = Vec::new();
    for address in [&from, &to] {
        let place = FolderDump::new(scratch.path().join(format!("again {}", catalogs.len())));
        dump(address, &place, &DumpOptions::default()).expect("a dump");
        let catalog = scratch.path().join(format!("again {}/schema/post.sql", catalogs.len()));
        catalogs.push(std::fs::read_to_string(catalog).expect("it is there"));
    }
    let lines = |text: &String| {
        text.lines().filter(|line| !line.contains("RESTART WITH")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&catalogs[0]), lines(&catalogs[1]), "but for the gap in a sequence");
    drop(inside);
    let sql_server = SqlServer::new(ConnectionString::parse(&connection).expect("it can be read"), Cancel::default());
    sql_server.drop_scratch(&source).expect("it is dropped");
    sql_server.drop_scratch(&target).expect("it is dropped");
}
