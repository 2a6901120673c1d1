//! A whole round with nothing but the program's own SQLite: on every system, without a server.

use std::fs;
use std::path::Path;

use backup_core::cancel::Cancel;

use super::{
    Address, DumpOptions, FolderDump, LogicalError, RestoreOptions, RowHash, Standing, TableEntry, create_database,
    drop_database, dump, inspect, prepare, restore, scratch_name, survey, verify,
};

fn address(file: &Path) -> Address {
    Address::parse(&format!("sqlite:{}", file.display())).expect("an address")
}

fn site(folder: &Path) -> Address {
    let file = folder.join("CM_P01.db");
    let rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) SELECT n, 'Größe 🦀 ' || n, randomblob(9) FROM c";
    let sql = format!(
        "PRAGMA journal_mode = wal; PRAGMA user_version = 7; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, b BLOB);
         INSERT INTO t {rows}; CREATE INDEX i ON t (v); CREATE VIEW w AS SELECT count(*) FROM t"
    );
    rusqlite::Connection::open(&file).and_then(|database| database.execute_batch(&sql)).expect("a database");
    address(&file)
}

#[test]
fn dumped_rehearsed_and_dropped() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let site = site(folder.path());
    let place = FolderDump::new(folder.path().join("dump"));
    let report = dump(&site, &place, &DumpOptions::default()).expect("a dump");
    assert_eq!(verify(&place, &Cancel::default()).expect("a whole dump"), report.manifest);

    let name = scratch_name("1");
    create_database(&site, &name).expect("it is made");
    let scratch = site.scratch(&name);
    assert_eq!(survey(&scratch, &place).expect("it is there"), Standing::Empty);
    let restored = restore(&place, &scratch, &RestoreOptions::default()).expect("a restore");
    assert_eq!((restored.rows, restored.compared), (5000, true));
    assert!(matches!(survey(&scratch, &place).expect("it is there"), Standing::Holds(_)));

    let [mut from, to] = [&site, &scratch].map(|address| inspect(address).expect("it is told"));
    assert_eq!((from.name.as_str(), to.name.as_str()), ("CM_P01", name.as_str()));
    // The file's way of writing belongs to whoever uses it; a dump does not hold it.
    assert_eq!(from.facts.remove(0), ("journal-mode".to_owned(), "wal".to_owned()));
    assert_eq!(from.facts, to.facts[1..]);
    drop_database(&site, &name).expect("it is dropped");
}

/// Writers go on while a moment is held, and what they write is not in the dump.
#[test]
fn the_pinned_moment_is_dumped() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let site = site(folder.path());
    let pinned = prepare(&site, &DumpOptions::default()).and_then(super::PreparedDump::pin).expect("a pin");
    let file = folder.path().join("CM_P01.db");
    rusqlite::Connection::open(file).and_then(|database| database.execute_batch("DELETE FROM t")).expect("it goes on");
    let place = FolderDump::new(folder.path().join("dump"));
    assert_eq!(pinned.finish(&place).expect("a dump").manifest.tables[0].rows, 5000);
}

#[test]
fn a_damaged_dump_is_told() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (site, dumped) = (site(folder.path()), folder.path().join("dump"));
    let place = FolderDump::new(&dumped);
    let report = dump(&site, &place, &DumpOptions::default()).expect("a dump");
    let chunk = dumped.join(&report.manifest.tables[0].chunks[0].file);
    let mut bytes = fs::read(&chunk).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&chunk, bytes).expect("it is altered");
    assert!(matches!(verify(&place, &Cancel::default()), Err(LogicalError::Damaged { .. })));
    let to = address(&folder.path().join("to.db"));
    assert!(matches!(restore(&place, &to, &RestoreOptions::default()), Err(LogicalError::Damaged { .. })));
    assert_eq!(survey(&to, &place).expect("it is there"), Standing::Begun);
}

/// The sums find what whole files hide: a manifest that does not belong to them, a restore that bent a row.
#[test]
fn rows_that_do_not_add_up_are_told() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (site, dumped) = (site(folder.path()), folder.path().join("dump"));
    let place = FolderDump::new(&dumped);
    let manifest = dump(&site, &place, &DumpOptions::default()).expect("a dump").manifest;
    let told = |alter: fn(&mut TableEntry)| {
        let mut other = manifest.clone();
        alter(&mut other.tables[0]);
        fs::write(dumped.join("manifest.json"), other.seal()).expect("it is written");
        verify(&place, &Cancel::default()).expect_err("it does not add up").to_string()
    };
    let chunk = &manifest.tables[0].chunks[0].file;
    let sum = format!("`{chunk}` of the dump is damaged: its rows do not have the sum in the manifest");
    assert_eq!(told(|table| table.chunks[0].row_hash = RowHash::default()), sum);
    assert_eq!(told(|table| table.chunks[0].rows += 1), sum);
    let total = "`manifest.json` of the dump is damaged: the chunks of `t` do not add up";
    assert_eq!(told(|table| table.rows += 1), total);
    assert_eq!(told(|table| table.row_hash = RowHash::default()), total);
    let to = address(&folder.path().join("to.db"));
    let error = restore(&place, &to, &RestoreOptions::default()).expect_err("it is not the same");
    assert!(matches!(&error, LogicalError::Differs { table, .. } if table == "t"), "{error:?}");
    assert_eq!(survey(&to, &place).expect("it is there"), Standing::Begun);
}

#[test]
fn a_look_at_a_dump_ends_when_somebody_wishes_it() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (site, place) = (site(folder.path()), FolderDump::new(folder.path().join("dump")));
    dump(&site, &place, &DumpOptions::default()).expect("a dump");
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(matches!(verify(&place, &cancel), Err(LogicalError::Stopped)));
}
