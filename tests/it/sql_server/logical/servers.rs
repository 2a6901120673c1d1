//! Databases for rehearsals, what is told about a database, and what a restore would find.

use sql_dump::logical::{LogicalError, Standing, create_database, drop_database, inspect, scratch_name, survey};
use tds_server::{Value, done};

use super::super::DRIVERS;
use super::database::{answer, database};
use super::store::Store;
use super::{address, dump, folder, sent, serve, whole};

#[test]
fn a_database_for_a_rehearsal_is_made_and_dropped() {
    for driver in DRIVERS {
        let script = database()
            .on_part("'Collation')) AS", answer(&["collation"], vec![vec!["Finnish_Swedish_CI_AS".into()]]))
            .on("IF DB_ID", vec![done()]);
        let server = serve(script);
        let (site, name) = (address(driver, &server), scratch_name("1"));
        create_database(&site, &name).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)));
        drop_database(&site, &name).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)));
        let sent = sent(&server);
        let made = "CREATE DATABASE [sitebackup_rehearsal_1] COLLATE Finnish_Swedish_CI_AS";
        let dropped = "IF DB_ID(N'sitebackup_rehearsal_1') IS NOT NULL BEGIN \
            IF CONVERT(nvarchar(60), DATABASEPROPERTYEX(N'sitebackup_rehearsal_1', 'Status')) = N'ONLINE' ALTER DATABASE [sitebackup_rehearsal_1] \
            SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE [sitebackup_rehearsal_1] END";
        assert!(sent.iter().any(|sql| sql == made) && sent.iter().any(|sql| sql == dropped), "{driver:?}: {sent:?}");
        assert!(matches!(drop_database(&site, "CM_P01"), Err(LogicalError::Unsupported(_))), "{driver:?}");
    }
}

/// What stands without quotes in a statement is one word.
#[test]
fn a_collation_that_is_none_is_refused() {
    let odd = answer(&["collation"], vec![vec!["X; DROP DATABASE CM_P01".into()]]);
    let server = serve(database().on_part("'Collation')) AS", odd));
    let made = create_database(&address(DRIVERS[0], &server), &scratch_name("1"));
    assert!(matches!(made, Err(LogicalError::Unsupported(_))), "{made:?}");
}

#[test]
fn a_database_tells_what_it_is() {
    for driver in DRIVERS {
        let columns = ["collation", "bytes", "tables", "views", "sequences", "indexes", "routines", "triggers"];
        let mut row = vec![Value::from("Greek_CI_AS"), Value::Int(8 << 30)];
        row.extend([2, 1, 1, 3, 0, 0].map(Value::Int));
        let server = serve(database().on_part("'Collation')) AS", answer(&columns, vec![row])));
        let found = inspect(&address(driver, &server)).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)));
        assert_eq!((found.name.as_str(), found.size), ("CM_P01", 8 << 30));
        assert_eq!(found.engine, "SQL Server 16.0.4135.4 Standard Edition (64-bit)");
        let facts: Vec<String> = found.facts.iter().map(|(fact, value)| format!("{fact} {value}")).collect();
        let expect =
            ["collation Greek_CI_AS", "tables 2", "views 1", "sequences 1", "indexes 3", "routines 0", "triggers 0"];
        assert_eq!(facts, expect, "{driver:?}");
    }
}

/// A look changes nothing.
#[test]
fn a_restore_is_surveyed_without_a_change() {
    let (_scratch, place) = folder();
    dump(DRIVERS[0], &serve(database()), &place);
    for driver in DRIVERS {
        let store = Store::default();
        let server = serve(store.script());
        let look = || {
            survey(&address(driver, &server), &place).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)))
        };
        assert!(matches!(look(), Standing::Empty), "{driver:?}");
        store.state().contents = Some("view `dbo.V`".to_owned());
        assert!(matches!(look(), Standing::Holds(_)), "{driver:?}");
        let changes = ["CREATE", "INSERT", "DROP", "ALTER"];
        assert!(!sent(&server).iter().any(|sql| changes.iter().any(|word| sql.starts_with(word))), "{driver:?}");
    }
}
