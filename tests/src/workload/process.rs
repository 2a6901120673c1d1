//! Tells a process from another one that got the same number later, and kills only the one that is meant.

#[cfg(windows)]
mod windows;

use std::io;
use std::process::{Child, Command};

/// A process for certain: its number and, where the system tells, the moment of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessIdentity {
    pid: u32,
    started: u64,
}

impl ProcessIdentity {
    pub(super) fn own() -> Self {
        let pid = std::process::id();
        Self { pid, started: start_time(pid).unwrap_or(0) }
    }

    pub(super) fn pid(self) -> u32 {
        self.pid
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let (pid, started) = line.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    pub(super) fn to_line(self) -> String {
        format!("{} {}\n", self.pid, self.started)
    }

    /// Whether this process is the one that has the number now; an ended one still has it until it is reaped.
    pub(super) fn is_current(self) -> bool {
        start_time(self.pid).unwrap_or(0) == self.started
    }

    /// Kills exactly this process; `Ok` also when it has ended already.
    #[cfg(target_os = "linux")]
    pub(super) fn kill(self) -> io::Result<()> {
        use rustix::io::Errno;
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(()),
            result => result?,
        };
        // The handle is taken first: whatever it refers to now, it refers to when the signal is sent.
        if !self.is_current() {
            return Ok(());
        }
        match pidfd_send_signal(handle, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Kills exactly this process; `Ok` also when it has ended already.
    #[cfg(windows)]
    pub(super) fn kill(self) -> io::Result<()> {
        windows::kill(self.pid, self.started)
    }

    /// Without a handle that cannot be confused nothing is killed; the process ends when its owner is gone.
    #[cfg(not(any(target_os = "linux", windows)))]
    pub(super) fn kill(self) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// Field 22 of /proc/PID/stat. The name in field 2 may hold blanks and brackets, so counting starts behind it.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(windows)]
use windows::start_time;

#[cfg(not(any(target_os = "linux", windows)))]
fn start_time(_pid: u32) -> Option<u64> {
    None
}

/// Leaves the session of whoever started this process, so that signals to a terminal or a group do not reach it.
#[cfg(unix)]
pub(super) fn leave_session() {
    // A process that leads a group already cannot; then there is nothing to leave either.
    rustix::process::setsid().ok();
}

/// It was started apart already.
#[cfg(not(unix))]
pub(super) fn leave_session() {}

/// Starts a service's process where no key and no closing of a window reaches it.
pub(super) fn spawn_apart(command: &mut Command) -> io::Result<Child> {
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS};
        windows::keep_streams();
        command.creation_flags(CREATE_NEW_PROCESS_GROUP | DETACHED_PROCESS);
    }
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::ProcessIdentity;

    #[test]
    fn a_line_and_back() {
        let own = ProcessIdentity::own();
        assert_eq!(ProcessIdentity::parse(&own.to_line()), Some(own));
        assert_eq!(ProcessIdentity::parse("12"), None);
    }

    #[test]
    fn a_number_that_was_given_away_again_is_not_killed() {
        let own = ProcessIdentity::own();
        let former = ProcessIdentity { started: own.started.wrapping_sub(1), ..own };
        // Were the start time ignored, this test process would end here.
        former.kill().ok();
    }
}
