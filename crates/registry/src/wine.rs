//! The registry files of a Wine prefix: text of its own kind, headed `WINE REGISTRY Version 2`.
//!
//! What a file says and this crate does not know is written as it was read: the lines at its head (`#arch=`, the comment
//! that names its root), and options of keys (lines that begin with `#`). Class names and last-write times are known,
//! security descriptors the text has no place for. A key is a link, as everywhere, when it has the value
//! `SymbolicLinkValue` of the type `REG_LINK`; its line `#link` is made from that.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backup_core::ports::Source;

use crate::name::KeyPath;
use crate::store::{FileStore, Format};
use crate::tree::{Detail, Key};

const HEADER: &str = "WINE REGISTRY Version 2";

/// The files of a prefix and the roots that they hold.
const FILES: [(&str, &str); 3] = [
    ("system.reg", r"HKEY_LOCAL_MACHINE"),
    ("user.reg", r"HKEY_CURRENT_USER"),
    ("userdef.reg", r"HKEY_USERS\.Default"),
];

/// A registry file of a Wine prefix as a store. No wineserver may run on the prefix: it reads the file when it starts,
/// and writes over it when it ends.
pub type WineFile = FileStore<WineFormat>;

/// The text of Wine's registry files.
#[derive(Debug)]
pub struct WineFormat {
    mount: KeyPath,
}

impl WineFile {
    /// A store in the file at `path`, whose keys are those below `mount`. It is not touched before the first call.
    pub fn new(path: impl Into<PathBuf>, mount: KeyPath) -> Self {
        Self::with_format(path, WineFormat { mount })
    }

    /// The stores of the prefix in `folder`.
    pub fn of_prefix(folder: &Path) -> [Self; 3] {
        FILES.map(|(file, root)| Self::new(folder.join(file), root.parse().expect("the roots are paths of keys")))
    }
}

/// What a file says besides its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WineRest {
    /// The lines before the first key, without the first.
    head: Vec<Vec<u8>>,
    /// Lines of options that are not known, by key.
    options: BTreeMap<KeyPath, Vec<Vec<u8>>>,
}

impl WineFormat {
    pub(crate) fn new(mount: KeyPath) -> Self {
        Self { mount }
    }
}

/// The root of which a file says that it holds the keys below; `None` for a file that is not Wine's.
///
/// The comment at its head names it; a file without one is taken for that of the machine.
pub(crate) fn mount_of(bytes: &[u8]) -> Option<KeyPath> {
    const COMMENT: &[u8] = br";; All keys relative to \\";
    let mut lines = bytes.strip_prefix(HEADER.as_bytes())?.split(|&byte| byte == b'\n');
    let names = lines.find_map(|line| line.strip_prefix(COMMENT)).unwrap_or(b"Machine");
    let root = match names.trim_ascii_end() {
        br"User\\.Default" => FILES[2].1,
        names if names.starts_with(b"User") => FILES[1].1,
        _ => FILES[0].1,
    };
    Some(root.parse().expect("the roots are paths of keys"))
}

impl Format for WineFormat {
    type Rest = WineRest;

    const DETAIL: Detail = Detail::Classes;

    fn mount(&self) -> &KeyPath {
        &self.mount
    }

    fn read(&self, bytes: Vec<u8>, _file: &Path) -> Result<(Key, WineRest), Source> {
        Ok(reader::read(&bytes)?)
    }

    fn write(&self, key: &Key, rest: &WineRest) -> Result<Vec<u8>, Source> {
        Ok(writer::write(key, rest)?)
    }
}

/// Seconds from 1601, where FILETIME begins, to 1970.
const EPOCH: u64 = 11_644_473_600;
/// Units of FILETIME in a second.
const SECOND: u64 = 10_000_000;
