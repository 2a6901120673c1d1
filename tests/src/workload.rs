//! The workload: two services of the site as real processes.
//!
//! `SMS_EXECUTIVE` writes one growing number to the database, to files and to the registry. Asked to stop, it finishes
//! the current number in all places first, so a stopped site is consistent and a running one almost never is.
//! `SMS_SITE_COMPONENT_MANAGER` starts `SMS_EXECUTIVE` again whenever it is down, so it must be stopped first.
//!
//! The processes have sessions of their own, as services have, and would outlive whoever started them. Three things
//! bound their life: [`Workload`] stops them when dropped, they end by themselves when the process that holds
//! the [`Workload`] has died, and they end when the site's control folder is gone.

mod client;
mod control;
mod guard;
mod process;
mod run;
mod service;
mod writer;

use std::fmt;
use std::str::FromStr;

pub(crate) use client::CLIENT_FILE;
pub use guard::Workload;
pub use run::{RunOptions, run};
pub use service::{ServiceError, service_state, start_service, stop_service};

/// A service of the sample site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceName {
    /// The supervisor.
    ComponentManager,
    /// The writer.
    Executive,
}

impl ServiceName {
    /// The order in which they must be stopped.
    pub const IN_STOP_ORDER: [Self; 2] = [Self::ComponentManager, Self::Executive];

    /// The name in control files and in site.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComponentManager => "SMS_SITE_COMPONENT_MANAGER",
            Self::Executive => "SMS_EXECUTIVE",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::IN_STOP_ORDER
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| format!("no service is called `{text}`"))
    }
}

/// How a service can misbehave. Each is a file in the site's control folder that lists services, one a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It goes on working when it is asked to stop, and `stop` fails when its time is over. File `wont-stop`.
    WontStop,
    /// It ends at once when it is started. File `wont-start`.
    WontStart,
    /// `stop` succeeds at once and `state` says so, but it goes on working: a site whose freeze does not freeze.
    /// File `lies-about-stop`.
    LiesAboutStop,
}

impl Fault {
    const ALL: [Self; 3] = [Self::WontStop, Self::WontStart, Self::LiesAboutStop];

    fn file_name(self) -> &'static str {
        match self {
            Self::WontStop => "wont-stop",
            Self::WontStart => "wont-start",
            Self::LiesAboutStop => "lies-about-stop",
        }
    }
}
