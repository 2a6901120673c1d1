//! A restore: its statements, its rows, going on after a loss, and what is refused.

use sql_dump::logical::{DumpOptions, FolderDump, LogicalError};
use tempfile::TempDir;

use super::super::{DRIVERS, Driver};
use super::database::{answer, count as counted, database};
use super::store::{Store, refusing, refusing_once};
use super::{address, count, dump, folder, serve, try_restore, whole};

fn a_dump() -> (TempDir, FolderDump) {
    let (scratch, place) = folder();
    dump(Driver::Microsoft, &serve(database()), &place);
    (scratch, place)
}

#[test]
fn a_dump_is_restored_and_compared() {
    let (_scratch, place) = a_dump();
    for driver in DRIVERS {
        let store = Store::default();
        let server = serve(store.script());
        let report =
            try_restore(driver, &server, &place).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)));
        assert_eq!((report.rows, report.chunks_before, report.compared), (5002, 0, true), "{driver:?}");
        let state = store.state();
        let is_schema = |sql: &&String| !sql.starts_with("SET ") || sql.contains("; SET ");
        let statements: Vec<&str> = state.statements.iter().filter(is_schema).map(String::as_str).collect();
        assert_eq!(statements, STATEMENTS, "{driver:?}");
        let numbers: Vec<&String> = state.statements.iter().filter(|sql| sql.contains("IDENTITY_INSERT")).collect();
        let switched = |n: usize, to: &str| *numbers[n] == format!("SET IDENTITY_INSERT [dbo].[Sites ]]'] {to}");
        assert!(
            numbers.len() == 32 && (0..16).all(|n| switched(2 * n, "ON") && switched(2 * n + 1, "OFF")),
            "{numbers:?}"
        );
    }
}

/// All but settings and rows.
const STATEMENTS: [&str; 10] = [
    "CREATE SCHEMA [sms]",
    "CREATE SEQUENCE [sms].[S] AS int START WITH 1 INCREMENT BY 5 MINVALUE 1 MAXVALUE 2147483647 NO CYCLE CACHE",
    "CREATE TABLE [dbo].[Kinds] (
  [id] bigint NULL,
  [bit] bit NULL,
  [tiny] tinyint NULL,
  [dec] decimal(38,10) NULL,
  [money] money NULL,
  [float] float NULL,
  [real] real NULL,
  [date] date NULL,
  [time] time(7) NULL,
  [dt] datetime NULL,
  [small] smalldatetime NULL,
  [dt2] datetime2(3) NULL,
  [dto] datetimeoffset(7) NULL,
  [guid] uniqueidentifier NULL,
  [char] char(4) COLLATE SQL_Latin1_General_CP1_CI_AS NULL,
  [varchar] varchar(8000) COLLATE SQL_Latin1_General_CP1_CI_AS NULL,
  [nvarchar] nvarchar(4000) COLLATE SQL_Latin1_General_CP1_CI_AS NULL,
  [empty] nvarchar(10) COLLATE SQL_Latin1_General_CP1_CI_AS NULL,
  [bin] binary(4) NULL,
  [vbin] varbinary(8000) NULL,
  [hid] hierarchyid NULL,
  [variant] sql_variant NULL,
  [xml] xml NULL,
  [geo] geography NULL,
  [max] nvarchar(max) COLLATE SQL_Latin1_General_CP1_CI_AS NULL,
  [vmax] varbinary(max) NULL,
  [rv] rowversion NULL
)",
    "CREATE TABLE [dbo].[Sites ]]'] (
  [ID] int IDENTITY(1,2) NOT NULL,
  [Name] nvarchar(400) COLLATE SQL_Latin1_General_CP1_CI_AS CONSTRAINT [DF_it's] DEFAULT (N'?') NULL,
  [Twice] AS ([ID]*(2))
)",
    "ALTER SEQUENCE [sms].[S] RESTART WITH 41",
    "IF EXISTS (SELECT 1 FROM [dbo].[Sites ]]']) DBCC CHECKIDENT (N'[dbo].[Sites ]]'']', RESEED, 9001) WITH NO_INFOMSGS \
     ELSE DBCC CHECKIDENT (N'[dbo].[Sites ]]'']', RESEED, 9003) WITH NO_INFOMSGS",
    "ALTER TABLE [dbo].[Sites ]]'] ADD CONSTRAINT [PK_Sites] PRIMARY KEY CLUSTERED ([ID])",
    "CREATE UNIQUE NONCLUSTERED INDEX [IX_Name] ON [dbo].[Sites ]]'] ([Name] DESC) INCLUDE ([ID]) \
     WHERE ([Name] IS NOT NULL)",
    "SET ANSI_NULLS ON; SET QUOTED_IDENTIFIER OFF",
    "CREATE VIEW sms.V AS -- what?\nSELECT '?' AS q, [ID] FROM dbo.[Sites ]]']",
];

