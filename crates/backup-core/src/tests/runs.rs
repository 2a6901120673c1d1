//! Runs without injected faults: what they leave, and how bad input ends.

use super::*;
use crate::ports::commands::{CommandEnd, CommandOutcome};
use crate::ports::site_files::FileKind;
use crate::report::{AfterBackupEnd, Cause, Gravity, Outcome};

#[test]
fn a_run_leaves_one_whole_snapshot_of_one_moment() {
    let world = World::new();
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    assert!(report.outage >= report.freeze_window);
    assert!(world.all_running());
    assert_all_good(&world, "after the run");
    let listed = snapshots(&world.ports());
    assert_eq!(listed.len(), 1);
    assert!(listed[0].published);
    let ids: Vec<u32> = world.lock().status.iter().map(|message| message.id).collect();
    assert_eq!(ids, [5055, 5056, 5035]);
}

#[test]
fn the_log_says_what_monitors_look_for() {
    let world = World::new();
    backup(&world);
    let log = String::from_utf8(world.lock().kept_log.clone().expect("a log was kept")).expect("the log is text");
    assert!(log.contains("Backup completed"));
    assert!(log.contains("STATMSG: ID=5035 SEV=I"));
    let lines: Vec<&str> = log.lines().collect();
    let fourth = lines[lines.len() - 4];
    assert!(fourth.starts_with("Backup task completed successfully with zero errors  $$<SMS_SITE_BACKUP>"), "{fourth}");
}

#[test]
fn a_second_run_replaces_the_first_and_takes_over_what_is_unchanged() {
    let world = World::new();
    let first = backup(&world);
    let free = world.lock().free;
    let second = backup(&world);
    assert_eq!(second.outcome, Outcome::Done, "{:?}", second.findings);
    assert!(second.run > first.run);
    assert_all_good(&world, "after the second run");
    let runs: Vec<_> = snapshots(&world.ports()).iter().map(|snapshot| snapshot.run).collect();
    assert_eq!(runs, [second.run]);
    assert!(world.lock().free < free);
}

const KEPT: &str = "SiteServer/SMSServer/inboxes/b.box";

/// Of the same size: only the time of the stored file tells.
#[test]
fn what_was_altered_in_the_previous_snapshot_is_copied_anew_and_told() {
    let world = World::new();
    backup(&world);
    world.tamper(KEPT, b"##");
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    let told = |finding: &crate::report::Finding| finding.message.contains(KEPT) && finding.hint.is_some();
    assert!(report.findings.iter().any(told), "{:?}", report.findings);
    assert_all_good(&world, "after the next run");
    assert_eq!(backup(&world).findings.iter().filter(|finding| told(finding)).count(), 0, "it is right again");
}

#[test]
fn nothing_is_taken_over_when_nothing_is_to_be() {
    let world = World::new();
    let read = |no_reuse: bool| {
        let faults = crate::memory::Faults::new(None);
        let ports = crate::memory::faulty(&world.ports(), &faults);
        let context = RunContext { no_reuse, ..RunContext::default() };
        let report = crate::memory::run(&faults, async move { run_backup(&ports, &plan(), &context).await });
        assert_eq!(report.expect("no kill").outcome, Outcome::Done);
        faults.calls().iter().filter(|call| **call == "SiteFiles::open").count()
    };
    let first = read(false);
    assert!(read(false) < first, "what is unchanged is not read");
    assert_eq!(read(true), first, "all of it is read");
}

#[test]
fn a_site_that_was_wiped_takes_no_good_snapshots_place() {
    let world = World::new();
    (0..20).for_each(|n| world.lock().put(&format!("/site/data/{n}"), FileKind::File, b"x"));
    let good = backup(&world).snapshot.expect("published");
    world.lock().files.retain(|path, file| file.kind == FileKind::Directory || path.to_string().contains("counter"));
    for _ in 0..3 {
        let report = backup(&world);
        assert_eq!(report.outcome, Outcome::Incomplete);
        let told = |finding: &crate::report::Finding| finding.message.contains("last good snapshot");
        assert!(report.findings.iter().any(told), "{:?}", report.findings);
        let runs: Vec<_> = block_on(world.ports().destination.list()).expect("listed").iter().map(|s| s.run).collect();
        assert_eq!(runs, [good.run, report.run], "the good one stays beside it");
    }
    let context = RunContext { accept_smaller: true, ..RunContext::default() };
    assert_eq!(block_on(run_backup(&world.ports(), &plan(), &context)).outcome, Outcome::Done);
    assert_eq!(backup(&world).outcome, Outcome::Done);
    assert_eq!(block_on(world.ports().destination.list()).expect("listed").len(), 1);
}

