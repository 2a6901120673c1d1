//! What goes wrong, and what stays on the server then: nothing of ours, and nothing of others is touched.

use std::io;

use backup_core::cancel::Cancel;
use sql_dump::logical::{DumpFile, DumpOptions, DumpSink, LogicalError, prepare};
use tds_server::{Column, Event, Script, Step, TdsServer, Type, Value, done, error, table};

use super::super::{DRIVERS, Driver};
use super::database::{RUN, about, answer, count as counted, database, empty, kinds, kinds_answer, may};
use super::store::refusing;
use super::{address, count, dump, folder, sent, serve, try_dump, whole};

const DROP: &str = "IF EXISTS (SELECT 1 FROM sys.databases WHERE name = N'sitebackup_dump_";

/// Fails, leaves no dump, and drops its snapshot once.
fn fails(driver: Driver, server: &TdsServer) -> LogicalError {
    let (scratch, place) = folder();
    let error = try_dump(driver, server, &place).map(|report| panic!("{driver:?}: {report:?}")).expect_err("it fails");
    assert!(!scratch.path().join("dump/manifest.json").exists(), "{driver:?}");
    assert_eq!(count(server, "CREATE DATABASE"), 1, "{driver:?}");
    assert_eq!(count(server, DROP), 1, "{driver:?}: {}", whole(&error));
    error
}

#[test]
fn the_snapshot_goes_when_a_table_cannot_be_read() {
    for driver in DRIVERS {
        let server = serve(refusing(database(), "SELECT CONVERT(varchar(20), [ID])", 8115));
        let error = fails(driver, &server);
        assert!(whole(&error).contains("8115"), "{driver:?}: {}", whole(&error));
        let server = serve(refusing(database(), "SELECT CONVERT(bigint, i.object_id)", 229));
        let error = fails(driver, &server);
        assert!(matches!(error, LogicalError::Failed { .. }), "{driver:?}: {}", whole(&error));
    }
}

/// Drivers may report a lost connection as the end of the rows.
#[test]
fn rows_that_end_with_the_connection_are_no_table() {
    for driver in DRIVERS {
        for (kind, value) in [(Type::NVarChar(20), "1"), (Type::NVarCharMax, "1")] {
            for rows in [0, 1, 3000] {
                let columns = vec![Column::new("a", kind), Column::new("b", kind)];
                let rows = vec![vec![Value::from(value), Value::from(value)]; rows];
                let steps = vec![table(columns, rows), Step::Flush, Step::Drop];
                let server = serve(database().on("SELECT CONVERT(varchar(20), [ID])", steps));
                let error = fails(driver, &server);
                assert!(matches!(error, LogicalError::Gone { .. }), "{driver:?}, {kind:?}: {}", whole(&error));
            }
        }
    }
}

/// An error behind rows that were delivered already.
#[test]
fn an_error_behind_the_rows_counts() {
    for driver in DRIVERS {
        let columns = vec![Column::new("a", Type::NVarChar(20)), Column::new("b", Type::NVarChar(20))];
        let steps =
            vec![table(columns, vec![vec!["1".into(), "x".into()]]), error(824, "scripted: a page is damaged"), done()];
        let server = serve(database().on("SELECT CONVERT(varchar(20), [ID])", steps));
        let error = fails(driver, &server);
        assert!(whole(&error).contains("824"), "{driver:?}: {}", whole(&error));
    }
}

/// Whatever a driver says of the end of the rows.
#[test]
fn a_table_that_is_shorter_than_the_server_counts_is_no_table() {
    for driver in DRIVERS {
        let server = serve(database().on("SELECT CONVERT(bigint, COUNT_BIG(*)) AS n FROM [dbo].[Kinds]", counted(3)));
        let error = fails(driver, &server);
        assert!(matches!(&error, LogicalError::Changed { table, .. } if table == "dbo.Kinds"), "{driver:?}: {error}");
        assert!(whole(&error).contains("2 rows came, the server counts 3"), "{}", whole(&error));
    }
}

/// The server may have made the snapshot although no answer came.
#[test]
fn the_snapshot_goes_when_nobody_knows_whether_it_is_there() {
    for driver in DRIVERS {
        let server = serve(database().on("CREATE DATABASE", vec![Step::Flush, Step::Drop]));
        let error = fails(driver, &server);
        assert!(matches!(error, LogicalError::Gone { .. }), "{driver:?}: {}", whole(&error));
    }
}

