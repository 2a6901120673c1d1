//! Putting entries back a part at a time.

use std::cmp::Reverse;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::cancel::Cancel;
use crate::event::{Event, EventSink, Progress};
use crate::manifest::RecordKind;
use crate::ports::destination::SnapshotFiles;
use crate::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored};

/// Entries put back by one call at most, so that progress is told and memory bounded.
const BATCH: usize = 512;
/// Bytes after which a call takes no further entry: a large file is left to itself.
const BYTES: u64 = 32 << 20;
/// Calls that run at once, one on each processor: more only fight over the disk.
const MOST_AT_ONCE: usize = 4;

/// Puts entries of a snapshot back, and tells how far it is.
#[derive(Debug)]
pub struct Batches<'a> {
    /// Where they go.
    pub target: &'a dyn RecoveryTarget,
    /// The snapshot.
    pub files: Arc<dyn SnapshotFiles>,
    /// Stops it between batches.
    pub cancel: &'a Cancel,
    /// Who is told after each batch.
    pub events: &'a dyn EventSink,
    /// Its totals are those of all that is to be put back.
    pub progress: Progress,
}

impl Batches<'_> {
    /// Puts back `items`, which are either all folders, an outer one before those in it, or none. `done` hears of each, in no order.
    /// Returns whether all of them were tried: when cancelled, the batches that have begun are the last ones.
    pub async fn restore(
        &mut self,
        mut items: Vec<RestoreItem>,
        mut done: impl FnMut(Result<Restored, RecoveryError>),
    ) -> bool {
        let are_folders = items.first().is_some_and(|item| item.record.kind == RecordKind::Directory);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let at_once = if are_folders { 1 } else { processors.min(MOST_AT_ONCE) };
        if !are_folders {
            // What begins last is small, so all calls end together. The others stay neighbours, which is where a folder is opened once.
            items.sort_by_key(|item| Reverse(item.record.size / BYTES));
        }
        let mut rest = items.into_iter();
        let mut running = Vec::new();
        loop {
            while running.len() < at_once && rest.len() > 0 && !self.cancel.is_cancelled() {
                let (mut batch, mut bytes) = (Vec::new(), 0);
                while batch.len() < BATCH
                    && bytes < BYTES
                    && let Some(item) = rest.next()
                {
                    bytes += item.record.size;
                    batch.push(item);
                }
                running.push((bytes, self.target.restore(batch, Arc::clone(&self.files))));
            }
            if running.is_empty() {
                return rest.len() == 0;
            }
            let (ended, results) = poll_fn(|context| {
                let ready = running.iter_mut().enumerate().find_map(|(number, (_, restoring))| {
                    match restoring.as_mut().poll(context) {
                        Poll::Ready(results) => Some((number, results)),
                        Poll::Pending => None,
                    }
                });
                ready.map_or(Poll::Pending, Poll::Ready)
            })
            .await;
            let (bytes, _) = running.remove(ended);
            self.progress.files += results.len() as u64;
            self.progress.bytes += bytes;
            results.into_iter().for_each(&mut done);
            self.events.event(&Event::Progress(self.progress));
        }
    }
}