/// What was committed stays, what was not is loaded again.
#[test]
fn a_restore_goes_on_after_a_lost_connection() {
    let (_scratch, place) = a_dump();
    for driver in DRIVERS {
        let store = Store::default();
        store.state().lose_at = Some(6);
        let server = serve(store.script());
        let error = try_restore(driver, &server, &place).expect_err("the connection was cut");
        assert!(matches!(error, LogicalError::Gone { .. }), "{driver:?}: {}", whole(&error));
        let report =
            try_restore(driver, &server, &place).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)));
        assert!(report.chunks_before > 0 && report.compared, "{driver:?}: {report:?}");
        assert_eq!(count(&server, "CREATE TABLE [dbo].[Kinds]"), 1, "{driver:?}");
    }
}

/// The server takes no more than 1000 rows in one INSERT; the store would not either.
#[test]
fn many_rows_of_a_chunk_are_loaded_by_several_statements() {
    let (_scratch, place) = folder();
    let options = DumpOptions { connections: 1, ..DumpOptions::default() };
    let source = serve(database());
    sql_dump::logical::dump(&address(Driver::FreeTds, &source), &place, &options).expect("a dump");
    let server = serve(Store::default().script());
    try_restore(Driver::FreeTds, &server, &place).expect("it is restored");
    assert_eq!(count(&server, "INSERT INTO [dbo].[Sites"), 5);
}

/// A view that needs another one waits for it.
#[test]
fn a_view_is_tried_again_after_the_others() {
    let (_scratch, place) = a_dump();
    for driver in DRIVERS {
        let server = serve(refusing_once(Store::default().script(), "CREATE VIEW", 208));
        try_restore(driver, &server, &place).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)));
        assert_eq!(count(&server, "CREATE VIEW"), 2, "{driver:?}");
    }
}

/// What is in the database then is not what is in the dump.
#[test]
fn a_row_that_the_server_alters_is_found() {
    let (_scratch, place) = a_dump();
    for driver in DRIVERS {
        let altered = answer(&["a", "b"], vec![vec!["1".into(), "another".into()]]);
        let script = Store::default().script().on("SELECT CONVERT(varchar(20), [ID]), [Name] FROM", altered);
        let script = script.on("SELECT CONVERT(bigint, COUNT_BIG(*)) AS n FROM [dbo].[Sites", counted(1));
        let error = try_restore(driver, &serve(script), &place).expect_err("it differs");
        assert!(
            matches!(&error, LogicalError::Differs { table, .. } if table == "dbo.Sites ]'"),
            "{driver:?}: {error}"
        );
    }
}

#[test]
fn a_database_that_is_not_empty_is_refused() {
    let (_scratch, place) = a_dump();
    for driver in DRIVERS {
        let store = Store::default();
        store.state().contents = Some("user table `dbo.Other`".to_owned());
        let server = serve(store.script());
        let error = try_restore(driver, &server, &place).expect_err("it is refused");
        assert!(
            matches!(&error, LogicalError::NotEmpty { found } if found == "user table `dbo.Other`"),
            "{driver:?}: {error}"
        );
        assert_eq!((count(&server, "CREATE"), count(&server, "INSERT"), count(&server, "DROP")), (0, 0, 0));
    }
}

#[test]
fn a_row_that_does_not_fit_is_taken_back() {
    let (_scratch, place) = a_dump();
    for driver in DRIVERS {
        let store = Store::default();
        let server = serve(refusing(store.script(), "INSERT INTO [dbo].[Sites", 8152));
        let error = try_restore(driver, &server, &place).expect_err("it is refused");
        assert!(
            matches!(&error, LogicalError::DoesNotFit { table, .. } if table == "dbo.Sites ]'"),
            "{driver:?}: {}",
            whole(&error)
        );
        assert!(whole(&error).contains("8152"), "{}", whole(&error));
        assert_eq!(count(&server, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"), 1, "{driver:?}");
    }
}
