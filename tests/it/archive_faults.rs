//! A run whose archive fails at any call on its storage: the published snapshot and what was archived before it stay whole, and the next run makes up for it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archive::crypto::ReadKey;
use archive::storage::Storage;
use archive::storage::faults::{Call, Fault, FaultKind, FaultyStorage};
use archive::storage::memory::MemoryStorage;
use archive::{Key, ReadData, Repository, RepositoryArchive};
use backup_core::backup::{RunContext, run_backup};
use backup_core::cancel::Cancel;
use backup_core::config::{AfterBackupConfig, MomentChoice, RetryConfig};
use backup_core::memory::World;
use backup_core::path::{RelPath, SitePath};
use backup_core::plan::BackupPlan;
use backup_core::ports::Ports;
use backup_core::ports::shadow_copies::{ImageSource, SessionLimits};
use backup_core::ports::site_files::{FileKind, FileSource};
use backup_core::report::{BackupReport, Outcome};
use backup_core::retention::RetentionPolicy;
use backup_core::schedule::ScheduleZone;
use backup_core::verify::verify;
use host::destination::LocalDestination;
use host::files::LocalSiteFiles;
use tempfile::TempDir;
use tests::noise;

/// Archived snapshots that retention keeps.
const KEPT: usize = 2;

/// More where the suite is run whole: each is some sixty runs.
const KINDS: &[FaultKind] = if cfg!(feature = "servers") {
    &[FaultKind::ErrorBefore, FaultKind::ErrorAfter, FaultKind::KillBefore, FaultKind::KillAfter, FaultKind::Full]
} else {
    &[FaultKind::ErrorAfter, FaultKind::KillBefore, FaultKind::Full]
};

/// A site in memory whose snapshots lie in a real folder, and what opens its archive.
struct Ground {
    scratch: TempDir,
    world: World,
    key: ReadKey,
}

fn site_path(path: &Path) -> SitePath {
    SitePath::parse(path.to_str().expect("Unicode")).expect("absolute")
}

/// The site's files and nothing else.
fn plan() -> BackupPlan {
    let root = SitePath::parse("/site").expect("absolute");
    let source = FileSource { root, exclude: Vec::new(), skip: Vec::new() };
    BackupPlan {
        site: "P01".parse().expect("a site code"),
        in_hierarchy: false,
        files: vec![ImageSource { source, target: RelPath::parse("SiteServer").expect("a plain path") }],
        registry: Vec::new(),
        database: None,
        database_moment: MomentChoice::Same,
        is_product: false,
        stop: Vec::new(),
        start: Vec::new(),
        commands: Vec::new(),
        keep: Vec::new(),
        limits: SessionLimits::default(),
        retry: RetryConfig::default(),
        after_backup: AfterBackupConfig::default(),
        keep_archived: RetentionPolicy { last: KEPT as u32, ..RetentionPolicy::default() },
        zone: ScheduleZone::Utc,
        not_covered: Vec::new(),
        change_tracking_retention: None,
    }
}

