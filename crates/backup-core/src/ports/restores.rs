//! Restores: the applications whose data is put back hear of it before and after.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::shadow_copies::{ShadowCopyError, WriterError, WriterMetadata};
use crate::cancel::Cancel;
use crate::event::EventSink;

/// How a restore ended, with the numbers of VSS's file restore status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RestoreStatus {
    /// Nothing was written.
    Nothing = 1,
    /// All of it was put back.
    All = 2,
    /// Some of it was not put back, or cannot be told to be.
    Failed = 3,
}

/// The callbacks of a VSS writer whose data is put back, in the order in which they come.
///
/// `post_restore` follows every `pre_restore` that was begun. A recovery that was interrupted is repeated as a whole: then both come again.
#[async_trait]
pub trait RestoreWriter: Debug + Send + Sync {
    /// Says who it is.
    async fn identify(&self) -> Result<WriterMetadata, WriterError>;
    /// Gets out of the way: nothing is written before all writers have.
    async fn pre_restore(&self) -> Result<(), WriterError>;
    /// Takes what was put back and sets its application going.
    async fn post_restore(&self, status: RestoreStatus) -> Result<(), WriterError>;
}

/// What a restore asks for.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// Who is told.
    pub writers: Vec<Arc<dyn RestoreWriter>>,
    /// The longest that each callback may take.
    pub limit: Duration,
    /// Asked between the callbacks of PreRestore.
    pub cancel: Cancel,
    /// Who hears of it.
    pub events: Arc<dyn EventSink>,
}

/// Takes writers through restores, in the order of their levels, and back in reverse. The only one who calls them.
#[async_trait]
pub trait Restores: Debug + Send + Sync {
    /// Takes writers through Identify and PreRestore. After an error those that were called have heard PostRestore, and nothing may be written.
    async fn begin(&self, request: RestoreRequest) -> Result<Box<dyn RestoreSession>, ShadowCopyError>;
}

/// A restore that may write. One that is dropped counts as a kill: the recovery is repeated.
#[async_trait]
pub trait RestoreSession: Debug + Send + Sync {
    /// PostRestore, for every writer, whatever some of them say. Their faults are returned.
    async fn end(self: Box<Self>, status: RestoreStatus) -> Vec<ShadowCopyError>;
}
