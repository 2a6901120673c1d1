//! Files, destinations, services, processes, the journal and the configuration file of this machine.
//!
//! ```
//! use backup_core::path::SitePath;
//!
//! let text = r#"
//! version = 1
//! [site]
//! code = "P01"
//! [files]
//! include = ["/srv/app"]
//! [task]
//! destination = { local = "/backup" }
//! "#;
//! let here = SitePath::parse("/etc/sitebackup")?;
//! let config = host::site_toml::parse(text, &here).expect("nothing is wrong with it");
//! assert_eq!(config.code.snapshot_folder(), "P01Backup");
//!
//! let typo = text.replace("include", "inclde");
//! let errors = host::site_toml::parse(&typo, &here).unwrap_err();
//! assert!(errors[0].to_string().contains("`include`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod commands;
pub mod destination;
pub mod files;
pub mod journal;
pub mod machine;
pub mod private_file;
pub mod process;
pub mod recovery;
pub mod services;
pub mod site_toml;
pub mod status_log;
pub mod trace_file;
pub mod watchdog;
pub mod writers;

mod blocking;
mod jsonl;
mod os;

#[cfg(test)]
mod testing;
