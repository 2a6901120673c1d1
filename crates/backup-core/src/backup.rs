//! One run: preflight, shadow copy, one copy of each byte, seal, publish, AfterBackup, archive, retention, report.
//!
//! The previous snapshot is not touched before the new one is sealed, published and, after AfterBackup, found unaltered.

mod archive;
mod collect;
mod database;
mod finish;
mod read;

use std::pin::pin;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cancel::Cancel;
use crate::check::{Preflight, cause_of_image, preflight, sources};
use crate::config::MomentChoice;
use crate::copy::{Previous, chain};
use crate::event::{Event, Phase};
use crate::patience::{sleep, unless_cancelled};
use crate::plan::BackupPlan;
use crate::ports::Ports;
use crate::ports::database::{DatabaseFacts, DatabaseFolder, DatabaseMoment};
use crate::ports::destination::{DestinationError, DestinationHold, Holder, Staging, StoredSnapshot};
use crate::ports::journal::{JournalError, JournalRecord, UnendedRecovery, unfinished_runs};
use crate::ports::shadow_copies::{
    Consistency, ImageSource, ShadowCopyError, ShadowCopyRequest, ShadowCopySet, ShadowCopySetId, Writer,
};
use crate::recover::{HALF_RECOVERED_HINT, half_recovered};
use crate::repair::repair_locked;
use crate::report::{BackupReport, Cause, Finding, Gravity, Outcome, Totals, gravest, has_errors};
use crate::run_log::{NoteKeeper, RunLog};
use crate::snapshot::RunId;
use crate::status::{self, ProcessFacts};
use crate::trace;
use crate::writers::{DatabaseWriter, SiteWriter};

use read::Purpose;
pub use read::{ImageReader, ReadableImage, join_session, keep_image, read_image};

/// A snapshot with fewer entries than this may shrink as it likes.
const FEW_ENTRIES: u64 = 10;

/// What a run is given besides its ports and its plan.
#[derive(Debug, Clone, Default)]
pub struct RunContext {
    /// Stops the run.
    pub cancel: Cancel,
    /// Who writes the log.
    pub process: ProcessFacts,
    /// Whether every byte is read and written anew, nothing taken over from the previous snapshot.
    pub no_reuse: bool,
    /// Whether a snapshot with less than half the entries of the last good one is as good as that.
    pub accept_smaller: bool,
    /// After this moment the site is not brought to rest once more, where that failed before; none is no limit.
    pub latest_begin: Option<Timestamp>,
}

/// Why a run ends without a snapshot.
struct Stop {
    cause: Cause,
    message: String,
    hint: Option<String>,
}

impl Stop {
    fn new(cause: Cause, error: &dyn std::error::Error) -> Self {
        Self { cause, message: chain(error), hint: None }
    }
}

impl From<DestinationError> for Stop {
    fn from(error: DestinationError) -> Self {
        let cause = Cause::of_destination(&error);
        let hint = match cause {
            Cause::Busy => Some("try again when it has ended: one destination takes one run at a time".to_owned()),
            Cause::Full => Some("free some room at the destination; the previous snapshot is untouched".to_owned()),
            _ => None,
        };
        Self { hint, ..Self::new(cause, &error) }
    }
}

impl From<UnendedRecovery> for Stop {
    fn from(recovery: UnendedRecovery) -> Self {
        let hint = Some(HALF_RECOVERED_HINT.to_owned());
        Self { cause: Cause::HalfRecovered, message: recovery.to_string(), hint }
    }
}

/// Runs one backup. Whatever happens, the report says so, and the site's services have been set going when it returns.
///
/// Dropping the future counts as a kill: the watchdog of the services' adapter or [`repair`](crate::repair::repair) puts things right.
pub async fn run_backup(ports: &Ports, plan: &BackupPlan, context: &RunContext) -> BackupReport {
    let mut run = Run::new(ports, plan, context);
    match ports.journal.lock().await {
        Ok(_lock) => run.whole().await,
        Err(error) => run.locked_out(&error),
    }
    run.ended()
}

