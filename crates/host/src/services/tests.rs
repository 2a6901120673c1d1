use std::error::Error;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::testing::{eventually, is_alive};

/// A service that runs while the file `running` exists.
struct Toy {
    folder: TempDir,
    config: ServiceConfig,
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

impl Toy {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let running = folder.path().join("running").display().to_string();
        let config = ServiceConfig {
            name: "TOY".into(),
            commands: Some(ServiceCommands {
                stop: sh(&format!("rm '{running}'")),
                start: sh(&format!(": > '{running}'")),
                state: sh(&format!("test -e '{running}' || exit 3")),
            }),
            timeout: Duration::from_secs(20),
        };
        Self { folder, config }
    }

    fn commands(&mut self) -> &mut ServiceCommands {
        self.config.commands.as_mut().expect("it has some")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn number_in(&self, name: &str) -> i32 {
        eventually("the number is written", || fs::read_to_string(self.file(name)).ok()?.trim().parse().ok())
    }

    fn services(&self) -> CommandServices {
        CommandServices::new(vec![self.config.clone()])
    }
}

fn text(error: &ServiceError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[tokio::test]
async fn a_service_is_started_and_stopped_and_twice_is_fine() {
    let toy = Toy::new();
    let services = toy.services();
    assert_eq!(services.state("TOY").await.expect("asked"), ServiceState::Stopped);
    for _ in 0..2 {
        services.start("TOY").await.expect("started");
        assert_eq!(services.state("TOY").await.expect("asked"), ServiceState::Running);
    }
    for _ in 0..2 {
        services.stop("TOY").await.expect("stopped");
        assert_eq!(services.state("TOY").await.expect("asked"), ServiceState::Stopped);
    }
}

#[tokio::test]
async fn an_unknown_service_is_named() {
    let error = Toy::new().services().stop("OTHER").await.expect_err("there is no such service");
    assert_eq!(error.to_string(), "no service is named `OTHER`");
}

#[tokio::test]
async fn what_a_failing_command_says_is_in_the_error() {
    let mut toy = Toy::new();
    toy.commands().start = sh("echo no licence; echo left >&2; exit 7");
    let error = toy.services().start("TOY").await.expect_err("it fails");
    let expect = "failed to start service `TOY`: `sh -c echo no licence; echo left >&2; exit 7` exited with 7 and said: \
                  no licence\nleft";
    assert_eq!(text(&error), expect);
}

#[tokio::test]
async fn a_failing_command_that_reached_the_state_is_fine() {
    let mut toy = Toy::new();
    toy.commands().start = sh(&format!(": > '{}'; exit 1", toy.file("running").display()));
    toy.services().start("TOY").await.expect("it runs");
}

#[tokio::test]
async fn a_state_command_must_answer_with_0_or_3() {
    let mut toy = Toy::new();
    toy.commands().state = sh("exit 1");
    let error = toy.services().state("TOY").await.expect_err("1 is no answer");
    assert_eq!(
        text(&error),
        "failed to query service `TOY`: `sh -c exit 1` exited with 1; \
         it must exit with 0 when the service runs and with 3 when it does not"
    );
    assert!(toy.services().stop("TOY").await.is_err(), "nothing is touched without a state");
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let mut toy = Toy::new();
    toy.commands().start = vec!["/no/such/program".into()];
    let error = toy.services().start("TOY").await.expect_err("there is no such program");
    assert!(text(&error).contains("cannot run `/no/such/program`: No such file"), "{}", text(&error));
}

#[tokio::test]
async fn the_state_is_awaited_after_the_command() {
    let mut toy = Toy::new();
    let running = toy.file("running").display().to_string();
    toy.commands().start = sh(&format!("(sleep 0.2; : > '{running}') &"));
    toy.services().start("TOY").await.expect("it runs in the end");
}

#[tokio::test]
async fn a_state_that_never_comes_ends_at_the_limit() {
    let mut toy = Toy::new();
    toy.commands().start = sh(":");
    toy.config.timeout = Duration::from_millis(300);
    let error = toy.services().start("TOY").await.expect_err("it never runs");
    assert_eq!(error.to_string(), "service `TOY` did not start within 300ms");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_over_its_limit_ends_with_its_children() {
    let mut toy = Toy::new();
    fs::write(toy.file("running"), "").expect("written");
    toy.commands().stop = sh(&format!("sleep 1000 & echo $! > '{}'; wait", toy.file("pid").display()));
    toy.config.timeout = Duration::from_secs(1);
    let error = toy.services().stop("TOY").await.expect_err("it hangs");
    assert!(matches!(error, ServiceError::TimedOut { action: "stop", .. }), "{error}");
    let sleeper = toy.number_in("pid");
    eventually("the sleeper is gone", || (!is_alive(sleeper)).then_some(()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dropped_call_ends_its_command() {
    let mut toy = Toy::new();
    toy.commands().start = sh(&format!("echo $$ > '{}'; sleep 1000", toy.file("pid").display()));
    let services = toy.services();
    let call = tokio::spawn(async move { services.start("TOY").await });
    let file = toy.file("pid");
    let begun = async {
        while fs::read_to_string(&file).map_or(0, |text| text.len()) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("the command has begun");
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    let shell = toy.number_in("pid");
    eventually("the shell is gone", || (!is_alive(shell)).then_some(()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_service_that_keeps_its_output_open_is_neither_awaited_nor_killed() {
    let mut toy = Toy::new();
    let (running, pid) = (toy.file("running").display().to_string(), toy.file("pid").display().to_string());
    let daemon = format!("(trap 'exit 0' TERM; while :; do echo still here; sleep 0.05; done) & echo $! > '{pid}'");
    toy.commands().start = sh(&format!("{daemon}; : > '{running}'"));
    toy.services().start("TOY").await.expect("it returns when the command ends");
    let daemon = toy.number_in("pid");
    assert!(is_alive(daemon), "the service writes on");
    let daemon = rustix::process::Pid::from_raw(daemon).expect("a process number");
    rustix::process::kill_process(daemon, rustix::process::Signal::TERM).expect("it is ours");
}

#[cfg(unix)]
#[tokio::test]
async fn what_could_not_be_started_again_is_not_stopped() {
    for start in ["/no/such/program", "no-such-program"] {
        let mut toy = Toy::new();
        toy.services().start("TOY").await.expect("started");
        toy.commands().start = vec![start.to_owned()];
        let error = toy.services().stop("TOY").await.expect_err("it would stay down");
        assert!(text(&error).contains(start) && text(&error).contains("is not there"), "{}", text(&error));
        assert_eq!(toy.services().state("TOY").await.expect("asked"), ServiceState::Running);
    }
}
