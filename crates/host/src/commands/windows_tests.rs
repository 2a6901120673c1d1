//! Commands as cmd.exe runs them.

use backup_core::path::SitePath;
use backup_core::ports::commands::CommandEnd;

use super::*;
use crate::testing::eventually;

fn line(text: &str) -> CommandLine {
    CommandLine { text: text.to_owned(), environment: Vec::new(), limit: Duration::from_secs(60) }
}

async fn check(text: &str, end: CommandEnd, output: &str) {
    let outcome = HostCommands::new("C:\\").run(&line(text)).await.expect("cmd.exe starts");
    let said = String::from_utf8_lossy(&outcome.output).replace('\r', "");
    assert_eq!((outcome.end, said.trim_end()), (end, output), "{text}");
}

#[tokio::test]
async fn a_command_tells_its_code_and_its_output_in_order() {
    check("echo one&& echo two>&2&& echo three", CommandEnd::Exit(0), "one\ntwo\nthree").await;
    check("exit 7", CommandEnd::Exit(7), "").await;
    check("echo \"a b\"", CommandEnd::Exit(0), "\"a b\"").await;
}

#[tokio::test]
async fn the_environment_is_added_to() {
    let environment = vec![("SITE".to_owned(), "P 01".to_owned())];
    let line = CommandLine { environment, ..line("echo %SITE%") };
    let outcome = HostCommands::new("C:\\").run(&line).await.expect("cmd.exe starts");
    assert_eq!(outcome.output.trim_ascii(), b"P 01");
}

const HELD: &str = "SITEBACKUP_TEST_HELD";

/// Is a process that holds a lock as long as it lives, when a test below started this program as one; as a test of its own it is empty.
#[test]
fn as_holder() {
    let Some(file) = std::env::var_os(HELD).map(PathBuf::from) else { return };
    let held = fs::File::create(&file).expect("made");
    held.lock().expect("nobody else has it");
    fs::write(file.with_extension("begun"), "").expect("written");
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn the_limit_ends_the_whole_group() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("held");
    let program = std::env::current_exe().expect("this program has a path");
    let text = format!("\"{}\" -q --exact commands::windows_tests::as_holder", program.display());
    let environment = vec![(HELD.to_owned(), file.display().to_string())];
    let line = CommandLine { limit: Duration::from_secs(8), environment, ..line(&text) };
    let outcome = HostCommands::new("C:\\").run(&line).await.expect("cmd.exe starts");
    assert_eq!(outcome.end, CommandEnd::TimedOut);
    assert!(file.with_extension("begun").exists(), "the inner process had begun");
    // The lock is its own: the shell that was started directly knows nothing of it.
    let lock = fs::File::open(&file).expect("it is there");
    eventually("what the shell started is gone", || lock.try_lock().ok());
}

#[tokio::test]
async fn after_backup_runs_in_its_folder() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let commands = HostCommands::new(folder.path());
    let context = AfterBackupContext {
        snapshot: SitePath::parse(r"D:\P01Backup").expect("absolute"),
        environment: vec![("SNAPSHOT".into(), r"D:\P01Backup".into())],
        limit: Duration::from_secs(60),
    };
    assert_eq!(commands.after_backup(&context).await.expect("absent is fine"), None);
    let script = "@echo off\r\ncd\r\necho %SNAPSHOT%\r\nexit 3\r\n";
    fs::write(folder.path().join(AFTER_BACKUP), script).expect("written");
    let outcome = commands.after_backup(&context).await.expect("it starts").expect("it is there");
    let said = String::from_utf8_lossy(&outcome.output).replace('\r', "");
    let expect = format!("{}\nD:\\P01Backup", folder.path().display());
    assert_eq!((outcome.end, said.trim_end().to_lowercase()), (CommandEnd::Exit(3), expect.to_lowercase()));
}
