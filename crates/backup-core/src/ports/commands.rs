//! Runs the commands that an admin wrote down: the control file's `cmd` tasks, AfterBackup, probes and alerts.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::Source;
use crate::path::SitePath;

/// A command line as the admin wrote it, for the platform's shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The text that the shell gets.
    pub text: String,
    /// Variables added to the environment.
    pub environment: Vec<(String, String)>,
    /// After this the command and its children are ended.
    pub limit: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    /// It exited with this code; a signal counts as 128 plus its number.
    Exit(i32),
    /// It was ended at its time limit.
    TimedOut,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutcome {
    /// How it ended.
    pub end: CommandEnd,
    /// The first 1 MiB of its output, standard output and error in the order of arrival.
    pub output: Vec<u8>,
    /// Whether there was more of it.
    pub cut: bool,
}

/// What AfterBackup is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterBackupContext {
    /// The published snapshot's folder.
    pub snapshot: SitePath,
    /// Variables added to the environment.
    pub environment: Vec<(String, String)>,
    /// After this the hook is ended.
    pub limit: Duration,
}

/// Why a command could not be run at all. One that ran and failed is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("failed to start `{command}`")]
    Start {
        /// The command.
        command: String,
        /// The system's reason.
        source: Source,
    },
}

/// Runs commands. None is retried; a dropped call ends the command's whole process group.
#[async_trait]
pub trait Commands: Debug + Send + Sync {
    /// Runs one command line to its end or its limit.
    async fn run(&self, command: &CommandLine) -> Result<CommandOutcome, CommandError>;
    /// Runs AfterBackup beside the control file; `None` when there is no such file.
    async fn after_backup(&self, context: &AfterBackupContext) -> Result<Option<CommandOutcome>, CommandError>;
}
