//! The facts as text and as JSON.

use std::time::Duration;

use backup_core::ports::destination::StoredSnapshot;
use backup_core::schedule::Window;
use backup_core::snapshot::{RunId, short};
use serde_json::{Value, json};

use super::super::{log, snapshots};
use super::{Facts, LastRun};
use crate::output::{Answer, human};

pub(super) fn answer(facts: &Facts, max_age: Option<Duration>) -> Answer {
    let runs: Vec<RunId> = facts.snapshots.iter().map(|snapshot| snapshot.run).collect();
    let value = |snapshot: &StoredSnapshot| snapshots::value(snapshot, &runs);
    let result = json!({
        "site": facts.site,
        "now": facts.now,
        "good": facts.good().map(value),
        "newest": facts.snapshots.last().map(value),
        "age": facts.age().map(|age| age.as_secs()),
        "max_age": max_age.map(|age| age.as_secs()),
        "usable_until": facts.usable_until(),
        "last_run": facts.last_run.as_ref().map(run_value),
        "next_window": facts.next.as_ref().map(window_value),
        "missed": facts.missed.iter().map(window_value).collect::<Vec<_>>(),
        "leftovers": facts.leftovers,
        "damaged": facts.damaged,
        "half_recovered": facts.half_recovered.is_some(),
    });
    Answer::new(text(facts, &runs), result)
}

fn window_value(window: &Window) -> Value {
    json!({ "begin": window.begin, "latest_begin": window.latest_begin })
}

fn run_value(last: &LastRun) -> Value {
    json!({
        "run": last.run,
        "started": last.started,
        "result": last.result.name(),
        "message": log::value(&last.message),
    })
}

fn text(facts: &Facts, runs: &[RunId]) -> String {
    let time = |moment| human::time(moment, &facts.zone);
    let good = match (facts.good(), facts.age()) {
        (Some(good), Some(age)) => {
            format!("{}, {} old ({})", short(good.run, runs), human::age(age), time(good.manifest.moment))
        }
        _ => "none".to_owned(),
    };
    let mut rows = vec![("last good snapshot", good)];
    if let Some(newest) = facts.snapshots.last().filter(|newest| !newest.manifest.weaker.is_empty()) {
        let moment = time(newest.manifest.moment);
        rows.push(("newest snapshot", format!("{}, weaker than asked for ({moment})", short(newest.run, runs))));
    }
    rows.extend(facts.usable_until().map(|until| ("usable until", time(until))));
    let last = facts.last_run.as_ref();
    rows.push((
        "last run",
        last.map_or("none".to_owned(), |last| format!("{}, began {}", last.result.name(), time(last.started))),
    ));
    rows.push((
        "next window",
        match facts.next {
            Some(window) if window.begin <= facts.now => format!("open until {}", time(window.latest_begin)),
            Some(window) => time(window.begin),
            None if facts.enabled => "none: the schedule has no day".to_owned(),
            None => "none: the task is not enabled".to_owned(),
        },
    ));
    format!("Site {}\n{}", facts.site, human::pairs(&rows))
}
