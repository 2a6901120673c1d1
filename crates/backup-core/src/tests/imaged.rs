//! Databases whose files are a part of the image: copied from there, put back as files, and never over others.

use super::*;
use crate::manifest::{Part, RecordKind};
use crate::memory::{Faults, faulty, run};
use crate::ports::database::{DatabaseForm, SetupOption};
use crate::ports::services::ServiceState;
use crate::ports::site_files::FileKind;
use crate::recover::{RecoverRequest, RecoveryEnd, RecoveryPorts, recover};
use crate::rehearse::{RehearsalPorts, RehearseRequest, rehearse};
use crate::report::{Cause, Finding, Gravity, Outcome, RecoveryReport};

const DATA: &str = "/site/db/CM_P01.mdf";
const LOG: &str = "/site/db/CM_P01_log.ldf";

fn world() -> World {
    let world = World::new();
    world.lock().database_form = DatabaseForm::Files;
    world
}

fn backed_up(world: &World) -> StoredSnapshot {
    let report = backup(world);
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    report.snapshot.expect("a snapshot")
}

/// Stopped, and without files.
fn wreck(world: &World) {
    let mut state = world.lock();
    state.services.values_mut().for_each(|state| *state = ServiceState::Stopped);
    state.files.retain(|file, _| !file.starts_with(&path("/site")));
}

fn stored(world: &World, snapshot: &StoredSnapshot, at: &str) -> Vec<u8> {
    crate::verify::read_small(open(&world.ports(), snapshot).as_ref(), &place(at)).expect("it is there")
}

fn recovered(world: &World, snapshot: &StoredSnapshot, request: &RecoverRequest) -> RecoveryReport {
    let ports = world.ports();
    block_on(recover(&RecoveryPorts::of(&ports, Vec::new()), open(&ports, snapshot), request)).expect("it can be read")
}

fn of_database(findings: &[Finding], gravity: Gravity) -> Vec<String> {
    let them = findings.iter().filter(|finding| finding.cause == Cause::Database && finding.gravity == gravity);
    them.map(|finding| format!("{} ({})", finding.message, finding.hint.as_deref().unwrap_or_default())).collect()
}

#[test]
fn its_files_are_copied_from_the_image_and_are_of_the_moment() {
    let world = world();
    let snapshot = backed_up(&world);
    assert_all_good(&world, "files of a server");
    let part = snapshot.manifest.database.clone().expect("a database part");
    assert_eq!((part.form, part.setup_option), (DatabaseForm::Files, SetupOption::Files));
    let origins = snapshot.manifest.origins.iter().filter(|origin| origin.part == Part::Database);
    let origins: Vec<(&str, String)> =
        origins.map(|origin| (origin.original.as_str(), origin.place.to_string())).collect();
    let places = ["SiteDBServer/CM_P01.mdf", "SiteDBServer/CM_P01_log.ldf"];
    assert_eq!(origins, [(DATA, places[0].to_owned()), (LOG, places[1].to_owned())]);
    let files = open(&world.ports(), &snapshot);
    let (_, records) = block_on(crate::verify::read_snapshot(files.as_ref())).expect("a list");
    let kinds =
        records.iter().filter(|record| record.kind == RecordKind::Database).map(|record| record.path.to_string());
    assert_eq!(kinds.collect::<Vec<_>>(), places);
    assert_eq!(stored(&world, &snapshot, places[1]), b"log");
}

/// The memory server leaves size and times as they were, as SQL Server does while it has its files open.
#[test]
fn nothing_of_them_is_taken_over_from_the_snapshot_before() {
    let world = world();
    world.lock().database = b"0123".to_vec();
    world.lock().services.values_mut().for_each(|state| *state = ServiceState::Stopped);
    backed_up(&world);
    world.lock().database = b"4567".to_vec();
    let snapshot = backed_up(&world);
    assert_eq!(stored(&world, &snapshot, "SiteDBServer/CM_P01.mdf"), b"4567");
}

/// Whether its server has said which they are, or only the image's maker knows.
#[test]
fn a_source_that_holds_them_does_not_copy_them_as_ordinary_files() {
    for remarks in [vec![], vec!["the server could not be asked".to_owned()]] {
        let world = world();
        world.lock().database_remarks = remarks;
        let mut plan = plan();
        plan.files[1].source.root = path("/site/db");
        world.lock().put("/site/db", FileKind::Directory, b"");
        world.lock().put("/site/db/readme", FileKind::File, b"of others");
        let report = block_on(run_backup(&world.ports(), &plan, &RunContext::default()));
        assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
        let files = open(&world.ports(), &report.snapshot.expect("a snapshot"));
        let (_, records) = block_on(crate::verify::read_snapshot(files.as_ref())).expect("a list");
        let names: Vec<String> = records.iter().map(|record| record.path.to_string()).collect();
        assert!(names.contains(&"SiteServer/SMSServer/data/readme".to_owned()), "{names:?}");
        assert_eq!(names.iter().filter(|name| name.contains("CM_P01")).count(), 2, "{names:?}");
    }
}

