//! What the next start does about runs that did not end: services up, leftovers gone, a sealed snapshot published.

use crate::copy::chain;
use crate::kept;
use crate::ports::Ports;
use crate::ports::destination::{DestinationError, Holder};
use crate::ports::journal::{JournalError, JournalRecord, UnendedRecovery, begun_shadow_copies, unfinished_runs};
use crate::ports::services::{ServiceError, ServiceState};
use crate::ports::shadow_copies::ShadowCopySetId;
use crate::recover::half_recovered;
use crate::report::{Cause, Finding, Gravity, RepairReport, has_errors};
use crate::snapshot::RunId;

/// Repairs after a crash. Idempotent; with nothing to repair it only asks.
///
/// On a half-recovered site no service is started and no run is told to have ended: that is left to the repair after the recovery.
///
/// # Errors
/// [`JournalError`] when another run or repair is in progress, or the journal cannot be read: then nothing is touched.
pub async fn repair(ports: &Ports) -> Result<RepairReport, JournalError> {
    let _lock = ports.journal.lock().await?;
    let hold = ports.destination.hold(Holder::Repair).await;
    repair_locked(ports, hold.as_ref().err()).await
}

/// The same for a run that holds the journal already, and the destination unless that was `refused`: then only services are started.
pub(crate) async fn repair_locked(
    ports: &Ports,
    refused: Option<&DestinationError>,
) -> Result<RepairReport, JournalError> {
    let records = ports.journal.read().await?;
    let mut report = RepairReport { unfinished: unfinished_runs(&records), ..RepairReport::default() };
    let half_recovered = match (half_recovered(&records), refused) {
        (None, None) => noted(ports, &mut report).await,
        (recovery, _) => recovery,
    };
    // Services first: the site's outage is what hurts now. On half a site they would write to what is still to be put back.
    if half_recovered.is_none() {
        for name in to_start(&records, &report.unfinished) {
            start(ports, &name, &mut report).await;
        }
    }
    if !report.unfinished.is_empty() {
        thaw(ports, &mut report).await;
    }
    let mut imaged = Vec::new();
    for run in report.unfinished.clone() {
        if !release(ports, &records, run, &mut report).await {
            imaged.push(run);
        }
    }
    match refused {
        None => put_destination_right(ports, &mut report).await,
        Some(error) => {
            let finding = Finding::error(Cause::of_destination(error), chain(error));
            report.findings.push(finding.hint("what a run left there is put right when that has ended"));
        }
    }
    let is_settled = half_recovered.is_none() && !has_errors(&report.findings);
    // Only an administrator or another recovery can put that right.
    report.findings.extend(half_recovered.map(|recovery| recovery.finding(Gravity::Warning)));
    if is_settled {
        for run in report.unfinished.clone() {
            let record = match imaged.contains(&run) {
                // The next repair tries again, and starts nothing that was stopped since.
                true => JournalRecord::ServicesStarted { run },
                false => {
                    let published = report.published == Some(run);
                    JournalRecord::RunEnded { run, at: ports.clock.now(), published }
                }
            };
            ports.journal.append(&record).await?;
        }
    }
    Ok(report)
}

/// What another configuration's recovery left open. Where that cannot be known the site's outage weighs more.
async fn noted(ports: &Ports, report: &mut RepairReport) -> Option<UnendedRecovery> {
    let noted = ports.destination.half_recovered().await;
    noted.unwrap_or_else(|error| {
        report.findings.push(Finding::error(Cause::of_destination(&error), chain(&error)));
        None
    })
}

fn to_start(records: &[JournalRecord], unfinished: &[RunId]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in records.iter().filter(|record| record.run().is_some_and(|run| unfinished.contains(&run))) {
        match record {
            JournalRecord::ServicesStopping { start, .. } => names.extend(start.iter().cloned()),
            JournalRecord::ServicesStarted { .. } => names.clear(),
            _ => {}
        }
    }
    names
}

async fn start(ports: &Ports, name: &str, report: &mut RepairReport) {
    let running = matches!(ports.services.state(name).await, Ok(ServiceState::Running));
    if running {
        return;
    }
    match ports.services.start(name).await {
        Ok(()) => report.started.push(name.to_owned()),
        Err(ServiceError::Unknown(_)) => {
            let message = format!("a run that did not end had stopped `{name}`, which is not configured any more");
            let finding = Finding::new(Gravity::Warning, Cause::ServiceStart, message);
            report.findings.push(finding.hint("see to it that the service runs, if it still exists"));
        }
        Err(error) => {
            let hint = format!("start `{name}` by hand, then run `sitebackup repair` again");
            report.findings.push(Finding::error(Cause::ServiceStart, chain(&error)).hint(hint));
        }
    }
}

/// Lets go of what a run held, unless it was to be kept and all of it was there. `false` when an image is left of which only this run's records tell.
async fn release(ports: &Ports, records: &[JournalRecord], run: RunId, report: &mut RepairReport) -> bool {
    let is_begun = begun_shadow_copies(records).iter().any(|copy| copy.run == run);
    let is_whole = records.contains(&JournalRecord::Sealed { run });
    let released = match (is_begun, is_whole) {
        (true, true) => return true,
        (true, false) => kept::remove(ports, run).await.map_err(|error| chain(&error)),
        (false, _) => {
            let released = ports.shadow_copies.release(ShadowCopySetId(run.0)).await;
            released.map_err(|error| chain(&error))
        }
    };
    let Err(error) = released else { return true };
    let message = format!("an image of a run that did not end is left: {error}");
    report.findings.push(Finding::new(Gravity::Warning, Cause::ShadowCopy, message));
    is_begun
}

/// Other applications may have been frozen when a run died.
async fn thaw(ports: &Ports, report: &mut RepairReport) {
    for writer in &ports.writers {
        if let Err(error) = writer.abort().await {
            let finding = Finding::error(Cause::ServiceStart, chain(&error));
            report.findings.push(finding.hint("set it going by hand, then run `sitebackup repair` again"));
        }
    }
}

async fn put_destination_right(ports: &Ports, report: &mut RepairReport) {
    match ports.destination.sweep().await {
        Ok(swept) => report.swept = swept,
        Err(error) => report.findings.push(Finding::error(Cause::Destination, chain(&error))),
    }
    publish_newest(ports, report).await;
}

/// A run that died between its commit and its publishing leaves a whole snapshot under a working name.
async fn publish_newest(ports: &Ports, report: &mut RepairReport) {
    let newest = match ports.destination.list().await {
        Ok(mut snapshots) => snapshots.pop(),
        Err(error) => {
            report.findings.push(Finding::error(Cause::Destination, chain(&error)));
            return;
        }
    };
    let Some(newest) = newest.filter(|newest| !newest.published) else { return };
    match ports.destination.publish(newest.run).await {
        Ok(_) => report.published = Some(newest.run),
        Err(error) => report.findings.push(Finding::error(Cause::Destination, chain(&error))),
    }
}