struct Run<'a> {
    ports: Ports,
    plan: Arc<BackupPlan>,
    context: &'a RunContext,
    run: RunId,
    log: RunLog,
    site_writer: Arc<SiteWriter>,
    set: Option<ShadowCopySetId>,
    /// Whether something of it may be where its parts go.
    staged: bool,
    purpose: Purpose,
    /// Whether it was told that a service is down.
    told_down: bool,
    /// Kept to the end of the run.
    hold: Option<Box<dyn DestinationHold>>,
    report: BackupReport,
}

/// What a run knows once nothing is in its way.
struct Ready {
    database: Option<DatabaseFacts>,
    /// The snapshots that are there.
    snapshots: Vec<StoredSnapshot>,
}

/// The moment, and where its parts go.
struct Moment {
    set: ShadowCopySet,
    staging: Arc<dyn Staging>,
    database: Option<(DatabaseFacts, Arc<DatabaseWriter>)>,
}

impl<'a> Run<'a> {
    fn new(ports: &Ports, plan: &BackupPlan, context: &'a RunContext) -> Self {
        let run = RunId(ports.clock.new_id());
        let plan = Arc::new(plan.clone());
        let report = BackupReport {
            run,
            site: plan.site.to_string(),
            started: ports.clock.now(),
            ended: ports.clock.now(),
            outcome: Outcome::Failed(Cause::Busy),
            snapshot: None,
            consistency: Consistency::None,
            freeze_window: std::time::Duration::ZERO,
            outage: std::time::Duration::ZERO,
            totals: Totals::default(),
            findings: Vec::new(),
            after_backup: None,
            archived: None,
        };
        Self {
            ports: ports.clone(),
            context,
            run,
            log: RunLog::new(ports.clone(), context.process.clone(), plan.site.to_string(), run),
            site_writer: Arc::new(SiteWriter::new(ports.clone(), Arc::clone(&plan), run, None)),
            plan,
            set: None,
            staged: false,
            purpose: Purpose::Snapshot,
            told_down: false,
            hold: None,
            report,
        }
    }

    fn locked_out(&mut self, error: &JournalError) {
        let cause = if matches!(error, JournalError::Busy { .. }) { Cause::Busy } else { Cause::State };
        self.log.finding(Finding::error(cause, chain(error)));
        self.report.outcome = Outcome::Failed(cause);
    }

    fn ended(mut self) -> BackupReport {
        self.report.findings = std::mem::take(&mut self.log.findings);
        self.report.ended = self.ports.clock.now();
        self.report
    }

    async fn whole(&mut self) {
        self.log.line("SMS site backup service started.");
        self.log.line(&trace::introduction(self.run));
        let result = self.make_snapshot().await;
        self.set_going().await;
        match result {
            Ok(previous) => self.published(previous).await,
            Err(stop) => self.failed(stop).await,
        }
        self.close().await;
    }

    /// Whatever happened: the site runs again before anything else is done.
    async fn set_going(&mut self) {
        self.site_writer.set_going().await;
        self.report.outage = self.site_writer.outage();
        self.tell_down().await;
        for finding in self.site_writer.take_findings() {
            self.log.finding(finding);
        }
    }

    /// All up to the published snapshot. Returns the snapshots that were there before.
    async fn make_snapshot(&mut self) -> Result<Vec<StoredSnapshot>, Stop> {
        let refused = self.hold().await;
        let had_snapshot = self.begin(refused.as_ref()).await?;
        self.log.status(status::STARTED, vec![self.run.to_string()]).await;
        let Ready { database, snapshots } = self.ready(refused).await?;
        if had_snapshot
            && snapshots.is_empty()
            && !self.log.findings.iter().any(|finding| finding.cause == Cause::Snapshot)
        {
            let message = "the last run left a snapshot at the destination, and none is there now";
            let hint = "is its drive mounted? this snapshot may be on the wrong one; the built-in Backup Site Server task would have deleted it";
            self.log.finding(Finding::error(Cause::Destination, message).hint(hint));
        }
        let last = snapshots.last().filter(|_| !self.context.no_reuse);
        let previous = self.previous(last).await;
        let moment = self.hold_moment(database, last.map(|last| last.run), Arc::clone(&previous)).await?;
        self.tell_down().await;
        let draft = self.collect(moment, previous).await?;
        self.judge_size(draft.entries(), &snapshots);
        self.seal(draft).await?;
        self.report.snapshot = Some(self.ports.destination.publish(self.run).await?);
        Ok(snapshots)
    }

