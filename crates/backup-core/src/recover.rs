//! Recovery: files, registry and database of a snapshot, to where they were or to another place.
//!
//! Nothing is written before everything is judged. What a manifest says is data: places that lead out of a target are refused by the
//! types and, on the way, by the target.

mod judge;
mod record;
mod registry;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::cancel::Cancel;
use crate::copy::chain;
use crate::event::{Event, EventSink, Phase, Progress};
use crate::manifest::{FileRecord, Manifest, Origin, Part, RecordKind, from_hex};
use crate::path::{PathError, RelPath, SitePath};
use crate::plan::place_of;
use crate::ports::Ports;
use crate::ports::clock::Clock;
use crate::ports::database::SiteDatabase;
use crate::ports::destination::{Destination, SnapshotFiles};
use crate::ports::journal::RunJournal;
use crate::ports::recovery_target::{RecoveryTarget, RestoreItem, Restored};
use crate::ports::registry::{ImportMode, Registry, RegistryKey};
use crate::ports::services::ServiceControl;
use crate::report::{Cause, Finding, Gravity, RecoveryPreview, RecoveryReport, has_errors};
use crate::verify::{SnapshotError, read_snapshot};

use record::Guard;
pub(crate) use record::HALF_RECOVERED_HINT;
pub use record::{AbandonError, abandon_recoveries, half_recovered};

/// Entries put back by one call, so that progress is told and memory bounded.
const BATCH: usize = 512;

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
    let mut recovery = Recovery { ports, request, files, report: RecoveryReport::default() };
    recovery.judge_request(&manifest);
    let mut work = recovery.plan(&manifest, &records);
    recovery.judge(&work).await;
    let in_place = std::mem::take(&mut work.in_place);
    if !has_errors(&recovery.report.findings) && recovery.record_begin(&guard, manifest.run, &in_place).await {
        recovery.put_back(work).await;
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
    let mut recovery = Recovery { ports, request, files, report: RecoveryReport::default() };
    recovery.judge_request(&manifest);
    let work = recovery.plan(&manifest, &records);
    recovery.judge(&work).await;
    let registry = recovery.preview_registry(&work.registry).await;
    let entries = (work.items().count() + work.registry.len()) as u64;
    let bytes = work.items().map(|item| item.record.size).sum();
    let RecoveryReport { places, findings, .. } = recovery.report;
    Ok(RecoveryPreview { entries, bytes, places, registry, findings })
}

/// What is to be done, all of it known before anything is written.
#[derive(Debug, Default)]
struct Work {
    folders: Vec<RestoreItem>,
    files: Vec<RestoreItem>,
    links: Vec<RestoreItem>,
    database: Option<(RestoreItem, SitePath)>,
    registry: Vec<(RegistryKey, FileRecord)>,
    /// Those of the report's places that are the site's own: while they change nothing else may write there, and no run back them up.
    in_place: Vec<String>,
}

impl Work {
    fn items(&self) -> impl Iterator<Item = &RestoreItem> {
        let database = self.database.iter().map(|(item, _)| item);
        self.folders.iter().chain(&self.files).chain(&self.links).chain(database)
    }
}

#[derive(Debug)]
struct Recovery<'a> {
    ports: &'a RecoveryPorts,
    request: &'a RecoverRequest,
    files: Arc<dyn SnapshotFiles>,
    report: RecoveryReport,
}

/// A part's place in the snapshot, and the folder on this machine that its entries must not leave.
#[derive(Debug)]
struct Ground {
    place: RelPath,
    root: SitePath,
    /// Where the part lies below it.
    below: RelPath,
}

impl Ground {
    fn path(&self, record: &RelPath) -> Option<RelPath> {
        Some(self.below.join(&record.strip_prefix(&self.place)?))
    }
}

