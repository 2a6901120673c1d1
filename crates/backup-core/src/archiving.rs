//! Retention in an archive: judged for one site, explained, and applied.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ports::archive::{ArchiveListing, SnapshotArchive, SnapshotArchiveError};
use crate::retention::{Decision, Judged, RetentionPolicy};

/// What becomes of each archived snapshot of `site`, newest first. Changes nothing.
///
/// # Errors
/// [`SnapshotArchiveError::Damaged`] when a snapshot cannot be read, whosever it is: the last good one may be among those, and then nothing is
/// to go. Else what the archive says.
pub async fn judge(
    archive: &dyn SnapshotArchive,
    site: &str,
    policy: &RetentionPolicy,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Vec<Judged<String>>, SnapshotArchiveError> {
    let ArchiveListing { snapshots, damaged } = archive.list(site).await?;
    match damaged.into_iter().next() {
        Some(damage) => Err(SnapshotArchiveError::Damaged(damage.into())),
        None => Ok(policy.judge(snapshots, now, zone)),
    }
}

/// Forgets those of `judged` that go, oldest first, and returns their ids; the error is that of the first one that could not be forgotten.
///
/// A crash in between leaves some of them: judged again, they go again.
pub async fn apply(
    archive: &dyn SnapshotArchive,
    judged: &[Judged<String>],
) -> (Vec<String>, Result<(), SnapshotArchiveError>) {
    let mut forgotten = Vec::new();
    for Judged { snapshot, .. } in judged.iter().rev().filter(|judged| matches!(judged.decision, Decision::Forget(_))) {
        match archive.forget(&snapshot.id).await {
            Ok(()) => forgotten.push(snapshot.id.clone()),
            // Since it was judged.
            Err(SnapshotArchiveError::Pinned(_)) => {}
            Err(error) => return (forgotten, Err(error)),
        }
    }
    (forgotten, Ok(()))
}
