//! Many backup snapshots in one deduplicated, encrypted, provable store. docs/format.md is its format.

pub mod storage;
