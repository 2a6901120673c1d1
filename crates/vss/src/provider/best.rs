//! The best provider that the sources allow: images where they can be made, else copies.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::copy::chain;
use backup_core::event::Event;
use backup_core::ports::shadow_copies::{ShadowCopyError, ShadowCopySetId};

use super::{ImageRequest, PreCopy, Preparation, Provider, Taken};

/// Takes the image that is asked of it where system and sources allow one, and says why not where they do not.
///
/// That somebody else is making a set is no reason, for it ends; nor is a writer's veto.
#[derive(Debug)]
pub struct Best {
    image: Arc<dyn Provider>,
}

impl Best {
    /// Prefers `image` to copies.
    pub fn new(image: Arc<dyn Provider>) -> Self {
        Self { image }
    }
}

#[async_trait]
impl Provider for Best {
    fn name(&self) -> &'static str {
        "auto"
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        match self.image.prepare(request.clone()).await {
            Err(error @ (ShadowCopyError::Provider { .. } | ShadowCopyError::Deadline { .. })) => {
                let why = format!("files are copied while the site works, for {}", chain(&error));
                request.events.event(&Event::Note(why.clone()));
                self.image.release(request.set).await?;
                Ok(Box::new(Copies { made: PreCopy.prepare(request).await?, why }))
            }
            prepared => prepared,
        }
    }

    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        self.image.complete(set, succeeded).await
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        self.image.release(set).await
    }
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

    async fn commit(self: Box<Self>) -> Result<Taken, ShadowCopyError> {
        let mut taken = self.made.commit().await?;
        taken.remarks.push(self.why);
        Ok(taken)
    }
}
