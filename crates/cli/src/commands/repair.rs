//! `repair`: what a killed run left behind, put right.

use std::sync::Arc;

use backup_core::ports::Ports;
use backup_core::repair::repair;
use backup_core::report::{Cause, RepairReport, has_errors};
use serde_json::json;

use super::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::ports;
use crate::site::Site;

pub(super) async fn run(session: &Session) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    judge(&ports::wire(&site, Arc::clone(&session.screen) as _)).await
}

pub(super) async fn judge(ports: &Ports) -> Result<Answer, CommandError> {
    let report = repair(ports).await?;
    let exit = Exit::of_findings(&report.findings);
    let result = json!({
        "unfinished": report.unfinished,
        "started": report.started,
        "swept": report.swept,
        "published": report.published,
    });
    Ok(Answer::new(text(&report), result).with(report.findings).exit(exit))
}

fn text(report: &RepairReport) -> String {
    let mut done = Vec::new();
    if !report.started.is_empty() {
        done.push(format!("Services started: {}.\n", report.started.join(", ")));
    }
    if report.swept > 0 {
        done.push(format!("Removed at the destination: {}.\n", human::count(report.swept as u64, "folder", "folders")));
    }
    if let Some(run) = report.published {
        done.push(format!("Published: the snapshot of run {run}, which was complete.\n"));
    }
    let half_recovered = report.findings.iter().any(|finding| finding.cause == Cause::HalfRecovered);
    let verdict = match (has_errors(&report.findings), done.is_empty() && report.unfinished.is_empty()) {
        (true, _) => "Something could not be put right.\n",
        _ if half_recovered => "The site is half recovered: no service is started before that is settled.\n",
        (false, true) => "There was nothing to repair.\n",
        (false, false) => "Everything is put right.\n",
    };
    done.concat() + verdict
}
