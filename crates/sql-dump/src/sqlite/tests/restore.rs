//! Putting back: what is refused, what stays, what an interruption leaves.

use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use backup_core::manifest::{ContentHash, FileRecord, RecordKind};
use backup_core::path::RelPath;
use backup_core::ports::database::{DatabaseError, DatabaseTarget, SiteDatabase};

use super::super::locate::Files;
use super::super::target::{Held, other_program};
use super::doubles::source;
use super::{MODES, Scratch, block_on, count_on, locked, number, site_path};

/// A backed-up database with the number 3, which has counted on to 8 since.
fn backed_up(mode: &str) -> (Scratch, ContentHash) {
    let scratch = Scratch::new(mode, 4096);
    (0..3).for_each(|_| count_on(&scratch.connect()).expect("counted"));
    let hash = scratch.back_up().files[0].hash;
    (0..5).for_each(|_| count_on(&scratch.connect()).expect("counted"));
    (scratch, hash)
}

fn restore_to(scratch: &Scratch, hash: &ContentHash, target: &Path) -> Result<(), DatabaseError> {
    let copy = RelPath::parse("copy.db").expect("a plain name");
    let record = FileRecord { hash: Some(*hash), ..FileRecord::new(RecordKind::Database, copy) };
    let source = source(scratch.folder.path(), record);
    block_on(scratch.database().restore(&source, &DatabaseTarget::File(site_path(target)))).map(drop)
}

fn restore(scratch: &Scratch, hash: &ContentHash) -> Result<(), DatabaseError> {
    restore_to(scratch, hash, &scratch.file())
}

