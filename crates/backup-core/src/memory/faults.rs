//! The one decorator that injects faults: an error or a kill, before or after the effect, at the n-th call of any port.

mod archive;
mod destination;
mod shadow_copies;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::path::SitePath;
use crate::ports::Ports;
use crate::ports::archive::SnapshotArchive;
use crate::ports::clock::{Clock, UnknownZone};
use crate::ports::commands::{AfterBackupContext, CommandError, CommandLine, CommandOutcome, Commands};
use crate::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseRestored, DatabaseSource,
    DatabaseStanding, DatabaseTarget, DatabaseVerdict, SiteDatabase,
};
use crate::ports::destination::{DestinationError, SnapshotFiles};
use crate::ports::journal::{JournalError, JournalLock, JournalRecord, RunJournal};
use crate::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored, Standing};
use crate::ports::registry::{ImportMode, Registry, RegistryError, RegistryKey};
use crate::ports::restores::RestoreWriter;
use crate::ports::services::{ServiceControl, ServiceError, ServiceState};
use crate::ports::shadow_copies::Writer;
use crate::ports::site_files::{Attributes, CloneOf, FileSource, OpenFile, SiteFiles, SiteFilesError, Walk};
use crate::ports::status_log::{StatusLog, StatusLogError};
use crate::status::StatusMessage;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The call fails and has had no effect.
    ErrorBefore,
    /// The call has had its effect and fails.
    ErrorAfter,
    /// The process dies; the call has had no effect.
    KillBefore,
    /// The process dies; the call has had its effect.
    KillAfter,
}

/// A fault at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which call, counted from 0 over all ports.
    pub at: usize,
    /// What happens.
    pub kind: FaultKind,
}

#[derive(Debug, Default)]
struct Counter {
    calls: Vec<&'static str>,
    fault: Option<Fault>,
    killed: bool,
}

/// Counts the calls of all ports of one process and strikes at one of them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Counter>>);

impl Faults {
    /// Strikes once.
    pub fn new(fault: Option<Fault>) -> Self {
        Self(Arc::new(Mutex::new(Counter { fault, ..Counter::default() })))
    }

    /// The calls so far, by name.
    pub fn calls(&self) -> Vec<&'static str> {
        self.0.lock().expect("no panic").calls.clone()
    }

    /// Whether the process is dead.
    pub fn killed(&self) -> bool {
        self.0.lock().expect("no panic").killed
    }

    fn kill(&self) {
        self.0.lock().expect("no panic").killed = true;
    }

    fn count(&self, name: &'static str) -> Option<FaultKind> {
        let mut counter = self.0.lock().expect("no panic");
        let at = counter.calls.len();
        counter.calls.push(name);
        counter.fault.filter(|fault| fault.at == at).map(|fault| fault.kind)
    }

    async fn call<T, E>(
        &self,
        name: &'static str,
        error: impl FnOnce() -> E,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.killed() {
            std::future::pending::<()>().await;
        }
        match self.count(name) {
            None => call.await,
            Some(FaultKind::ErrorBefore) => Err(error()),
            Some(FaultKind::ErrorAfter) => call.await.and(Err(error())),
            Some(FaultKind::KillBefore) => {
                self.kill();
                std::future::pending().await
            }
            Some(FaultKind::KillAfter) => {
                drop(call.await);
                self.kill();
                std::future::pending().await
            }
        }
    }

    /// For a call that blocks: a kill in it is an error after which no call returns.
    fn call_blocking<T, E>(
        &self,
        name: &'static str,
        error: impl FnOnce() -> E,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.killed() {
            return Err(error());
        }
        let kind = self.count(name);
        if matches!(kind, Some(FaultKind::KillBefore | FaultKind::KillAfter)) {
            self.kill();
        }
        match kind {
            None => call(),
            Some(FaultKind::ErrorBefore | FaultKind::KillBefore) => Err(error()),
            Some(FaultKind::ErrorAfter | FaultKind::KillAfter) => call().and(Err(error())),
        }
    }
}

fn injected() -> Box<dyn std::error::Error + Send + Sync> {
    "injected fault".into()
}

fn root() -> SitePath {
    SitePath::parse("/injected").expect("an absolute path")
}

