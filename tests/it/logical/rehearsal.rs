//! Databases for rehearsals: made like the one that they stand in for, restored into, and dropped again.

use sql_dump::logical::{LogicalError, create_database, drop_database, scratch_name};
use tests::servers::{MariaDb, Postgres};

use super::{address, dump_to, folder, restore_from};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'ä'), (2, 'b')";

/// What PostgreSQL's own catalog says of a database.
fn locale(server: &Postgres, database: &str) -> String {
    server.sql(
        "postgres",
        &format!(
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype, to_jsonb(d) ->> 'datlocprovider', to_jsonb(d) ->> 'daticulocale'
             FROM pg_database d WHERE datname = '{database}'"
        ),
    )
}

#[test]
fn postgres() {
    let server = Postgres::start();
    let name = scratch_name("01a2-x");
    for how in ["ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de'", "ENCODING 'LATIN1' LOCALE 'C'"] {
        server.sql("postgres", &format!("CREATE DATABASE \"from\" TEMPLATE template0 {how}"));
        server.sql("from", TABLE);
        let (_scratch, place) = folder();
        dump_to(&server.address("from"), &place, &super::DumpOptions::default());
        for string in
            [server.address("from"), server.odbc("PostgreSQL Unicode", "from"), server.odbc("PostgreSQL ANSI", "from")]
        {
            let from = address(&string);
            create_database(&from, &name).unwrap_or_else(|error| panic!("{from}, {how}: {error:?}"));
            assert_eq!(locale(&server, &name), locale(&server, "from"), "{from}");
            create_database(&from, &name).expect_err("it is there");
            restore_from(&place, &server.address(&name));
            drop_database(&from, &name).expect("it is dropped");
            assert_eq!(locale(&server, &name), "", "{from}");
            drop_database(&from, &name).expect("it is gone already");
            assert!(matches!(drop_database(&from, "from"), Err(LogicalError::Unsupported(_))));
        }
        server.sql("postgres", "DROP DATABASE \"from\"");
    }
}

/// A rehearsal that was cut off may have left a connection behind.
#[test]
fn a_scratch_database_goes_whoever_is_in_it() {
    let server = Postgres::start();
    server.create("from");
    let (from, name) = (address(&server.address("from")), scratch_name("1"));
    create_database(&from, &name).expect("it is made");
    let held = sql_dump::logical::prepare(&from.scratch(&name), &super::DumpOptions::default()).expect("a connection");
    drop_database(&from, &name).expect("it is dropped");
    assert!(held.pin().is_err());
    assert_eq!(locale(&server, &name), "");
}

#[test]
fn mariadb() {
    let server = MariaDb::start();
    let name = scratch_name("01a2-x");
    let locale = |database: &str| {
        let sql = format!(
            "SELECT default_character_set_name, default_collation_name FROM schemata WHERE schema_name = '{database}'"
        );
        server.sql("information_schema", &sql)
    };
    for how in ["utf8mb4 COLLATE utf8mb4_unicode_ci", "latin1 COLLATE latin1_german1_ci"] {
        server.sql("mysql", &format!("CREATE DATABASE `from` CHARACTER SET {how}"));
        server.sql("from", TABLE);
        let from = address(&server.odbc("from"));
        let (_scratch, place) = folder();
        dump_to(&server.odbc("from"), &place, &super::DumpOptions::default());
        create_database(&from, &name).expect("it is made");
        assert_eq!(locale(&name), locale("from"));
        create_database(&from, &name).expect_err("it is there");
        restore_from(&place, &server.odbc(&name));
        drop_database(&from, &name).expect("it is dropped");
        assert_eq!(locale(&name), "");
        drop_database(&from, &name).expect("it is gone already");
        assert!(matches!(drop_database(&from, "from"), Err(LogicalError::Unsupported(_))));
        server.sql("mysql", "DROP DATABASE `from`");
    }
}
