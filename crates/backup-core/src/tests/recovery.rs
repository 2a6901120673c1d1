//! Recovery, rehearsal and hostile snapshots.

use super::*;
use crate::manifest::Part;
use crate::memory::{Fault, FaultKind, Faults, faulty, run};
use crate::recover::{RecoverRequest, RecoveryEnd, RecoveryPorts, recover};
use crate::rehearse::{RehearseRequest, rehearse};
use crate::report::{Cause, RecoveryReport};

/// A world that was backed up, stopped, and then lost its files, its database and its registry.
fn wrecked() -> (World, StoredSnapshot) {
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
    let report = block_on(rehearse(&ports, open(&ports, &snapshot), &request)).expect("it runs");
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
