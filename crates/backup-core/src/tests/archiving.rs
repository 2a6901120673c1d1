//! The archive at the end of a run, and retention there.

use super::*;
use crate::cancel::Cancel;
use crate::event::{Event, EventSink, Phase};
use crate::ports::archive::{SealedSnapshot, SnapshotArchiveError};
use crate::ports::commands::{AfterBackupContext, CommandEnd, CommandError, CommandLine, CommandOutcome, Commands};
use crate::ports::database::{DatabaseForm, DatabaseMoment};
use crate::report::{Cause, Gravity, Outcome};

/// A plan that keeps two snapshots.
fn keeping() -> BackupPlan {
    BackupPlan { keep_archived: RetentionPolicy { last: 2, ..RetentionPolicy::default() }, ..plan() }
}

fn archived_backup(world: &World, plan: &BackupPlan, context: &RunContext) -> BackupReport {
    block_on(run_backup(&Ports { archive: Some(world.archive()), ..world.ports() }, plan, context))
}

fn run_of(world: &World) -> BackupReport {
    archived_backup(world, &keeping(), &RunContext::default())
}

fn ids(world: &World) -> Vec<String> {
    world.archived().into_iter().map(|archived| archived.id).collect()
}

/// The report, and that the published snapshot is as if there were no archive.
#[track_caller]
fn assert_published(world: &World, report: &BackupReport, cause: Cause, words: &str) {
    let broken_off = Outcome::Failed(Cause::Interrupted);
    let outcome = if cause == Cause::Interrupted { broken_off } else { Outcome::Incomplete };
    assert_eq!(report.outcome, outcome, "{:?}", report.findings);
    let errors: Vec<_> = report.findings.iter().filter(|finding| finding.gravity == Gravity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].cause == cause && errors[0].message.contains(words), "{errors:?}");
    let listed = snapshots(&world.ports());
    assert_eq!(listed.len(), 1, "the one before it has gone");
    assert!(listed[0].published && listed[0].run == report.run && listed[0].manifest.weaker.is_empty(), "{listed:?}");
    let told: Vec<u32> = world.lock().status.iter().rev().map(|message| message.id).take(2).collect();
    assert_eq!(told, [5045, 5035], "5035 tells of the snapshot, and the archive has a message of its own");
    assert_all_good(world, words);
}

#[test]
fn a_run_archives_what_it_published() {
    let world = World::new();
    world.edit_in_hook("added.txt", Some(b"by AfterBackup"));
    world.lock().after_backup = Some(CommandOutcome { end: CommandEnd::Exit(0), output: Vec::new(), cut: false });
    let report = run_of(&world);
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    let archived = report.archived.expect("it was archived");
    assert!(archived.added > 0 && archived.forgotten.is_empty());
    assert_eq!(ids(&world), std::slice::from_ref(&archived.id));
    let files = block_on(world.archive().open(&archived.id)).expect("it is there");
    let (manifest, records) = block_on(crate::verify::read_snapshot(&*files)).expect("whole");
    assert_eq!(manifest.run, report.run);
    assert!(records.iter().any(|record| record.path == place("added.txt")), "what AfterBackup added is in it");
    assert_eq!(snapshots(&world.ports())[0].run, report.run);
}

#[test]
fn a_site_without_an_archive_is_backed_up_as_ever() {
    let world = World::new();
    let report = backup(&world);
    assert_eq!((report.outcome, report.archived), (Outcome::Done, None));
    assert!(world.archived().is_empty());
}

#[test]
fn retention_lets_go_of_what_no_rule_asks_for_and_of_nothing_else() {
    let world = World::new();
    let first = run_of(&world).archived.expect("archived").id;
    let at = |text: &str| text.parse().expect("a timestamp");
    for (site, moment, is_good, is_pinned) in [
        ("P01", "2026-01-05T02:00:00Z", true, true),
        ("P01", "2026-01-06T02:00:00Z", true, false),
        ("P02", "2026-01-06T02:00:00Z", true, false),
        ("p01", "2026-01-06T02:00:00Z", true, false),
    ] {
        world.put_archived(site, at(moment), is_good, is_pinned);
    }
    let [_, pinned, old, other, another] = <[String; 5]>::try_from(ids(&world)).expect("five");
    let second = run_of(&world).archived.expect("archived");
    assert_eq!(second.forgotten, std::slice::from_ref(&old));
    assert_eq!(ids(&world), [first, pinned, other, another, second.id]);
    let log = String::from_utf8(world.lock().kept_log.clone().expect("kept")).expect("text");
    assert!(log.contains(&format!("Archived snapshot {} of", &old[..12])), "{log}");
}

/// With no rule nothing is even listed.
#[test]
fn without_a_rule_nothing_goes() {
    let world = World::new();
    world.lock().archive.damaged = vec!["snapshots/x".to_owned()];
    for _ in 0..3 {
        assert_eq!(archived_backup(&world, &plan(), &RunContext::default()).outcome, Outcome::Done);
    }
    assert_eq!(ids(&world).len(), 3);
}

