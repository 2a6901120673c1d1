//! Databases that are no files: what a server takes out, at which moment, and how it comes back.

use std::time::Duration;

use super::*;
use crate::cancel::Cancel;
use crate::check::check;
use crate::event::{Event, EventSink, Phase};
use crate::manifest::{Part, RecordKind};
use crate::memory::{Fault, FaultKind, Faults, faulty, run};
use crate::ports::database::{ChangedFact, DatabaseForm, DatabaseMoment};
use crate::ports::journal::JournalRecord;
use crate::ports::services::ServiceState;
use crate::recover::{RecoverRequest, RecoveryEnd, RecoveryPorts, preview_recovery, recover};
use crate::rehearse::{RehearsalPorts, RehearseRequest, rehearse};
use crate::report::{Cause, Gravity, Outcome, RecoveryReport};

fn world(form: DatabaseForm, moment: DatabaseMoment) -> World {
    let world = World::new();
    {
        let mut state = world.lock();
        (state.database_form, state.database_moment) = (form, moment);
    }
    world
}

fn logical() -> World {
    world(DatabaseForm::Logical, DatabaseMoment::Pinned)
}

/// Stopped, and without files, rows and keys.
fn wreck(world: &World) {
    let mut state = world.lock();
    state.services.values_mut().for_each(|state| *state = ServiceState::Stopped);
    state.files.retain(|file, _| !file.starts_with(&path("/site")));
    state.database.clear();
    state.registry.clear();
}

fn wrecked() -> (World, StoredSnapshot) {
    let world = logical();
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    wreck(&world);
    (world, report.snapshot.expect("a snapshot"))
}

fn recovered(world: &World, snapshot: &StoredSnapshot, request: &RecoverRequest) -> RecoveryReport {
    let ports = world.ports();
    block_on(recover(&RecoveryPorts::of(&ports, Vec::new()), open(&ports, snapshot), request)).expect("it can be read")
}

fn numbers_in(world: &World, snapshot: &StoredSnapshot) -> [Vec<u8>; 2] {
    let files = open(&world.ports(), snapshot);
    ["SiteDBServer/CM_P01/rows", "SiteServer/SMSServer/inboxes/counter.txt"]
        .map(|at| crate::verify::read_small(files.as_ref(), &place(at)).expect("the part is there"))
}

#[test]
fn a_dump_of_many_files_is_listed_and_comes_back() {
    let (world, snapshot) = wrecked();
    let manifest = &snapshot.manifest;
    let origin = manifest.origins.iter().find(|origin| origin.part == Part::Database).expect("an origin");
    assert_eq!((origin.original.as_str(), origin.place.to_string().as_str()), ("memory:CM_P01", "SiteDBServer/CM_P01"));
    let part = manifest.database.clone().expect("a database part");
    assert_eq!(part.form, DatabaseForm::Logical);
    assert!(part.facts.contains(&("taken-by".to_owned(), "memory".to_owned())));
    let files = open(&world.ports(), &snapshot);
    let (_, records) = block_on(crate::verify::read_snapshot(files.as_ref())).expect("a list");
    let dumped = records.iter().filter(|record| record.kind == RecordKind::Database);
    let dumped: Vec<String> = dumped.map(|record| record.path.to_string()).collect();
    assert_eq!(dumped, ["SiteDBServer/CM_P01/manifest", "SiteDBServer/CM_P01/rows"]);

    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!(report.end(), RecoveryEnd::Whole, "{:?}", report.findings);
    let [database, file, registry] = world.counters();
    assert!(database == file && file == registry);
}

#[test]
fn a_database_that_holds_something_stops_a_recovery_before_anything_is_written() {
    let (world, snapshot) = wrecked();
    world.lock().database = b"somebody's".to_vec();
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!(report.end(), RecoveryEnd::Refused);
    assert_eq!(world.lock().database, b"somebody's");
    assert!(!world.lock().files.keys().any(|file| file.starts_with(&path("/site"))));
    let request = RecoverRequest { replace_database: true, ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &request).end(), RecoveryEnd::Whole);
}

