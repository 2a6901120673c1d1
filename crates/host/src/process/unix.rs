//! Process groups and pipes.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

/// The members of a group, which bear its leader's number.
#[derive(Debug)]
pub(super) struct Members;

pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Members)> {
    Ok((command.process_group(0).spawn()?, Members))
}

impl Members {
    /// Kills all, the child included, which must not have been reaped.
    pub(super) fn kill(&self, child: &mut Child) {
        if let Some(group) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

pub(super) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// Starts a process that leaves this one's session by itself.
pub(crate) fn detach(mut command: Command) -> io::Result<Child> {
    command.spawn()
}

/// Keeps this program's own streams from the processes that it starts: they get none but those that they are given.
pub fn keep_streams() {}

/// The reading end of a pipe.
#[derive(Debug)]
pub(crate) struct Reader(ChildStdout);

impl Reader {
    pub(crate) fn new(pipe: PipeReader) -> io::Result<Self> {
        ChildStdout::from_std(OwnedFd::from(pipe).into()).map(Self)
    }

    /// What comes next; `None` at the end. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 16 * 1024];
        // A pipe that cannot be read is at its end as far as anybody can tell.
        let read = self.0.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        buffer.truncate(read);
        Some(buffer)
    }
}
