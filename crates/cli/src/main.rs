//! The sitebackup program: everything it does is in the library beside it.

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}
