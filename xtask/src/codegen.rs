//! Writes the pages of docs/ that are generated from code; a test in cli says when one is stale.

use std::process::Command;

use crate::Chore;
use crate::shell;

pub(crate) fn run() -> Chore {
    let program = shell::build(false)?.join("sitebackup");
    Ok(shell::run(Command::new(program).arg("docs").arg(shell::root().join("docs")))?)
}
