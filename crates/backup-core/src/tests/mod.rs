//! The nine rules, on the in-memory ports.

mod ageing;
mod archiving;
mod batches;
mod dependents;
mod documents;
mod faults;
mod imaged;
mod keeping;
mod reading;
mod recovery;
mod restore_writers;
mod retries;
mod runs;
mod served;

use std::sync::Arc;

use crate::backup::{RunContext, run_backup};
use crate::config::{AfterBackupConfig, MomentChoice};
use crate::memory::{Fault, FaultKind, Faults, World, block_on, faulty, run};
use crate::path::{RelPath, SitePath};
use crate::plan::{BackupPlan, RegistryTask, ServiceStep};
use crate::ports::Ports;
use crate::ports::destination::{SnapshotFiles, StoredSnapshot};
use crate::ports::registry::RegistryKey;
use crate::ports::shadow_copies::{ImageSource, SessionLimits};
use crate::ports::site_files::FileSource;
use crate::repair::repair;
use crate::report::BackupReport;
use crate::retention::RetentionPolicy;
use crate::schedule::ScheduleZone;

fn path(text: &str) -> SitePath {
    SitePath::parse(text).expect("an absolute path")
}

fn place(text: &str) -> RelPath {
    RelPath::parse(text).expect("a plain path")
}

fn plan() -> BackupPlan {
    let source = |root: &str, target: &str| ImageSource {
        source: FileSource { root: path(root), exclude: Vec::new(), skip: Vec::new() },
        target: place(target),
    };
    let service = |name: &str| ServiceStep::Service(name.to_owned());
    BackupPlan {
        site: "P01".parse().expect("a site code"),
        in_hierarchy: false,
        files: vec![
            source("/site/inboxes", "SiteServer/SMSServer/inboxes"),
            source("/site/data", "SiteServer/SMSServer/data"),
        ],
        registry: vec![RegistryTask {
            key: RegistryKey::new(r"HKLM\SOFTWARE\Microsoft\SMS"),
            place: place("SiteServer/SMSbkSiteRegSMS.dat"),
        }],
        database: Some(place("SiteDBServer")),
        database_moment: MomentChoice::Same,
        is_product: false,
        stop: vec![service("SMS_SITE_COMPONENT_MANAGER"), service("SMS_EXECUTIVE")],
        // The executive is left to the component manager, as in the product: the run must start it all the same.
        start: vec![service("SMS_SITE_COMPONENT_MANAGER"), ServiceStep::Sleep(std::time::Duration::from_secs(1))],
        commands: Vec::new(),
        keep: vec![(place("sitebackup/site.toml"), b"version = 1\n".to_vec())],
        limits: SessionLimits::default(),
        retry: crate::config::RetryConfig::default(),
        after_backup: AfterBackupConfig::default(),
        keep_archived: RetentionPolicy::default(),
        zone: ScheduleZone::Utc,
        not_covered: Vec::new(),
        change_tracking_retention: None,
    }
}

fn backup(world: &World) -> BackupReport {
    block_on(run_backup(&world.ports(), &plan(), &RunContext::default()))
}

/// Kills what `act` does with the ports of a world with one snapshot, at every call and before or after its effect. Each time a repair finds
/// nothing to say, and then `judge` looks; there are more than `least` calls.
fn kill_at_every_call<F: Future<Output = ()> + 'static>(
    least: usize,
    act: impl Fn(&World, Ports) -> F,
    judge: impl Fn(&World, &str),
) {
    for at in 0.. {
        for kind in [FaultKind::KillBefore, FaultKind::KillAfter] {
            let world = World::new();
            backup(&world);
            let faults = Faults::new(Some(Fault { at, kind }));
            let done = run(&faults, act(&world, faulty(&world.ports(), &faults)));
            if done.is_some() && !faults.killed() {
                assert!(at > least, "only {at} calls");
                return;
            }
            let when = format!("{kind:?} at call {at}");
            world.kill();
            let repaired = block_on(repair(&world.ports())).expect("the dead hold no lock");
            assert_eq!(repaired.findings, [], "{when}");
            judge(&world, &when);
        }
    }
}

fn snapshots(ports: &Ports) -> Vec<StoredSnapshot> {
    block_on(ports.destination.list()).expect("memory lists")
}

fn open(ports: &Ports, snapshot: &StoredSnapshot) -> Arc<dyn SnapshotFiles> {
    block_on(ports.destination.open(snapshot.run)).expect("a listed snapshot opens")
}

/// The three numbers in a snapshot: database, file, registry.
fn counters(files: &dyn SnapshotFiles) -> [Vec<u8>; 3] {
    let read = |at: &str| crate::verify::read_small(files, &place(at)).expect("the part is there");
    let forms = ["CM_P01.db", "CM_P01.mdf"].map(|name| place("SiteDBServer").join(&place(name)));
    let file = forms.iter().find_map(|at| crate::verify::read_small(files, at).ok());
    let database = file.unwrap_or_else(|| read("SiteDBServer/CM_P01/rows"));
    [database, read("SiteServer/SMSServer/inboxes/counter.txt"), read("SiteServer/SMSbkSiteRegSMS.dat")]
}

/// Every listed snapshot is what its list says to the last byte, and a good one is of one moment.
fn assert_all_good(world: &World, when: &str) {
    let ports = world.ports();
    for snapshot in snapshots(&ports) {
        let files = open(&ports, &snapshot);
        let report = block_on(crate::verify::verify(&ports, Arc::clone(&files), Some(ports.registry.as_ref()), true));
        let report = report.unwrap_or_else(|error| panic!("{when}: a listed snapshot cannot be read: {error}"));
        assert_eq!(report.findings, [], "{when}");
        if !snapshot.manifest.weaker.is_empty() {
            continue;
        }
        let [database, file, registry] = counters(files.as_ref());
        assert!(database == file && file == registry, "{when}: torn: {database:?} {file:?} {registry:?}");
    }
}
