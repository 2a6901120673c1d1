//! Refuses a recovery before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use super::{Recovery, Work};
use crate::copy::chain;
use crate::manifest::{ContentHash, FileRecord, Manifest, RecordKind};
use crate::own_files::LOG_NAME;
use crate::path::{RelPath, SitePath};
use crate::ports::database::DatabaseTarget;
use crate::ports::recovery_target::{RestoreItem, Standing};
use crate::ports::services::ServiceState;
use crate::report::{Cause, Finding};

/// Findings of one kind that are named one by one.
const NAMED: usize = 20;

impl Recovery<'_> {
    /// Judges all of the work; what is wrong stands in the findings.
    pub(super) async fn judge(&mut self, work: &Work) {
        if self.request.on_windows {
            self.judge_names(work);
        }
        self.judge_ports(work);
        if !work.in_place.is_empty() {
            self.judge_services().await;
        }
        self.judge_links(work);
        if let Some(database) = &work.database {
            self.judge_served(database).await;
        }
        self.judge_database_files(work).await;
        let items: Vec<RestoreItem> = work.items().cloned().chain(self.database_logs(work)).collect();
        let mut newer = Vec::new();
        for (item, standing) in items.iter().zip(self.ports.target.survey(&items).await) {
            let path = item.root.join(&item.path);
            match standing {
                Ok(Standing::Newer) if !self.request.overwrite_newer && !is_own_log(&path) => newer.push(path),
                Ok(Standing::Other) => {
                    let message = format!("`{path}` is there, and of another kind than in the snapshot");
                    self.error(Cause::Recovery, message, "move it away, or recover to another place with --to");
                }
                Ok(_) => {}
                Err(error) => self.error(Cause::Recovery, chain(&error), "nothing was written"),
            }
        }
        for path in newer.iter().take(NAMED) {
            let message = format!("`{path}` was changed after the snapshot");
            self.error(
                Cause::Recovery,
                message,
                "overwrite such files with --overwrite-newer, or recover to another place with --to",
            );
        }
        if let Some(more) = newer.len().checked_sub(NAMED).filter(|more| *more > 0) {
            self.error(Cause::Recovery, format!("and {more} more files"), "nothing was written");
        }
    }

    /// The logs beside the database's file, as if the snapshot had them empty: content in one that is younger is newer than the snapshot.
    fn database_logs(&self, work: &Work) -> Vec<RestoreItem> {
        let work = work.database.as_ref().and_then(|work| Some((work.file.as_ref()?, &work.target)));
        let (Some(database), Some((item, DatabaseTarget::File(path)))) = (&self.ports.database, work) else {
            return Vec::new();
        };
        let log = |log: SitePath| {
            let name = log.name().and_then(|name| RelPath::root().try_join(name).ok())?;
            let place = item.path.parent().unwrap_or_default().join(&name);
            let record = FileRecord { hash: Some(ContentHash::of(b"")), size: 0, ..item.record.clone() };
            Some(RestoreItem { path: place, record, ..item.clone() })
        };
        database.logs(path).into_iter().filter_map(log).collect()
    }

    fn judge_ports(&mut self, work: &Work) {
        if work.database.is_some() && self.ports.database.is_none() {
            self.error(
                Cause::Database,
                "the snapshot holds a database, but the site.toml of this machine leads to none",
                "recover the other parts with --part, or all of it to a folder with --to: `sitebackup database restore` takes the dump from there",
            );
        }
        if !work.registry.is_empty() && self.ports.registry.is_none() {
            self.error(
                Cause::Registry,
                "the snapshot holds registry keys, but no registry is configured",
                "recover the other parts with --part, or everything to a folder with --to",
            );
        }
    }

    /// A link of the snapshot must not become the way to another part of it: on the second try it would lead there.
    fn judge_links(&mut self, work: &Work) {
        let links = work.links.iter().filter(|item| item.record.kind == RecordKind::Symlink);
        let links: BTreeSet<SitePath> = links.map(|item| item.root.join(&item.path)).collect();
        let mut ways = Vec::new();
        for item in work.items().filter(|item| item.record.kind != RecordKind::Symlink) {
            let mut above = Some(item.root.join(&item.path));
            while let Some(path) = above {
                above = path.parent();
                ways.extend(links.contains(&path).then(|| (path, item.root.join(&item.path))));
            }
        }
        for (link, path) in ways.into_iter().take(NAMED) {
            let message = format!("`{path}` would be reached over the link `{link}` of the snapshot itself");
            self.error(Cause::Recovery, message, "recover this part to another place with --map");
        }
    }

    /// What was asked for must be in the snapshot.
    pub(super) fn judge_request(&mut self, manifest: &Manifest) {
        for part in self.request.parts.clone() {
            if !manifest.origins.iter().any(|origin| origin.part == part) {
                self.error(
                    Cause::Recovery,
                    format!("the snapshot has no {part:?} part"),
                    "choose another --part or snapshot",
                );
            }
        }
        let mut originals: Vec<SitePath> =
            manifest.origins.iter().filter_map(|origin| SitePath::parse(&origin.original).ok()).collect();
        originals.extend(self.request.stores.iter().map(|(_, store)| store.clone()));
        for (from, _) in self.request.map.clone() {
            if !originals.iter().any(|original| original.starts_with(&from)) {
                let message = format!("nothing in the snapshot lies at or below `{from}`");
                self.error(
                    Cause::Configuration,
                    message,
                    "--map takes ORIGINAL=HERE; the originals are in sitebackup.json",
                );
            }
        }
    }

    async fn judge_services(&mut self) {
        let Some((services, names)) = &self.ports.services else { return };
        for name in names {
            let message = match services.state(name).await {
                Ok(ServiceState::Stopped) => continue,
                Ok(ServiceState::Running) => {
                    format!("service `{name}` is running: it would write while its site is put back")
                }
                Err(error) => chain(&error),
            };
            {
                let hint = "stop the site's services first, and keep them stopped until the recovery is done";
                self.report.findings.push(Finding::error(Cause::ServiceStop, message).hint(hint));
            }
        }
    }

    fn judge_names(&mut self, work: &Work) {
        let items = work.items().map(|item| (item.root.join(&item.path), &item.path));
        for message in refused_by_windows(items) {
            let hint = "recover it on a machine that allows both, or another part with --part";
            self.error(Cause::Recovery, message, hint);
        }
    }
}

