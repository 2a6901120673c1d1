//! Judges what is stored against what the list says: a staging folder, a published snapshot, every byte of one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::copy::chain;
use crate::event::{Event, Phase, Progress};
use crate::manifest::{FileRecord, Manifest, ManifestError, Part, RecordKind};
use crate::path::RelPath;
use crate::ports::Ports;
use crate::ports::database::DatabaseForm;
use crate::ports::destination::{DestinationError, SnapshotFiles};
use crate::ports::registry::{Registry, RegistryKey};
use crate::ports::site_files::{FileKind, WalkEntry};
use crate::report::{Cause, Finding, Gravity, VerifyReport};
use crate::snapshot::RunId;

/// Files hashed by one call, so that progress is told and memory bounded.
const BATCH: usize = 256;

/// Why a snapshot cannot even be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] DestinationError),
    /// Its manifest or its list is not one.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// The manifest and the list of a snapshot, the list with what AfterBackup added.
///
/// # Errors
/// [`SnapshotError`] when either cannot be read, or the list is not the one that the manifest names.
pub async fn read_snapshot(files: &dyn SnapshotFiles) -> Result<(Manifest, Vec<FileRecord>), SnapshotError> {
    let manifest = Manifest::parse(&files.manifest().await?)?;
    let mut records = manifest.parse_list(&files.list().await?)?;
    records.extend(manifest.additions.iter().cloned());
    Ok((manifest, records))
}

/// Whether the record's content lies in the snapshot folder.
fn has_content(kind: RecordKind) -> bool {
    !matches!(kind, RecordKind::Directory | RecordKind::Symlink)
}

/// Compares what a walk found with the records; returns what is missing or altered, and what no record names.
pub(crate) fn compare<'a>(walk: &'a [WalkEntry], records: &[FileRecord]) -> (Vec<String>, Vec<&'a WalkEntry>) {
    let mut found: HashMap<&RelPath, &WalkEntry> = walk.iter().map(|entry| (&entry.path, entry)).collect();
    let mut wrong = Vec::new();
    for record in records.iter().filter(|record| record.kind != RecordKind::Symlink) {
        let kind = if record.kind == RecordKind::Directory { FileKind::Directory } else { FileKind::File };
        match found.remove(&record.path) {
            None => wrong.push(format!("`{}` is missing", record.path)),
            Some(entry) if entry.stat.kind != kind => wrong.push(format!("`{}` is of another kind", record.path)),
            // A further name of a file has the size of the first one.
            Some(entry)
                if has_content(record.kind)
                    && record.kind != RecordKind::HardLink
                    && entry.stat.size != record.size =>
            {
                wrong.push(format!("`{}` has {} bytes instead of {}", record.path, entry.stat.size, record.size));
            }
            Some(_) => {}
        }
    }
    // Folders above what is listed need no line of their own.
    let mut extra: Vec<&WalkEntry> =
        found.into_values().filter(|entry| entry.stat.kind != FileKind::Directory).collect();
    extra.sort_by(|a, b| a.path.cmp(&b.path));
    (wrong, extra)
}

/// Judges a staging folder before it is sealed.
pub(crate) fn judge_staging(walk: &[WalkEntry], records: &[FileRecord]) -> Result<(), String> {
    if let Some(pair) = records.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(format!("`{}` was staged twice", pair[0].path));
    }
    let (mut wrong, extra) = compare(walk, records);
    wrong.extend(extra.iter().map(|entry| format!("`{}` was staged, but is not listed", entry.path)));
    match wrong.first() {
        None => Ok(()),
        Some(first) => Err(format!("the staging folder is not what was written: {first} ({} in all)", wrong.len())),
    }
}

/// What the walk after AfterBackup found.
pub(crate) struct WalkedAgain {
    pub(crate) altered: Vec<String>,
    /// The manifest with additions, and with what was altered as a reason why it is weaker; `None` when nothing changed.
    pub(crate) amended: Option<Manifest>,
}

/// The snapshot's folder before AfterBackup runs, to tell afterwards what it touched.
pub(crate) async fn walk_before(ports: &Ports, run: RunId) -> Result<Vec<WalkEntry>, SnapshotError> {
    Ok(ports.destination.open(run).await?.walk().await?)
}

/// Files that AfterBackup touched and left with other content of the same size.
async fn rewritten(
    files: &dyn SnapshotFiles,
    records: &[FileRecord],
    before: &[WalkEntry],
    after: &[WalkEntry],
) -> Result<Vec<String>, SnapshotError> {
    let known: HashMap<&RelPath, &WalkEntry> = before.iter().map(|entry| (&entry.path, entry)).collect();
    let hashes: HashMap<&RelPath, &FileRecord> = records.iter().map(|record| (&record.path, record)).collect();
    let touched = after.iter().filter(|entry| known.get(&entry.path).is_some_and(|known| known.stat != entry.stat));
    let touched: Vec<RelPath> =
        touched.filter(|entry| entry.stat.kind == FileKind::File).map(|entry| entry.path.clone()).collect();
    let mut rewritten = Vec::new();
    for (path, hashed) in touched.iter().zip(files.hash(touched.clone()).await) {
        let (size, hash) = hashed?;
        let record = hashes.get(path).filter(|record| record.size == size);
        if record.is_some_and(|record| record.hash.is_some_and(|listed| listed != hash)) {
            rewritten.push(format!("`{path}` does not have the hash in the list"));
        }
    }
    Ok(rewritten)
}

