//! The memory destination: folders with a marker, sealed or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::site::OpenMemory;
use super::world::{Folder, StoredFile, World, WorldState, site_path};
use crate::copy::{BLOCK, read_once};
use crate::manifest::{ContentHash, Manifest};
use crate::path::{RelPath, SitePath};
use crate::ports::destination::{
    DamagedSnapshot, Destination, DestinationError, DestinationFacts, DestinationHold, Holder, SnapshotFiles,
    StageContent, StageError, StageItem, StagedContent, StagedFile, Staging, StoredSnapshot,
};
use crate::ports::journal::UnendedRecovery;
use crate::ports::site_files::{FileId, FileKind, FileStat, FileTime, OpenFile, SiteFiles, SiteFilesError, WalkEntry};
use crate::snapshot::RunId;
use crate::trace::is_of_another_task;

const ROOT: &str = "/backup";
pub(super) const FINAL: &str = "P01Backup";

fn working_name(run: RunId) -> String {
    format!(".sitebackup-{run}")
}

fn folder_of(state: &mut WorldState, run: RunId) -> Option<(&String, &mut Folder)> {
    state.folders.iter_mut().find(|(_, folder)| folder.marker == Some(run))
}

fn stored(name: &str, folder: &Folder) -> Option<StoredSnapshot> {
    let manifest = folder.manifest.clone()?;
    let whole = ContentHash::of(&folder.list) == manifest.list && folder.marker == Some(manifest.run);
    let path = site_path(ROOT).join(&RelPath::parse(name).expect("a plain name"));
    whole.then(|| StoredSnapshot { run: manifest.run, folder: path, manifest, published: name == FINAL })
}

/// The destination, held.
#[derive(Debug)]
struct MemoryHold(World);

impl DestinationHold for MemoryHold {}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        self.0.release_destination();
    }
}

impl World {
    /// Nobody changes anything at the destination who does not hold it.
    fn assert_held(&self, call: &str) {
        // Not with the world locked, which others go on using.
        let held = self.lock().held.is_some();
        assert!(held, "`{call}` without a hold on the destination");
    }
}

#[async_trait]
impl Destination for World {
    async fn hold(&self, new: Holder) -> Result<Box<dyn DestinationHold>, DestinationError> {
        let mut state = self.step();
        if let Some(holder) = state.held.clone() {
            return Err(DestinationError::Busy { path: site_path(ROOT), holder });
        }
        state.held = Some(new.to_string());
        Ok(Box::new(MemoryHold(self.clone())))
    }

    async fn half_recovered(&self) -> Result<Option<UnendedRecovery>, DestinationError> {
        Ok(self.step().half_recovered.clone())
    }

    async fn note_half_recovered(&self, open: Option<&UnendedRecovery>) -> Result<(), DestinationError> {
        let mut state = self.step();
        assert!(state.held.is_some(), "only who holds the destination writes to it");
        state.half_recovered = open.cloned();
        Ok(())
    }

    async fn inspect(&self) -> Result<DestinationFacts, DestinationError> {
        let state = self.step();
        let foreign =
            state.folders.get(FINAL).filter(|folder| folder.marker.is_none()).map(|_| site_path("/backup/P01Backup"));
        let of_another = state.kept_log.as_ref().is_some_and(|log| is_of_another_task(log));
        let other_task = of_another.then_some(state.now);
        Ok(DestinationFacts { root: site_path(ROOT), free: state.free, device: 2, writable: true, foreign, other_task })
    }

    async fn list(&self) -> Result<Vec<StoredSnapshot>, DestinationError> {
        let state = self.step();
        let mut list: Vec<_> = state.folders.iter().filter_map(|(name, folder)| stored(name, folder)).collect();
        list.sort_by_key(|snapshot| snapshot.run);
        Ok(list)
    }

    async fn damaged(&self) -> Result<Vec<DamagedSnapshot>, DestinationError> {
        let state = self.step();
        let damaged = state.folders.iter().filter(|(name, folder)| stored(name, folder).is_none());
        let told = |(name, folder): (&String, &Folder)| {
            let reason = "the list of files does not have the hash in the manifest".to_owned();
            let path = site_path(ROOT).join(&RelPath::parse(name).expect("a plain name"));
            folder.manifest.as_ref().and(folder.marker).map(|run| DamagedSnapshot { run, folder: path, reason })
        };
        let mut list: Vec<_> = damaged.filter_map(told).collect();
        list.sort_by_key(|damaged| damaged.run);
        Ok(list)
    }

