//! Batches of blocking work on a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::task::spawn_blocking;

/// What most callers want: more threads only fight over the disk.
pub(crate) const MOST_THREADS: usize = 4;

struct Batch<T> {
    items: Vec<T>,
    next: AtomicUsize,
}

impl<T> Batch<T> {
    fn take(&self) -> Option<(usize, &T)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        self.items.get(index).map(|item| (index, item))
    }
}

// A future that is dropped counts as a kill: no thread goes on to a further item.
struct StopWhenDropped<T>(Arc<Batch<T>>);

impl<T> Drop for StopWhenDropped<T> {
    fn drop(&mut self) {
        self.0.next.store(self.0.items.len(), Ordering::Relaxed);
    }
}

// Asking costs the reading of several files, and a backup has many batches.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Does `work` on every item, on one thread a processor but no more than `most_threads`, and returns the results in the items' order. Each thread makes itself one `state`.
///
/// A panic of `work` is passed on.
pub(crate) async fn in_parallel<T, S, R>(
    most_threads: usize,
    items: Vec<T>,
    state: impl Fn() -> S + Clone + Send + 'static,
    work: impl Fn(&mut S, &T) -> R + Clone + Send + 'static,
) -> Vec<R>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
{
    let count = items.len();
    let batch = Arc::new(Batch { items, next: AtomicUsize::new(0) });
    let _stop = StopWhenDropped(Arc::clone(&batch));
    let threads = processors().clamp(1, most_threads).min(count);
    let spawn = |_| {
        let (batch, state, work) = (Arc::clone(&batch), state.clone(), work.clone());
        spawn_blocking(move || {
            let mut state = state();
            let mut results = Vec::new();
            while let Some((index, item)) = batch.take() {
                results.push((index, work(&mut state, item)));
            }
            results
        })
    };
    let running: Vec<_> = (0..threads).map(spawn).collect();
    let mut results: Vec<Option<R>> = std::iter::repeat_with(|| None).take(count).collect();
    for thread in running {
        let done = match thread.await {
            Ok(done) => done,
            Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
            // The runtime shuts down, and nobody polls this future again.
            Err(_) => std::future::pending().await,
        };
        for (index, result) in done {
            results[index] = Some(result);
        }
    }
    results.into_iter().map(|result| result.expect("every item was taken by one thread")).collect()
}
