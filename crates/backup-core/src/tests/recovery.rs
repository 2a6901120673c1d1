//! Recovery, rehearsal and hostile snapshots.

use super::*;
use crate::manifest::Part;
use crate::memory::{Fault, FaultKind, Faults, faulty, run};
use crate::ports::destination::Holder;
use crate::ports::journal::JournalRecord;
use crate::ports::services::ServiceState;
use crate::recover::{RecoverRequest, RecoveryEnd, RecoveryPorts, abandon_recoveries, preview_recovery, recover};
use crate::rehearse::{RehearsalPorts, RehearseRequest, rehearse};
use crate::report::{Cause, Finding, Outcome, RecoveryReport};

/// A world that was backed up, stopped, and then lost its files, its database and its registry.
pub(super) fn wrecked() -> (World, StoredSnapshot) {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    {
        let mut state = world.lock();
        state.services.values_mut().for_each(|state| *state = crate::ports::services::ServiceState::Stopped);
        state.files.retain(|file, _| !file.starts_with(&path("/site")));
        state.database.clear();
        state.registry.clear();
    }
    (world, snapshot)
}

fn recovered(world: &World, snapshot: &StoredSnapshot, request: &RecoverRequest) -> RecoveryReport {
    let ports = world.ports();
    let recovery = RecoveryPorts::of(&ports, vec!["SMS_EXECUTIVE".to_owned()]);
    block_on(recover(&recovery, open(&ports, snapshot), request)).expect("the snapshot can be read")
}

#[test]
fn a_wrecked_site_comes_back_with_equal_numbers() {
    let (world, snapshot) = wrecked();
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!(report.end(), RecoveryEnd::Whole, "{:?}", report.findings);
    let [database, file, registry] = world.counters();
    assert!(database == file && file == registry);
    let state = world.lock();
    assert_eq!(state.files[&path("/site/data/d.dat")].inode, state.files[&path("/site/data/c.dat")].inode);
    assert!(state.files.contains_key(&path("/site/data/empty")) && state.files.contains_key(&path("/site/data/link")));
}

#[test]
fn it_can_be_repeated_after_a_kill_at_any_call() {
    for at in 0.. {
        let (world, snapshot) = wrecked();
        let faults = Faults::new(Some(Fault { at, kind: FaultKind::KillAfter }));
        let ports = faulty(&world.ports(), &faults);
        let recovery = RecoveryPorts::of(&ports, vec![]);
        let files = open(&world.ports(), &snapshot);
        let done = run(&faults, async move { recover(&recovery, files, &RecoverRequest::default()).await.map(drop) });
        world.kill();
        let report = recovered(&world, &snapshot, &RecoverRequest::default());
        assert_eq!(report.end(), RecoveryEnd::Whole, "kill at call {at}: {:?}", report.findings);
        let [database, file, registry] = world.counters();
        assert!(database == file && file == registry, "kill at call {at}");
        if done.is_some() {
            return;
        }
    }
}

/// A recovery in which a fault strikes; `None` when it was killed.
fn interrupted(world: &World, snapshot: &StoredSnapshot, fault: Fault) -> (bool, Option<RecoveryReport>) {
    let faults = Faults::new(Some(fault));
    let ports = faulty(&world.ports(), &faults);
    let recovery = RecoveryPorts::of(&ports, vec![]);
    let files = open(&world.ports(), snapshot);
    let request = RecoverRequest::default();
    let report = run(&faults, async move { recover(&recovery, files, &request).await });
    world.kill();
    (faults.calls().len() > fault.at, report.and_then(Result::ok))
}

fn calls_of_a_recovery(world: &World, snapshot: &StoredSnapshot) -> Vec<&'static str> {
    let (ports, faults) = (world.ports(), Faults::new(None));
    let recovery = RecoveryPorts::of(&faulty(&ports, &faults), vec![]);
    block_on(recover(&recovery, open(&ports, snapshot), &RecoverRequest::default())).expect("it can be read");
    faults.calls()
}

/// Every file that the site had, the counter's as it was: the site is whole.
fn is_whole(world: &World) -> bool {
    let state = world.lock();
    let files = ["/site/inboxes/a.box", "/site/inboxes/b.box", "/site/data/c.dat", "/site/data/link"];
    let there = files.iter().all(|file| state.files.contains_key(&path(file)));
    there && !state.database.is_empty() && !state.registry.is_empty()
}

