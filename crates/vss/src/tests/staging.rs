//! A staging folder in memory that refuses what would damage a snapshot: an update of shared content, a copy over something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::copy::read_once;
use backup_core::manifest::{ContentHash, FileRecord, Manifest, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{
    DestinationError, StageContent, StageError, StageItem, StagedContent, StagedFile, Staging,
};
use backup_core::ports::site_files::{FileKind, FileTime, SiteFiles, SiteFilesError, WalkEntry};

use super::tree::{View, at};

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<RelPath, usize>,
    contents: Vec<Vec<u8>>,
    /// Contents that belong to the previous snapshot.
    reused: BTreeSet<usize>,
    folders: BTreeSet<RelPath>,
    previous: BTreeMap<RelPath, (Vec<u8>, FileTime)>,
    full: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct StrictStaging(Arc<Mutex<State>>);

impl State {
    fn new_name(&mut self, path: &RelPath) {
        assert!(!self.names.contains_key(path), "{path} is there already");
        assert!(!self.folders.contains(path), "{path} is a folder");
        self.folder(&path.parent().expect("a file has a folder"));
    }

    fn folder(&mut self, path: &RelPath) {
        let mut above = Some(path.clone());
        while let Some(path) = above {
            assert!(!self.names.contains_key(&path), "{path} is a file");
            above = path.parent();
            self.folders.insert(path);
        }
    }

    fn put(&mut self, path: &RelPath, content: Vec<u8>) -> usize {
        self.new_name(path);
        self.contents.push(content);
        self.names.insert(path.clone(), self.contents.len() - 1);
        self.contents.len() - 1
    }
}

fn nothing(size: u64) -> StagedContent {
    StagedContent::unread(size)
}

impl StrictStaging {
    /// Staging beside a previous snapshot with these files and their times.
    pub(super) fn after(previous: impl IntoIterator<Item = (RelPath, (Vec<u8>, FileTime))>) -> Self {
        let staging = Self::default();
        staging.with(|state| state.previous = previous.into_iter().collect());
        staging
    }

    pub(super) fn fill_up(&self) {
        self.with(|state| state.full = true);
    }

    /// How many files share their content with the previous snapshot.
    pub(super) fn reused(&self) -> usize {
        self.with(|state| state.names.values().filter(|content| state.reused.contains(content)).count())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().expect("no test panics while it stages"))
    }

    fn read(source: &SitePath, from: &dyn SiteFiles) -> Result<(StagedContent, Vec<u8>), StageError> {
        let file = from.open(source)?;
        let before = file.stat()?;
        let mut content = Vec::new();
        let sink = |_, block: &[u8]| {
            content.extend_from_slice(block);
            Ok::<_, StageError>(())
        };
        let (size, hash) = read_once(file.as_ref(), &mut [0; 64], false, sink)?;
        let after = file.stat()?;
        let facts = StagedContent { size, hash: Some(hash), before: Some(before), after: Some(after), ..nothing(0) };
        Ok((facts, content))
    }

    fn stage_one(&self, item: &StageItem, from: &dyn SiteFiles) -> Result<StagedContent, StageError> {
        if self.with(|state| state.full) {
            return Err(DestinationError::Full(at("/backup")).into());
        }
        match &item.content {
            StageContent::Copy(source) => {
                let (facts, content) = Self::read(source, from)?;
                self.with(|state| {
                    // What was taken over and is not trusted gives way.
                    let there = state.names.get(&item.path).copied();
                    there.filter(|there| state.reused.contains(there)).and_then(|_| state.names.remove(&item.path));
                    state.put(&item.path, content)
                });
                Ok(facts)
            }
            StageContent::Update(source) => {
                let (facts, content) = Self::read(source, from)?;
                self.with(|state| {
                    let there = state.names[&item.path];
                    let names = state.names.values().filter(|other| **other == there).count();
                    assert!(names == 1 && !state.reused.contains(&there), "{} shares its content", item.path);
                    state.contents[there] = content;
                });
                Ok(facts)
            }
            StageContent::Reuse(path) => self.with(|state| {
                let (content, modified) = state.previous[path].clone();
                let size = content.len() as u64;
                let number = state.put(&item.path, content);
                state.reused.insert(number);
                Ok(StagedContent { stored: Some(modified), ..nothing(size) })
            }),
            StageContent::HardLink(first) => self.with(|state| {
                let missing = || StageError::Read(SiteFilesError::Missing(at("/backup").join(first)));
                let content = *state.names.get(first).ok_or_else(missing)?;
                state.new_name(&item.path);
                state.names.insert(item.path.clone(), content);
                Ok(nothing(0))
            }),
            StageContent::Directory => {
                self.with(|state| state.folder(&item.path));
                Ok(nothing(0))
            }
        }
    }

    /// Whether this folder with `records` is `view`, with `/site` at `S`; panics when it contradicts itself.
    pub(super) fn shows(&self, records: &[FileRecord], view: &View) -> bool {
        assert!(records.is_sorted_by(|a, b| a.path < b.path), "records are sorted, each path once");
        self.assert_staged_as_recorded(records);
        let place = |path: &SitePath| {
            RelPath::parse("S").expect("a name").join(&path.strip_prefix(&at("/site")).expect("below the site"))
        };
        let mut firsts: BTreeMap<usize, RelPath> = BTreeMap::new();
        let mut expected = Vec::new();
        for (path, (kind, content, first)) in view {
            let path = place(path);
            let what = match kind {
                FileKind::Special => continue,
                FileKind::Directory => "folder".to_owned(),
                FileKind::Symlink(target) => format!("link to {target:?}"),
                FileKind::File => match firsts.get(first) {
                    Some(first) => format!("name of {first}"),
                    None => ContentHash::of(content).to_string(),
                },
            };
            firsts.entry(*first).or_insert_with(|| path.clone());
            expected.push((path, what));
        }
        let told = |record: &FileRecord| {
            let what = match record.kind {
                RecordKind::Directory => "folder".to_owned(),
                RecordKind::Symlink => format!("link to {:?}", record.target.as_ref().expect("a target")),
                RecordKind::HardLink => format!("name of {}", record.first.as_ref().expect("a first name")),
                _ => record.hash.expect("a hash").to_string(),
            };
            (record.path.clone(), what)
        };
        expected.sort();
        records.iter().map(told).collect::<Vec<_>>() == expected
    }

    fn assert_staged_as_recorded(&self, records: &[FileRecord]) {
        self.with(|state| {
            let mut files = BTreeSet::new();
            for record in records {
                match record.kind {
                    RecordKind::File => {
                        let content = &state.contents[state.names[&record.path]];
                        assert_eq!(record.hash, Some(ContentHash::of(content)), "{}", record.path);
                        assert_eq!(record.size, content.len() as u64, "{}", record.path);
                        files.insert(record.path.clone());
                    }
                    RecordKind::HardLink => {
                        let first = record.first.as_ref().expect("a first name");
                        assert_eq!(state.names[&record.path], state.names[first], "{}", record.path);
                        files.insert(record.path.clone());
                    }
                    RecordKind::Directory => assert!(state.folders.contains(&record.path), "{}", record.path),
                    _ => {}
                }
            }
            assert_eq!(state.names.keys().cloned().collect::<BTreeSet<_>>(), files, "nothing else is staged");
        });
    }
}