#[test]
fn another_sites_snapshot_is_not_replaced_though_it_has_the_code() {
    let world = World::new();
    let first = backup(&world).snapshot.expect("published");
    world.lock().put("/other", FileKind::Directory, b"");
    world.lock().put("/other/x", FileKind::File, b"x");
    let mut other = BackupPlan { database: None, ..plan() };
    other.files.truncate(1);
    other.files[0].source.root = crate::tests::path("/other");
    let report = block_on(run_backup(&world.ports(), &other, &RunContext::default()));
    assert_eq!(report.outcome, Outcome::Failed(Cause::Foreign), "{:?}", report.findings);
    let runs: Vec<_> = block_on(world.ports().destination.list()).expect("listed").iter().map(|s| s.run).collect();
    assert_eq!(runs, [first.run]);
}

#[test]
fn a_destination_that_lost_its_snapshot_is_told() {
    let world = World::new();
    backup(&world);
    world.lock().folders.clear();
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Incomplete);
    assert!(
        report.findings.iter().any(|finding| finding.message.contains("none is there now")),
        "{:?}",
        report.findings
    );
    assert_eq!(backup(&world).outcome, Outcome::Done, "it is told once");
}

/// The test of the test: the same site backed up without a stop holds different numbers.
#[test]
fn without_the_stop_the_numbers_differ() {
    let world = World::new();
    let unfrozen = BackupPlan { stop: Vec::new(), start: Vec::new(), ..plan() };
    let torn = (0..20).any(|_| {
        let report = block_on(run_backup(&world.ports(), &unfrozen, &RunContext::default()));
        let snapshot = report.snapshot.expect("the run itself succeeds");
        let [database, file, registry] = counters(open(&world.ports(), &snapshot).as_ref());
        !(database == file && file == registry)
    });
    assert!(torn, "a site that is not stopped must show torn numbers");
}

#[test]
fn a_foreign_snapshot_is_never_replaced() {
    let world = World::new();
    world.put_foreign("P01Backup");
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Failed(Cause::Foreign));
    assert!(report.findings.iter().any(|finding| finding.hint.as_deref().is_some_and(|hint| hint.contains("product"))));
    assert!(world.has_folder("P01Backup"));
    assert!(world.all_running());
}

#[test]
fn a_damaged_snapshot_is_told_never_removed_and_takes_no_good_ones_place() {
    let world = World::new();
    backup(&world);
    world.lock().put("/site/inboxes/new.box", FileKind::File, b"new");
    world.lock().files.get_mut(&path("/site/inboxes/new.box")).expect("it is there").unreadable = true;
    let weaker = backup(&world);
    assert_eq!(weaker.outcome, Outcome::Incomplete);
    world.damage(weaker.run);
    let ports = world.ports();
    let damaged = |world: &World| block_on(world.ports().destination.damaged()).expect("memory looks");
    assert_eq!(damaged(&world)[0].run, weaker.run);
    let told = block_on(crate::check::check(&ports, &plan())).findings;
    assert!(told.iter().any(|finding| finding.message.contains("is damaged")), "{told:?}");
    let again = backup(&world);
    assert_eq!(again.outcome, Outcome::Incomplete);
    assert!(snapshots(&ports).iter().any(|snapshot| snapshot.manifest.weaker.is_empty()), "the good one stays");
    assert_eq!(damaged(&world)[0].run, weaker.run, "and so does the damaged one");
}