impl Recovery<'_> {
    fn error(&mut self, cause: Cause, message: impl Into<String>, hint: &str) {
        self.report.findings.push(Finding::error(cause, message).hint(hint));
    }

    fn wants(&self, part: Part) -> bool {
        self.request.parts.is_empty() || self.request.parts.contains(&part)
    }

    /// Where `original` goes on this machine: the folder that the person named, which is trusted, and the way below it, which is not.
    fn destination_of(&self, original: &SitePath) -> Result<(SitePath, RelPath), PathError> {
        match (self.request.by_map(original), self.elsewhere()) {
            (Some(mapped), _) => Ok(mapped),
            (None, Some(to)) => Ok((to.clone(), place_of(original)?)),
            (None, None) => Ok((original.clone(), RelPath::root())),
        }
    }

    /// The other place to recover to; the root of the machine is no other place.
    fn elsewhere(&self) -> Option<&SitePath> {
        self.request.to.as_ref().filter(|to| !to.is_root())
    }

    /// Whether what is put there is put on the site: where a part of it was, or where the configuration has it now.
    fn is_the_sites(&self, path: &SitePath, manifest: &Manifest) -> bool {
        let originals = manifest.origins.iter().filter_map(original);
        // A whole drive is nobody's own.
        let configured = self.request.site.iter().filter(|own| !own.is_root()).cloned();
        let stores = self.request.stores.iter().map(|(_, store)| store.clone());
        originals.chain(stores).chain(configured).any(|own| path.starts_with(&own) || own.starts_with(path))
    }

    fn plan(&mut self, manifest: &Manifest, records: &[FileRecord]) -> Work {
        let mut work = Work::default();
        let by_path: HashMap<&RelPath, &FileRecord> = records.iter().map(|record| (&record.path, record)).collect();
        let mut grounds = Vec::new();
        for origin in &manifest.origins {
            match origin.part {
                part if !self.wants(part) => {}
                Part::Registry => self.plan_registry(origin, &by_path, &mut work, manifest),
                Part::Files | Part::Database => {
                    let Some((root, below)) = self.local_path(origin) else { continue };
                    let path = root.join(&below);
                    let Some(record) = by_path.get(&origin.place) else {
                        let message = format!("`{}` is not in the snapshot's list", origin.place);
                        self.error(Cause::Snapshot, message, "verify the snapshot, or choose another one");
                        continue;
                    };
                    let place = format!("{} -> {path}", origin.original);
                    work.in_place.extend(self.is_the_sites(&path, manifest).then(|| place.clone()));
                    self.report.places.push(place);
                    self.plan_ground(origin, (root, below), record, &mut grounds, &mut work, manifest);
                }
            }
        }
        self.plan_files(records, &by_path, &grounds, &mut work);
        work
    }

    fn local_path(&mut self, origin: &Origin) -> Option<(SitePath, RelPath)> {
        let path = SitePath::parse(original_bytes(origin)).and_then(|original| self.destination_of(&original));
        match path {
            Ok((root, below)) if root.is_windows() == self.request.on_windows => Some((root, below)),
            Ok((path, _)) => {
                let message = format!("`{path}` is not a path of this machine");
                self.error(Cause::Recovery, message, "say where it goes: --to FOLDER, or --map ORIGINAL=HERE");
                None
            }
            Err(error) => {
                self.error(
                    Cause::Recovery,
                    chain(&error),
                    "the manifest names a place that cannot be: use another snapshot",
                );
                None
            }
        }
    }

    fn plan_ground(
        &mut self,
        origin: &Origin,
        (root, below): (SitePath, RelPath),
        record: &FileRecord,
        grounds: &mut Vec<Ground>,
        work: &mut Work,
        manifest: &Manifest,
    ) {
        if record.kind == RecordKind::Directory {
            grounds.push(Ground { place: origin.place.clone(), root, below });
            return;
        }
        // A single file that is named itself lies in its folder.
        let name = root.name().and_then(|name| RelPath::root().try_join(name).ok());
        let (root, below) = match (below.is_root(), root.parent(), name) {
            (false, ..) => (root, below),
            (true, Some(folder), Some(name)) => (folder, name),
            _ => {
                self.error(Cause::Recovery, format!("`{root}` is no place for a file"), "map it to another place");
                return;
            }
        };
        if origin.part == Part::Files {
            grounds.push(Ground { place: origin.place.clone(), root, below });
            return;
        }
        let path = root.join(&below);
        let mut record = record.clone();
        record.modified.0 = manifest.moment.as_second();
        work.database = Some((RestoreItem { root, path: below, record, link_to: None }, path));
    }

    fn plan_registry(
        &mut self,
        origin: &Origin,
        by_path: &HashMap<&RelPath, &FileRecord>,
        work: &mut Work,
        manifest: &Manifest,
    ) {
        match (self.elsewhere().cloned(), by_path.get(&origin.place)) {
            (_, None) => {
                let message = format!("`{}` is not in the snapshot's list", origin.place);
                self.error(Cause::Snapshot, message, "verify the snapshot, or choose another one");
            }
            // In another place there is no registry to import into: the export itself is put there.
            (Some(to), Some(record)) => {
                let path = RelPath::parse("registry").expect("a plain name").join(&file_name(&origin.place));
                self.report.places.push(format!("{} -> {}", origin.original, to.join(&path)));
                let record = (*record).clone();
                work.files.push(RestoreItem { root: to, path, record, link_to: None });
            }
            (None, Some(record)) => {
                let key = RegistryKey::new(&origin.original);
                let store = self.request.store_of(&key);
                let holder = store.as_ref().map_or_else(|| "registry".to_owned(), ToString::to_string);
                let place = format!("{} -> {holder}", origin.original);
                let is_the_sites = store.is_none_or(|store| self.is_the_sites(&store, manifest));
                work.in_place.extend(is_the_sites.then(|| place.clone()));
                self.report.places.push(place);
                work.registry.push((key, (*record).clone()));
            }
        }
    }

    fn plan_files(
        &mut self,
        records: &[FileRecord],
        by_path: &HashMap<&RelPath, &FileRecord>,
        grounds: &[Ground],
        work: &mut Work,
    ) {
        for record in records {
            let found = grounds.iter().find_map(|ground| Some((ground, ground.path(&record.path)?)));
            let Some((ground, path)) = found else { continue };
            let mut item = RestoreItem { root: ground.root.clone(), path, record: record.clone(), link_to: None };
            match record.kind {
                RecordKind::Directory => work.folders.push(item),
                RecordKind::Symlink => work.links.push(item),
                RecordKind::HardLink => {
                    let first = record.first.as_ref().and_then(|first| by_path.get(first));
                    let Some(first) = first.filter(|first| first.kind == RecordKind::File) else {
                        let message = format!("`{}` is a further name of a file that is not listed", record.path);
                        self.error(Cause::Snapshot, message, "verify the snapshot, or choose another one");
                        continue;
                    };
                    item.link_to = ground.path(&first.path);
                    if item.link_to.is_some() {
                        work.links.push(item);
                    } else {
                        // The first name goes elsewhere: this one becomes a file of its own.
                        item.record = FileRecord { path: record.path.clone(), ..(*first).clone() };
                        work.files.push(item);
                    }
                }
                _ => work.files.push(item),
            }
        }
    }

    async fn put_back(&mut self, work: Work) {
        let total = work.items().count() as u64;
        let total_bytes = work.items().map(|item| item.record.size).sum();
        let mut progress = Progress { total_files: total, total_bytes, ..Progress::default() };
        let folders = work.folders.clone();
        // Links come last: nothing is ever written through one.
        for (number, items) in [work.folders, work.files, work.links].into_iter().enumerate() {
            if number == 2
                && let Some((item, path)) = &work.database
            {
                self.restore_database(item, path).await;
            }
            for batch in items.chunks(BATCH) {
                if self.request.cancel.is_cancelled() {
                    self.error(Cause::Interrupted, "interrupted", "repeat the recovery: it goes on where it stopped");
                    return;
                }
                self.restore_batch(batch).await;
                progress.files += batch.len() as u64;
                progress.bytes += batch.iter().map(|item| item.record.size).sum::<u64>();
                self.ports.events.event(&Event::Progress(progress));
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
    }

    async fn restore_batch(&mut self, batch: &[RestoreItem]) {
        for restored in self.ports.target.restore(batch.to_vec(), Arc::clone(&self.files)).await {
            match restored {
                Ok(Restored::Written(bytes)) => {
                    self.report.written += 1;
                    self.report.bytes += bytes;
                }
                Ok(Restored::Already) => self.report.already += 1,
                Err(error) => self.error(Cause::Recovery, chain(&error), "repeat the recovery once the reason is gone"),
            }
        }
    }

    async fn restore_database(&mut self, item: &RestoreItem, path: &SitePath) {
        let Some(database) = &self.ports.database else { return };
        match database.restore(Arc::clone(&self.files), &item.record, path).await {
            Ok(()) => {
                self.report.written += 1;
                self.report.bytes += item.record.size;
            }
            Err(error) => self.error(Cause::Database, chain(&error), "repeat the recovery once the reason is gone"),
        }
    }
}

fn original_bytes(origin: &Origin) -> Vec<u8> {
    let bytes = origin.original_hex.as_deref().and_then(from_hex);
    bytes.unwrap_or_else(|| origin.original.clone().into_bytes())
}

/// Where a part of files or the database was.
fn original(origin: &Origin) -> Option<SitePath> {
    SitePath::parse(original_bytes(origin)).ok().filter(|_| origin.part != Part::Registry)
}

fn file_name(place: &RelPath) -> RelPath {
    place.name().and_then(|name| RelPath::root().try_join(name).ok()).unwrap_or_default()
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