#[async_trait]
impl Staging for StrictStaging {
    async fn stage(&self, items: Vec<StageItem>, from: Arc<dyn SiteFiles>) -> Vec<Result<StagedContent, StageError>> {
        items.iter().map(|item| self.stage_one(item, from.as_ref())).collect()
    }

    async fn write(&self, _: &RelPath, _: &[u8], _: jiff::Timestamp) -> Result<(), DestinationError> {
        unreachable!("documents are the run's to write")
    }

    fn create(&self, _path: &RelPath) -> Result<Box<dyn StagedFile>, DestinationError> {
        unreachable!("databases are not staged here")
    }

    async fn remove(&self, paths: Vec<RelPath>) -> Result<(), DestinationError> {
        self.with(|state| {
            let goes = |path: &RelPath| paths.iter().any(|gone| path.strip_prefix(gone).is_some());
            state.names.retain(|path, _| !goes(path));
            state.folders.retain(|path| !goes(path));
        });
        Ok(())
    }

    fn place(&self, _path: &RelPath) -> Option<SitePath> {
        unreachable!("the provider judges no copy")
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        unreachable!("the provider knows what it staged")
    }

    async fn seal(&self, _manifest: &Manifest, _list: &[u8]) -> Result<(), DestinationError> {
        unreachable!("the run seals")
    }
}