#[test]
fn weaker_snapshots_never_push_out_the_last_good_one() {
    let world = World::new();
    let good = run_of(&world).archived.expect("archived").id;
    world.lock().database_weaker = vec!["its moment is another one".to_owned()];
    for _ in 0..4 {
        assert_eq!(run_of(&world).outcome, Outcome::Incomplete);
    }
    let left = world.archived();
    assert!(left.iter().any(|archived| archived.id == good) && left.len() == 3, "{left:?}");
}

#[test]
fn what_is_not_as_it_was_sealed_is_not_archived() {
    let world = World::new();
    let before = run_of(&world).archived.expect("archived").id;
    world.edit_in_hook("SiteServer/SMSServer/inboxes/b.box", None);
    world.lock().after_backup = Some(CommandOutcome { end: CommandEnd::Exit(0), output: Vec::new(), cut: false });
    let (report, calls) = faulty_run(&world, None);
    assert_eq!((report.outcome, &report.archived), (Outcome::Incomplete, &None));
    let told =
        |finding: &crate::report::Finding| finding.message.contains("was not archived: it is not as it was sealed");
    assert!(report.findings.iter().any(told), "{:?}", report.findings);
    assert!(!calls.contains(&"SnapshotArchive::store"), "{calls:?}");
    assert_eq!(ids(&world), [before]);
}

/// A file that rotted where AfterBackup's walk does not look: the archive compares it with the list.
#[test]
fn the_double_refuses_what_is_unlike_its_list() {
    let world = World::new();
    let snapshot = backup(&world).snapshot.expect("published");
    let (manifest, records) = block_on(crate::verify::read_snapshot(&*open(&world.ports(), &snapshot))).expect("whole");
    world.tamper("SiteServer/SMSServer/inboxes/b.box", b"##");
    let sealed = SealedSnapshot { folder: snapshot.folder, manifest, records };
    let stored = block_on(world.archive().store(sealed, snapshot.manifest.moment, &Cancel::default()));
    assert!(matches!(stored, Err(SnapshotArchiveError::Snapshot(_))), "{stored:?}");
    assert!(world.archived().is_empty());
}

#[test]
fn who_wishes_to_stop_is_heard_before_anything_is_archived() {
    let world = World::new();
    run_of(&world);
    // Runs after the publish, as a signal in the last minute does.
    let context = RunContext::default();
    let ports = Ports { archive: Some(world.archive()), ..world.ports() };
    let hook = Arc::new(CancellingHook(world.clone(), context.cancel.clone()));
    let report = block_on(run_backup(&Ports { commands: hook, ..ports }, &keeping(), &context));
    assert_published(&world, &report, Cause::Interrupted, "interrupted");
    assert_eq!(ids(&world).len(), 1);
    assert_eq!(run_of(&world).outcome, Outcome::Done, "the next run archives anew");
    assert_eq!(ids(&world).len(), 2);
}

#[derive(Debug)]
struct CancellingHook(World, Cancel);

#[async_trait::async_trait]
impl Commands for CancellingHook {
    async fn run(&self, command: &CommandLine) -> Result<CommandOutcome, CommandError> {
        self.0.run(command).await
    }
    async fn after_backup(&self, _context: &AfterBackupContext) -> Result<Option<CommandOutcome>, CommandError> {
        self.1.cancel();
        Ok(None)
    }
}

/// Copying, AfterBackup and the archive may each take hours.
#[test]
fn a_service_that_is_down_is_told_as_soon_as_that_is_known() {
    let down = || {
        let world = World::new();
        world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "start"));
        world.lock().after_backup = Some(CommandOutcome { end: CommandEnd::Exit(0), output: Vec::new(), cut: false });
        world.lock().archive.damaged = vec!["`snapshots/x` is damaged".to_owned()];
        world
    };
    let told = |world: &World| world.lock().status.iter().map(|message| message.id).collect::<Vec<_>>();
    let world = down();
    let (report, calls) = faulty_run(&world, None);
    assert_eq!(report.outcome, Outcome::Failed(Cause::ServiceStart));
    assert!(report.archived.is_some());
    assert_eq!(told(&world), [5055, 5056, 5024, 5040, 5045], "and nothing that would be said of the snapshot");
    let of_it = calls.iter().enumerate().filter(|(_, call)| **call == "StatusLog::append").nth(2).expect("the third");
    assert!(Some(of_it.0) < calls.iter().position(|call| *call == "DatabaseCopy::finish"), "{calls:?}");

    let world = down();
    world.lock().database_weaker = vec!["its moment is another one".to_owned()];
    assert_eq!(run_of(&world).outcome, Outcome::Failed(Cause::ServiceStart));
    assert_eq!(told(&world), [5055, 5056, 5024, 5044, 5040, 5045], "the snapshot is weaker, too");

    let world = down();
    let held =
        BackupPlan { database_moment: MomentChoice::HoldServices(std::time::Duration::from_secs(600)), ..plan() };
    {
        let mut state = world.lock();
        (state.database_form, state.database_moment) = (DatabaseForm::Native, DatabaseMoment::End);
    }
    assert_eq!(block_on(run_backup(&world.ports(), &held, &RunContext::default())).outcome, report.outcome);
    assert_eq!(told(&world), [5055, 5056, 5024, 5040], "once it need not be at rest any more");
}

