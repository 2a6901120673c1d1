//! `control-file`: backup control files checked, laid out, begun.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ctl_parser::{ControlFile, Diagnostic, Severity};
use serde_json::{Value, json};

use super::Session;
use crate::control::{self, Judged};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::site::{Site, find, local};

pub(super) fn check(session: &Session, file: Option<&Path>, redact: bool) -> Result<Answer, CommandError> {
    let (judged, away) = judged(session, file)?;
    let copy = redact.then(|| ctl_parser::redact(&judged.file));
    let result = json!({
        "file": judged.name,
        "example_site": away,
        "diagnostics": judged.diagnostics.iter().map(value).collect::<Vec<_>>(),
        "redacted": copy,
    });
    let text = copy.map_or_else(|| verdict(&judged, away), |copy| copy.replace("\r\n", "\n"));
    let bad = judged.diagnostics.iter().any(|found| found.severity() > Severity::Warning);
    let answer = Answer::new(text, result).after(judged.notices());
    Ok(answer.exit(if bad { Exit::USAGE } else { Exit::DONE }))
}

/// The named file or else the site's; judged as the site's own where it is that, else with the tokens of an example site.
fn judged(session: &Session, file: Option<&Path>) -> Result<(Judged, bool), CommandError> {
    let site = match (file, find(&session.global)) {
        (None, _) => Some(Site::load(&session.global)?),
        (Some(_), Some(site_file)) => Some(Site::read(&site_file)?),
        (Some(_), None) => None,
    };
    match (file, site) {
        (Some(file), Some(site)) => Ok((control::judge(file, &site.config)?.0, false)),
        (None, Some(site)) => Ok((control::judge(&own(&site)?, &site.config)?.0, false)),
        (Some(file), None) => Ok((control::judge_away(file)?, true)),
        (None, None) => unreachable!("without a file the site was loaded, or that was the error"),
    }
}

fn own(site: &Site) -> Result<PathBuf, CommandError> {
    site.config.control_file.as_ref().map(local).ok_or_else(|| {
        let message = format!("`{}` names no control file", site.file.display());
        CommandError::usage(message).hint("name the control file on the command line")
    })
}

fn value(found: &Diagnostic) -> Value {
    json!({
        "code": found.code.as_str(),
        "severity": found.severity().to_string(),
        "line": found.span.line,
        "column": found.span.column,
        "message": found.message,
        "hint": found.hint,
    })
}

fn verdict(judged: &Judged, away: bool) -> String {
    let count = |severity, one, many| match control::count(&judged.diagnostics, severity) {
        0 => None,
        n => Some(human::count(n as u64, one, many)),
    };
    let counts = [
        count(Severity::Critical, "critical error", "critical errors"),
        count(Severity::Error, "error", "errors"),
        count(Severity::Warning, "warning", "warnings"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let counts = if counts.is_empty() { "nothing is wrong".to_owned() } else { counts.join(", ") };
    let away = if away { " (paths and tokens of an example site: no site.toml is here)" } else { "" };
    format!("{}: {counts}{away}\n", judged.name)
}

pub(super) fn format(session: &Session, file: Option<&Path>, write: bool) -> Result<Answer, CommandError> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => own(&Site::load(&session.global)?)?,
    };
    let bytes = control::read(&path)?;
    let formatted = ControlFile::parse(&bytes).0.format();
    let new = formatted.to_bytes();
    let changed = new != bytes;
    let result = json!({ "file": path.display().to_string(), "changed": changed, "text": formatted.text() });
    if !write {
        return Ok(Answer::new(new, result));
    }
    if changed {
        // The file stays a link, its owner and its mode stay: it is written in place.
        fs::write(&path, new).map_err(|error| CommandError::io(Exit::USAGE, "write", &path, error))?;
    }
    let said = if changed { "is laid out anew" } else { "was laid out so already" };
    Ok(Answer::new(format!("`{}` {said}.\n", path.display()), result))
}

pub(super) fn new(file: Option<&Path>) -> Result<Answer, CommandError> {
    let text = ctl_parser::default_control_file();
    let result = json!({ "file": file.map(|file| file.display().to_string()), "text": text });
    let Some(file) = file else { return Ok(Answer::new(text, result)) };
    let made = fs::OpenOptions::new().write(true).create_new(true).open(file);
    let written = made.and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|error| CommandError::io(Exit::USAGE, "write", file, error))?;
    let next = "edit it, then look at it with `sitebackup control-file check`";
    Ok(Answer::new(format!("`{}` is written: {next}.\n", file.display()), result))
}
