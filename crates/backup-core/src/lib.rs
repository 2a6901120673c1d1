//! The domain, the ports and the use cases of sitebackup: one consistent backup of a site, published, verified and recovered.
//!
//! This crate does no I/O, reads no clock and spawns nothing. What it needs of the world stands in [`ports`]; adapters live in crates of their own.

pub mod backup;
pub mod cancel;
pub mod check;
pub mod config;
pub mod copy;
pub mod destination;
pub mod event;
pub mod keep;
pub mod manifest;
pub mod memory;
pub mod path;
pub mod plan;
pub mod ports;
pub mod recover;
pub mod rehearse;
pub mod repair;
pub mod report;
mod run_log;
pub mod schedule;
pub mod site;
pub mod snapshot;
pub mod status;
pub mod trace;
pub mod verify;
mod writers;

#[cfg(test)]
mod tests;
