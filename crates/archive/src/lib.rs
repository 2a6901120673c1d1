//! Many backup snapshots in one deduplicated, encrypted, provable store. docs/format.md is its format.
//!
//! A [`Repository`] lies on a [`Storage`](storage::Storage) and is opened by a key of its [`keys`]. It stores folders
//! ([`Repository::store`]), of which each becomes a snapshot, gives them back ([`Repository::open_snapshot`]), proves that they can be given
//! back ([`Repository::verify`]), and lets go of what nothing needs ([`Repository::forget`], [`Repository::prune`]).
//!
//! ```
//! use std::sync::Arc;
//!
//! use archive::crypto::ReadKey;
//! use archive::keys::{self, Key};
//! use archive::storage::memory::MemoryStorage;
//! use archive::{ReadData, Repository};
//! use backup_core::cancel::Cancel;
//!
//! let storage = Arc::new(MemoryStorage::default());
//! let key = ReadKey::generate();
//! keys::add_passphrase_key(&*storage, &Key::Read(key.clone()), "correct horse battery staple", "the admins")?;
//! let made = Repository::create(storage.clone(), &key)?;
//!
//! // On any other day, on any other machine.
//! let opened = keys::open_with_passphrase(&*storage, "correct horse battery staple", Some(made.id()))?;
//! let repository = Repository::open(storage, opened.key)?;
//! assert!(repository.snapshots()?.snapshots.is_empty());
//! assert!(repository.verify(ReadData::Structure, &Cancel::default())?.problems.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archived;
mod chunker;
mod content;
pub mod crypto;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod index;
pub mod keys;
mod lease;
mod live;
mod lock;
mod pack;
mod packer;
mod port;
mod progress;
mod prove;
mod prune;
mod read;
mod repository;
mod snapshot;
mod spare;
pub mod storage;
mod store;
#[cfg(test)]
mod tests;
mod threads;
mod verify;
mod wire;

pub use archived::ArchivedSnapshot;
pub use error::ArchiveError;
pub use keys::Key;
pub use lease::{LeaseFacts, Purpose};
pub use port::RepositoryArchive;
pub use prune::Pruned;
pub use repository::{FORMAT_VERSION, Listed, Listing, Repository};
pub use snapshot::{About, Snapshot};
pub use store::{Folder, StoreContext, StoredFolder};
pub use verify::{ReadData, Verified};