pub(crate) async fn walk_again(ports: &Ports, run: RunId, before: &[WalkEntry]) -> Result<WalkedAgain, SnapshotError> {
    let files = ports.destination.open(run).await?;
    let (manifest, records) = read_snapshot(files.as_ref()).await?;
    let walk = files.walk().await?;
    let (mut altered, extra) = compare(&walk, &records);
    altered.extend(rewritten(files.as_ref(), &records, before, &walk).await?);
    if extra.is_empty() && altered.is_empty() {
        return Ok(WalkedAgain { altered, amended: None });
    }
    let mut amended = manifest;
    amended.weaker.extend(altered.iter().cloned());
    let paths: Vec<RelPath> = extra.iter().map(|entry| entry.path.clone()).collect();
    for (entry, hashed) in extra.iter().zip(files.hash(paths).await) {
        let (size, hash) = hashed?;
        let mut record = FileRecord::new(RecordKind::Made, entry.path.clone());
        record.size = size;
        record.hash = Some(hash);
        record.modified = entry.stat.modified;
        amended.additions.push(record);
    }
    Ok(WalkedAgain { altered, amended: Some(amended) })
}

/// Verifies a snapshot: its list, every entry's presence and size, and with `read_data` every byte's hash and every registry export.
///
/// # Errors
/// [`SnapshotError`] when there is nothing to verify against. Faults of the content are findings of the report.
pub async fn verify(
    ports: &Ports,
    files: Arc<dyn SnapshotFiles>,
    registry: Option<&dyn Registry>,
    read_data: bool,
) -> Result<VerifyReport, SnapshotError> {
    ports.events.event(&Event::Phase(Phase::Verifying));
    let (manifest, records) = read_snapshot(files.as_ref()).await?;
    let (wrong, extra) = {
        let walk = files.walk().await?;
        let (wrong, extra) = compare(&walk, &records);
        (wrong, extra.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>())
    };
    let mut report = VerifyReport { run: manifest.run, entries: records.len() as u64, bytes: 0, findings: Vec::new() };
    report.findings.extend(database_elsewhere(&manifest));
    report.findings.extend(wrong.into_iter().map(|message| Finding::error(Cause::Snapshot, message)));
    for path in extra {
        let message = format!("`{path}` is in the folder, but not in the list");
        report.findings.push(Finding::new(Gravity::Warning, Cause::Snapshot, message));
    }
    if read_data {
        hash_all(ports, files.as_ref(), &records, &mut report).await;
        if let Some(registry) = registry {
            report.findings.extend(judge_registry(files.as_ref(), &manifest, registry).await);
        }
    }
    Ok(report)
}

/// A database that a snapshot only tells of: nothing here can say whether it is whole.
fn database_elsewhere(manifest: &Manifest) -> Option<Finding> {
    let part = manifest.database.as_ref()?;
    let where_it_is = match (part.form, part.fact("backup-stays-at")) {
        (DatabaseForm::External, _) => format!("others back it up, at {}", part.fact("backup-places")),
        (_, "unknown") => return None,
        (_, place) => format!("its backup stays on the server, at {place}"),
    };
    let message = format!("database {} is not in the snapshot, and is not verified: {where_it_is}", part.name);
    Some(Finding::new(Gravity::Note, Cause::Database, message))
}

async fn hash_all(ports: &Ports, files: &dyn SnapshotFiles, records: &[FileRecord], report: &mut VerifyReport) {
    let with_hash: Vec<&FileRecord> = records.iter().filter(|record| record.hash.is_some()).collect();
    let total_bytes = with_hash.iter().map(|record| record.size).sum();
    let mut progress = Progress { total_files: with_hash.len() as u64, total_bytes, ..Progress::default() };
    for batch in with_hash.chunks(BATCH) {
        let hashes = files.hash(batch.iter().map(|record| record.path.clone()).collect()).await;
        for (record, hashed) in batch.iter().zip(hashes) {
            match hashed {
                Ok((size, hash)) => {
                    report.bytes += size;
                    if Some(hash) != record.hash {
                        let message = format!("`{}` does not have the hash in the list", record.path);
                        report.findings.push(Finding::error(Cause::Snapshot, message));
                    }
                }
                Err(error) => report.findings.push(Finding::error(Cause::Snapshot, chain(&error))),
            }
        }
        progress.files += batch.len() as u64;
        progress.bytes = report.bytes;
        ports.events.event(&Event::Progress(progress));
    }
}

/// Judges every registry export of a snapshot.
pub(crate) async fn judge_registry(
    files: &dyn SnapshotFiles,
    manifest: &Manifest,
    registry: &dyn Registry,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for origin in manifest.origins.iter().filter(|origin| origin.part == Part::Registry) {
        let key = RegistryKey::new(&origin.original);
        let verdict = match read_small(files, &origin.place) {
            Ok(export) => registry.verify(&key, &export).await.map_err(|error| chain(&error)),
            Err(error) => Err(chain(&error)),
        };
        findings.extend(verdict.err().map(|message| Finding::error(Cause::Registry, message)));
    }
    findings
}

/// Reads a file of a snapshot whole; for registry exports and documents.
pub(crate) fn read_small(files: &dyn SnapshotFiles, path: &RelPath) -> Result<Vec<u8>, DestinationError> {
    let failed = |error: crate::ports::site_files::SiteFilesError| DestinationError::Damaged {
        path: crate::path::SitePath::parse("/").expect("the root is absolute").join(path),
        reason: chain(&error),
    };
    let open = files.open(path)?;
    let size = open.stat().map_err(failed)?.size;
    let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(1 << 30)];
    let read = open.read_at(0, &mut content).map_err(failed)?;
    content.truncate(read);
    Ok(content)
}