    async fn begin(&self, run: RunId, previous: Option<RunId>) -> Result<Arc<dyn Staging>, DestinationError> {
        self.assert_held("begin");
        let mut state = self.step();
        state.folders.insert(working_name(run), Folder { marker: Some(run), ..Folder::default() });
        Ok(Arc::new(MemoryStaging { world: self.clone(), run, previous }))
    }

    async fn publish(&self, run: RunId) -> Result<StoredSnapshot, DestinationError> {
        self.assert_held("publish");
        let mut state = self.step();
        let name = folder_of(&mut state, run).map(|(name, _)| name.clone()).ok_or(DestinationError::NoSnapshot(run))?;
        let folder = state.folders.remove(&name).expect("it was just found");
        assert!(folder.synced, "only a sealed folder is published");
        if let Some(old) = state.folders.remove(FINAL) {
            let Some(old_run) = old.marker else {
                state.folders.insert(FINAL.to_owned(), old);
                state.folders.insert(name, folder);
                return Err(DestinationError::Foreign(site_path("/backup/P01Backup")));
            };
            state.folders.insert(working_name(old_run), old);
        }
        let snapshot = stored(FINAL, &folder).ok_or(DestinationError::NoSnapshot(run))?;
        state.folders.insert(FINAL.to_owned(), folder);
        Ok(snapshot)
    }

    async fn amend(&self, manifest: &Manifest) -> Result<(), DestinationError> {
        self.assert_held("amend");
        let mut state = self.step();
        let (_, folder) = folder_of(&mut state, manifest.run).ok_or(DestinationError::NoSnapshot(manifest.run))?;
        assert!(folder.manifest.is_some(), "only a sealed snapshot is amended");
        folder.manifest = Some(manifest.clone());
        Ok(())
    }

    async fn open(&self, run: RunId) -> Result<Arc<dyn SnapshotFiles>, DestinationError> {
        let mut state = self.step();
        let sealed = folder_of(&mut state, run).filter(|(name, folder)| stored(name, folder).is_some());
        let (_, folder) = sealed.ok_or(DestinationError::NoSnapshot(run))?;
        Ok(Arc::new(MemorySnapshot(folder.clone())))
    }

    async fn remove(&self, run: RunId) -> Result<(), DestinationError> {
        self.assert_held("remove");
        let mut state = self.step();
        let name = folder_of(&mut state, run).map(|(name, _)| name.clone());
        name.map(|name| state.folders.remove(&name));
        Ok(())
    }

    async fn sweep(&self) -> Result<usize, DestinationError> {
        self.assert_held("sweep");
        let mut state = self.step();
        let before = state.folders.len();
        state.folders.retain(|_, folder| folder.marker.is_none() || folder.manifest.is_some());
        Ok(before - state.folders.len())
    }

