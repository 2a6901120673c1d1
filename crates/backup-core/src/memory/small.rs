//! The small ports of the memory site: clock, services, registry, commands, journal, status log.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::shadow_copies::MemoryShadowCopies;
use super::world::{World, WorldState};
use crate::event::{Event, EventSink};
use crate::ports::Ports;
use crate::ports::clock::{Clock, UnknownZone};
use crate::ports::commands::{AfterBackupContext, CommandEnd, CommandError, CommandLine, CommandOutcome, Commands};
use crate::ports::journal::{JournalError, JournalLock, JournalRecord, RunJournal};
use crate::ports::registry::{ImportMode, Registry, RegistryError, RegistryKey};
use crate::ports::services::{ServiceControl, ServiceError, ServiceState};
use crate::ports::shadow_copies::{Writer, WriterError, WriterMetadata};
use crate::ports::status_log::{StatusLog, StatusLogError};
use crate::status::StatusMessage;

/// Hears nothing.
#[derive(Debug)]
struct Deaf;

impl EventSink for Deaf {
    fn event(&self, _event: &Event) {}
}

impl World {
    /// Fresh ports over this world, as a new process would have them.
    pub fn ports(&self) -> Ports {
        let world = || Arc::new(self.clone());
        Ports {
            clock: world(),
            files: world(),
            destination: world(),
            kept: Arc::new(self.kept_store()),
            archive: None,
            registry: world(),
            services: world(),
            database: Some(world()),
            shadow_copies: Arc::new(MemoryShadowCopies::new(self.clone())),
            writers: vec![Arc::new(MemoryApplication(self.clone()))],
            commands: world(),
            recovery_target: world(),
            journal: world(),
            status_log: world(),
            events: Arc::new(Deaf),
        }
    }
}

/// An application beside the site that joins its moment.
#[derive(Debug)]
struct MemoryApplication(World);

impl MemoryApplication {
    fn set_going(&self) {
        self.0.step().application = ServiceState::Running;
    }
}

#[async_trait]
impl Writer for MemoryApplication {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        Ok(WriterMetadata { id: Uuid::from_u128(7), name: "Application".to_owned(), ..WriterMetadata::default() })
    }
    async fn prepare_backup(&self) -> Result<(), WriterError> {
        Ok(())
    }
    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }
    async fn freeze(&self) -> Result<(), WriterError> {
        self.0.step().application = ServiceState::Stopped;
        Ok(())
    }
    async fn thaw(&self) -> Result<(), WriterError> {
        self.set_going();
        Ok(())
    }
    async fn post_snapshot(&self) -> Result<(), WriterError> {
        self.set_going();
        Ok(())
    }
    async fn abort(&self) -> Result<(), WriterError> {
        self.set_going();
        Ok(())
    }
    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn local_zone(&self) -> TimeZone {
        TimeZone::UTC
    }

    fn zone(&self, name: &str) -> Result<TimeZone, UnknownZone> {
        if name == "UTC" { Ok(TimeZone::UTC) } else { Err(UnknownZone(name.to_owned())) }
    }

    fn new_id(&self) -> Uuid {
        let mut state = self.lock();
        state.ids += 1;
        Uuid::from_u128((u128::from(state.ids) << 80) | 0x7000_8000_0000_0000_0000)
    }

    async fn sleep_until(&self, moment: Timestamp) {
        let mut state = self.lock();
        state.now = state.now.max(moment);
    }
}

fn refused() -> Box<dyn std::error::Error + Send + Sync> {
    std::io::Error::from(std::io::ErrorKind::PermissionDenied).into()
}

impl WorldState {
    fn running_dependents(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for dependent in self.dependents.get(name).into_iter().flatten() {
            if self.services.get(dependent) == Some(&ServiceState::Running) {
                found.extend(self.running_dependents(dependent));
                found.push(dependent.clone());
            }
        }
        found
    }
}

impl World {
    fn switch(&self, name: &str, action: &'static str, to: ServiceState) -> Result<(), ServiceError> {
        let mut state = self.step();
        let from = state.services.get(name).copied().ok_or_else(|| ServiceError::Unknown(name.to_owned()))?;
        if state.stubborn.contains(&(name.to_owned(), action)) {
            return Err(ServiceError::Failed { name: name.to_owned(), action, source: refused() });
        }
        if to == ServiceState::Stopped && !state.running_dependents(name).is_empty() {
            return Err(ServiceError::Failed { name: name.to_owned(), action: "stop", source: refused() });
        }
        let needed = state.dependents.iter().filter(|(_, dependents)| dependents.iter().any(|other| other == name));
        let is_missing = |(needed, _): (&String, _)| state.services.get(needed) == Some(&ServiceState::Stopped);
        if to == ServiceState::Running && needed.into_iter().any(is_missing) {
            return Err(ServiceError::Failed { name: name.to_owned(), action: "start", source: refused() });
        }
        if name == "SMS_EXECUTIVE" && from == ServiceState::Running && to == ServiceState::Stopped {
            let manager = state.services.get("SMS_SITE_COMPONENT_MANAGER");
            assert_eq!(manager, Some(&ServiceState::Stopped), "the component manager would start the executive again");
            state.come_to_rest();
        }
        state.services.insert(name.to_owned(), to);
        state.now += SignedDuration::from_secs(1);
        Ok(())
    }
}

