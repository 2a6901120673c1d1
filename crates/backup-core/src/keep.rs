//! Which snapshots stay at a destination: the newest, and the newest that is good.

use crate::ports::destination::StoredSnapshot;
use crate::snapshot::RunId;

/// The runs among `snapshots`, oldest first, that nothing needs any more.
///
/// A snapshot that is weaker than asked for never takes the place of a good one.
pub fn superseded(snapshots: &[StoredSnapshot]) -> Vec<RunId> {
    let newest = snapshots.last().map(|snapshot| snapshot.run);
    let is_good = |snapshot: &&StoredSnapshot| snapshot.manifest.weaker.is_empty();
    let good = snapshots.iter().rev().find(is_good).map(|snapshot| snapshot.run);
    let runs = snapshots.iter().map(|snapshot| snapshot.run);
    runs.filter(|run| Some(*run) != newest && Some(*run) != good).collect()
}
