//! The pages of docs/ that are generated from code. `cargo xtask codegen` writes them; a test fails when one is stale.

use std::fmt::Write as _;

use backup_core::status::{ALL_KINDS, COMPONENT};
use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;
use crate::exit;
use crate::output::json;

/// A page's file name and what makes it.
pub(crate) type Page = (&'static str, fn() -> String);

/// Every generated page.
pub(crate) const PAGES: [Page; 3] =
    [("exit-codes.md", exit_codes_md), ("cli.md", cli_md), ("status-messages.md", status_messages_md)];

const GENERATED: &str = "<!-- Generated from crates/cli by `cargo xtask codegen`; edit the code, not this page. -->\n";

/// The table of exit codes.
pub fn exit_codes_md() -> String {
    let mut page = format!("# Exit codes\n\n{GENERATED}\n");
    page.push_str("Anything but 0 means that not all was done as asked. A number never changes its meaning.\n\n");
    page.push_str("| code | name | meaning |\n|---|---|---|\n");
    for (code, name, meaning) in exit::ALL {
        _ = writeln!(page, "| {code} | `{name}` | {meaning} |");
    }
    page.push_str(
        "\nThe alert command of site.toml is told the code in `SITEBACKUP_EXIT`, the name in `SITEBACKUP_EXIT_NAME`, what is wrong \
         in `SITEBACKUP_MESSAGE`,\nthe site in `SITEBACKUP_SITE` and, where a run began, its id in `SITEBACKUP_RUN`. It is run after \
         `backup` ended with anything but 0.\n",
    );
    page
}

/// The status messages.
pub fn status_messages_md() -> String {
    let mut page = format!("# Status messages\n\n{GENERATED}\n");
    _ = writeln!(
        page,
        "The component `{COMPONENT}` sends these, to the status log (`sitebackup log`) and as `STATMSG:` lines to smsbkup.log.\n\
         5035, 5040, 5055 and 5056 are the product's own numbers with their meaning. The numbers of failures belong to the set that \
         monitors know as\nfailures of the product's task; the single meanings are ours.\n"
    );
    page.push_str("| number | severity | meaning |\n|---|---|---|\n");
    for kind in ALL_KINDS {
        _ = writeln!(page, "| {} | {} | {} |", kind.id, kind.severity.letter(), kind.meaning);
    }
    page
}

/// The command line, and the fields of the JSON form.
pub fn cli_md() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = format!("# The command line\n\n{GENERATED}\n");
    push_about(&mut page, &root);
    page.push_str("Options of every command:\n\n");
    root.get_arguments().filter(|arg| arg.is_global_set()).for_each(|arg| push_argument(&mut page, arg));
    page.push('\n');
    for command in root.get_subcommands() {
        push_command(&mut page, "sitebackup", command, false);
    }
    push_json(&mut page);
    page
}

/// `is_told` is whether the shared options stand above already.
fn push_command(page: &mut String, parent: &str, command: &Command, is_told: bool) {
    if command.is_hide_set() {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let is_listed = |arg: &Arg| is_own(arg) || (is_shared(arg) && !is_told);
    if command.has_subcommands() {
        // What has arguments of its own is a command, too, and its options are those of all below it.
        if command.get_arguments().any(is_listed) {
            push_section(page, &name, command, is_listed);
        }
        let is_told = is_told || command.get_arguments().any(is_shared);
        command.get_subcommands().for_each(|command| push_command(page, &name, command, is_told));
        return;
    }
    push_section(page, &name, command, is_listed);
}

/// Options of the archive. Those of `archive` and all below it stand there once.
const SHARED: [&str; 4] = ["repository", "passphrase_file", "identity_file", "append_only"];

fn is_shared(arg: &Arg) -> bool {
    SHARED.contains(&arg.get_id().as_str())
}

fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set() && !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn push_section(page: &mut String, name: &str, command: &Command, is_listed: impl Fn(&Arg) -> bool) {
    _ = writeln!(page, "## {name}\n");
    push_about(page, command);
    let usage = command.clone().bin_name(name).render_usage().to_string();
    _ = writeln!(page, "```text\n{}\n```\n", usage.trim_start_matches("Usage: "));
    let arguments: Vec<&Arg> = command.get_arguments().filter(|arg| is_listed(arg)).collect();
    let mut heading = None;
    for arg in &arguments {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            _ = writeln!(page, "\n{}:\n", heading.unwrap_or_default());
        }
        push_argument(page, arg);
    }
    if !arguments.is_empty() {
        page.push('\n');
    }
}

fn push_about(page: &mut String, command: &Command) {
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let about = about.to_string();
        let (first, rest) = about.split_once("\n\n").unwrap_or((&about, ""));
        _ = writeln!(page, "{first}.\n");
        if !rest.is_empty() {
            _ = writeln!(page, "{rest}\n");
        }
    }
}

fn push_argument(page: &mut String, arg: &Arg) {
    let names: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let value = if arg.get_action().takes_values() { names.join(" ") } else { String::new() };
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let options: Vec<String> = [short, long].into_iter().flatten().collect();
    let shown = format!("{} {value}", options.join(", "));
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let help = help.replace("\n\n", ". ");
    let default: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let default = match default.as_slice() {
        [] => String::new(),
        _ if !arg.get_action().takes_values() => String::new(),
        values => format!(" (default: {})", values.join(", ")),
    };
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let values = match values.as_slice() {
        [] => String::new(),
        _ if !arg.get_action().takes_values() => String::new(),
        values => format!(" (one of {})", values.join(", ")),
    };
    let dot = if help.ends_with('.') { "" } else { "." };
    _ = writeln!(page, "- `{}`: {help}{dot}{values}{default}", shown.trim());
}

fn push_json(page: &mut String) {
    _ = writeln!(
        page,
        "## The JSON form\n\n\
         With `--json` a command prints one object on standard output, in one line:\n\n\
         ```json\n{{\"version\":{},\"command\":\"backup\",\"result\":{{}},\"findings\":[],\"exit\":0}}\n```\n\n\
         `version` grows when a field goes or changes its meaning, not when one is added. `result` is null after an error, which is \
         then the last finding.\nA finding has `gravity` (`note`, `warning`, `error`), `cause`, `message`, and often `hint`. `exit` is \
         the exit code (exit-codes.md).\nTimes are RFC 3339 in UTC, durations seconds. Beside a path that is not Unicode stands a \
         field of the same name with `_hex`, which holds its bytes.\n",
        json::VERSION
    );
    for (command, fields) in json::fields() {
        _ = writeln!(page, "### {command}\n\n| field of `result` | meaning |\n|---|---|");
        for (field, meaning) in *fields {
            _ = writeln!(page, "| `{field}` | {meaning} |");
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_in_docs_are_up_to_date() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for (name, page) in PAGES {
            let there = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
            assert!(there == page(), "docs/{name} is stale: run `cargo xtask codegen`");
        }
    }
}