    async fn keep_log(&self, run: Option<RunId>, log: &[u8]) -> Result<(), DestinationError> {
        self.assert_held("keep_log");
        let mut state = self.step();
        state.kept_log = Some(log.to_vec());
        match run.filter(|run| folder_of(&mut state, *run).is_none()) {
            Some(unknown) => Err(DestinationError::NoSnapshot(unknown)),
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct MemoryStaging {
    world: World,
    run: RunId,
    previous: Option<RunId>,
}

impl MemoryStaging {
    fn edit<T>(&self, edit: impl FnOnce(&mut WorldState, &mut Folder) -> T) -> Result<T, DestinationError> {
        let mut state = self.world.step();
        let name = folder_of(&mut state, self.run).map(|(name, _)| name.clone());
        let name = name.ok_or(DestinationError::NoSnapshot(self.run))?;
        let mut folder = state.folders.remove(&name).expect("it was just found");
        assert!(folder.manifest.is_none(), "a sealed folder is not staged into");
        let result = edit(&mut state, &mut folder);
        state.folders.insert(name, folder);
        Ok(result)
    }

    fn stage_one(&self, item: &StageItem, from: &dyn SiteFiles) -> Result<StagedContent, StageError> {
        match &item.content {
            StageContent::Directory => {
                self.edit(|_, folder| folder.folders.insert(item.path.clone()))?;
                Ok(StagedContent::unread(0))
            }
            StageContent::Copy(source) | StageContent::Update(source) => self.copy_one(item, source, from),
            StageContent::Reuse(path) => {
                let previous = self.previous.ok_or(DestinationError::NoSnapshot(self.run))?;
                let file = {
                    let mut state = self.world.step();
                    let (_, folder) = folder_of(&mut state, previous).ok_or(DestinationError::NoSnapshot(previous))?;
                    folder.files.get(path).cloned().ok_or(DestinationError::NoSnapshot(previous))?
                };
                let (size, stored) = (file.content.len() as u64, Some(file.modified));
                self.put(&item.path, file)?;
                Ok(StagedContent { stored, ..StagedContent::unread(size) })
            }
            StageContent::HardLink(first) => {
                let content = self.edit(|_, folder| folder.files.get(first).cloned())?;
                // The first name may have been unreadable; then this one is as well.
                let missing = || StageError::Read(SiteFilesError::Missing(site_path("/backup").join(first)));
                self.put(&item.path, content.ok_or_else(missing)?)?;
                Ok(StagedContent::unread(0))
            }
        }
    }

    fn copy_one(&self, item: &StageItem, source: &SitePath, from: &dyn SiteFiles) -> Result<StagedContent, StageError> {
        let open = from.open(source)?;
        let before = open.stat()?;
        let mut content = Vec::new();
        let mut sink = |_, block: &[u8]| {
            content.extend_from_slice(block);
            Ok::<_, StageError>(())
        };
        let (size, hash) = read_once(open.as_ref(), &mut vec![0; BLOCK], false, &mut sink)?;
        let after = open.stat()?;
        self.put(&item.path, StoredFile { content: Arc::new(content), modified: before.modified })?;
        let (before, after) = (Some(before), Some(after));
        Ok(StagedContent { hash: Some(hash), before, after, ..StagedContent::unread(size) })
    }

    fn put(&self, path: &RelPath, file: StoredFile) -> Result<(), DestinationError> {
        self.edit(|state, folder| {
            let size = file.content.len() as u64;
            if state.free < size {
                return Err(DestinationError::Full(site_path(ROOT)));
            }
            state.free -= size;
            folder.files.insert(path.clone(), file);
            Ok(())
        })?
    }
}

#[async_trait]
impl Staging for MemoryStaging {
    async fn stage(&self, items: Vec<StageItem>, from: Arc<dyn SiteFiles>) -> Vec<Result<StagedContent, StageError>> {
        items.iter().map(|item| self.stage_one(item, from.as_ref())).collect()
    }

    async fn write(&self, path: &RelPath, data: &[u8], modified: Timestamp) -> Result<(), DestinationError> {
        let modified = FileTime(modified.as_second(), u32::try_from(modified.subsec_nanosecond()).unwrap_or(0));
        self.put(path, StoredFile { content: Arc::new(data.to_vec()), modified })
    }

    fn create(&self, path: &RelPath) -> Result<Box<dyn StagedFile>, DestinationError> {
        self.put(path, StoredFile::default())?;
        let staging = MemoryStaging { world: self.world.clone(), run: self.run, previous: None };
        Ok(Box::new(MemoryStagedFile { staging, path: path.clone() }))
    }

    async fn remove(&self, paths: Vec<RelPath>) -> Result<(), DestinationError> {
        self.edit(|_, folder| {
            let goes = |path: &RelPath| paths.iter().any(|gone| path.strip_prefix(gone).is_some());
            folder.files.retain(|path, _| !goes(path));
            folder.folders.retain(|path| !goes(path));
        })
    }

    fn place(&self, path: &RelPath) -> Option<SitePath> {
        Some(site_path(ROOT).join(&RelPath::parse(working_name(self.run)).expect("a plain name")).join(path))
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        self.edit(|_, folder| walk(folder))
    }

    async fn seal(&self, manifest: &Manifest, list: &[u8]) -> Result<(), DestinationError> {
        assert_eq!(manifest.run, self.run, "a staging folder takes its own manifest");
        self.edit(|_, folder| {
            folder.synced = true;
            folder.list = list.to_vec();
            folder.manifest = Some(manifest.clone());
        })
    }
}

#[derive(Debug)]
struct MemoryStagedFile {
    staging: MemoryStaging,
    path: RelPath,
}

impl MemoryStagedFile {
    fn edit<T>(&self, edit: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, DestinationError> {
        self.staging
            .edit(|_, folder| edit(Arc::make_mut(&mut folder.files.entry(self.path.clone()).or_default().content)))
    }
}

impl StagedFile for MemoryStagedFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DestinationError> {
        let start = usize::try_from(offset).expect("memory files are small");
        self.edit(|content| {
            content.resize(content.len().max(start + data.len()), 0);
            content[start..start + data.len()].copy_from_slice(data);
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DestinationError> {
        let start = usize::try_from(offset).expect("memory files are small");
        self.edit(|content| {
            let count = buffer.len().min(content.len().saturating_sub(start));
            buffer[..count].copy_from_slice(&content[start..start + count]);
            count
        })
    }

    fn set_len(&self, len: u64) -> Result<(), DestinationError> {
        self.edit(|content| content.resize(usize::try_from(len).expect("memory files are small"), 0))
    }
}

/// A snapshot as it was when it was opened.
#[derive(Debug)]
pub(super) struct MemorySnapshot(pub(super) Folder);

#[async_trait]
impl SnapshotFiles for MemorySnapshot {
    async fn manifest(&self) -> Result<Vec<u8>, DestinationError> {
        Ok(self.0.manifest.as_ref().map(Manifest::to_json).unwrap_or_default())
    }

    async fn list(&self) -> Result<Vec<u8>, DestinationError> {
        Ok(self.0.list.clone())
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        Ok(walk(&self.0))
    }

    async fn hash(&self, paths: Vec<RelPath>) -> Vec<Result<(u64, ContentHash), DestinationError>> {
        paths.iter().map(|path| content(&self.0, path).map(|c| (c.len() as u64, ContentHash::of(&c)))).collect()
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn OpenFile>, DestinationError> {
        let content = content(&self.0, path)?;
        Ok(Box::new(OpenMemory { stat: stat(FileKind::File, content.len() as u64), content }))
    }
}

fn content(folder: &Folder, path: &RelPath) -> Result<Arc<Vec<u8>>, DestinationError> {
    let damaged = || DestinationError::Damaged { path: site_path(ROOT).join(path), reason: "it is missing".to_owned() };
    folder.files.get(path).map(|file| Arc::clone(&file.content)).ok_or_else(damaged)
}

fn walk(folder: &Folder) -> Vec<WalkEntry> {
    let mut entries: BTreeMap<RelPath, FileStat> = BTreeMap::new();
    for path in folder.files.keys().chain(&folder.folders) {
        let mut above = path.parent();
        while let Some(parent) = above.filter(|parent| !parent.is_root()) {
            above = parent.parent();
            entries.insert(parent, stat(FileKind::Directory, 0));
        }
    }
    entries.extend(folder.folders.iter().map(|path| (path.clone(), stat(FileKind::Directory, 0))));
    let stat_of =
        |file: &StoredFile| FileStat { modified: file.modified, ..stat(FileKind::File, file.content.len() as u64) };
    entries.extend(folder.files.iter().map(|(path, file)| (path.clone(), stat_of(file))));
    entries.into_iter().map(|(path, stat)| WalkEntry { path, stat }).collect()
}

fn stat(kind: FileKind, size: u64) -> FileStat {
    let time = FileTime::default();
    FileStat {
        kind,
        size,
        modified: time,
        changed: time,
        id: FileId::default(),
        links: 1,
        mode: 0o600,
        owner: 0,
        group: 0,
    }
}

/// What AfterBackup does to the published folder.
pub(super) fn edit_published(state: &mut WorldState) {
    let edits = std::mem::take(&mut state.hook_edits);
    let modified = state.file_time();
    let Some(folder) = state.folders.get_mut(FINAL) else { return };
    for (path, content) in edits {
        match content {
            Some(content) => drop(folder.files.insert(path, StoredFile { content: Arc::new(content), modified })),
            None => drop(folder.files.remove(&path)),
        }
    }
}
