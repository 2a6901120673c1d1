//! The configuration that a snapshot keeps, for a machine that has none.
//!
//! It is as little trusted as the rest of the folder: it says where things were, and no command in it is ever run.

use backup_core::config::SiteConfig;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{DestinationError, SnapshotFiles};
use backup_core::report::{Cause, Finding, Gravity};
use host::site_toml;

use crate::plan::{KEPT_FOLDER, KEPT_SITE, KEPT_SITE_PATH};

/// More than any site.toml has; a hostile snapshot must not fill the memory.
const LARGEST: u64 = 4 << 20;

/// What the kept site.toml says, without its services, and what the user should know of it: of services where nobody else asks them before a
/// recovery in place.
pub(in crate::commands) fn configuration(
    files: &dyn SnapshotFiles,
    is_in_place: bool,
) -> (Option<SiteConfig>, Vec<Finding>) {
    let Ok(text) = document(files, KEPT_SITE) else {
        return (None, vec![note("the snapshot keeps no site.toml: files and a SQLite database can be recovered")]);
    };
    let folder = document(files, KEPT_SITE_PATH).ok().and_then(|path| SitePath::parse(path).ok()?.parent());
    let folder = folder.unwrap_or_else(|| SitePath::parse("/").expect("the root is absolute"));
    match site_toml::parse(&String::from_utf8_lossy(&text), &folder) {
        Ok(config) => {
            let findings = if is_in_place { services_note(&config) } else { Vec::new() };
            (Some(SiteConfig { services: Vec::new(), ..config }), findings)
        }
        Err(errors) => {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            (None, vec![note(&format!("the site.toml in the snapshot is of no use here: {first}"))])
        }
    }
}

fn note(message: &str) -> Finding {
    Finding::new(Gravity::Note, Cause::Recovery, message)
}

fn services_note(config: &SiteConfig) -> Vec<Finding> {
    if config.services.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    let message = format!("whether services run is not asked: {}", names.join(", "));
    let hint = "commands from a snapshot are never run; keep these services stopped until the recovery is done";
    vec![note(&message).hint(hint)]
}

fn document(files: &dyn SnapshotFiles, name: &str) -> Result<Vec<u8>, DestinationError> {
    let path = RelPath::parse(format!("{KEPT_FOLDER}/{name}")).expect("plain names");
    content(files, &path, LARGEST)
}

/// What a file of a snapshot holds, up to so many bytes.
pub(super) fn content(files: &dyn SnapshotFiles, path: &RelPath, largest: u64) -> Result<Vec<u8>, DestinationError> {
    let open = files.open(path)?;
    let damaged = |error: backup_core::ports::site_files::SiteFilesError| DestinationError::Damaged {
        path: SitePath::parse("/").expect("the root is absolute").join(path),
        reason: error.to_string(),
    };
    let size = open.stat().map_err(damaged)?.size.min(largest);
    let mut content = vec![0; usize::try_from(size).unwrap_or_default()];
    let read = open.read_at(0, &mut content).map_err(damaged)?;
    content.truncate(read);
    Ok(content)
}
