//! The memory site's files, live and on images, and the target of a recovery into them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::world::{MemoryFile, World, WorldState};
use crate::copy::{BLOCK, read_once};
use crate::manifest::{ContentHash, RecordKind};
use crate::path::{RelPath, SitePath};
use crate::ports::destination::SnapshotFiles;
use crate::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Restored, Standing};
use crate::ports::site_files::{
    Attributes, CloneOf, FileKind, FileSource, FileStat, OpenFile, SiteFiles, SiteFilesError, Walk, WalkEntry,
};

/// Below this path lie the images, by the id of their set.
pub const IMAGE_ROOT: &str = "/.image";

fn tree<'a>(state: &'a WorldState, path: &SitePath) -> Option<(&'a BTreeMap<SitePath, MemoryFile>, SitePath)> {
    let below = path.strip_prefix(&super::world::site_path(IMAGE_ROOT));
    let Some(below) = below else { return Some((&state.files, path.clone())) };
    let id = below.components().next().and_then(|id| Uuid::parse_str(&String::from_utf8_lossy(id)).ok())?;
    let prefix = RelPath::parse(id.to_string()).expect("an id is a plain name");
    let original = super::world::site_path("/").join(&below.strip_prefix(&prefix)?);
    Some((state.images.get(&id)?, original))
}

fn find_file<'a>(state: &'a WorldState, path: &SitePath) -> Option<&'a MemoryFile> {
    let (files, original) = tree(state, path)?;
    files.get(&original).filter(|file| file.kind == FileKind::File)
}

fn find(state: &WorldState, path: &SitePath) -> Result<(MemoryFile, u64), SiteFilesError> {
    let missing = || SiteFilesError::Missing(path.clone());
    let (files, original) = tree(state, path).ok_or_else(missing)?;
    let file = files.get(&original).ok_or_else(missing)?;
    let links = files.values().filter(|other| other.inode == file.inode).count() as u64;
    Ok((file.clone(), links))
}

#[async_trait]
impl SiteFiles for World {
    async fn sync(&self, _roots: &[SitePath]) -> Result<(), SiteFilesError> {
        drop(self.step());
        Ok(())
    }

    async fn walk(&self, source: &FileSource) -> Result<Walk, SiteFilesError> {
        let state = self.step();
        find(&state, &source.root)?;
        let (files, root) = tree(&state, &source.root).ok_or_else(|| SiteFilesError::Missing(source.root.clone()))?;
        let mut walk = Walk::default();
        let left_out: Vec<u64> = source.skip.iter().filter_map(|skip| Some(find_file(&state, skip)?.inode)).collect();
        for (path, file) in files {
            let Some(below) = path.strip_prefix(&root) else { continue };
            // By the source's own path, for on an image its files have others.
            let skipped = source.skip.iter().any(|skip| source.root.join(&below).starts_with(skip));
            if skipped || left_out.contains(&file.inode) {
                continue;
            }
            let links = files.values().filter(|other| other.inode == file.inode).count() as u64;
            walk.entries.push(WalkEntry { path: below, stat: file.stat(links) });
        }
        walk.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk)
    }

    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
        let state = self.step();
        let (file, links) = find(&state, path)?;
        if file.unreadable || file.kind != FileKind::File {
            let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied).into();
            return Err(SiteFilesError::Failed { action: "open", path: path.clone(), source });
        }
        Ok(Box::new(OpenMemory { stat: file.stat(links), content: Arc::new(file.content) }))
    }

    fn attributes(&self, path: &SitePath) -> Result<Attributes, SiteFilesError> {
        let (file, _) = find(&self.lock(), path)?;
        if !file.unreadable {
            return Ok(Vec::new());
        }
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied).into();
        Err(SiteFilesError::Failed { action: "read the attributes of", path: path.clone(), source })
    }

    async fn clone_all(&self, clones: Vec<CloneOf>) -> Vec<Result<(), SiteFilesError>> {
        let mut state = self.step();
        let mut make = |CloneOf { from, to }| {
            let (file, _) = find(&state, &from)?;
            let above = std::iter::successors(to.parent(), SitePath::parent);
            let missing: Vec<SitePath> = above.take_while(|folder| !state.files.contains_key(folder)).collect();
            for folder in missing {
                state.put(&folder.to_string(), FileKind::Directory, b"");
            }
            state.files.remove(&to);
            state.put(&to.to_string(), FileKind::File, &file.content);
            state.files.entry(to).and_modify(|clone| clone.changed = file.changed);
            Ok(())
        };
        clones.into_iter().map(&mut make).collect()
    }
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub(super) struct OpenMemory {
    pub(super) stat: FileStat,
    pub(super) content: Arc<Vec<u8>>,
}

impl OpenFile for OpenMemory {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        Ok(self.stat.clone())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.content.len());
        let count = buffer.len().min(self.content.len() - start);
        buffer[..count].copy_from_slice(&self.content[start..start + count]);
        Ok(count)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, SiteFilesError> {
        let end = self.content.len() as u64;
        Ok((offset < end).then_some(offset..end))
    }
}

