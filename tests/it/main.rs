//! The one integration binary.

#[cfg(unix)]
mod bad_input;
mod conformance;
mod consistency;
mod database;
#[cfg(feature = "servers")]
mod hives;
#[cfg(unix)]
mod holes;
#[cfg(all(target_os = "linux", feature = "servers"))]
mod images;
#[cfg(feature = "servers")]
mod judges;
mod kills;
#[cfg(all(unix, feature = "servers"))]
mod logical;
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
mod whole;
mod workload;
#[cfg(unix)]
mod writers;
