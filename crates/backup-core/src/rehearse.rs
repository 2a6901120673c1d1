//! Rehearsal: a recovery into a scratch place, judged by the database's own check and by the admin's probes, and thrown away.

use std::sync::Arc;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::copy::chain;
use crate::manifest::{FileRecord, Manifest, Origin, Part};
use crate::path::SitePath;
use crate::patience::unless_cancelled;
use crate::ports::Ports;
use crate::ports::commands::{CommandEnd, CommandLine, Commands};
use crate::ports::database::{DatabaseForm, DatabaseSource, DatabaseTarget, SiteDatabase};
use crate::ports::destination::SnapshotFiles;
use crate::ports::recovery_target::RecoveryError;
use crate::recover::{RecoverRequest, RecoveryPorts, database_source, recover};
use crate::report::{Cause, Finding, Gravity, RecoveryReport, RehearsalReport};
use crate::verify::{SnapshotError, judge_registry, read_snapshot};

/// What is rehearsed, and how it is judged.
#[derive(Debug, Clone, Default)]
pub struct RehearseRequest {
    /// The recovery; its place is the scratch folder, whatever it says.
    pub recover: RecoverRequest,
    /// The folder in which the scratch folder is made.
    pub scratch: Option<SitePath>,
    /// Commands that must exit with 0; `SITEBACKUP_REHEARSAL` names the scratch folder.
    pub probes: Vec<String>,
    /// The longest that a probe may take.
    pub limit: Duration,
}

/// What a rehearsal needs of the world.
#[derive(Debug, Clone)]
pub struct RehearsalPorts {
    /// Those of the recovery; services and applications are not asked, for nothing of the site is touched.
    pub recovery: RecoveryPorts,
    /// Runs the probes.
    pub commands: Arc<dyn Commands>,
}

impl RehearsalPorts {
    /// The ports of a configured site.
    pub fn of(ports: &Ports) -> Self {
        Self { recovery: RecoveryPorts::of(ports, Vec::new()), commands: Arc::clone(&ports.commands) }
    }
}

/// Why there was no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// No scratch folder could be made, or it could not be removed.
    #[error(transparent)]
    Scratch(#[from] RecoveryError),
}

/// Recovers into a new scratch folder, checks hashes, database and registry exports, runs the probes, and removes the folder.
///
/// # Errors
/// [`RehearseError`]; faults of the snapshot are findings of the report.
pub async fn rehearse(
    ports: &RehearsalPorts,
    files: Arc<dyn SnapshotFiles>,
    request: &RehearseRequest,
) -> Result<RehearsalReport, RehearseError> {
    let target = &ports.recovery.target;
    let scratch = target.scratch(request.scratch.as_ref()).await?;
    let result = in_scratch(ports, files, request, &scratch).await;
    let discarded = target.discard(&scratch).await;
    let report = result?;
    discarded?;
    Ok(report)
}

async fn in_scratch(
    ports: &RehearsalPorts,
    files: Arc<dyn SnapshotFiles>,
    request: &RehearseRequest,
    scratch: &SitePath,
) -> Result<RehearsalReport, SnapshotError> {
    let ports_of_site = &ports.recovery;
    let clock = &ports_of_site.clock;
    let began = clock.now();
    let recovery_ports =
        RecoveryPorts { services: None, restores: None, restore_writers: Vec::new(), ..ports_of_site.clone() };
    let place =
        RecoverRequest { to: Some(scratch.clone()), on_windows: scratch.is_windows(), ..request.recover.clone() };
    let recover_request = RecoverRequest { map: Vec::new(), ..place };
    let recovery = recover(&recovery_ports, Arc::clone(&files), &recover_request).await?;
    let snapshot = read_snapshot(files.as_ref()).await?;
    let mut findings = recovery.findings.clone();
    if request.recover.cancel.is_cancelled() {
        let took = clock.now().duration_since(began).unsigned_abs();
        return Ok(RehearsalReport { run: snapshot.0.run, recovery, took, findings });
    }
    findings.extend(match &ports_of_site.registry {
        Some(registry) => judge_registry(files.as_ref(), &snapshot.0, registry.as_ref()).await,
        None => unjudged_registry(&snapshot.0),
    });
    findings.extend(judge_database(ports_of_site, &files, &recovery, &snapshot, &request.recover.cancel).await);
    let took = clock.now().duration_since(began).unsigned_abs();
    findings.extend(probe(ports, request, scratch).await);
    Ok(RehearsalReport { run: snapshot.0.run, recovery, took, findings })
}

fn unjudged_registry(manifest: &Manifest) -> Vec<Finding> {
    let keys = manifest.origins.iter().filter(|origin| origin.part == Part::Registry);
    let unseen =
        |origin: &Origin| format!("registry key {} was not rehearsed: no registry is configured", origin.original);
    keys.map(|origin| Finding::error(Cause::Registry, unseen(origin))).collect()
}

