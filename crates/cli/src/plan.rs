//! From configuration and control file to the plan of a run, with the documents that every snapshot keeps.

use std::fs;
use std::io;
use std::path::Path;

use backup_core::path::RelPath;
use backup_core::plan::{BackupPlan, PlanError, Tasks};
use backup_core::ports::clock::Clock;
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::schedule::Schedule;
use host::commands::AFTER_BACKUP;
use host::machine::SystemClock;
use jiff::tz::TimeZone;

use crate::control;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Notice;
use crate::site::{Site, local, real};

/// The folder of a snapshot that holds what a bare machine needs.
pub(crate) const KEPT_FOLDER: &str = "sitebackup";
/// The configuration in that folder.
pub(crate) const KEPT_SITE: &str = "site.toml";
/// Where the configuration lay, since its relative paths start there.
pub(crate) const KEPT_SITE_PATH: &str = "site.toml.path";

/// The plan of a site, and what was found on the way that stops no run.
///
/// # Errors
/// Everything that is wrong with control file and configuration at once; nothing was touched.
pub(crate) fn make(site: &Site) -> Result<(BackupPlan, Vec<Notice>), CommandError> {
    zone(&site.config.task.schedule, &SystemClock)?;
    let (tasks, mut notices) = match control::tasks(&site.config)? {
        Some(found) => found,
        None => (Tasks::without_control_file(&site.config).map_err(CommandError::usage)?, Vec::new()),
    };
    let tasks = name_single_files(tasks);
    let (keep, found) = kept_documents(site)?;
    notices.extend(found);
    BackupPlan::new(&site.config, tasks, keep)
        .map(|plan| (plan, notices.clone()))
        .map_err(|errors| refused(errors, notices))
}

/// The time zone of the schedule's times.
///
/// # Errors
/// A name that the system's database of time zones does not have.
pub(crate) fn zone(schedule: &Schedule, clock: &dyn Clock) -> Result<TimeZone, CommandError> {
    let hint = "use `local`, `utc` or a name such as \"Europe/Berlin\"";
    schedule.zone.find(clock).map_err(|error| CommandError::usage(error).hint(hint))
}

/// A control file's `file` task copies a single file into its destination and keeps its name; only a look at the disk tells it from a
/// folder. Sources get the paths by which the system knows them.
fn name_single_files(mut tasks: Tasks) -> Tasks {
    for (source, place) in &mut tasks.files {
        *source = real(source);
        let Some(name) = source.name().filter(|name| place.name() != Some(name)) else { continue };
        if local(source).is_file() {
            // A name that is no plain component cannot be a source either.
            *place = place.try_join(name).unwrap_or_else(|_| place.clone());
        }
    }
    tasks
}

fn refused(errors: Vec<PlanError>, mut notices: Vec<Notice>) -> CommandError {
    let mut errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let last = errors.pop().unwrap_or_default();
    notices.extend(errors.into_iter().map(|message| Finding::error(Cause::Configuration, message).into()));
    CommandError::usage(last).with_notices(notices)
}

type Documents = Vec<(RelPath, Vec<u8>)>;

/// site.toml without secrets, the control file and AfterBackup.
fn kept_documents(site: &Site) -> Result<(Documents, Option<Notice>), CommandError> {
    let place = |name: &str| RelPath::parse(format!("{KEPT_FOLDER}/{name}")).expect("our own names are plain");
    let mut documents = vec![
        (place(KEPT_SITE), host::site_toml::without_secrets(&site.text).into_bytes()),
        (place(KEPT_SITE_PATH), site.file.as_os_str().as_encoded_bytes().to_vec()),
    ];
    if let Some(control_file) = &site.config.control_file {
        documents.push((place("smsbkup.ctl"), control::read(&local(control_file))?));
    }
    let hook = site.hook_folder().join(AFTER_BACKUP);
    let notice = match read_hook(&hook) {
        Ok(content) => {
            documents.extend(content.map(|content| (place(AFTER_BACKUP), content)));
            None
        }
        Err(error) => {
            let message = CommandError::io(Exit::UNEXPECTED, "keep a copy of", &hook, error).messages().join(": ");
            Some(Finding::new(Gravity::Warning, Cause::AfterBackup, message).into())
        }
    };
    Ok((documents, notice))
}

/// A hook that is not there, or is no file, is left to the run to judge.
fn read_hook(hook: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(hook) {
        Ok(facts) if facts.is_file() => fs::read(hook).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
