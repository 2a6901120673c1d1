//! Files that somebody keeps to himself, as Windows lets him.

use std::ffi::OsString;
use std::fs;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use tempfile::TempDir;
use tests::program::Program;

#[test]
fn a_file_that_nobody_else_may_read_is_named_with_a_remedy() {
    let scratch = TempDir::new().expect("a scratch folder");
    for folder in ["data", "backup"] {
        fs::create_dir(scratch.path().join(folder)).expect("made");
    }
    let file = |name: &str| scratch.path().join("data").join(name);
    for name in ["free", "held"] {
        fs::write(file(name), name).expect("written");
    }
    let site_toml = scratch.path().join("site.toml");
    let text = "version = 1\n[site]\ncode = \"P01\"\n[files]\ninclude = [\"data\"]\n[task]\ndestination = { local = \"backup\" }\nsession-lock = \"session.lock\"\n";
    fs::write(&site_toml, text).expect("written");
    let backup = || Program::build().run(["--site".into(), site_toml.clone().into(), OsString::from("backup")]);

    let held = fs::OpenOptions::new().read(true).share_mode(0).open(file("held")).expect("opened");
    let ran = backup();
    assert_eq!(ran.code, 3, "{ran:#?}");
    let said = format!("failed to open `{}`", file("held").display());
    let line = ran.stderr.lines().find(|line| line.contains(&said));
    let line = line.unwrap_or_else(|| panic!("no line says {said}: {ran:#?}"));
    assert!(line.contains("name the service that has the file open under `[services]`"), "{line}");
    let snapshot = scratch.path().join("backup");
    let is_there = |name: &str| holds(&snapshot, name);
    assert_eq!((is_there("free"), is_there("held")), (true, false));
    drop(held);
    let ran = backup();
    assert_eq!((ran.code, is_there("held")), (0, true), "{ran:#?}");
}

/// Whether a file of this name is somewhere in a tree.
fn holds(folder: &Path, name: &str) -> bool {
    let mut entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("listed"));
    entries.any(|entry| match entry.file_type().expect("examined").is_dir() {
        true => holds(&entry.path(), name),
        false => entry.file_name() == name,
    })
}
