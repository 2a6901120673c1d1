//! Shadow copies that are kept.

use jiff::SignedDuration;

use super::*;
use crate::backup::keep_image;
use crate::check::check;
use crate::kept::{KeptContent, KeptError, KeptShadowCopy, delete_shadow_copy, kept_shadow_copies};
use crate::memory::{Fault, FaultKind, Faults, faulty, run};
use crate::ports::journal::JournalRecord;
use crate::repair::repair;
use crate::report::{Cause, Outcome};
use crate::snapshot::RunId;

fn keep(world: &World) -> (BackupReport, Option<KeptContent>) {
    block_on(keep_image(&world.ports(), &plan(), &RunContext::default()))
}

fn list(world: &World) -> Vec<KeptShadowCopy> {
    block_on(kept_shadow_copies(&world.ports())).expect("memory lists")
}

fn delete(world: &World, run: RunId) -> Result<(), KeptError> {
    block_on(delete_shadow_copy(&world.ports(), run))
}

/// What is kept is whole and of one moment.
fn assert_readable(world: &World, run: RunId, when: &str) {
    let copies = list(world);
    let copy = copies.iter().find(|copy| copy.run == run).unwrap_or_else(|| panic!("{when}: it is not listed"));
    let image = &copy.content.as_ref().unwrap_or_else(|reason| panic!("{when}: {reason}")).image;
    let ports = world.ports();
    let parts = block_on(ports.kept.open(run)).expect("a listed one opens");
    let part = |at: &str| crate::verify::read_small(parts.as_ref(), &place(at)).expect("the part is there");
    let on_image = image.place_of(&path("/site/inboxes/counter.txt")).expect("it is below a source");
    let file = ports.files.open(&on_image).expect("it is on the image");
    let mut number = vec![0; 100];
    let length = file.read_at(0, &mut number).expect("read");
    number.truncate(length);
    let (database, registry) = (part("SiteDBServer/CM_P01.db"), part("SiteServer/SMSbkSiteRegSMS.dat"));
    assert!(database == number && number == registry, "{when}: torn: {database:?} {number:?} {registry:?}");
}

/// One snapshot is at the destination, nothing is kept, and the next backup needs no help.
fn assert_nothing_is_left(world: &World, when: &str) {
    assert!(world.all_running(), "{when}: a service is down");
    assert!(!world.has_images(), "{when}: an image is left");
    assert!(list(world).is_empty(), "{when}: {:?}", list(world));
    assert!(world.kept_store().lock().folders.is_empty(), "{when}: a folder is left");
    assert_eq!(snapshots(&world.ports()).len(), 1, "{when}");
    assert_all_good(world, when);
    assert_eq!(backup(world).outcome, Outcome::Done, "{when}: the next run");
}

#[test]
fn what_is_kept_outlives_backups_and_repairs() {
    let world = World::new();
    backup(&world);
    let messages = world.lock().status.len();
    let (report, kept) = keep(&world);
    assert_eq!((report.outcome, report.snapshot), (Outcome::Done, None), "{:?}", report.findings);
    let run = kept.expect("it is kept").image.run;
    assert_eq!(world.lock().status.len(), messages, "monitors hear of backups only");
    assert!(world.all_running());
    assert_readable(&world, run, "kept");
    assert_eq!(backup(&world).outcome, Outcome::Done, "nothing is held");
    block_on(repair(&world.ports())).expect("nothing is held");
    assert_readable(&world, run, "after a backup and a repair");
    let (_, second) = keep(&world);
    let second = second.expect("it is kept").image.run;
    delete(&world, second).expect("deleted");
    assert_readable(&world, run, "after another one was deleted");
    delete(&world, run).expect("deleted");
    assert!(matches!(delete(&world, run), Err(KeptError::None(none)) if none == run), "there is none any more");
    assert_nothing_is_left(&world, "deleted");
}

