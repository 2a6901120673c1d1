//! What the service processes do until they are asked to stop.

use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use super::control::Control;
use super::process::{ProcessIdentity, leave_session};
use super::service::start_service;
use super::writer::Writer;
use super::{Fault, ServiceName};
use crate::poll::poll_until;
use crate::site::SampleSite;

/// How often a service looks whether anybody still wants it.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How often the component manager looks after the executive.
const SUPERVISION: Duration = Duration::from_millis(20);

/// How [`run`] runs.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The service to be.
    pub service: ServiceName,
    /// How many other files to append to, in turn.
    pub extra_files: u32,
    /// Whether to leave the session of the caller.
    pub detach: bool,
    /// The program that the component manager starts the executive with.
    pub program: PathBuf,
}

/// Is the service, in this process, until a stop is requested, the owner has died or the site is gone.
pub fn run(site: &SampleSite, options: &RunOptions) -> io::Result<()> {
    if options.detach {
        leave_session();
    }
    let control = Control::new(site, options.service);
    if control.has_fault(Fault::WontStart) {
        return Err(io::Error::other(format!("{} was told not to start", options.service)));
    }
    let _lock = control.claim()?;
    let worked = match options.service {
        ServiceName::Executive => write_numbers(site, &control, options),
        ServiceName::ComponentManager => supervise(site, &control, options),
    };
    // Clearing up fails when the site is gone, and then there is nothing left to clear.
    let retired = control.retire();
    worked.and(retired)
}

fn write_numbers(site: &SampleSite, control: &Control, options: &RunOptions) -> io::Result<()> {
    let mut writer = Writer::open(site, options.extra_files)?;
    let mut duty = Duty::new(control);
    writer.write_next()?;
    control.announce_ready()?;
    while duty.goes_on() {
        writer.write_next()?;
    }
    Ok(())
}

fn supervise(site: &SampleSite, control: &Control, options: &RunOptions) -> io::Result<()> {
    let executive = Control::new(site, ServiceName::Executive);
    let mut duty = Duty::new(control);
    let mut children: Vec<Child> = Vec::new();
    control.announce_ready()?;
    while duty.goes_on() {
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if !executive.is_locked()? {
            // A failure is tried again at the next look, as the product does; the executive's log has the reason.
            let started = start_service(site, ServiceName::Executive, &options.program, options.extra_files);
            children.extend(started.ok().flatten());
        }
        poll_until(SUPERVISION, || (!duty.goes_on()).then_some(()));
    }
    Ok(())
}

/// Whether a service is still wanted; cheap enough to ask before every number.
struct Duty<'a> {
    control: &'a Control,
    own: ProcessIdentity,
    next_heartbeat: Instant,
    over: bool,
}

impl<'a> Duty<'a> {
    fn new(control: &'a Control) -> Self {
        Self { control, own: ProcessIdentity::own(), next_heartbeat: Instant::now() + HEARTBEAT, over: false }
    }

    /// Once `false`, always `false`.
    fn goes_on(&mut self) -> bool {
        self.over = self.over || self.was_stopped() || self.is_unwanted();
        !self.over
    }

    fn was_stopped(&self) -> bool {
        self.control.stop_requested(self.own) && !self.control.has_fault(Fault::WontStop)
    }

    fn is_unwanted(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next_heartbeat {
            return false;
        }
        self.next_heartbeat = now + HEARTBEAT;
        self.control.must_end()
    }
}