/// Rule 1, where a timer's backup comes between two attempts: what it publishes must be a whole site.
#[test]
fn a_half_recovered_site_is_not_backed_up() {
    for kind in [FaultKind::KillBefore, FaultKind::KillAfter, FaultKind::ErrorBefore, FaultKind::ErrorAfter] {
        let mut refused = 0;
        for at in 0.. {
            let when = format!("{kind:?} at call {at}");
            let (world, snapshot) = wrecked();
            let (struck, _) = interrupted(&world, &snapshot, Fault { at, kind });
            let between = backup(&world);
            refused += usize::from(between.outcome == Outcome::Failed(Cause::HalfRecovered));
            assert!(between.outcome != Outcome::Done || is_whole(&world), "{when}: half a site was published as good");
            if !struck {
                break;
            }
            let newest = snapshots(&world.ports()).pop().expect("one at least");
            let report = recovered(&world, &newest, &RecoverRequest::default());
            assert_eq!(report.end(), RecoveryEnd::Whole, "{when}: {:?}", report.findings);
            let after = backup(&world);
            assert_eq!(after.outcome, Outcome::Done, "{when}: {:?}", after.findings);
        }
        assert!(refused > 0, "{kind:?}: no backup came in between");
    }
}

fn half_recovered_world() -> (World, StoredSnapshot) {
    let (world, snapshot) = wrecked();
    let at = {
        let (world, snapshot) = wrecked();
        let calls = calls_of_a_recovery(&world, &snapshot);
        calls.iter().position(|call| *call == "RecoveryTarget::restore").expect("files are put back")
    };
    interrupted(&world, &snapshot, Fault { at, kind: FaultKind::KillAfter });
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Failed(Cause::HalfRecovered), "{:?}", report.findings);
    (world, snapshot)
}

#[test]
fn who_is_asked_tells_of_a_half_recovered_site() {
    let (world, _) = half_recovered_world();
    let told = |findings: &[crate::report::Finding]| {
        findings
            .iter()
            .any(|f| f.cause == Cause::HalfRecovered && f.hint.as_ref().is_some_and(|h| h.contains("--abandon")))
    };
    assert!(told(&block_on(crate::check::check(&world.ports(), &plan())).findings));
    let repaired = block_on(crate::repair::repair(&world.ports())).expect("nobody holds the journal");
    assert!(told(&repaired.findings) && !crate::report::has_errors(&repaired.findings), "{:?}", repaired.findings);
    assert_eq!(backup(&world).outcome, Outcome::Failed(Cause::HalfRecovered), "a repair settles nothing");
    assert_eq!(snapshots(&world.ports()).len(), 1);
}

/// A half-recovered site, and a run before it that was killed while it had the services stopped.
fn half_recovered_after_a_killed_run() -> (World, StoredSnapshot) {
    let (world, snapshot) = half_recovered_world();
    let run = crate::snapshot::RunId(uuid::Uuid::from_u128(77));
    let at = world.lock().now;
    let start = vec!["SMS_EXECUTIVE".to_owned()];
    world
        .lock()
        .journal
        .extend([JournalRecord::RunStarted { run, at }, JournalRecord::ServicesStopping { run, start }]);
    (world, snapshot)
}

#[test]
fn services_stay_down_while_a_site_is_half_recovered() {
    let (world, _) = half_recovered_after_a_killed_run();
    assert_eq!(backup(&world).outcome, Outcome::Failed(Cause::HalfRecovered));
    assert_eq!(world.lock().services["SMS_EXECUTIVE"], ServiceState::Stopped);
}

#[test]
fn a_repair_starts_nothing_on_a_half_recovered_site() {
    let (world, snapshot) = half_recovered_after_a_killed_run();
    let repair = || block_on(crate::repair::repair(&world.ports())).expect("nobody holds the journal");
    for _ in 0..2 {
        let repaired = repair();
        assert_eq!(repaired.started, [] as [&str; 0]);
        assert_eq!(repaired.unfinished.len(), 1, "what was not put right stays open");
        assert_eq!(world.lock().services["SMS_EXECUTIVE"], ServiceState::Stopped);
    }
    assert_eq!(recovered(&world, &snapshot, &RecoverRequest::default()).end(), RecoveryEnd::Whole);
    assert_eq!(repair().started, ["SMS_EXECUTIVE"]);
    assert_eq!(repair().unfinished, []);
}

#[test]
fn an_administrator_settles_it() {
    let (world, snapshot) = half_recovered_world();
    let abandoned = block_on(abandon_recoveries(&world.ports())).expect("nobody holds the journal");
    assert_eq!(abandoned.len(), 1);
    assert_eq!(abandoned[0].snapshot, snapshot.run);
    assert_ne!(backup(&world).outcome, Outcome::Failed(Cause::HalfRecovered));
    assert_eq!(block_on(abandon_recoveries(&world.ports())).expect("nobody holds the journal"), []);
}