#[async_trait]
impl ServiceControl for World {
    async fn state(&self, name: &str) -> Result<ServiceState, ServiceError> {
        self.step().services.get(name).copied().ok_or_else(|| ServiceError::Unknown(name.to_owned()))
    }

    async fn dependents(&self, name: &str) -> Result<Vec<String>, ServiceError> {
        let state = self.step();
        let is_known = state.services.contains_key(name);
        is_known.then(|| state.running_dependents(name)).ok_or_else(|| ServiceError::Unknown(name.to_owned()))
    }

    async fn stop(&self, name: &str) -> Result<(), ServiceError> {
        self.switch(name, "stop", ServiceState::Stopped)
    }

    async fn start(&self, name: &str) -> Result<(), ServiceError> {
        self.switch(name, "start", ServiceState::Running)
    }
}

#[async_trait]
impl Registry for World {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        let found = self.step().registry.get(&key.as_str().to_lowercase()).cloned();
        found.ok_or_else(|| RegistryError::NoKey(key.clone()))
    }

    async fn import(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<(), RegistryError> {
        judge(key, export)?;
        let mut state = self.step();
        let entry = state.registry.entry(key.as_str().to_lowercase()).or_default();
        *entry = imported(entry, export, mode);
        Ok(())
    }

    async fn preview(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<Vec<String>, RegistryError> {
        judge(key, export)?;
        let before = self.step().registry.get(&key.as_str().to_lowercase()).cloned().unwrap_or_default();
        let after = imported(&before, export, mode);
        let missing = |from: &[u8], of: &[u8], sign: &str| {
            let (from, of) = (String::from_utf8_lossy(from).into_owned(), String::from_utf8_lossy(of).into_owned());
            let lines: Vec<String> = of
                .lines()
                .filter(|line| !from.lines().any(|other| other == *line))
                .map(|line| format!("{sign} {line}"))
                .collect();
            lines
        };
        Ok([missing(&after, &before, "-"), missing(&before, &after, "+")].concat())
    }

    async fn loses(&self, key: &RegistryKey, export: &[u8]) -> Result<Option<String>, RegistryError> {
        judge(key, export)?;
        Ok(self.step().registry_loses.clone())
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        drop(self.step());
        judge(key, export)
    }
}

/// The first line is the key's value, and further ones are names of subkeys: only they can stay beside those of an export.
fn imported(before: &[u8], export: &[u8], mode: ImportMode) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = export.split(|&byte| byte == b'\n').collect();
    if mode == ImportMode::Merge {
        let stay: Vec<&[u8]> =
            before.split(|&byte| byte == b'\n').skip(1).filter(|line| !lines.contains(line)).collect();
        lines.extend(stay);
    }
    lines.join(&b'\n')
}

/// An export is text here, and holds one key.
fn judge(key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
    let malformed = |source: std::str::Utf8Error| RegistryError::Malformed { key: key.clone(), source: source.into() };
    std::str::from_utf8(export).map(|_| 1).map_err(malformed)
}

#[async_trait]
impl Commands for World {
    async fn run(&self, command: &CommandLine) -> Result<CommandOutcome, CommandError> {
        let mut state = self.step();
        state.commands.push(command.text.clone());
        let code = i32::from(command.text.starts_with("false"));
        let (end, cut) = (CommandEnd::Exit(code), command.text.starts_with("endless"));
        Ok(CommandOutcome { end, output: format!("ran {}\n", command.text).into_bytes(), cut })
    }

    async fn after_backup(&self, _context: &AfterBackupContext) -> Result<Option<CommandOutcome>, CommandError> {
        let mut state = self.step();
        super::destination::edit_published(&mut state);
        Ok(state.after_backup.clone())
    }
}

/// The journal, held.
#[derive(Debug)]
struct MemoryLock(World);

impl JournalLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.lock().locked = false;
    }
}

#[async_trait]
impl RunJournal for World {
    async fn lock(&self) -> Result<Box<dyn JournalLock>, JournalError> {
        let mut state = self.step();
        if state.locked {
            return Err(JournalError::Busy { holder: "another process".to_owned() });
        }
        state.locked = true;
        Ok(Box::new(MemoryLock(self.clone())))
    }

    async fn append(&self, record: &JournalRecord) -> Result<(), JournalError> {
        let mut state = self.step();
        assert!(state.locked, "only the holder of the lock appends");
        state.journal.push(record.clone());
        Ok(())
    }

    async fn read(&self) -> Result<Vec<JournalRecord>, JournalError> {
        Ok(self.step().journal.clone())
    }
}

#[async_trait]
impl StatusLog for World {
    async fn append(&self, message: &StatusMessage) -> Result<(), StatusLogError> {
        self.step().status.push(message.clone());
        Ok(())
    }

    async fn read(&self) -> Result<Vec<StatusMessage>, StatusLogError> {
        Ok(self.step().status.clone())
    }
}
