//! Waiting for something long without missing a wish to stop.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use jiff::SignedDuration;

use crate::cancel::Cancel;
use crate::ports::clock::Clock;

/// How often a wish to stop is looked for.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// What `work` comes to, unless `limit` ends before it.
pub(crate) async fn within<T>(
    work: &mut (impl Future<Output = T> + Unpin),
    limit: impl Future<Output = ()>,
) -> Option<T> {
    let mut limit = pin!(limit);
    std::future::poll_fn(|context| match (Pin::new(&mut *work).poll(context), limit.as_mut().poll(context)) {
        (Poll::Ready(done), _) => Poll::Ready(Some(done)),
        (Poll::Pending, Poll::Ready(())) => Poll::Ready(None),
        (Poll::Pending, Poll::Pending) => Poll::Pending,
    })
    .await
}

/// What `work` comes to; `None` when somebody wished to stop before, at which it is dropped.
pub(crate) async fn unless_cancelled<T>(
    mut work: impl Future<Output = T> + Unpin,
    clock: &dyn Clock,
    cancel: &Cancel,
) -> Option<T> {
    loop {
        if let Some(done) = within(&mut work, sleep(clock, TICK)).await {
            return Some(done);
        }
        if cancel.is_cancelled() {
            return None;
        }
    }
}

/// Waits this long.
pub(crate) async fn sleep(clock: &dyn Clock, time: Duration) {
    let now = clock.now();
    let until = SignedDuration::try_from(time).ok().and_then(|time| now.checked_add(time).ok());
    clock.sleep_until(until.unwrap_or(now)).await;
}
