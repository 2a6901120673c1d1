//! Services that are queried, stopped and started: by the admin's commands, or through the system's own manager.

#[cfg(windows)]
mod windows;

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::config::{ServiceCommands, ServiceConfig};
use backup_core::ports::commands::CommandEnd;
use backup_core::ports::services::{ServiceControl, ServiceError, ServiceState};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::process::Group;

#[cfg(windows)]
pub use windows::{WindowsServices, is_installed};

/// What a state command exits with when the service does not run, as `systemctl is-active` and LSB scripts do.
const NOT_RUNNING: i32 = 3;
/// So much of a failing command's output, from its end, stands in the error.
const SHOWN_OUTPUT: u64 = 2000;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The control of these services that this machine has.
#[cfg(not(windows))]
pub fn of_machine(services: Vec<ServiceConfig>) -> Arc<dyn ServiceControl> {
    Arc::new(CommandServices::new(services))
}

/// The control of these services that this machine has.
#[cfg(windows)]
pub fn of_machine(services: Vec<ServiceConfig>) -> Arc<dyn ServiceControl> {
    Arc::new(WindowsServices::new(services))
}

/// Controls services by commands. No shell is involved, and each call as a whole ends within the service's time limit.
///
/// The state command exits with 0 when the service runs and with 3 when it does not. `stop` and `start` run their command and then ask
/// for the state until it is reached; a command that fails although the state is reached has done its work. `stop` touches nothing when
/// the state cannot be told, or when the start command is not there; `start` tries all the same, for a service that stays down is worse.
///
/// A service without a state command is believed: its `state` is an error, its `stop` and `start` run their command, which must exit with 0.
///
/// A command that runs into the limit, or whose call is dropped, is killed with its process group. What a start command leaves running
/// keeps its output: a file without a name, in the folder for temporary files.
#[derive(Debug, Clone)]
pub struct CommandServices {
    services: Vec<CommandService>,
}

#[derive(Debug, Clone)]
struct CommandService {
    name: String,
    commands: ServiceCommands,
    timeout: Duration,
}

impl CommandServices {
    /// Controls those of these services that have commands, and no others.
    pub fn new(services: Vec<ServiceConfig>) -> Self {
        let service = |ServiceConfig { name, commands, timeout }| {
            commands.map(|commands| CommandService { name, commands, timeout })
        };
        Self { services: services.into_iter().filter_map(service).collect() }
    }

    #[cfg(windows)]
    fn controls(&self, name: &str) -> bool {
        self.service(name).is_ok()
    }

    fn service(&self, name: &str) -> Result<&CommandService, ServiceError> {
        self.services.iter().find(|service| service.name == name).ok_or_else(|| ServiceError::Unknown(name.to_owned()))
    }
}

#[async_trait]
impl ServiceControl for CommandServices {
    async fn state(&self, name: &str) -> Result<ServiceState, ServiceError> {
        let service = self.service(name)?;
        query(service, Instant::now() + service.timeout).await
    }

    /// Commands know of no need between services.
    async fn dependents(&self, name: &str) -> Result<Vec<String>, ServiceError> {
        self.service(name).map(|_| Vec::new())
    }

    async fn stop(&self, name: &str) -> Result<(), ServiceError> {
        let service = self.service(name)?;
        let deadline = Instant::now() + service.timeout;
        if !service.commands.state.is_empty() && query(service, deadline).await? == ServiceState::Stopped {
            return Ok(());
        }
        if !is_there(&service.commands.start) {
            let reason =
                format!("its start command `{}` is not there: it would stay down", service.commands.start.join(" "));
            return Err(failed(service, "stop", reason));
        }
        change(service, &STOP, deadline).await
    }

    async fn start(&self, name: &str) -> Result<(), ServiceError> {
        let service = self.service(name)?;
        let deadline = Instant::now() + service.timeout;
        if matches!(query(service, deadline).await, Ok(ServiceState::Running)) {
            return Ok(());
        }
        change(service, &START, deadline).await
    }
}

/// Whether a command names a program that is there. Windows looks for more names than the one given, so there it is believed.
pub(crate) fn is_there(argv: &[String]) -> bool {
    let Some(program) = argv.first().filter(|_| cfg!(unix)) else { return true };
    match program.contains('/') {
        true => Path::new(program).exists(),
        false => {
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).exists())
        }
    }
}

struct Change {
    action: &'static str,
    wanted: ServiceState,
    command: fn(&CommandService) -> &[String],
}

const STOP: Change =
    Change { action: "stop", wanted: ServiceState::Stopped, command: |service| &service.commands.stop };
