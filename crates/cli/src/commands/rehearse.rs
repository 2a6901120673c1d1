//! `rehearse`: a recovery into a scratch place, judged and thrown away.

use std::sync::Arc;

use backup_core::recover::RecoverRequest;
use backup_core::rehearse::{RehearsalPorts, RehearseError, RehearseRequest, rehearse};
use backup_core::report::{RehearsalReport, has_errors};
use serde_json::json;

use super::brought::{Brought, refuse_access};
use super::recover::{self, bare};
use super::{Chosen, Session, open};
use crate::args::RehearseArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::ports;
use crate::site::{Site, site_path};

pub(super) async fn run(session: &Session, args: &RehearseArgs) -> Result<Answer, CommandError> {
    let (ports, chosen) = match &args.from_archive {
        Some(id) => from_archive(session, args, id).await?,
        None => from_destination(session, args).await?,
    };
    let answer = judge(&ports, chosen, session, args).await;
    session.screen.clear();
    answer
}

async fn from_destination(session: &Session, args: &RehearseArgs) -> Result<(RehearsalPorts, Chosen), CommandError> {
    refuse_access(&args.access)?;
    let site = Site::load(&session.global)?;
    let mut ports = ports::wire(&site, Arc::clone(&session.screen) as _);
    let chosen = open(&ports, args.id.as_deref()).await?;
    ports.database = ports::recovery_database(&site, chosen.files.as_ref(), &ports.events).await?;
    Ok((RehearsalPorts::of(&ports), chosen))
}

/// On any machine: the snapshot tells what a site is to come of it.
async fn from_archive(
    session: &Session,
    args: &RehearseArgs,
    id: &str,
) -> Result<(RehearsalPorts, Chosen), CommandError> {
    let Brought { mut chosen, manifest, here } = Brought::from_archive(session, &args.access, id).await?;
    let (config, findings) = bare::configuration(chosen.files.as_ref(), false);
    chosen.findings.extend(findings);
    let form = manifest.database.as_ref().map(|part| part.form).unwrap_or_default();
    let here = here.as_ref().map(|site| &site.config);
    let ports = ports::bare_rehearsal(config.as_ref(), here, form, Arc::clone(&session.screen) as _)?;
    Ok((ports, chosen))
}

pub(super) async fn judge(
    ports: &RehearsalPorts,
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
