//! The site as one writer of a session that somebody else leads.
//!
//! A backup and a session of another program are one thing to the site: the same run, with its journal, watchdog and limits, takes it to
//! the moment and back. Only who says when differs. So the run has the in-process coordinator here as everywhere, and for a provider a
//! [`Lead`], which waits at each of its steps for the other session to come there.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::chain;
use backup_core::event::{Event, EventSink};
use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{
    Consistency, Image, ShadowCopyError, ShadowCopySetId, Writer, WriterError, WriterMetadata,
};
use backup_core::report::{BackupReport, Cause, Gravity, Outcome};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::guard::guarded;
use crate::provider::{Committed, ImageRequest, Preparation, Provider, Taken};

/// The provider's name.
const NAME: &str = "session";

/// How long a session may stay prepared before it brings the site to rest. One whose leader has died would keep backups out for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// The site whose run follows.
#[async_trait]
pub trait FollowingSite: Debug + Send + Sync {
    /// What the site's writer says of itself, by what its configuration says now.
    ///
    /// # Errors
    /// [`WriterError`] when the configuration cannot be read, or is wrong.
    async fn metadata(&self) -> Result<WriterMetadata, WriterError>;
    /// Takes the site to the moment and back: a [`join_session`](backup_core::backup::join_session) whose images `lead` makes, whose events it
    /// hears too, and which [`Lead::cancel`] stops.
    ///
    /// # Errors
    /// [`WriterError`] when the configuration cannot be read, or is wrong: nothing was touched.
    async fn run(&self, lead: Arc<Lead>) -> Result<BackupReport, WriterError>;
}

/// How far the run has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Begun,
    Prepared,
    AtRest,
    Frozen,
    Thawed,
    /// With what is to be said against the image.
    Ended(Option<Failure>),
}

/// Why a run ended otherwise than asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    message: String,
    is_retryable: bool,
    /// The site is not known to work again.
    is_down: bool,
}

impl From<Failure> for WriterError {
    fn from(failure: Failure) -> Self {
        WriterError { is_retryable: failure.is_retryable, ..WriterError::new(failure.message) }
    }
}

impl Failure {
    fn of(report: &BackupReport) -> Option<Self> {
        let is_retryable = match report.outcome {
            Outcome::Done => return None,
            Outcome::Incomplete => false,
            Outcome::Failed(cause) => {
                matches!(cause, Cause::Busy | Cause::ShadowCopy | Cause::ServiceStop | Cause::Interrupted)
            }
        };
        let errors: Vec<_> = report.findings.iter().filter(|finding| finding.gravity == Gravity::Error).collect();
        let messages: Vec<&str> = errors.iter().map(|finding| finding.message.as_str()).collect();
        let is_down = errors.iter().any(|finding| finding.cause == Cause::ServiceStart);
        Some(Self { message: messages.join("; "), is_retryable, is_down })
    }
}

/// How far the other session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Prepare,
    ComeToRest,
    Freeze,
    Thaw,
    Abort,
}

/// The session that leads: what it has come to, and what the run has come to. The image is that session's own, and nothing is read of it here.
#[derive(Debug)]
pub struct Lead {
    order: watch::Sender<Order>,
    stage: watch::Sender<Stage>,
    cancel: Cancel,
}

impl Lead {
    fn new() -> Self {
        Self {
            order: watch::Sender::new(Order::Prepare),
            stage: watch::Sender::new(Stage::Begun),
            cancel: Cancel::default(),
        }
    }

    /// What makes the image of the run.
    pub fn provider(self: &Arc<Self>) -> Arc<dyn Provider> {
        Arc::new(Led(Arc::clone(self)))
    }

    /// Set when the other session is aborted.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    fn has_ended(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Ended(_))
    }

    fn give(&self, order: Order) {
        self.order.send_modify(|last| *last = order.max(*last));
    }

    fn abort(&self) {
        self.cancel.cancel();
        self.give(Order::Abort);
    }

    fn reach(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Waits for the other session; an error when it is aborted.
    async fn ordered(&self, order: Order) -> Result<(), ShadowCopyError> {
        let mut orders = self.order.subscribe();
        // The sender is this value.
        match orders.wait_for(|last| *last >= order).await.map(|last| *last) {
            Ok(last) if last != Order::Abort => Ok(()),
            _ => Err(ShadowCopyError::Cancelled),
        }
    }

    /// Waits until the run has come to `stage`; an error when it ended before, or was not at the stage from which `order` leads there.
    async fn follow(&self, order: Order, from: Stage, stage: Stage) -> Result<(), WriterError> {
        if *self.stage.borrow() != from {
            return Err(self.out_of_turn());
        }
        self.give(order);
        self.come_to(stage).await
    }

    async fn come_to(&self, stage: Stage) -> Result<(), WriterError> {
        let mut stages = self.stage.subscribe();
        let reached = stages.wait_for(|reached| *reached == stage || matches!(reached, Stage::Ended(_))).await;
        match reached.map(|reached| reached.clone()) {
            Ok(Stage::Ended(Some(failure))) => Err(failure.into()),
            // A run that was quicker than its event.
            Ok(Stage::Ended(None)) if stage == Stage::Thawed => Ok(()),
            Ok(reached) if reached == stage => Ok(()),
            _ => Err(self.out_of_turn()),
        }
    }

    fn out_of_turn(&self) -> WriterError {
        match &*self.stage.borrow() {
            Stage::Ended(Some(failure)) => failure.clone().into(),
            stage => WriterError::new(format!("the call is out of turn: the site is {stage:?}")),
        }
    }

    async fn end(&self) -> Option<Failure> {
        let mut stages = self.stage.subscribe();
        match stages.wait_for(|reached| matches!(reached, Stage::Ended(_))).await.map(|reached| reached.clone()) {
            Ok(Stage::Ended(failure)) => failure,
            _ => None,
        }
    }
}

