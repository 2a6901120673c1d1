//! `status`: how old the last good snapshot is, and what needs attention. Touches nothing, not even the journal's lock.

mod report;

use std::sync::Arc;
use std::time::Duration;

use backup_core::change_tracking::{self, judge_age, usable_until};
use backup_core::config::SiteConfig;
use backup_core::kept::old_shadow_copies;
use backup_core::ports::Ports;
use backup_core::ports::destination::{DamagedSnapshot, StoredSnapshot};
use backup_core::ports::journal::{UnendedRecovery, unfinished_runs};
use backup_core::recover::half_recovered;
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::schedule::Window;
use backup_core::snapshot::RunId;
use backup_core::status::{self, Severity, StatusMessage};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Session, check};
use crate::args::StatusArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::site::Site;
use crate::{plan, ports};

pub(super) async fn run(session: &Session, args: &StatusArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    judge(&ports::wire(&site, Arc::clone(&session.screen) as _), &site.config, args).await
}

pub(super) async fn judge(ports: &Ports, config: &SiteConfig, args: &StatusArgs) -> Result<Answer, CommandError> {
    let facts = gather(ports, config).await?;
    let findings = facts.findings(args.max_age);
    let exit = exit(&findings);
    Ok(report::answer(&facts, args.max_age).with(findings).exit(exit))
}

/// Errors mean that there is nothing to recover from; warnings that somebody should look.
fn exit(findings: &[Finding]) -> Exit {
    match findings.iter().map(|finding| finding.gravity).max() {
        Some(Gravity::Error) => Exit::STALE,
        Some(Gravity::Warning) => Exit::INCOMPLETE,
        Some(Gravity::Note) | None => Exit::DONE,
    }
}

/// All that is known, before anything is judged.
#[derive(Debug)]
struct Facts {
    site: String,
    now: Timestamp,
    zone: TimeZone,
    snapshots: Vec<StoredSnapshot>,
    damaged: Vec<DamagedSnapshot>,
    /// In a hierarchy that has a good snapshot: how long change tracking data is kept.
    retention: Option<Duration>,
    last_run: Option<LastRun>,
    enabled: bool,
    next: Option<Window>,
    missed: Vec<Window>,
    leftovers: Vec<RunId>,
    /// A recovery that is not known to have ended.
    half_recovered: Option<UnendedRecovery>,
    /// What there is to say of kept shadow copies.
    kept: Vec<Finding>,
}

/// The last run that has said anything.
#[derive(Debug)]
struct LastRun {
    run: RunId,
    started: Timestamp,
    result: RunResult,
    message: StatusMessage,
}

/// The gravest is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RunResult {
    /// It runs now, or was killed.
    Unfinished,
    Done,
    Incomplete,
    Failed,
}

impl RunResult {
    fn of(message: &StatusMessage) -> Self {
        match message.id {
            id if id == status::COMPLETED.id => Self::Done,
            id if [status::INCOMPLETE.id, status::ARCHIVE_FAILED.id].contains(&id) => Self::Incomplete,
            _ if message.severity == Severity::Error => Self::Failed,
            _ => Self::Unfinished,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        }
    }
}

async fn gather(ports: &Ports, config: &SiteConfig) -> Result<Facts, CommandError> {
    let zone = ports.clock.local_zone();
    let schedule = &config.task.schedule;
    let schedule_zone = plan::zone(schedule, &*ports.clock)?;
    let now = ports.clock.now();
    let last_run = last_run(&ports.status_log.read().await?);
    let enabled = config.task.enabled;
    let missed = match (&last_run, enabled) {
        (Some(last), true) => schedule.missed(Some(last.started), now, &schedule_zone),
        // A site that has never run has missed nothing: that there is no snapshot is said anyway.
        _ => Vec::new(),
    };
    let records = ports.journal.read().await?;
    let snapshots = ports.destination.list().await?;
    let retention = match good(&snapshots).filter(|_| config.kind.in_hierarchy()) {
        Some(good) => Some(change_tracking::retention(check::retention(ports, config).await, &good.manifest)),
        None => None,
    };
    Ok(Facts {
        site: config.code.to_string(),
        now,
        snapshots,
        damaged: ports.destination.damaged().await?,
        retention,
        last_run,
        enabled,
        next: schedule.next(now, &schedule_zone).filter(|_| enabled),
        missed,
        leftovers: unfinished_runs(&records),
        half_recovered: match half_recovered(&records) {
            None => ports.destination.half_recovered().await?,
            own => own,
        },
        kept: old_shadow_copies(ports).await,
        zone,
    })
}

