//! The manifest of a dump. docs/dump-format.md is its description.

use serde::{Deserialize, Serialize};

use super::error::LogicalError;
use super::row_hash::RowHash;
use super::store::MANIFEST;

/// The version of the format that this program writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 1;
/// Where the catalog is.
pub(crate) const CATALOG: &str = "schema/catalog.json";

/// A complete dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The program that wrote it.
    pub tool: String,
    /// `postgresql`, `mariadb`, `sqlite` or `sqlserver`.
    pub dialect: String,
    /// The server with its version.
    pub server: String,
    /// The way on which rows came: `copy`, `embedded`, or the name of the ODBC driver.
    pub transport: String,
    /// The address of the database, without its password.
    pub address: String,
    /// The moment that all rows are of.
    pub moment: Moment,
    /// `zstd` or `none`.
    pub compression: String,
    /// The files that are not rows.
    pub files: Vec<FileEntry>,
    /// The tables, in the order of the catalog.
    pub tables: Vec<TableEntry>,
}

/// The moment that all rows of a dump are of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Whether one snapshot holds for all rows. Tables for which it does not are named in `exceptions`.
    pub one_snapshot: bool,
    /// How it was held, in a sentence for the report.
    pub pinned_by: String,
    /// The server's name for it: a snapshot id, a log position.
    pub id: String,
    /// When it was pinned, in seconds since 1970 by the clock of the machine that dumped.
    pub unix_seconds: u64,
    /// Tables that the snapshot does not hold.
    pub exceptions: Vec<String>,
}

/// A file that is not rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Below the folder of the dump.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3 hash.
    pub blake3: String,
}

/// A table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableEntry {
    /// Its name with its schema, for readers; the catalog has the parts.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// The sum over all of them.
    pub row_hash: RowHash,
    /// The files with its rows.
    pub chunks: Vec<Chunk>,
}

/// One file of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// Below the folder of the dump.
    pub file: String,
    /// How many rows.
    pub rows: u64,
    /// Bytes of rows before compression.
    pub raw_bytes: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The BLAKE3 hash of the file.
    pub blake3: String,
    /// The sum over its rows.
    pub row_hash: RowHash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    manifest: Manifest,
    /// Of the compact JSON text of `manifest`.
    blake3: String,
}

impl Manifest {
    /// Its file.
    pub(crate) fn seal(self) -> Vec<u8> {
        let blake3 = self.hash();
        let sealed = Sealed { manifest: self, blake3 };
        serde_json::to_vec_pretty(&sealed).expect("plain data becomes JSON")
    }

    /// Reads and judges a manifest.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, LogicalError> {
        let damaged = |fault: String| LogicalError::Damaged { file: MANIFEST.to_owned(), fault };
        let version: Version = serde_json::from_slice(file).map_err(|error| damaged(error.to_string()))?;
        if version.manifest.format != FORMAT {
            let format = version.manifest.format;
            return Err(LogicalError::Unsupported(format!(
                "the dump has format {format}, this program reads {FORMAT}"
            )));
        }
        let sealed: Sealed = serde_json::from_slice(file).map_err(|error| damaged(error.to_string()))?;
        if sealed.manifest.hash() != sealed.blake3 {
            return Err(damaged("it does not have the hash that it names".to_owned()));
        }
        Ok(sealed.manifest)
    }

    /// Names one dump among all.
    pub(crate) fn hash(&self) -> String {
        let text = serde_json::to_vec(self).expect("plain data becomes JSON");
        blake3::hash(&text).to_hex().to_string()
    }
}

#[derive(Deserialize)]
struct Version {
    manifest: VersionInside,
}

#[derive(Deserialize)]
struct VersionInside {
    format: u32,
}