#[test]
fn in_another_place_the_dump_is_put_as_files() {
    let (world, snapshot) = wrecked();
    let request = RecoverRequest { to: Some(path("/elsewhere")), ..RecoverRequest::default() };
    let report = recovered(&world, &snapshot, &request);
    assert_eq!(report.end(), RecoveryEnd::Whole, "{:?}", report.findings);
    let state = world.lock();
    assert!(state.files.contains_key(&path("/elsewhere/database/CM_P01/rows")));
    assert!(state.database.is_empty(), "nobody asked for the server");
}

#[test]
fn a_recovery_can_be_repeated_after_a_fault_at_any_call() {
    for replace_database in [false, true] {
        for kind in [FaultKind::ErrorBefore, FaultKind::ErrorAfter, FaultKind::KillBefore, FaultKind::KillAfter] {
            for at in 0.. {
                if !repeated_after(Fault { at, kind }, replace_database) {
                    break;
                }
            }
        }
    }
}

/// Whether the fault struck. What it left is finished by a second recovery.
fn repeated_after(fault: Fault, replace_database: bool) -> bool {
    let (world, snapshot) = wrecked();
    if replace_database {
        world.lock().database = b"the old one".to_vec();
    }
    let request = RecoverRequest { replace_database, ..RecoverRequest::default() };
    let faults = Faults::new(Some(fault));
    let recovery = RecoveryPorts::of(&faulty(&world.ports(), &faults), vec![]);
    let files = open(&world.ports(), &snapshot);
    let first = request.clone();
    let done = run(&faults, async move { recover(&recovery, files, &first).await });
    let struck = faults.calls().len() > fault.at;
    world.kill();
    let is_restored = world.lock().database != b"" && world.lock().database != b"the old one";
    let recorded = world.lock().journal.iter().any(|record| matches!(record, JournalRecord::DatabaseRecovered { .. }));
    let ended = world.lock().journal.iter().any(|record| matches!(record, JournalRecord::RecoveryEnded { .. }));
    let report = recovered(&world, &snapshot, &request);
    if !replace_database && is_restored && (!recorded || ended) {
        // Nothing says any more, or yet, that what the database holds is this snapshot: it is left alone, and how to go on is said.
        assert_eq!(report.end(), RecoveryEnd::Refused, "{fault:?}: {:?}", report.findings);
        assert!(report.findings.iter().any(|found| found.hint.as_ref().is_some_and(|hint| hint.contains("--part"))));
    } else {
        assert_eq!(report.end(), RecoveryEnd::Whole, "{fault:?}: {done:?} {:?}", report.findings);
    }
    let [database, file, registry] = world.counters();
    assert!(database == file && file == registry, "{fault:?}");
    struck
}

/// What stands in a database is somebody's, also while a recovery of this snapshot is open.
#[test]
fn only_what_was_recorded_counts_as_put_back() {
    let (world, snapshot) = wrecked();
    let faults = Faults::new(None);
    let recovery = RecoveryPorts::of(&faulty(&world.ports(), &faults), vec![]);
    let files = open(&world.ports(), &snapshot);
    run(&faults, async move { recover(&recovery, files, &RecoverRequest::default()).await.map(drop) });
    let restore = faults.calls().iter().position(|call| *call == "SiteDatabase::restore").expect("it was restored");
    let (world, snapshot) = wrecked();
    let faults = Faults::new(Some(Fault { at: restore, kind: FaultKind::ErrorBefore }));
    let recovery = RecoveryPorts::of(&faulty(&world.ports(), &faults), vec![]);
    let files = open(&world.ports(), &snapshot);
    run(&faults, async move { recover(&recovery, files, &RecoverRequest::default()).await.map(drop) });
    world.lock().database = b"an application's own".to_vec();
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!(report.end(), RecoveryEnd::Refused, "{:?}", report.findings);
    assert_eq!(world.lock().database, b"an application's own");
}

#[test]
fn facts_that_changed_are_told_with_their_remedy() {
    let (world, snapshot) = wrecked();
    let changed = ChangedFact {
        fact: "trustworthy".to_owned(),
        before: Some("1".to_owned()),
        after: Some("0".to_owned()),
        remedy: Some("ALTER DATABASE".to_owned()),
    };
    world.lock().changed_facts.push(changed);
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    let finding = report.findings.iter().find(|finding| finding.cause == Cause::Database).expect("it is told");
    assert_eq!(finding.message, "database CM_P01: trustworthy is `0`, and was `1`");
    assert_eq!((finding.gravity, finding.hint.as_deref()), (Gravity::Warning, Some("ALTER DATABASE")));
}

