//! The site as a writer of somebody else's session, in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::backup::{RunContext, join_session};
use backup_core::config::{DatabaseConfig, RegistryRoot, RegistryStore, SiteConfig};
use backup_core::copy::chain;
use backup_core::destination::DestinationOption;
use backup_core::memory::{Faults, World, faulty};
use backup_core::path::SitePath;
use backup_core::plan::{BackupPlan, ServiceStep, Tasks};
use backup_core::ports::Ports;
use backup_core::ports::destination::Holder;
use backup_core::ports::journal::unfinished_runs;
use backup_core::ports::registry::RegistryKey;
use backup_core::ports::services::ServiceState;
use backup_core::ports::shadow_copies::{SMS_WRITER, Writer, WriterError, WriterMetadata};
use backup_core::report::BackupReport;
use backup_core::snapshot::RunId;
use backup_core::writer_metadata::site_metadata;

use crate::InProcessCoordinator;
use crate::follower::{Follower, FollowingSite, Lead};

const SERVICE: &str = "SMS_EXECUTIVE";

fn path(text: &str) -> SitePath {
    SitePath::parse(text).expect("absolute")
}

fn plan() -> BackupPlan {
    let destination = DestinationOption::Local(path("/backup"));
    let mut config = SiteConfig::new("P01".parse().expect("a site code"), destination, path("/state"));
    config.files.include = vec![path("/site/inboxes"), path("/site/data")];
    config.database = Some(DatabaseConfig::sqlite(path("/site/db/CM_P01.db")));
    let key = RegistryKey::new(r"HKLM\SOFTWARE\Microsoft\SMS");
    config.registry = vec![RegistryRoot { key, store: RegistryStore::Reg(path("/site/SMS.reg")) }];
    let mut tasks = Tasks::without_control_file(&config).expect("plain paths");
    tasks.stop =
        vec![ServiceStep::Service("SMS_SITE_COMPONENT_MANAGER".to_owned()), ServiceStep::Service(SERVICE.to_owned())];
    BackupPlan::new(&config, tasks, Vec::new()).expect("a good plan")
}

/// The memory site; what it is configured to be may be wrong.
#[derive(Debug)]
struct MemorySite {
    world: World,
    faults: Faults,
    wrong: Mutex<Option<&'static str>>,
}

impl MemorySite {
    fn read(&self) -> Result<BackupPlan, WriterError> {
        let wrong = *self.wrong.lock().expect("no panic");
        match wrong {
            Some("panic") => panic!("as the test says"),
            Some(wrong) => Err(WriterError::new(wrong)),
            None => Ok(plan()),
        }
    }
}

#[async_trait]
impl FollowingSite for MemorySite {
    async fn metadata(&self) -> Result<WriterMetadata, WriterError> {
        let plan = self.read()?;
        Ok(site_metadata(&self.world.ports(), &plan).await.expect("memory knows its database"))
    }

    async fn run(&self, lead: Arc<Lead>) -> Result<BackupReport, WriterError> {
        let plan = self.read()?;
        let coordinator = InProcessCoordinator::new(Arc::new(self.world.clone()), lead.provider());
        let ports = faulty(&self.world.ports(), &self.faults);
        let ports = Ports { shadow_copies: Arc::new(coordinator), events: Arc::clone(&lead) as _, ..ports };
        let context = RunContext { cancel: lead.cancel(), ..RunContext::default() };
        Ok(join_session(&ports, &plan, &context).await)
    }
}

struct Bench {
    world: World,
    site: Arc<MemorySite>,
    follower: Follower,
}

impl Bench {
    fn new() -> Self {
        let world = World::new();
        let site = Arc::new(MemorySite { world: world.clone(), faults: Faults::new(None), wrong: Mutex::default() });
        Self { world, follower: Follower::new(Arc::clone(&site) as _), site }
    }

    fn stopped(&self) -> usize {
        self.world.lock().services.values().filter(|state| **state == ServiceState::Stopped).count()
    }

