//! All that a user interface hears while something runs.

use std::fmt::Debug;
use std::time::Duration;

use crate::status::StatusMessage;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A line of the log, in the site-server trace format.
    Log(String),
    /// Something that a shadow copy provider says of its work, as plain text; a run writes it to its log.
    Note(String),
    /// A status message, which is in the status log already.
    Status(StatusMessage),
    /// A new phase has begun.
    Phase(Phase),
    /// How far the phase is.
    Progress(Progress),
    /// How far a server is with the work that the phase waits for.
    Server(ServerProgress),
    /// The freeze window is over, after this long.
    Thawed(Duration),
}

/// A phase of a run, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Everything is judged before anything is touched.
    Preflight,
    /// Files are copied while the site works.
    PreCopy,
    /// The services of the site are stopping.
    Stopping,
    /// The freeze window: nobody writes to what is backed up, this program included.
    Frozen,
    /// The services of the site are starting.
    Starting,
    /// What was held is copied.
    Copying,
    /// The snapshot is made durable and published.
    Publishing,
    /// AfterBackup runs.
    AfterBackup,
    /// The snapshot is archived.
    Archiving,
    /// Content is read and hashed.
    Verifying,
    /// Content is put back.
    Recovering,
}

/// How far something is; totals may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Files there are.
    pub total_files: u64,
    /// Bytes there are.
    pub total_bytes: u64,
}

/// What a server says of its own work: a backup or a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProgress {
    /// The most that was heard so far: drivers hand messages on out of order.
    pub percent: u8,
    /// What the server estimates is left.
    pub left: Option<Duration>,
    /// What the server waits for.
    pub waits_for: Option<String>,
}

/// Hears events. Called from any thread; must not block, and must not write to the site in [`Phase::Frozen`].
pub trait EventSink: Debug + Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}
