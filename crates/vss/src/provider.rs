//! Providers: how an image of the moment is made. A provider calls no writer and knows of none.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::Previous;
use backup_core::event::EventSink;
use backup_core::path::SitePath;
use backup_core::ports::clock::Clock;
use backup_core::ports::destination::Staging;
use backup_core::ports::shadow_copies::{
    Consistency, Image, ImageSource, ImagedFile, ShadowCopyError, ShadowCopySetId, WantedComponent,
};
use backup_core::ports::site_files::SiteFiles;

mod best;
#[cfg(target_os = "linux")]
mod btrfs;
mod choice;
#[cfg(target_os = "linux")]
mod local;
mod precopy;
#[cfg(target_os = "linux")]
mod reflink;
mod unfrozen;

pub use best::Best;
#[cfg(target_os = "linux")]
pub use btrfs::Btrfs;
pub use choice::{Unmet, choose, releasing, system_restore_writer};
pub use precopy::PreCopy;
#[cfg(target_os = "linux")]
pub use reflink::Reflink;

/// What a provider is asked for: a shadow copy request without its writers.
#[derive(Debug, Clone)]
pub struct ImageRequest {
    /// The set that the image belongs to.
    pub set: ShadowCopySetId,
    /// What to image.
    pub sources: Vec<ImageSource>,
    /// Components to image beside it; none for a provider that does not [take them](Provider::takes_components).
    pub components: Vec<WantedComponent>,
    /// Reads the live files.
    pub files: Arc<dyn SiteFiles>,
    /// Where files can go while the site still works.
    pub staging: Arc<dyn Staging>,
    /// The previous snapshot's files.
    pub previous: Arc<Previous>,
    /// Asked between batches of files.
    pub cancel: Cancel,
    /// Hears of progress.
    pub events: Arc<dyn EventSink>,
    /// Tells when a pass began.
    pub clock: Arc<dyn Clock>,
}

/// An image that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The best that the image allows to be said, given that the writers were frozen.
    pub consistency: Consistency,
    /// Why it is less than application consistency.
    pub weaker: Vec<String>,
    /// What to know of it that makes it no weaker.
    pub remarks: Vec<String>,
    /// The files.
    pub image: Image,
    /// The files of each component that was asked for.
    pub components: Vec<Vec<ImagedFile>>,
    /// Documents that belong to the snapshot, by file name.
    pub documents: Vec<(String, Vec<u8>)>,
}

/// Makes images.
#[async_trait]
pub trait Provider: Debug + Send + Sync {
    /// Its name in reports, such as `pre-copy`.
    fn name(&self) -> &'static str;
    /// Whether it images components of the system's writers. One that does not is not asked for an image beside them.
    fn takes_components(&self) -> bool {
        false
    }
    /// Tells whether an image could be made of sources, of each of which `samples` has a file, and of components, and what is remarkable about it.
    /// Nothing of it is left; that it cannot be known before is `Ok` too.
    ///
    /// # Errors
    /// What [`prepare`](Self::prepare) would say.
    async fn inspect(
        &self,
        _samples: &[SitePath],
        _components: &[WantedComponent],
        _files: &Arc<dyn SiteFiles>,
    ) -> Result<Vec<String>, ShadowCopyError> {
        Ok(Vec::new())
    }
    /// Whether an image stays until it is released, also when the process that made it has ended, or the machine.
    fn outlives_process(&self) -> bool {
        true
    }
    /// Does what can be done while the site works.
    ///
    /// # Errors
    /// [`ShadowCopyError`]; nothing of the site was touched.
    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError>;
    /// Removes the image of a set, also one that a process which died had made. Idempotent: an unknown or released set is `Ok`.
    ///
    /// # Errors
    /// [`ShadowCopyError::Provider`] when something of it is left.
    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError>;
    /// Hears how the backup ended whose image was taken; comes before `release`. Faults are returned, and change nothing.
    async fn complete(&self, _set: ShadowCopySetId, _succeeded: bool) -> Vec<ShadowCopyError> {
        Vec::new()
    }
}

/// An image in preparation; dropped when the session fails, after which the set is [released](Provider::release).
#[async_trait]
pub trait Preparation: Debug + Send + Sync {
    /// Who makes the image.
    fn provider(&self) -> &'static str;
    /// Does what can be done when the site is at rest, so that the freeze window need not hold it.
    ///
    /// # Errors
    /// [`ShadowCopyError`]; the session is aborted then.
    async fn settle(&mut self) -> Result<(), ShadowCopyError>;
    /// Takes the image; the writers are frozen. It may be dropped at any await when the window closes.
    ///
    /// # Errors
    /// [`ShadowCopyError`]; the writers are thawed and the session is aborted then.
    async fn commit(self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError>;
}

/// An image that was taken; dropped when the session fails, after which the set is [released](Provider::release).
#[async_trait]
pub trait Committed: Debug + Send + Sync {
    /// Finds out what was taken, and whether it is good. The writers are thawed, so that nobody is held up, and the site is still at rest.
    ///
    /// # Errors
    /// [`ShadowCopyError`] when the image is not good; the session is aborted then.
    async fn look(self: Box<Self>) -> Result<Taken, ShadowCopyError>;
}

/// Of which nothing is left to find out.
#[async_trait]
impl Committed for Taken {
    async fn look(self: Box<Self>) -> Result<Taken, ShadowCopyError> {
        Ok(*self)
    }
}
