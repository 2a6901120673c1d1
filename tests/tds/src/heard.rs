//! What the server heard, and the gates at which a script waits for the test: one lock, one condition.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Longer than any step of a test takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that a client did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It logged in, or tried to.
    Login {
        /// The session's number.
        session: u16,
        /// Who.
        user: String,
        /// The database asked for.
        database: String,
        /// The program's name.
        program: String,
    },
    /// It sent a batch of statements.
    Batch {
        /// The session's number.
        session: u16,
        /// The text.
        sql: String,
    },
    /// It asked to stop the batch.
    Attention {
        /// The session's number.
        session: u16,
    },
    /// It called a remote procedure, which this server refuses.
    Procedure {
        /// The session's number.
        session: u16,
    },
    /// It went away.
    Gone {
        /// The session's number.
        session: u16,
    },
}

/// A place in a script where it waits for the test; the number is the test's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gate(pub u32);

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    open: HashSet<Gate>,
    closed: bool,
}

impl State {
    fn attentions(&self, session: u16) -> usize {
        self.events.iter().filter(|event| **event == Event::Attention { session }).count()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Heard {
    state: Mutex<State>,
    changed: Condvar,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, |state| !until(state));
        !waited.unwrap_or_else(std::sync::PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn record(&self, event: Event) {
        self.change(|state| state.events.push(event));
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    pub(crate) fn wait_for(&self, wanted: impl Fn(&[Event]) -> bool) -> bool {
        self.wait(|state| wanted(&state.events))
    }

    pub(crate) fn open(&self, gate: Gate) {
        self.change(|state| state.open.extend([gate]));
    }

    /// Waits at `gate` until the test opens it or the session is asked to stop once more than `answered` times.
    pub(crate) fn pass(&self, gate: Option<Gate>, session: u16, answered: usize) -> bool {
        let is_open = |state: &State| gate.is_some_and(|gate| state.open.contains(&gate));
        self.wait(|state| is_open(state) || state.attentions(session) > answered || state.closed)
    }

    pub(crate) fn attentions(&self, session: u16) -> usize {
        self.lock().attentions(session)
    }

    pub(crate) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}