#[test]
fn one_part_does_not_settle_the_others() {
    let (world, snapshot) = half_recovered_world();
    let request = RecoverRequest { parts: vec![Part::Registry], ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &request).end(), RecoveryEnd::Whole);
    assert_eq!(backup(&world).outcome, Outcome::Failed(Cause::HalfRecovered));
    let request = RecoverRequest { parts: vec![Part::Files, Part::Database], ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &request).end(), RecoveryEnd::Whole);
    assert_eq!(backup(&world).outcome, Outcome::Done);
}

#[test]
fn a_recovery_to_another_place_is_not_the_sites() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let journal = world.lock().journal.len();
    let to = RecoverRequest { to: Some(path("/other")), ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &to).end(), RecoveryEnd::Whole);
    assert_eq!(world.lock().journal.len(), journal);
}

#[test]
fn what_is_newer_is_kept_unless_told() {
    let (world, snapshot) = wrecked();
    world.lock().put("/site/inboxes/a.box", crate::ports::site_files::FileKind::File, b"newer");
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!(report.end(), RecoveryEnd::Refused);
    assert!(report.findings[0].message.contains("was changed after the snapshot"));
    assert_eq!(world.lock().files[&path("/site/inboxes/a.box")].content, b"newer");
    assert!(!world.lock().files.contains_key(&path("/site/inboxes/b.box")), "nothing is written before all is judged");
    let told = RecoverRequest { overwrite_newer: true, ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &told).end(), RecoveryEnd::Whole);
}

/// The site may have committed to the log alone, and the old file would take its place.
#[test]
fn a_newer_log_beside_an_old_database_is_newer() {
    let log = path("/site/db/CM_P01.db-wal");
    for (content, end) in [(&b"committed"[..], RecoveryEnd::Refused), (b"", RecoveryEnd::Whole)] {
        let (world, snapshot) = wrecked();
        world.lock().put(&log.to_string(), crate::ports::site_files::FileKind::File, content);
        let report = recovered(&world, &snapshot, &RecoverRequest::default());
        assert_eq!(report.end(), end, "{:?}", report.findings);
        let told = |text: &str| report.findings.iter().any(|finding| finding.message.contains(text));
        assert_eq!(told("`/site/db/CM_P01.db-wal` was changed after the snapshot"), end == RecoveryEnd::Refused);
        let request = RecoverRequest { overwrite_newer: true, ..RecoverRequest::default() };
        assert_eq!(recovered(&world, &snapshot, &request).end(), RecoveryEnd::Whole);
    }
}

#[test]
fn a_running_service_refuses_a_recovery_in_place() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let report = recovered(&world, &snapshot, &RecoverRequest { overwrite_newer: true, ..RecoverRequest::default() });
    assert_eq!(report.end(), RecoveryEnd::Refused);
    assert_eq!(report.findings[0].cause, Cause::ServiceStop);
}

#[test]
fn another_place_takes_all_parts_as_files() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let to = RecoverRequest { to: Some(path("/other")), ..RecoverRequest::default() };
    let report = recovered(&world, &snapshot, &to);
    assert_eq!(report.end(), RecoveryEnd::Whole, "{:?}", report.findings);
    assert!(world.lock().files.contains_key(&path("/other/site/inboxes/a.box")));
    assert!(world.lock().files.contains_key(&path("/other/registry/SMSbkSiteRegSMS.dat")));
    assert!(!world.lock().files.contains_key(&path("/other/sitebackup")));
}

#[test]
fn what_the_registry_has_no_place_for_is_told_before_and_after() {
    let (world, snapshot) = wrecked();
    world.lock().registry_loses = Some("the class names of 2 keys".to_owned());
    let request = RecoverRequest { parts: vec![Part::Registry], ..RecoverRequest::default() };
    let (ports, told) = (world.ports(), |findings: &[Finding]| {
        findings.iter().filter(|finding| finding.message.contains("class names of 2 keys: they are lost")).count()
    });
    let recovery = RecoveryPorts::of(&ports, vec!["SMS_EXECUTIVE".to_owned()]);
    let preview = block_on(preview_recovery(&recovery, open(&ports, &snapshot), &request)).expect("it can be read");
    let report = recovered(&world, &snapshot, &request);
    assert_eq!((told(&preview.findings), told(&report.findings), report.end()), (1, 1, RecoveryEnd::Whole));
}