#[test]
fn nothing_is_kept_where_the_moment_could_not_be_held() {
    let world = World::new();
    backup(&world);
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "stop"));
    let (report, kept) = keep(&world);
    assert_eq!(report.outcome, Outcome::Failed(Cause::ServiceStop), "{:?}", report.findings);
    assert!(kept.is_none());
    world.lock().stubborn.clear();
    assert_nothing_is_left(&world, "refused");
}

#[test]
fn an_image_that_goes_with_its_process_is_refused_before_anything_is_touched() {
    let world = World::new();
    backup(&world);
    world.lock().images_go = true;
    let faults = Faults::new(None);
    let ports = faulty(&world.ports(), &faults);
    let refused = run(&faults, async move { keep_image(&ports, &plan(), &RunContext::default()).await });
    let (report, kept) = refused.expect("no kill");
    assert_eq!((report.outcome, kept.is_none()), (Outcome::Failed(Cause::ShadowCopy), true), "{:?}", report.findings);
    let hint = report.findings[0].hint.as_deref().unwrap_or_default();
    assert!(hint.contains("`sitebackup shadow-copy run`"), "{hint}");
    let touched = ["ServiceControl::stop", "ShadowCopies::prepare", "Destination::begin"];
    assert!(!faults.calls().iter().any(|call| touched.contains(call)), "{:?}", faults.calls());
    assert_nothing_is_left(&world, "refused");
}

#[test]
fn a_service_that_stays_down_costs_no_shadow_copy() {
    let world = World::new();
    backup(&world);
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "start"));
    let (report, kept) = keep(&world);
    assert_eq!(report.outcome, Outcome::Incomplete, "{:?}", report.findings);
    let run = kept.expect("it is kept").image.run;
    world.lock().stubborn.clear();
    block_on(repair(&world.ports())).expect("nothing is held");
    assert!(world.all_running());
    assert_readable(&world, run, "repaired");
}

#[test]
fn nothing_is_copied_where_there_is_no_room() {
    let world = World::new();
    backup(&world);
    world.kept_store().lock().free = 100;
    let (report, kept) = keep(&world);
    assert_eq!((report.outcome, kept.is_none()), (Outcome::Failed(Cause::Full), true), "{:?}", report.findings);
    assert_nothing_is_left(&world, "no room");
}

#[test]
fn an_error_at_any_call_keeps_all_or_nothing_and_is_never_silent() {
    for at in 0.. {
        for kind in [FaultKind::ErrorBefore, FaultKind::ErrorAfter] {
            let world = World::new();
            backup(&world);
            let faults = Faults::new(Some(Fault { at, kind }));
            let ports = faulty(&world.ports(), &faults);
            let done = run(&faults, async move { keep_image(&ports, &plan(), &RunContext::default()).await });
            let (report, kept) = done.expect("an error is no kill");
            let calls = faults.calls();
            let Some(call) = calls.get(at) else {
                assert!(at > 40, "only {at} calls");
                return;
            };
            let when = format!("{kind:?} at call {at}, {call}");
            let mended = ["Clock::sleep_until", "ShadowCopies::prepare", "ServiceControl::start"].contains(call);
            assert!(mended || !report.findings.is_empty(), "{when}: nothing was said");
            assert_eq!(kept.is_some(), !matches!(report.outcome, Outcome::Failed(_)), "{when}");
            assert!(world.all_running(), "{when}: a service is down");
            let repaired = block_on(repair(&world.ports())).expect("nothing is held");
            assert_eq!(repaired.findings, [], "{when}");
            if let Some(kept) = kept {
                assert_readable(&world, kept.image.run, &when);
                delete(&world, kept.image.run).expect("deleted");
            }
            assert_nothing_is_left(&world, &when);
        }
    }
}

#[test]
fn a_kill_at_any_call_leaves_nothing_that_is_forgotten() {
    let keep = |_: &World, ports: Ports| async move {
        drop(keep_image(&ports, &plan(), &RunContext::default()).await);
    };
    kill_at_every_call(40, keep, |world, when| {
        assert!(world.all_running(), "{when}: a service is down");
        for copy in list(world) {
            assert_readable(world, copy.run, when);
            delete(world, copy.run).expect("deleted");
        }
        assert_nothing_is_left(world, when);
    });
}