fn mode_of(file: &Path) -> u32 {
    fs::metadata(file).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn the_copy_takes_the_old_ones_place_and_permissions() {
    for mode in MODES {
        let (scratch, hash) = backed_up(mode);
        fs::set_permissions(scratch.file(), fs::Permissions::from_mode(0o640)).expect("permissions");
        // An earlier attempt was killed in the middle.
        fs::write(scratch.file().with_file_name(".CM_P01.db.restoring"), "half a file").expect("written");
        for _ in 0..2 {
            restore(&scratch, &hash).expect("restored");
            assert_eq!(scratch.names(), ["CM_P01.db"]);
            assert_eq!(ContentHash::of(&fs::read(scratch.file()).expect("the file")), hash);
            assert_eq!(mode_of(&scratch.file()), 0o640);
        }
        assert_eq!(number(&scratch.file()), 3);
    }
}

#[test]
fn a_new_place_is_made_and_is_its_owners_alone() {
    let (scratch, hash) = backed_up("wal");
    let target = scratch.folder.path().join("new/place/CM_P01.db");
    restore_to(&scratch, &hash, &target).expect("restored");
    assert_eq!(mode_of(&target), 0o600);
    assert_eq!(number(&target), 3);
}

#[test]
fn a_link_leads_to_the_file_that_is_replaced() {
    let (scratch, hash) = backed_up("delete");
    let link = scratch.folder.path().join("link.db");
    symlink("site/CM_P01.db", &link).expect("linked");
    restore_to(&scratch, &hash, &link).expect("restored");
    assert!(link.is_symlink());
    assert_eq!(number(&scratch.file()), 3);
}

#[test]
fn a_wrong_copy_changes_nothing() {
    for mode in MODES {
        let (scratch, _) = backed_up(mode);
        let before = scratch.fingerprint();
        let error = restore(&scratch, &ContentHash::of(b"something else")).expect_err("another hash");
        assert!(matches!(error, DatabaseError::Hash(_)), "{error:?}");
        fs::remove_file(scratch.copy_file()).expect("removed");
        let error = restore(&scratch, &ContentHash::of(b"")).expect_err("no copy");
        assert!(matches!(error, DatabaseError::Write(_)), "{error:?}");
        assert_eq!(scratch.fingerprint(), before, "{mode}");
    }
}

#[test]
fn a_folder_in_the_targets_place_is_refused() {
    let (scratch, hash) = backed_up("delete");
    let error = restore_to(&scratch, &hash, &scratch.folder.path().join("site")).expect_err("a folder");
    assert!(matches!(error, DatabaseError::NotOne { .. }), "{error:?}");
    assert_eq!(scratch.names(), ["CM_P01.db"]);
}

#[test]
fn a_target_in_use_is_refused() {
    for mode in MODES {
        let (scratch, hash) = backed_up(mode);
        let mut other = scratch.child();
        assert_eq!(other.sql("BEGIN; SELECT v FROM a"), "Integer(8)");
        assert!(locked(&restore(&scratch, &hash)));
        assert_eq!(other.sql("COMMIT"), "ok");
        // Without a transaction it may hold no lock, but it would go on writing to a file without a name.
        let refused = restore(&scratch, &hash);
        assert!(locked(&refused), "{mode}: {refused:?}");
        if let (Err(DatabaseError::Locked { source, .. }), "delete") = (refused, mode) {
            assert!(source.to_string().starts_with(&format!("process {} (", other.id())), "{source}");
        }
        drop(other);
        restore(&scratch, &hash).expect("restored");
        assert_eq!(number(&scratch.file()), 3);
    }
}

/// A child that was forked and is no other program yet has whatever is open here: it is waited for longer than a stranger.
#[test]
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only before it becomes another program can a child be kept from that")]
fn a_child_that_is_no_program_yet_is_told_from_a_stranger() {
    let scratch = Scratch::new("delete", 4096);
    let files = Files::locate(&site_path(&scratch.file())).expect("it is there");
    let open = fs::File::open(scratch.file()).expect("it opens");
    let (mut told, tell) = io::pipe().expect("a pipe");
    let (hold, mut go_on) = io::pipe().expect("a pipe");
    let mut command = Command::new("true");
    let wait = move || {
        (&tell).write_all(b"x")?;
        (&hold).read_exact(&mut [0])
    };
    // SAFETY: between fork and exec it writes one byte and reads one, which is safe there.
    unsafe { command.pre_exec(wait) };
    let child = thread::spawn(move || command.status());
    told.read_exact(&mut [0]).expect("it was forked");
    let program = other_program(&files);
    // Before anything is asserted: it would wait for ever.
    go_on.write_all(b"x").expect("it waits for this");
    assert!(child.join().expect("no panic").expect("it ran").success());
    assert!(program.as_ref().is_some_and(|program| program.is_forked), "{program:?}");
    drop(open);
    let _stranger = scratch.child();
    let program = other_program(&files).expect("it has the file open");
    assert!(!program.is_forked, "{program:?}");
}

#[test]
fn a_pin_of_our_own_is_in_use_too() {
    let (scratch, hash) = backed_up("wal");
    let mut copy = scratch.prepare_elsewhere();
    block_on(copy.pin()).expect("pinned");
    assert!(locked(&restore(&scratch, &hash)));
}

#[test]
fn what_a_crash_left_beside_the_old_one_never_meets_the_new_one() {
    let (scratch, hash) = backed_up("wal");
    let mut writer = scratch.child();
    assert_eq!(writer.sql("UPDATE a SET v = 100; UPDATE b SET v = 200"), "ok");
    writer.crash();
    assert_eq!(scratch.names().len(), 3);
    restore(&scratch, &hash).expect("restored");
    assert_eq!(scratch.names(), ["CM_P01.db"]);
    assert_eq!(number(&scratch.file()), 3);

    let (scratch, hash) = backed_up("delete");
    let mut writer = scratch.child();
    assert_eq!(writer.sql("PRAGMA cache_size = 1; BEGIN; UPDATE log SET data = randomblob(3000)"), "ok");
    writer.crash();
    assert_eq!(scratch.names(), ["CM_P01.db", "CM_P01.db-journal"]);
    restore(&scratch, &hash).expect("restored");
    assert_eq!(scratch.names(), ["CM_P01.db"]);
    assert_eq!(number(&scratch.file()), 3);
}

#[test]
fn a_wreck_is_replaced_with_all_that_stands_beside_it() {
    for wreck in [Some("no database any more".repeat(500)), Some(String::new()), None] {
        let (scratch, hash) = backed_up("wal");
        let mut writer = scratch.child();
        assert_eq!(writer.sql("UPDATE a SET v = 100; UPDATE b SET v = 200"), "ok");
        writer.crash();
        match &wreck {
            Some(content) => fs::write(scratch.file(), content).expect("wrecked"),
            None => fs::remove_file(scratch.file()).expect("removed"),
        }
        fs::write(scratch.beside("-journal"), "left by somebody").expect("written");
        restore(&scratch, &hash).expect("restored");
        assert_eq!(scratch.names(), ["CM_P01.db"]);
        assert_eq!(number(&scratch.file()), 3);
    }
}

// The instant before the rename: the old database must be whole without what stood beside it.
#[test]
fn the_old_one_is_whole_when_a_restore_ends_before_the_rename() {
    let (scratch, _) = backed_up("wal");
    let mut writer = scratch.child();
    assert_eq!(writer.sql("UPDATE a SET v = 100; UPDATE b SET v = 100"), "ok");
    writer.crash();
    let files = Files::place(&site_path(&scratch.file())).expect("a place");
    let held = Held::take(&files).expect("nobody has it");
    let held = held.clear_side_files(&files).expect("cleared");
    assert_eq!(scratch.names(), ["CM_P01.db"]);
    drop(held);
    assert_eq!(number(&scratch.file()), 100);
}

#[test]
fn nobody_gets_in_while_the_old_one_is_held() {
    for mode in MODES {
        let (scratch, _) = backed_up(mode);
        let files = Files::place(&site_path(&scratch.file())).expect("a place");
        let held = Held::take(&files).expect("nobody has it");
        let mut other = scratch.child();
        assert_eq!(other.sql("SELECT v FROM a"), "busy");
        let held = held.clear_side_files(&files).expect("cleared");
        assert_eq!(other.sql("SELECT v FROM a"), "busy", "{mode}");
        drop(held);
    }
}
