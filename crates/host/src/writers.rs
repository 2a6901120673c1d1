//! An application that is told by the admin's commands, as a writer of backups and of recoveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backup_core::config::{CommandWriterConfig, RestoreCommands, ServiceCommands, ServiceConfig};
use backup_core::ports::commands::CommandEnd;
use backup_core::ports::restores::{RestoreStatus, RestoreWriter};
use backup_core::ports::services::{ServiceControl, ServiceError};
use backup_core::ports::shadow_copies::{SessionLimits, Writer, WriterError, WriterMetadata};
use uuid::Uuid;

use crate::commands::HostCommands;
use crate::services::is_there;

/// A writer whose Freeze and Thaw are commands.
///
/// `thaw` comes after PrepareSnapshot, whether or not `freeze` came, as often as it takes to succeed, and in a repair: it must do no harm
/// to an application that is not frozen.
#[derive(Debug)]
pub struct CommandWriter {
    config: CommandWriterConfig,
    control: Arc<dyn ServiceControl>,
    /// Whether the application may be frozen. So it is for a new writer: a process before this one may have died.
    may_be_frozen: AtomicBool,
}

impl CommandWriter {
    /// Freezes by `control`'s stop and thaws by its start of a [service](service_of) of the writer's name; its watchdog, where it has one, is
    /// the writer's too.
    pub fn new(config: CommandWriterConfig, control: Arc<dyn ServiceControl>) -> Self {
        Self { config, control, may_be_frozen: AtomicBool::new(true) }
    }

    fn failed(&self, action: &str, error: ServiceError) -> WriterError {
        WriterError::new(format!("failed to {action} `{}`", self.config.name)).because(error)
    }

    async fn set_going(&self) -> Result<(), WriterError> {
        if self.may_be_frozen.load(Ordering::SeqCst) {
            self.control.start(&self.config.name).await.map_err(|error| self.failed("thaw", error))?;
            self.may_be_frozen.store(false, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// The service by whose control a writer freezes and thaws: `stop` freezes, `start` thaws, and its state cannot be asked.
pub fn service_of(writer: &CommandWriterConfig) -> ServiceConfig {
    let commands = ServiceCommands { stop: writer.freeze.clone(), start: writer.thaw.clone(), state: Vec::new() };
    ServiceConfig { name: writer.name.clone(), commands: Some(commands), timeout: writer.timeout }
}

/// The same for every run, so that other backup programs know the writer again.
fn id_of(name: &str) -> Uuid {
    let hash = blake3::hash(format!("sitebackup command writer {name}").as_bytes());
    let bytes = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
    uuid::Builder::from_custom_bytes(*bytes).into_uuid()
}

/// What a writer says of itself, once all that it is going to need is there.
fn describe(config: &CommandWriterConfig, commands: [(&str, &Vec<String>); 2]) -> Result<WriterMetadata, WriterError> {
    let CommandWriterConfig { name, level, .. } = config;
    for (action, argv) in commands {
        if !is_there(argv) {
            let message = format!("writer `{name}`: its {action} command `{}` is not there", argv.join(" "));
            return Err(WriterError::new(message));
        }
    }
    Ok(WriterMetadata { id: id_of(name), name: name.clone(), level: *level, ..WriterMetadata::default() })
}

/// A writer that hears of recoveries by commands.
///
/// Both have `SITEBACKUP_RESTORE` in their environment: `begins`, then `all`, `failed` or `nothing` for what was put back. A command that
/// is not done within a callback's limit is ended.
#[derive(Debug)]
pub struct CommandRestoreWriter {
    config: CommandWriterConfig,
    commands: RestoreCommands,
}

impl CommandRestoreWriter {
    /// `None` for one whose configuration has no commands for it.
    pub fn new(config: &CommandWriterConfig) -> Option<Self> {
        config.restore.clone().map(|commands| Self { config: config.clone(), commands })
    }

    async fn run(&self, action: &str, argv: &[String], what: &str) -> Result<(), WriterError> {
        let failed = || format!("the {action} command of `{}` failed", self.config.name);
        let environment = [("SITEBACKUP_RESTORE".to_owned(), what.to_owned())];
        let limit = SessionLimits::default().callback;
        let ran = HostCommands::new("").run_program(argv, &environment, limit).await;
        let outcome = ran.map_err(|error| WriterError::new(failed()).because(error))?;
        let said = String::from_utf8_lossy(&outcome.output).trim().to_owned();
        let ended = match outcome.end {
            CommandEnd::Exit(0) => return Ok(()),
            CommandEnd::Exit(code) => format!("exit code {code}"),
            CommandEnd::TimedOut => format!("ended after {} s", limit.as_secs()),
        };
        let reason = if said.is_empty() { ended } else { format!("{ended}: {said}") };
        Err(WriterError::new(failed()).because(reason))
    }
}

#[async_trait]
impl RestoreWriter for CommandRestoreWriter {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let RestoreCommands { before, after } = &self.commands;
        describe(&self.config, [("pre-restore", before), ("post-restore", after)])
    }

    async fn pre_restore(&self) -> Result<(), WriterError> {
        self.run("pre-restore", &self.commands.before, "begins").await
    }

    async fn post_restore(&self, status: RestoreStatus) -> Result<(), WriterError> {
        let what = match status {
            RestoreStatus::Nothing => "nothing",
            RestoreStatus::All => "all",
            RestoreStatus::Failed => "failed",
        };
        self.run("post-restore", &self.commands.after, what).await
    }
}

#[async_trait]
impl Writer for CommandWriter {
    /// Refuses when a command is not there: found in the freeze window, that would be an outage.
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let CommandWriterConfig { freeze, thaw, .. } = &self.config;
        describe(&self.config, [("freeze", freeze), ("thaw", thaw)])
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        self.may_be_frozen.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        self.may_be_frozen.store(true, Ordering::SeqCst);
        self.control.ready(&self.config.name).await.map_err(|error| self.failed("watch over", error))
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        self.control.stop(&self.config.name).await.map_err(|error| self.failed("freeze", error))
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        self.set_going().await
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        self.set_going().await
    }

    async fn abort(&self) -> Result<(), WriterError> {
        self.set_going().await
    }

    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests;
