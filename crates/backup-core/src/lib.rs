//! The domain, the ports and the use cases of sitebackup: one consistent backup of a site, published, verified and recovered.
//!
//! This crate does no I/O, reads no clock and spawns nothing. What it needs of the world stands in [`ports`]; adapters live in
//! crates of their own, and [`memory`] has one of each for tests.
//!
//! ```
//! use backup_core::backup::{RunContext, run_backup};
//! use backup_core::config::SiteConfig;
//! use backup_core::destination::DestinationOption;
//! use backup_core::memory::{World, block_on};
//! use backup_core::path::{RelPath, SitePath};
//! use backup_core::plan::{BackupPlan, Tasks};
//! use backup_core::report::Outcome;
//!
//! let path = |text| SitePath::parse(text).expect("an absolute path");
//! let destination = DestinationOption::Local(path("/backup"));
//! let config = SiteConfig::new("P01".parse()?, destination, path("/var/lib/sitebackup"));
//! let tasks = Tasks { files: vec![(path("/site/data"), RelPath::parse("SiteServer/data")?)], ..Tasks::default() };
//! let plan = BackupPlan::new(&config, tasks, Vec::new()).expect("nothing is wrong with it");
//!
//! // A real program wires adapters of this machine here.
//! let ports = World::new().ports();
//! let report = block_on(run_backup(&ports, &plan, &RunContext::default()));
//! assert_eq!(report.outcome, Outcome::Done);
//! assert_eq!(report.snapshot.expect("it is published").manifest.site, "P01");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod archive_key;
pub mod archiving;
pub mod backup;
pub mod cancel;
pub mod change_tracking;
pub mod check;
pub mod config;
pub mod copy;
pub mod destination;
pub mod event;
pub mod keep;
pub mod kept;
pub mod manifest;
pub mod memory;
pub mod own_files;
pub mod path;
mod patience;
pub mod plan;
pub mod ports;
pub mod recover;
pub mod rehearse;
pub mod repair;
pub mod report;
pub mod retention;
mod run_log;
pub mod schedule;
pub mod secret;
pub mod server_name;
pub mod site;
pub mod snapshot;
pub mod status;
pub mod trace;
pub mod unattended;
pub mod verify;
pub mod writer_metadata;
mod writers;
pub mod wtf8;

#[cfg(test)]
mod tests;
