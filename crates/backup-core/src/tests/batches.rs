//! How entries are handed to the target of a recovery.

use std::future::poll_fn;
use std::sync::Mutex;
use std::task::Poll;

use async_trait::async_trait;

use super::recovery::wrecked;
use super::*;
use crate::cancel::Cancel;
use crate::event::Progress;
use crate::manifest::{FileRecord, RecordKind};
use crate::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored, Standing};
use crate::recover::Batches;

/// Bytes after which a call takes no further entry.
const BYTES: u64 = 32 << 20;

/// Notes the sizes of each call's entries and how many calls run. A call ends when it is polled for the second time.
#[derive(Debug, Default)]
struct Noting {
    calls: Mutex<Vec<Vec<u64>>>,
    running: Mutex<(usize, usize)>,
}

#[async_trait]
impl RecoveryTarget for Noting {
    async fn restore(
        &self,
        items: Vec<RestoreItem>,
        _from: Arc<dyn SnapshotFiles>,
    ) -> Vec<Result<Restored, RecoveryError>> {
        self.calls.lock().expect("not poisoned").push(items.iter().map(|item| item.record.size).collect());
        let count = |by: isize| {
            let mut running = self.running.lock().expect("not poisoned");
            running.0 = running.0.saturating_add_signed(by);
            running.1 = running.1.max(running.0);
        };
        count(1);
        let mut polled = false;
        poll_fn(|context| match std::mem::replace(&mut polled, true) {
            true => Poll::Ready(()),
            false => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        count(-1);
        items.iter().map(|item| Ok(Restored::Written(item.record.size))).collect()
    }

    async fn survey(&self, _items: &[RestoreItem]) -> Vec<Result<Standing, RecoveryError>> {
        unreachable!("only restores")
    }

    async fn settle(&self, _folders: Vec<RestoreItem>) -> Vec<Result<(), RecoveryError>> {
        unreachable!("only restores")
    }

    async fn scratch(&self, _parent: Option<&SitePath>) -> Result<SitePath, RecoveryError> {
        unreachable!("only restores")
    }

    async fn discard(&self, _scratch: &SitePath) -> Result<(), RecoveryError> {
        unreachable!("only restores")
    }
}

/// Restores entries of these sizes; returns whether all were tried, how many were and what was told last.
fn restored(target: &Noting, kind: RecordKind, sizes: &[u64], cancel_after: usize) -> (bool, usize, Progress) {
    let item = |(n, size): (usize, &u64)| {
        let entry = place(&format!("f{n}"));
        let record = FileRecord { size: *size, ..FileRecord::new(kind, entry.clone()) };
        RestoreItem { root: path("/to"), path: entry, record, link_to: None }
    };
    let (world, snapshot) = wrecked();
    let ports = world.ports();
    let cancel = Cancel::default();
    let files = open(&ports, &snapshot);
    let mut batches = Batches { target, files, cancel: &cancel, events: &*ports.events, progress: Progress::default() };
    let mut tried = 0;
    let items = sizes.iter().enumerate().map(item).collect();
    let all = block_on(batches.restore(items, |_| {
        tried += 1;
        if tried == cancel_after {
            cancel.cancel();
        }
    }));
    (all, tried, batches.progress)
}

#[test]
fn large_files_begin_first_and_beside_others() {
    let mut sizes = vec![10; 1_000];
    sizes[500] = 5 * BYTES;
    sizes[900] = 2 * BYTES;
    let target = Noting::default();
    let (all, tried, progress) = restored(&target, RecordKind::File, &sizes, usize::MAX);
    assert!(all);
    assert_eq!((tried, progress.files, progress.bytes), (1_000, 1_000, 7 * BYTES + 9_980));
    let calls = target.calls.into_inner().expect("not poisoned");
    assert_eq!(calls[..2], [vec![5 * BYTES], vec![2 * BYTES]]);
    assert_eq!(calls[2..].iter().map(Vec::len).collect::<Vec<_>>(), [512, 486]);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(target.running.into_inner().expect("not poisoned").1, processors.min(4));
}

#[test]
fn an_outer_folder_is_there_before_an_inner_one() {
    let target = Noting::default();
    let (all, ..) = restored(&target, RecordKind::Directory, &[0; 2_000], usize::MAX);
    assert!(all);
    assert_eq!(target.running.into_inner().expect("not poisoned").1, 1);
}

#[test]
fn a_cancelled_one_ends_with_what_has_begun() {
    let target = Noting::default();
    let (all, tried, _) = restored(&target, RecordKind::File, &[0; 10_000], 1);
    assert!(!all);
    assert_eq!(tried, target.calls.into_inner().expect("not poisoned").iter().map(Vec::len).sum::<usize>());
    assert!(tried <= 4 * 512, "{tried}");
}
