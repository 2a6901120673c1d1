//! Locks of this crate's own threads.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it. What the locks of this crate guard is whole whatever panicked beside it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
