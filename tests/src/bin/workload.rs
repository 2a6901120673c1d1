//! The services of the sample site as processes, and the commands that a service manager calls.
//!
//! Exit codes: 0 done (`state`: running), 1 failed, 2 usage, 3 `state`: stopped, 4 does not stop, 5 does not start.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tests::{
    JournalMode, RunOptions, SampleSite, SampleSiteOptions, ServiceError, ServiceName, SiteSize, run, service_state,
    start_service, stop_service,
};

const USAGE: &str = "\
usage: workload run --site DIR [--service NAME] [--extra-files N]
       workload service start NAME --site DIR [--extra-files N]
       workload service stop NAME --site DIR [--timeout SECONDS]
       workload service state NAME --site DIR
       workload counters --site DIR
       workload build --site DIR [--bench] [--rollback-journal] [--extra-files N]

DIR is the folder that the sample site was built in.
NAME is SMS_EXECUTIVE (writes the numbers; what `run` is unless told) or SMS_SITE_COMPONENT_MANAGER (restarts it).
exit codes: 0 done (state: running), 1 failed, 2 usage, 3 state: stopped, 4 does not stop, 5 does not start
";

/// Everything that can stand on the command line.
#[derive(Debug)]
struct Arguments {
    words: Vec<String>,
    site: Option<PathBuf>,
    service: Option<String>,
    extra_files: u32,
    timeout: Duration,
    detach: bool,
    bench: bool,
    rollback_journal: bool,
}

fn main() -> ExitCode {
    match parse(env::args_os().skip(1)).and_then(|arguments| dispatch(&arguments)) {
        Ok(code) => code,
        Err(error) => report(error.as_ref()),
    }
}

fn parse(mut rest: impl Iterator<Item = OsString>) -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments {
        words: Vec::new(),
        site: None,
        service: None,
        extra_files: 0,
        timeout: Duration::from_secs(60),
        detach: false,
        bench: false,
        rollback_journal: false,
    };
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| usage("an option lacks its value"));
        match argument.to_str() {
            Some("--site") => arguments.site = Some(value()?.into()),
            Some("--service") => arguments.service = Some(text(value()?)?),
            Some("--extra-files") => arguments.extra_files = text(value()?)?.parse()?,
            Some("--timeout") => arguments.timeout = Duration::from_secs(text(value()?)?.parse()?),
            Some("--detach") => arguments.detach = true,
            Some("--bench") => arguments.bench = true,
            Some("--rollback-journal") => arguments.rollback_journal = true,
            Some(word) if !word.starts_with('-') => arguments.words.push(word.to_owned()),
            _ => return Err(usage(&format!("unknown option `{}`", argument.display()))),
        }
    }
    Ok(arguments)
}

fn dispatch(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run"] => run_service(arguments),
        ["service", "start", name] => {
            let program = env::current_exe()?;
            start_service(&site(arguments)?, service(name)?, &program, arguments.extra_files)?;
            Ok(ExitCode::SUCCESS)
        }
        ["service", "stop", name] => {
            stop_service(&site(arguments)?, service(name)?, arguments.timeout)?;
            Ok(ExitCode::SUCCESS)
        }
        ["service", "state", name] => print_state(&site(arguments)?, service(name)?),
        ["counters"] => {
            writeln!(io::stdout(), "{}", site(arguments)?.live_counters()?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["build"] => build(arguments),
        _ => Err(usage("no such command")),
    }
}

/// Makes a site to look at or to measure by hand.
fn build(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let dir = arguments.site.as_deref().ok_or_else(|| usage("--site is missing"))?;
    let options = SampleSiteOptions {
        size: if arguments.bench { SiteSize::BENCH } else { SiteSize::SMALL },
        journal_mode: if arguments.rollback_journal { JournalMode::Delete } else { JournalMode::Wal },
        workload: env::current_exe()?,
        extra_files: arguments.extra_files,
        ..SampleSiteOptions::default()
    };
    let site = SampleSite::build(dir, &options)?;
    writeln!(io::stdout(), "{}", site.site_toml().display())?;
    Ok(ExitCode::SUCCESS)
}

fn run_service(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let options = RunOptions {
        service: service(arguments.service.as_deref().unwrap_or("SMS_EXECUTIVE"))?,
        extra_files: arguments.extra_files,
        detach: arguments.detach,
        program: env::current_exe()?,
    };
    run(&site(arguments)?, &options)?;
    Ok(ExitCode::SUCCESS)
}

fn print_state(site: &SampleSite, name: ServiceName) -> Result<ExitCode, Box<dyn Error>> {
    let running = service_state(site, name)?;
    writeln!(io::stdout(), "{}", if running { "running" } else { "stopped" })?;
    Ok(if running { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn site(arguments: &Arguments) -> Result<SampleSite, Box<dyn Error>> {
    let dir = arguments.site.as_deref().ok_or_else(|| usage("--site is missing"))?;
    Ok(SampleSite::at(&dir.canonicalize()?))
}

fn service(name: &str) -> Result<ServiceName, Box<dyn Error>> {
    name.parse().map_err(|message: String| usage(&message))
}

fn text(value: OsString) -> Result<String, Box<dyn Error>> {
    value.into_string().map_err(|value| usage(&format!("`{}` is not text", value.display())))
}

/// What the caller got wrong.
#[derive(Debug)]
struct UsageError(String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n\n{USAGE}", self.0)
    }
}

impl Error for UsageError {}

fn usage(message: &str) -> Box<dyn Error> {
    Box::new(UsageError(message.to_owned()))
}

fn report(error: &(dyn Error + 'static)) -> ExitCode {
    let mut message = format!("workload: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    // Nobody is left to tell when this fails.
    writeln!(io::stderr(), "{message}").ok();
    exit_code(error)
}

fn exit_code(error: &(dyn Error + 'static)) -> ExitCode {
    if error.is::<UsageError>() || error.is::<std::num::ParseIntError>() {
        return ExitCode::from(2);
    }
    match error.downcast_ref() {
        Some(ServiceError::WontStop(_)) => ExitCode::from(4),
        Some(ServiceError::WontStart(_) | ServiceError::Abandoned) => ExitCode::from(5),
        _ => ExitCode::FAILURE,
    }
}
