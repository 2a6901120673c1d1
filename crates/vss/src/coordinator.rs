//! The in-process coordinator: takes writers of this process through a session while a provider makes the image.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backup_core::path::SitePath;
use backup_core::ports::clock::Clock;
use backup_core::ports::shadow_copies::{
    PreparedSet, ShadowCopies, ShadowCopyError, ShadowCopyRequest, ShadowCopySet, ShadowCopySetId, WantedComponent,
};
use backup_core::ports::site_files::SiteFiles;

use crate::guard::last_words;
use crate::provider::{Preparation, Provider};
use crate::session::WriterStatus;
use making::Making;
use slot::Slot;
pub(crate) use slot::Slots;

mod calls;
mod making;
mod restoring;
mod slot;
mod window;

pub use restoring::InProcessRestores;

/// Takes writers through a session, in the process that they live in.
///
/// Each callback runs as a task of its own under a limit, so neither a panic nor a hang of a writer keeps the others from being
/// thawed and set going. Commit and abort are carried through to their end also when the caller's future is dropped; a process that
/// dies leaves the site to the watchdog and to core's `repair`. Must be called within a tokio runtime; on one with a single
/// thread, a writer that blocks its thread stops all deadlines.
#[derive(Debug)]
pub struct InProcessCoordinator {
    clock: Arc<dyn Clock>,
    provider: Arc<dyn Provider>,
    slots: Slots,
    held: Arc<Held>,
    board: Board,
}

/// The writers' states, for whoever asks.
type Board = Arc<Mutex<Vec<WriterStatus>>>;

/// Sets whose writers still have to hear how the backup ended.
type Held = Mutex<HashMap<ShadowCopySetId, Making>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing behind these locks is ever left half changed, whoever panicked beside them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InProcessCoordinator {
    /// A coordinator whose images `provider` makes.
    pub fn new(clock: Arc<dyn Clock>, provider: Arc<dyn Provider>) -> Self {
        Self { clock, provider, slots: Slots::default(), held: Arc::default(), board: Board::default() }
    }

    /// The same, with one session at a time on the machine: all that name the same `file`, which is made if it is not there and stays, are one
    /// after the other. A session that finds another one is [`ShadowCopyError::InProgress`].
    pub fn one_on_machine(self, file: PathBuf) -> Self {
        Self { slots: Slots::on_machine(file), ..self }
    }

    /// Refuses components that the provider would leave out without a word.
    fn judge_components(&self, components: &[WantedComponent]) -> Result<(), ShadowCopyError> {
        match components.first() {
            Some(first) if !self.provider.takes_components() => Err(ShadowCopyError::Component {
                component: first.to_string(),
                reason: format!("provider `{}` has nothing to do with the system's writers", self.provider.name()),
                remedy: "write shadow-copy = \"vss\" in [task] of site.toml, on Windows".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The writers of the session that was begun last, with their states.
    pub fn writers(&self) -> Vec<WriterStatus> {
        lock(&self.board).clone()
    }
}

#[async_trait]
impl ShadowCopies for InProcessCoordinator {
    async fn inspect(
        &self,
        samples: Vec<SitePath>,
        components: Vec<WantedComponent>,
        files: Arc<dyn SiteFiles>,
    ) -> Result<Vec<String>, ShadowCopyError> {
        self.judge_components(&components)?;
        self.provider.inspect(&samples, &components, &files).await
    }

    fn outlives_process(&self) -> bool {
        self.provider.outlives_process()
    }

    async fn prepare(&self, request: ShadowCopyRequest) -> Result<Box<dyn PreparedSet>, ShadowCopyError> {
        self.judge_components(&request.components)?;
        let slot = self.slots.take()?;
        let mut making = Making::new(&request, Arc::clone(&self.clock), slot, Arc::clone(&self.board));
        match making.come_to_rest(&self.provider, request).await {
            Ok(preparation) => {
                let (provider, held) = (Arc::clone(&self.provider), Arc::clone(&self.held));
                Ok(Box::new(Prepared { making, preparation, provider, held }))
            }
            Err(error) => {
                making.abort().await;
                making.discard(&self.provider).await;
                Err(error)
            }
        }
    }

    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        let making = lock(&self.held).remove(&set);
        match making {
            Some(mut making) => {
                let mut faults = making.complete(succeeded).await;
                faults.extend(self.provider.complete(set, succeeded).await);
                faults
            }
            // Aborted, or told already: nobody is left to hear it.
            None => Vec::new(),
        }
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        drop(lock(&self.held).remove(&set));
        self.provider.release(set).await
    }
}

#[derive(Debug)]
struct Prepared {
    making: Making,
    preparation: Box<dyn Preparation>,
    provider: Arc<dyn Provider>,
    held: Arc<Held>,
}

#[async_trait]
impl PreparedSet for Prepared {
    async fn commit(self: Box<Self>) -> Result<ShadowCopySet, ShadowCopyError> {
        // A task of its own, which goes on when this future is dropped: a frozen writer is thawed whoever waits for it.
        let provider = self.provider.name();
        let carried_through = tokio::spawn(async move {
            let mut making = self.making;
            match making.hold(self.preparation).await {
                Ok(set) => {
                    lock(&self.held).insert(set.id, making);
                    Ok(set)
                }
                Err(error) => {
                    making.discard(&self.provider).await;
                    Err(error)
                }
            }
        });
        carried_through.await.unwrap_or_else(|error| {
            let (action, source) = ("hold the moment", last_words(error).into());
            Err(ShadowCopyError::Provider { provider, action, source, is_retryable: false })
        })
    }

    async fn abort(self: Box<Self>) {
        let Self { mut making, preparation, provider, .. } = *self;
        drop(preparation);
        // Detached for the same reason; a fault in it was told as an event.
        let going = tokio::spawn(async move {
            making.abort().await;
            making.discard(&provider).await;
        });
        drop(going.await);
    }
}
