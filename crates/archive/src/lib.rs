//! Many backup snapshots in one deduplicated, encrypted, provable store. docs/format.md is its format.
//!
//! ```
//! use archive::storage::Storage;
//! use archive::storage::memory::MemoryStorage;
//!
//! let storage = MemoryStorage::default();
//! storage.put_new("keys/1f", b"an object")?;
//! assert_eq!(storage.get("keys/1f", 1024)?, b"an object");
//! # Ok::<(), archive::storage::StorageError>(())
//! ```

pub mod storage;
