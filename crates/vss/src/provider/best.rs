//! The best provider that the sources allow.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::copy::chain;
use backup_core::event::Event;
use backup_core::ports::shadow_copies::{ShadowCopyError, ShadowCopySetId};

use super::{ImageRequest, Preparation, Provider};

/// The first of several providers that the sources allow; says why not of those before it.
#[derive(Debug)]
pub struct Best {
    providers: Vec<Arc<dyn Provider>>,
    last: Arc<dyn Provider>,
}

impl Best {
    /// Prefers an earlier one of `providers` to a later one, and all of them to `last`.
    pub fn new(providers: Vec<Arc<dyn Provider>>, last: Arc<dyn Provider>) -> Self {
        Self { providers, last }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.iter().chain([&self.last])
    }
}

#[async_trait]
impl Provider for Best {
    fn name(&self) -> &'static str {
        "auto"
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        for provider in &self.providers {
            match provider.prepare(request.clone()).await {
                Err(ShadowCopyError::Cancelled) => return Err(ShadowCopyError::Cancelled),
                Err(error) => {
                    let name = provider.name();
                    request.events.event(&Event::Note(format!("{name} is not possible here: {}", chain(&error))));
                    provider.release(request.set).await?;
                }
                prepared => return prepared,
            }
        }
        self.last.prepare(request).await
    }

    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        let mut faults = Vec::new();
        for provider in self.all() {
            faults.extend(provider.complete(set, succeeded).await);
        }
        faults
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        let mut released = Ok(());
        for provider in self.all() {
            released = released.and(provider.release(set).await);
        }
        released
    }
}