/// Judges the database: the file that was recovered, or one that is made on its server for that.
async fn judge_database(
    ports: &RecoveryPorts,
    files: &Arc<dyn SnapshotFiles>,
    recovery: &RecoveryReport,
    (manifest, records): &(Manifest, Vec<FileRecord>),
    cancel: &Cancel,
) -> Vec<Finding> {
    let origin = manifest.origins.iter().find(|origin| origin.part == Part::Database);
    let Some(origin) = origin else { return Vec::new() };
    let unseen = |why: &str| {
        let message = format!("database {} was not rehearsed: {why}", origin.original);
        vec![Finding::error(Cause::Database, message)]
    };
    let Some(database) = &ports.database else { return unseen("none is configured") };
    let form = manifest.database.as_ref().map(|part| part.form).unwrap_or_default();
    if form == DatabaseForm::Files {
        return judge_files(database.as_ref(), recovery, manifest).await;
    }
    if form != DatabaseForm::File {
        let Some(source) = database_source(files, manifest, records, origin) else {
            return unseen("the snapshot's list does not name it");
        };
        return judge_served(ports, database.as_ref(), &source, cancel).await;
    }
    let Some(file) = place_of(recovery, origin) else { return unseen("it was not recovered") };
    judge(database.as_ref(), &DatabaseTarget::File(file), &origin.original).await
}

/// Where an origin was recovered to.
fn place_of(recovery: &RecoveryReport, origin: &Origin) -> Option<SitePath> {
    let arrow = format!("{} -> ", origin.original);
    recovery.places.iter().find_map(|place| SitePath::parse(place.strip_prefix(&arrow)?).ok())
}

/// Judges the files in which a server keeps a database, one by one. Only a server can tell whether they are one.
async fn judge_files(database: &dyn SiteDatabase, recovery: &RecoveryReport, manifest: &Manifest) -> Vec<Finding> {
    let name = manifest.database.as_ref().map_or("", |part| &part.name);
    let message = format!(
        "database {name}: its files have their hashes and begin as such files do; whether a server attaches them was not tried"
    );
    let hint = "attach a copy of them to a test server, and run DBCC CHECKDB there";
    let mut findings = vec![Finding::new(Gravity::Note, Cause::Database, message).hint(hint)];
    for origin in manifest.origins.iter().filter(|origin| origin.part == Part::Database) {
        let Some(file) = place_of(recovery, origin) else {
            let message = format!("database {name}: `{}` was not rehearsed: it was not recovered", origin.original);
            findings.push(Finding::error(Cause::Database, message));
            continue;
        };
        match database.judge(&file).await {
            Ok(verdict) => {
                let fault = |fault: String| Finding::error(Cause::Database, format!("{}: {fault}", origin.original));
                findings.extend(verdict.faults.into_iter().map(fault));
            }
            Err(error) => findings.push(Finding::error(Cause::Database, chain(&error))),
        }
    }
    findings
}

/// Restores a server's database under a name of its own, judges it and discards it, whatever happened in between.
async fn judge_served(
    ports: &RecoveryPorts,
    database: &dyn SiteDatabase,
    source: &DatabaseSource,
    cancel: &Cancel,
) -> Vec<Finding> {
    let name = &source.part.name;
    let target = DatabaseTarget::Scratch(ports.clock.new_id().simple().to_string());
    let mut findings = match unless_cancelled(database.restore(source, &target), ports.clock.as_ref(), cancel).await {
        None => vec![Finding::error(Cause::Interrupted, "interrupted")],
        Some(Ok(restored)) => {
            let told = restored.findings(name).into_iter();
            told.chain(judge(database, &target, name).await).collect()
        }
        Some(Err(error)) => {
            let hint =
                "a rehearsal makes a database on the same server: the user must be allowed to, and there must be room";
            vec![Finding::error(Cause::Database, chain(&error)).hint(hint)]
        }
    };
    if let Err(error) = database.discard(&target).await {
        findings.push(Finding::error(Cause::Database, chain(&error)).hint("drop the rehearsal's database by hand"));
    }
    findings
}

async fn judge(database: &dyn SiteDatabase, target: &DatabaseTarget, name: &str) -> Vec<Finding> {
    match database.verify(target).await {
        Ok(verdict) => {
            let fault = |fault: String| Finding::error(Cause::Database, format!("{name}: {fault}"));
            verdict.faults.into_iter().map(fault).collect()
        }
        Err(error) => vec![Finding::error(Cause::Database, chain(&error))],
    }
}

async fn probe(ports: &RehearsalPorts, request: &RehearseRequest, scratch: &SitePath) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in &request.probes {
        let environment = vec![("SITEBACKUP_REHEARSAL".to_owned(), scratch.to_string())];
        let command = CommandLine { text: text.clone(), environment, limit: request.limit };
        let message = match ports.commands.run(&command).await {
            Ok(outcome) if outcome.end == CommandEnd::Exit(0) => continue,
            Ok(outcome) => {
                let output = String::from_utf8_lossy(&outcome.output).trim().to_owned();
                format!("probe `{text}` failed ({:?}): {output}", outcome.end)
            }
            Err(error) => chain(&error),
        };
        findings.push(Finding::error(Cause::Recovery, message));
    }
    findings
}
