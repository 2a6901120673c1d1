//! Tests of the crate: scripted writers for the coordinator, a strict file system in memory for `pre-copy`.

mod actor;
mod best;
mod components;
mod coordinator;
mod documents;
mod follower;
mod precopy;
pub(crate) mod scripted;
mod session;
mod staging;
mod tree;
mod window;
mod writer_metadata;
mod written_back;
