//! The backup control file: read, resolved and judged as a whole before anything is touched.

use std::collections::BTreeMap;
use std::path::Path;

use backup_core::config::SiteConfig;
use backup_core::plan::Tasks;
use backup_core::report::{Cause, Finding, Gravity};
use ctl_parser::{ControlFile, Diagnostic, Severity};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Notice;
use crate::site::local;

/// A control file with all that was found in it.
#[derive(Debug)]
pub(crate) struct Judged {
    /// How it is called in messages.
    pub(crate) name: String,
    /// The file.
    pub(crate) file: ControlFile,
    /// The findings in the order of the file.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Judges a control file with the tokens of an example site, for a file away from its site.
pub(crate) fn judge_away(path: &Path) -> Result<Judged, CommandError> {
    let bytes = read(path)?;
    let (file, _, diagnostics) = ctl_parser::check(&bytes, &ctl_parser::example_site(), &environment);
    Ok(Judged { name: path.display().to_string(), file, diagnostics })
}

/// Judges a control file as that of a site, and turns it into tasks.
pub(crate) fn judge(path: &Path, config: &SiteConfig) -> Result<(Judged, Tasks), CommandError> {
    let bytes = read(path)?;
    let tokens = tokens(config);
    let (file, resolved, mut diagnostics) = ctl_parser::check(&bytes, &tokens, &environment);
    let (tasks, found) = ctl_parser::lower(&file, &resolved, config, &tokens);
    diagnostics.extend(found);
    diagnostics.sort_by_key(|found| (found.span.start, found.span.end));
    Ok((Judged { name: path.display().to_string(), file, diagnostics }, tasks))
}

/// The tasks of a site's control file, and findings that stop no run.
///
/// # Errors
/// Every critical finding, with what else was found.
pub(crate) fn tasks(config: &SiteConfig) -> Result<Option<(Tasks, Vec<Notice>)>, CommandError> {
    let Some(path) = config.control_file.as_ref().map(local) else { return Ok(None) };
    let (judged, tasks) = judge(&path, config)?;
    let n_critical = count(&judged.diagnostics, Severity::Critical);
    let notices = judged.notices();
    if n_critical > 0 {
        let message = format!("`{}` has {}: nothing was touched", judged.name, errors(n_critical));
        let error = CommandError::usage(message).with_notices(notices);
        return Err(match unmapped_install_dir(config) {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
    Ok(Some((tasks, notices)))
}

/// A control file holds Windows paths. Where the site is not installed on such a one, each of them is wrong for one and the same reason.
fn unmapped_install_dir(config: &SiteConfig) -> Option<String> {
    let install_dir = config.install_dir.as_ref().filter(|install_dir| !install_dir.is_windows())?;
    let is_mapped = config.paths.iter().any(|(_, here)| install_dir.starts_with(here));
    let example = r"'C:\Program Files\Microsoft Configuration Manager'";
    (!is_mapped).then(|| {
        format!("say under [paths] in site.toml where the control file's paths lie: {example} = \"{install_dir}\"")
    })
}

impl Judged {
    /// The findings, each with its line for a person.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.diagnostics.iter().map(|found| self.notice(found)).collect()
    }

    fn notice(&self, found: &Diagnostic) -> Notice {
        let gravity = match found.severity() {
            Severity::Warning => Gravity::Warning,
            Severity::Error | Severity::Critical => Gravity::Error,
        };
        let message = format!("{}:{found}", self.name);
        let finding = Finding { gravity, cause: Cause::Configuration, message, hint: found.hint.clone() };
        Notice { finding, shown: Some(found.render(&self.name)) }
    }
}

/// How many findings are of a severity.
pub(crate) fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    diagnostics.iter().filter(|found| found.severity() == severity).count()
}

fn errors(n: usize) -> String {
    if n == 1 { "a critical error".to_owned() } else { format!("{n} critical errors") }
}

/// The values of the product's tokens on this machine.
fn tokens(config: &SiteConfig) -> BTreeMap<String, String> {
    let machine = host::machine::machine_name();
    let machine = if machine.is_empty() { "localhost".to_owned() } else { machine };
    ctl_parser::predefined_tokens(config, &machine)
}

/// Reads a control file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|error| {
        let error = CommandError::io(Exit::USAGE, "read the control file", path, error);
        error.hint("name it under `control-file` in site.toml, or write one with `sitebackup control-file new`")
    })
}

/// An environment variable, its name in any case as on Windows.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let same = |(key, _): &(std::ffi::OsString, _)| key.to_str().is_some_and(|key| key.eq_ignore_ascii_case(name));
        std::env::vars_os().find(same).and_then(|(_, value)| value.into_string().ok())
    })
}
