//! `snapshots`: what is at the destination.

use std::sync::Arc;

use backup_core::ports::Ports;
use backup_core::ports::destination::{DamagedSnapshot, StoredSnapshot};
use backup_core::ports::shadow_copies::Consistency;
use backup_core::snapshot::{RunId, short};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human, json};
use crate::ports;
use crate::site::Site;

pub(super) async fn run(session: &Session) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    list(&ports::wire(&site, Arc::clone(&session.screen) as _)).await
}

pub(super) async fn list(ports: &Ports) -> Result<Answer, CommandError> {
    let snapshots = ports.destination.list().await?;
    let runs: Vec<RunId> = snapshots.iter().map(|snapshot| snapshot.run).collect();
    let values: Vec<Value> = snapshots.iter().map(|snapshot| value(snapshot, &runs)).collect();
    let damaged = ports.destination.damaged().await?;
    let exit = if damaged.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    let result = json!({ "snapshots": values, "damaged": damaged });
    let answer = Answer::new(text(&snapshots, &runs, &ports.clock.local_zone()), result);
    Ok(answer.with(damaged.iter().map(DamagedSnapshot::finding)).exit(exit))
}

/// A snapshot in the JSON form.
pub(super) fn value(snapshot: &StoredSnapshot, runs: &[RunId]) -> Value {
    let manifest = &snapshot.manifest;
    let mut value = Map::new();
    let mut put = |name: &str, field: Value| drop(value.insert(name.to_owned(), field));
    put("id", json!(snapshot.run));
    put("short", json!(short(snapshot.run, runs)));
    put("published", json!(snapshot.published));
    put("site", json!(manifest.site));
    put("started", json!(manifest.started));
    put("moment", json!(manifest.moment));
    put("consistency", json!(manifest.consistency));
    put("provider", json!(manifest.provider));
    put("weaker", json!(manifest.weaker));
    put("freeze_window", json!(manifest.freeze_window.as_secs_f64()));
    put("outage", json!(manifest.outage.as_secs_f64()));
    put("entries", json!(manifest.entries));
    put("bytes", json!(manifest.bytes));
    put("database", json!(manifest.database));
    json::put_path(&mut value, "folder", &snapshot.folder);
    value.into()
}

/// A guarantee in words.
pub(super) fn consistency(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Application => "application consistency",
        Consistency::Crash => "crash consistency",
        Consistency::None => "no consistency",
    }
}

fn text(snapshots: &[StoredSnapshot], runs: &[RunId], zone: &TimeZone) -> String {
    if snapshots.is_empty() {
        return "There is no backup snapshot.\n".to_owned();
    }
    let row = |snapshot: &StoredSnapshot| {
        let manifest = &snapshot.manifest;
        let guarantee = match manifest.weaker.is_empty() {
            true => consistency(manifest.consistency).to_owned(),
            false => format!("{}, weaker than asked for", consistency(manifest.consistency)),
        };
        vec![
            short(snapshot.run, runs),
            human::time(manifest.moment, zone),
            human::entries(manifest.entries),
            human::bytes(manifest.bytes),
            guarantee,
            snapshot.folder.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = snapshots.iter().map(row).collect();
    human::table(&rows, &[2, 3], "")
}