#[test]
fn the_snapshot_goes_when_the_dump_is_given_up() {
    for driver in DRIVERS {
        let server = serve(database());
        let pinned = prepare(&address(driver, &server), &DumpOptions::default())
            .and_then(|dump| dump.pin())
            .expect("it is pinned");
        assert_eq!(count(&server, DROP), 0, "{driver:?}");
        drop(pinned);
        assert_eq!(count(&server, DROP), 1, "{driver:?}");
        let left = sent(&server).iter().filter(|sql| *sql == "USE [master]").count();
        assert_eq!(left, DumpOptions::default().connections, "{driver:?}: every reader left it first");
    }
}

#[test]
fn the_snapshot_goes_when_the_dump_is_cancelled() {
    for driver in DRIVERS {
        let server = serve(database());
        let cancel = Cancel::default();
        let options = DumpOptions { cancel: cancel.clone(), ..DumpOptions::default() };
        let pinned = prepare(&address(driver, &server), &options).and_then(|dump| dump.pin()).expect("it is pinned");
        cancel.cancel();
        let (_scratch, place) = folder();
        let error = pinned.finish(&place).expect_err("it was cancelled");
        assert!(matches!(error, LogicalError::Stopped), "{driver:?}: {}", whole(&error));
        assert_eq!(count(&server, DROP), 1, "{driver:?}");
    }
}

/// A disk that is full.
#[derive(Debug)]
struct Full;

impl DumpSink for Full {
    fn create(&self, _file: &str) -> io::Result<Box<dyn DumpFile>> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn seal(&self, _manifest: &[u8]) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}

