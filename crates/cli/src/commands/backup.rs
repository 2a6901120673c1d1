//! `backup`: one run.

use std::sync::Arc;

use backup_core::backup::{RunContext, run_backup};
use backup_core::event::EventSink;
use backup_core::plan::BackupPlan;
use backup_core::ports::Ports;
use backup_core::ports::clock::Clock;
use backup_core::report::{AfterBackupEnd, Archiving, BackupReport, Cause, Outcome};
use backup_core::snapshot::short;
use host::machine::{SystemClock, process_facts};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Session, alert, archive, snapshots};
use crate::args::BackupArgs;
use crate::error::CommandError;
use crate::events::{Fan, TraceSink};
use crate::exit::Exit;
use crate::output::{Answer, Notice, human};
use crate::site::{Site, local};
use crate::{plan, ports};

pub(super) async fn run(session: &Session, args: &BackupArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let result = back_up(session, &site, args).await;
    alert::after(&site, result).await
}

async fn back_up(session: &Session, site: &Site, args: &BackupArgs) -> Result<Answer, CommandError> {
    let (plan, notices) = plan::make(site)?;
    let zone = plan::zone(&site.config.task.schedule, &SystemClock)?;
    let context = RunContext {
        cancel: session.cancel.clone(),
        process: process_facts(),
        no_reuse: args.no_reuse,
        accept_smaller: args.accept_smaller,
        latest_begin: site.config.task.schedule.open(SystemClock.now(), &zone).map(|window| window.latest_begin),
    };
    let trace = site.config.install_dir.as_ref().map(|install| Arc::new(TraceSink::new(local(install).join("Logs"))));
    let mut sinks: Vec<Arc<dyn EventSink>> = vec![Arc::clone(&session.screen) as _];
    sinks.extend(trace.iter().map(|trace| Arc::clone(trace) as Arc<dyn EventSink>));
    let ports = ports::wire_run(site, &plan, Arc::new(Fan(sinks)))?;
    let answer = judge(&ports, &plan, session, &context).await;
    let fault = trace.and_then(|trace| trace.fault()).map(Notice::from);
    Ok(answer.after(notices.into_iter().chain(fault).collect()))
}

pub(super) async fn judge(ports: &Ports, plan: &BackupPlan, session: &Session, context: &RunContext) -> Answer {
    let report = run_backup(ports, plan, context).await;
    session.screen.clear();
    let answer = Answer::new(text(&report, &ports.clock.local_zone()), result(&report));
    answer.with(report.findings).exit(Exit::of_outcome(report.outcome))
}

fn result(report: &BackupReport) -> Value {
    let (outcome, cause) = match report.outcome {
        Outcome::Done => ("done", None),
        Outcome::Incomplete => ("incomplete", None),
        Outcome::Failed(cause) => ("failed", Some(cause)),
    };
    let snapshot = report.snapshot.as_ref();
    json!({
        "run": report.run,
        "site": report.site,
        "started": report.started,
        "ended": report.ended,
        "outcome": outcome,
        "cause": cause,
        "snapshot": snapshot.map(|snapshot| snapshots::value(snapshot, &[snapshot.run])),
        "consistency": report.consistency,
        "freeze_window": report.freeze_window.as_secs_f64(),
        "outage": report.outage.as_secs_f64(),
        "entries": report.totals.entries,
        "bytes": report.totals.bytes,
        "after_backup": report.after_backup.as_ref().map(after_backup_value),
        "archived": report.archived,
    })
}

fn after_backup_value(end: &AfterBackupEnd) -> Value {
    let (end, code) = match end {
        AfterBackupEnd::Absent => ("absent", None),
        AfterBackupEnd::Success(code) => ("success", Some(code)),
        AfterBackupEnd::Failure(code) => ("failure", Some(code)),
        AfterBackupEnd::TimedOut => ("timed-out", None),
        AfterBackupEnd::NotStarted => ("not-started", None),
    };
    json!({ "end": end, "code": code })
}

fn text(report: &BackupReport, zone: &TimeZone) -> String {
    let site = &report.site;
    let Some(snapshot) = &report.snapshot else {
        let outage = match report.outage.is_zero() {
            true => String::new(),
            false => format!(" The outage was {}.", human::duration(report.outage)),
        };
        return format!("Site {site} is not backed up; earlier snapshots are as they were.{outage}\n");
    };
    let first = match report.outcome {
        Outcome::Done => format!("Site {site} is backed up.\n"),
        Outcome::Incomplete => {
            format!("Site {site} is backed up, but the snapshot is incomplete or weaker than asked for.\n")
        }
        Outcome::Failed(Cause::Interrupted) => format!("Site {site} is backed up, but the run was interrupted.\n"),
        Outcome::Failed(_) => format!("Site {site} is backed up, but the run failed.\n"),
    };
    let manifest = &snapshot.manifest;
    let consistency = snapshots::consistency(report.consistency);
    let took = report.ended.duration_since(report.started).unsigned_abs();
    let mut rows = vec![
        ("snapshot", format!("{} at `{}`", short(snapshot.run, &[snapshot.run]), snapshot.folder)),
        ("moment", format!("{}, {consistency}, by {}", human::time(manifest.moment, zone), manifest.provider)),
        ("content", format!("{}, {}", human::entries(report.totals.entries), human::bytes(report.totals.bytes))),
        ("freeze window", human::duration(report.freeze_window)),
        ("outage", outage(report)),
        ("took", human::duration(took)),
    ];
    rows.extend(report.after_backup.as_ref().and_then(after_backup_text).map(|text| ("AfterBackup", text)));
    rows.extend(report.archived.as_ref().map(|archived| ("archive", archived_text(archived))));
    first + &human::pairs(&rows)
}

fn archived_text(Archiving { id, added, forgotten }: &Archiving) -> String {
    let gone = match forgotten.len() {
        0 => String::new(),
        n => format!(", {} let go", human::count(n as u64, "snapshot", "snapshots")),
    };
    format!("{}, {} new{gone}", archive::open::short(id), human::bytes(*added))
}

fn outage(report: &BackupReport) -> String {
    match report.outage.is_zero() {
        true => "none: no service was stopped".to_owned(),
        false => human::duration(report.outage),
    }
}

fn after_backup_text(end: &AfterBackupEnd) -> Option<String> {
    match end {
        AfterBackupEnd::Absent => None,
        AfterBackupEnd::Success(code) => Some(format!("succeeded with exit code {code}")),
        AfterBackupEnd::Failure(code) => Some(format!("failed with exit code {code}")),
        AfterBackupEnd::TimedOut => Some("took too long and was ended".to_owned()),
        AfterBackupEnd::NotStarted => Some("could not be started".to_owned()),
    }
}