/// What Windows refuses of entries that are to be written, each with its place and its path below the folder that is trusted: names that it
/// keeps for devices or does not allow, and names that are one there.
pub fn refused_by_windows<'a>(entries: impl IntoIterator<Item = (SitePath, &'a RelPath)>) -> Vec<String> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut messages = Vec::new();
    for (place, path) in entries {
        let place = place.to_string();
        if path.components().any(is_reserved) {
            messages.push(format!("`{place}` holds a name that Windows does not allow"));
        }
        if let Some(other) = seen.insert(place.to_lowercase(), place.clone()).filter(|other| *other != place) {
            messages.push(format!("`{place}` and `{other}` are one file on Windows"));
        }
    }
    messages
}

/// The run that made the snapshot went on writing its log in the install folder: that it is newer says nothing.
fn is_own_log(path: &SitePath) -> bool {
    path.name() == Some(LOG_NAME.as_bytes())
}

fn is_reserved(component: &[u8]) -> bool {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    let text = String::from_utf8_lossy(component).to_lowercase();
    let stem = text.split('.').next().unwrap_or_default().trim_end();
    let numbered = stem.len() == 4
        && (stem.starts_with("com") || stem.starts_with("lpt"))
        && stem.ends_with(|c: char| c.is_ascii_digit());
    let forbidden = |c: char| matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\\') || u32::from(c) < 32;
    DEVICES.contains(&stem) || numbered || text.ends_with(['.', ' ']) || text.contains(forbidden)
}
