//! What the suites ask of a Windows machine.

use std::ffi::OsString;
use std::fs::File;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::FileExt;
use std::path::{Path, PathBuf};

use backup_core::path::SitePath;
use backup_core::wtf8;

impl super::Local {
    /// On a share.
    pub(in super::super) fn on_share() -> Self {
        let scratch = tempfile::tempdir_in(crate::after_backup::SHARE).expect("cargo xtask windows has made the share");
        Self::at(scratch.path().to_owned(), scratch)
    }

    /// Where every path is longer than the 260 characters that programs of old can take.
    pub(in super::super) fn deep() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        Self::at(scratch.path().join("deep ".repeat(20) + "1").join("deep ".repeat(30) + "2"), scratch)
    }
}

pub(in super::super) fn site_path(path: &Path) -> SitePath {
    let wide: Vec<u16> = path.as_os_str().encode_wide().collect();
    SitePath::parse(wtf8::from_wide(&wide)).expect("scratch paths are absolute")
}

pub(in super::super) fn system_path(path: &SitePath) -> PathBuf {
    let wide = wtf8::to_wide(&path.to_verbatim_bytes()).expect("a name of Windows");
    PathBuf::from(OsString::from_wide(&wide))
}

/// Wine says that it has made a link, and has not.
pub(in super::super) fn symlink(target: &[u8], place: &Path) -> bool {
    let Some(target) = wtf8::to_wide(target) else { return false };
    let made = std::os::windows::fs::symlink_file(OsString::from_wide(&target), place);
    made.is_ok() && std::fs::symlink_metadata(place).is_ok_and(|facts| facts.is_symlink())
}

/// Windows keeps no pipes and devices among files.
pub(in super::super) fn special(_place: &Path) -> bool {
    false
}

pub(in super::super) fn write_at(file: &File, data: &[u8], offset: u64) {
    assert_eq!(file.seek_write(data, offset).expect("written"), data.len());
}

/// What Windows keeps beside a file's content has names of its own.
pub(in super::super) fn set_attribute(_place: &Path, _name: &str, _value: &[u8]) -> bool {
    false
}

/// A file is given holes by a call that the standard library does not have.
pub(in super::super) fn keeps_holes(_file: &File) -> bool {
    false
}
