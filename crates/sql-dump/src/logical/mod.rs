//! Logical dumps: the rows of a database as text in files, at one moment, and back into an empty database.
//!
//! [`prepare`] connects, [`PreparedDump::pin`] holds the moment inside the freeze window, [`PinnedDump::finish`] writes it; [`dump`] does all three.
//! [`verify`] judges a dump by itself, [`survey`] looks at where it is to go, [`restore`] puts it back and compares every row. All of it blocks. docs/dump-format.md describes the files.

mod address;
pub(crate) mod catalog;
pub(crate) mod chunk;
pub(crate) mod dump;
mod error;
pub(crate) mod format;
pub(crate) mod inspect;
mod restore;
mod row_hash;
pub(crate) mod row_text;
pub(crate) mod rows;
mod scratch;
pub(crate) mod seam;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod work;

pub use address::Address;
pub use chunk::Compression;
pub use dump::{DumpOptions, DumpReport, PinnedDump, PreparedDump, dump, prepare};
pub(crate) use error::list;
pub use error::{LogicalError, Source};
pub use format::{Chunk, FileEntry, Manifest, Moment, TableEntry};
pub use inspect::{Inspection, inspect, may_dump};
pub use restore::{RestoreOptions, RestoreReport, Standing, restore, survey};
pub use row_hash::RowHash;
pub use scratch::{create_database, drop_database};
pub use store::{DumpFile, DumpSink, DumpSource, FolderDump};
pub(crate) use store::{MANIFEST, new_file};
pub(crate) use verify::LONGEST;
pub use verify::verify;

pub use crate::scratch::scratch_name;