/// A service that came up while the site was copied is down no longer.
#[test]
fn a_service_that_starts_late_costs_no_good_run() {
    let world = World::new();
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "start"));
    let ports = Ports { events: Arc::new(Mending(world.clone())), ..world.ports() };
    let report = block_on(run_backup(&ports, &plan(), &RunContext::default()));
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    let told: Vec<u32> = world.lock().status.iter().map(|message| message.id).collect();
    assert_eq!(told, [5055, 5056, 5024, 5035]);
}

/// Whatever keeps services from starting is gone when the snapshot is published.
#[derive(Debug)]
struct Mending(World);

impl EventSink for Mending {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Phase(Phase::Publishing)) {
            self.0.lock().stubborn.clear();
        }
    }
}

#[test]
fn while_a_snapshot_cannot_be_read_nothing_goes() {
    let world = World::new();
    run_of(&world);
    world.put_archived("P01", "2026-01-06T02:00:00Z".parse().expect("a timestamp"), true, false);
    world.lock().archive.damaged = vec!["`snapshots/x` is damaged".to_owned()];
    let report = run_of(&world);
    assert_published(&world, &report, Cause::ArchiveDamaged, "`snapshots/x` is damaged");
    assert!(report.archived.expect("it was archived all the same").forgotten.is_empty());
    assert_eq!(ids(&world).len(), 3);
    world.lock().archive.damaged.clear();
    assert_eq!(run_of(&world).archived.expect("archived").forgotten.len(), 2);
}

#[test]
fn damage_that_a_store_meets_is_told() {
    let world = World::new();
    world.lock().archive.damaged_packs = vec!["`packs/x` is damaged".to_owned()];
    let report = run_of(&world);
    assert_published(&world, &report, Cause::ArchiveDamaged, "`packs/x` is damaged");
    assert_eq!(ids(&world).len(), 1);
}

#[test]
fn a_key_that_only_stores_leaves_retention_to_others() {
    let world = World::new();
    for _ in 0..4 {
        let ports = Ports { archive: Some(world.archive_for_writing()), ..world.ports() };
        let report = block_on(run_backup(&ports, &keeping(), &RunContext::default()));
        assert_eq!(report.outcome, Outcome::Done);
        assert!(report.findings.iter().any(|finding| finding.message.contains("only stores")), "{:?}", report.findings);
    }
    assert_eq!(ids(&world).len(), 4);
}

/// Every call on the archive, one after the other, fails once.
#[test]
fn whatever_fails_in_the_archive_leaves_the_snapshot_and_is_made_up_for() {
    for (call, words) in [
        ("SnapshotArchive::store", "was not archived"),
        ("SnapshotArchive::list", "retention was not applied"),
        ("SnapshotArchive::forget", "retention was not applied"),
    ] {
        for kind in [FaultKind::ErrorBefore, FaultKind::ErrorAfter] {
            // Each world is like the other one, call by call.
            let calls = faulty_run(&with_one_to_go(), None).1;
            let at = calls.iter().position(|name| *name == call).expect("it is called");
            let world = with_one_to_go();
            let before = ids(&world);
            let report = faulty_run(&world, Some(Fault { at, kind })).0;
            assert_published(&world, &report, Cause::Archive, words);
            assert!(ids(&world).len() >= 2, "{call}, {kind:?}");
            if call == "SnapshotArchive::store" {
                assert_eq!(ids(&world)[..3], before[..], "after a store that failed nothing goes");
            }
            assert_eq!(run_of(&world).outcome, Outcome::Done, "{call}, {kind:?}");
            assert_eq!(ids(&world).len(), 2, "{call}, {kind:?}: {:?}", world.archived());
        }
    }
}

/// Three archived snapshots, of which the next run's retention lets go of the oldest, and of one of the others.
fn with_one_to_go() -> World {
    let world = World::new();
    (0..2).for_each(|_| drop(run_of(&world)));
    world.put_archived("P01", "2026-01-06T02:00:00Z".parse().expect("a timestamp"), true, false);
    world
}

fn faulty_run(world: &World, fault: Option<Fault>) -> (BackupReport, Vec<&'static str>) {
    let faults = Faults::new(fault);
    let ports = faulty(&Ports { archive: Some(world.archive()), ..world.ports() }, &faults);
    let report = run(&faults, async move { run_backup(&ports, &keeping(), &RunContext::default()).await });
    (report.expect("an error is no kill"), faults.calls())
}
