//! Many backup snapshots in one deduplicated, encrypted, provable store. docs/format.md is its format.

mod archived;
mod chunker;
mod content;
pub mod crypto;
mod error;
mod index;
pub mod keys;
mod lease;
mod live;
mod pack;
mod packer;
mod prune;
mod read;
mod repository;
mod snapshot;
pub mod storage;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod wire;

pub use archived::ArchivedSnapshot;
pub use error::ArchiveError;
pub use keys::Key;
pub use lease::{LeaseFacts, Purpose};
pub use prune::Pruned;
pub use repository::{FORMAT_VERSION, Listed, Listing, Repository};
pub use snapshot::{About, Snapshot};
pub use store::{Folder, StoreContext, StoredFolder};
pub use verify::{ReadData, Verified};
