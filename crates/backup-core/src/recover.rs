//! Recovery: files, registry and database of a snapshot, to where they were or to another place.
//!
//! Nothing is written before everything is judged. What a manifest says is data: places that lead out of a target are refused by the
//! types and, on the way, by the target.

mod batches;
mod database;
mod judge;
mod plan;
mod record;
mod registry;
mod writers;

use std::sync::Arc;

use serde::Serialize;

use crate::cancel::Cancel;
use crate::copy::chain;
use crate::event::{Event, EventSink, Phase, Progress};
use crate::manifest::{FileRecord, Manifest, Part};
use crate::path::{RelPath, SitePath};
use crate::ports::Ports;
use crate::ports::clock::Clock;
use crate::ports::database::SiteDatabase;
use crate::ports::destination::{Destination, SnapshotFiles};
use crate::ports::journal::RunJournal;
use crate::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored};
use crate::ports::registry::{ImportMode, Registry, RegistryKey};
use crate::ports::restores::{RestoreStatus, RestoreWriter, Restores};
use crate::ports::services::ServiceControl;
use crate::report::{Cause, Finding, Gravity, RecoveryPreview, RecoveryReport, has_errors};
use crate::snapshot::RunId;
use crate::verify::{SnapshotError, read_snapshot};

pub use batches::Batches;
use database::DatabaseWork;
pub(crate) use database::database_source;
pub use judge::refused_by_windows;
use record::Guard;
pub(crate) use record::HALF_RECOVERED_HINT;
pub use record::{AbandonError, abandon_recoveries, half_recovered};

/// What a recovery needs of the world; a bare machine has only the target and a folder.
#[derive(Debug, Clone)]
pub struct RecoveryPorts {
    /// Where files go.
    pub target: Arc<dyn RecoveryTarget>,
    /// Puts the database back.
    pub database: Option<Arc<dyn SiteDatabase>>,
    /// Takes registry keys.
    pub registry: Option<Arc<dyn Registry>>,
    /// Services that must not run while their site is put back.
    pub services: Option<(Arc<dyn ServiceControl>, Vec<String>)>,
    /// Held while a configured site is recovered, so that no run replaces the snapshot; what is put back in place is recorded in it, so
    /// that no later run takes a half-recovered site for a good one.
    pub journal: Option<Arc<dyn RunJournal>>,
    /// Held meanwhile, so that no other configuration's run removes the snapshot, and told of what is put back in place, for such a run
    /// sees no journal but its own.
    pub destination: Option<Arc<dyn Destination>>,
    /// Tells `restore_writers` of a recovery in place; nobody is told where there is none.
    pub restores: Option<Arc<dyn Restores>>,
    /// Applications whose data is put back with the site's: they get out of the way before anything is written, and hear how it ended.
    pub restore_writers: Vec<Arc<dyn RestoreWriter>>,
    /// Dates the records.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub events: Arc<dyn EventSink>,
}

impl RecoveryPorts {
    /// The ports of a configured site; `services` are those that write to it.
    pub fn of(ports: &Ports, services: Vec<String>) -> Self {
        Self {
            target: Arc::clone(&ports.recovery_target),
            database: ports.database.clone(),
            registry: Some(Arc::clone(&ports.registry)),
            services: Some((Arc::clone(&ports.services), services)),
            journal: Some(Arc::clone(&ports.journal)),
            destination: Some(Arc::clone(&ports.destination)),
            restores: None,
            restore_writers: Vec::new(),
            clock: Arc::clone(&ports.clock),
            events: Arc::clone(&ports.events),
        }
    }
}

