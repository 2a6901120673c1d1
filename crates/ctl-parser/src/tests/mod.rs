//! Tests of the crate as its users see it; what is private to a module is tested there.

mod grammar;
mod hazards;
mod lowering;
mod print;
mod properties;
mod resolving;

use std::collections::BTreeMap;

use crate::{ControlFile, Diagnostic, Resolved, check, example_site};

/// Environment variables of the invented machine.
fn environment(name: &str) -> Option<String> {
    match name.to_uppercase().as_str() {
        "SYSTEMDRIVE" => Some("C:".to_owned()),
        "SYSTEMROOT" => Some(r"C:\Windows".to_owned()),
        "PROGRAMFILES" => Some(r"C:\Program Files".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn example_site_with(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let changes = changes.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    example_site().into_iter().chain(changes).collect()
}

fn check_example(text: &str) -> (ControlFile, Resolved, Vec<Diagnostic>) {
    check(text.as_bytes(), &example_site(), &environment)
}

/// Findings, one a line.
fn listed(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|found| format!("{found}\n")).collect()
}

/// Findings as a user sees them.
fn rendered(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|found| found.render("smsbkup.ctl")).collect()
}

/// The commands without where they stand: what a file means.
fn meaning(resolved: &Resolved) -> String {
    let sections = [("stop", &resolved.stop), ("tasks", &resolved.tasks), ("start", &resolved.start)];
    let commands = sections.into_iter().flat_map(|(section, commands)| {
        commands.iter().map(move |command| format!("{section}: {}\n", shown(&command.command)))
    });
    commands.collect()
}

fn shown(command: &crate::Command) -> String {
    use crate::Command::*;
    let on = |host: &Option<String>| host.as_ref().map_or(String::new(), |host| format!(" on {host}"));
    match command {
        File { source, destination } => format!("file {} -> {}", source.value, destination.value),
        Registry { host, key, output } => format!("reg {}{} -> {}", key.value, on(host), output.value),
        SiteDatabaseDump { database, output } => format!("site database {} -> {}", database.value, output.value),
        MeteringDatabaseDump { database, output } => {
            format!("metering database {} -> {}", database.value, output.value)
        }
        Run { command_line, output: Some(output) } => format!("run {} -> {}", command_line.value, output.value),
        Run { command_line, output: None } => format!("run {}", command_line.value),
        RemoveFolder { folder } => format!("remove {}", folder.value),
        Service { host, name } => format!("service {}{}", name.value, on(host)),
        Sleep { seconds } => format!("sleep {seconds}"),
    }
}
