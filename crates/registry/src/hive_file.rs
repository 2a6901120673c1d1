//! A store of keys that lives in a hive file.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backup_core::ports::Source;

use crate::name::KeyPath;
use crate::regf::{self, Header};
use crate::store::{FileStore, Format};
use crate::tree::{Detail, Key};

/// A hive file as a store of one key, the hive's root, and all below it. No system may have the hive loaded.
///
/// A hive that was not closed is read through the transaction logs beside it, and written closed: its logs, which stay,
/// are done with then.
pub type HiveFile = FileStore<HiveFormat>;

/// A hive; see [`regf`].
#[derive(Debug)]
pub struct HiveFormat {
    mount: KeyPath,
}

/// What Windows appends to the name of a hive to name its logs.
const LOGS: [&str; 3] = [".LOG", ".LOG1", ".LOG2"];

/// A file that is longer is no log.
const LONGEST_LOG: u64 = 1 << 30;

impl HiveFile {
    /// A store in the hive at `path`, whose root is the key `mount`. It is not touched before the first call.
    pub fn new(path: impl Into<PathBuf>, mount: KeyPath) -> Self {
        Self::with_format(path, HiveFormat::new(mount))
    }
}

impl HiveFormat {
    pub(crate) fn new(mount: KeyPath) -> Self {
        Self { mount }
    }

    /// The hive as the logs beside it make it; `None` where it was closed.
    pub(crate) fn mended(bytes: &[u8], file: &Path) -> Result<Option<Vec<u8>>, Source> {
        if !regf::is_dirty(bytes) {
            return Ok(None);
        }
        let logs = read_logs(file)?;
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        Ok(Some(regf::recover(bytes, &logs)?.hive.into_owned()))
    }
}

impl Format for HiveFormat {
    type Rest = Header;

    const DETAIL: Detail = Detail::Descriptors;

    fn mount(&self) -> &KeyPath {
        &self.mount
    }

    fn read(&self, bytes: Vec<u8>, file: &Path) -> Result<(Key, Header), Source> {
        let hive = regf::read(&Self::mended(&bytes, file)?.unwrap_or(bytes))?;
        Ok((hive.root, hive.header))
    }

    fn write(&self, key: &Key, header: &Header) -> Result<Vec<u8>, Source> {
        let newest = key.newest_write().unwrap_or_default();
        // No entry that a log still holds is to follow on this one.
        let sequence = header.sequence.wrapping_add(1);
        let header = Header { sequence, timestamp: header.timestamp.max(newest), ..header.clone() };
        Ok(regf::write(key, &header)?)
    }
}

fn read_logs(hive: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut logs = Vec::new();
    for suffix in LOGS {
        for suffix in [suffix.to_owned(), suffix.to_ascii_lowercase()] {
            let mut name = OsString::from(hive);
            name.push(suffix);
            let length = match fs::metadata(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?.len(),
            };
            if length > LONGEST_LOG {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            logs.push(fs::read(&name)?);
        }
    }
    Ok(logs)
}

#[cfg(test)]
mod tests;
