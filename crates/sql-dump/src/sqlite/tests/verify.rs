//! Judgements.

use std::fs;

use backup_core::ports::database::{DatabaseError, DatabaseTarget, SiteDatabase};

use super::{MODES, Scratch, block_on, count_on, site_path};

fn faults(scratch: &Scratch) -> Vec<String> {
    block_on(scratch.database().verify(&DatabaseTarget::File(site_path(&scratch.file())))).expect("a verdict").faults
}

fn filled(mode: &str) -> Scratch {
    let scratch = Scratch::new(mode, 4096);
    let connection = scratch.connect();
    connection.execute_batch("CREATE INDEX by_size ON log (length(data), id)").expect("created");
    (0..300).for_each(|_| count_on(&connection).expect("counted"));
    drop(connection);
    scratch
}

#[test]
fn a_sound_database_has_no_faults_and_gets_no_files_beside_it() {
    for mode in MODES {
        let scratch = filled(mode);
        let before = scratch.fingerprint();
        assert_eq!(faults(&scratch), [""; 0]);
        assert_eq!(scratch.fingerprint(), before);
    }
}

#[test]
fn damage_is_told_in_lines() {
    for mode in MODES {
        for damage in [5000, 40_000, 400_000] {
            let scratch = filled(mode);
            let mut bytes = fs::read(scratch.file()).expect("the file");
            bytes[damage..damage + 8000].fill(0x55);
            fs::write(scratch.file(), &bytes).expect("damaged");
            assert!(!faults(&scratch).is_empty(), "{mode}, at {damage}");
            fs::write(scratch.file(), &bytes[..bytes.len() / 2]).expect("cut");
            assert!(!faults(&scratch).is_empty(), "{mode}, cut");
        }
    }
}

#[test]
fn references_to_nothing_are_faults() {
    let scratch = Scratch::new("delete", 4096);
    let orphan = "PRAGMA foreign_keys = off; CREATE TABLE p (id INTEGER PRIMARY KEY);
        CREATE TABLE c (p REFERENCES p (id)); INSERT INTO c VALUES (1)";
    scratch.connect().execute_batch(orphan).expect("an orphan");
    assert_eq!(faults(&scratch), ["row 1 of table `c` refers to no row of table `p`"]);
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    let scratch = Scratch::empty();
    let verify = || {
        block_on(scratch.database().verify(&DatabaseTarget::File(site_path(&scratch.file())))).expect_err("no verdict")
    };
    assert!(matches!(verify(), DatabaseError::Missing(_)));
    fs::write(scratch.file(), "no database\n".repeat(100)).expect("written");
    assert!(matches!(verify(), DatabaseError::NotOne { .. }));
}
