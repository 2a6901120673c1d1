//! The commands that an admin wrote down, and the hook AfterBackup.

mod attached;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::ports::commands::{AfterBackupContext, CommandError, CommandLine, CommandOutcome, Commands};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::jsonl::none_if_missing;
use crate::process::{Group, Reader};

pub use attached::{OutputTo, run_attached};

/// The hook's name.
pub const AFTER_BACKUP: &str = if cfg!(windows) { "AfterBackup.bat" } else { "AfterBackup" };

const KEPT_OUTPUT: usize = 1024 * 1024;
/// How long output is still read after a command has ended, when something that it started keeps the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Runs commands by `sh -c`, or `cmd.exe /C` on Windows, without standard input.
///
/// A command's process group is killed at its limit and when its call is dropped. What a command leaves in the background lives on, but
/// its output is read no more: it should be sent elsewhere.
#[derive(Debug, Clone)]
pub struct HostCommands {
    folder: PathBuf,
}

impl HostCommands {
    /// Commands of a site; `folder`, in which the control file or else the site.toml lies, is where AfterBackup is looked for.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Runs a program without a shell, as the alert command is written.
    ///
    /// # Errors
    /// [`CommandError`] when it could not be started.
    pub async fn run_program(
        &self,
        argv: &[String],
        environment: &[(String, String)],
        limit: Duration,
    ) -> Result<CommandOutcome, CommandError> {
        let shown = argv.join(" ");
        let Some((program, arguments)) = argv.split_first() else {
            return Err(start_error(&shown, "the command is empty"));
        };
        let mut command = Command::new(program);
        command.args(arguments).envs(pairs(environment));
        run(command, limit).await.map_err(|error| start_error(&shown, error))
    }
}

#[async_trait]
impl Commands for HostCommands {
    async fn run(&self, line: &CommandLine) -> Result<CommandOutcome, CommandError> {
        let mut command = shell(&line.text);
        command.envs(pairs(&line.environment));
        run(command, line.limit).await.map_err(|error| start_error(&line.text, error))
    }

    async fn after_backup(&self, context: &AfterBackupContext) -> Result<Option<CommandOutcome>, CommandError> {
        let hook = self.folder.join(AFTER_BACKUP);
        let shown = hook.display().to_string();
        if !is_runnable(&hook).map_err(|error| start_error(&shown, error))? {
            return Ok(None);
        }
        let mut command = Command::new(&hook);
        command.current_dir(&self.folder).envs(pairs(&context.environment));
        let outcome = run(command, context.limit).await.map_err(|error| start_error(&shown, error))?;
        Ok(Some(outcome))
    }
}

fn pairs(environment: &[(String, String)]) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    environment.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)))
}

fn start_error(command: &str, source: impl Into<backup_core::ports::Source>) -> CommandError {
    CommandError::Start { command: command.to_owned(), source: source.into() }
}

#[cfg(not(windows))]
fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(text);
    command
}

#[cfg(windows)]
fn shell(text: &str) -> Command {
    let mut command = Command::new("cmd.exe");
    // cmd.exe reads its command line raw, and takes off one pair of quotes around the whole.
    command.raw_arg(format!("/C \"{text}\""));
    command
}

/// Whether the hook is there. A broken link, a folder or a file that nobody may execute was meant to be one, so it is an error.
fn is_runnable(hook: &Path) -> io::Result<bool> {
    if none_if_missing(fs::symlink_metadata(hook))?.is_none() {
        return Ok(false);
    }
    let facts = fs::metadata(hook)?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&facts) & 0o111 == 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not executable (chmod +x makes it so)"));
    }
    Ok(true)
}

async fn run(mut command: Command, limit: Duration) -> io::Result<CommandOutcome> {
    let deadline = Instant::now() + limit;
    // One pipe for both, so that the output keeps the order in which it was written.
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut output = Output { pipe: Reader::new(reader)?, kept: Vec::new(), cut: false };
    let mut group = Group::spawn(&mut command)?;
    // The command holds two ends of the pipe; with them open here the output would have no end.
    drop(command);
    let ended = tokio::select! {
        end = group.wait(deadline) => Some(end?),
        () = output.read_to_end() => None,
    };
    let end = match ended {
        Some(end) => {
            let _cut = timeout(LAST_WORDS, output.read_to_end()).await;
            end
        }
        None => group.wait(deadline).await?,
    };
    Ok(CommandOutcome { end, output: output.kept, cut: output.cut })
}

struct Output {
    pipe: Reader,
    kept: Vec<u8>,
    cut: bool,
}

impl Output {
    /// Reads to the end, so that the command never waits for us, and keeps the first part. Cancelling loses nothing.
    async fn read_to_end(&mut self) {
        while let Some(piece) = self.pipe.next().await {
            let kept = piece.len().min(KEPT_OUTPUT - self.kept.len());
            self.kept.extend_from_slice(&piece[..kept]);
            self.cut |= kept < piece.len();
        }
    }
}

#[cfg(all(test, windows))]
mod windows_tests;

#[cfg(all(test, unix))]
mod tests {
    use std::error::Error;

    use backup_core::ports::commands::CommandEnd;

    use super::*;
    use crate::testing::eventually;