#[test]
fn a_damaged_database_makes_the_snapshot_weaker_and_keeps_the_good_one() {
    let world = World::new();
    let good = backup(&world);
    world.lock().database_faults = (0..9).map(|page| format!("page {page} is not a page")).collect();
    for _ in 0..2 {
        let report = backup(&world);
        assert_eq!(report.outcome, Outcome::Incomplete);
        let told = |text: &str| report.findings.iter().any(|f| f.cause == Cause::Database && f.message.contains(text));
        assert!(told("database CM_P01 is damaged: page 0") && told("and 4 more faults"), "{:?}", report.findings);
        assert!(!report.snapshot.expect("it is kept").manifest.weaker.is_empty());
        assert!(snapshots(&world.ports()).iter().any(|snapshot| snapshot.run == good.run), "the good one stays");
    }
    world.lock().database_faults.clear();
    assert_eq!(backup(&world).outcome, Outcome::Done);
    assert_eq!(snapshots(&world.ports()).len(), 1);
}

#[test]
fn a_full_destination_is_found_before_anything_is_stopped() {
    let world = World::new();
    world.lock().free = 1000;
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Failed(Cause::Full));
    assert_eq!(report.outage, std::time::Duration::ZERO);
}

#[test]
fn two_runs_at_once_are_refused() {
    let world = World::new();
    world.lock().locked = true;
    assert_eq!(backup(&world).outcome, Outcome::Failed(Cause::Busy));
    assert!(world.lock().journal.is_empty());
}

/// Two configurations with state folders of their own, and one destination.
#[test]
fn a_destination_takes_one_run_at_a_time() {
    let world = World::new();
    let good = backup(&world);
    let ports = world.ports();
    let other = block_on(
        ports
            .destination
            .hold(crate::ports::destination::Holder::Run(crate::snapshot::RunId(uuid::Uuid::from_u128(9)))),
    )
    .expect("free");
    let log = world.lock().kept_log.clone();
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Failed(Cause::Busy));
    assert!(report.findings[0].message.contains("run 00000000000000000000000000000009"), "{:?}", report.findings);
    assert_eq!(report.outage, std::time::Duration::ZERO);
    assert_eq!(world.lock().kept_log, log, "the log there is the other run's");
    assert_eq!(snapshots(&ports).iter().map(|snapshot| snapshot.run).collect::<Vec<_>>(), [good.run]);
    drop(other);
    assert_eq!(backup(&world).outcome, Outcome::Done);
    assert_eq!(world.lock().held, None, "given back");
}

/// The site comes first: services start although another run keeps the destination.
#[test]
fn a_repair_starts_services_while_the_destination_is_busy() {
    let (world, _) = with_stubborn_service("start");
    world.lock().stubborn.clear();
    let ports = world.ports();
    let other = block_on(ports.destination.hold(crate::ports::destination::Holder::Repair)).expect("free");
    let repaired = block_on(crate::repair::repair(&ports)).expect("nobody holds the journal");
    assert!(world.all_running());
    assert_eq!(repaired.findings.iter().map(|finding| finding.cause).collect::<Vec<_>>(), [Cause::Busy]);
    drop(other);
    let repaired = block_on(crate::repair::repair(&ports)).expect("nobody holds the journal");
    assert_eq!((repaired.unfinished.len(), repaired.findings), (1, Vec::new()), "it was left to be finished");
}

#[test]
fn a_file_that_cannot_be_read_makes_the_result_incomplete() {
    let world = World::new();
    backup(&world);
    world.lock().put("/site/inboxes/a.box", FileKind::File, b"changed, so that it is read");
    world.lock().files.get_mut(&path("/site/inboxes/a.box")).expect("it is there").unreadable = true;
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Incomplete);
    assert!(report.findings.iter().any(|finding| finding.message.contains("a.box")), "{:?}", report.findings);
    let snapshot = report.snapshot.expect("the rest is there");
    assert!(!snapshot.manifest.weaker.is_empty());
    let ids: Vec<u32> = world.lock().status.iter().map(|message| message.id).collect();
    assert_eq!(ids[3..], [5055, 5056, 5044], "5035 means zero errors");
    assert_eq!(snapshots(&world.ports()).len(), 2, "it does not take the place of a good one");
}

fn with_stubborn_service(action: &'static str) -> (World, BackupReport) {
    let world = World::new();
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), action));
    let report = backup(&world);
    (world, report)
}

#[test]
fn a_service_that_will_not_stop_ends_the_run_and_the_others_run_again() {
    let (world, report) = with_stubborn_service("stop");
    assert_eq!(report.outcome, Outcome::Failed(Cause::ServiceStop));
    assert!(world.all_running());
    assert!(snapshots(&world.ports()).is_empty());
}