    /// Looks whether anything is in the way.
    async fn ready(&mut self, refused: Option<DestinationError>) -> Result<Ready, Stop> {
        self.phase(Phase::Preflight);
        let preflight = preflight(&self.ports, &self.plan).await;
        let ready = self.judge(preflight)?;
        match refused {
            Some(error) => Err(error.into()),
            None => Ok(ready),
        }
    }

    /// Goes on only where preflight found no error.
    fn judge(&mut self, preflight: Preflight) -> Result<Ready, Stop> {
        let Preflight { report, database, snapshots, .. } = preflight;
        for finding in report.findings {
            if self.purpose.is_concerned(finding.cause) {
                self.log.finding(finding);
            }
        }
        match gravest(&self.log.findings).filter(|finding| finding.gravity == Gravity::Error) {
            Some(error) => Err(Stop {
                cause: error.cause,
                message: format!("preflight found errors: {}", error.message),
                hint: None,
            }),
            None => Ok(Ready { database, snapshots }),
        }
    }

    /// Brings the site to the moment that is to be kept, and has it set going again.
    ///
    /// What may succeed a little later is tried again, from the beginning, while the site works: another backup program at the same hour is the
    /// most frequent reason of all.
    async fn hold_moment(
        &mut self,
        facts: Option<DatabaseFacts>,
        previous_run: Option<RunId>,
        previous: Arc<Previous>,
    ) -> Result<Moment, Stop> {
        self.staged = true;
        let writer = SiteWriter::new(self.ports.clone(), Arc::clone(&self.plan), self.run, facts.clone());
        let holds = facts.as_ref().is_some_and(|facts| self.holds_services(facts).is_some());
        self.site_writer = Arc::new(if holds { writer.holding() } else { writer });
        let mut again = self.plan.retry.times;
        loop {
            let staging = self.ports.destination.begin(self.run, previous_run).await?;
            let database = self.database_writer(&staging, facts.as_ref());
            match self.shadow_copy(&staging, facts.as_ref(), database.clone(), Arc::clone(&previous)).await {
                Ok(set) => {
                    self.judge_set(&set).await;
                    return Ok(Moment { set, staging, database: facts.zip(database) });
                }
                Err(error) if error.is_retryable() && again > 0 && self.may_try_again().await => {
                    self.wait_to_try_again(&error, again).await?;
                    again -= 1;
                }
                Err(error) => return Err(self.shadow_copy_stop(error, database.as_deref())),
            }
            drop((staging, database));
            self.ports.destination.remove(self.run).await?;
        }
    }

    /// A site that did not come back up as a whole is not brought to rest once more, nor one whose hour has passed.
    async fn may_try_again(&mut self) -> bool {
        let told = self.log.findings.len();
        self.set_going().await;
        let next = self.ports.clock.now() + self.plan.retry.pause;
        !has_errors(&self.log.findings[told..]) && self.context.latest_begin.is_none_or(|latest| next <= latest)
    }

    async fn wait_to_try_again(&mut self, error: &ShadowCopyError, again: u32) -> Result<(), Stop> {
        let pause = self.plan.retry.pause;
        let message = format!("{}; trying again in {} s, {again} more times", chain(error), pause.as_secs());
        self.ports.events.event(&Event::Note(message.clone()));
        self.log.line(&message);
        let wait = pin!(sleep(&*self.ports.clock, pause));
        let waited = unless_cancelled(wait, &*self.ports.clock, &self.context.cancel).await;
        waited.ok_or_else(|| self.shadow_copy_stop(ShadowCopyError::Cancelled, None))
    }

