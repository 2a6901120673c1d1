//! An error or a kill at every call of a run, before or after its effect; after each the rules hold.

use super::retries::Reluctant;
use super::*;
use crate::memory::{Fault, FaultKind, Faults, faulty, run};
use crate::ports::database::{DatabaseForm, DatabaseMoment};
use crate::ports::journal::unfinished_runs;
use crate::ports::services::ServiceState;
use crate::repair::repair;
use crate::report::Outcome;
use crate::retention::RetentionPolicy;

/// A site whose database is a file, one that holds its services until a server's backup has ended, one whose server's own files are on the image,
/// one whose moment is held at the second try, and one that is archived.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Site {
    File,
    Held,
    Files,
    Retried,
    Archived,
}

const SITES: [Site; 5] = [Site::File, Site::Held, Site::Files, Site::Retried, Site::Archived];

fn ports_of(site: Site, world: &World) -> Ports {
    match site {
        Site::File | Site::Held | Site::Files => world.ports(),
        Site::Retried => Ports { writers: vec![Reluctant::writer(1, true)], ..world.ports() },
        Site::Archived => Ports { archive: Some(world.archive()), ..world.ports() },
    }
}

fn plan_of(site: Site) -> BackupPlan {
    match site {
        Site::File | Site::Files | Site::Retried => plan(),
        Site::Archived => {
            BackupPlan { keep_archived: RetentionPolicy { last: 1, ..RetentionPolicy::default() }, ..plan() }
        }
        Site::Held => {
            BackupPlan { database_moment: MomentChoice::HoldServices(std::time::Duration::from_secs(600)), ..plan() }
        }
    }
}

fn backup_of(site: Site, world: &World) -> BackupReport {
    block_on(run_backup(&ports_of(site, world), &plan_of(site), &RunContext::default()))
}

/// A world with one good snapshot and a folder of somebody else's.
fn backed_up_world(site: Site) -> World {
    let world = World::new();
    match site {
        Site::File | Site::Retried | Site::Archived => {}
        Site::Files => world.lock().database_form = DatabaseForm::Files,
        Site::Held => {
            let mut state = world.lock();
            (state.database_form, state.database_moment) = (DatabaseForm::Native, DatabaseMoment::End);
        }
    }
    assert_eq!(backup_of(site, &world).outcome, Outcome::Done);
    world.put_foreign("OTHBackup");
    world
}

fn faulty_backup(site: Site, world: &World, faults: &Faults) -> Option<BackupReport> {
    let ports = faulty(&ports_of(site, world), faults);
    run(faults, async move { run_backup(&ports, &plan_of(site), &RunContext::default()).await })
}

fn calls_of_a_run(site: Site) -> Vec<&'static str> {
    let faults = Faults::new(None);
    faulty_backup(site, &backed_up_world(site), &faults).expect("no fault, no kill");
    faults.calls()
}

/// Every call of a run of each site.
fn calls() -> Vec<(Site, usize, &'static str)> {
    let of = |site| {
        let calls = calls_of_a_run(site);
        assert!(calls.len() > 50, "{calls:?}");
        calls.into_iter().enumerate().map(move |(at, call)| (site, at, call))
    };
    SITES.into_iter().flat_map(of).collect()
}

/// Rules 1, 2, 3 and 6, and that the next run needs no help.
fn assert_rules(site: Site, world: &World, when: &str) {
    assert!(world.all_running(), "{when}: a service is down");
    let good = snapshots(&world.ports()).iter().any(|snapshot| snapshot.manifest.weaker.is_empty());
    assert!(good, "{when}: no good snapshot is left");
    assert_all_good(world, when);
    if site == Site::Archived {
        assert!(world.archived().iter().any(|archived| archived.is_good), "{when}: no good snapshot is archived");
        assert_archived_whole(world, when);
    }
    assert!(world.has_folder("OTHBackup"), "{when}: a folder without our marker is gone");
    let next = backup_of(site, world);
    assert_eq!(next.outcome, Outcome::Done, "{when}: the next run: {:?}", next.findings);
    assert_all_good(world, when);
    assert_eq!(snapshots(&world.ports()).len(), 1, "{when}: leftovers");
    assert!(!world.has_images(), "{when}: an image is left");
    if site == Site::Archived {
        let last = next.archived.expect("the next run archives").id;
        let left: Vec<String> = world.archived().into_iter().map(|archived| archived.id).collect();
        assert_eq!(left, [last], "{when}: what no rule asks for");
    }
}

/// Every archived snapshot is what its list says to the last byte.
fn assert_archived_whole(world: &World, when: &str) {
    for archived in world.archived() {
        let files = block_on(world.archive().open(&archived.id)).expect("what is listed opens");
        let report = block_on(crate::verify::verify(&world.ports(), files, None, true)).expect("it has a list");
        assert_eq!(report.findings, [], "{when}: archived");
    }
}

