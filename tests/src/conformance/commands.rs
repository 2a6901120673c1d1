//! The contract of [`Commands`].

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::path::SitePath;
use backup_core::ports::commands::{
    AfterBackupContext, CommandEnd, CommandError, CommandLine, CommandOutcome, Commands,
};

use super::{blocking, run_checks};
use crate::poll_until;

const _: fn(&dyn Commands) = |_| ();

/// Far more than any command of the checks takes.
const AMPLE: Duration = Duration::from_secs(60);

/// Commands to try.
pub trait CommandsBench: Debug + Send + Sync + 'static {
    /// The commands.
    fn commands(&self) -> Arc<dyn Commands>;
    /// Whether command lines reach a Unix shell; else `true` succeeds, `false` fails, and nothing more is asked.
    fn has_shell(&self) -> bool;
    /// Makes AfterBackup a program that says the value of the variable `SAYS` and ends with this code.
    fn put_hook(&self, code: i32);
    /// Makes AfterBackup something that cannot be run; `false` where there is no such thing.
    fn break_hook(&self) -> bool;
}

/// Checks an adapter that runs commands.
pub async fn suite<B: CommandsBench>(make: impl Fn() -> B) {
    run_checks!(make: a_failure_is_an_outcome, output_comes_in_its_order, variables_are_added, every_end_has_its_code,
        much_output_is_cut_and_stops_nobody, the_limit_ends_all, a_dropped_call_ends_the_command, no_hook_is_no_error,
        a_hook_is_run_and_told, a_hook_that_cannot_run_is_an_error);
}

fn line(text: &str) -> CommandLine {
    CommandLine { text: text.to_owned(), environment: Vec::new(), limit: AMPLE }
}

async fn run(bench: &dyn CommandsBench, text: &str) -> CommandOutcome {
    bench.commands().run(&line(text)).await.expect("started")
}

fn context() -> AfterBackupContext {
    AfterBackupContext {
        snapshot: SitePath::parse("/backup/P01Backup").expect("absolute"),
        environment: vec![("SAYS".to_owned(), "/backup/P01Backup".to_owned())],
        limit: AMPLE,
    }
}

async fn a_failure_is_an_outcome(bench: impl CommandsBench) {
    assert_eq!(run(&bench, "true").await.end, CommandEnd::Exit(0));
    assert!(matches!(run(&bench, "false").await.end, CommandEnd::Exit(code) if code != 0));
}

async fn output_comes_in_its_order(bench: impl CommandsBench) {
    if !bench.has_shell() {
        return;
    }
    let outcome = run(&bench, "for n in 1 2 3; do echo out $n; echo err $n >&2; done; printf '\\377 end'").await;
    let expected = b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n\xff end";
    assert_eq!((outcome.end, outcome.output.as_slice()), (CommandEnd::Exit(0), &expected[..]));
    assert_eq!(run(&bench, "cat; exit 4").await.end, CommandEnd::Exit(4), "nobody answers on standard input");
}

async fn variables_are_added(bench: impl CommandsBench) {
    if !bench.has_shell() {
        return;
    }
    let environment = vec![("SITEBACKUP_CHECK".to_owned(), "a b=\"c\"".to_owned())];
    let command = CommandLine { environment, ..line("printf %s \"$SITEBACKUP_CHECK\"; test -n \"$PATH\"") };
    let outcome = bench.commands().run(&command).await.expect("started");
    assert_eq!((outcome.end, outcome.output.as_slice()), (CommandEnd::Exit(0), &b"a b=\"c\""[..]));
}

async fn every_end_has_its_code(bench: impl CommandsBench) {
    if !bench.has_shell() {
        return;
    }
    for (text, code) in
        [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("/no/such/program", 127)]
    {
        assert_eq!(run(&bench, text).await.end, CommandEnd::Exit(code), "{text}");
    }
}

async fn much_output_is_cut_and_stops_nobody(bench: impl CommandsBench) {
    if !bench.has_shell() {
        return;
    }
    let outcome = run(&bench, "head -c 3000000 /dev/zero; exit 6").await;
    assert_eq!((outcome.end, outcome.output.len(), outcome.cut), (CommandEnd::Exit(6), 1 << 20, true));
}

/// A line that starts a child, says its own number and the child's, and waits for it.
const WITH_CHILD: &str = "sleep 1000 & echo $$ $!; wait";

async fn are_gone(numbers: Vec<u32>) -> bool {
    let gone = |number: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // One that only waits to be reaped runs no more.
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with(['Z', 'X']))
    };
    blocking(move || poll_until(AMPLE, || numbers.iter().all(gone).then_some(())).is_some()).await
}

fn numbers(text: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(text).into_owned();
    text.split_whitespace().map(|number| number.parse().expect("a process number")).collect()
}

async fn the_limit_ends_all(bench: impl CommandsBench) {
    if !bench.has_shell() {
        return;
    }
    let begun = Instant::now();
    let command = CommandLine { limit: Duration::from_millis(300), ..line(WITH_CHILD) };
    let outcome = bench.commands().run(&command).await.expect("started");
    assert_eq!(outcome.end, CommandEnd::TimedOut);
    assert!(begun.elapsed() >= command.limit && begun.elapsed() < AMPLE);
    let numbers = numbers(&outcome.output);
    assert_eq!(numbers.len(), 2, "what it said before is kept");
    assert!(are_gone(numbers).await, "its children too");
}

async fn a_dropped_call_ends_the_command(bench: impl CommandsBench) {
    if !bench.has_shell() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let said = folder.path().join("said");
    let command = line(&format!("exec > '{}'; {WITH_CHILD}", said.display()));
    let commands = bench.commands();
    let call = tokio::spawn(async move { commands.run(&command).await });
    let told = move || std::fs::read(&said).ok().filter(|text| text.ends_with(b"\n"));
    let text = blocking(move || poll_until(AMPLE, told)).await.expect("the command has begun");
    call.abort();
    assert!(call.await.expect_err("dropped").is_cancelled());
    assert!(are_gone(numbers(&text)).await, "its whole group");
}

async fn no_hook_is_no_error(bench: impl CommandsBench) {
    assert_eq!(bench.commands().after_backup(&context()).await.expect("no error"), None);
}

async fn a_hook_is_run_and_told(bench: impl CommandsBench) {
    for code in [0, 3] {
        bench.put_hook(code);
        let outcome = bench.commands().after_backup(&context()).await.expect("started").expect("it is there");
        let expected = (CommandEnd::Exit(code), &b"/backup/P01Backup"[..]);
        assert_eq!((outcome.end, outcome.output.as_slice()), expected);
    }
}

async fn a_hook_that_cannot_run_is_an_error(bench: impl CommandsBench) {
    if !bench.break_hook() {
        return;
    }
    let error = bench.commands().after_backup(&context()).await.expect_err("it cannot run");
    let CommandError::Start { command, .. } = error;
    assert!(command.contains("AfterBackup"), "{command}");
}