fn destination_error() -> DestinationError {
    DestinationError::Failed { action: "use", path: root(), source: injected() }
}

fn files_error() -> SiteFilesError {
    SiteFilesError::Failed { action: "use", path: root(), source: injected() }
}

fn database_error() -> DatabaseError {
    DatabaseError::Failed { action: "use", name: "injected".to_owned(), source: injected() }
}

fn recovery_error() -> RecoveryError {
    RecoveryError::Failed { action: "use", path: root(), source: injected() }
}

/// A port with its faults.
#[derive(Debug)]
struct Faulty<P: ?Sized> {
    faults: Faults,
    inner: Arc<P>,
}

/// `ports` with faults at every call; the clock and the events never fail.
pub fn faulty(ports: &Ports, faults: &Faults) -> Ports {
    fn wrap<P: ?Sized>(faults: &Faults, inner: &Arc<P>) -> Arc<Faulty<P>> {
        Arc::new(Faulty { faults: faults.clone(), inner: Arc::clone(inner) })
    }
    Ports {
        clock: wrap(faults, &ports.clock),
        files: wrap(faults, &ports.files),
        destination: wrap(faults, &ports.destination),
        kept: wrap(faults, &ports.kept),
        archive: ports.archive.as_ref().map(|archive| wrap(faults, archive) as Arc<dyn SnapshotArchive>),
        registry: wrap(faults, &ports.registry),
        services: wrap(faults, &ports.services),
        database: ports.database.as_ref().map(|database| wrap(faults, database) as Arc<dyn SiteDatabase>),
        shadow_copies: wrap(faults, &ports.shadow_copies),
        writers: ports.writers.iter().map(|writer| wrap(faults, writer) as Arc<dyn Writer>).collect(),
        commands: wrap(faults, &ports.commands),
        recovery_target: wrap(faults, &ports.recovery_target),
        journal: wrap(faults, &ports.journal),
        status_log: wrap(faults, &ports.status_log),
        events: Arc::clone(&ports.events),
    }
}

/// A writer of a restore with faults at every call.
pub fn faulty_restore_writer(writer: &Arc<dyn RestoreWriter>, faults: &Faults) -> Arc<dyn RestoreWriter> {
    Arc::new(Faulty { faults: faults.clone(), inner: Arc::clone(writer) })
}

#[async_trait]
impl Clock for Faulty<dyn Clock> {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }
    fn local_zone(&self) -> TimeZone {
        self.inner.local_zone()
    }
    fn zone(&self, name: &str) -> Result<TimeZone, UnknownZone> {
        self.inner.zone(name)
    }
    fn new_id(&self) -> Uuid {
        self.inner.new_id()
    }
    async fn sleep_until(&self, moment: Timestamp) {
        let sleep = async {
            self.inner.sleep_until(moment).await;
            Ok::<(), ()>(())
        };
        // A clock cannot fail; only a kill strikes here.
        self.faults.call("Clock::sleep_until", || (), sleep).await.unwrap_or_default();
    }
}

#[async_trait]
impl SiteFiles for Faulty<dyn SiteFiles> {
    async fn sync(&self, roots: &[SitePath]) -> Result<(), SiteFilesError> {
        self.faults.call("SiteFiles::sync", files_error, self.inner.sync(roots)).await
    }
    async fn walk(&self, source: &FileSource) -> Result<Walk, SiteFilesError> {
        self.faults.call("SiteFiles::walk", files_error, self.inner.walk(source)).await
    }
    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
        // A call that blocks cannot be left hanging: a kill here strikes at the next call that can.
        match self.faults.count("SiteFiles::open") {
            None => self.inner.open(path),
            Some(FaultKind::ErrorBefore | FaultKind::ErrorAfter) => Err(files_error()),
            Some(FaultKind::KillBefore | FaultKind::KillAfter) => {
                self.faults.kill();
                Err(files_error())
            }
        }
    }
    fn attributes(&self, path: &SitePath) -> Result<Attributes, SiteFilesError> {
        self.inner.attributes(path)
    }
    async fn clone_all(&self, clones: Vec<CloneOf>) -> Vec<Result<(), SiteFilesError>> {
        let count = clones.len();
        let made = async { Ok(self.inner.clone_all(clones).await) };
        let result = self.faults.call("SiteFiles::clone_all", files_error, made).await;
        result.unwrap_or_else(|_| (0..count).map(|_| Err(files_error())).collect())
    }
}

