//! Applications that hear of a recovery in place.

use std::sync::Mutex;

use async_trait::async_trait;

use super::recovery::wrecked;
use super::*;
use crate::memory::{Fault, FaultKind, Faults, MemoryRestores, faulty, faulty_restore_writer, run};
use crate::ports::restores::{RestoreStatus, RestoreWriter};
use crate::ports::shadow_copies::{WriterError, WriterLevel, WriterMetadata};
use crate::recover::{RecoverRequest, RecoveryEnd, RecoveryPorts, recover};
use crate::report::{Cause, RecoveryReport};

/// An application that reads the site's files, and must not while they are put back.
#[derive(Debug)]
struct Reading {
    name: &'static str,
    level: WriterLevel,
    world: World,
    heard: Mutex<Vec<String>>,
    vetoes: bool,
}

fn files(world: &World) -> usize {
    world.lock().files.keys().filter(|file| file.starts_with(&path("/site"))).count()
}

impl Reading {
    fn new(world: &World, vetoes: bool) -> Arc<Self> {
        let (heard, level) = (Mutex::default(), WriterLevel::FrontEnd);
        Arc::new(Self { name: "reports", level, world: world.clone(), heard, vetoes })
    }

    fn hear(&self, what: &str) {
        self.heard.lock().expect("no panic").push(what.to_owned());
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }

    /// Whether it was told that it may work again since it was last told to get out of the way.
    fn works(&self) -> bool {
        self.heard().last().is_none_or(|last| last != "PreRestore")
    }
}

#[async_trait]
impl RestoreWriter for Reading {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        Ok(WriterMetadata { name: self.name.to_owned(), level: self.level, ..WriterMetadata::default() })
    }

    async fn pre_restore(&self) -> Result<(), WriterError> {
        self.hear("PreRestore");
        if self.vetoes { Err(WriterError::new("somebody works with it")) } else { Ok(()) }
    }

    async fn post_restore(&self, status: RestoreStatus) -> Result<(), WriterError> {
        assert!(status != RestoreStatus::All || files(&self.world) > 0, "it hears that all of it is there");
        self.hear(&format!("{status:?}"));
        Ok(())
    }
}

fn telling(ports: &Ports, writer: Arc<dyn RestoreWriter>) -> RecoveryPorts {
    let restores = Some(Arc::new(MemoryRestores) as _);
    RecoveryPorts { restores, restore_writers: vec![writer], ..RecoveryPorts::of(ports, vec![]) }
}

fn recovered(world: &World, snapshot: &StoredSnapshot, reading: &Arc<Reading>) -> RecoveryReport {
    let ports = world.ports();
    let recovery = telling(&ports, Arc::clone(reading) as _);
    let request = RecoverRequest::default();
    block_on(recover(&recovery, open(&ports, snapshot), &request)).expect("the snapshot can be read")
}

#[test]
fn it_hears_before_and_after() {
    let (world, snapshot) = wrecked();
    let reading = Reading::new(&world, false);
    let report = recovered(&world, &snapshot, &reading);
    assert_eq!(report.end(), RecoveryEnd::Whole, "{:?}", report.findings);
    assert_eq!(reading.heard(), ["PreRestore", "All"]);
}

#[test]
fn a_veto_ends_it_before_anything_is_written() {
    let (world, snapshot) = wrecked();
    let reading = Reading::new(&world, true);
    let report = recovered(&world, &snapshot, &reading);
    assert_eq!(report.end(), RecoveryEnd::Refused);
    let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
    assert_eq!(finding.message, "writer `reports` failed in PreRestore: somebody works with it");
    assert_eq!((reading.heard(), files(&world)), (vec!["PreRestore".to_owned(), "Nothing".to_owned()], 0));
    let records = block_on(world.ports().journal.read()).expect("it can be read");
    assert!(crate::recover::half_recovered(&records).is_none(), "nothing was begun");
}

#[test]
fn a_recovery_elsewhere_is_no_news_for_it() {
    let (world, snapshot) = wrecked();
    let reading = Reading::new(&world, false);
    let recovery = telling(&world.ports(), Arc::clone(&reading) as _);
    let request = RecoverRequest { to: Some(path("/elsewhere")), ..RecoverRequest::default() };
    let files = open(&world.ports(), &snapshot);
    let report = block_on(recover(&recovery, files, &request)).expect("the snapshot can be read");
    assert_eq!((report.end(), reading.heard()), (RecoveryEnd::Whole, Vec::new()), "{:?}", report.findings);
}

/// An error or a kill at every call: nothing is written behind its back, it hears of each error, and a second attempt ends well.
#[test]
fn whatever_strikes_it_is_told() {
    for kind in [FaultKind::ErrorBefore, FaultKind::ErrorAfter, FaultKind::KillBefore, FaultKind::KillAfter] {
        for at in 0.. {
            let when = format!("{kind:?} at call {at}");
            let (world, snapshot) = wrecked();
            let reading = Reading::new(&world, false);
            let faults = Faults::new(Some(Fault { at, kind }));
            let ports = faulty(&world.ports(), &faults);
            let recovery = telling(&ports, faulty_restore_writer(&(Arc::clone(&reading) as _), &faults));
            let snapshot_files = open(&world.ports(), &snapshot);
            let request = RecoverRequest::default();
            let report = run(&faults, async move { recover(&recovery, snapshot_files, &request).await });
            world.kill();
            let struck = faults.calls().get(at).copied();
            assert!(files(&world) == 0 || !reading.heard().is_empty(), "{when}: written behind its back");
            if let Some(Ok(report)) = &report {
                let unheard = struck == Some("RestoreWriter::post_restore") && kind == FaultKind::ErrorBefore;
                assert!(reading.works() || unheard, "{when}: {:?}", reading.heard());
                let of_writers = struck.is_some_and(|call| call.starts_with("RestoreWriter"));
                let told = report.findings.iter().any(|finding| finding.cause == Cause::Recovery);
                assert!(told || !of_writers, "{when}: nothing was said");
                let whole = report.end() == RecoveryEnd::Whole;
                assert!(!whole || reading.heard() == ["PreRestore", "All"], "{when}: {:?}", reading.heard());
            }
            let again = recovered(&world, &snapshot, &reading);
            assert_eq!(again.end(), RecoveryEnd::Whole, "{when}: {:?}", again.findings);
            assert_eq!(reading.heard().last().map(String::as_str), Some("All"), "{when}");
            if struck.is_none() {
                break;
            }
        }
    }
}
