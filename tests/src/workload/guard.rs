//! Answers for the service processes of one site.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::control::{self, Control};
use super::service::{service_state, stop_service};
use super::{Fault, ServiceName};
use crate::counters::Counters;
use crate::poll::poll_until;
use crate::site::SampleSite;

/// What a service gets to end in peace before it is killed.
const GRACE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

/// The workload of a site: none of its processes outlives this value.
///
/// Dropping it clears all faults, stops the services in order, kills what does not stop, and lets nobody start them
/// again (not even a watchdog that fires late). If this process is killed, they notice within a tenth of a second.
#[derive(Debug)]
pub struct Workload {
    site: SampleSite,
    program: PathBuf,
    extra_files: u32,
    _owner: File,
}

impl Workload {
    /// Answers for the processes of `site` without starting any; fails while somebody else does.
    pub fn adopt(site: &SampleSite, program: &Path, extra_files: u32) -> io::Result<Self> {
        let owner = control::own(site)?;
        Ok(Self { site: site.clone(), program: program.to_owned(), extra_files, _owner: owner })
    }

    /// Adopts the site and starts both services.
    pub fn start(site: &SampleSite, program: &Path, extra_files: u32) -> io::Result<Self> {
        let workload = Self::adopt(site, program, extra_files)?;
        workload.start_all()?;
        Ok(workload)
    }

    /// Starts both services, in the order of the control file.
    pub fn start_all(&self) -> io::Result<()> {
        ServiceName::IN_STOP_ORDER.into_iter().try_for_each(|name| self.start_service(name))
    }

    /// Stops both services; afterwards the numbers agree.
    pub fn stop_all(&self) -> io::Result<()> {
        ServiceName::IN_STOP_ORDER.into_iter().try_for_each(|name| self.stop_service(name))
    }

    /// Starts one service through the workload program, as a service manager would.
    pub fn start_service(&self, name: ServiceName) -> io::Result<()> {
        let extra_files = self.extra_files.to_string();
        self.call(&["start", name.as_str(), "--extra-files", &extra_files])
    }

    /// Stops one service through the workload program.
    pub fn stop_service(&self, name: ServiceName) -> io::Result<()> {
        self.call(&["stop", name.as_str()])
    }

    /// Whether the service says that it runs.
    pub fn is_running(&self, name: ServiceName) -> io::Result<bool> {
        service_state(&self.site, name)
    }

    /// Makes a service misbehave from now on.
    pub fn set_fault(&self, fault: Fault, name: ServiceName) -> io::Result<()> {
        Control::new(&self.site, name).set_fault(fault)
    }

    /// Makes all services behave again.
    pub fn clear_faults(&self) -> io::Result<()> {
        control::clear_faults(&self.site)
    }

    /// Waits until every place holds a higher number than it does now, and returns those numbers. The database, wherever it is, has each
    /// number before the file and the registry.
    pub fn wait_for_progress(&self) -> io::Result<Counters> {
        let before = self.site.live_counters()?.highest();
        poll_until(PATIENCE, || {
            let now = self.site.live_counters().ok()?;
            (now.file.min(now.registry) > before).then_some(now)
        })
        .ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "the workload does not get on"))
    }

    fn call(&self, arguments: &[&str]) -> io::Result<()> {
        let call = || {
            let mut command = Command::new(&self.program);
            command.arg("service").args(arguments).arg("--site").arg(self.site.dir()).stdin(Stdio::null()).output()
        };
        let output = match call() {
            // Wine now and then starts no process when many start at once (1359, an internal error); what did not start is started again.
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(1359) => call()?,
            output => output?,
        };
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
    }

    /// Kills a service where it stands, as a crash would, and waits until it is gone.
    pub fn kill_service(&self, name: ServiceName) -> io::Result<()> {
        let control = Control::new(&self.site, name);
        let Some(identity) = control.running()? else { return Ok(()) };
        identity.kill()?;
        if control.wait_until_ended(identity, GRACE)? {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("service `{name}` survives a kill")))
    }

    fn end(&self, name: ServiceName) -> io::Result<()> {
        stop_service(&self.site, name, GRACE).or_else(|_| self.kill_service(name))
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // A removed site ends its processes by itself. What cannot be ended here ends when the owner file is closed,
        // right after this; that file stays, so that nothing is started any more.
        if fs::exists(self.site.control_dir()).unwrap_or(false) {
            self.clear_faults().ok();
            for name in ServiceName::IN_STOP_ORDER {
                self.end(name).ok();
            }
        }
    }
}
