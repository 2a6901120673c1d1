//! The domain, the ports and the use cases of sitebackup: one consistent backup of a site, published, verified and recovered.
//!
//! This crate does no I/O, reads no clock and spawns nothing. What it needs of the world stands in [`ports`]; adapters live in crates of their own.

pub mod cancel;
pub mod copy;
pub mod event;
pub mod manifest;
pub mod path;
pub mod site;
pub mod destination;
pub mod schedule;
pub mod config;
pub mod ports;
pub mod snapshot;
pub mod status;
