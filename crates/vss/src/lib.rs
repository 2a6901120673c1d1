//! The shadow copy session, in process, and its providers.
//!
//! In reading order: [`Session`] is the order of calls that every backend keeps; [`InProcessCoordinator`] takes the writers of this
//! process through it, each call under its limit, and thaws them whatever happens; a [`Provider`] makes the image, of which
//! [`PreCopy`] needs nothing from the file system and, on Windows, `VssProvider` asks the system's own service; [`documents`] writes and reads
//! what belongs beside a snapshot.
//!
//! ```
//! use std::sync::Arc;
//!
//! use backup_core::cancel::Cancel;
//! use backup_core::copy::Previous;
//! use backup_core::memory::World;
//! use backup_core::path::{RelPath, SitePath};
//! use backup_core::ports::destination::Holder;
//! use backup_core::ports::shadow_copies::{
//!     Consistency, ImageSource, SessionLimits, ShadowCopies, ShadowCopyRequest, ShadowCopySetId,
//! };
//! use backup_core::ports::site_files::FileSource;
//! use backup_core::snapshot::RunId;
//! use vss::InProcessCoordinator;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! // A site in memory; a real one has adapters of the file system here, and writers that stop its services.
//! let ports = World::new().ports();
//! let id = ports.clock.new_id();
//! let _held = ports.destination.hold(Holder::Run(RunId(id))).await?;
//! let root = SitePath::parse("/site/data")?;
//! let source = FileSource { root, exclude: Vec::new(), skip: Vec::new() };
//! let request = ShadowCopyRequest {
//!     id: ShadowCopySetId(id),
//!     sources: vec![ImageSource { source, target: RelPath::parse("SiteServer/data")? }],
//!     components: Vec::new(),
//!     files: ports.files.clone(),
//!     staging: ports.destination.begin(RunId(id), None).await?,
//!     previous: Arc::new(Previous::default()),
//!     writers: Vec::new(),
//!     limits: SessionLimits::default(),
//!     cancel: Cancel::default(),
//!     events: ports.events.clone(),
//! };
//! let coordinator = InProcessCoordinator::new(ports.clock.clone(), Arc::new(vss::PreCopy));
//! let set = coordinator.prepare(request).await?.commit().await?;
//! assert_eq!(set.consistency, Consistency::Crash, "there was no writer to freeze");
//! assert!(coordinator.complete(set.id, true).await.is_empty());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod coordinator;
pub mod documents;
mod follower;
mod guard;
mod provider;
mod session;
#[cfg(test)]
mod tests;
#[cfg(any(windows, test))]
mod wanted;
#[cfg(windows)]
mod windows;

pub use coordinator::{InProcessCoordinator, InProcessRestores};
pub use follower::{Follower, FollowingSite, Lead};
pub use provider::{
    Best, Committed, ImageRequest, PreCopy, Preparation, Provider, Taken, Unmet, choose, releasing,
    system_restore_writer,
};
#[cfg(target_os = "linux")]
pub use provider::{Btrfs, Reflink};
pub use session::{Session, Step, WriterState, WriterStatus};
#[cfg(windows)]
pub use windows::{
    ComponentSelection, FileRead, HResult, SelfTest, SystemRestoreWriter, Verdict, VssCall, VssOptions, VssProvider,
    WriterHost, WriterOptions, WriterSeen,
};
