//! What passes is tried again: another program that holds a session, a writer that says so.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::ports::services::{ServiceControl, ServiceError, ServiceState};
use crate::ports::shadow_copies::{
    PreparedSet, ShadowCopies, ShadowCopyError, ShadowCopyRequest, ShadowCopySetId, Writer, WriterError, WriterMetadata,
};
use crate::report::{Cause, Outcome};

/// Shadow copies that another program keeps busy for some calls.
#[derive(Debug)]
struct Busy {
    inner: Arc<dyn ShadowCopies>,
    calls: AtomicU32,
}

#[async_trait]
impl ShadowCopies for Busy {
    async fn prepare(&self, request: ShadowCopyRequest) -> Result<Box<dyn PreparedSet>, ShadowCopyError> {
        let left = self.calls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            Err(ShadowCopyError::InProgress { holder: "tar".to_owned() })
        } else {
            self.inner.prepare(request).await
        }
    }

    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        self.inner.complete(set, succeeded).await
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        self.inner.release(set).await
    }
}

/// A writer that cannot hold the moment the first few times.
#[derive(Debug)]
pub(super) struct Reluctant {
    left: AtomicU32,
    is_retryable: bool,
}

impl Reluctant {
    pub(super) fn writer(times: u32, is_retryable: bool) -> Arc<dyn Writer> {
        Arc::new(Self { left: AtomicU32::new(times), is_retryable })
    }
}

#[async_trait]
impl Writer for Reluctant {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        Ok(WriterMetadata { name: "reluctant".to_owned(), ..WriterMetadata::default() })
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(WriterError { is_retryable: self.is_retryable, ..WriterError::new("not now") }),
            Err(_) => Ok(()),
        }
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn abort(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}

/// A backup with such a writer, and how often it waited.
fn backup_with(world: &World, times: u32, is_retryable: bool, context: &RunContext) -> (BackupReport, u32) {
    let ports = Ports { writers: vec![Reluctant::writer(times, is_retryable)], ..world.ports() };
    let report = block_on(run_backup(&ports, &plan(), context));
    let pauses = report.ended.duration_since(report.started).as_secs() / 600;
    (report, u32::try_from(pauses).expect("some"))
}

/// A backup while the machine's shadow copies are busy for so many calls, and how long it took.
fn backup_while_busy(calls: u32) -> (BackupReport, std::time::Duration) {
    let ports = World::new().ports();
    let busy = Busy { inner: Arc::clone(&ports.shadow_copies), calls: AtomicU32::new(calls) };
    let ports = Ports { shadow_copies: Arc::new(busy), ..ports };
    let report = block_on(run_backup(&ports, &plan(), &RunContext::default()));
    let took = report.ended.duration_since(report.started).unsigned_abs();
    (report, took)
}

#[test]
fn a_session_in_progress_is_waited_for_three_times_ten_minutes() {
    let minutes = |n: u64| std::time::Duration::from_secs(n * 60);
    let (report, took) = backup_while_busy(3);
    assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
    assert!((minutes(30)..minutes(31)).contains(&took), "{took:?}");
    let (report, took) = backup_while_busy(4);
    assert_eq!(report.outcome, Outcome::Failed(Cause::ShadowCopy), "{:?}", report.findings);
    assert!((minutes(30)..minutes(31)).contains(&took), "{took:?}");
    assert!(
        report.findings.iter().any(|finding| finding
            .message
            .contains("another shadow copy session is in progress on this machine (tar)")),
        "{report:?}"
    );
}

#[test]
fn a_writer_that_may_succeed_later_is_asked_again_while_the_site_works() {
    let world = World::new();
    let once = backup(&world).outage;
    let (report, pauses) = backup_with(&world, 2, true, &RunContext::default());
    assert_eq!((report.outcome, pauses), (Outcome::Done, 2), "{:?}", report.findings);
    assert_all_good(&world, "at the third try");
    assert!(report.outage > once * 2, "all of the outage is told: {:?}, {once:?}", report.outage);
    assert!(
        report.outage < std::time::Duration::from_secs(600),
        "the site works between the tries: {:?}",
        report.outage
    );
    let (report, pauses) = backup_with(&world, 9, true, &RunContext::default());
    assert_eq!((report.outcome, pauses), (Outcome::Failed(Cause::ShadowCopy), 3));
    assert!(world.all_running());
}

#[test]
fn a_writer_that_would_fail_again_is_not_asked_again() {
    let (report, pauses) = backup_with(&World::new(), 1, false, &RunContext::default());
    assert_eq!((report.outcome, pauses), (Outcome::Failed(Cause::ShadowCopy), 0));
}

#[test]
fn nothing_is_tried_after_the_latest_begin() {
    let world = World::new();
    let latest_begin = Some(world.ports().clock.now() + std::time::Duration::from_secs(900));
    let context = RunContext { latest_begin, ..RunContext::default() };
    let (report, pauses) = backup_with(&world, 1, true, &context);
    assert_eq!((report.outcome, pauses), (Outcome::Done, 1), "{:?}", report.findings);
    let (report, pauses) = backup_with(&world, 1, true, &context);
    assert_eq!((report.outcome, pauses), (Outcome::Failed(Cause::ShadowCopy), 0), "the hour has passed");
}

/// Bringing it to rest once more would make it worse.
#[test]
fn a_site_that_did_not_come_back_up_is_left_as_it_is() {
    let world = World::new();
    let services = Arc::new(NoneStarts(Arc::clone(&world.ports().services)));
    let ports = Ports { services, writers: vec![Reluctant::writer(1, true)], ..world.ports() };
    let report = block_on(run_backup(&ports, &plan(), &RunContext::default()));
    assert_eq!(report.outcome, Outcome::Failed(Cause::ShadowCopy));
    let took = report.ended.duration_since(report.started).as_secs();
    assert!(took < 600, "{took} s");
    assert!(report.findings.iter().any(|finding| finding.cause == Cause::ServiceStart), "{:?}", report.findings);
}

#[derive(Debug)]
struct NoneStarts(Arc<dyn ServiceControl>);

#[async_trait]
impl ServiceControl for NoneStarts {
    async fn state(&self, name: &str) -> Result<ServiceState, ServiceError> {
        self.0.state(name).await
    }

    async fn dependents(&self, name: &str) -> Result<Vec<String>, ServiceError> {
        self.0.dependents(name).await
    }

    async fn stop(&self, name: &str) -> Result<(), ServiceError> {
        self.0.stop(name).await
    }

    async fn start(&self, name: &str) -> Result<(), ServiceError> {
        Err(ServiceError::Failed { name: name.to_owned(), action: "start", source: "no".into() })
    }
}

/// Half an hour is nothing that another program waits for its PrepareBackup.
#[test]
fn a_session_of_somebody_else_is_refused_at_once() {
    let world = World::new();
    let (ports, began) = (world.ports(), world.lock().now);
    let busy = Busy { inner: Arc::clone(&ports.shadow_copies), calls: AtomicU32::new(1) };
    let ports = Ports { shadow_copies: Arc::new(busy), ..ports };
    let report = block_on(crate::backup::join_session(&ports, &plan(), &RunContext::default()));
    assert_eq!(report.outcome, Outcome::Failed(Cause::ShadowCopy), "{:?}", report.findings);
    let now = world.lock().now;
    assert!(now.duration_since(began).unsigned_abs() < std::time::Duration::from_secs(60), "it waited");
    assert!(world.all_running());
}
