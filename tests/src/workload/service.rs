//! What a service manager does: start, stop and question a service.

use std::error::Error;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::control::Control;
use super::process::spawn_apart;
use super::{Fault, ServiceName};
use crate::poll::poll_until;
use crate::site::SampleSite;

const START_LIMIT: Duration = Duration::from_secs(60);

/// Why a service is not as it was asked to be.
#[derive(Debug)]
pub enum ServiceError {
    /// It was asked to stop and still ran when the time was over; the request is withdrawn.
    WontStop(ServiceName),
    /// It ended before it worked, or did not get to work in time.
    WontStart(ServiceName),
    /// The process that answered for this workload is gone, so nothing is started any more.
    Abandoned,
    /// The control files could not be used.
    Io(io::Error),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WontStop(name) => write!(f, "service `{name}` does not stop"),
            Self::WontStart(name) => write!(f, "service `{name}` does not start: see its log in the control folder"),
            Self::Abandoned => {
                f.write_str("the owner of this workload has ended (remove `control/owner` to start by hand)")
            }
            Self::Io(_) => f.write_str("failed to use the control files"),
        }
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ServiceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether the service says of itself that it runs.
pub fn service_state(site: &SampleSite, name: ServiceName) -> io::Result<bool> {
    let control = Control::new(site, name);
    Ok(control.is_locked()? && !control.file("lying").exists())
}

/// Asks the service to stop and waits until its process has ended. A stopped service is `Ok`.
pub fn stop_service(site: &SampleSite, name: ServiceName, limit: Duration) -> Result<(), ServiceError> {
    let control = Control::new(site, name);
    if control.has_fault(Fault::LiesAboutStop) {
        File::create(control.file("lying"))?;
        return Ok(());
    }
    let Some(identity) = control.running()? else { return Ok(()) };
    control.request_stop(identity)?;
    if control.wait_until_ended(identity, limit)? {
        return Ok(());
    }
    control.cancel_stop(identity)?;
    Err(ServiceError::WontStop(name))
}

/// Starts the service with `program` and waits until it works. A running service is `Ok(None)`.
///
/// The returned child is a session of its own; whoever lives long should reap it.
pub fn start_service(
    site: &SampleSite,
    name: ServiceName,
    program: &Path,
    extra_files: u32,
) -> Result<Option<Child>, ServiceError> {
    let control = Control::new(site, name);
    if control.is_abandoned() {
        return Err(ServiceError::Abandoned);
    }
    let _only_starter = control.lock_start()?;
    std::fs::remove_file(control.file("lying")).ok();
    if goes_on_running(&control)? {
        return Ok(None);
    }
    let mut child = spawn(site, &control, name, program, extra_files)?;
    let pid = child.id();
    let ready = poll_until(START_LIMIT, || {
        if control.is_ready(pid) {
            return Some(true);
        }
        // Its parent is the only one to learn of its end, and must ask to learn it.
        let ended = !matches!(child.try_wait(), Ok(None));
        ended.then_some(false)
    });
    match ready {
        Some(true) => Ok(Some(child)),
        Some(false) => Err(ServiceError::WontStart(name)),
        None => {
            child.kill()?;
            child.wait()?;
            Err(ServiceError::WontStart(name))
        }
    }
}

/// A process that was asked to stop is on its way out, unless it is one that does not obey.
fn goes_on_running(control: &Control) -> io::Result<bool> {
    let Some(identity) = control.running()? else { return Ok(false) };
    if !control.stop_requested(identity) {
        return Ok(true);
    }
    if control.has_fault(Fault::WontStop) {
        control.cancel_stop(identity)?;
        return Ok(true);
    }
    control.wait_until_ended(identity, START_LIMIT).map(|ended| !ended)
}

fn spawn(
    site: &SampleSite,
    control: &Control,
    name: ServiceName,
    program: &Path,
    extra_files: u32,
) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(control.file("log"))?;
    let mut command = Command::new(program);
    command
        .args(["run", "--detach", "--service", name.as_str(), "--site"])
        .arg(site.dir())
        .args(["--extra-files", &extra_files.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    spawn_apart(&mut command)
}
