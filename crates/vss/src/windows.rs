//! Windows' own Volume Shadow Copy Service, as a provider of images.
//!
//! VSS coordinates writers of its own, so it could stand beside the in-process coordinator as a second [`ShadowCopies`]. It is a [`Provider`]
//! below it instead: the writers of this process must be called in the same order, under the same limits and with the same certainty of a
//! Thaw whatever makes the image, and that is the coordinator's whole work. VSS' window then lies inside ours: our writers are frozen before
//! DoSnapshotSet is called and thawed after it has returned, and inside it VSS takes the writers of the system through a window of its own.
//! PrepareForBackup comes while the site works; the site's services have stopped when DoSnapshotSet begins, so that a writer of VSS that
//! stops them too finds nothing left to do.
//!
//! What VSS guarantees for its own writers is its own: a writer that fails and that something was selected of fails the backup, others make
//! it weaker. Nothing is retried here; an error says when a later try may succeed.
//!
//! [`ShadowCopies`]: backup_core::ports::shadow_copies::ShadowCopies

mod apartment;
mod backup;
mod calls;
mod components;
mod hresult;
mod requestor;
mod restore;
mod restore_calls;
mod self_test;
#[cfg(test)]
mod tests;
mod volume;
mod vssapi;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::event::Event;
use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{ShadowCopyError, ShadowCopySetId, WantedComponent};
use backup_core::ports::site_files::SiteFiles;
use uuid::Uuid;

use crate::provider::{Committed, ImageRequest, Preparation, Provider, Taken};
pub use calls::VssCall;
pub use hresult::HResult;
use requestor::{Asked, Pledge, Requestor};
pub use restore::SystemRestoreWriter;
pub use self_test::{FileRead, SelfTest, Verdict, WriterSeen};
pub use writer::{WriterHost, WriterOptions};

/// The provider's name.
const NAME: &str = "vss";

/// Which components of VSS' writers are backed up as such: their writers hear how it ended, and must not fail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ComponentSelection {
    /// All that the SMS Writer offers, where it is.
    #[default]
    SmsWriter,
    /// These, by writer class, logical path and name. One that is not offered is an error.
    These(Vec<(Uuid, String, String)>),
}

/// What can be asked of VSS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VssOptions {
    /// The components.
    pub components: ComponentSelection,
    /// How long each operation of VSS may take. The freeze window has its own limit, which ends one too.
    pub limit: Duration,
}

impl Default for VssOptions {
    fn default() -> Self {
        Self { components: ComponentSelection::default(), limit: Duration::from_secs(600) }
    }
}

/// Images volumes through the system's VSS: atomic over all volumes of the sources.
///
/// The image is that of whole volumes and is read at devices of its own until the set is released; it goes with the process that made it,
/// however that ends. A volume that is mounted in a folder below a source is not in the image.
#[derive(Debug)]
pub struct VssProvider {
    requestor: Requestor,
}

impl VssProvider {
    /// A requestor of this system. Touches nothing: the service is asked for when the first image is.
    pub fn new(options: VssOptions) -> Self {
        Self { requestor: Requestor::new(options, None) }
    }

    /// A requestor of whatever the library at this whole path stands for: for tests. [`new`](Self::new) looks into the system's folder only.
    pub fn with_library(options: VssOptions, library: PathBuf) -> Self {
        Self { requestor: Requestor::new(options, Some(library)) }
    }
}

#[async_trait]
impl Provider for VssProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outlives_process(&self) -> bool {
        false
    }

    fn takes_components(&self) -> bool {
        true
    }

    /// Asks the writers what they own where components are asked for; else nothing is known before.
    async fn inspect(
        &self,
        samples: &[SitePath],
        components: &[WantedComponent],
        _files: &Arc<dyn SiteFiles>,
    ) -> Result<Vec<String>, ShadowCopyError> {
        if components.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Asked { roots: samples.to_vec(), components: components.to_vec() };
        Ok(vec![self.requestor.inspect(asked).await?])
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        let roots: Vec<SitePath> = request.sources.iter().map(|image| image.source.root.clone()).collect();
        let asked = Asked { roots: roots.clone(), components: request.components };
        let (summary, pledge) = self.requestor.prepare(request.set, asked, request.cancel.clone()).await?;
        request.events.event(&Event::Note(summary));
        Ok(Box::new(Prepared { pledge, roots, cancel: request.cancel }))
    }

    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        self.requestor.complete(set, succeeded).await.unwrap_or_else(|error| vec![error])
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        self.requestor.release(set).await
    }
}

/// A set whose writers are prepared.
#[derive(Debug)]
struct Prepared {
    pledge: Pledge,
    roots: Vec<SitePath>,
    cancel: Cancel,
}

#[async_trait]
impl Preparation for Prepared {
    fn provider(&self) -> &'static str {
        NAME
    }

    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        // VSS flushes the volumes itself, inside its window.
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        let Self { pledge, roots, cancel } = *self;
        let pledge = Requestor::take(pledge, cancel.clone()).await?;
        Ok(Box::new(Imaged { pledge, roots, cancel }))
    }
}

/// A set that was taken, of whose writers nobody has heard how they fared.
#[derive(Debug)]
struct Imaged {
    pledge: Pledge,
    roots: Vec<SitePath>,
    cancel: Cancel,
}

#[async_trait]
impl Committed for Imaged {
    async fn look(self: Box<Self>) -> Result<Taken, ShadowCopyError> {
        let Self { pledge, roots, cancel } = *self;
        let (taken, pledge) = Requestor::look(pledge, roots, cancel).await?;
        pledge.redeem();
        Ok(taken)
    }
}
