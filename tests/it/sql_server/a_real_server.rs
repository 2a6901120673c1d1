//! The same work on a real SQL Server, where `SITEBACKUP_MSSQL` holds a connection string of one.
//!
//! It makes a database, backs it up into the server's default data folder, restores it under a scratch name and where it was, and drops both. The backup
//! files stay there: nothing here can remove a file of a server. Without the variable nothing is proven: the table of `cargo xtask test` says so.

mod rows;

use backup_core::cancel::Cancel;
use sql_dump::sqlserver::{BackupOrder, Placement, Reading, RestoreOrder, SqlServer, Verdict, compare, scratch_name};

const VARIABLE: &str = "SITEBACKUP_MSSQL";

#[test]
fn a_backup_is_taken_proven_restored_and_checked() {
    let Ok(connection) = std::env::var(VARIABLE) else { return };
    let run = uuid::Uuid::now_v7().simple().to_string();
    let (database, scratch) = (scratch_name(&run), scratch_name(&format!("{run}_2")));
    let server = SqlServer::new(super::connection(&connection), Cancel::default());
    make(&connection, &database);

    let (about, facts, _) = server.inspect(&database).expect("it is inspected");
    let separator = if about.data_folder.starts_with('/') { "" } else { "\\" };
    let folder = format!("{}{separator}", about.data_folder.trim_end_matches('\\'));
    let place = format!("{folder}{database} it's ü 漢 🦀.bak");
    let name = format!("sitebackup {run}");
    let taken = server.backup(&BackupOrder::new(&database, &place, &name), &|_| {}).expect("it is taken");
    assert!(taken.set.is_copy_only && taken.set.has_checksums && !taken.set.is_damaged);
    server.backup(&BackupOrder::new(&database, &place, &name), &|_| {}).expect_err("a file is never overwritten");
    let newest = server.newest_backup(&database, Reading::Verify).expect("msdb answers").expect("there is one");
    assert_eq!((newest.set.id, newest.verdict, newest.places), (taken.set.id, Verdict::Valid, vec![place.clone()]));

    server.restore(&RestoreOrder::new(&place, &database), &|_| {}).expect_err("a database is never replaced untold");
    let restored = server.restore(&RestoreOrder::new(&place, &scratch), &|_| {}).expect("it is restored");
    assert_eq!(restored.faults, Vec::<String>::new());
    assert_eq!(compare(&scratch, &facts.values, &restored.facts.values), Vec::new());
    server.drop_scratch(&scratch).expect("it is dropped");
    server.drop_scratch(&database).expect("it is dropped");

    // Back to where its files were: the server has these folders, and says so.
    let order = RestoreOrder { placement: Placement::AsBackedUp, ..RestoreOrder::new(&place, &database) };
    assert_eq!(server.survey_restore(&order).expect("nothing is in its way"), []);
    assert_eq!(server.restore(&order, &|_| {}).expect("it is restored").moved, []);
    server.drop_scratch(&database).expect("it is dropped");
}

/// A database with enough in it that a backup says percents.
fn make(connection: &str, database: &str) {
    let environment = odbc_api::environment().expect("an environment");
    let options = odbc_api::ConnectionOptions::default();
    let connection = environment.connect_with_connection_string(connection, options).expect("a connection");
    let fill = format!(
        "SELECT TOP (20000) a.object_id AS n, REPLICATE(N'ü', 500) AS t INTO [{database}].dbo.rows FROM sys.all_columns AS a"
    );
    for sql in [format!("CREATE DATABASE [{database}]"), fill] {
        connection.execute(&sql, (), None).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}
