//! Logical dumps and restores through real drivers against the scripted server. What the server's CONVERT makes of a value is the script's word, not SQL Server's.

mod database;
mod dumps;
mod faults;
mod part;
mod restores;
mod servers;
mod store;

use std::path::Path;

use backup_core::cancel::Cancel;
use sql_dump::logical::{Address, DumpOptions, DumpReport, FolderDump, LogicalError, RestoreOptions, RestoreReport};
use tds_server::{Event, Script, TdsServer};
use tempfile::TempDir;

use super::Driver;

fn serve(script: Script) -> TdsServer {
    TdsServer::start(script).expect("a free port")
}

fn address(driver: Driver, server: &TdsServer) -> Address {
    Address::parse(&driver.connection_string(server, Script::PASSWORD)).expect("an address")
}

fn folder() -> (TempDir, FolderDump) {
    let scratch = TempDir::new().expect("a scratch folder");
    let place = FolderDump::new(scratch.path().join("dump"));
    (scratch, place)
}

fn try_dump(driver: Driver, server: &TdsServer, place: &FolderDump) -> Result<DumpReport, LogicalError> {
    sql_dump::logical::dump(&address(driver, server), place, &DumpOptions::default())
}

/// Dumps, and has the dump judged.
fn dump(driver: Driver, server: &TdsServer, place: &FolderDump) -> DumpReport {
    let report = try_dump(driver, server, place).unwrap_or_else(|error| panic!("{driver:?}: {}", whole(&error)));
    assert_eq!(sql_dump::logical::verify(place, &Cancel::default()).expect("a whole dump"), report.manifest);
    report
}

fn try_restore(driver: Driver, server: &TdsServer, place: &FolderDump) -> Result<RestoreReport, LogicalError> {
    let options = RestoreOptions { connections: 1, ..RestoreOptions::default() };
    sql_dump::logical::restore(place, &address(driver, server), &options)
}

/// An error with its reasons.
fn whole(error: &LogicalError) -> String {
    let mut text = format!("{error}");
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        text += &format!(": {reason}");
        source = reason.source();
    }
    text
}

/// The rows of a table in a dump, in any order.
fn rows(place: &Path, table: &str) -> Vec<String> {
    let files = std::fs::read_dir(place.join("data")).expect("it is there").flatten().map(|entry| entry.path());
    let of_table = files.filter(|file| file.to_string_lossy().contains(table));
    let text = |file: std::path::PathBuf| {
        let packed = std::fs::File::open(file).expect("it opens");
        String::from_utf8(zstd::decode_all(packed).expect("it is whole")).expect("it is UTF-8")
    };
    let mut rows: Vec<String> =
        of_table.flat_map(|file| text(file).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    rows.sort();
    rows
}

/// All batches, also those that drivers might send.
fn sent(server: &TdsServer) -> Vec<String> {
    server
        .heard()
        .into_iter()
        .filter_map(|event| if let Event::Batch { sql, .. } = event { Some(sql) } else { None })
        .collect()
}

/// How many batches begin so.
fn count(server: &TdsServer, beginning: &str) -> usize {
    sent(server).iter().filter(|sql| sql.starts_with(beginning)).count()
}
