//! `rehearse`: a recovery into a scratch place, judged and thrown away.

use std::sync::Arc;

use backup_core::ports::Ports;
use backup_core::recover::RecoverRequest;
use backup_core::rehearse::{RehearseError, RehearseRequest, rehearse};
use backup_core::report::{RehearsalReport, has_errors};
use serde_json::json;

use super::{Chosen, Session, open, recover};
use crate::args::RehearseArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::ports;
use crate::site::{Site, site_path};

pub(super) async fn run(session: &Session, args: &RehearseArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let mut ports = ports::wire(&site, Arc::clone(&session.screen) as _);
    let chosen = open(&ports, args.id.as_deref()).await?;
    ports.database = ports::recovery_database(&site, chosen.files.as_ref()).await?;
    let answer = judge(&ports, chosen, session, args).await;
    session.screen.clear();
    answer
}

pub(super) async fn judge(
    ports: &Ports,
    chosen: Chosen,
    session: &Session,
    args: &RehearseArgs,
) -> Result<Answer, CommandError> {
    let request = RehearseRequest {
        recover: RecoverRequest { cancel: session.cancel.clone(), ..RecoverRequest::default() },
        scratch: args.scratch.as_deref().map(site_path).transpose()?,
        probes: args.probe.clone(),
        limit: args.probe_limit,
    };
    let report = rehearse(ports, Arc::clone(&chosen.files), &request).await.map_err(failed)?;
    let recovered = !has_errors(&report.findings);
    let result = json!({
        "run": report.run,
        "recovered": recovered,
        "took": report.took.as_secs_f64(),
        "recovery": recover::result(report.run, &report.recovery),
    });
    let text = text(&report, &chosen.short, args.probe.len());
    let exit = match session.cancel.is_cancelled() {
        true => Exit::INTERRUPTED,
        false => Exit::of_findings(&report.findings),
    };
    let answer = Answer::new(text, result).with(report.findings).exit(exit);
    Ok(answer.after(chosen.findings.into_iter().map(Into::into).collect()))
}

fn failed(error: RehearseError) -> CommandError {
    match error {
        RehearseError::Snapshot(error) => error.into(),
        RehearseError::Scratch(_) => CommandError::new(Exit::RECOVERY, error)
            .hint("name a folder with room for the whole site with --scratch DIR"),
    }
}

fn text(report: &RehearsalReport, short: &str, n_probes: usize) -> String {
    if has_errors(&report.findings) {
        return format!("Snapshot {short} failed its rehearsal.\n");
    }
    let probes = match n_probes {
        0 => String::new(),
        n => format!(", {}", human::count(n as u64, "probe", "probes")),
    };
    let entries = human::entries(report.recovery.written + report.recovery.already);
    format!(
        "Snapshot {short} can be recovered: {entries} with {}, database and registry judged{probes}.\n\
         The recovery took {}; the real one takes about as long.\n",
        human::bytes(report.recovery.bytes),
        human::duration(report.took),
    )
}
