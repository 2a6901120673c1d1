//! An application that is frozen and thawed by the admin's commands, as a writer of the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backup_core::config::{CommandWriterConfig, ServiceCommands, ServiceConfig};
use backup_core::ports::services::{ServiceControl, ServiceError};
use backup_core::ports::shadow_copies::{Writer, WriterError, WriterMetadata};
use uuid::Uuid;

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

#[async_trait]
impl Writer for CommandWriter {
    /// Refuses when a command is not there: found in the freeze window, that would be an outage.
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let CommandWriterConfig { name, level, freeze, thaw, .. } = &self.config;
        for (action, argv) in [("freeze", freeze), ("thaw", thaw)] {
            if !is_there(argv) {
                let message = format!("writer `{name}`: its {action} command `{}` is not there", argv.join(" "));
                return Err(WriterError::new(message));
            }
        }
        Ok(WriterMetadata { id: id_of(name), name: name.clone(), level: *level, ..WriterMetadata::default() })
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
