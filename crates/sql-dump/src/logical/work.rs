//! Work in order of a list, by as many threads as there are connections.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::error::LogicalError;

/// Lets each connection take the next job until none is left. After the first failure nobody takes another one, and `stop` tells those
/// at work; the first failure is returned.
pub(crate) fn in_parallel<C: Send, J: Copy + Sync>(
    connections: Vec<C>,
    jobs: Vec<J>,
    stop: &AtomicBool,
    work: impl Fn(&mut C, J) -> Result<(), LogicalError> + Sync,
) -> Result<Vec<C>, LogicalError> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let run = |mut connection: C| {
        while !stop.load(Ordering::Relaxed) {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Err(error) = work(&mut connection, *job) {
                stop.store(true, Ordering::Relaxed);
                let mut first = failure.lock().expect("no thread panics while it stores");
                if !matches!(error, LogicalError::Stopped) {
                    first.get_or_insert(error);
                }
            }
        }
        connection
    };
    let connections = std::thread::scope(|scope| {
        let threads: Vec<_> = connections.into_iter().map(|connection| scope.spawn(|| run(connection))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    match failure.into_inner().expect("no thread panics while it stores") {
        Some(error) => Err(error),
        None => Ok(connections),
    }
}