/// The last good one.
fn good(snapshots: &[StoredSnapshot]) -> Option<&StoredSnapshot> {
    snapshots.iter().rev().find(|snapshot| snapshot.manifest.weaker.is_empty())
}

fn last_run(messages: &[StatusMessage]) -> Option<LastRun> {
    let last = messages.last()?;
    let of_run: Vec<&StatusMessage> = messages.iter().filter(|message| message.run == last.run).collect();
    // What was wrong before a run was complete is right since, such as a service that came up late.
    let complete = of_run.iter().rposition(|message| RunResult::of(message) == RunResult::Done).unwrap_or(0);
    let gravest = of_run[complete..].iter().max_by_key(|message| RunResult::of(message))?;
    Some(LastRun {
        run: last.run,
        started: of_run.first()?.at,
        result: RunResult::of(gravest),
        message: (*gravest).clone(),
    })
}

impl Facts {
    fn good(&self) -> Option<&StoredSnapshot> {
        good(&self.snapshots)
    }

    fn age(&self) -> Option<Duration> {
        let moment = self.good()?.manifest.moment;
        Some(Duration::try_from(self.now.duration_since(moment)).unwrap_or_default())
    }

    fn usable_until(&self) -> Option<Timestamp> {
        Some(usable_until(self.good()?.manifest.moment, self.retention?))
    }

    fn findings(&self, max_age: Option<Duration>) -> Vec<Finding> {
        let verdicts = [self.judge_snapshots(max_age), self.judge_last_run()];
        let mut findings: Vec<Finding> = verdicts.into_iter().flatten().collect();
        findings.extend(self.damaged.iter().map(DamagedSnapshot::finding));
        let time = |moment| human::time(moment, &self.zone);
        if let (Some(first), n) = (self.missed.first(), self.missed.len()) {
            let windows = human::count(n as u64, "window", "windows");
            let message = format!("{windows} passed without a run, the first from {}", time(first.begin));
            let hint = "does the scheduler run `sitebackup backup`? docs/scheduling.md has examples";
            findings.push(Finding::new(Gravity::Warning, Cause::Configuration, message).hint(hint));
        }
        if !self.leftovers.is_empty() && self.last_run.as_ref().is_none_or(|last| last.result != RunResult::Unfinished)
        {
            let runs = human::count(self.leftovers.len() as u64, "run", "runs");
            let finding = Finding::new(Gravity::Warning, Cause::State, format!("{runs} left something to repair"));
            findings.push(finding.hint("`sitebackup repair` puts it right, and so does the next run"));
        }
        // No error: what there is to recover from is as good as before.
        findings.extend(self.half_recovered.as_ref().map(|recovery| recovery.finding(Gravity::Warning)));
        findings.extend(self.kept.iter().cloned());
        findings
    }

    fn judge_snapshots(&self, max_age: Option<Duration>) -> Option<Finding> {
        let stale =
            |message: String| Some(Finding::error(Cause::Snapshot, message).hint("`sitebackup backup` makes one"));
        let Some(age) = self.age() else {
            return stale(match self.snapshots.is_empty() {
                true => "there is no backup snapshot".to_owned(),
                false => "there is no good backup snapshot, only one that is weaker than asked for".to_owned(),
            });
        };
        let shown = human::age(age);
        if let Some(max_age) = max_age.filter(|max_age| age > *max_age) {
            return stale(format!("the last good snapshot is {shown} old, more than {}", human::duration(max_age)));
        }
        judge_age(self.good()?.manifest.moment, self.retention?, self.now, &self.zone)
    }

    fn judge_last_run(&self) -> Option<Finding> {
        let last = self.last_run.as_ref()?;
        let warning = |message: String| Finding::new(Gravity::Warning, Cause::State, message);
        match last.result {
            RunResult::Done => None,
            RunResult::Incomplete | RunResult::Failed => {
                let how = if last.result == RunResult::Failed { "failed" } else { "was incomplete" };
                let message = format!("the last run {how}: {}", last.message);
                Some(warning(message).hint("`sitebackup log` tells more, smsbkup.log at the destination all of it"))
            }
            RunResult::Unfinished => {
                let began = human::time(last.started, &self.zone);
                let message = format!("the run that began {began} has not ended: it runs now, or was killed");
                Some(warning(message).hint("if no backup runs now, `sitebackup repair` puts things right"))
            }
        }
    }
}
