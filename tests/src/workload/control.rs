//! The files in the control folder through which the services are started, stopped and found.
//!
//! | file | meaning |
//! |---|---|
//! | `NAME.lock` | locked for as long as the service runs; the system unlocks it however the process ends |
//! | `NAME.pid` | who holds that lock; a second line `ready` once the service works |
//! | `NAME.stop-PID` | process PID is asked to stop; addressed, so that it cannot stop a later one |
//! | `NAME.starting` | locked while somebody starts the service |
//! | `NAME.lying` | the service was "stopped" under [`Fault::LiesAboutStop`] |
//! | `NAME.log` | what the process has to say |
//! | `owner` | locked by the [`Workload`](super::Workload) that answers for the processes |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::ProcessIdentity;
use super::{Fault, ServiceName};
use crate::poll::poll_until;
use crate::site::SampleSite;

const SHORT: Duration = Duration::from_secs(5);

/// The control files of one service.
#[derive(Debug)]
pub(super) struct Control {
    dir: PathBuf,
    name: ServiceName,
}

impl Control {
    pub(super) fn new(site: &SampleSite, name: ServiceName) -> Self {
        Self { dir: site.control_dir(), name }
    }

    pub(super) fn file(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}.{suffix}", self.name))
    }

    /// Takes the lock of a running service and says who runs. The lock lives as long as the returned file.
    pub(super) fn claim(&self) -> io::Result<File> {
        let lock = open_lock(&self.file("lock"))?;
        // Whoever asks whether the service runs holds the lock for an instant.
        poll_until(SHORT, || lock.try_lock().is_ok().then_some(()))
            .ok_or_else(|| io::Error::other(format!("{} runs already", self.name)))?;
        let own = ProcessIdentity::own();
        remove(&self.stop_request(own))?;
        fs::write(self.file("pid"), own.to_line())?;
        Ok(lock)
    }

    pub(super) fn announce_ready(&self) -> io::Result<()> {
        fs::write(self.file("pid"), format!("{}ready\n", ProcessIdentity::own().to_line()))
    }

    /// Clears up behind the own process; the lock is still held.
    pub(super) fn retire(&self) -> io::Result<()> {
        remove(&self.file("pid"))?;
        remove(&self.stop_request(ProcessIdentity::own()))
    }

    /// The process that runs the service, if one does.
    pub(super) fn running(&self) -> io::Result<Option<ProcessIdentity>> {
        // Between taking the lock and writing its name, and between removing its name and ending, a process has no name.
        let known = poll_until(SHORT, || match self.is_locked() {
            Ok(false) => Some(Ok(None)),
            // A name that a killed predecessor left does not count.
            Ok(true) => {
                self.recorded().filter(|(identity, _)| identity.is_current()).map(|(identity, _)| Ok(Some(identity)))
            }
            Err(error) => Some(Err(error)),
        });
        known.unwrap_or_else(|| Err(io::Error::other(format!("{} runs, but nobody says who it is", self.name))))
    }

    pub(super) fn is_locked(&self) -> io::Result<bool> {
        is_locked(&self.file("lock"))
    }

    pub(super) fn is_ready(&self, pid: u32) -> bool {
        self.recorded().is_some_and(|(identity, ready)| ready && identity.pid() == pid)
    }

    fn recorded(&self) -> Option<(ProcessIdentity, bool)> {
        let text = fs::read_to_string(self.file("pid")).ok()?;
        let mut lines = text.lines();
        Some((ProcessIdentity::parse(lines.next()?)?, lines.next() == Some("ready")))
    }

    /// Waits until `identity` no longer runs the service; `false` when it still does after `limit`.
    pub(super) fn wait_until_ended(&self, identity: ProcessIdentity, limit: Duration) -> io::Result<bool> {
        let ended = poll_until(limit, || match self.is_locked() {
            Ok(true) => match self.recorded() {
                Some((other, _)) if other != identity => Some(Ok(())),
                _ => None,
            },
            Ok(false) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        ended.transpose().map(|ended| ended.is_some())
    }

    pub(super) fn request_stop(&self, identity: ProcessIdentity) -> io::Result<()> {
        File::create(self.stop_request(identity)).map(drop)
    }

    pub(super) fn cancel_stop(&self, identity: ProcessIdentity) -> io::Result<()> {
        remove(&self.stop_request(identity))
    }

    pub(super) fn stop_requested(&self, identity: ProcessIdentity) -> bool {
        self.stop_request(identity).exists()
    }

    fn stop_request(&self, identity: ProcessIdentity) -> PathBuf {
        self.file(&format!("stop-{}", identity.pid()))
    }

    /// Whether the own process must end, apart from stop requests: its site is gone, or whoever answers for it.
    pub(super) fn must_end(&self) -> bool {
        !self.file("pid").exists() || is_abandoned(&self.dir)
    }

    pub(super) fn is_abandoned(&self) -> bool {
        is_abandoned(&self.dir)
    }

    /// Only one process at a time starts a service; the lock lives as long as the returned file.
    pub(super) fn lock_start(&self) -> io::Result<File> {
        let lock = open_lock(&self.file("starting"))?;
        lock.lock()?;
        Ok(lock)
    }

    pub(super) fn has_fault(&self, fault: Fault) -> bool {
        let listed = fs::read_to_string(self.dir.join(fault.file_name())).unwrap_or_default();
        listed.lines().any(|line| line == self.name.as_str())
    }

    pub(super) fn set_fault(&self, fault: Fault) -> io::Result<()> {
        let path = self.dir.join(fault.file_name());
        let listed = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, format!("{listed}{}\n", self.name))
    }
}

pub(super) fn clear_faults(site: &SampleSite) -> io::Result<()> {
    Fault::ALL.iter().try_for_each(|fault| remove(&site.control_dir().join(fault.file_name())))
}

/// Locks the owner file: the processes of the site live no longer than the returned file is open.
pub(super) fn own(site: &SampleSite) -> io::Result<File> {
    let lock = open_lock(&site.control_dir().join("owner"))?;
    poll_until(SHORT, || lock.try_lock().is_ok().then_some(()))
        .ok_or_else(|| io::Error::other("somebody else answers for the workload of this site"))?;
    Ok(lock)
}

fn is_abandoned(dir: &Path) -> bool {
    let owner = dir.join("owner");
    owner.exists() && !is_locked(&owner).unwrap_or(false)
}

/// The control folder is not created: when it is gone, so is the site.
fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

fn is_locked(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
