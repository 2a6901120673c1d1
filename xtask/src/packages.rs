//! Programs that the suites use as judges and peers, and the packages that bring them.

use std::io::{BufRead, IsTerminal, Write};
use std::process::Command;

use crate::shell::{has, run};

/// A program, the Debian package that holds it, and its installed size in MB, rounded up.
const NEEDED: &[(&str, &str, u32)] = &[
    ("sqlite3", "sqlite3", 1),
    ("rsync", "rsync", 1),
    ("b3sum", "b3sum", 2),
    ("hivexml", "libhivex-bin", 1),
    ("hivexregedit", "libwin-hivex-perl", 1),
    ("reglookup", "reglookup", 1),
];

/// Installs what is missing, after asking unless `yes`.
pub(crate) fn ensure(yes: bool) -> Result<(), String> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, ..)| !has(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("The suites use these programs as judges, which are not here:");
    for (program, package, size) in &missing {
        println!("  {program:10} Debian package {package}, about {size} MB");
    }
    let names: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    let by_hand = format!("apt-get install {}", names.join(" "));
    if !yes && !asked(&by_hand)? {
        return Err(format!("install them first: {by_hand}"));
    }
    run(Command::new("apt-get").args(["update", "-qq"])).map_err(|error| format!("{error}; by hand: {by_hand}"))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]).args(&names);
    run(install.env("DEBIAN_FRONTEND", "noninteractive")).map_err(|error| format!("{error}; by hand: {by_hand}"))
}

fn asked(command: &str) -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        return Err(format!("nobody is there to ask: add --yes, or run {command}"));
    }
    print!("Run `{command}` now? [y/N] ");
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| error.to_string())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
