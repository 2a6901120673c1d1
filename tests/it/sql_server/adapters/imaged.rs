//! A database whose files are taken from a shadow copy: what its server is asked, and what is refused before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backup_core::ports::database::{
    DatabaseError, DatabaseFacts, DatabaseForm, DatabaseMoment, SetupOption, SiteDatabase,
};
use backup_core::ports::destination::Destination;
use backup_core::ports::shadow_copies::SQL_SERVER_WRITER;
use sql_dump::ImagedDatabase;
use sql_dump::sqlserver::SqlServer;
use tds_server::{Column, Script, Step, Type, Value, done, error, table};

use super::super::sample::{one_row, script, server};
use super::super::{DRIVERS, Driver, connection};
use super::{Bench, run, take};

const FILES: [&str; 2] = [r"D:\Data\CM_P01.mdf", r"L:\Log\CM_P01_log.ldf"];

fn files(names: &[&str]) -> Vec<Step> {
    let rows = names.iter().map(|name| vec![Value::from(*name)]).collect();
    vec![table(vec![Column::new("physical_name", Type::NVarChar(260))], rows), done()]
}

/// The sample's server with the database's files.
fn with_files() -> Script {
    script().on("SELECT physical_name", files(&FILES))
}

fn database(bench: &Bench, machine: &str) -> ImagedDatabase {
    ImagedDatabase::new(bench.lab.sql_server(), "CM_P01", machine)
}

async fn inspected(driver: Driver, script: Script, machine: &str) -> Result<DatabaseFacts, DatabaseError> {
    let bench = Bench::new(driver, script);
    database(&bench, machine).inspect().await
}