#[test]
fn one_part_leaves_the_others_alone() {
    let (world, snapshot) = wrecked();
    let request = RecoverRequest { parts: vec![Part::Registry], ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &request).end(), RecoveryEnd::Whole);
    assert!(world.lock().database.is_empty());
    assert!(!world.lock().registry.is_empty());
}

#[test]
fn a_rehearsal_changes_nothing_and_leaves_nothing() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let before = world.lock().files.len();
    let ports = world.ports();
    let request = RehearseRequest { probes: vec!["true".into(), "false".into()], ..RehearseRequest::default() };
    let report = block_on(rehearse(&RehearsalPorts::of(&ports), open(&ports, &snapshot), &request)).expect("it runs");
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].message.contains("probe `false` failed"));
    assert_eq!(world.lock().files.len(), before);
    assert!(world.all_running());
}

#[test]
fn names_are_judged_before_a_recovery_on_windows() {
    let world = World::new();
    world.lock().put("/site/data/aux.txt", crate::ports::site_files::FileKind::File, b"x");
    world.lock().put("/site/data/C.DAT", crate::ports::site_files::FileKind::File, b"x");
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let map = vec![(path("/"), path(r"C:\site"))];
    let request = RecoverRequest { parts: vec![Part::Files], map, on_windows: true, ..RecoverRequest::default() };
    let report = recovered(&world, &snapshot, &request);
    assert_eq!(report.end(), RecoveryEnd::Refused);
    let text: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(text.iter().any(|text| text.contains("aux.txt` holds a name that Windows does not allow")), "{text:?}");
    assert!(text.iter().any(|text| text.contains("are one file on Windows")), "{text:?}");
}

/// Another place, from which a map leads back to the site.
fn back_by_a_map() -> RecoverRequest {
    let map = vec![(path("/site/inboxes"), path("/site/inboxes"))];
    RecoverRequest { to: Some(path("/other")), map, overwrite_newer: true, ..RecoverRequest::default() }
}

#[test]
fn a_map_back_to_the_site_asks_its_services() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let report = recovered(&world, &snapshot, &back_by_a_map());
    assert_eq!((report.end(), report.findings[0].cause), (RecoveryEnd::Refused, Cause::ServiceStop));
}

#[test]
fn a_map_back_to_the_site_is_in_the_journal() {
    let (world, snapshot) = wrecked();
    let begins = world.lock().journal.len();
    assert_eq!(recovered(&world, &snapshot, &back_by_a_map()).end(), RecoveryEnd::Whole);
    let journal = world.lock().journal.split_off(begins);
    let JournalRecord::RecoveryBegun { places, .. } = &journal[0] else { panic!("{journal:?}") };
    assert_eq!(places[..], ["/site/inboxes -> /site/inboxes"], "the rest is not the site's");
    assert!(matches!(journal[1], JournalRecord::RecoveryEnded { .. }));
}

#[test]
fn what_a_map_takes_away_is_not_the_sites() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("a snapshot");
    let begins = world.lock().journal.len();
    let map = vec![(path("/site"), path("/elsewhere"))];
    let request = RecoverRequest { parts: vec![Part::Files, Part::Database], map, ..RecoverRequest::default() };
    let report = recovered(&world, &snapshot, &request);
    assert_eq!(report.end(), RecoveryEnd::Whole, "its services run on: {:?}", report.findings);
    assert_eq!(world.lock().journal.len(), begins);
    let request = RecoverRequest { site: vec![path("/elsewhere/data")], ..request };
    let report = recovered(&world, &snapshot, &request);
    assert_eq!(report.findings[0].cause, Cause::ServiceStop, "that is where the site is now");
}