#[test]
fn the_snapshot_goes_when_the_disk_is_full() {
    for driver in DRIVERS {
        let server = serve(database());
        let error = sql_dump::logical::dump(&address(driver, &server), &Full, &DumpOptions::default());
        assert!(matches!(error, Err(LogicalError::Write { .. })), "{driver:?}");
        assert_eq!(count(&server, DROP), 1, "{driver:?}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_dropped_is_told() {
    for driver in DRIVERS {
        let server = serve(refusing(database(), DROP, 3702));
        let (_scratch, place) = folder();
        let report = dump(driver, &server, &place);
        assert_eq!(report.left_behind.len(), 1, "{driver:?}");
        let line = &report.left_behind[0];
        assert!(line.contains(&format!("sitebackup_dump_{RUN}")) && line.contains("3702"), "{driver:?}: {line}");
    }
}

/// Those whose lock somebody holds belong to a run that works.
#[test]
fn snapshots_of_runs_that_were_killed_go() {
    for driver in DRIVERS {
        let left = vec![vec!["sitebackup_dump_dead".into()], vec!["sitebackup_dump_busy".into()]];
        let script = database()
            .on_part("source_database_id = DB_ID() AND LEFT(", answer(&["name"], left))
            .on_part("@Resource = N'sitebackup_dump_busy'", answer(&["taken"], vec![vec![Value::Int(-1)]]));
        let server = serve(script);
        let (_scratch, place) = folder();
        dump(driver, &server, &place);
        assert_eq!(count(&server, &format!("{DROP}dead'")), 1, "{driver:?}");
        assert_eq!(count(&server, &format!("{DROP}busy'")), 0, "{driver:?}");
    }
}

#[test]
fn without_snapshots_one_connection_holds_the_moment() {
    for driver in DRIVERS {
        let script = database()
            .on("BEGIN TRANSACTION", vec![done()])
            .on("SELECT TOP (1) 1 AS one FROM", answer(&["one"], vec![vec![Value::Int(1)]]));
        let server = serve(refusing(script, "CREATE DATABASE", 262));
        let (_scratch, place) = folder();
        let moment = dump(driver, &server, &place).manifest.moment;
        assert!(
            moment.one_snapshot && moment.pinned_by.contains("one transaction of SNAPSHOT isolation"),
            "{moment:?}"
        );
        assert!(moment.pinned_by.contains("262"), "the reason is told: {moment:?}");
        let is_row_query = |sql: &String| sql.starts_with("SELECT CONVERT(varchar(20), [");
        let readers: std::collections::BTreeSet<u16> = server
            .heard()
            .into_iter()
            .filter_map(|event| {
                if let Event::Batch { session, sql } = event { is_row_query(&sql).then_some(session) } else { None }
            })
            .collect();
        assert_eq!(readers.len(), 1, "{driver:?}");
        let sent = sent(&server);
        let at = |sql: &str| sent.iter().position(|one| one == sql).unwrap_or_else(|| panic!("{driver:?}: {sql}"));
        assert!(at("SET TRANSACTION ISOLATION LEVEL SNAPSHOT") < at("BEGIN TRANSACTION"));
        assert!(at("BEGIN TRANSACTION") < at("SELECT TOP (1) 1 AS one FROM [dbo].[Kinds]"));
    }
}

#[test]
fn without_a_moment_there_is_no_dump() {
    for driver in DRIVERS {
        let script = refusing(database(), "CREATE DATABASE", 262).on("SELECT DB_NAME() AS name", about(0));
        let server = serve(script);
        let (_scratch, place) = folder();
        let error = try_dump(driver, &server, &place).expect_err("it is refused");
        assert!(matches!(error, LogicalError::Unsupported(_)), "{driver:?}: {}", whole(&error));
        assert!(error.to_string().contains("262") && error.to_string().contains("SNAPSHOT isolation"), "{error}");
    }
}

/// What the server would leave out, or alter, without a word.
#[test]
fn a_login_that_does_not_see_all_is_refused() {
    for driver in DRIVERS {
        for (rights, word) in [(may(0, 0, 0), "VIEW DEFINITION"), (may(1, 2, 0), "masked"), (may(1, 0, 1), "policy")] {
            let server = serve(database().on("SELECT HAS_PERMS_BY_NAME", rights));
            let (_scratch, place) = folder();
            let error = try_dump(driver, &server, &place).expect_err("it is refused");
            assert!(error.to_string().contains(word), "{driver:?}: {error}");
            assert_eq!(count(&server, "CREATE DATABASE"), 0);
        }
    }
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    let columns = ["name", "id", "version", "edition", "snapshot_isolation", "some_table"];
    let row = |id: i128, version: &str| {
        let (id, none) = (Value::Int(id), Value::Null);
        answer(&columns, vec![vec!["master".into(), id, version.into(), "Express".into(), Value::Int(0), none]])
    };
    for (steps, word) in [(row(7, "12.0.6024.0"), "2016"), (row(1, "16.0.1.1"), "`master`")] {
        let server = serve(empty().on("SELECT DB_NAME() AS name", steps));
        let (_scratch, place) = folder();
        let error = try_dump(Driver::Microsoft, &server, &place).expect_err("it is refused");
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// Text that is no UTF-16 cannot stand in a dump as it is; so it is not put there as something else.
#[test]
fn half_a_pair_is_not_bent() {
    for driver in DRIVERS {
        for kind in [Type::NVarChar(20), Type::NVarCharMax] {
            let columns = vec![Column::new("a", kind), Column::new("b", kind)];
            let steps =
                vec![table(columns, vec![vec!["1".into(), Value::Bytes(vec![0x61, 0, 0x3E, 0xD8, 0x62, 0])]]), done()];
            let server = serve(database().on("SELECT CONVERT(varchar(20), [ID])", steps));
            let error = fails(driver, &server);
            assert!(whole(&error).contains("surrogates"), "{driver:?}, {kind:?}: {}", whole(&error));
        }
    }
}

#[test]
fn a_variant_that_cannot_be_kept_is_told() {
    for driver in DRIVERS {
        let mut row = vec![Value::Null; kinds().len()];
        row[21] = "no literal: varchar".into();
        let server = serve(database().on("SELECT CONVERT(varchar(20), [id])", kinds_answer(&[row])));
        let error = fails(driver, &server);
        assert!(
            error.to_string().contains("`variant`") && error.to_string().contains("`varchar`"),
            "{driver:?}: {error}"
        );
    }
}

/// A value that is longer than its type allows is not cut.
#[test]
fn a_value_that_is_too_long_is_not_cut() {
    for driver in DRIVERS {
        let columns = vec![Column::new("a", Type::NVarChar(4000)), Column::new("b", Type::NVarChar(4000))];
        let steps = vec![table(columns, vec![vec!["1".into(), Value::Text("x".repeat(401))]]), done()];
        let server = serve(database().on("SELECT CONVERT(varchar(20), [ID])", steps));
        assert!(matches!(fails(driver, &server), LogicalError::Cut { .. }), "{driver:?}");
    }
}

#[test]
fn a_server_without_an_answer_is_said_to_have_none() {
    let server = serve(Script::new());
    let (_scratch, place) = folder();
    let error = try_dump(Driver::FreeTds, &server, &place).expect_err("it is refused");
    assert!(whole(&error).contains("the script has no answer"), "{}", whole(&error));
}
