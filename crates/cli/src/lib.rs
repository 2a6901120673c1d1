//! The sitebackup program as a library: [`run`] is all of it, [`docs`] are the pages that are generated from its code.
//!
//! In reading order: `args` is the command line, `commands` has a file for each command, `ports` is the only place that wires adapters
//! to core's ports, `output` says what came of it, [`exit`] is the table of exit codes.
//!
//! ```
//! assert!(cli::docs::exit_codes_md().contains("| 130 | `interrupted` |"));
//! ```

mod args;
mod commands;
mod control;
mod database;
pub mod docs;
mod error;
mod events;
pub mod exit;
mod output;
mod plan;
mod ports;
#[cfg(windows)]
mod product_writer;
mod signals;
mod site;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backup_core::cancel::Cancel;
use clap::Parser;
use tokio::runtime::Runtime;

use args::{Cli, Command};
use commands::Session;
use error::CommandError;
use exit::Exit;
use output::progress::Screen;
use output::{Answer, Printer};

/// Threads that drive futures; the work itself is done on threads of the adapters.
const DRIVERS: usize = 2;
/// For the threads' last calls.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Runs the program with these arguments, the first of which is its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    host::process::keep_streams();
    let args: Vec<OsString> = args.into_iter().collect();
    match Cli::try_parse_from(&args) {
        // A panic is a bug of ours. It is told by the hook already; what is left is a code that scripts know.
        Ok(cli) => catch_unwind(AssertUnwindSafe(|| execute(cli))).unwrap_or(Exit::UNEXPECTED).into(),
        Err(error) => refuse(&args, &error).into(),
    }
}

/// Help and version are no errors. A wrong command line is told in the form that was asked for.
fn refuse(args: &[OsString], error: &clap::Error) -> Exit {
    if error.use_stderr() && args.iter().any(|arg| arg == "--json") {
        let text = error.render().to_string();
        let (message, _) = text.trim_start_matches("error: ").split_once("\n\n").unwrap_or((&text, ""));
        let error = CommandError::usage(message.to_owned()).hint("`sitebackup --help` lists commands and options");
        return Printer::new(true, false).error("", &error);
    }
    let _nobody_reads = error.print();
    if error.use_stderr() { Exit::USAGE } else { Exit::DONE }
}

fn execute(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let (printer, name) = (Printer::new(global.json, global.quiet), command.name());
    let speaks = !matches!(command, Command::Watchdog);
    match in_runtime(global, command) {
        Ok(answer) if speaks => printer.answer(name, &answer),
        Ok(answer) => answer.exit,
        Err(error) => printer.error(name, &error),
    }
}

fn in_runtime(global: args::Global, command: Command) -> Result<Answer, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(DRIVERS).enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::new(Exit::UNEXPECTED, error))?;
    let session = Session { cancel: Cancel::default(), screen: Arc::new(Screen::new(global.quiet)), global };
    let result = runtime.block_on(async {
        if !matches!(command, Command::Watchdog) {
            signals::watch(&session, commands::is_cancellable(&command));
        }
        commands::run(&session, command).await
    });
    end(runtime, LAST_CALLS);
    result
}

/// Waits until the threads have ended as a whole, destructors and all: what a database driver keeps for a thread is torn down with it, and doing
/// so while the process already tears down the driver's libraries corrupts the heap (seen with OpenSSL below the MariaDB driver).
///
/// A thread that hangs in a call of the system, on a share that is gone say, keeps the program from ending for `limit` at most.
fn end(runtime: Runtime, limit: Duration) {
    runtime.shutdown_timeout(limit);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Instant;

    use super::*;

    /// What a driver keeps for a thread.
    struct Kept(Sender<()>);

    impl Drop for Kept {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(200));
            self.0.send(()).expect("the test waits");
        }
    }

    thread_local! {
        static KEPT: RefCell<Vec<Kept>> = RefCell::default();
    }

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(DRIVERS).build().expect("a runtime")
    }

    #[test]
    fn what_a_driver_kept_for_a_thread_is_gone_when_the_program_ends() {
        let (runtime, (gone, told)) = (runtime(), channel());
        let work = move || KEPT.with_borrow_mut(|kept| kept.push(Kept(gone)));
        runtime.block_on(runtime.spawn_blocking(work)).expect("no panic");
        end(runtime, LAST_CALLS);
        assert!(told.try_recv().is_ok(), "the thread still ends");
    }

    #[test]
    fn a_call_that_hangs_keeps_nobody_for_long() {
        let (runtime, (_hangs, ever)) = (runtime(), channel::<()>());
        drop(runtime.spawn_blocking(move || ever.recv()));
        let began = Instant::now();
        end(runtime, Duration::from_millis(50));
        assert!(began.elapsed() < LAST_CALLS);
    }
}
