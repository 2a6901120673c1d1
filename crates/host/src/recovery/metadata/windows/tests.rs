//! What Windows keeps beside a file's content comes back as it was.

use std::fs;

use backup_core::manifest::RecordKind;
use backup_core::path::RelPath;
use backup_core::ports::site_files::FileTime;

use super::*;
use crate::files::attributes::of_path;
use crate::os::fs::{CWD, mkdirat};

fn record(attributes: backup_core::ports::site_files::Attributes) -> FileRecord {
    let path = RelPath::parse("f").expect("plain");
    let modified = FileTime(1_600_000_000, 123_456_700);
    FileRecord { attributes, modified, ..FileRecord::new(RecordKind::File, path) }
}

fn opened(path: &std::path::Path) -> OwnedFd {
    openat(CWD, path, OFlags::PATH, Mode::empty()).expect("opened")
}

#[test]
fn bits_times_and_access_rules_come_back() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::write(&old, "x").expect("written");
    let basic = FILE_BASIC_INFORMATION {
        CreationTime: 133_000_000_000_000_001,
        FileAttributes: win::FILE_ATTRIBUTE_HIDDEN | win::FILE_ATTRIBUTE_READONLY,
        ..Default::default()
    };
    set_basic(opened(&old), &basic).expect("set");
    let kept = of_path(&old).expect("read");
    fs::write(&new, "x").expect("written");
    let is_private = crate::os::fs::close_to_others(opened(&new), false);
    is_private.expect("closed");
    assert_ne!(of_path(&new).expect("read"), kept, "or this test sees nothing");
    set_on(&opened(&new), &record(kept.clone())).expect("set");
    let mut stands = of_path(&new).expect("read");
    // Wine keeps no time of creation.
    if value(&stands, CREATED) != value(&kept, CREATED) {
        stands.retain(|(name, _)| name != CREATED);
    }
    for (name, value) in &stands {
        assert!(kept.contains(&(name.clone(), value.clone())), "{}", String::from_utf8_lossy(name));
    }
    let stat = fstat(opened(&new)).expect("examined");
    assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (1_600_000_000, 123_456_700));
}

#[test]
fn what_another_system_keeps_is_told() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("f");
    fs::write(&file, "x").expect("written");
    let error = set_on(&opened(&file), &record(vec![(b"user.tag".to_vec(), b"1".to_vec())]));
    assert!(error.expect_err("it would be lost").to_string().contains("`user.tag`"));
}

#[test]
fn a_hostile_descriptor_is_not_set() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    mkdirat(CWD, folder.path().join("d"), Mode::RWXU).expect("made");
    let descriptor = [&[1, 0, 4, 0x80][..], &[0xFF; 40]].concat();
    let refused = set_on(&opened(&folder.path().join("d")), &record(vec![(SECURITY.to_vec(), descriptor)]));
    assert!(refused.is_err());
}
