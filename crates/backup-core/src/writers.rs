//! The two writers that core brings along: the site (services and registry) and its database.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::copy::chain;
use crate::event::{Event, Phase};
use crate::patience::sleep;
use crate::plan::{BackupPlan, RegistryTask, ServiceStep};
use crate::ports::Ports;
use crate::ports::database::{DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFacts, DatabaseFolder, SiteDatabase};
use crate::ports::destination::DestinationError;
use crate::ports::journal::JournalRecord;
use crate::ports::services::ServiceState;
use crate::ports::shadow_copies::{Writer, WriterError, WriterMetadata};
use crate::report::{Cause, Finding, Gravity};
use crate::snapshot::RunId;
use crate::writer_metadata::{of_database, of_site};

/// How long a stop that failed may still take effect before its service is started again.
const LATE_STOP: SignedDuration = SignedDuration::from_secs(30);

fn veto(cause: Cause, error: &dyn std::error::Error) -> (Cause, WriterError) {
    (cause, WriterError::new(chain(error)))
}

#[derive(Debug, Default)]
struct SiteState {
    /// Services that this run stopped, in the order of stopping, and that do not run again yet.
    stopped: Vec<String>,
    /// A service whose stop failed or took too long: it may still be on its way down.
    uncertain: Option<String>,
    /// Services that ran, or may have run, inside the freeze window.
    thawed_early: Vec<String>,
    first_stop: Option<Timestamp>,
    /// Of the sessions before this one.
    earlier_outage: Duration,
    outage: Duration,
    exports: Vec<(RegistryTask, Vec<u8>)>,
    failure: Option<Cause>,
    findings: Vec<Finding>,
}

impl SiteState {
    /// What an earlier session saw is not of this one's moment.
    fn begin_session(&mut self) {
        self.earlier_outage = self.outage;
        self.thawed_early.clear();
        self.exports.clear();
        self.failure = None;
    }
}

/// Stops the services in PrepareSnapshot, exports the registry in Freeze, starts the services in PostSnapshot or Abort.
#[derive(Debug)]
pub(crate) struct SiteWriter {
    ports: Ports,
    plan: Arc<BackupPlan>,
    run: RunId,
    /// The database that belongs to the site.
    database: Option<DatabaseFacts>,
    /// Whether somebody else sets the services going, later than PostSnapshot.
    holds: bool,
    state: Mutex<SiteState>,
}

impl SiteWriter {
    pub(crate) fn new(ports: Ports, plan: Arc<BackupPlan>, run: RunId, database: Option<DatabaseFacts>) -> Self {
        Self { ports, plan, run, database, holds: false, state: Mutex::default() }
    }

    /// The same, with the services at rest until somebody calls [`set_going`](Self::set_going).
    pub(crate) fn holding(self) -> Self {
        Self { holds: true, ..self }
    }

