//! Logical dumps of real servers and files: dumped, restored, compared by row hash and by an independent query.

mod bad_input;
mod generated;
mod inspected;
mod locale;
mod mariadb;
mod money;
mod postgres;
mod rehearsal;
mod sqlite;
mod traps;

use std::collections::BTreeSet;

use backup_core::cancel::Cancel;
use sql_dump::logical::{
    Address, DumpOptions, DumpReport, FolderDump, LogicalError, RestoreOptions, RestoreReport, dump, restore, verify,
};
use tempfile::TempDir;

/// A scratch folder with a place for a dump in it.
fn folder() -> (TempDir, FolderDump) {
    let scratch = TempDir::new().expect("a scratch folder");
    let place = FolderDump::new(scratch.path().join("dump"));
    (scratch, place)
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

/// Dumps, and has the dump judged.
fn dump_to(from: &str, place: &FolderDump, options: &DumpOptions) -> DumpReport {
    let report = dump(&address(from), place, options).expect("a dump");
    assert_eq!(verify(place, &Cancel::default()).expect("a whole dump"), report.manifest);
    report
}

fn restore_from(place: &FolderDump, to: &str) -> RestoreReport {
    try_restore(place, to).expect("a restore")
}

fn try_restore(place: &FolderDump, to: &str) -> Result<RestoreReport, LogicalError> {
    restore(place, &address(to), &RestoreOptions::default())
}

/// Equal lines in any order: parts may be made in another order. The lines that only one has make the message.
fn same_lines(from: &[String], to: &[String]) {
    let (from, to): (BTreeSet<&String>, BTreeSet<&String>) = (from.iter().collect(), to.iter().collect());
    let short = |line: &&&String| line.chars().take(300).collect::<String>();
    let gone: Vec<String> = from.difference(&to).map(|line| short(&line)).collect();
    let new: Vec<String> = to.difference(&from).map(|line| short(&line)).collect();
    assert_eq!((gone, new), (vec![], vec![]));
}
