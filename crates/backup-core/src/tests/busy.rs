//! Another program holds a shadow copy session.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::ports::shadow_copies::{PreparedSet, ShadowCopies, ShadowCopyError, ShadowCopyRequest, ShadowCopySetId};
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