    /// The events of a session up to the one of this number.
    async fn begin(&self, events: usize) -> Result<(), WriterError> {
        for number in 0..events {
            match number {
                0 => self.follower.prepare_backup().await?,
                1 => self.follower.prepare_snapshot().await?,
                2 => self.follower.freeze().await?,
                3 => self.follower.thaw().await?,
                _ => self.follower.post_snapshot().await?,
            }
        }
        Ok(())
    }

    /// Nothing is left of any session, and the next one needs no help.
    async fn assert_free(&self, when: &str) {
        assert!(self.world.all_running(), "{when}: a service is down");
        let (locked, held, journal) = {
            let state = self.world.lock();
            (state.locked, state.held.clone(), state.journal.clone())
        };
        assert_eq!((locked, held), (false, None), "{when}: something is held");
        assert_eq!(unfinished_runs(&journal), [], "{when}");
        self.begin(5).await.unwrap_or_else(|error| panic!("{when}: {}", chain(&error)));
    }
}

#[tokio::test]
async fn a_session_takes_the_site_to_its_moment_and_back() {
    let bench = Bench::new();
    bench.follower.prepare_backup().await.expect("nothing is in the way");
    assert!(bench.world.all_running(), "the site works until it is to come to rest");
    bench.follower.prepare_snapshot().await.expect("the services stop");
    assert_eq!(bench.stopped(), 2);
    bench.follower.freeze().await.expect("the database is pinned");
    let calls = bench.site.faults.calls();
    assert!(calls.iter().any(|call| call.contains("pin")), "{calls:?}");
    assert!(calls.iter().any(|call| call.contains("export")), "{calls:?}");
    let [database, file, registry] = bench.world.counters();
    assert!(database == file && file == registry, "the site is of one moment");
    assert_eq!(bench.stopped(), 2);
    bench.follower.thaw().await.expect("thawed");
    bench.follower.post_snapshot().await.expect("the services start");
    assert!(bench.world.all_running());
    bench.follower.backup_complete(true).await.expect("nothing is left to do");
    let calls = bench.site.faults.calls();
    assert!(!calls.iter().any(|call| call.contains("finish")), "nothing is copied: {calls:?}");
    assert!(bench.world.lock().status.is_empty(), "no monitor hears of it");
    bench.assert_free("after a whole session").await;
}

#[tokio::test]
async fn an_abort_at_any_event_sets_the_site_going() {
    for events in 0..=5 {
        let bench = Bench::new();
        bench.begin(events).await.expect("nothing is in the way");
        for _ in 0..2 {
            bench.follower.abort().await.expect("at any time");
        }
        bench.assert_free(&format!("after {events} events")).await;
    }
}

#[tokio::test]
async fn one_session_at_a_time() {
    let bench = Bench::new();
    bench.begin(2).await.expect("nothing is in the way");
    let error = bench.follower.prepare_backup().await.expect_err("another one goes on");
    assert_eq!(error.message, "the site takes part in another session");
    assert!(error.is_retryable);
    bench.follower.freeze().await.expect("the first one is not disturbed");
    bench.follower.abort().await.expect("aborted");
    bench.assert_free("after the first").await;
}

#[tokio::test]
async fn events_out_of_turn_are_refused() {
    for (events, call) in [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 2), (2, 4), (1, 4), (0, 4)] {
        let bench = Bench::new();
        bench.begin(events).await.expect("nothing is in the way");
        let called = match call {
            1 => bench.follower.prepare_snapshot().await,
            2 => bench.follower.freeze().await,
            3 => bench.follower.thaw().await,
            _ => bench.follower.post_snapshot().await,
        };
        called.expect_err("it is not its turn");
        bench.follower.abort().await.expect("aborted");
        bench.assert_free(&format!("{call} after {events}")).await;
    }
}

/// What VSS is told, and whether it may be tried again.
async fn refusal(bench: &Bench, events: usize) -> (String, bool) {
    let error = bench.begin(events).await.expect_err("something is wrong");
    (error.message, error.is_retryable)
}

