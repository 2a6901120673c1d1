//! A provider that does not come to take its image.

use std::future::pending;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::ports::shadow_copies::{ShadowCopyError, ShadowCopySetId};
use tests::conformance::shadow_copies::Trouble;
use vss::{Committed, ImageRequest, Preparation, Provider};

/// Another provider, up to the moment at which it is to take the image.
#[derive(Debug)]
pub(super) struct Troubled {
    provider: Arc<dyn Provider>,
    trouble: Trouble,
}

impl Troubled {
    pub(super) fn new(provider: Arc<dyn Provider>, trouble: Trouble) -> Self {
        Self { provider, trouble }
    }
}

#[async_trait]
impl Provider for Troubled {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        let preparation = self.provider.prepare(request).await?;
        Ok(Box::new(TroubledPreparation { preparation, trouble: self.trouble }))
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        self.provider.release(set).await
    }
}

#[derive(Debug)]
struct TroubledPreparation {
    preparation: Box<dyn Preparation>,
    trouble: Trouble,
}

#[async_trait]
impl Preparation for TroubledPreparation {
    fn provider(&self) -> &'static str {
        self.preparation.provider()
    }

    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        self.preparation.settle().await
    }

    async fn commit(self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        let (kind, is_retryable) = match self.trouble {
            Trouble::NoRoom => (io::ErrorKind::StorageFull, false),
            Trouble::BusyDisks => (io::ErrorKind::TimedOut, true),
            _ => pending().await,
        };
        let (provider, action) = (self.provider(), "take the image");
        Err(ShadowCopyError::Provider { provider, action, source: io::Error::from(kind).into(), is_retryable })
    }
}