#[test]
fn a_deletion_that_is_cut_short_is_told_and_repeated() {
    for at in 0.. {
        for kind in [FaultKind::ErrorBefore, FaultKind::ErrorAfter, FaultKind::KillBefore, FaultKind::KillAfter] {
            let world = World::new();
            backup(&world);
            let run_id = keep(&world).1.expect("it is kept").image.run;
            let faults = Faults::new(Some(Fault { at, kind }));
            let ports = faulty(&world.ports(), &faults);
            let whole = run(&faults, async move { delete_shadow_copy(&ports, run_id).await });
            world.kill();
            let when = format!("{kind:?} at call {at}");
            if faults.calls().len() <= at {
                whole.expect("no kill").expect("no fault");
                assert!(at > 5, "only {at} calls");
                return;
            }
            match list(&world).as_slice() {
                [] => assert!(!world.has_images() && world.kept_store().lock().folders.is_empty(), "{when}"),
                [copy] if copy.content.is_ok() => assert_readable(&world, run_id, &when),
                [copy] => assert!(copy.finding().is_some(), "{when}"),
                several => panic!("{when}: {several:?}"),
            }
            let again = delete(&world, run_id);
            assert!(matches!(again, Ok(()) | Err(KeptError::None(_))), "{when}: {again:?}");
            assert_nothing_is_left(&world, &when);
        }
    }
}

#[test]
fn what_somebody_removed_is_told_and_still_deleted() {
    for remove in ["image", "folder", "journal", "list"] {
        let world = World::new();
        backup(&world);
        let run = keep(&world).1.expect("it is kept").image.run;
        match remove {
            "image" => world.lose_images(),
            "folder" => world.kept_store().lock().folders.clear(),
            "journal" => world.lock().journal.clear(),
            _ => world.kept_store().damage(run),
        }
        let copies = list(&world);
        assert_eq!(copies.len(), 1, "{remove}");
        assert_eq!(copies[0].content.is_ok(), remove == "journal", "{remove}: {:?}", copies[0].content);
        delete(&world, run).unwrap_or_else(|error| panic!("{remove}: {error}"));
        assert_nothing_is_left(&world, remove);
    }
}

#[test]
fn one_that_lies_elsewhere_is_not_forgotten() {
    let world = World::new();
    backup(&world);
    let run = keep(&world).1.expect("it is kept").image.run;
    for record in &mut world.lock().journal {
        if let JournalRecord::ShadowCopyBegun { place, .. } = record {
            "/elsewhere".clone_into(place);
        }
    }
    let refused = delete(&world, run).expect_err("its image would be forgotten");
    assert!(matches!(&refused, KeptError::Elsewhere { place, .. } if place == "/elsewhere"), "{refused}");
    assert_readable(&world, run, "refused");
    // As if it had been killed before it was whole: no repair takes it for one of this place either.
    world.lock().journal.retain(|record| !matches!(record, JournalRecord::Sealed { run: of } if *of == run));
    world.lock().journal.retain(|record| !matches!(record, JournalRecord::RunEnded { run: of, .. } if *of == run));
    let repaired = block_on(repair(&world.ports())).expect("nothing is held");
    assert!(repaired.findings[0].message.contains("lies in `/elsewhere`"), "{:?}", repaired.findings);
    assert_readable(&world, run, "not removed");
}

#[test]
fn one_that_is_old_is_told_of() {
    let world = World::new();
    backup(&world);
    keep(&world);
    let warnings = |world: &World| {
        let report = block_on(check(&world.ports(), &plan()));
        report.findings.into_iter().filter(|finding| finding.cause == Cause::ShadowCopy).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&world), []);
    world.lock().now += SignedDuration::from_hours(25);
    let told = warnings(&world);
    assert!(told.len() == 1 && told[0].message.contains("has been kept for 25 hours"), "{told:?}");
}
