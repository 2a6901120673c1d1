//! The freeze window: Freeze, the image, and Thaw, which follows whatever happened.

use std::time::Duration;

use backup_core::copy::chain;
use backup_core::event::{Event, Phase};
use backup_core::ports::shadow_copies::{Consistency, ShadowCopyError, ShadowCopySet};
use tokio::time::Instant;

use super::calls::Allowance;
use super::making::{Making, lost_provider};
use crate::documents;
use crate::guard::{Lost, guarded};
use crate::provider::{Committed, Preparation, Taken};
use crate::session::Step;

/// What a writer's Thaw gets at least, also when the window is over.
const THAW_GRACE: Duration = Duration::from_secs(5);

/// The window, by a clock that nobody can set. It is tokio's so that limits and measure agree also where a test stops the time.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: Instant,
    limit: Duration,
}

impl Window {
    fn allowance(self) -> Allowance {
        Allowance::left(self.limit, self.start)
    }

    /// A fair share of what is left, for the first of `waiting` writers: one that hangs must not use up the window of the others.
    fn share(self, waiting: usize) -> Allowance {
        let left = self.allowance().time / u32::try_from(waiting).unwrap_or(u32::MAX).max(1);
        let time = left.max(THAW_GRACE);
        Allowance { time, limit: time }
    }
}

impl Making {
    /// Freeze, the image, Thaw, PostSnapshot; after an error Abort instead of PostSnapshot.
    pub(super) async fn hold(&mut self, preparation: Box<dyn Preparation>) -> Result<ShadowCopySet, ShadowCopyError> {
        let provider = preparation.provider();
        let frozen_at = self.clock.now();
        let window = Window { start: Instant::now(), limit: self.limits.freeze };
        self.calls.tell(&Event::Phase(Phase::Frozen));
        let committed = self.freeze_and_take(window, preparation).await;
        let thaw_faults = self.carry_out(Step::Thaw, false, |_, waiting| window.share(waiting)).await;
        let freeze_window = window.start.elapsed();
        self.calls.tell(&Event::Thawed(freeze_window));
        let mut taken = match self.judge(provider, committed, freeze_window).await {
            Ok(taken) => taken,
            Err(error) => {
                self.abort().await;
                return Err(error);
            }
        };
        taken.weaker.extend(thaw_faults.into_iter().map(|(_, error)| chain(&error)));
        self.set_going(&mut taken.weaker).await;
        let consistency = taken.consistency.min(self.guarantee(&mut taken.weaker));
        let mut documents = documents::of_session(self.id, &self.identified);
        documents.extend(taken.documents);
        let set = ShadowCopySet {
            id: self.id,
            provider: provider.to_owned(),
            consistency,
            weaker: taken.weaker,
            remarks: taken.remarks,
            frozen_at,
            freeze_window,
            image: taken.image,
            components: taken.components,
            documents,
        };
        self.made();
        Ok(set)
    }

    async fn freeze_and_take(
        &mut self,
        window: Window,
        preparation: Box<dyn Preparation>,
    ) -> Result<Box<dyn Committed>, ShadowCopyError> {
        let provider = preparation.provider();
        self.advance(Step::Freeze, |_| window.allowance()).await?;
        self.calls.go_on()?;
        self.calls.session.begin(Step::Commit)?;
        let taken = guarded(Some(window.allowance().time), async move { preparation.commit().await }).await;
        taken.unwrap_or_else(|lost| {
            // What ended it is the window, of which it had what the writers had left.
            let lost = if let Lost::Deadline(_) = lost { Lost::Deadline(window.limit) } else { lost };
            Err(lost_provider(provider, "take the image", lost))
        })
    }

    /// What was taken, if it counts.
    async fn judge(
        &self,
        provider: &'static str,
        committed: Result<Box<dyn Committed>, ShadowCopyError>,
        freeze_window: Duration,
    ) -> Result<Taken, ShadowCopyError> {
        let committed = committed?;
        if freeze_window > self.limits.freeze {
            let step = "the freeze window".to_owned();
            return Err(ShadowCopyError::Deadline { step, limit: self.limits.freeze });
        }
        self.calls.go_on()?;
        // Short, for the services wait: a provider that hangs must not keep them down for as long as a callback may take.
        let looked = guarded(Some(self.limits.freeze), async move { committed.look().await }).await;
        let taken = looked.unwrap_or_else(|lost| Err(lost_provider(provider, "look at the image", lost)))?;
        self.calls.go_on()?;
        Ok(taken)
    }

    /// PostSnapshot. The moment was held and the image is good, so a writer that fails now makes the set weaker and not void.
    async fn set_going(&mut self, weaker: &mut Vec<String>) {
        self.calls.tell(&Event::Phase(Phase::Starting));
        let callback = self.limits.callback;
        let allowance = Allowance { time: callback, limit: callback };
        for (index, error) in self.carry_out(Step::PostSnapshot, false, |_, _| allowance).await {
            let second = match self.second_chance(index).await {
                Ok(()) => "Abort then succeeded".to_owned(),
                Err(error) => format!("Abort failed too: {error}"),
            };
            weaker.push(format!("{}; {second}", chain(&error)));
        }
    }

    /// What the session can vouch for beside the provider.
    fn guarantee(&self, weaker: &mut Vec<String>) -> Consistency {
        if self.calls.session.writers().is_empty() {
            weaker.push("no writer was frozen".to_owned());
            return Consistency::Crash;
        }
        Consistency::Application
    }
}
