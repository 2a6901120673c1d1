//! Services of Windows' service control manager.

mod manager;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::config::ServiceConfig;
use backup_core::ports::services::{ServiceControl, ServiceError, ServiceState};
use tokio::time::{Instant, sleep, timeout_at};
use windows_sys::Win32::Foundation as code;

use super::{CommandServices, FIRST_PAUSE, LONGEST_PAUSE};
use crate::blocking::blocking;
use manager::{Doing, Service, Status};

/// Controls services through the service control manager; those that have commands, by these.
///
/// Each call as a whole ends within the service's time limit, whatever the service itself asks to be waited for. What a service is on its
/// way to is awaited. `stop` touches nothing that could not be started again: a service that is disabled, or that this account may not
/// start. A paused service is an error, for a stop and a start would leave it running.
///
/// Besides the services that it was given it stops those only that it has told as their dependents. It answers for every installed
/// service, and starts it: what was stopped by a program that died may have been such a dependent. They have the longest of the limits.
///
/// A call that is dropped, or that ran into its limit, may yet have its effect.
#[derive(Debug)]
pub struct WindowsServices {
    commands: CommandServices,
    services: Vec<Target>,
    dependents: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    limit: Duration,
}

impl WindowsServices {
    /// Controls these services, and for their sake what needs them.
    pub fn new(services: Vec<ServiceConfig>) -> Self {
        let ours = services.iter().filter(|service| service.commands.is_none());
        let target = |service: &ServiceConfig| Target { name: service.name.clone(), limit: service.timeout };
        let targets = ours.map(target).collect();
        Self { commands: CommandServices::new(services), services: targets, dependents: Mutex::default() }
    }

    /// One of the services that it was given. The manager knows no difference between cases of letters.
    fn given(&self, name: &str) -> Option<Target> {
        self.services.iter().find(|service| service.name.eq_ignore_ascii_case(name)).cloned()
    }

    fn installed(&self, name: &str) -> Result<Target, ServiceError> {
        let longest = self.services.iter().map(|service| service.limit).max();
        let other = longest.map(|limit| Target { name: name.to_owned(), limit });
        self.given(name).or(other).ok_or_else(|| ServiceError::Unknown(name.to_owned()))
    }

    fn stoppable(&self, name: &str) -> Result<Target, ServiceError> {
        let dependents = self.dependents.lock().expect("nobody panics with it locked");
        let is_ours = self.given(name).is_some() || dependents.contains(name);
        if is_ours { self.installed(name) } else { Err(ServiceError::Unknown(name.to_owned())) }
    }
}

#[async_trait]
impl ServiceControl for WindowsServices {
    async fn state(&self, name: &str) -> Result<ServiceState, ServiceError> {
        if self.commands.controls(name) {
            return self.commands.state(name).await;
        }
        let call = Call::begin(self.installed(name)?, "query");
        match call.settled().await?.doing {
            Doing::Stopped => Ok(ServiceState::Stopped),
            _ => Ok(ServiceState::Running),
        }
    }

    async fn dependents(&self, name: &str) -> Result<Vec<String>, ServiceError> {
        if self.commands.controls(name) {
            return self.commands.dependents(name).await;
        }
        let call = Call::begin(self.stoppable(name)?, "query");
        let found = call.ask(|name| {
            let mut found = Vec::new();
            let mut ask = |name: &str| Service::open(name, manager::ENUMERATE)?.dependents();
            in_order(name, &mut ask, &mut found).map(|()| found)
        });
        let found = found.await?;
        self.dependents.lock().expect("nobody panics with it locked").extend(found.iter().cloned());
        Ok(found)
    }

    async fn stop(&self, name: &str) -> Result<(), ServiceError> {
        if self.commands.controls(name) {
            return self.commands.stop(name).await;
        }
        let call = Call::begin(self.stoppable(name)?, "stop");
        if call.settled().await?.doing == Doing::Stopped {
            return Ok(());
        }
        call.tell(stop, [Doing::Stopping, Doing::Stopped]).await?;
        call.reach(|status| (status.doing == Doing::Stopped).then_some(Ok(()))).await
    }

    async fn start(&self, name: &str) -> Result<(), ServiceError> {
        if self.commands.controls(name) {
            return self.commands.start(name).await;
        }
        let call = Call::begin(self.installed(name)?, "start");
        if call.settled().await?.doing == Doing::Running {
            return Ok(());
        }
        call.tell(start, [Doing::Starting, Doing::Running]).await?;
        let ended = |status: Status| match status.doing {
            Doing::Running => Some(Ok(())),
            Doing::Stopped => Some(Err(call.failed(format!("it ended at once, with code {}", status.exit_code)))),
            Doing::Starting | Doing::Stopping | Doing::Paused | Doing::Pausing => None,
        };
        call.reach(ended).await
    }
}

/// Whether a service of this name is installed, running or not.
///
/// # Errors
/// The service control manager's, which cannot be asked then.
pub fn is_installed(name: &str) -> io::Result<bool> {
    match Service::open(name, manager::QUERY) {
        Ok(_) => Ok(true),
        Err(error) => match manager::code(&error) {
            code::ERROR_SERVICE_DOES_NOT_EXIST => Ok(false),
            // Who may not look at it knows that it is there.
            code::ERROR_ACCESS_DENIED => Ok(true),
            _ => Err(error),
        },
    }
}

