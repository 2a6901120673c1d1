//! Snapshots of a site in a hierarchy that change tracking no longer reaches back to.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::change_tracking::{DEFAULT_RETENTION, retention};
use crate::check::check;
use crate::report::{Gravity, Outcome};

const HOUR: i64 = 3600;

fn pass(world: &World, hours: i64) {
    world.lock().now += SignedDuration::from_secs(hours * HOUR);
}

/// What a check says of the age of the last good snapshot.
fn told(world: &World, in_hierarchy: bool) -> Vec<Gravity> {
    let findings = block_on(check(&world.ports(), &BackupPlan { in_hierarchy, ..plan() })).findings;
    let of_age = findings.iter().filter(|finding| finding.message.contains("change tracking"));
    of_age.map(|finding| finding.gravity).collect()
}

#[test]
fn an_age_past_the_end_stands_in_no_runs_way() {
    let world = World::new();
    backup(&world);
    pass(&world, 5 * 24 - 2);
    assert_eq!(told(&world, true), [], "the run that would tell of it is the remedy");
    pass(&world, 3);
    assert_eq!(told(&world, true), [Gravity::Warning]);
    assert_eq!(told(&world, false), [], "nobody catches up from a stand-alone site");
    let context = RunContext::default();
    let report = block_on(run_backup(&world.ports(), &BackupPlan { in_hierarchy: true, ..plan() }, &context));
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(told(&world, true), []);
}

#[test]
fn a_weaker_snapshot_makes_no_good_one_younger() {
    let world = World::new();
    backup(&world);
    pass(&world, 4 * 24);
    world.lock().database_weaker = vec!["it is of another moment".to_owned()];
    backup(&world);
    assert_eq!(snapshots(&world.ports()).len(), 2);
    pass(&world, 25);
    assert_eq!(told(&world, true), [Gravity::Warning]);
}

#[test]
fn who_is_asked_for_the_retention() {
    let world = World::new();
    backup(&world);
    let mut manifest = snapshots(&world.ports()).remove(0).manifest;
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    assert_eq!(retention(None, &manifest), DEFAULT_RETENTION);
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let said = [fact("change-tracking-retention", "14"), fact("change-tracking-units", "DAYS")];
    manifest.database.as_mut().expect("it has one").facts.extend(said);
    assert_eq!(retention(None, &manifest), days(14));
    assert_eq!(retention(Some(days(3)), &manifest), days(3));
    manifest.database = None;
    assert_eq!(retention(None, &manifest), DEFAULT_RETENTION);
}