/// What a look finds is told once, although the restore says it too.
#[test]
fn what_does_not_go_where_it_was_is_told_before_and_once() {
    let (world, snapshot) = wrecked();
    world.lock().restore_remarks.push("file `a` goes to `b`".to_owned());
    let told = |findings: &[crate::report::Finding]| {
        let told = findings.iter().filter(|found| found.message == "database CM_P01: file `a` goes to `b`");
        told.map(|found| found.gravity).collect::<Vec<_>>()
    };
    let (ports, request) = (RecoveryPorts::of(&world.ports(), Vec::new()), RecoverRequest::default());
    let preview = block_on(preview_recovery(&ports, open(&world.ports(), &snapshot), &request)).expect("it is read");
    assert_eq!(told(&preview.findings), [Gravity::Warning]);
    let report = recovered(&world, &snapshot, &request);
    assert_eq!((report.end(), told(&report.findings)), (RecoveryEnd::Whole, vec![Gravity::Warning]));
}

#[test]
fn a_rehearsal_makes_a_database_of_its_own_and_discards_it() {
    for faults in [vec![], vec!["row 7 is torn".to_owned()]] {
        let (world, snapshot) = wrecked();
        world.lock().database_faults.clone_from(&faults);
        let ports = world.ports();
        let request = RehearseRequest { limit: Duration::from_secs(1), ..RehearseRequest::default() };
        let report = block_on(rehearse(&RehearsalPorts::of(&ports), open(&ports, &snapshot), &request))
            .expect("it is rehearsed");
        assert_eq!(report.findings.iter().any(|found| found.message.contains("row 7")), !faults.is_empty());
        assert!(world.lock().scratch_databases.is_empty());
        assert!(world.lock().database.is_empty(), "the site's own is not touched");
    }
}

#[test]
fn a_copy_of_its_own_end_is_weaker_unless_that_is_accepted_or_the_services_wait() {
    let run = |moment| {
        let world = world(DatabaseForm::Native, DatabaseMoment::End);
        let plan = BackupPlan { database_moment: moment, ..plan() };
        let report = block_on(run_backup(&world.ports(), &plan, &RunContext::default()));
        assert!(world.all_running());
        let [database, file] = numbers_in(&world, report.snapshot.as_ref().expect("a snapshot"));
        (report.outcome, database == file)
    };
    assert_eq!(run(MomentChoice::Same), (Outcome::Incomplete, false));
    assert_eq!(run(MomentChoice::Later), (Outcome::Done, false));
    assert_eq!(run(MomentChoice::HoldServices(Duration::from_secs(60))), (Outcome::Done, true));
}

#[test]
fn services_are_held_no_longer_than_they_may_be() {
    let world = world(DatabaseForm::Native, DatabaseMoment::End);
    world.lock().database_is_slow = true;
    let plan = BackupPlan { database_moment: MomentChoice::HoldServices(Duration::from_secs(60)), ..plan() };
    let report = block_on(run_backup(&world.ports(), &plan, &RunContext::default()));
    assert_eq!(report.outcome, Outcome::Incomplete);
    assert!(report.findings.iter().any(|found| found.message.contains("had to be started before")));
    let limit = Duration::from_secs(60);
    assert!(report.outage >= limit && report.outage < limit * 2 && world.all_running(), "{:?}", report.outage);
}

#[test]
fn what_others_back_up_is_recorded_and_judged() {
    let world = world(DatabaseForm::External, DatabaseMoment::Pinned);
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    let manifest = report.snapshot.expect("a snapshot").manifest;
    assert!(manifest.origins.iter().all(|origin| origin.part != Part::Database));
    assert_eq!(manifest.database.map(|part| part.form), Some(DatabaseForm::External));
    let ports = world.ports();
    let verified = block_on(crate::verify::verify(&ports, open(&ports, &snapshots(&ports)[0]), None, true));
    let findings = verified.expect("it is readable").findings;
    let told = |found: &crate::report::Finding| {
        found.gravity == Gravity::Note && found.message.contains("not in the snapshot, and is not verified")
    };
    assert!(findings.iter().all(told) && findings.len() == 1, "{findings:?}");
    world.lock().database_weaker.push("the newest backup is 9 days old".to_owned());
    assert_eq!(backup(&world).outcome, Outcome::Incomplete);
}

