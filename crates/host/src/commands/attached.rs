//! A program that has this one's terminal, input and output.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use backup_core::cancel::Cancel;
use backup_core::secret::PASSWORD_VARIABLE;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::process::exit_code;

/// How often the wish to stop is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long a program may take to end that the terminal has told to, before it is killed.
const ENDING: Duration = Duration::from_secs(10);

/// Where a program's standard output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputTo {
    /// Where this program's goes.
    Same,
    /// Where this program's errors go.
    Errors,
}

/// Runs a program to its end, in this program's process group, so that it can ask for a password and ctrl-C reaches it; returns its exit code,
/// a signal counting as 128 plus its number.
///
/// Once `cancel` is set, it has ten seconds to end by itself. Dropping the future kills it.
///
/// # Errors
/// The system's, when it cannot be started.
pub async fn run_attached(
    argv: &[OsString],
    environment: &[(String, OsString)],
    output: OutputTo,
    cancel: &Cancel,
) -> io::Result<i32> {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
    let (program, arguments) = argv.split_first().ok_or_else(missing)?;
    let mut command = Command::new(program);
    command.args(arguments).env_remove(PASSWORD_VARIABLE).kill_on_drop(true);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    if output == OutputTo::Errors {
        command.stdout(Stdio::from(io::stderr()));
    }
    let mut child = command.spawn()?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            () = sleep(LOOK) => {}
        }
        if cancel.is_cancelled() {
            return match timeout(ENDING, child.wait()).await {
                Ok(status) => Ok(exit_code(status?)),
                Err(_) => {
                    child.start_kill()?;
                    Ok(exit_code(child.wait().await?))
                }
            };
        }
    }
}
