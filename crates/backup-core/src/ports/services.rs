//! The services of the site: asked, stopped and started under time limits.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::Source;

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// It runs.
    Running,
    /// It does not run.
    Stopped,
}

/// Why a service is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No such service is configured or installed.
    #[error("no service is named `{0}`")]
    Unknown(String),
    /// It did not reach the state in time.
    #[error("service `{name}` did not {action} within {limit:?}")]
    TimedOut {
        /// The service.
        name: String,
        /// `stop` or `start`.
        action: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The command or the system refused.
    #[error("failed to {action} service `{name}`")]
    Failed {
        /// The service.
        name: String,
        /// `query`, `stop` or `start`.
        action: &'static str,
        /// The reason.
        source: Source,
    },
}

/// Queries, stops and starts services.
///
/// `stop` and `start` return once the state is reached, and are `Ok` when it was so already. Each call ends within the service's time
/// limit. `stop` takes no other service down: those that need it are stopped before, in the order that `dependents` tells.
/// A service stopped by a program that dies is started by the adapter's watchdog where it has one, else by
/// [`repair`](crate::repair).
#[async_trait]
pub trait ServiceControl: Debug + Send + Sync {
    /// The present state; of a service that is on its way to another one, the state that it arrives at.
    async fn state(&self, name: &str) -> Result<ServiceState, ServiceError>;
    /// Services that run and need this one, each before those that it needs itself: the order of stopping. Empty where the system
    /// knows of no such need.
    async fn dependents(&self, name: &str) -> Result<Vec<String>, ServiceError>;
    /// Does what a stop would have to do first, so that the stop itself takes less time; it may well not come.
    async fn ready(&self, _name: &str) -> Result<(), ServiceError> {
        Ok(())
    }
    /// Stops the service; after an error its state is unknown.
    async fn stop(&self, name: &str) -> Result<(), ServiceError>;
    /// Starts the service; after an error its state is unknown.
    async fn start(&self, name: &str) -> Result<(), ServiceError>;
}