#[test]
fn an_error_at_any_call_loses_nothing_and_is_never_silent() {
    for (site, at, call) in calls() {
        for kind in [FaultKind::ErrorBefore, FaultKind::ErrorAfter] {
            let when = format!("{site:?}, {kind:?} at call {at}, {call}");
            let world = backed_up_world(site);
            let report =
                faulty_backup(site, &world, &Faults::new(Some(Fault { at, kind }))).expect("an error is no kill");
            let silent = report.findings.is_empty() && report.outcome == Outcome::Done;
            // A clock cannot fail, a session closes a set that it could not hand over, and a service is simply started again.
            let mended = ["Clock::sleep_until", "ShadowCopies::prepare", "ServiceControl::start"].contains(&call);
            assert!(!silent || mended, "{when}: nothing was said");
            assert_eq!(report.outcome == Outcome::Done, report.snapshot.is_some() && report.outcome == Outcome::Done);
            assert_rules(site, &world, &when);
        }
    }
}

#[test]
fn a_kill_at_any_call_loses_nothing() {
    for (site, at, call) in calls() {
        for kind in [FaultKind::KillBefore, FaultKind::KillAfter] {
            for power in [false, true] {
                let when = format!("{site:?}, {kind:?} at call {at}, {call}, power cut: {power}");
                let world = backed_up_world(site);
                let faults = Faults::new(Some(Fault { at, kind }));
                assert!(faulty_backup(site, &world, &faults).is_none() || faults.killed(), "{when}: it was not killed");
                if power {
                    world.cut_power();
                } else {
                    world.kill();
                }
                assert!(!snapshots(&world.ports()).is_empty(), "{when}: no snapshot is listed before repair");
                assert_all_good(&world, &when);
                let repaired = block_on(repair(&world.ports())).expect("the dead hold no lock");
                assert_eq!(repaired.findings, [], "{when}");
                assert_rules(site, &world, &when);
            }
        }
    }
}

/// A repair that is killed is repaired by the next.
#[test]
fn a_kill_at_any_call_of_a_repair_loses_nothing() {
    let kill = |at| Faults::new(Some(Fault { at, kind: FaultKind::KillBefore }));
    let starting = calls_of_a_run(Site::File)
        .iter()
        .position(|call| *call == "ServiceControl::start")
        .expect("services are started");
    for at in 0.. {
        let world = backed_up_world(Site::File);
        faulty_backup(Site::File, &world, &kill(starting));
        world.kill();
        assert!(!world.all_running());
        let faults = kill(at);
        let ports = faulty(&world.ports(), &faults);
        let whole = run(&faults, async move { repair(&ports).await.map(drop) });
        world.kill();
        block_on(repair(&world.ports())).expect("the dead hold no lock");
        assert_rules(Site::File, &world, &format!("kill at call {at} of a repair"));
        if whole.is_some() {
            return;
        }
    }
}

/// What a repair could not do stays in the journal, the image that it could not let go of too.
#[test]
fn an_error_at_any_call_of_a_repair_is_left_to_the_next() {
    let calls = calls_of_a_run(Site::File);
    let committed = calls.iter().position(|call| *call == "PreparedSet::commit").expect("an image is taken");
    for kind in [FaultKind::ErrorBefore, FaultKind::ErrorAfter] {
        for at in 0.. {
            let world = backed_up_world(Site::File);
            faulty_backup(Site::File, &world, &Faults::new(Some(Fault { at: committed, kind: FaultKind::KillAfter })));
            world.kill();
            assert!(world.has_images());
            let faults = Faults::new(Some(Fault { at, kind }));
            let ports = faulty(&world.ports(), &faults);
            drop(run(&faults, async move { repair(&ports).await }).expect("an error is no kill"));
            let Some(call) = faults.calls().get(at).copied() else { break };
            let when = format!("{kind:?} at call {at} of a repair, {call}");
            // It runs from here on as far as a repair is concerned, whoever stops it.
            let running = world.all_running();
            world.lock().services.insert("SMS_EXECUTIVE".to_owned(), ServiceState::Stopped);
            let repaired = block_on(repair(&world.ports())).expect("nobody holds the journal");
            assert_eq!(repaired.findings, [], "{when}");
            assert!(!world.has_images(), "{when}: the image is forgotten");
            assert!(unfinished_runs(&world.lock().journal).is_empty(), "{when}: nothing is left to do");
            if call == "ShadowCopies::release" {
                assert!(running && repaired.started.is_empty(), "{when}: started again: {:?}", repaired.started);
            }
            world.lock().services.insert("SMS_EXECUTIVE".to_owned(), ServiceState::Running);
            assert_rules(Site::File, &world, &when);
        }
    }
}