#[tokio::test]
async fn what_is_in_the_way_is_told_before_the_site_is_touched() {
    let bench = Bench::new();
    let ports = bench.world.ports();
    let lock = ports.journal.lock().await.expect("nobody has it");
    let (message, is_retryable) = refusal(&bench, 1).await;
    assert!(message.contains("another run is in progress") && is_retryable, "{message}");
    drop(lock);
    let hold = ports.destination.hold(Holder::Run(RunId(ports.clock.new_id()))).await.expect("nobody has it");
    let (message, is_retryable) = refusal(&bench, 1).await;
    assert!(is_retryable, "{message}");
    drop(hold);
    *bench.site.wrong.lock().expect("no panic") = Some("smsbkup.ctl:1:1: nonsense");
    assert_eq!(refusal(&bench, 1).await, ("smsbkup.ctl:1:1: nonsense".to_owned(), false));
    assert_eq!(bench.follower.identify().await.expect_err("it is wrong").message, "smsbkup.ctl:1:1: nonsense");
    *bench.site.wrong.lock().expect("no panic") = Some("panic");
    assert_eq!(refusal(&bench, 1).await, ("panicked: as the test says".to_owned(), false));
    *bench.site.wrong.lock().expect("no panic") = None;
    assert_eq!(bench.follower.identify().await.expect("right again").id, SMS_WRITER);
    bench.assert_free("when it is right again").await;
}

/// Nothing is written there, so that what keeps snapshots out keeps no session out.
#[tokio::test]
async fn a_full_destination_is_in_nobodys_way() {
    let bench = Bench::new();
    bench.world.lock().free = 0;
    bench.begin(5).await.expect("there is no snapshot to make");
}

#[tokio::test]
async fn a_service_that_does_not_stop_fails_the_session() {
    let bench = Bench::new();
    bench.world.lock().stubborn.insert((SERVICE.to_owned(), "stop"));
    let (message, is_retryable) = refusal(&bench, 2).await;
    assert!(message.contains(SERVICE) && is_retryable, "{message}");
    bench.world.lock().stubborn.clear();
    bench.assert_free("when it stops again").await;
}

#[tokio::test]
async fn an_abort_tells_that_the_site_does_not_work_again() {
    let bench = Bench::new();
    bench.begin(2).await.expect("nothing is in the way");
    bench.world.lock().stubborn.insert((SERVICE.to_owned(), "start"));
    let error = bench.follower.abort().await.expect_err("a service is down");
    assert!(error.message.contains(SERVICE), "{error}");
    bench.world.lock().stubborn.clear();
    bench.begin(1).await.expect("the next run starts it");
    bench.follower.abort().await.expect("all is well");
    bench.assert_free("when it starts again").await;
}

#[tokio::test]
async fn a_service_that_starts_inside_the_window_spoils_the_image() {
    let bench = Bench::new();
    bench.begin(3).await.expect("nothing is in the way");
    bench.world.lock().services.insert(SERVICE.to_owned(), ServiceState::Running);
    // The run may be through with it before Thaw has been answered.
    let thawed = bench.follower.thaw().await;
    let error = match thawed {
        Ok(()) => bench.follower.post_snapshot().await.expect_err("the image is not of one moment"),
        Err(error) => error,
    };
    assert!(error.message.contains("ran inside the freeze window"), "{error}");
    bench.assert_free("the next time").await;
}

#[tokio::test(start_paused = true)]
async fn a_thaw_that_does_not_come_in_time_fails_the_session() {
    let bench = Bench::new();
    bench.begin(3).await.expect("nothing is in the way");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(bench.world.all_running(), "nobody waits for VSS longer than the window");
    let error = bench.follower.thaw().await.expect_err("the image is not to be trusted");
    assert!(error.message.contains("took longer than 60s"), "{error}");
    bench.assert_free("the next time").await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_leader_is_gone_keeps_nobody_out() {
    for events in [1, 2] {
        let bench = Bench::new();
        bench.begin(events).await.expect("nothing is in the way");
        tokio::time::sleep(Duration::from_secs(901)).await;
        bench.assert_free(&format!("a quarter of an hour after event {events}")).await;
    }
}