    /// A site that was wiped, or of which little is asked for any more by mistake, must not take the place of the last good snapshot.
    fn judge_size(&mut self, entries: u64, snapshots: &[StoredSnapshot]) {
        let good = snapshots.iter().rev().find(|snapshot| snapshot.manifest.weaker.is_empty());
        let Some(good) = good.filter(|_| !self.context.accept_smaller) else { return };
        let before = good.manifest.entries;
        if before >= FEW_ENTRIES && entries < before / 2 {
            let message = format!("the site has {entries} entries, and the last good snapshot {before}");
            let hint = "if that is as it should be, say so once with `sitebackup backup --accept-smaller`; until then both are kept";
            self.log.finding(Finding::error(Cause::Snapshot, message).hint(hint));
        }
    }

    /// Takes the destination for as long as the run lasts; returns why that was refused.
    async fn hold(&mut self) -> Option<DestinationError> {
        match self.ports.destination.hold(Holder::Run(self.run)).await {
            Ok(hold) => {
                self.hold = Some(hold);
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Returns whether the run before this one left a snapshot.
    async fn begin(&mut self, refused: Option<&DestinationError>) -> Result<bool, Stop> {
        let state = |error: JournalError| Stop::new(Cause::State, &error);
        let records = self.ports.journal.read().await.map_err(state)?;
        // Before anything is put right: services that were stopped for the recovery stay down.
        if let Some(recovery) = half_recovered(&records) {
            return Err(recovery.into());
        }
        // Another configuration's journal is not seen from here; what it recovers is noted at the destination.
        if refused.is_none()
            && let Some(recovery) = self.ports.destination.half_recovered().await?
        {
            return Err(recovery.into());
        }
        if !unfinished_runs(&records).is_empty() {
            let repaired = repair_locked(&self.ports, refused).await.map_err(state)?;
            self.log.line(&format!(
                "An earlier run did not end: started {:?}, removed {} folders.",
                repaired.started, repaired.swept
            ));
            for finding in repaired.findings {
                self.log.finding(finding);
            }
        }
        // Whatever else is in the way is told by preflight, which knows what to do about it.
        if let Some(DestinationError::Busy { path, holder }) = refused {
            return Err(DestinationError::Busy { path: path.clone(), holder: holder.clone() }.into());
        }
        let record = JournalRecord::RunStarted { run: self.run, at: self.report.started };
        self.ports.journal.append(&record).await.map_err(state)?;
        let ended = records.iter().rev().find_map(|record| match record {
            JournalRecord::RunEnded { published, .. } => Some(*published),
            _ => None,
        });
        Ok(ended == Some(true))
    }

    fn phase(&self, phase: Phase) {
        self.ports.events.event(&Event::Phase(phase));
    }

    /// Files that may be taken over unread. A previous snapshot that cannot be read only costs time.
    async fn previous(&mut self, last: Option<&StoredSnapshot>) -> Arc<Previous> {
        let Some(last) = last else { return Arc::default() };
        let records = async {
            let list = self.ports.destination.open(last.run).await?.list().await?;
            last.manifest
                .parse_list(&list)
                .map_err(|error| DestinationError::Damaged { path: last.folder.clone(), reason: chain(&error) })
        };
        match records.await {
            Ok(records) => Arc::new(Previous::new(records, last.manifest.moment)),
            Err(error) => {
                self.log.finding(Finding::new(Gravity::Warning, Cause::Snapshot, chain(&error)));
                Arc::default()
            }
        }
    }

    fn database_writer(
        &self,
        staging: &Arc<dyn Staging>,
        facts: Option<&DatabaseFacts>,
    ) -> Option<Arc<DatabaseWriter>> {
        // A server holds its own database in another program's session, and a backup of ours would stand in its way.
        let facts = facts.filter(|facts| self.purpose != Purpose::Moment || facts.file.is_some());
        let database = self.ports.database.clone().zip(self.plan.database.as_ref()).zip(facts);
        database.map(|((database, folder), facts)| {
            let folder = DatabaseFolder::new(self.run, facts.name.clone(), Arc::clone(staging), folder.clone());
            Arc::new(DatabaseWriter::new(database, facts.clone(), folder))
        })
    }

    async fn shadow_copy(
        &mut self,
        staging: &Arc<dyn Staging>,
        facts: Option<&DatabaseFacts>,
        database: Option<Arc<DatabaseWriter>>,
        previous: Arc<Previous>,
    ) -> Result<ShadowCopySet, ShadowCopyError> {
        let mut writers: Vec<Arc<dyn Writer>> = vec![Arc::clone(&self.site_writer) as _];
        writers.extend(database.map(|writer| writer as Arc<dyn Writer>));
        writers.extend(self.ports.writers.iter().cloned());
        let notes = Arc::new(NoteKeeper::new(Arc::clone(&self.ports.events)));
        // The run names its set, so that a repair knows which one to release.
        let id = ShadowCopySetId(self.run.0);
        self.set = Some(id);
        let request = ShadowCopyRequest {
            id,
            sources: self.image_sources(facts),
            components: facts.and_then(|facts| facts.component.clone()).into_iter().collect(),
            files: Arc::clone(&self.ports.files),
            staging: Arc::clone(staging),
            previous,
            writers,
            limits: self.plan.limits,
            cancel: self.context.cancel.clone(),
            events: Arc::clone(&notes) as _,
        };
        let set = match self.ports.shadow_copies.prepare(request).await {
            Ok(prepared) => prepared.commit().await,
            Err(error) => Err(error),
        };
        for note in notes.take() {
            self.log.line(&note);
        }
        set
    }

    /// How long the services may stay stopped for a database whose copy holds the moment of its own end, where they are to.
    fn holds_services(&self, facts: &DatabaseFacts) -> Option<std::time::Duration> {
        match (facts.moment, self.plan.database_moment) {
            (DatabaseMoment::End, MomentChoice::HoldServices(limit)) if self.plan.stops_services() => Some(limit),
            _ => None,
        }
    }

    fn image_sources(&self, facts: Option<&DatabaseFacts>) -> Vec<ImageSource> {
        let targets = self.plan.files.iter().map(|file| file.target.clone());
        let pair = |(source, target)| ImageSource { source, target };
        sources(&self.plan, facts).into_iter().zip(targets).map(pair).collect()
    }

    fn shadow_copy_stop(&self, error: ShadowCopyError, database: Option<&DatabaseWriter>) -> Stop {
        let cause = match &error {
            ShadowCopyError::Cancelled => Cause::Interrupted,
            ShadowCopyError::Writer { .. } => {
                let database = database.and_then(DatabaseWriter::failure);
                database.or(self.site_writer.failure()).unwrap_or(Cause::ShadowCopy)
            }
            ShadowCopyError::Write(DestinationError::Full(_)) => Cause::Full,
            ShadowCopyError::Write(_) => Cause::Destination,
            error => cause_of_image(error),
        };
        Stop { hint: error.hint().map(str::to_owned), ..Stop::new(cause, &error) }
    }

    /// The moment is held and the site runs again.
    async fn judge_set(&mut self, set: &ShadowCopySet) {
        self.report.consistency = set.consistency;
        if !self.plan.stops_services() && self.ports.writers.is_empty() {
            self.report.consistency = set.consistency.min(Consistency::Crash);
        }
        for name in self.site_writer.started_early() {
            self.report.consistency = Consistency::None;
            let message = format!("service `{name}` ran inside the freeze window: somebody started it");
            self.log.finding(Finding::error(Cause::ShadowCopy, message));
        }
        self.report.freeze_window = set.freeze_window;
        for weaker in &set.weaker {
            self.log.finding(Finding::error(Cause::ShadowCopy, weaker.clone()));
        }
        for remark in &set.remarks {
            // No line of the log: it has had one when it was made.
            self.log.findings.push(Finding::new(Gravity::Note, Cause::ShadowCopy, remark.clone()));
        }
        let window = format!("freeze window {:.3} s, provider {}", set.freeze_window.as_secs_f64(), set.provider);
        if self.purpose == Purpose::Snapshot {
            self.log.status(status::SHADOW_COPY_TAKEN, vec![window]).await;
        }
    }
}
