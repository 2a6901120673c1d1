//! The alert command: run when a backup fails or ends with less than was asked for.

use std::time::Duration;

use backup_core::ports::commands::CommandEnd;
use backup_core::report::{Cause, Finding, Gravity, gravest};
use host::commands::HostCommands;
use serde_json::Value;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Answer;
use crate::site::Site;

/// An alert that hangs must not hang the scheduler.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs the alert command where the result asks for it. Its failure is a warning and changes nothing.
pub(super) async fn after(site: &Site, result: Result<Answer, CommandError>) -> Result<Answer, CommandError> {
    let exit = result.as_ref().map_or_else(|error| error.kind, |answer| answer.exit);
    let command = site.config.alert_command.as_ref().filter(|_| site.config.task.alert_on_failure);
    let Some(command) = command.filter(|_| exit != Exit::DONE) else { return result };
    let Some(fault) = send(site, command, &environment(site, exit, &result)).await else { return result };
    let message = format!("the alert command failed: {fault}");
    let finding = Finding::new(Gravity::Warning, Cause::Command, message);
    match result {
        Ok(answer) => Ok(answer.with([finding])),
        Err(mut error) => {
            error.notices.push(finding.into());
            Err(error)
        }
    }
}

fn environment(site: &Site, exit: Exit, result: &Result<Answer, CommandError>) -> Vec<(String, String)> {
    let message = match result {
        Err(error) => error.messages().join(": "),
        Ok(answer) => {
            let findings: Vec<Finding> = answer.notices.iter().map(|notice| notice.finding.clone()).collect();
            gravest(&findings).map_or_else(|| exit.name().to_owned(), |finding| finding.message.clone())
        }
    };
    let run = result.as_ref().ok().and_then(|answer| answer.result.get("run")).and_then(Value::as_str);
    let variable = |name: &str, value: String| (format!("SITEBACKUP_{name}"), value);
    let mut environment = vec![
        variable("SITE", site.config.code.to_string()),
        variable("EXIT", exit.code().to_string()),
        variable("EXIT_NAME", exit.name().to_owned()),
        variable("MESSAGE", message),
    ];
    environment.extend(run.map(|run| variable("RUN", run.to_owned())));
    environment
}

/// What went wrong with the alert itself.
async fn send(site: &Site, command: &[String], environment: &[(String, String)]) -> Option<String> {
    let commands = HostCommands::new(site.hook_folder());
    match commands.run_program(command, environment, LIMIT).await {
        Ok(outcome) => match outcome.end {
            CommandEnd::Exit(0) => None,
            CommandEnd::Exit(code) => Some(format!("`{}` exited with {code}", command.join(" "))),
            CommandEnd::TimedOut => Some(format!("`{}` took longer than {LIMIT:?}", command.join(" "))),
        },
        Err(error) => Some(CommandError::new(Exit::COMMAND, error).messages().join(": ")),
    }
}
