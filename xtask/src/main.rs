//! The chores of this repository: `cargo xtask demo | test | windows | bench | tidy | codegen`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who runs it")]

mod archive_reader;
mod bench;
mod bench_archive;
// The servers that it starts are those of Unix.
#[cfg(unix)]
mod bench_sql;
mod codegen;
mod demo;
mod mssql_odbc;
mod packages;
mod shell;
mod test;
mod tidy;
mod windows;

use std::process::ExitCode;

/// What a chore returns: an error is printed, and the chore has failed.
type Chore = Result<(), Box<dyn std::error::Error>>;

const USAGE: &str = "\
cargo xtask demo      watch a site under write load being backed up, killed, wrecked and recovered
cargo xtask test      run every suite; installs what it lacks after asking, with --yes without asking
cargo xtask bench     measure beside cp, rsync and hivexregedit; [backup] [window] [registry] [--rounds N]
cargo xtask bench archive   measure the archive beside restic, borg and rustic, where they are installed; [--rounds N] [--scale X], or its memory on a page file: --memory GIB
cargo xtask bench sql   measure logical dumps beside pg_dump, pg_restore, mariadb-dump and sqlite3; [--rounds N] [--rows N]
cargo xtask windows   build and lint for Windows and run the tests under Wine; --yes, then arguments of `cargo test`
cargo xtask tidy      check the layers, ARCHITECTURE.md and file sizes
cargo xtask codegen   write the generated pages of docs/";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = args.split_first().map_or(("", &[][..]), |(verb, rest)| (verb.as_str(), rest));
    let done = match verb {
        "demo" => demo::run(rest),
        "test" => test::run(rest),
        "windows" => windows::run(rest),
        "bench" if rest.first().is_some_and(|part| part == "archive") => bench_archive::run(rest),
        #[cfg(unix)]
        "bench" if rest.first().is_some_and(|part| part == "sql") => bench_sql::run(rest),
        "bench" => bench::run(rest),
        bench::registry::VERB => bench::registry::run(rest),
        "tidy" => tidy::run(),
        "codegen" => codegen::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
