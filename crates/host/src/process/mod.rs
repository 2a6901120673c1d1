//! Child processes under a time limit, each in a group of its own that ends as one.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use backup_core::ports::commands::CommandEnd;
use backup_core::secret::PASSWORD_VARIABLE;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::keep_streams;
pub(crate) use system::{Reader, detach};

/// How long a killed process may take to leave; one that hangs in the kernel is not waited for.
const REAPING: Duration = Duration::from_secs(5);

/// A child process and all that it starts, unless that leaves the group.
///
/// Dropped before the child has ended, it kills the whole group. What a child leaves behind when it ends by itself lives on.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    members: system::Members,
    timed_out: bool,
}

impl Group {
    /// Starts the command in a new group and without the password of a database, so that neither a terminal's signals nor those for this program reach it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        command.env_remove(PASSWORD_VARIABLE);
        let (child, members) = system::spawn(command)?;
        Ok(Self { child, members, timed_out: false })
    }

    /// Waits for the child, and kills the group at `deadline`. A wait that is cancelled can be taken up again.
    pub(crate) async fn wait(&mut self, deadline: Instant) -> io::Result<CommandEnd> {
        if !self.timed_out {
            match timeout_at(deadline, self.child.wait()).await {
                Ok(status) => return Ok(CommandEnd::Exit(exit_code(status?))),
                Err(_) => self.kill(),
            }
            // Kept, for a wait that is cancelled from here on must not take our own kill for the child's end.
            self.timed_out = true;
        }
        let _reaped = timeout(REAPING, self.child.wait()).await;
        Ok(CommandEnd::TimedOut)
    }

    fn kill(&mut self) {
        // The number is there until the child is reaped; only so long can nobody else have it.
        if self.child.id().is_some() {
            self.members.kill(&mut self.child);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The code that a shell would show: a signal counts as 128 plus its number.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| system::signal(status).map(|signal| 128 + signal)).unwrap_or(-1)
}