impl Ground {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        fs::create_dir(scratch.path().join("backup")).expect("made");
        Self { scratch, world: World::new(), key: ReadKey::generate() }
    }

    fn ports(&self, storage: Arc<dyn Storage>) -> Ports {
        let root = site_path(&self.scratch.path().join("backup"));
        let key = self.key.clone();
        let open = move || Ok(Repository::open(Arc::clone(&storage), Key::Read(key.clone()))?);
        let archive = RepositoryArchive::new(open, Arc::new(LocalSiteFiles::new()), "a test".to_owned());
        Ports {
            destination: Arc::new(LocalDestination::new(root, "P01".parse().expect("a site code"))),
            archive: Some(Arc::new(archive)),
            database: None,
            ..self.world.ports()
        }
    }

    /// A run an hour later, of a site that has changed.
    async fn run(&self, storage: Arc<dyn Storage>, seed: u64) -> BackupReport {
        {
            let mut state = self.world.lock();
            state.pass(Duration::from_secs(3_600));
            state.put("/site/data/c.dat", FileKind::File, &noise(seed, 100_000));
        }
        run_backup(&self.ports(storage), &plan(), &RunContext::default()).await
    }

    /// The ids of all archived snapshots, of which every byte can be read.
    fn archived(&self, storage: &Arc<MemoryStorage>, when: &str) -> Vec<String> {
        let repository = Repository::open(storage.clone(), Key::Read(self.key.clone())).expect("opened");
        let all = ReadData::Part { part: 1, of: 1 };
        let verified = repository.verify(all, &Cancel::default()).expect("looked through");
        assert!(verified.problems.is_empty(), "{when}: {:?}", verified.problems);
        verified.whole.into_iter().map(|listed| listed.id).collect()
    }

    /// What the run has published is there, good, and what its list says to the last byte.
    async fn is_published(&self, report: &BackupReport, when: &str) {
        let ports = self.ports(Arc::new(MemoryStorage::default()));
        let listed = ports.destination.list().await.expect("listed");
        assert_eq!(listed.len(), 1, "{when}");
        assert!(listed[0].published && listed[0].run == report.run, "{when}: {listed:?}");
        assert!(listed[0].manifest.weaker.is_empty(), "{when}: {listed:?}");
        let files = ports.destination.open(report.run).await.expect("it opens");
        assert_eq!(verify(&ports, files, None, true).await.expect("it has a list").findings, [], "{when}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_in_the_storage_costs_no_snapshot_that_is_there() {
    let ground = Ground::new();
    let before = Arc::new(MemoryStorage::default());
    Repository::create(before.clone(), &ground.key).expect("made");
    for seed in 0..3 {
        let report = ground.run(before.clone(), seed).await;
        assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    }
    let earlier = ground.archived(&before, "before");
    assert_eq!(earlier.len(), KEPT);
    for &kind in KINDS {
        for at in 0.. {
            let storage = Arc::new(before.copy());
            let faulty = Arc::new(FaultyStorage::new(Arc::clone(&storage), Some(Fault { at, kind })));
            let report = ground.run(faulty.clone(), 10).await;
            let calls = faulty.calls();
            let when = format!("{kind:?} at call {at}, {:?}", calls.get(at));
            ground.is_published(&report, &when).await;
            let left = ground.archived(&storage, &when);
            let of_earlier = earlier.iter().filter(|id| left.contains(id)).count();
            match (report.outcome, &report.archived) {
                (Outcome::Done, Some(archived)) => {
                    assert!(left.contains(&archived.id) && left.len() == KEPT, "{when}: {left:?}");
                }
                (Outcome::Incomplete, Some(archived)) => {
                    assert!(left.contains(&archived.id) && of_earlier >= KEPT - 1, "{when}: {left:?}");
                }
                (Outcome::Incomplete, None) => assert_eq!(of_earlier, KEPT, "{when}: nothing may go"),
                ended => panic!("{when}: {ended:?}, {:?}", report.findings),
            }
            // An error is told, but where there is another way: an earlier snapshot that cannot be read is as good as none, and a lease that cannot be
            // deleted is ended by an object more.
            let has_another_way = |call: &Call| match call.action {
                "get" | "len" => true,
                "delete" => call.name.starts_with("leases/"),
                _ => false,
            };
            let is_done = report.outcome == Outcome::Done;
            match kind {
                FaultKind::Full => {
                    assert_eq!(is_done, calls.iter().skip(at).all(|call| call.action != "put"), "{when}");
                }
                FaultKind::KillBefore | FaultKind::KillAfter => assert_eq!(is_done, at >= calls.len(), "{when}"),
                FaultKind::ErrorBefore | FaultKind::ErrorAfter => {
                    assert!(!is_done || calls.get(at).is_none_or(has_another_way), "{when}: it was not told");
                    assert!(is_done || at < calls.len(), "{when}: {:?}", report.findings);
                }
            }
            if at % 8 == 0 {
                let next = ground.run(storage.clone(), 11).await;
                assert_eq!(next.outcome, Outcome::Done, "{when}: the next run: {:?}", next.findings);
                assert_eq!(ground.archived(&storage, &when).len(), KEPT, "{when}: the next run");
            }
            if calls.len() <= at {
                assert!(at > 30, "{calls:?}");
                break;
            }
        }
    }
}