impl World {
    fn restore_one(&self, item: &RestoreItem, from: &dyn SnapshotFiles) -> Result<Restored, RecoveryError> {
        let path = item.root.join(&item.path);
        stays_below(&self.lock(), item)?;
        let file = match item.record.kind {
            RecordKind::Directory => memory_file(FileKind::Directory, Vec::new(), item),
            RecordKind::Symlink => {
                let target = item.record.target.clone().unwrap_or_default();
                memory_file(FileKind::Symlink(target), Vec::new(), item)
            }
            RecordKind::HardLink => {
                let first = item.link_to.as_ref().map(|first| item.root.join(first));
                let first = first.and_then(|first| self.lock().files.get(&first).cloned());
                first.ok_or_else(|| RecoveryError::Hash(item.record.path.clone()))?
            }
            _ => memory_file(FileKind::File, read_checked(item, from)?, item),
        };
        let mut state = self.lock();
        let size = file.content.len() as u64;
        let is_folder = file.kind == FileKind::Directory;
        if state.files.get(&path).is_some_and(|there| (there.kind == FileKind::Directory) != is_folder) {
            let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists).into();
            return Err(RecoveryError::Failed { action: "write", path, source });
        }
        if state.files.get(&path).is_some_and(|there| there.content == file.content && there.kind == file.kind) {
            return Ok(Restored::Already);
        }
        state.files.insert(path, file);
        Ok(Restored::Written(size))
    }
}

fn is_same(there: &MemoryFile, item: &RestoreItem) -> bool {
    item.record.hash == Some(ContentHash::of(&there.content))
}

/// Refuses a path that leads through a link.
fn stays_below(state: &WorldState, item: &RestoreItem) -> Result<(), RecoveryError> {
    let mut above = item.path.parent();
    while let Some(folder) = above.filter(|folder| !folder.is_root()) {
        let there = state.files.get(&item.root.join(&folder));
        if there.is_some_and(|there| matches!(there.kind, FileKind::Symlink(_))) {
            return Err(RecoveryError::Escape { root: item.root.clone(), path: item.path.clone() });
        }
        above = folder.parent();
    }
    Ok(())
}

fn is_of_kind(there: &FileKind, wanted: RecordKind) -> bool {
    match wanted {
        RecordKind::Directory => *there == FileKind::Directory,
        RecordKind::Symlink => matches!(there, FileKind::Symlink(_)),
        _ => *there == FileKind::File,
    }
}

fn memory_file(kind: FileKind, content: Vec<u8>, item: &RestoreItem) -> MemoryFile {
    MemoryFile { kind, content, changed: item.record.modified, inode: item.record.inode + 1000, unreadable: false }
}

fn read_checked(item: &RestoreItem, from: &dyn SnapshotFiles) -> Result<Vec<u8>, RecoveryError> {
    let open = from.open(&item.record.path)?;
    let mut content = Vec::new();
    let mut sink = |_, block: &[u8]| {
        content.extend_from_slice(block);
        Ok::<_, SiteFilesError>(())
    };
    let read = read_once(open.as_ref(), &mut vec![0; BLOCK], false, &mut sink);
    let hash = read.map_err(|_| RecoveryError::Hash(item.record.path.clone()))?.1;
    if Some(hash) == item.record.hash { Ok(content) } else { Err(RecoveryError::Hash(item.record.path.clone())) }
}

#[async_trait]
impl RecoveryTarget for World {
    async fn survey(&self, items: &[RestoreItem]) -> Vec<Result<Standing, RecoveryError>> {
        let state = self.step();
        let standing = |item: &RestoreItem| {
            let Some(there) = state.files.get(&item.root.join(&item.path)) else { return Standing::Absent };
            let folder = there.kind == FileKind::Directory;
            match is_of_kind(&there.kind, item.record.kind) {
                false => Standing::Other,
                true if !folder && there.changed > item.record.modified && !is_same(there, item) => Standing::Newer,
                true => Standing::Older,
            }
        };
        items.iter().map(|item| stays_below(&state, item).map(|()| standing(item))).collect()
    }

    async fn restore(
        &self,
        items: Vec<RestoreItem>,
        from: Arc<dyn SnapshotFiles>,
    ) -> Vec<Result<Restored, RecoveryError>> {
        drop(self.step());
        items.iter().map(|item| self.restore_one(item, from.as_ref())).collect()
    }

    async fn settle(&self, folders: Vec<RestoreItem>) -> Vec<Result<(), RecoveryError>> {
        let state = self.step();
        folders.iter().map(|folder| stays_below(&state, folder)).collect()
    }

    async fn scratch(&self, parent: Option<&SitePath>) -> Result<SitePath, RecoveryError> {
        let mut state = self.step();
        state.ids += 1;
        let name = RelPath::parse(format!(".scratch-{}", state.ids)).expect("a plain name");
        let scratch = parent.cloned().unwrap_or_else(|| super::world::site_path("/")).join(&name);
        state.put(&scratch.to_string(), FileKind::Directory, b"");
        state.scratch.insert(scratch.clone());
        Ok(scratch)
    }

    async fn discard(&self, scratch: &SitePath) -> Result<(), RecoveryError> {
        let mut state = self.step();
        if !state.scratch.remove(scratch) {
            let source = std::io::Error::from(std::io::ErrorKind::InvalidInput).into();
            return Err(RecoveryError::Failed { action: "discard", path: scratch.clone(), source });
        }
        state.files.retain(|path, _| !path.starts_with(scratch));
        Ok(())
    }
}
