//! The status messages of the component SMS_SITE_BACKUP, kept for the program's later runs.

use std::fmt::Debug;

use async_trait::async_trait;

use super::Source;
use crate::status::StatusMessage;

/// Why a status message could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} the status log")]
pub struct StatusLogError {
    /// `append to` or `read`.
    pub action: &'static str,
    /// The reason.
    pub source: Source,
}

/// An append-only log, durable once `append` has returned.
#[async_trait]
pub trait StatusLog: Debug + Send + Sync {
    /// Adds a message at the end.
    async fn append(&self, message: &StatusMessage) -> Result<(), StatusLogError>;
    /// All messages that are kept, oldest first; a line torn by a crash is left out.
    async fn read(&self) -> Result<Vec<StatusMessage>, StatusLogError>;
}