#[test]
fn a_product_site_with_a_logical_dump_alone_is_told_so() {
    let world = logical();
    let product = BackupPlan { is_product: true, ..plan() };
    let warned = |plan: &BackupPlan| {
        let findings = block_on(check(&world.ports(), plan)).findings;
        findings.iter().any(|found| found.cause == Cause::Database && found.gravity == Gravity::Warning)
    };
    assert!(warned(&product) && !warned(&plan()));
}
#[derive(Debug)]
struct CancelWhileCopying(Cancel);

impl EventSink for CancelWhileCopying {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Phase(Phase::Copying)) {
            self.0.cancel();
        }
    }
}

#[test]
fn a_copy_that_takes_long_is_given_up_when_somebody_wishes_it() {
    let world = world(DatabaseForm::Native, DatabaseMoment::End);
    world.lock().database_is_slow = true;
    let context = RunContext::default();
    let ports = Ports { events: Arc::new(CancelWhileCopying(context.cancel.clone())), ..world.ports() };
    let plan = BackupPlan { database_moment: MomentChoice::HoldServices(Duration::from_secs(3600)), ..plan() };
    let report = block_on(run_backup(&ports, &plan, &context));
    assert_eq!(report.outcome, Outcome::Failed(Cause::Interrupted));
    assert!(world.all_running() && snapshots(&ports).is_empty());
    assert!(report.outage < Duration::from_secs(10), "it is not waited for: {:?}", report.outage);
}

#[test]
fn a_service_that_runs_while_it_should_be_held_is_told() {
    let world = world(DatabaseForm::Native, DatabaseMoment::End);
    world.lock().database_is_slow = true;
    let awaking = world.clone();
    let ports = Ports { events: Arc::new(WakeWhileCopying(awaking)), ..world.ports() };
    let plan = BackupPlan { database_moment: MomentChoice::HoldServices(Duration::from_secs(3600)), ..plan() };
    let report = block_on(run_backup(&ports, &plan, &RunContext::default()));
    assert_eq!(report.outcome, Outcome::Incomplete, "{:?}", report.findings);
    assert!(report.findings.iter().any(|found| found.message.contains("ran while the database was backed up")));
}

#[derive(Debug)]
struct WakeWhileCopying(World);

impl EventSink for WakeWhileCopying {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Phase(Phase::Copying)) {
            self.0.lock().services.insert("SMS_EXECUTIVE".to_owned(), ServiceState::Running);
        }
    }
}

#[test]
fn a_site_without_services_holds_none() {
    let world = world(DatabaseForm::Native, DatabaseMoment::End);
    let held = MomentChoice::HoldServices(Duration::from_secs(60));
    let plan = BackupPlan { database_moment: held, stop: Vec::new(), start: Vec::new(), ..plan() };
    let report = block_on(run_backup(&world.ports(), &plan, &RunContext::default()));
    assert!(report.findings.iter().any(|found| found.message.contains("later than that of the files")));
}

#[test]
fn a_rehearsal_that_does_not_see_the_database_fails() {
    let (world, snapshot) = wrecked();
    let ports = Ports { database: None, ..world.ports() };
    let request = RehearseRequest { limit: Duration::from_secs(1), ..RehearseRequest::default() };
    let report =
        block_on(rehearse(&RehearsalPorts::of(&ports), open(&ports, &snapshot), &request)).expect("it is rehearsed");
    assert!(report.findings.iter().any(|found| found.message.contains("was not rehearsed")), "{:?}", report.findings);
}

#[test]
fn a_recovery_says_that_others_have_the_database() {
    let world = world(DatabaseForm::External, DatabaseMoment::Pinned);
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    wreck(&world);
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert!(report.findings.iter().any(|found| found.message.contains("others back it up")), "{:?}", report.findings);
}
