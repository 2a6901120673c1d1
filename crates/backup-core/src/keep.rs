//! Which snapshots stay at a destination: the newest, and the newest that is good, or the best where none is.

use std::cmp::Reverse;

use crate::ports::destination::StoredSnapshot;
use crate::snapshot::RunId;

/// The runs among `snapshots`, oldest first, that nothing needs any more.
///
/// A snapshot that is weaker than asked for never takes the place of a good one.
pub fn superseded(snapshots: &[StoredSnapshot]) -> Vec<RunId> {
    let newest = snapshots.last().map(|snapshot| snapshot.run);
    let is_good = |snapshot: &&StoredSnapshot| snapshot.manifest.weaker.is_empty();
    let rank = |snapshot: &&StoredSnapshot| {
        let manifest = &snapshot.manifest;
        (manifest.consistency, Reverse(manifest.weaker.len()), snapshot.run)
    };
    let good = snapshots.iter().rev().find(is_good).or_else(|| snapshots.iter().max_by_key(rank));
    let good = good.map(|snapshot| snapshot.run);
    let runs = snapshots.iter().map(|snapshot| snapshot.run);
    runs.filter(|run| Some(*run) != newest && Some(*run) != good).collect()
}
