//! The one integration binary.

#[cfg(windows)]
mod after_backup;
#[cfg(all(target_os = "linux", feature = "servers"))]
mod archive;
#[cfg(target_os = "linux")]
mod archive_faults;
#[cfg(unix)]
mod archive_hard;
#[cfg(unix)]
mod archive_of_site;
#[cfg(target_os = "linux")]
mod archive_restore;
#[cfg(unix)]
mod archived_site;
#[cfg(unix)]
mod bad_input;
mod conformance;
mod consistency;
mod database;
#[cfg(target_os = "linux")]
mod hard_tree;
#[cfg(feature = "servers")]
mod hives;
#[cfg(unix)]
mod holes;
#[cfg(all(target_os = "linux", feature = "servers"))]
mod images;
#[cfg(feature = "servers")]
mod judges;
#[cfg(unix)]
mod kept;
mod kills;
#[cfg(windows)]
mod locked_files;
#[cfg(all(unix, feature = "servers"))]
mod logical;
#[cfg(windows)]
mod managed_services;
#[cfg(all(target_os = "linux", feature = "servers"))]
mod restic;
#[cfg(all(unix, feature = "servers"))]
mod served;
#[cfg(unix)]
mod shadow_copy;
mod site;
#[cfg(all(unix, feature = "servers"))]
mod sql_server;
mod unattended;
#[cfg(windows)]
mod vss;
#[cfg(windows)]
mod vss_writer;
mod whole;
#[cfg(windows)]
mod windows_service;
mod workload;
#[cfg(unix)]
mod writers;
