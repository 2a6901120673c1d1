//! Work in order of a list, by as many threads as there are connections.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use backup_core::cancel::Cancel;

use super::error::LogicalError;

/// Why work ends early: a failure of any part, or somebody's wish.
#[derive(Debug)]
pub(crate) struct Stop<'a> {
    has_failed: AtomicBool,
    cancel: &'a Cancel,
}

impl<'a> Stop<'a> {
    pub(crate) fn new(cancel: &'a Cancel) -> Self {
        Self { has_failed: AtomicBool::new(false), cancel }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed) || self.cancel.is_cancelled()
    }
}

/// Lets each connection take the next job until none is left. After the first failure nobody takes another one, and `stop` tells those
/// at work; the first failure is returned.
pub(crate) fn in_parallel<C: Send, J: Copy + Sync>(
    connections: Vec<C>,
    jobs: Vec<J>,
    stop: &Stop<'_>,
    work: impl Fn(&mut C, J) -> Result<(), LogicalError> + Sync,
) -> Result<Vec<C>, LogicalError> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let run = |mut connection: C| {
        while !stop.is_set() {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Err(error) = work(&mut connection, *job) {
                stop.has_failed.store(true, Ordering::Relaxed);
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
        None if stop.is_set() => Err(LogicalError::Stopped),
        None => Ok(connections),
    }
}
