//! Runs foreign code so that neither a panic nor a hang of it reaches the session.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

/// Why foreign code did not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It took longer than its limit, and was stopped where it waits next.
    Deadline(Duration),
    /// It panicked with this message, or the runtime is shutting down.
    Died(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(limit) => write!(f, "took longer than {limit:?}"),
            Self::Died(message) => f.write_str(message),
        }
    }
}

/// A task that ends with whoever waits for it.
struct Leashed<T>(JoinHandle<T>);

impl<T> Drop for Leashed<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a stopped task gets to drop what it holds. One that blocks its thread does not go, and is not waited for.
const GOODBYE: Duration = Duration::from_millis(10);

/// Runs `work` as a task of its own, for at most `limit`.
///
/// On a runtime with one thread a callback that blocks its thread stops the clock too: a watchdog outside the process is for that.
pub(crate) async fn guarded<T: Send + 'static>(
    limit: Option<Duration>,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Lost> {
    let mut task = Leashed(tokio::spawn(work));
    let joined = match limit {
        None => (&mut task.0).await,
        Some(limit) => match timeout(limit, &mut task.0).await {
            Ok(joined) => joined,
            Err(_) => {
                task.0.abort();
                // What it still does must not run into the call that comes next: a late Freeze into the Thaw.
                drop(timeout(GOODBYE, &mut task.0).await);
                return Err(Lost::Deadline(limit));
            }
        },
    };
    joined.map_err(|error| Lost::Died(last_words(error)))
}

/// The message of a panic.
pub(crate) fn last_words(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("panicked: {}", panic_message(panic.as_ref())),
        Err(_) => "was stopped with the program".to_owned(),
    }
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message,
        _ => "no message",
    }
}
