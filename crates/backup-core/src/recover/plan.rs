//! What goes where, from what the manifest and the request say; nothing is looked at yet.

use std::collections::HashMap;

use super::database::database_source;
use super::{Recovery, Work};
use crate::copy::chain;
use crate::manifest::{FileRecord, Manifest, Origin, Part, RecordKind, from_hex};
use crate::path::{PathError, RelPath, SitePath};
use crate::plan::place_of;
use crate::ports::database::DatabaseForm;
use crate::ports::recovery_target::RestoreItem;
use crate::ports::registry::RegistryKey;
use crate::report::Cause;

/// A part's place in the snapshot, and the folder on this machine that its entries must not leave.
#[derive(Debug)]
struct Ground {
    place: RelPath,
    root: SitePath,
    /// Where the part lies below it.
    below: RelPath,
}

impl Ground {
    fn path(&self, record: &RelPath) -> Option<RelPath> {
        Some(self.below.join(&record.strip_prefix(&self.place)?))
    }
}

impl Recovery<'_> {
    fn wants(&self, part: Part) -> bool {
        self.request.parts.is_empty() || self.request.parts.contains(&part)
    }

    /// Where `original` goes on this machine: the folder that the person named, which is trusted, and the way below it, which is not.
    fn destination_of(&self, original: &SitePath) -> Result<(SitePath, RelPath), PathError> {
        match (self.request.by_map(original), self.elsewhere()) {
            (Some(mapped), _) => Ok(mapped),
            (None, Some(to)) => Ok((to.clone(), place_of(original)?)),
            (None, None) => Ok((original.clone(), RelPath::root())),
        }
    }

    /// The other place to recover to; the root of the machine is no other place.
    pub(super) fn elsewhere(&self) -> Option<&SitePath> {
        self.request.to.as_ref().filter(|to| !to.is_root())
    }

    /// Whether what is put there is put on the site: where a part of it was, or where the configuration has it now.
    fn is_the_sites(&self, path: &SitePath, manifest: &Manifest) -> bool {
        let originals = manifest.origins.iter().filter_map(original);
        // A whole drive is nobody's own.
        let configured = self.request.site.iter().filter(|own| !own.is_root()).cloned();
        let stores = self.request.stores.iter().map(|(_, store)| store.clone());
        originals.chain(stores).chain(configured).any(|own| path.starts_with(&own) || own.starts_with(path))
    }

    pub(super) fn plan(&mut self, manifest: &Manifest, records: &[FileRecord]) -> Work {
        let mut work = Work::default();
        let by_path: HashMap<&RelPath, &FileRecord> = records.iter().map(|record| (&record.path, record)).collect();
        let mut grounds = Vec::new();
        for origin in &manifest.origins {
            match origin.part {
                part if !self.wants(part) => {}
                Part::Database if is_served(manifest) => {
                    match database_source(&self.files, manifest, records, origin) {
                        Some(source) => self.plan_served(source, origin, &mut work),
                        None => self.unlisted(origin),
                    }
                }
                Part::Registry => self.plan_registry(origin, &by_path, &mut work, manifest),
                Part::Files | Part::Database => {
                    let Some((root, below)) = self.local_path(origin) else { continue };
                    let path = root.join(&below);
                    let Some(record) = by_path.get(&origin.place) else {
                        self.unlisted(origin);
                        continue;
                    };
                    let place = format!("{} -> {path}", origin.original);
                    work.in_place.extend(self.is_the_sites(&path, manifest).then(|| place.clone()));
                    self.report.places.push(place);
                    self.plan_ground(origin, (root, below), record, &mut grounds, &mut work, manifest);
                }
            }
        }
        self.plan_files(records, &by_path, &grounds, &mut work);
        if form(manifest) == DatabaseForm::Files && self.wants(Part::Database) {
            self.tell_files(manifest, &work);
        }
        let external = manifest.database.as_ref().filter(|part| part.form == DatabaseForm::External);
        if let Some(part) = external.filter(|_| self.wants(Part::Database)) {
            self.tell_external(part);
        }
        work
    }

    fn unlisted(&mut self, origin: &Origin) {
        let message = format!("`{}` is not in the snapshot's list", origin.place);
        self.error(Cause::Snapshot, message, "verify the snapshot, or choose another one");
    }

    fn local_path(&mut self, origin: &Origin) -> Option<(SitePath, RelPath)> {
        let path = SitePath::parse(original_bytes(origin)).and_then(|original| self.destination_of(&original));
        match path {
            Ok((root, below)) if root.is_windows() == self.request.on_windows => Some((root, below)),
            Ok((path, _)) => {
                let message = format!("`{path}` is not a path of this machine");
                self.error(Cause::Recovery, message, "say where it goes: --to FOLDER, or --map ORIGINAL=HERE");
                None
            }
            Err(error) => {
                self.error(
                    Cause::Recovery,
                    chain(&error),
                    "the manifest names a place that cannot be: use another snapshot",
                );
                None
            }
        }
    }

    fn plan_ground(
        &mut self,
        origin: &Origin,
        (root, below): (SitePath, RelPath),
        record: &FileRecord,
        grounds: &mut Vec<Ground>,
        work: &mut Work,
        manifest: &Manifest,
    ) {
        if record.kind == RecordKind::Directory {
            grounds.push(Ground { place: origin.place.clone(), root, below });
            return;
        }
        // A single file that is named itself lies in its folder.
        let name = root.name().and_then(|name| RelPath::root().try_join(name).ok());
        let (root, below) = match (below.is_root(), root.parent(), name) {
            (false, ..) => (root, below),
            (true, Some(folder), Some(name)) => (folder, name),
            _ => {
                self.error(Cause::Recovery, format!("`{root}` is no place for a file"), "map it to another place");
                return;
            }
        };
        if origin.part == Part::Files || form(manifest) == DatabaseForm::Files {
            grounds.push(Ground { place: origin.place.clone(), root, below });
            return;
        }
        let path = root.join(&below);
        let mut record = record.clone();
        record.modified.0 = manifest.moment.as_second();
        let item = RestoreItem { root, path: below, record, link_to: None };
        if let Some(source) = database_source(&self.files, manifest, std::slice::from_ref(&item.record), origin) {
            self.plan_file(source, item, path, work);
        }
    }

    fn plan_registry(
        &mut self,
        origin: &Origin,
        by_path: &HashMap<&RelPath, &FileRecord>,
        work: &mut Work,
        manifest: &Manifest,
    ) {
        match (self.elsewhere().cloned(), by_path.get(&origin.place)) {
            (_, None) => self.unlisted(origin),
            // In another place there is no registry to import into: the export itself is put there.
            (Some(to), Some(record)) => {
                let path = RelPath::parse("registry").expect("a plain name").join(&file_name(&origin.place));
                self.report.places.push(format!("{} -> {}", origin.original, to.join(&path)));
                let record = (*record).clone();
                work.files.push(RestoreItem { root: to, path, record, link_to: None });
            }
            (None, Some(record)) => {
                let key = RegistryKey::new(&origin.original);
                let store = self.request.store_of(&key);
                let holder = store.as_ref().map_or_else(|| "registry".to_owned(), ToString::to_string);
                let place = format!("{} -> {holder}", origin.original);
                let is_the_sites = store.is_none_or(|store| self.is_the_sites(&store, manifest));
                work.in_place.extend(is_the_sites.then(|| place.clone()));
                self.report.places.push(place);
                work.registry.push((key, (*record).clone()));
            }
        }
    }

    fn plan_files(
        &mut self,
        records: &[FileRecord],
        by_path: &HashMap<&RelPath, &FileRecord>,
        grounds: &[Ground],
        work: &mut Work,
    ) {
        for record in records {
            let found = grounds.iter().find_map(|ground| Some((ground, ground.path(&record.path)?)));
            let Some((ground, path)) = found else { continue };
            let mut item = RestoreItem { root: ground.root.clone(), path, record: record.clone(), link_to: None };
            match record.kind {
                RecordKind::Directory => work.folders.push(item),
                RecordKind::Symlink => work.links.push(item),
                RecordKind::HardLink => {
                    let first = record.first.as_ref().and_then(|first| by_path.get(first));
                    let Some(first) = first.filter(|first| first.kind == RecordKind::File) else {
                        let message = format!("`{}` is a further name of a file that is not listed", record.path);
                        self.error(Cause::Snapshot, message, "verify the snapshot, or choose another one");
                        continue;
                    };
                    item.link_to = ground.path(&first.path);
                    if item.link_to.is_some() {
                        work.links.push(item);
                    } else {
                        // The first name goes elsewhere: this one becomes a file of its own.
                        item.record = FileRecord { path: record.path.clone(), ..(*first).clone() };
                        work.files.push(item);
                    }
                }
                _ => work.files.push(item),
            }
        }
    }
}

fn original_bytes(origin: &Origin) -> Vec<u8> {
    let bytes = origin.original_hex.as_deref().and_then(from_hex);
    bytes.unwrap_or_else(|| origin.original.clone().into_bytes())
}

/// Where a part of files or the database was.
fn original(origin: &Origin) -> Option<SitePath> {
    SitePath::parse(original_bytes(origin)).ok().filter(|_| origin.part != Part::Registry)
}

fn form(manifest: &Manifest) -> DatabaseForm {
    manifest.database.as_ref().map(|part| part.form).unwrap_or_default()
}

/// Whether a server takes the database back, and no place of files.
fn is_served(manifest: &Manifest) -> bool {
    !matches!(form(manifest), DatabaseForm::File | DatabaseForm::Files)
}

fn file_name(place: &RelPath) -> RelPath {
    place.name().and_then(|name| RelPath::root().try_join(name).ok()).unwrap_or_default()
}
