//! Reading on a few threads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// More threads only fight over the disk.
const MOST: usize = 4;

/// Does `work` on each item, on as many threads as there are processors but a few at most. After a break no further item is begun.
pub(crate) fn each<T: Sync>(items: &[T], work: impl Fn(&T) -> ControlFlow<()> + Sync) {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(2, usize::from).min(MOST);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if work(item).is_break() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
}