const START: Change =
    Change { action: "start", wanted: ServiceState::Running, command: |service| &service.commands.start };

async fn change(service: &CommandService, change: &Change, deadline: Instant) -> Result<(), ServiceError> {
    let argv = (change.command)(service);
    let ended = run(argv, deadline).await.map_err(|error| failed(service, change.action, unstartable(argv, &error)))?;
    match ended.end {
        CommandEnd::Exit(0) => reach(service, change, deadline).await,
        CommandEnd::Exit(code) => match query(service, deadline).await {
            Ok(state) if state == change.wanted => Ok(()),
            _ => Err(failed(service, change.action, ended.complaint(argv, code))),
        },
        CommandEnd::TimedOut => Err(timed_out(service, change.action)),
    }
}

/// Asks until the state is reached; in between a service may well answer with neither state.
async fn reach(service: &CommandService, change: &Change, deadline: Instant) -> Result<(), ServiceError> {
    if service.commands.state.is_empty() {
        return Ok(());
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = query(service, deadline).await;
        if matches!(answer, Ok(state) if state == change.wanted) {
            return Ok(());
        }
        if Instant::now() + pause >= deadline {
            return Err(answer.err().unwrap_or_else(|| timed_out(service, change.action)));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn query(service: &CommandService, deadline: Instant) -> Result<ServiceState, ServiceError> {
    let argv = &service.commands.state;
    if argv.is_empty() {
        return Err(failed(service, "query", "it has no state command".to_owned()));
    }
    let ended = run(argv, deadline).await.map_err(|error| failed(service, "query", unstartable(argv, &error)))?;
    match ended.end {
        CommandEnd::Exit(0) => Ok(ServiceState::Running),
        CommandEnd::Exit(NOT_RUNNING) => Ok(ServiceState::Stopped),
        CommandEnd::Exit(code) => {
            let hint = "it must exit with 0 when the service runs and with 3 when it does not";
            Err(failed(service, "query", format!("{}; {hint}", ended.complaint(argv, code))))
        }
        CommandEnd::TimedOut => {
            let limit = service.timeout;
            Err(failed(service, "query", format!("`{}` did not end within {limit:?}", argv.join(" "))))
        }
    }
}

fn failed(service: &CommandService, action: &'static str, reason: String) -> ServiceError {
    ServiceError::Failed { name: service.name.clone(), action, source: reason.into() }
}

fn timed_out(service: &CommandService, action: &'static str) -> ServiceError {
    ServiceError::TimedOut { name: service.name.clone(), action, limit: service.timeout }
}

fn unstartable(argv: &[String], error: &io::Error) -> String {
    format!("cannot run `{}`: {error}", argv.join(" "))
}

struct Ended {
    end: CommandEnd,
    output: String,
}

impl Ended {
    fn complaint(&self, argv: &[String], code: i32) -> String {
        let exited = format!("`{}` exited with {code}", argv.join(" "));
        if self.output.is_empty() { exited } else { format!("{exited} and said: {}", self.output) }
    }
}

/// Runs a command to its own end, not to that of its output: a service that it started may keep that open for ever.
async fn run(argv: &[String], deadline: Instant) -> io::Result<Ended> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = direct_output(&mut command);
    let end = Group::spawn(&mut command)?.wait(deadline).await?;
    Ok(Ended { end, output: output.map(|file| tail(&file)).unwrap_or_default() })
}

/// Sends the output to a file rather than a pipe, whose closing would kill a service that writes on after we are gone.
///
/// Without room for a temporary file the output is lost, and the service still stops or starts.
fn direct_output(command: &mut Command) -> Option<File> {
    let file = tempfile::tempfile().ok()?;
    command.stdout(file.try_clone().ok()?).stderr(file.try_clone().ok()?);
    Some(file)
}

#[cfg(unix)]
fn tail(file: &File) -> String {
    use std::os::unix::fs::FileExt;
    // Reads at a place of its own: the position in the file belongs to whoever still writes there.
    let length = file.metadata().map_or(0, |facts| facts.len());
    let mut bytes = vec![0; usize::try_from(length.min(SHOWN_OUTPUT)).unwrap_or_default()];
    let read = file.read_at(&mut bytes, length.saturating_sub(SHOWN_OUTPUT)).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..read]).trim().to_owned()
}

#[cfg(not(unix))]
fn tail(mut file: &File) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut bytes = Vec::new();
    let start = file.metadata().map_or(0, |facts| facts.len()).saturating_sub(SHOWN_OUTPUT);
    let _shown_as_far_as_read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

#[cfg(all(test, unix))]
mod tests;
