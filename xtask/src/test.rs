//! Runs every suite and ends with a table: what was proven here, what was not, and what would prove it.

use std::time::Instant;

use crate::Chore;
use crate::packages;
use crate::shell;

/// What no suite proves yet, and what would.
const NOT_YET: &[(&str, &str)] = &[
    ("SQL Server", "a later version with ODBC and native backups"),
    ("Windows VSS and the SMS Writer", "a Windows machine with the product; the Windows build is not there yet"),
    ("live registry", "a Windows machine; hives, .reg files and Wine prefixes are proven"),
    ("btrfs and reflink providers", "a later version; pre-copy is proven"),
    ("archive of many snapshots", "a later version; one snapshot at a plain destination is proven"),
];

pub(crate) fn run(args: &[String]) -> Chore {
    packages::ensure(args.iter().any(|arg| arg == "--yes"))?;
    let began = Instant::now();
    shell::build(false)?;
    let mut suites = Vec::new();
    let mut failed = Vec::new();
    for (name, command) in commands() {
        let began = Instant::now();
        let result = shell::run(&mut shell::cargo(&command));
        suites.push((name, result.is_ok(), began.elapsed().as_secs()));
        failed.extend(result.err());
    }
    println!("\nproven here");
    for (name, passed, seconds) in suites {
        println!("  {:6} {name} ({seconds} s)", if passed { "yes" } else { "FAILED" });
    }
    println!("not proven here, and what would prove it");
    for (what, how) in NOT_YET {
        println!("  {what}: {how}");
    }
    println!("took {} s", began.elapsed().as_secs());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

fn commands() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        (
            "all suites of the workspace, with stock programs as judges",
            vec!["test", "--workspace", "--features", "tests/servers", "--no-fail-fast"],
        ),
        (
            "a million mutations of hives",
            vec!["test", "--quiet", "--release", "--package", "registry", "--features", "million", "--test", "hostile"],
        ),
        ("the fuzz targets build", vec!["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]),
    ]
}