    fn line(text: &str) -> CommandLine {
        CommandLine { text: text.to_owned(), environment: Vec::new(), limit: Duration::from_secs(20) }
    }

    async fn check(text: &str, end: CommandEnd, output: &str) {
        let outcome = HostCommands::new("/").run(&line(text)).await.expect("the shell starts");
        assert_eq!((outcome.end, String::from_utf8_lossy(&outcome.output).as_ref()), (end, output), "{text}");
    }

    #[tokio::test]
    async fn a_command_tells_its_code_and_its_output_in_order() {
        check("echo one; echo two >&2; echo three", CommandEnd::Exit(0), "one\ntwo\nthree\n").await;
        check("exit 7", CommandEnd::Exit(7), "").await;
        check("kill -TERM $$", CommandEnd::Exit(143), "").await;
        check("cat; exec >&- 2>&-; exit 4", CommandEnd::Exit(4), "").await;
    }

    #[tokio::test]
    async fn the_environment_is_added_to() {
        let environment = vec![("SITE".to_owned(), "P 01".to_owned())];
        let line = CommandLine { environment, ..line("test -n \"$PATH\" && echo \"$SITE\"") };
        assert_eq!(HostCommands::new("/").run(&line).await.expect("the shell starts").output, b"P 01\n");
    }

    #[tokio::test]
    async fn long_output_is_cut_and_never_stops_the_command() {
        let outcome = HostCommands::new("/").run(&line("head -c 3000000 /dev/zero; exit 5")).await.expect("it starts");
        assert_eq!((outcome.end, outcome.output.len(), outcome.cut), (CommandEnd::Exit(5), KEPT_OUTPUT, true));
    }

    #[tokio::test]
    async fn what_runs_on_in_the_background_is_not_awaited() {
        let begun = std::time::Instant::now();
        check("echo done; sleep 15 &", CommandEnd::Exit(0), "done\n").await;
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_limit_ends_the_whole_group() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let pid = folder.path().join("pid");
        let text = format!("echo before; sleep 1000 & echo $! > '{}'; wait", pid.display());
        let line = CommandLine { limit: Duration::from_secs(1), ..line(&text) };
        let outcome = HostCommands::new("/").run(&line).await.expect("the shell starts");
        assert_eq!((outcome.end, outcome.output.as_slice()), (CommandEnd::TimedOut, &b"before\n"[..]));
        let sleeper = fs::read_to_string(&pid).expect("written").trim().parse().expect("a number");
        eventually("the sleeper is gone", || (!crate::testing::is_alive(sleeper)).then_some(()));
    }

    #[tokio::test]
    async fn a_program_runs_without_a_shell() {
        let commands = HostCommands::new("/");
        let argv = ["printf", "%s", "$HOME *"].map(str::to_owned);
        let outcome = commands.run_program(&argv, &[], Duration::from_secs(20)).await.expect("it starts");
        assert_eq!(outcome.output, b"$HOME *");
        let error = commands.run_program(&["/no/such".into()], &[], Duration::from_secs(20)).await;
        assert_eq!(error.expect_err("there is none").to_string(), "failed to start `/no/such`");
    }

    fn context() -> AfterBackupContext {
        AfterBackupContext {
            snapshot: backup_core::path::SitePath::parse("/backup/P01Backup").expect("absolute"),
            environment: vec![("SNAPSHOT".into(), "/backup/P01Backup".into())],
            limit: Duration::from_secs(20),
        }
    }

    /// Written by a process that is gone: a file that another thread's new child has open for writing cannot be executed.
    fn write_hook(folder: &Path, mode: &str) {
        let script = "printf '#!/bin/sh\\npwd; echo \"$SNAPSHOT\"; exit 3\\n' > AfterBackup; chmod \"$1\" AfterBackup";
        let status = std::process::Command::new("sh").args(["-c", script, "sh", mode]).current_dir(folder).status();
        assert!(status.expect("the shell starts").success());
    }

    #[tokio::test]
    async fn after_backup_runs_in_its_folder() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let commands = HostCommands::new(folder.path());
        assert_eq!(commands.after_backup(&context()).await.expect("absent is fine"), None);
        write_hook(folder.path(), "755");
        let outcome = commands.after_backup(&context()).await.expect("it starts").expect("it is there");
        let place = folder.path().canonicalize().expect("it exists");
        let expect = format!("{}\n/backup/P01Backup\n", place.display());
        assert_eq!((outcome.end, String::from_utf8_lossy(&outcome.output).as_ref()), (CommandEnd::Exit(3), &*expect));
    }

    #[tokio::test]
    async fn an_after_backup_that_cannot_run_is_an_error() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let commands = HostCommands::new(folder.path());
        write_hook(folder.path(), "644");
        let error = commands.after_backup(&context()).await.expect_err("it is not executable");
        assert!(error.source().expect("a reason").to_string().contains("chmod +x"), "{error}");
        fs::remove_file(folder.path().join(AFTER_BACKUP)).expect("removed");
        fs::create_dir(folder.path().join(AFTER_BACKUP)).expect("created");
        assert!(commands.after_backup(&context()).await.is_err(), "a folder is not a hook");
    }
}
