//! Runs every suite and ends with a table: what was proven here, what was not, and what would prove it.

use std::time::Instant;

use crate::Chore;
use crate::archive_reader;
use crate::mssql_odbc;
use crate::packages;
use crate::shell;
use crate::windows;

/// What no suite proves yet, and what would.
const NOT_YET: &[(&str, &str)] = &[
    (
        "SQL Server itself",
        "a connection string of a real one in SITEBACKUP_MSSQL; the client is proven with its real driver and a scripted server",
    ),
    (
        "MySQL, and ODBC drivers on Windows",
        "a server of it, and a Windows machine with a driver; MariaDB is proven with its own, and what is built for Windows has ODBC",
    ),
    (
        "Windows VSS itself and the SMS Writer",
        "a Windows machine with the product; the calls of our requestor are proven against a stand-in for its library",
    ),
    (
        "hives restored by Windows, NTFS itself",
        "a Windows machine; Wine restores no hives, and keeps files on this system's disks",
    ),
    (
        "a kept shadow copy over a restart of the machine",
        "a machine that is started anew; what it needs is synced before it counts as kept",
    ),
    (
        "archives on S3 or SFTP, and on SMB shares that are not mounted",
        "a later version; the archive in local folders is proven",
    ),
];

pub(crate) fn run(args: &[String]) -> Chore {
    let yes = args.iter().any(|arg| arg == "--yes");
    packages::ensure("A suite", packages::JUDGES, yes)?;
    packages::ensure("A suite", packages::SERVERS, yes)?;
    packages::ensure("A suite", packages::FILE_SYSTEMS, yes)?;
    packages::ensure("A suite", packages::ODBC, yes)?;
    mssql_odbc::ensure(&shell::target()?, yes)?;
    archive_reader::ensure(&shell::target()?, yes)?;
    packages::ensure("The Windows build", packages::WINDOWS, yes)?;
    let began = Instant::now();
    shell::build(false)?;
    let mut suites = Vec::new();
    let mut failed = Vec::new();
    let mut suite = |name, run: &mut dyn FnMut() -> Result<(), String>| {
        let began = Instant::now();
        let result = run();
        suites.push((name, result.is_ok(), began.elapsed().as_secs()));
        failed.extend(result.err());
    };
    for (name, command) in commands() {
        suite(name, &mut || shell::run(&mut shell::cargo(&command)));
    }
    suite("the workspace for Windows: lints, and its tests under Wine", &mut || {
        windows::run(&[]).map_err(|error| error.to_string())
    });
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
        (
            "a million mutations of the archive's objects",
            vec!["test", "--quiet", "--release", "--package", "archive", "--features", "million", "tests::hostile"],
        ),
        ("the fuzz targets build", vec!["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]),
    ]
}
