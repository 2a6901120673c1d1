//! The best provider that system and sources allow.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::copy::chain;
use backup_core::event::Event;
use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{ShadowCopyError, ShadowCopySetId, WantedComponent};
use backup_core::ports::site_files::SiteFiles;

use super::{Committed, ImageRequest, PreCopy, Preparation, Provider};

/// The first of several providers of images that system and sources allow, else copies; then it says why.
///
/// That somebody else is making a set is no reason, for it ends; nor is a writer's veto.
#[derive(Debug)]
pub struct Best {
    images: Vec<Arc<dyn Provider>>,
}

impl Best {
    /// Prefers an earlier one of `images` to a later one, and all of them to copies.
    pub fn new(images: Vec<Arc<dyn Provider>>) -> Self {
        Self { images }
    }

    /// Those that image such components too. Nothing makes up for one of them: where it cannot make the image, there is none.
    fn able(&self, components: &[WantedComponent]) -> impl Iterator<Item = &Arc<dyn Provider>> {
        let any = components.is_empty();
        self.images.iter().filter(move |image| any || image.takes_components())
    }
}

#[async_trait]
impl Provider for Best {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn takes_components(&self) -> bool {
        self.images.iter().any(|image| image.takes_components())
    }

    async fn inspect(
        &self,
        samples: &[SitePath],
        components: &[WantedComponent],
        files: &Arc<dyn SiteFiles>,
    ) -> Result<Vec<String>, ShadowCopyError> {
        let mut reasons = Vec::new();
        for image in self.able(components) {
            match image.inspect(samples, components, files).await {
                Err(error) if components.is_empty() => reasons.push(chain(&error)),
                possible => return possible,
            }
        }
        Ok(vec![why(&reasons)])
    }

    fn outlives_process(&self) -> bool {
        self.images.iter().all(|image| image.outlives_process())
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        let mut reasons = Vec::new();
        for image in self.able(&request.components) {
            match image.prepare(request.clone()).await {
                Err(error @ (ShadowCopyError::Provider { .. } | ShadowCopyError::Deadline { .. }))
                    if request.components.is_empty() =>
                {
                    request.events.event(&Event::Note(format!("there is no image: {}", chain(&error))));
                    reasons.push(chain(&error));
                    image.release(request.set).await?;
                }
                prepared => return prepared,
            }
        }
        Ok(Box::new(Copies { made: PreCopy.prepare(request).await?, why: why(&reasons) }))
    }

    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        let mut faults = Vec::new();
        for image in &self.images {
            faults.extend(image.complete(set, succeeded).await);
        }
        faults
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        let mut released = Ok(());
        for image in &self.images {
            released = released.and(image.release(set).await);
        }
        released
    }
}

fn why(reasons: &[String]) -> String {
    format!("files are copied while the site works, for {}", reasons.join("; "))
}

/// Copies instead of an image, and why.
#[derive(Debug)]
struct Copies {
    made: Box<dyn Preparation>,
    why: String,
}

#[async_trait]
impl Preparation for Copies {
    fn provider(&self) -> &'static str {
        self.made.provider()
    }

    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        self.made.settle().await
    }

    async fn commit(self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        let mut taken = self.made.commit().await?.look().await?;
        taken.remarks.push(self.why);
        Ok(Box::new(taken))
    }
}
