//! What parent and child tell each other: one JSON object a line.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// From the parent, over the child's standard input. Its end without [`Disarm`](Order::Disarm) means that the parent is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Order {
    /// `stopping` is about to be stopped. From now on these services are to be brought back, in this order.
    Arm {
        /// Comes back in [`Reply::Armed`].
        number: u64,
        /// The longest that services may be down, from the first order of a watch on. The longest one counts.
        hold_limit: Duration,
        /// The longest that this one may be down, from now on, where that is less.
        window: Option<Duration>,
        /// The longest that one stop or start may take.
        call_limit: Duration,
        /// What to bring back.
        start: Vec<String>,
        /// What is being stopped.
        stopping: String,
    },
    /// The parent starts a service itself and wants to be let alone with it for the call limit.
    Starting { name: String },
    /// The service runs again and is no longer watched.
    Started { name: String },
    /// A stop has ended, or a start has failed: nothing is under way with the service.
    Returned { name: String },
    /// All services run; leave.
    Disarm,
}

/// From the child, over its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Reply {
    /// It listens, and no signal for the parent reaches it.
    Ready,
    /// It cannot be a watchdog.
    Failed { reason: String },
    /// The order is taken.
    Armed { number: u64 },
    /// The order comes too late: the services are being started.
    Fired,
}

/// The object and its line end, to be written in one piece.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("texts, numbers and durations are JSON");
    line.push(b'\n');
    line
}