#[async_trait]
impl Registry for Faulty<dyn Registry> {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        let error = || RegistryError::Failed { key: key.clone(), action: "export", source: injected() };
        self.faults.call("Registry::export", error, self.inner.export(key)).await
    }
    async fn import(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<(), RegistryError> {
        let error = || RegistryError::Failed { key: key.clone(), action: "import", source: injected() };
        self.faults.call("Registry::import", error, self.inner.import(key, export, mode)).await
    }

    async fn preview(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<Vec<String>, RegistryError> {
        let error = || RegistryError::Failed { key: key.clone(), action: "preview", source: injected() };
        self.faults.call("Registry::preview", error, self.inner.preview(key, export, mode)).await
    }

    async fn loses(&self, key: &RegistryKey, export: &[u8]) -> Result<Option<String>, RegistryError> {
        let error = || RegistryError::Failed { key: key.clone(), action: "judge", source: injected() };
        self.faults.call("Registry::loses", error, self.inner.loses(key, export)).await
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        let error = || RegistryError::Failed { key: key.clone(), action: "verify", source: injected() };
        self.faults.call("Registry::verify", error, self.inner.verify(key, export)).await
    }
}

#[async_trait]
impl ServiceControl for Faulty<dyn ServiceControl> {
    async fn state(&self, name: &str) -> Result<ServiceState, ServiceError> {
        let error = || ServiceError::Failed { name: name.to_owned(), action: "query", source: injected() };
        self.faults.call("ServiceControl::state", error, self.inner.state(name)).await
    }
    async fn ready(&self, name: &str) -> Result<(), ServiceError> {
        let error = || ServiceError::Failed { name: name.to_owned(), action: "stop", source: injected() };
        self.faults.call("ServiceControl::ready", error, self.inner.ready(name)).await
    }
    async fn dependents(&self, name: &str) -> Result<Vec<String>, ServiceError> {
        let error = || ServiceError::Failed { name: name.to_owned(), action: "query", source: injected() };
        self.faults.call("ServiceControl::dependents", error, self.inner.dependents(name)).await
    }
    async fn stop(&self, name: &str) -> Result<(), ServiceError> {
        let error = || ServiceError::Failed { name: name.to_owned(), action: "stop", source: injected() };
        self.faults.call("ServiceControl::stop", error, self.inner.stop(name)).await
    }
    async fn start(&self, name: &str) -> Result<(), ServiceError> {
        let error = || ServiceError::Failed { name: name.to_owned(), action: "start", source: injected() };
        self.faults.call("ServiceControl::start", error, self.inner.start(name)).await
    }
}

#[async_trait]
impl SiteDatabase for Faulty<dyn SiteDatabase> {
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        self.faults.call("SiteDatabase::inspect", database_error, self.inner.inspect()).await
    }
    async fn prepare(&self, folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        let inner = self.faults.call("SiteDatabase::prepare", database_error, self.inner.prepare(folder)).await?;
        Ok(Box::new(FaultyCopy { faults: self.faults.clone(), inner }))
    }
    async fn survey(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError> {
        self.faults.call("SiteDatabase::survey", database_error, self.inner.survey(from, target)).await
    }
    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError> {
        self.faults.call("SiteDatabase::restore", database_error, self.inner.restore(from, target)).await
    }
    async fn discard(&self, target: &DatabaseTarget) -> Result<(), DatabaseError> {
        self.faults.call("SiteDatabase::discard", database_error, self.inner.discard(target)).await
    }
    fn logs(&self, target: &SitePath) -> Vec<SitePath> {
        self.inner.logs(target)
    }
    async fn judge(&self, copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        self.faults.call("SiteDatabase::judge", database_error, self.inner.judge(copy)).await
    }
    async fn verify(&self, target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        self.faults.call("SiteDatabase::verify", database_error, self.inner.verify(target)).await
    }
}

#[derive(Debug)]
struct FaultyCopy {
    faults: Faults,
    inner: Box<dyn DatabaseCopy>,
}

#[async_trait]
impl DatabaseCopy for FaultyCopy {
    async fn pin(&mut self) -> Result<(), DatabaseError> {
        self.faults.call("DatabaseCopy::pin", database_error, self.inner.pin()).await
    }
    async fn finish(self: Box<Self>) -> Result<DatabaseDump, DatabaseError> {
        self.faults.call("DatabaseCopy::finish", database_error, self.inner.finish()).await
    }
}

#[async_trait]
impl Commands for Faulty<dyn Commands> {
    async fn run(&self, command: &CommandLine) -> Result<CommandOutcome, CommandError> {
        let error = || CommandError::Start { command: command.text.clone(), source: injected() };
        self.faults.call("Commands::run", error, self.inner.run(command)).await
    }
    async fn after_backup(&self, context: &AfterBackupContext) -> Result<Option<CommandOutcome>, CommandError> {
        let error = || CommandError::Start { command: "AfterBackup".to_owned(), source: injected() };
        self.faults.call("Commands::after_backup", error, self.inner.after_backup(context)).await
    }
}

#[async_trait]
impl RecoveryTarget for Faulty<dyn RecoveryTarget> {
    async fn survey(&self, items: &[RestoreItem]) -> Vec<Result<Standing, RecoveryError>> {
        let survey = async { Ok(self.inner.survey(items).await) };
        let result = self.faults.call("RecoveryTarget::survey", recovery_error, survey).await;
        result.unwrap_or_else(|_| items.iter().map(|_| Err(recovery_error())).collect())
    }
    async fn restore(
        &self,
        items: Vec<RestoreItem>,
        from: Arc<dyn SnapshotFiles>,
    ) -> Vec<Result<Restored, RecoveryError>> {
        let count = items.len();
        let restore = async { Ok(self.inner.restore(items, from).await) };
        let result = self.faults.call("RecoveryTarget::restore", recovery_error, restore).await;
        result.unwrap_or_else(|_| (0..count).map(|_| Err(recovery_error())).collect())
    }
    async fn settle(&self, folders: Vec<RestoreItem>) -> Vec<Result<(), RecoveryError>> {
        let count = folders.len();
        let settle = async { Ok(self.inner.settle(folders).await) };
        let result = self.faults.call("RecoveryTarget::settle", recovery_error, settle).await;
        result.unwrap_or_else(|_| (0..count).map(|_| Err(recovery_error())).collect())
    }
    async fn scratch(&self, parent: Option<&SitePath>) -> Result<SitePath, RecoveryError> {
        self.faults.call("RecoveryTarget::scratch", recovery_error, self.inner.scratch(parent)).await
    }
    async fn discard(&self, scratch: &SitePath) -> Result<(), RecoveryError> {
        self.faults.call("RecoveryTarget::discard", recovery_error, self.inner.discard(scratch)).await
    }
}

fn journal_error() -> JournalError {
    JournalError::Failed { action: "use", source: injected() }
}

#[async_trait]
impl RunJournal for Faulty<dyn RunJournal> {
    async fn lock(&self) -> Result<Box<dyn JournalLock>, JournalError> {
        self.faults.call("RunJournal::lock", journal_error, self.inner.lock()).await
    }
    async fn append(&self, record: &JournalRecord) -> Result<(), JournalError> {
        self.faults.call("RunJournal::append", journal_error, self.inner.append(record)).await
    }
    async fn read(&self) -> Result<Vec<JournalRecord>, JournalError> {
        self.faults.call("RunJournal::read", journal_error, self.inner.read()).await
    }
}

#[async_trait]
impl StatusLog for Faulty<dyn StatusLog> {
    async fn append(&self, message: &StatusMessage) -> Result<(), StatusLogError> {
        let error = || StatusLogError { action: "append to", source: injected() };
        self.faults.call("StatusLog::append", error, self.inner.append(message)).await
    }
    async fn read(&self) -> Result<Vec<StatusMessage>, StatusLogError> {
        let error = || StatusLogError { action: "read", source: injected() };
        self.faults.call("StatusLog::read", error, self.inner.read()).await
    }
}
