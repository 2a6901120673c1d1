//! Files, destinations, services, processes, the journal and the configuration file of this machine.

pub mod commands;
pub mod destination;
pub mod files;
pub mod journal;
pub mod machine;
pub mod recovery;
pub mod services;
pub mod site_toml;
pub mod status_log;
pub mod trace_file;
pub mod watchdog;

mod blocking;
mod jsonl;
mod process;
#[cfg(all(test, unix))]
mod testing;