#[test]
fn a_file_that_is_missing_in_the_image_ends_the_run_and_is_named() {
    let world = world();
    let good = backed_up(&world);
    world.lock().is_torn = true;
    let report = backup(&world);
    assert_eq!(report.outcome, Outcome::Failed(Cause::Database), "{:?}", report.findings);
    let said = of_database(&report.findings, Gravity::Error).concat();
    assert!(said.contains(&format!("database CM_P01: `{LOG}` could not be read at `/")), "{said}");
    assert!(world.all_running());
    let left = snapshots(&world.ports());
    assert_eq!(left.iter().map(|left| left.run).collect::<Vec<_>>(), [good.run]);
}

#[test]
fn a_file_of_the_server_that_its_writer_does_not_name_ends_the_run_before_a_service_is_stopped() {
    let world = world();
    world.lock().database_more = vec![path("/other/more.ndf")];
    let faults = Faults::new(None);
    let ports = faulty(&world.ports(), &faults);
    let report =
        run(&faults, async move { run_backup(&ports, &plan(), &RunContext::default()).await }).expect("no kill");
    assert_eq!(report.outcome, Outcome::Failed(Cause::Database), "{:?}", report.findings);
    let said = of_database(&report.findings, Gravity::Error).concat();
    assert!(said.contains(r"component `machine\CM_P01` cannot be backed up: it would be torn"), "{said}");
    assert!(!faults.calls().contains(&"ServiceControl::stop"), "{:?}", faults.calls());
}

#[test]
fn they_come_back_where_they_were_and_it_is_said_how_to_attach_them() {
    let world = world();
    let snapshot = backed_up(&world);
    wreck(&world);
    let report = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!(report.end(), RecoveryEnd::Whole, "{:?}", report.findings);
    assert_eq!(world.lock().files[&path(LOG)].content, b"log");
    let said = of_database(&report.findings, Gravity::Note).concat();
    let attach = format!("CREATE DATABASE [CM_P01] ON (FILENAME = N'{DATA}'), (FILENAME = N'{LOG}') FOR ATTACH");
    assert!(said.contains(&attach) && said.contains("BackupLocation"), "{said}");
    // Repeated, it finds all of them as they are to be.
    let again = recovered(&world, &snapshot, &RecoverRequest::default());
    assert_eq!((again.end(), again.written), (RecoveryEnd::Whole, 1), "the registry alone: {:?}", again.findings);
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let world = world();
    let snapshot = backed_up(&world);
    wreck(&world);
    // As old as can be, and of the same size: what an attached database looks like.
    world.lock().put(LOG, FileKind::File, b"LOG");
    world.lock().files.get_mut(&path(LOG)).expect("put").changed = crate::ports::site_files::FileTime(0, 0);
    for overwrite_newer in [false, true] {
        let request = RecoverRequest { overwrite_newer, ..RecoverRequest::default() };
        let report = recovered(&world, &snapshot, &request);
        assert_eq!(report.end(), RecoveryEnd::Refused);
        let said = of_database(&report.findings, Gravity::Error).concat();
        assert!(said.contains(&format!("`{LOG}` is there")) && said.contains("detach"), "{said}");
        let state = world.lock();
        assert_eq!(state.files[&path(LOG)].content, b"LOG");
        assert!(!state.files.contains_key(&path(DATA)) && !state.files.contains_key(&path("/site/inboxes/a.box")));
    }
    let elsewhere = RecoverRequest { to: Some(path("/elsewhere")), ..RecoverRequest::default() };
    assert_eq!(recovered(&world, &snapshot, &elsewhere).end(), RecoveryEnd::Whole);
    assert!(
        world
            .lock()
            .files
            .keys()
            .any(|file| file.to_string().starts_with("/elsewhere/") && file.name() == Some(b"CM_P01.mdf"))
    );
}

#[test]
fn a_rehearsal_judges_each_file_and_says_what_it_cannot() {
    let world = world();
    let snapshot = backed_up(&world);
    let ports = world.ports();
    let rehearsed = || {
        block_on(rehearse(&RehearsalPorts::of(&ports), open(&ports, &snapshot), &RehearseRequest::default()))
            .expect("rehearsed")
    };
    let report = rehearsed();
    assert!(of_database(&report.findings, Gravity::Error).is_empty(), "{:?}", report.findings);
    let said = of_database(&report.findings, Gravity::Note).concat();
    assert!(said.contains("whether a server attaches them was not tried"), "{said}");
    world.lock().database_faults = vec!["its first page is none".to_owned()];
    let faults = of_database(&rehearsed().findings, Gravity::Error);
    assert_eq!(faults, [DATA, LOG].map(|file| format!("{file}: its first page is none ()")));
}

#[test]
fn remarks_on_the_database_are_told() {
    let world = world();
    world.lock().database_remarks = vec!["the server could not be asked".to_owned()];
    let report = block_on(crate::check::check(&world.ports(), &plan()));
    assert!(of_database(&report.findings, Gravity::Note).concat().contains("could not be asked"), "{report:?}");
    assert!(of_database(&backup(&world).findings, Gravity::Note).concat().contains("could not be asked"));
}
