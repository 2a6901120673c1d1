//! What this program keeps for itself in a snapshot's folder: it is no part of the site, wherever the folder is read from.

use crate::manifest::{LIST_NAME, MANIFEST_NAME};
use crate::path::RelPath;

/// The marker: whatever folder does not hold it is not ours.
pub const MARKER_NAME: &str = ".sitebackup";
/// The manifest's name once its snapshot is being removed.
pub const REMOVING_NAME: &str = "sitebackup.removing";
/// The note that a snapshot was sealed: its folder is no staging folder any more, whatever it loses.
pub const SEALED_NAME: &str = "sitebackup.sealed";
/// The run's log.
pub const LOG_NAME: &str = "smsbkup.log";

/// What files are called while they are written.
const TEMP_PREFIX: &str = ".sitebackup.new-";

/// What `name` is called while it is written.
pub fn temp_name(name: &str) -> String {
    format!("{TEMP_PREFIX}{name}")
}

/// Whether `path` in a snapshot's folder is this program's own and no part of the site.
pub fn is_own(path: &RelPath) -> bool {
    let own = [MARKER_NAME, MANIFEST_NAME, LIST_NAME, LOG_NAME, REMOVING_NAME, SEALED_NAME];
    own.iter().any(|name| name.as_bytes() == path.as_bytes())
        || (path.as_bytes().starts_with(TEMP_PREFIX.as_bytes()) && !path.as_bytes().contains(&b'/'))
}