/// What is to be recovered, and where to.
#[derive(Debug, Clone, Default)]
pub struct RecoverRequest {
    /// The parts; all when empty.
    pub parts: Vec<Part>,
    /// Below this folder instead of to the original places; the registry is then kept as files.
    pub to: Option<SitePath>,
    /// Original roots and the places that they go to.
    pub map: Vec<(SitePath, SitePath)>,
    /// What holds the site's registry keys by its configuration, before any map: a map may name these places too, and `ports` have to
    /// heed it by [`mapped`](Self::mapped). The longest key that leads to one counts; a key without any is the live registry's.
    pub stores: Vec<(RegistryKey, SitePath)>,
    /// What the configuration of this machine says is the site's, beside what the snapshot says. What lies at or below such a place, or
    /// holds it, is recovered in place, whatever `to` and `map` say. Names are compared, links are not followed.
    pub site: Vec<SitePath>,
    /// Whether files that were changed after the snapshot are overwritten.
    pub overwrite_newer: bool,
    /// Where a server's database is by the configuration, without a secret; for the report and the journal.
    pub database: Option<String>,
    /// Whether a server's database that holds something gives way.
    pub replace_database: bool,
    /// What becomes of registry keys and values that the snapshot does not hold.
    pub registry: ImportMode,
    /// Whether names are judged by the rules of Windows.
    pub on_windows: bool,
    /// Stops the recovery between entries; it can be repeated.
    pub cancel: Cancel,
}

impl RecoverRequest {
    /// Where the map puts `original`, or where it was.
    pub fn mapped(&self, original: &SitePath) -> SitePath {
        let (root, below) = self.by_map(original).unwrap_or_else(|| (original.clone(), RelPath::root()));
        root.join(&below)
    }

    fn by_map(&self, original: &SitePath) -> Option<(SitePath, RelPath)> {
        self.map.iter().find_map(|(from, to)| Some((to.clone(), original.strip_prefix(from)?)))
    }

    /// What holds a registry key once the map is heeded.
    fn store_of(&self, key: &RegistryKey) -> Option<SitePath> {
        let stores = self.stores.iter().filter(|(root, _)| key.starts_with(root));
        let (_, store) = stores.max_by_key(|(root, _)| root.as_str().len())?;
        Some(self.mapped(store))
    }
}

/// Recovers a snapshot. Repeating it after an interruption finishes it; until then no backup of the site is made.
///
/// Findings that are errors and stand beside nothing written mean that nothing was touched.
///
/// # Errors
/// [`SnapshotError`] when the manifest or the list cannot be read.
pub async fn recover(
    ports: &RecoveryPorts,
    files: Arc<dyn SnapshotFiles>,
    request: &RecoverRequest,
) -> Result<RecoveryReport, SnapshotError> {
    ports.events.event(&Event::Phase(Phase::Recovering));
    let guard = match Guard::take(ports).await {
        Ok(guard) => guard,
        Err(refused) => return Ok(RecoveryReport { findings: vec![refused], ..RecoveryReport::default() }),
    };
    let (manifest, records) = read_snapshot(files.as_ref()).await?;
    let mut recovery = Recovery::new(ports, request, files, &manifest);
    recovery.judge_request(&manifest);
    let mut work = recovery.plan(&manifest, &records);
    recovery.judge(&work).await;
    let in_place = std::mem::take(&mut work.in_place);
    if !has_errors(&recovery.report.findings)
        && let Ok(session) = recovery.pre_restore(&in_place).await
    {
        let mut status = RestoreStatus::Nothing;
        if recovery.record_begin(&guard, manifest.run, &in_place).await {
            recovery.put_back(work).await;
            let failed = has_errors(&recovery.report.findings);
            status = if failed { RestoreStatus::Failed } else { RestoreStatus::All };
        }
        recovery.post_restore(session, status).await;
        recovery.record_end(&guard, manifest.run, &in_place).await;
    }
    Ok(recovery.report)
}

/// Tells what [`recover`] would do, and writes nothing.
///
/// What of the files is right already is known only when they are read, which this does not; registry keys are compared.
///
/// # Errors
/// [`SnapshotError`] when the manifest or the list cannot be read.
pub async fn preview_recovery(
    ports: &RecoveryPorts,
    files: Arc<dyn SnapshotFiles>,
    request: &RecoverRequest,
) -> Result<RecoveryPreview, SnapshotError> {
    let (manifest, records) = read_snapshot(files.as_ref()).await?;
    let mut recovery = Recovery::new(ports, request, files, &manifest);
    recovery.judge_request(&manifest);
    let work = recovery.plan(&manifest, &records);
    recovery.judge(&work).await;
    let registry = recovery.preview_registry(&work.registry).await;
    let entries = (work.items().count() + work.registry.len()) as u64;
    let served = work.database.iter().filter(|work| work.file.is_none()).map(DatabaseWork::bytes);
    let bytes = work.items().map(|item| item.record.size).chain(served).sum();
    let RecoveryReport { places, findings, .. } = recovery.report;
    Ok(RecoveryPreview { entries, bytes, places, registry, findings })
}

