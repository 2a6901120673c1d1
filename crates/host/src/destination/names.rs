//! The names under which this program keeps things at a destination, and the errors of what happens to them.

use std::io;

use crate::os::io::Errno;
use backup_core::path::SitePath;
use backup_core::ports::destination::DestinationError;
use backup_core::site::SiteCode;
use backup_core::snapshot::RunId;

const WORKING_PREFIX: &str = ".sitebackup-";

/// The name of a folder that has not the final one.
pub(super) fn working_name(run: RunId) -> String {
    format!("{WORKING_PREFIX}{run}")
}

/// The first part of the name of a damaged snapshot that had the final one: not a working name, whose folders may be swept.
pub(super) fn damaged_name(site: &SiteCode, run: RunId) -> String {
    format!("{}.damaged-{run}", site.snapshot_folder())
}

/// Whether a folder of this name is where a run stages, or where its snapshot waits or goes.
pub(super) fn is_working_name(name: &[u8], run: RunId) -> bool {
    let rest = name.strip_prefix(working_name(run).as_bytes());
    rest.is_some_and(|rest| matches!(rest, [] | [b'-', ..]))
}

/// The run whose working name this is.
pub(super) fn working_run(name: &[u8]) -> Option<RunId> {
    let run = name.strip_prefix(WORKING_PREFIX.as_bytes())?.get(..32)?;
    std::str::from_utf8(run).ok()?.parse().ok()
}

/// Turns a system's refusal into the port's error.
pub(super) fn failed<E: Into<io::Error>>(action: &'static str, path: &SitePath) -> impl FnOnce(E) -> DestinationError {
    move |error| {
        let error = error.into();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => DestinationError::Full(path.clone()),
            _ => DestinationError::Failed { action, path: path.clone(), source: error.into() },
        }
    }
}
