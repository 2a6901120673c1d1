//! What the suites ask of a Unix machine.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use backup_core::path::SitePath;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

pub(in super::super) fn site_path(path: &Path) -> SitePath {
    SitePath::parse(path.as_os_str().as_bytes()).expect("scratch paths are absolute")
}

pub(in super::super) fn system_path(path: &SitePath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&path.to_bytes()))
}

pub(in super::super) fn symlink(target: &[u8], place: &Path) -> bool {
    std::os::unix::fs::symlink(OsStr::from_bytes(target), place).expect("linked");
    true
}

pub(in super::super) fn special(place: &Path) -> bool {
    mknodat(CWD, place, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    true
}

pub(in super::super) fn write_at(file: &File, data: &[u8], offset: u64) {
    file.write_all_at(data, offset).expect("written");
}

pub(in super::super) fn set_attribute(place: &Path, name: &str, value: &[u8]) -> bool {
    setxattr(place, name, value, XattrFlags::empty()).is_ok()
}

pub(in super::super) fn keeps_holes(_file: &File) -> bool {
    true
}