#[test]
fn a_service_that_will_not_start_is_loud_and_left_to_repair() {
    let (world, report) = with_stubborn_service("start");
    assert_eq!(report.outcome, Outcome::Failed(Cause::ServiceStart));
    assert!(report.snapshot.is_some(), "the snapshot itself is good");
    assert!(!world.all_running());
    world.lock().stubborn.clear();
    let repaired = block_on(crate::repair::repair(&world.ports())).expect("nobody holds the journal");
    assert_eq!(repaired.started, ["SMS_EXECUTIVE"]);
    assert!(world.all_running());
}

/// Wishes to stop as soon as a phase begins.
#[derive(Debug)]
struct CancelAt(crate::event::Phase, crate::cancel::Cancel);

impl crate::event::EventSink for CancelAt {
    fn event(&self, event: &crate::event::Event) {
        if matches!(event, crate::event::Event::Phase(phase) if *phase == self.0) {
            self.1.cancel();
        }
    }
}

/// The calls of a run, and how it ended when somebody wishes to stop it at `phase`.
fn calls_until(phase: Option<crate::event::Phase>) -> (Vec<&'static str>, Outcome) {
    let world = World::new();
    let faults = crate::memory::Faults::new(None);
    let (mut ports, context) = (crate::memory::faulty(&world.ports(), &faults), RunContext::default());
    if let Some(phase) = phase {
        ports.events = std::sync::Arc::new(CancelAt(phase, context.cancel.clone()));
    }
    let report = crate::memory::run(&faults, async move { run_backup(&ports, &plan(), &context).await });
    (faults.calls(), report.expect("no kill").outcome)
}

#[test]
fn a_database_is_judged_when_nothing_waits_for_it_and_can_be_left_unjudged() {
    use crate::event::Phase;
    let (calls, outcome) = calls_until(None);
    let judged = calls.iter().position(|call| *call == "SiteDatabase::judge").expect("it is judged");
    let staged = calls.iter().rposition(|call| *call == "Staging::write").expect("documents are written");
    assert!(judged > staged && outcome == Outcome::Done, "{calls:?}");
    let (calls, outcome) = calls_until(Some(Phase::Copying));
    assert!(!calls.contains(&"SiteDatabase::judge") && outcome == Outcome::Failed(Cause::Interrupted), "{calls:?}");
    let (calls, outcome) = calls_until(Some(Phase::Verifying));
    assert!(calls.contains(&"SiteDatabase::judge") && outcome == Outcome::Failed(Cause::Interrupted), "{calls:?}");
    assert!(!calls.contains(&"Staging::walk"), "it stops before the seal: {calls:?}");
}

#[test]
fn a_cancelled_run_sets_the_site_going() {
    let world = World::new();
    let context = RunContext::default();
    context.cancel.cancel();
    let report = block_on(run_backup(&world.ports(), &plan(), &context));
    assert_eq!(report.outcome, Outcome::Failed(Cause::Interrupted));
    assert!(world.all_running());
    assert!(snapshots(&world.ports()).is_empty());
}

fn with_hook(code: i32, edit: Option<(&str, Option<&[u8]>)>) -> (World, BackupReport) {
    let world = World::new();
    backup(&world);
    let outcome = CommandOutcome { end: CommandEnd::Exit(code), output: b"hook\n".to_vec(), cut: false };
    world.lock().after_backup = Some(outcome);
    if let Some((path, content)) = edit {
        world.edit_in_hook(path, content);
    }
    let report = backup(&world);
    (world, report)
}

#[test]
fn after_backup_alone_never_changes_the_result() {
    let (world, report) = with_hook(7, None);
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(report.after_backup, Some(AfterBackupEnd::Failure(7)));
    assert!(report.findings.iter().any(|f| f.gravity == Gravity::Warning && f.message.contains("exit code 7")));
    let ids: Vec<u32> = world.lock().status.iter().map(|message| message.id).skip(3).collect();
    assert_eq!(ids, [5055, 5056, 5035, 5040, 5041]);
}

