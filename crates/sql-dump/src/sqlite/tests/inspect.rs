//! Facts, and what is no database.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use backup_core::path::SitePath;
use backup_core::ports::database::{DatabaseError, DatabaseFacts, SiteDatabase};

use super::super::SqliteDatabase;
use super::child::Child;
use super::{MODES, Scratch, block_on, count_on, site_path};

fn fact<'a>(facts: &'a DatabaseFacts, name: &str) -> &'a str {
    &facts.facts.iter().find(|fact| fact.0 == name).expect("the fact is told").1
}

#[test]
fn the_facts_are_those_of_the_database() {
    let scratch = Scratch::new("wal", 8192);
    let connection = scratch.connect();
    connection.execute_batch("PRAGMA user_version = 5; PRAGMA application_id = 7").expect("set");
    count_on(&connection).expect("counted");
    let facts = block_on(scratch.database().inspect()).expect("facts");
    assert_eq!(facts.name, "CM_P01");
    assert!(facts.engine.starts_with("SQLite 3."));
    assert_eq!(facts.file, Some(site_path(&scratch.file())));
    let paths = ["", "-wal", "-shm", "-journal"].map(|suffix| site_path(&scratch.beside(suffix)));
    assert_eq!(facts.paths, paths);
    assert_eq!(fact(&facts, "journal-mode"), "wal");
    assert_eq!(fact(&facts, "page-size"), "8192");
    assert_eq!(fact(&facts, "encoding"), "UTF-8");
    assert_eq!(fact(&facts, "auto-vacuum"), "incremental");
    assert_eq!(fact(&facts, "user-version"), "5");
    assert_eq!(fact(&facts, "application-id"), "7");
    assert_eq!(fact(&facts, "tables"), "3");
    drop(connection);
    assert_eq!(facts.size, fs::metadata(scratch.file()).expect("it is there").len());
}

#[test]
fn the_schema_hash_follows_the_schema_and_not_the_pages() {
    let scratch = Scratch::new("delete", 4096);
    let hash = || fact(&block_on(scratch.database().inspect()).expect("facts"), "schema-hash").to_owned();
    let first = hash();
    scratch.connect().execute_batch("PRAGMA page_size = 512; VACUUM").expect("laid out anew");
    assert_eq!(hash(), first);
    scratch.connect().execute_batch("CREATE INDEX i ON log (data)").expect("created");
    assert_ne!(hash(), first);
}

#[test]
fn what_is_no_database_is_told_apart() {
    let scratch = Scratch::empty();
    let inspect = || block_on(scratch.database().inspect()).expect_err("there is no database");
    assert!(matches!(inspect(), DatabaseError::Missing(_)));
    for content in ["some text", &"some longer text\n".repeat(1000)] {
        fs::write(scratch.file(), content).expect("written");
        let error = inspect();
        assert!(matches!(error, DatabaseError::NotOne { .. }), "{error:?}");
        assert_eq!(fs::read_to_string(scratch.file()).expect("still there"), *content);
    }
    fs::remove_file(scratch.file()).expect("removed");
    fs::create_dir(scratch.file()).expect("a folder in its place");
    assert!(matches!(inspect(), DatabaseError::NotOne { .. }));
    let elsewhere = SqliteDatabase::new(SitePath::parse(r"C:\site\CM_P01.mdf").expect("a Windows path"), None);
    assert!(matches!(block_on(elsewhere.inspect()), Err(DatabaseError::Failed { .. })));
}

#[test]
fn a_link_is_followed_to_the_files_beside_the_real_one() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 4096);
        let link = scratch.folder.path().join("link.db");
        symlink("site/CM_P01.db", &link).expect("linked");
        let facts = block_on(SqliteDatabase::new(site_path(&link), None).inspect()).expect("facts");
        assert_eq!((facts.name.as_str(), facts.file), ("link", Some(site_path(&scratch.file()))));
    }
}

#[test]
fn names_that_mean_something_elsewhere_mean_nothing_here() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 4096);
        let odd = scratch.folder.path().join("site/a?b#c%20d&immutable=0 ü.db");
        fs::rename(scratch.file(), &odd).expect("renamed");
        let database = SqliteDatabase::new(site_path(&odd), Some("CM_P01".to_owned()));
        assert_eq!(block_on(database.inspect()).expect("facts").name, "CM_P01");
    }
}

#[test]
fn a_database_in_use_is_left_as_it_is() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 4096);
        let mut writer = scratch.child();
        writer.storm();
        block_on(scratch.database().inspect()).expect("facts");
        scratch.back_up();
        assert!(writer.calm() > 0);
        if mode == "wal" {
            assert_eq!(scratch.names(), ["CM_P01.db", "CM_P01.db-shm", "CM_P01.db-wal"]);
        }
    }
}

#[test]
fn who_may_only_read_gets_what_can_be_read() {
    for mode in MODES {
        let scratch = Scratch::new(mode, 4096);
        let folder = scratch.folder.path().join("site");
        let allow = |path: &Path, bits| {
            fs::set_permissions(path, fs::Permissions::from_mode(bits)).expect("permissions");
        };
        allow(scratch.folder.path(), 0o755);
        allow(&scratch.file(), 0o444);
        allow(&folder, 0o555);
        let mut reader = Child::start_bound(&scratch.file(), scratch.folder.path());
        assert_eq!(reader.adapter("inspect"), "ok", "{mode}");
        let backed_up = reader.adapter("back up");
        match mode {
            "wal" => assert!(backed_up.contains("by who may write to its folder"), "{backed_up}"),
            _ => assert_eq!(backed_up, "ok"),
        }
        assert_eq!(scratch.names(), ["CM_P01.db"]);
        allow(&scratch.file(), 0o000);
        let refused = reader.adapter("inspect");
        assert!(refused.starts_with("failed to open database") && !refused.contains("WAL"), "{refused}");
        allow(&folder, 0o755);
    }
}