/// What is to be done, all of it known before anything is written.
#[derive(Debug, Default)]
struct Work {
    folders: Vec<RestoreItem>,
    files: Vec<RestoreItem>,
    links: Vec<RestoreItem>,
    database: Option<DatabaseWork>,
    registry: Vec<(RegistryKey, FileRecord)>,
    /// Those of the report's places that are the site's own: while they change nothing else may write there, and no run back them up.
    in_place: Vec<String>,
}

impl Work {
    fn items(&self) -> impl Iterator<Item = &RestoreItem> {
        let database = self.database.iter().filter_map(|work| work.file.as_ref());
        self.folders.iter().chain(&self.files).chain(&self.links).chain(database)
    }
}

#[derive(Debug)]
struct Recovery<'a> {
    ports: &'a RecoveryPorts,
    request: &'a RecoverRequest,
    files: Arc<dyn SnapshotFiles>,
    snapshot: RunId,
    /// Whether an earlier attempt has put the database back.
    database_done: bool,
    report: RecoveryReport,
}

impl<'a> Recovery<'a> {
    fn new(
        ports: &'a RecoveryPorts,
        request: &'a RecoverRequest,
        files: Arc<dyn SnapshotFiles>,
        manifest: &Manifest,
    ) -> Self {
        let (snapshot, report) = (manifest.run, RecoveryReport::default());
        Self { ports, request, files, snapshot, database_done: false, report }
    }
}

impl Recovery<'_> {
    fn error(&mut self, cause: Cause, message: impl Into<String>, hint: &str) {
        self.report.findings.push(Finding::error(cause, message).hint(hint));
    }

    async fn put_back(&mut self, work: Work) {
        let total = work.items().count() as u64;
        let total_bytes = work.items().map(|item| item.record.size).sum();
        let mut batches = Batches {
            target: &*self.ports.target,
            files: Arc::clone(&self.files),
            cancel: &self.request.cancel,
            events: &*self.ports.events,
            progress: Progress { total_files: total, total_bytes, ..Progress::default() },
        };
        let folders = work.folders.clone();
        // Links come last: nothing is ever written through one.
        for (number, items) in [work.folders, work.files, work.links].into_iter().enumerate() {
            if let Some(database) = work.database.as_ref().filter(|work| number == 2 && work.file.is_some()) {
                self.restore_database(database).await;
            }
            if !batches.restore(items, |restored| self.count(restored)).await {
                self.error(Cause::Interrupted, "interrupted", "repeat the recovery: it goes on where it stopped");
                return;
            }
        }
        for (key, record) in work.registry {
            self.restore_registry(&key, &record).await;
        }
        for settled in self.ports.target.settle(folders).await {
            if let Err(error) = settled {
                self.error(Cause::Recovery, chain(&error), "the folder is there, its metadata is not as it was");
            }
        }
        // A server's comes last: a database that holds what was put back is refused by a second try, which the rest may need.
        if let Some(database) = work.database.as_ref().filter(|work| work.file.is_none() && !self.database_done) {
            self.restore_database(database).await;
        }
    }

    fn count(&mut self, restored: Result<Restored, RecoveryError>) {
        if let Err(error) = self.report.count(restored) {
            self.error(Cause::Recovery, chain(&error), "repeat the recovery once the reason is gone");
        }
    }
}

/// Whether a report means that all was recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryEnd {
    /// All of it.
    Whole,
    /// Nothing was written.
    Refused,
    /// Some of it.
    Partial,
}

impl RecoveryReport {
    /// How the recovery ended.
    pub fn end(&self) -> RecoveryEnd {
        let errors = self.findings.iter().any(|finding| finding.gravity == Gravity::Error);
        match (errors, self.written + self.already) {
            (false, _) => RecoveryEnd::Whole,
            (true, 0) => RecoveryEnd::Refused,
            (true, _) => RecoveryEnd::Partial,
        }
    }
}
