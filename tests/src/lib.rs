//! The sample site and the workload: the real parts that the suites, the demo and the benchmarks run against.
//!
//! [`SampleSite`] builds the layout of a site server, the same bytes for the same seed. [`Workload`] keeps real
//! processes on it that write one growing number to the database, to files and to the registry.
//! [`read_counters`] reads that number back from whatever a backup recovered: in one consistent moment all agree.
//!
//! [`archive_site`] builds what an archive is measured by: a day of a site, and the next one.
//!
//! None of these uses a crate of the product, so that a fault there cannot hide itself here. [`conformance`] alone does: it asks of
//! every adapter what the ports promise.

pub mod archive_site;
pub mod conformance;
mod counters;
mod noise;
mod poll;
mod prng;
pub mod program;
#[cfg(unix)]
pub mod servers;
mod site;
mod tree_hash;
#[cfg(target_os = "linux")]
pub mod volume;
mod workload;

pub use counters::{Counters, read_counters, read_live_counters};
pub use noise::noise;
pub use poll::poll_until;
pub use site::{JournalMode, SERVICE_LIMIT, SITE_CODE, SampleSite, SampleSiteOptions, ServedDatabase, SiteSize, nasty};
pub use tree_hash::tree_hash;
pub use workload::{
    Fault, RunOptions, ServiceError, ServiceName, Workload, run, service_state, start_service, stop_service,
};