#[test]
fn what_after_backup_adds_enters_the_manifest() {
    let (world, report) = with_hook(0, Some(("Extra/list.txt", Some(b"added"))));
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    assert_all_good(&world, "with an addition");
    let listed = snapshots(&world.ports());
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].manifest.additions[0].path, place("Extra/list.txt"));
}

#[test]
fn what_after_backup_removes_is_loud_and_keeps_the_previous_snapshot() {
    let (world, report) = with_hook(0, Some(("SiteDBServer/CM_P01.db", None)));
    assert_eq!(report.outcome, Outcome::Incomplete);
    assert!(report.findings.iter().any(|finding| finding.message.contains("`SiteDBServer/CM_P01.db` is missing")));
    assert_eq!(snapshots(&world.ports()).len(), 2, "the previous one is kept");
}

#[test]
fn a_previous_snapshot_that_lost_a_file_costs_time_only() {
    let (world, report) = with_hook(0, Some(("SiteServer/SMSServer/inboxes/a.box", None)));
    assert_eq!(report.outcome, Outcome::Incomplete);
    assert!(!report.snapshot.expect("it is there").manifest.weaker.is_empty() || snapshots(&world.ports()).len() == 2);
    let ids: Vec<u32> = world.lock().status.iter().map(|message| message.id).skip(3).collect();
    assert_eq!(ids, [5055, 5056, 5035, 5040, 5044], "the damage is told after the success");
    let next = backup(&world);
    assert_eq!(next.outcome, Outcome::Done, "{:?}", next.findings);
    let listed = snapshots(&world.ports());
    assert_eq!(listed.len(), 1);
    assert_all_good(&world, "after the damage");
}

#[test]
fn commands_run_in_order_and_a_failing_one_is_loud() {
    let world = World::new();
    let task =
        |line: &str| crate::plan::CommandTask { line: line.to_owned(), output: Some(place(&format!("{line}.txt"))) };
    let plan = BackupPlan { commands: vec![task("one"), task("false")], ..plan() };
    let report = block_on(run_backup(&world.ports(), &plan, &RunContext::default()));
    assert_eq!(report.outcome, Outcome::Incomplete);
    assert_eq!(world.lock().commands, ["one", "false"]);
    assert_all_good(&world, "with commands");
}

#[test]
fn attributes_that_cannot_be_read_are_told() {
    for entry in ["/site/data/empty", "/site/data/link"] {
        let world = World::new();
        world.lock().files.get_mut(&path(entry)).expect("it is there").unreadable = true;
        let report = backup(&world);
        assert_eq!(report.outcome, Outcome::Incomplete, "{entry}");
        let told = format!("`{entry}`: backed up without its attributes");
        assert!(report.findings.iter().any(|finding| finding.message.starts_with(&told)), "{:?}", report.findings);
        assert_all_good(&world, "without attributes");
    }
}

#[test]
fn output_that_is_cut_is_told_and_a_kept_one_makes_the_result_weaker() {
    for (kept, outcome) in [(Some(place("endless.txt")), Outcome::Incomplete), (None, Outcome::Done)] {
        let world = World::new();
        let task = crate::plan::CommandTask { line: "endless".to_owned(), output: kept };
        let plan = BackupPlan { commands: vec![task], ..plan() };
        let report = block_on(run_backup(&world.ports(), &plan, &RunContext::default()));
        assert_eq!(report.outcome, outcome);
        assert!(report.findings.iter().any(|finding| finding.message.contains("and is cut")), "{:?}", report.findings);
    }
}

#[test]
fn a_tree_that_grows_is_followed() {
    let world = World::new();
    backup(&world);
    world.lock().put("/site/inboxes/new.box", FileKind::File, b"new");
    world.lock().files.remove(&path("/site/inboxes/a.box"));
    assert_eq!(backup(&world).outcome, Outcome::Done);
    let ports = world.ports();
    let files = open(&ports, &snapshots(&ports)[0]);
    let names: Vec<String> =
        block_on(files.walk()).expect("it walks").iter().map(|entry| entry.path.to_string()).collect();
    assert!(names.contains(&"SiteServer/SMSServer/inboxes/new.box".to_owned()));
    assert!(!names.contains(&"SiteServer/SMSServer/inboxes/a.box".to_owned()));
}
