//! A folder in memory, and what it looks like when it comes back.

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{
    Attributes, FileId, FileKind, FileSource, FileStat, FileTime, OpenFile, SiteFiles, SiteFilesError, Walk, WalkEntry,
};

/// Files by path; folders above them are made as needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree(pub(super) BTreeMap<RelPath, (Vec<u8>, FileTime)>);

pub(super) fn root() -> SitePath {
    SitePath::parse("/snapshot").expect("absolute")
}

fn missing(path: &SitePath) -> SiteFilesError {
    SiteFilesError::Missing(path.clone())
}

fn stat_of_folder() -> FileStat {
    FileStat {
        kind: FileKind::Directory,
        size: 0,
        modified: FileTime(1, 0),
        changed: FileTime(1, 0),
        id: FileId::default(),
        links: 1,
        mode: 0o700,
        owner: 1,
        group: 2,
    }
}

fn stat_of(inode: u64, content: &[u8], time: FileTime) -> FileStat {
    let (size, id) = (content.len() as u64, FileId { device: 1, inode });
    FileStat { kind: FileKind::File, size, modified: time, changed: time, id, mode: 0o600, ..stat_of_folder() }
}

impl Tree {
    pub(super) fn put(&mut self, path: &str, content: Vec<u8>, time: i64) {
        self.0.insert(RelPath::parse(path).expect("a plain path"), (content, FileTime(time, 7)));
    }

    fn file(&self, path: &SitePath) -> Result<&(Vec<u8>, FileTime), SiteFilesError> {
        let below = path.strip_prefix(&root()).ok_or_else(|| missing(path))?;
        self.0.get(&below).ok_or_else(|| missing(path))
    }

    pub(super) fn entries(&self) -> Vec<WalkEntry> {
        let (mut entries, folder) = (BTreeMap::new(), stat_of_folder());
        entries.insert(RelPath::root(), folder.clone());
        for (inode, (path, (content, time))) in (1..).zip(&self.0) {
            let mut above = path.parent();
            while let Some(parent) = above.filter(|parent| !parent.is_root()) {
                above = parent.parent();
                entries.insert(parent, folder.clone());
            }
            entries.insert(path.clone(), stat_of(inode, content, *time));
        }
        entries.into_iter().map(|(path, stat)| WalkEntry { path, stat }).collect()
    }
}

#[async_trait]
impl SiteFiles for Tree {
    async fn sync(&self, _roots: &[SitePath]) -> Result<(), SiteFilesError> {
        Ok(())
    }

    async fn walk(&self, _source: &FileSource) -> Result<Walk, SiteFilesError> {
        Ok(Walk { entries: self.entries(), problems: Vec::new() })
    }

    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
        let (content, time) = self.file(path)?.clone();
        let below = path.strip_prefix(&root()).expect("it was found below");
        let inode = self.0.range(..=below).count() as u64;
        let stat = stat_of(inode, &content, time);
        Ok(Box::new(Opened { content, stat }))
    }

    fn attributes(&self, path: &SitePath) -> Result<Attributes, SiteFilesError> {
        Ok(vec![(b"user.path".to_vec(), path.to_bytes())])
    }
}

#[derive(Debug)]
struct Opened {
    content: Vec<u8>,
    stat: FileStat,
}

impl OpenFile for Opened {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        Ok(self.stat.clone())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.content.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, SiteFilesError> {
        let size = self.content.len() as u64;
        Ok((offset < size).then_some(offset..size))
    }
}