    fn state(&self) -> MutexGuard<'_, SiteState> {
        self.state.lock().expect("no writer panics with its state locked")
    }

    /// What the last veto was about.
    pub(crate) fn failure(&self) -> Option<Cause> {
        self.state().failure
    }

    /// Services that would not start, so far.
    pub(crate) fn take_findings(&self) -> Vec<Finding> {
        std::mem::take(&mut self.state().findings)
    }

    /// Services that would not start, so far, each with the reason.
    pub(crate) fn down(&self) -> Vec<String> {
        let state = self.state();
        let down = state.findings.iter().filter(|finding| finding.cause == Cause::ServiceStart);
        down.map(|finding| finding.message.clone()).collect()
    }

    /// What Freeze exported.
    pub(crate) fn take_exports(&self) -> Vec<(RegistryTask, Vec<u8>)> {
        std::mem::take(&mut self.state().exports)
    }

    /// From the first service stopped to the last one started.
    pub(crate) fn outage(&self) -> Duration {
        self.state().outage
    }

    fn remember<T>(&self, result: Result<T, (Cause, WriterError)>) -> Result<T, WriterError> {
        result.map_err(|(cause, error)| {
            self.state().failure = Some(cause);
            error
        })
    }

    /// The steps of stopping what runs: each service after those that need it, whoever named them.
    async fn stop_steps(&self) -> Result<Vec<ServiceStep>, (Cause, WriterError)> {
        let services = &self.ports.services;
        let mut steps: Vec<ServiceStep> = Vec::new();
        for step in &self.plan.stop {
            let ServiceStep::Service(name) = step else {
                steps.push(step.clone());
                continue;
            };
            let state = services.state(name).await.map_err(|error| veto(Cause::ServiceStop, &error))?;
            if state == ServiceState::Stopped {
                continue;
            }
            let dependents = services.dependents(name).await.map_err(|error| veto(Cause::ServiceStop, &error))?;
            for service in dependents.into_iter().chain([name.clone()]).map(ServiceStep::Service) {
                if !steps.contains(&service) {
                    steps.push(service);
                }
            }
        }
        Ok(steps)
    }

    async fn stop_all(&self) -> Result<(), (Cause, WriterError)> {
        let steps = self.stop_steps().await?;
        let service = |step: &ServiceStep| match step {
            ServiceStep::Service(name) => Some(name.clone()),
            ServiceStep::Sleep(_) => None,
        };
        let running: Vec<String> = steps.iter().filter_map(service).collect();
        if running.is_empty() {
            return Ok(());
        }
        // Durable before the first stop: the next start knows what to set going.
        let record = JournalRecord::ServicesStopping { run: self.run, start: self.start_order(&running) };
        self.ports.journal.append(&record).await.map_err(|error| veto(Cause::State, &error))?;
        self.state().first_stop = Some(self.ports.clock.now());
        for step in &steps {
            match step {
                ServiceStep::Service(name) => {
                    self.state().stopped.push(name.clone());
                    self.state().uncertain = Some(name.clone());
                    let stopped = self.ports.services.stop(name).await;
                    stopped.map_err(|error| veto(Cause::ServiceStop, &error))?;
                    self.state().uncertain = None;
                }
                ServiceStep::Sleep(time) => self.sleep(*time).await,
            }
        }
        Ok(())
    }

    /// The plan's order of starting, then what it forgets, last stopped first.
    fn start_order(&self, stopped: &[String]) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        for step in &self.plan.start {
            if let ServiceStep::Service(name) = step
                && stopped.contains(name)
                && !order.contains(name)
            {
                order.push(name.clone());
            }
        }
        let forgotten: Vec<String> = stopped.iter().rev().filter(|name| !order.contains(name)).cloned().collect();
        order.extend(forgotten);
        order
    }

    /// Starts every service that this run stopped; tries all of them, whatever happens to one. Repeating it is harmless.
    pub(crate) async fn set_going(&self) {
        let stopped = self.state().stopped.clone();
        if stopped.is_empty() {
            return;
        }
        self.ports.events.event(&Event::Phase(Phase::Starting));
        for step in &self.plan.start {
            match step {
                ServiceStep::Service(name) => self.start(name).await,
                ServiceStep::Sleep(time) => self.sleep(*time).await,
            }
        }
        for name in self.start_order(&stopped) {
            self.start(&name).await;
        }
        let now = self.ports.clock.now();
        let all_run = {
            let mut state = self.state();
            let since = state.first_stop.unwrap_or(now);
            state.outage = state.earlier_outage + now.duration_since(since).unsigned_abs();
            state.stopped.is_empty()
        };
        if all_run {
            let record = JournalRecord::ServicesStarted { run: self.run };
            // Without the record the next start asks the services again and finds them running.
            if let Err(error) = self.ports.journal.append(&record).await {
                self.state().findings.push(Finding::error(Cause::State, chain(&error)));
            }
        }
    }

    async fn start(&self, name: &str) {
        if !self.state().stopped.iter().any(|stopped| stopped == name) {
            return;
        }
        self.let_it_stop(name).await;
        let mut result = self.ports.services.start(name).await;
        if result.is_err() {
            result = self.ports.services.start(name).await;
        }
        let mut state = self.state();
        match result {
            Ok(()) => {
                state.stopped.retain(|stopped| stopped != name);
                state.findings.retain(|finding| !finding.message.contains(&format!("`{name}`")));
            }
            Err(error) => {
                let finding = Finding::error(Cause::ServiceStart, chain(&error));
                if !state.findings.contains(&finding) {
                    state.findings.push(finding.hint(format!("start `{name}` by hand, then run `sitebackup check`")));
                }
            }
        }
    }

    /// A stop that came too late for the run may still take effect: started before that, the service would stay down.
    async fn let_it_stop(&self, name: &str) {
        if self.state().uncertain.as_deref() != Some(name) {
            return;
        }
        self.state().uncertain = None;
        // By the clock, not by the number of questions: each of them may take as long as the service's own limit.
        let until = self.ports.clock.now() + LATE_STOP;
        while self.ports.clock.now() < until {
            if matches!(self.ports.services.state(name).await, Ok(ServiceState::Stopped)) {
                return;
            }
            self.sleep(Duration::from_secs(1)).await;
        }
        let message = format!("service `{name}` was told to stop and still runs");
        let finding = Finding::new(Gravity::Warning, Cause::ServiceStop, message);
        self.state().findings.push(finding.hint("it may still stop: look at it, and give it a longer timeout"));
    }

    /// Services that are at rest when the window begins must be at rest when it has ended.
    async fn look_for_early_starts(&self) {
        let running = self.running_early().await;
        self.state().thawed_early.extend(running);
    }

    /// Services that somebody started inside the freeze window, or of which that cannot be ruled out.
    pub(crate) fn started_early(&self) -> Vec<String> {
        self.state().thawed_early.clone()
    }

    /// Services that this run stopped, and that run although it has not started them.
    pub(crate) async fn running_early(&self) -> Vec<String> {
        let mut running = Vec::new();
        let stopped = self.state().stopped.clone();
        for name in stopped {
            if !matches!(self.ports.services.state(&name).await, Ok(ServiceState::Stopped)) {
                running.push(name);
            }
        }
        running
    }

    async fn sleep(&self, time: Duration) {
        sleep(self.ports.clock.as_ref(), time).await;
    }

    async fn export_all(&self) -> Result<(), (Cause, WriterError)> {
        for task in &self.plan.registry {
            let export = self.ports.registry.export(&task.key).await.map_err(|error| veto(Cause::Registry, &error))?;
            self.state().exports.push((task.clone(), export));
        }
        Ok(())
    }
}

