//! Hive files (the format with the signature `regf`): versions 1.3 to 1.6 read, 1.3 and 1.5 written.
//!
//! [`read`] takes a hive as it must be and says where and why it is not; [`salvage`] takes what can be taken and lists
//! what was lost. [`recover`] first applies the transaction logs of a hive that was not closed. [`write()`] makes a hive
//! out of a tree in one pass. docs/hive-format.md describes what is written.
//!
//! A hive is hostile until proven otherwise: each cell may be claimed once (but for security descriptors, which keys
//! share), so that a tree never takes more than twice the memory of the hive that it was read from, and no chain of
//! cells leads in a circle.

mod cells;
mod layout;
mod logs;
mod marvin;
mod reader;
mod security;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;

use crate::name::{KeyPath, Name};
use crate::tree::Key;

pub use logs::{Recovered, is_dirty, recover};
pub use security::default_security;
pub use writer::{WriteError, write};

/// A version of the format, of which all begin with 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.3, that of Windows NT 4 and 2000: no value longer than 1 MiB.
    V1_3,
    /// 1.4, which came with values in several cells.
    V1_4,
    /// 1.5, that of Windows since XP.
    #[default]
    V1_5,
    /// 1.6, that of hives with layered keys.
    V1_6,
}

impl Version {
    fn minor(self) -> u32 {
        self as u32 + 3
    }

    fn of(minor: u32) -> Option<Self> {
        [Self::V1_3, Self::V1_4, Self::V1_5, Self::V1_6].into_iter().find(|version| version.minor() == minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor())
    }
}

/// What a hive says of itself, besides its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version. What is asked for as 1.4 or 1.6 is written as 1.5, which all readers of these know.
    pub version: Version,
    /// The name of the root key, which Windows does not look at.
    pub root_name: Name,
    /// The number of the last write. Entries of transaction logs with lower numbers are done with.
    pub sequence: u32,
    /// When the hive was last written, in units of 100 ns since 1601.
    pub timestamp: u64,
}

impl Default for Header {
    /// The header of a hive that is written for the first time, at no time.
    fn default() -> Self {
        Self { version: Version::default(), root_name: "ROOT".into(), sequence: 1, timestamp: 0 }
    }
}

impl Header {
    /// The header of a hive that holds the key at `path`: its root has the key's name, and it was last written when the
    /// newest of its keys was.
    pub fn of_export(path: &KeyPath, key: &Key) -> Self {
        let new = Self::default();
        let root_name = path.names().last().cloned().unwrap_or(new.root_name);
        Self { root_name, timestamp: key.newest_write().unwrap_or_default(), ..new }
    }
}

/// A hive: its root key, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Hive {
    /// The root key.
    pub root: Key,
    /// The rest.
    pub header: Header,
}

/// A place where a hive is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at offset {offset:#x}{}: {reason}", InKey(path))]
pub struct Fault {
    /// The offset in the file.
    pub offset: u64,
    /// The key below the root whose reading led there.
    pub path: KeyPath,
    /// What is wrong.
    pub reason: &'static str,
}

struct InKey<'p>(&'p KeyPath);

impl fmt::Display for InKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.names().is_empty() { Ok(()) } else { write!(f, " in key `{}`", self.0) }
    }
}

/// What could not be recovered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The faults in the order in which they were met, as many as fit into a sixteenth of the hive's size or 64 KiB.
    pub faults: Vec<Fault>,
    /// How many more there were.
    pub unlisted: usize,
}

impl Losses {
    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Whether the bytes begin as a hive does.
pub fn is_hive(bytes: &[u8]) -> bool {
    bytes.starts_with(layout::REGF)
}

/// Reads a hive that was closed; the first thing that is not as it must be is the error.
///
/// A tree deeper than [`MAX_DEPTH`](crate::MAX_DEPTH) levels is one.
pub fn read(bytes: &[u8]) -> Result<Hive, Fault> {
    reader::read(bytes, reader::Mode::Strict).map(|(hive, _)| hive)
}

/// Reads what can be read of a hive, and lists what was lost. Fails only where there is no root key.
pub fn salvage(bytes: &[u8]) -> Result<(Hive, Losses), Fault> {
    reader::read(bytes, reader::Mode::Lenient)
}
