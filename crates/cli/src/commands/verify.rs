//! `verify`: a snapshot against its list.

use std::sync::Arc;

use backup_core::ports::Ports;
use backup_core::ports::destination::DamagedSnapshot;
use backup_core::report::{Finding, VerifyReport, has_errors};
use backup_core::verify::verify;
use serde_json::json;

use super::{Session, open};
use crate::args::VerifyArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::ports;
use crate::site::Site;

pub(super) async fn run(session: &Session, args: &VerifyArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let ports = ports::wire(&site, Arc::clone(&session.screen) as _);
    let answer = judge(&ports, args).await;
    session.screen.clear();
    answer
}

pub(super) async fn judge(ports: &Ports, args: &VerifyArgs) -> Result<Answer, CommandError> {
    let chosen = open(ports, args.id.as_deref()).await?;
    let report = verify(ports, Arc::clone(&chosen.files), Some(ports.registry.as_ref()), args.read_data).await?;
    let whole = !has_errors(&report.findings);
    let result = json!({ "run": report.run, "entries": report.entries, "bytes": report.bytes, "whole": whole });
    let text = text(&report, &chosen.short, args.read_data);
    let damaged: Vec<Finding> = match args.id {
        None => ports.destination.damaged().await?.iter().map(DamagedSnapshot::finding).collect(),
        Some(_) => Vec::new(),
    };
    let exit = match Exit::of_findings(&report.findings) {
        Exit::DONE if !damaged.is_empty() => Exit::INCOMPLETE,
        exit => exit,
    };
    Ok(Answer::new(text, result).with(damaged).with(report.findings).exit(exit))
}

fn text(report: &VerifyReport, short: &str, read_data: bool) -> String {
    let entries = human::entries(report.entries);
    let looked_at = match read_data {
        true => format!("{entries}, {} read and hashed", human::bytes(report.bytes)),
        false => format!("{entries} looked at, no content read (--read-data does)"),
    };
    let verdict = if has_errors(&report.findings) { "is damaged" } else { "is whole" };
    format!("Snapshot {short} {verdict}: {looked_at}.\n")
}