#[async_trait]
impl Writer for SiteWriter {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        Ok(of_site(&self.plan, self.database.as_ref()))
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        self.state().begin_session();
        let result = self.stop_all().await;
        self.remember(result)
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        let result = self.export_all().await;
        self.remember(result)
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        self.look_for_early_starts().await;
        if !self.holds {
            self.set_going().await;
        }
        Ok(())
    }

    async fn abort(&self) -> Result<(), WriterError> {
        self.set_going().await;
        Ok(())
    }

    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}

/// A destination that is full is no fault of the database.
pub(crate) fn cause_of(error: &DatabaseError) -> Cause {
    match error {
        DatabaseError::Write(DestinationError::Full(_)) => Cause::Full,
        _ => Cause::Database,
    }
}

/// Prepares the database's copy in PrepareBackup and pins it in Freeze: the one place where a database is pinned.
#[derive(Debug)]
pub(crate) struct DatabaseWriter {
    database: Arc<dyn SiteDatabase>,
    facts: DatabaseFacts,
    folder: DatabaseFolder,
    copy: Mutex<Option<Box<dyn DatabaseCopy>>>,
    failed: Mutex<Option<Cause>>,
}

impl DatabaseWriter {
    pub(crate) fn new(database: Arc<dyn SiteDatabase>, facts: DatabaseFacts, folder: DatabaseFolder) -> Self {
        Self { database, facts, folder, copy: Mutex::default(), failed: Mutex::default() }
    }

    /// The cause of the last veto, where it was this writer's.
    pub(crate) fn failure(&self) -> Option<Cause> {
        *self.failed.lock().expect("no writer panics with its state locked")
    }

    /// Writes the pinned moment.
    pub(crate) async fn finish(&self) -> Result<DatabaseDump, DatabaseError> {
        let unpinned = || DatabaseError::Missing(format!("{} (pinned)", self.facts.name));
        self.take().ok_or_else(unpinned)?.finish().await
    }

    fn take(&self) -> Option<Box<dyn DatabaseCopy>> {
        self.copy.lock().expect("no writer panics with its state locked").take()
    }

    fn keep(&self, copy: Box<dyn DatabaseCopy>) {
        *self.copy.lock().expect("no writer panics with its state locked") = Some(copy);
    }

    /// Who holds a lock lets go of it some time.
    fn fail(&self, error: &DatabaseError) -> WriterError {
        *self.failed.lock().expect("no writer panics with its state locked") = Some(cause_of(error));
        let is_retryable = matches!(error, DatabaseError::Locked { .. });
        WriterError { is_retryable, ..veto(Cause::Database, error).1 }
    }
}

#[async_trait]
impl Writer for DatabaseWriter {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        Ok(of_database())
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        let copy = self.database.prepare(self.folder.clone()).await.map_err(|error| self.fail(&error))?;
        self.keep(copy);
        Ok(())
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        let missing = || WriterError::new("PrepareBackup did not come");
        let mut copy = self.take().ok_or_else(missing)?;
        copy.pin().await.map_err(|error| self.fail(&error))?;
        self.keep(copy);
        Ok(())
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn abort(&self) -> Result<(), WriterError> {
        drop(self.take());
        Ok(())
    }

    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}
