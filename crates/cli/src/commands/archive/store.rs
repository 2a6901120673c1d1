//! `archive store`: any finished folder, this program's or the product's.

use std::path::Path;

use archive::{About, Folder, StoreContext, StoredFolder};
use backup_core::copy::chain;
use backup_core::manifest::{FileRecord, MANIFEST_NAME};
use backup_core::own_files::{LOG_NAME, MARKER_NAME};
use backup_core::path::SitePath;
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::site::SiteCode;
use backup_core::verify::read_snapshot;
use host::destination::LocalSnapshot;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, json};

use super::open::{holder, open_repository, short};
use crate::args::{AccessArgs, ArchiveStoreArgs};
use crate::commands::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human, json};
use crate::ports;
use crate::site::{local, real, site_path};

pub(super) async fn run(
    session: &Session,
    access: &AccessArgs,
    args: &ArchiveStoreArgs,
) -> Result<Answer, CommandError> {
    let root = real(&site_path(&args.folder)?);
    let place = local(&root);
    let facts = std::fs::metadata(&place).map_err(|error| {
        CommandError::io(Exit::FILES, "find", &place, error).hint("give the folder of a backup snapshot")
    })?;
    if !facts.is_dir() {
        return Err(CommandError::usage(format!("`{root}` is no folder")).hint("give the folder of a backup snapshot"));
    }
    let (about, sealed, told) = match place.join(MANIFEST_NAME).exists() {
        true => ours(&root, args.code.as_ref()).await?,
        false => foreign(&root, args.code.as_ref())?,
    };
    let opened = open_repository(access)?.heard_by(session);
    let repository = real(&opened.place.path);
    if repository.starts_with(&root) || root.starts_with(&repository) {
        let message = format!("`{root}` and the archive repository `{repository}` lie in one another");
        return Err(CommandError::usage(message).hint("keep the repository on another disk than what it archives"));
    }
    session.screen.work("archiving");
    let context = StoreContext { now: Timestamp::now(), holder: holder(), cancel: session.cancel.clone(), threads: 0 };
    let folder = Folder { files: ports::site_files(), root, sealed };
    let stored = opened.repository.store(folder, about, context).await.map_err(|error| opened.failed(error))?;
    Ok(answer(&stored, &repository, &told))
}

/// A snapshot of this program: what it is stands in its manifest, and what belongs into it in its list.
async fn ours(root: &SitePath, code: Option<&SiteCode>) -> Result<(About, Vec<FileRecord>, String), CommandError> {
    let snapshot = LocalSnapshot::open(root)?;
    let (manifest, records) = read_snapshot(&snapshot).await?;
    if let Some(code) = code.filter(|code| code.as_str() != manifest.site) {
        let message = format!("`{root}` is a snapshot of site {}, and --code says {code}", manifest.site);
        return Err(CommandError::usage(message).hint("leave --code away: the snapshot's manifest names its site"));
    }
    let told = "by its manifest, and every file as it was sealed".to_owned();
    Ok((About::of_manifest(&manifest, root), records, told))
}

/// A folder of another program, the product say. It is taken for good: the product calls AfterBackup only then.
fn foreign(root: &SitePath, code: Option<&SiteCode>) -> Result<(About, Vec<FileRecord>, String), CommandError> {
    let place = local(root);
    if place.join(MARKER_NAME).exists() {
        let message = format!(
            "`{root}` is a folder of this program without `{MANIFEST_NAME}`: it is not finished, or on its way out"
        );
        return Err(
            CommandError::new(Exit::SNAPSHOT, message).hint("archive a snapshot that `sitebackup snapshots` lists")
        );
    }
    let name = name_of(root);
    let site = match code.cloned().or_else(|| code_in(&name)) {
        Some(code) => code.to_string(),
        None => {
            let message = format!("whose snapshot `{root}` is, neither a manifest nor its name tells");
            return Err(CommandError::usage(message).hint("name the site with --code, such as --code P01"));
        }
    };
    let (moment, of) = moment(&place)?;
    Ok((About { site, run: None, folder: name, moment, good: true }, Vec::new(), format!("the time of {of}")))
}

/// The site code in the product's name for a site's snapshot folder.
fn code_in(name: &str) -> Option<SiteCode> {
    let (code, rest) = name.split_at_checked(3)?;
    rest.eq_ignore_ascii_case("Backup").then(|| code.parse().ok())?
}

fn name_of(root: &SitePath) -> String {
    root.name().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()
}

/// The newest of the times that tell when the folder was finished, and whose it is.
fn moment(place: &Path) -> Result<(Timestamp, &'static str), CommandError> {
    let time = |path: &Path| std::fs::metadata(path).and_then(|facts| facts.modified());
    let folder = time(place).map_err(|error| CommandError::io(Exit::FILES, "examine", place, error))?;
    let (time, of) = match time(&place.join(LOG_NAME)).ok().filter(|log| *log >= folder) {
        Some(log) => (log, "its smsbkup.log"),
        None => (folder, "the folder"),
    };
    let none = |_| CommandError::new(Exit::FILES, format!("the time of `{}` is none", place.display()));
    // Whole, for it orders the snapshots of one second too.
    Ok((Timestamp::try_from(time).map_err(none)?, of))
}

fn answer(StoredFolder { id, snapshot, damaged }: &StoredFolder, repository: &SitePath, told: &str) -> Answer {
    let about = &snapshot.about;
    let text = format!(
        "Folder {} of site {} is archived.\n{}",
        about.folder,
        about.site,
        human::pairs(&[
            ("snapshot", short(id).to_owned()),
            ("moment", format!("{}, {told}", human::time(about.moment, &TimeZone::system()))),
            ("content", format!("{}, {}", human::entries(snapshot.entries), human::bytes(snapshot.bytes))),
            ("new", format!("{} in `{repository}`", human::bytes(snapshot.added))),
        ])
    );
    let mut result = Map::new();
    let mut put = |name: &str, value| drop(result.insert(name.to_owned(), value));
    put("snapshot", super::read::value(id, snapshot, false));
    put("damaged", json!(damaged.iter().map(|error| chain(error)).collect::<Vec<_>>()));
    json::put_path(&mut result, "repository", repository);
    let finding = |error: &archive::ArchiveError| {
        let hint = "what it held was stored anew where it was needed; `sitebackup archive verify` tells which snapshots lack it";
        Finding::new(Gravity::Warning, Cause::ArchiveDamaged, chain(error)).hint(hint)
    };
    let exit = if damaged.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    Answer::new(text, result.into()).with(damaged.iter().map(finding)).exit(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot of the product's that is finished within the second of another's start is the younger one all the same.
    #[test]
    fn the_moment_is_the_logs_to_the_fraction() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join(LOG_NAME);
        let file = std::fs::File::create(&log).expect("created");
        // Later than the folder's own, and no finer than Windows keeps times.
        let finished = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(9_000_000_000_123_456_700);
        file.set_modified(finished).expect("set");
        let (found, of) = moment(folder.path()).expect("a time");
        assert_eq!((found.to_string().as_str(), of), ("2255-03-14T16:00:00.1234567Z", "its smsbkup.log"));
    }

    #[test]
    fn the_products_folder_names_its_site() {
        let code = |name: &str| code_in(name).map(|code| code.to_string());
        assert_eq!(code("P01Backup").as_deref(), Some("P01"));
        assert_eq!(code("p01backup").map(|code| code.to_uppercase()).as_deref(), Some("P01"));
        for name in ["Backup", "P01", "P0Backup", "P01Backups", "P-1Backup", "é1Backup", ""] {
            assert_eq!(code(name), None, "{name}");
        }
    }
}