/// Why it is refused.
async fn refusal(script: Script, machine: &str) -> String {
    let error = inspected(Driver::Microsoft, script, machine).await.expect_err("it is refused");
    assert!(matches!(error, DatabaseError::Unsupported(_)), "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_facts_files_and_the_component() {
    for driver in DRIVERS {
        let facts = inspected(driver, with_files(), "sql01").await.expect("it is here");
        assert_eq!((facts.form, facts.moment, facts.size), (DatabaseForm::Files, DatabaseMoment::Pinned, 1 << 40));
        let component = facts.component.expect("one is asked for");
        assert_eq!(
            (component.writer, component.logical_path.as_str(), component.name.as_str()),
            (SQL_SERVER_WRITER, "sql01", "CM_P01")
        );
        assert!(
            component.remedy.contains("SQLWriter") && component.remedy.contains("sysadmin"),
            "{}",
            component.remedy
        );
        assert_eq!(facts.paths.iter().map(ToString::to_string).collect::<Vec<_>>(), FILES);
        assert_eq!(component.known, facts.paths);
        assert!(facts.facts.contains(&("recovery-model".to_owned(), "SIMPLE".to_owned())), "{:?}", facts.facts);
        assert_eq!((facts.change_tracking_days, facts.address.as_str()), (Some(5), "sql01/CM_P01"));
        assert_eq!((facts.remarks, facts.weaker), (vec![], vec![]));
    }
}

/// A port may lead to any instance: the server's own name tells which.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_instance_is_the_one_that_answers() {
    let named =
        one_row(&[("name", r"SQL01\SITE".into()), ("version", "16.0.1.1".into()), ("has_groups", Value::Int(0))]);
    let script = with_files().on_part("SERVERPROPERTY('ProductVersion')", named);
    let facts = inspected(Driver::Microsoft, script, "SQL01").await.expect("it is here");
    assert_eq!(facts.component.map(|component| component.logical_path), Some(r"SQL01\SITE".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_machine_is_refused() {
    // By the configuration, and nobody is asked.
    let bench = Bench::new(Driver::Microsoft, with_files());
    let elsewhere = connection("Driver=x;Server=sql9.example.com;Database=CM_P01");
    let remote = ImagedDatabase::new(SqlServer::new(elsewhere, bench.lab.cancel.clone()), "CM_P01", "SQL01");
    let said = remote.inspect().await.expect_err("it is another machine").to_string();
    assert!(
        said.starts_with("SQL Server `sql9.example.com` is not on this machine, `SQL01`") && said.contains("native"),
        "{said}"
    );
    let nameless = SqlServer::new(connection("DSN=site"), bench.lab.cancel.clone());
    let said = ImagedDatabase::new(nameless, "CM_P01", "SQL01").inspect().await.expect_err("it names none").to_string();
    assert!(said.contains("names no Server"), "{said}");
    assert_eq!(bench.lab.server.batches(), [""; 0]);
    // By what the server calls itself, whatever led there.
    let said = refusal(with_files(), "SITE7").await;
    assert!(said.starts_with("SQL Server `SQL01` is not on this machine, `SITE7`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_an_availability_group_is_refused() {
    let role = one_row(&[
        ("group_name", "AG1".into()),
        ("replica", "SQL01".into()),
        ("role", "PRIMARY".into()),
        ("is_preferred", Value::Int(1)),
    ]);
    let script =
        with_files().on_part("SERVERPROPERTY('ProductVersion')", server(true)).on_part("availability_groups", role);
    let said = refusal(script, "SQL01").await;
    assert!(said.starts_with("the database belongs to availability group `AG1`") && said.contains("native"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_asked_is_a_remark_and_one_without_the_database_an_error() {
    let denied = with_files().on("SELECT physical_name", vec![error(229, "The SELECT permission was denied"), done()]);
    let facts = inspected(Driver::Microsoft, denied, "SQL01").await.expect("the writer may know it all the same");
    let remark = facts.remarks.concat();
    assert!(remark.contains("could not be asked about database CM_P01") && remark.contains("229"), "{remark}");
    assert!(remark.contains("whether it belongs to an availability group is not known"), "{remark}");
    assert_eq!(facts.component.map(|component| component.logical_path), Some("SQL01".to_owned()));
    assert_eq!((facts.paths, facts.weaker, facts.address), (vec![], vec![], "SQL01/CM_P01".to_owned()));

    // Every database has files: who sees none may not look.
    let blind = with_files().on("SELECT physical_name", files(&[]));
    let facts = inspected(Driver::FreeTds, blind, "SQL01").await.expect("the writer may know it all the same");
    let remark = facts.remarks.concat();
    assert!(remark.contains("no file of database `CM_P01`") && remark.contains("VIEW ANY DEFINITION"), "{remark}");

    let nobody = connection("Driver=/no/such/driver.so;Server=.\\SITE;Database=CM_P01");
    let nobody = ImagedDatabase::new(SqlServer::new(nobody, Default::default()), "CM_P01", "SQL01");
    let facts = nobody.inspect().await.expect("there is no driver");
    assert_eq!(facts.component.map(|component| component.logical_path), Some(r"SQL01\SITE".to_owned()));
    assert_eq!(facts.remarks.len(), 1);

    let columns = || vec![Column::new("state_desc", Type::NVarChar(60))];
    let none = with_files().on_part("FROM sys.databases", vec![table(columns(), Vec::new()), done()]);
    let error = inspected(Driver::Microsoft, none, "SQL01").await.expect_err("there is none");
    assert!(matches!(&error, DatabaseError::Missing(name) if name == "CM_P01"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_added_meanwhile_makes_the_snapshot_weaker() {
    for (after, weaker) in [(&FILES[..], 0), (&FILES[..1], 1)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let script = script().when(move |sql| {
            let is_it = sql.starts_with("SELECT physical_name");
            is_it.then(|| if asked.fetch_add(1, Ordering::SeqCst) == 0 { files(&FILES) } else { files(after) })
        });
        let bench = Bench::new(Driver::FreeTds, script);
        let destination = bench.destination();
        let staging = destination.begin(run(), None).await.expect("begun");
        let dump = take(&database(&bench, "SQL01"), &staging).await.expect("nothing is copied here");
        assert_eq!((dump.files.len(), dump.place, dump.setup_option), (0, None, SetupOption::Files));
        assert_eq!(dump.weaker.len(), weaker, "{:?}", dump.weaker);
        assert!(dump.weaker.iter().all(|told| told.contains("files were added to database CM_P01 or removed")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_tells_no_files_before_or_after_is_told_of() {
    for (silent, remarks, weaker) in [(0, 1, 0), (1, 0, 1)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let script = script().when(move |sql| {
            let is_it = sql.starts_with("SELECT physical_name");
            is_it.then(|| match asked.fetch_add(1, Ordering::SeqCst) == silent {
                true => vec![error(229, "The SELECT permission was denied"), done()],
                false => files(&FILES),
            })
        });
        let bench = Bench::new(Driver::FreeTds, script);
        let destination = bench.destination();
        let staging = destination.begin(run(), None).await.expect("begun");
        let dump = take(&database(&bench, "SQL01"), &staging).await.expect("its writer knows them");
        assert_eq!((dump.remarks.len(), dump.weaker.len()), (remarks, weaker), "{dump:?}");
        let told = dump.remarks.iter().chain(&dump.weaker);
        assert!(
            told.clone().all(|told| told.contains("it is not known whether files were added") && told.contains("229"))
        );
    }
}
