//! Programs from outside that the chores use, and the Debian packages that bring them.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::Command;

use crate::shell::{has, run};

/// A package, what shows that it is there (a program, a library, or a file by its whole path), and its installed size in MB with what it
/// depends on, rounded up.
pub(crate) struct Package {
    name: &'static str,
    brings: &'static str,
    megabytes: u32,
}

const fn package(name: &'static str, brings: &'static str, megabytes: u32) -> Package {
    Package { name, brings, megabytes }
}

/// Stock programs that judge what the suites make.
pub(crate) const JUDGES: &[Package] = &[
    package("sqlite3", "sqlite3", 1),
    package("rsync", "rsync", 1),
    package("restic", "restic", 22),
    package("b3sum", "b3sum", 2),
    package("libhivex-bin", "hivexml", 1),
    package("libwin-hivex-perl", "hivexregedit", 1),
    package("reglookup", "reglookup", 1),
];

/// ODBC drivers for SQL Server, and what Microsoft's, which no package brings, loads.
pub(crate) const ODBC: &[Package] = &[
    package("tdsodbc", "odbc/libtdsodbc.so", 1),
    package("libodbcinst2", "libodbcinst.so.2", 1),
    package("libkrb5-3", "libkrb5.so.3", 2),
    package("libgssapi-krb5-2", "libgssapi_krb5.so.2", 1),
    package("libltdl7", "libltdl.so.7", 1),
];

/// What makes the file systems on which the suites take images.
pub(crate) const FILE_SYSTEMS: &[Package] = &[package("btrfs-progs", "btrfs", 5), package("xfsprogs", "mkfs.xfs", 4)];

/// Database servers that the suites start for themselves, their tools, and their ODBC drivers.
pub(crate) const SERVERS: &[Package] = &[
    package("postgresql", "/usr/lib/postgresql", 60),
    package("mariadb-server", "/usr/sbin/mariadbd", 200),
    package("mariadb-client", "mariadb-dump", 40),
    package("odbcinst", "odbcinst", 1),
    package("odbc-postgresql", "odbc/psqlodbcw.so", 1),
    package("odbc-mariadb", "odbc/libmaodbc.so", 1),
    package("libsqliteodbc", "odbc/libsqlite3odbc.so", 1),
];

/// What builds for Windows and runs what was built.
pub(crate) const WINDOWS: &[Package] = &[
    package("rustc-web", "/usr/bin/rustc", 275),
    package("cargo-web", "/usr/bin/cargo", 28),
    package("rust-web-src", "/usr/lib/rustlib/src/rust/library/Cargo.lock", 350),
    package("rust-web-clippy", "/usr/bin/cargo-clippy", 16),
    package("gcc-mingw-w64-x86-64-win32", "/usr/bin/x86_64-w64-mingw32-gcc", 290),
    package("g++-mingw-w64-x86-64-win32", "/usr/bin/x86_64-w64-mingw32-g++", 60),
    package("wine64", "/usr/lib/wine/wine64", 690),
    package("wine", "/usr/bin/wineserver", 1),
    // Wine's ODBC is this system's; without it each call crashes.
    package("libodbc2", "libodbc.so.2", 1),
];

/// Installs what is missing of `set`, after asking unless `yes`; `purpose` says what for.
pub(crate) fn ensure(purpose: &str, set: &[Package], yes: bool) -> Result<(), String> {
    let missing: Vec<_> = set.iter().filter(|package| !is_here(package.brings)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("{purpose} needs what is not here:");
    for Package { name, brings, megabytes } in &missing {
        println!("  Debian package {name:28} about {megabytes:4} MB, for {brings}");
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let by_hand = format!("apt-get install {}", names.join(" "));
    if !yes && !asked(&by_hand)? {
        return Err(format!("install them first: {by_hand}"));
    }
    let told = |error: String| format!("{error}; by hand: {by_hand}");
    run(Command::new("apt-get").args(["update", "-qq"])).map_err(told)?;
    // Once more after a failure: another run of apt may have emptied the folder of fetched packages.
    install(&names).or_else(|_| install(&names)).map_err(told)?;
    match missing.iter().find(|package| !is_here(package.brings)) {
        None => Ok(()),
        Some(package) => Err(format!("{} was installed and brought no {}", package.name, package.brings)),
    }
}

fn install(names: &[&str]) -> Result<(), String> {
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]).args(names);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_here(brings: &str) -> bool {
    match brings {
        path if path.starts_with('/') => Path::new(path).exists(),
        library if library.contains(".so") => has_library(library),
        program => has(program),
    }
}

/// Whether a library lies where Debian puts it: below a folder for the machine type.
fn has_library(library: &str) -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.map(|folder| folder.path().join(library)).any(|path| path.exists())
}

/// Whether whoever runs the chore wants a command to be run; an error where nobody is there.
pub(crate) fn asked(command: &str) -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        return Err(format!("nobody is there to ask: add --yes, or run {command}"));
    }
    print!("Run `{command}` now? [y/N] ");
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| error.to_string())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