/// What goes to another file makes nothing whole of the site's own.
#[test]
fn a_registry_elsewhere_does_not_settle_the_sites() {
    let (world, snapshot) = wrecked();
    let stores = vec![(RegistryKey::new(r"HKLM\SOFTWARE\Microsoft\SMS"), path("/site/SMS.hive"))];
    let here = RecoverRequest { parts: vec![Part::Registry], stores, ..RecoverRequest::default() };
    let place = |place: &str| vec![format!(r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS -> {place}")];
    let begun = |places| JournalRecord::RecoveryBegun { snapshot: snapshot.run, at: snapshot.manifest.moment, places };
    world.lock().journal.push(begun(place("/site/SMS.hive")));
    assert_eq!(backup(&world).outcome, Outcome::Failed(Cause::HalfRecovered));
    let there = RecoverRequest { map: vec![(path("/site"), path("/moved"))], ..here.clone() };
    let report = recovered(&world, &snapshot, &there);
    assert_eq!((report.end(), &report.places), (RecoveryEnd::Whole, &place("/moved/SMS.hive")));
    assert_eq!(backup(&world).outcome, Outcome::Failed(Cause::HalfRecovered));
    assert_eq!(recovered(&world, &snapshot, &here).end(), RecoveryEnd::Whole);
    assert_ne!(backup(&world).outcome, Outcome::Failed(Cause::HalfRecovered));
}

#[test]
fn every_place_that_is_half_recovered_is_told() {
    let (world, snapshot) = wrecked();
    for place in ["/site/data -> /site/data", "/site/inboxes -> /site/inboxes"] {
        let (snapshot, at, places) = (snapshot.run, snapshot.manifest.moment, vec![place.to_owned()]);
        world.lock().journal.push(JournalRecord::RecoveryBegun { snapshot, at, places });
    }
    let told = crate::recover::half_recovered(&world.lock().journal).expect("two did not end").to_string();
    assert!(told.ends_with("(/site/data -> /site/data, /site/inboxes -> /site/inboxes)"), "{told}");
}

/// The same site and destination as another configuration has them: with a journal of its own.
fn with_another_journal(world: &World) -> Ports {
    Ports { journal: World::new().ports().journal, ..world.ports() }
}

#[test]
fn another_configuration_does_not_back_up_a_half_recovered_site() {
    let (world, snapshot) = half_recovered_world();
    let other = with_another_journal(&world);
    let backup_by = |ports: &Ports| block_on(crate::backup::run_backup(ports, &plan(), &Default::default())).outcome;
    assert_eq!(backup_by(&other), Outcome::Failed(Cause::HalfRecovered));
    assert_eq!(snapshots(&world.ports()).len(), 1, "the only whole snapshot stays");
    let told = block_on(crate::check::check(&other, &plan())).findings;
    assert!(told.iter().any(|finding| finding.cause == Cause::HalfRecovered));
    let one = RecoverRequest { parts: vec![Part::Registry], ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &one).end(), RecoveryEnd::Whole);
    assert_eq!(backup_by(&other), Outcome::Failed(Cause::HalfRecovered), "one part does not settle the others");
    assert_eq!(recovered(&world, &snapshot, &RecoverRequest::default()).end(), RecoveryEnd::Whole);
    assert_eq!(backup_by(&other), Outcome::Done);
}

#[test]
fn the_note_is_durable_before_anything_is_written() {
    for at in 0.. {
        let (world, snapshot) = wrecked();
        let (struck, _) = interrupted(&world, &snapshot, Fault { at, kind: FaultKind::KillAfter });
        let state = world.lock();
        let untouched = !state.files.keys().any(|file| file.starts_with(&path("/site")))
            && state.database.is_empty()
            && state.registry.is_empty();
        drop(state);
        let noted = world.lock().half_recovered.is_some();
        assert!(untouched || noted || is_whole(&world), "kill at call {at}");
        let open = crate::recover::half_recovered(&world.lock().journal).is_some();
        assert!(open || !noted, "kill at call {at}: a note stands without an open recovery");
        if !struck {
            return;
        }
    }
}

#[test]
fn a_repair_by_another_configuration_starts_nothing_either() {
    let (world, _) = half_recovered_after_a_killed_run();
    let other = with_another_journal(&world);
    let lock = block_on(other.journal.lock()).expect("free");
    for record in world.lock().journal.clone().into_iter().filter(|record| record.run().is_some()) {
        block_on(other.journal.append(&record)).expect("appended");
    }
    drop(lock);
    let repaired = block_on(crate::repair::repair(&other)).expect("nobody holds the journal");
    assert_eq!(repaired.started, [] as [&str; 0]);
    block_on(abandon_recoveries(&other)).expect("nobody holds it");
    assert_eq!(block_on(crate::repair::repair(&other)).expect("free").started, ["SMS_EXECUTIVE"]);
}

#[test]
fn a_recovery_holds_the_destination() {
    let (world, snapshot) = wrecked();
    let ports = world.ports();
    let hold = block_on(ports.destination.hold(Holder::Repair)).expect("free");
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!((report.end(), report.findings[0].cause), (RecoveryEnd::Refused, Cause::Busy));
    drop(hold);
    let calls = calls_of_a_recovery(&world, &snapshot);
    let first = |name: &str| calls.iter().position(|call| *call == name).expect("it is called");
    assert!(first("Destination::hold") < first("RunJournal::append"), "{calls:?}");
    assert!(first("Destination::note_half_recovered") < first("RecoveryTarget::restore"), "{calls:?}");
    assert_eq!(world.lock().held, None);
}
