//! `check`: what would be backed up, what would fail, what is not covered.

use std::sync::Arc;
use std::time::Duration;

use backup_core::archive_key;
use backup_core::check::check;
use backup_core::config::SiteConfig;
use backup_core::plan::BackupPlan;
use backup_core::ports::Ports;
use backup_core::report::{Cause, CheckReport, Finding, Gravity};
use serde_json::json;

use super::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human, json};
use crate::site::{Site, local};
use crate::{plan, ports};

pub(super) async fn run(session: &Session) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let (plan, notices) = plan::make(&site)?;
    let ports = ports::wire_whole(&site, Arc::clone(&session.screen) as _)?;
    let answer = judge(&ports, &site.config, &plan).await;
    #[cfg(windows)]
    let answer = answer.with([crate::product_writer::finding()]);
    Ok(answer.after(notices))
}

pub(super) async fn judge(ports: &Ports, config: &SiteConfig, plan: &BackupPlan) -> Answer {
    let mut report = check(ports, plan).await;
    let retention = retention(ports, config).await;
    for warning in config.task.schedule.warnings(plan.in_hierarchy, retention) {
        report.findings.push(Finding::new(Gravity::Warning, Cause::Configuration, warning));
    }
    if let Some(archive) = &config.archive {
        let file = host::private_file::inspect(&local(archive.key.path())).map_err(|error| error.to_string());
        // Without its key it would only say so once more.
        let facts = match ports.archive.as_ref().filter(|_| file.as_ref().is_ok_and(|file| !file.is_empty)) {
            Some(port) => Some(port.inspect().await),
            None => None,
        };
        report.findings.extend(archive_key::judge(archive, file, facts));
    }
    answer(&report, config)
}

/// How long change tracking data is kept, as the configuration or else the database says.
pub(super) async fn retention(ports: &Ports, config: &SiteConfig) -> Option<Duration> {
    if config.change_tracking_retention.is_some() {
        return config.change_tracking_retention;
    }
    let facts = ports.database.as_ref()?.inspect().await.ok()?;
    facts.change_tracking_days.map(|days| Duration::from_secs(u64::from(days) * 86_400))
}

fn answer(report: &CheckReport, config: &SiteConfig) -> Answer {
    let destination = config.task.destination.site_folder();
    let mut result = serde_json::Map::new();
    result.insert("site".to_owned(), json!(config.code.as_str()));
    json::put_path(&mut result, "destination", destination);
    result.insert("covered".to_owned(), json!(report.covered));
    result.insert("not_covered".to_owned(), json!(report.not_covered));
    result.insert("needed".to_owned(), json!(report.needed));
    result.insert("peak".to_owned(), json!(report.peak));
    result.insert("free".to_owned(), json!(report.free));
    let text = text(report, config.code.as_str(), &destination.to_string());
    let is_weaker = |finding: &Finding| match finding.cause {
        Cause::Snapshot => true,
        Cause::Database => finding.gravity >= Gravity::Warning,
        _ => false,
    };
    let exit = match Exit::of_findings(&report.findings) {
        Exit::DONE if report.findings.iter().any(is_weaker) => Exit::INCOMPLETE,
        exit => exit,
    };
    Answer::new(text, result.into()).with(report.findings.clone()).exit(exit)
}

fn text(report: &CheckReport, site: &str, destination: &str) -> String {
    let mut text = format!("Site {site} to `{destination}`:\n");
    let row = |what: &str, entries, bytes| vec![what.to_owned(), human::entries(entries), human::bytes(bytes)];
    let mut rows: Vec<Vec<String>> =
        report.covered.iter().map(|part| row(&part.what, part.entries, part.bytes)).collect();
    if report.covered.len() > 1 {
        let entries = report.covered.iter().map(|part| part.entries).sum();
        rows.push(row("all together", entries, report.covered.iter().map(|part| part.bytes).sum()));
    }
    text.push_str(&human::table(&rows, &[1, 2], "  "));
    if !report.not_covered.is_empty() {
        text.push_str(&format!("Not covered: {}.\n", report.not_covered.join(", ")));
    }
    let room = [report.needed, report.peak, report.free].map(human::bytes);
    text.push_str(&format!(
        "Room: the new snapshot takes {}, at the peak old and new together {}; {} are free.\n",
        room[0], room[1], room[2]
    ));
    let of_archive = |finding: &&Finding| matches!(finding.cause, Cause::Archive | Cause::ArchiveDamaged | Cause::Key);
    let errors = report.findings.iter().filter(|finding| finding.gravity == Gravity::Error);
    let verdict = match (errors.clone().count(), errors.filter(of_archive).count()) {
        (0, _) => "Nothing stands in the way of a backup.\n",
        (all, of_archive) if all == of_archive => {
            "Nothing but the archive stands in the way of a backup: it would be made all the same.\n"
        }
        _ => "A backup would fail.\n",
    };
    text.push_str(verdict);
    text
}