impl EventSink for Lead {
    fn event(&self, event: &Event) {
        // The run that fails after it has thawed ends a little later.
        if matches!(event, Event::Thawed(_)) && !self.has_ended() {
            self.reach(Stage::Thawed);
        }
    }
}

/// The session that leads, as what makes the image.
#[derive(Debug, Clone)]
struct Led(Arc<Lead>);

#[async_trait]
impl Provider for Led {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        self.0.reach(Stage::Prepared);
        let late =
            |_| ShadowCopyError::Deadline { step: "the session's PrepareSnapshot".to_owned(), limit: LONGEST_WAIT };
        timeout(LONGEST_WAIT, self.0.ordered(Order::ComeToRest)).await.map_err(late)??;
        let roots = request.sources.into_iter().map(|image| image.source.root).collect();
        Ok(Box::new(LedPreparation { lead: Arc::clone(&self.0), roots }))
    }

    async fn release(&self, _set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        Ok(())
    }
}

#[derive(Debug)]
struct LedPreparation {
    lead: Arc<Lead>,
    roots: Vec<SitePath>,
}

#[async_trait]
impl Preparation for LedPreparation {
    fn provider(&self) -> &'static str {
        NAME
    }

    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        self.lead.reach(Stage::AtRest);
        self.lead.ordered(Order::Freeze).await
    }

    async fn commit(self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        self.lead.reach(Stage::Frozen);
        self.lead.ordered(Order::Thaw).await?;
        let (image, consistency) = (Image::Borrowed(self.roots), Consistency::Application);
        let (weaker, remarks, components, documents) = Default::default();
        Ok(Box::new(Taken { consistency, weaker, remarks, image, components, documents }))
    }
}

/// The writer of a site that follows another session: a run of the site from PrepareBackup to PostSnapshot.
///
/// One session at a time: a second one is refused until the first has come to its PostSnapshot or Abort, or was not brought to rest for a
/// quarter of an hour after PrepareBackup. When PostSnapshot returns the site works and the run has ended; who copies from the image holds nobody
/// up. A failure has ended the run, too, and the site works, or its watchdog sees to that.
#[derive(Debug)]
pub struct Follower {
    site: Arc<dyn FollowingSite>,
    session: Mutex<Option<Arc<Lead>>>,
}

impl Follower {
    /// The writer of `site`.
    pub fn new(site: Arc<dyn FollowingSite>) -> Self {
        Self { site, session: Mutex::default() }
    }

    /// The session that goes on.
    fn session(&self) -> Option<Arc<Lead>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin(&self) -> Result<Arc<Lead>, WriterError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.as_ref().is_some_and(|lead| !lead.has_ended()) {
            let refused = WriterError::new("the site takes part in another session");
            return Err(WriterError { is_retryable: true, ..refused });
        }
        Ok(session.insert(Arc::new(Lead::new())).clone())
    }

    async fn follow(&self, order: Order, from: Stage, stage: Stage) -> Result<(), WriterError> {
        self.prepared()?.follow(order, from, stage).await
    }

    fn prepared(&self) -> Result<Arc<Lead>, WriterError> {
        self.session().ok_or_else(|| WriterError::new("PrepareBackup did not come"))
    }
}

#[async_trait]
impl Writer for Follower {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        self.site.metadata().await
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        let lead = self.begin()?;
        let (site, run) = (Arc::clone(&self.site), Arc::clone(&lead));
        // A task of its own: the run comes to its end whoever waits for it.
        tokio::spawn(async move {
            let ran = guarded(None, {
                let run = Arc::clone(&run);
                async move { site.run(run).await }
            });
            let failure = match ran.await {
                Ok(Ok(report)) => Failure::of(&report),
                Ok(Err(error)) => Some(Failure { message: chain(&error), is_retryable: false, is_down: false }),
                Err(lost) => Some(Failure { message: lost.to_string(), is_retryable: false, is_down: true }),
            };
            run.reach(Stage::Ended(failure));
        });
        lead.come_to(Stage::Prepared).await
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        self.follow(Order::ComeToRest, Stage::Prepared, Stage::AtRest).await
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        self.follow(Order::Freeze, Stage::AtRest, Stage::Frozen).await
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        self.follow(Order::Thaw, Stage::Frozen, Stage::Thawed).await
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        let lead = self.prepared()?;
        if !matches!(*lead.stage.borrow(), Stage::Thawed | Stage::Ended(_)) {
            return Err(lead.out_of_turn());
        }
        match lead.end().await {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }

    /// What ended the run before was told then, and an abort ends every other one; but that the site does not work again must be known.
    async fn abort(&self) -> Result<(), WriterError> {
        let Some(lead) = self.session() else { return Ok(()) };
        lead.abort();
        match lead.end().await.filter(|failure| failure.is_down) {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// The run has ended before.
    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}