/// Puts what needs a service behind what needs that: the order of stopping. The manager keeps needs free of circles.
fn in_order(
    name: &str,
    ask: &mut dyn FnMut(&str) -> io::Result<Vec<String>>,
    found: &mut Vec<String>,
) -> io::Result<()> {
    for dependent in ask(name)? {
        if !found.contains(&dependent) {
            in_order(&dependent, ask, found)?;
            found.push(dependent);
        }
    }
    Ok(())
}

fn stop(name: &str) -> io::Result<()> {
    let service = Service::open(name, manager::STOP)?;
    if service.is_disabled()? {
        return Err(io::Error::from_raw_os_error(code::ERROR_SERVICE_DISABLED.cast_signed()));
    }
    service.stop()
}

fn start(name: &str) -> io::Result<()> {
    Service::open(name, manager::START)?.start()
}

/// One call on one service, until its limit.
#[derive(Debug)]
struct Call {
    target: Target,
    action: &'static str,
    deadline: Instant,
}

impl Call {
    fn begin(target: Target, action: &'static str) -> Self {
        Self { deadline: Instant::now() + target.limit, target, action }
    }

    /// Asks the manager, which may let one wait; the question goes on when the limit has passed.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let name = self.target.name.clone();
        let answer = timeout_at(self.deadline, blocking(move || question(&name))).await;
        answer.map_err(|_| self.timed_out("the service control manager does not answer"))?.map_err(|error| {
            match manager::code(&error) {
                code::ERROR_SERVICE_DOES_NOT_EXIST | code::ERROR_INVALID_NAME => {
                    ServiceError::Unknown(self.target.name.clone())
                }
                _ => self.failed(reason(&error, &self.target.name)),
            }
        })
    }

    /// Gives an order. That it fails is no failure where the service goes that way: another one's order came first, or it went down
    /// faster than it answered.
    async fn tell(&self, order: fn(&str) -> io::Result<()>, way: [Doing; 2]) -> Result<(), ServiceError> {
        let Err(error) = self.ask(order).await else { return Ok(()) };
        match self.status().await {
            Ok(status) if way.contains(&status.doing) => Ok(()),
            _ => Err(error),
        }
    }

    async fn status(&self) -> Result<Status, ServiceError> {
        self.ask(|name| Service::open(name, manager::QUERY)?.status()).await
    }

    /// The state that it is in, or on its way to.
    async fn settled(&self) -> Result<Status, ServiceError> {
        self.reach(|status| match status.doing {
            Doing::Starting | Doing::Stopping | Doing::Pausing => None,
            Doing::Paused => {
                let reason =
                    "it is paused, and a stop and a start would leave it running: continue it or stop it first";
                Some(Err(self.failed(reason.to_owned())))
            }
            Doing::Stopped | Doing::Running => Some(Ok(status)),
        })
        .await
    }

    /// Asks for the state until it is one that ends this.
    async fn reach<T>(&self, ends: impl Fn(Status) -> Option<Result<T, ServiceError>>) -> Result<T, ServiceError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let status = self.status().await?;
            if let Some(end) = ends(status) {
                return end;
            }
            if Instant::now() + pause >= self.deadline {
                return Err(self.timed_out(&format!("it is still {}", format!("{:?}", status.doing).to_lowercase())));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn failed(&self, reason: String) -> ServiceError {
        ServiceError::Failed { name: self.target.name.clone(), action: self.action, source: reason.into() }
    }

    /// A question has no state that it did not reach.
    fn timed_out(&self, doing: &str) -> ServiceError {
        let limit = self.target.limit;
        match self.action {
            "query" => self.failed(format!("{doing} after {limit:?}: give it a longer timeout")),
            action => ServiceError::TimedOut { name: self.target.name.clone(), action, limit },
        }
    }
}

/// What the system said, and what to do about it.
fn reason(error: &io::Error, name: &str) -> String {
    let remedy = match manager::code(error) {
        code::ERROR_ACCESS_DENIED => format!(
            "the account `{}` needs the rights to query, stop and start it: run this program as an administrator or as Local System, \
             or grant them with `sc sdset {name}`",
            manager::account()
        ),
        code::ERROR_SERVICE_DISABLED => {
            format!("it could not be started: allow it with `sc config {name} start= demand`")
        }
        code::ERROR_DEPENDENT_SERVICES_RUNNING => "services that need it must stop first".to_owned(),
        code::ERROR_INVALID_SERVICE_CONTROL => "it does not let itself be stopped".to_owned(),
        code::ERROR_SERVICE_LOGON_FAILED => "give it the right password of its account".to_owned(),
        code::ERROR_SERVICE_DEPENDENCY_FAIL => {
            format!("see with `sc qc {name}` which service it needs, and why that does not run")
        }
        code::ERROR_SERVICE_DEPENDENCY_DELETED => {
            format!("see with `sc qc {name}` which service it needs, and install that")
        }
        code::ERROR_FILE_NOT_FOUND | code::ERROR_PATH_NOT_FOUND => {
            format!("see with `sc qc {name}` which program it is")
        }
        _ => return error.to_string(),
    };
    format!("{error}; {remedy}")
}
