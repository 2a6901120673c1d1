//! A file system in memory that keeps times as real ones do: in ticks, and without a new time for a second store through a mapping.
//!
//! Every call counts, down to a byte read, and a test can have something done at any of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::clock::{Clock, UnknownZone};
use backup_core::ports::site_files::{
    Attributes, FileId, FileKind, FileProblem, FileSource, FileStat, FileTime, OpenFile, SiteFiles, SiteFilesError,
    Walk, WalkEntry,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

/// How long a call takes.
const CALL: Duration = Duration::from_micros(300);
/// How fine times are.
const TICK: Duration = Duration::from_millis(4);

#[derive(Debug, Clone)]
struct Node {
    kind: FileKind,
    content: Vec<u8>,
    modified: FileTime,
    changed: FileTime,
    mode: u32,
    /// Stored to through a mapping and not written back since.
    dirty: bool,
}

/// Something done to the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// Writes a file, at the same size or not.
    Write(&'static str, Vec<u8>),
    /// Stores the first byte through a mapping.
    Store(&'static str, u8),
    /// Makes a new file and renames it over the name.
    Replace(&'static str, Vec<u8>),
    Rename(&'static str, &'static str),
    Link(&'static str, &'static str),
    Symlink(&'static str, &'static str),
    Directory(&'static str),
    /// Removes an entry with all below it.
    Remove(&'static str),
    Mode(&'static str, u32),
    Wait(Duration),
}

/// All that a backup could know of the tree: kind with content, and which names are one file.
pub(super) type View = BTreeMap<SitePath, (FileKind, Vec<u8>, usize)>;

#[derive(Debug)]
struct State {
    start: Instant,
    offset: Duration,
    names: BTreeMap<SitePath, u64>,
    nodes: BTreeMap<u64, Node>,
    unreadable: Vec<SitePath>,
    calls: usize,
    plan: Vec<(usize, Edit)>,
    views: Vec<View>,
    walked: Vec<Vec<RelPath>>,
    opened: Vec<SitePath>,
}

#[derive(Debug, Clone)]
pub(super) struct Tree(Arc<Mutex<State>>);

pub(super) fn at(text: &str) -> SitePath {
    SitePath::parse(text).expect("an absolute path")
}

impl State {
    fn now(&self) -> Duration {
        self.offset + self.start.elapsed()
    }

    fn time(&self) -> FileTime {
        let ticks = self.now().as_nanos() / TICK.as_nanos();
        let time = TICK * u32::try_from(ticks).expect("tests are short");
        FileTime(1_700_000_000 + time.as_secs().cast_signed(), time.subsec_nanos())
    }

    fn call(&mut self) {
        self.offset += CALL;
        self.calls += 1;
        while let Some(index) = self.plan.iter().position(|(call, _)| *call <= self.calls) {
            let (_, edit) = self.plan.remove(index);
            self.edit(&edit);
        }
    }

    fn touch(&mut self, inode: u64, content: bool) {
        let time = self.time();
        let node = self.nodes.get_mut(&inode).expect("named inodes exist");
        node.changed = time;
        if content {
            node.modified = time;
        }
    }

    fn touch_parent(&mut self, path: &SitePath) {
        if let Some(inode) = path.parent().and_then(|parent| self.names.get(&parent).copied()) {
            self.touch(inode, true);
        }
    }

    fn add(&mut self, path: &SitePath, kind: FileKind, content: Vec<u8>) -> u64 {
        let inode = self.nodes.keys().next_back().map_or(1, |last| last + 1);
        let time = self.time();
        let node = Node { kind, content, modified: time, changed: time, mode: 0o644, dirty: false };
        self.nodes.insert(inode, node);
        self.name(path, inode);
        inode
    }

    fn name(&mut self, path: &SitePath, inode: u64) {
        self.remove(path);
        self.names.insert(path.clone(), inode);
        self.touch_parent(path);
    }

    fn remove(&mut self, path: &SitePath) {
        let gone: Vec<_> = self.names.extract_if(.., |name, _| name.starts_with(path)).collect();
        for (_, inode) in &gone {
            // A name less is a change of the file.
            self.touch(*inode, false);
        }
        if !gone.is_empty() {
            self.touch_parent(path);
        }
    }

    fn is_folder(&self, path: &SitePath) -> bool {
        self.names.get(path).is_some_and(|inode| self.nodes[inode].kind == FileKind::Directory)
    }

    fn file(&self, path: &str) -> Option<u64> {
        self.names.get(&at(path)).copied().filter(|inode| self.nodes[inode].kind == FileKind::File)
    }

    /// Does what an operating system would allow, and nothing else.
    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Write(path, content) => match self.file(path) {
                Some(inode) => {
                    self.nodes.get_mut(&inode).expect("it is named").content.clone_from(content);
                    self.touch(inode, true);
                }
                None if self.free(path) => drop(self.add(&at(path), FileKind::File, content.clone())),
                None => {}
            },
            Edit::Store(path, byte) => self.store(path, *byte),
            Edit::Replace(path, content) if self.free(path) || self.file(path).is_some() => {
                self.add(&at(path), FileKind::File, content.clone());
            }
            Edit::Rename(from, to) => self.rename(&at(from), &at(to)),
            Edit::Link(from, to) if self.free(to) => {
                let Some(inode) = self.file(from) else { return };
                self.name(&at(to), inode);
                self.touch(inode, false);
            }
            Edit::Symlink(target, path) if self.free(path) => {
                self.add(&at(path), FileKind::Symlink(target.as_bytes().to_vec()), Vec::new());
            }
            Edit::Directory(path) if self.free(path) => drop(self.add(&at(path), FileKind::Directory, Vec::new())),
            Edit::Remove(path) => self.remove(&at(path)),
            Edit::Mode(path, mode) => {
                let Some(inode) = self.names.get(&at(path)).copied() else { return };
                self.nodes.get_mut(&inode).expect("it is named").mode = *mode;
                self.touch(inode, false);
            }
            Edit::Wait(time) => self.offset += *time,
            _ => {}
        }
        let view = self.view();
        self.views.push(view);
    }

    fn free(&self, path: &str) -> bool {
        !self.names.contains_key(&at(path)) && at(path).parent().is_some_and(|parent| self.is_folder(&parent))
    }

    fn store(&mut self, path: &str, byte: u8) {
        let Some(inode) = self.file(path).filter(|inode| !self.nodes[inode].content.is_empty()) else { return };
        if !std::mem::replace(&mut self.nodes.get_mut(&inode).expect("it is named").dirty, true) {
            self.touch(inode, true);
        }
        self.nodes.get_mut(&inode).expect("it is named").content[0] = byte;
    }

    fn rename(&mut self, from: &SitePath, to: &SitePath) {
        let parent = to.parent().is_some_and(|parent| self.is_folder(&parent));
        let both = self.is_folder(from) == self.is_folder(to) || !self.names.contains_key(to);
        if !self.names.contains_key(from) || !parent || !both || to.starts_with(from) || from.starts_with(to) {
            return;
        }
        let moved: Vec<_> = self.names.extract_if(.., |name, _| name.starts_with(from)).collect();
        self.remove(to);
        for (name, inode) in moved {
            self.names.insert(to.join(&name.strip_prefix(from).expect("it was extracted for that")), inode);
            if name == *from {
                self.touch(inode, false);
            }
        }
        self.touch_parent(from);
        self.touch_parent(to);
    }

    fn stat(&self, inode: u64) -> FileStat {
        let node = &self.nodes[&inode];
        let links = self.names.values().filter(|other| **other == inode).count() as u64;
        FileStat {
            kind: node.kind.clone(),
            size: node.content.len() as u64,
            modified: node.modified,
            changed: node.changed,
            id: FileId { device: 1, inode },
            links,
            mode: node.mode,
            owner: 0,
            group: 0,
        }
    }

    fn view(&self) -> View {
        let mut firsts: BTreeMap<u64, usize> = BTreeMap::new();
        let names = self.names.iter().enumerate();
        names
            .map(|(number, (path, inode))| {
                let node = &self.nodes[inode];
                let first = *firsts.entry(*inode).or_insert(number);
                (path.clone(), (node.kind.clone(), node.content.clone(), first))
            })
            .collect()
    }
}

impl Tree {
    /// An empty `/site`. Time stands still but for what calls and tokio's clock take.
    pub(super) fn new() -> Self {
        let mut state = State {
            start: Instant::now(),
            offset: Duration::ZERO,
            names: BTreeMap::new(),
            nodes: BTreeMap::new(),
            unreadable: Vec::new(),
            calls: 0,
            plan: Vec::new(),
            views: Vec::new(),
            walked: Vec::new(),
            opened: Vec::new(),
        };
        state.add(&at("/site"), FileKind::Directory, Vec::new());
        Self(Arc::new(Mutex::new(state)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().expect("no test panics while it edits"))
    }

    pub(super) fn edit(&self, edit: Edit) {
        self.with(|state| state.edit(&edit));
    }

    pub(super) fn special(&self, path: &str) {
        self.with(|state| state.add(&at(path), FileKind::Special, Vec::new()));
    }

    pub(super) fn set_unreadable(&self, path: &str) {
        self.with(|state| state.unreadable.push(at(path)));
    }

    /// Has `edit` done at the `call`th call from now.
    pub(super) fn plan(&self, call: usize, edit: Edit) {
        self.with(|state| {
            let call = state.calls + call;
            state.plan.push((call, edit));
        });
    }

    pub(super) fn forget_plan(&self) {
        self.with(|state| state.plan.clear());
    }

    pub(super) fn view(&self) -> View {
        self.with(|state| state.view())
    }

    /// The tree now and after each edit from now on.
    pub(super) fn start_views(&self) {
        self.with(|state| state.views = vec![state.view()]);
    }

    pub(super) fn views(&self) -> Vec<View> {
        self.with(|state| state.views.clone())
    }

    /// The files opened since this was asked last.
    pub(super) fn take_opened(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.opened)).iter().map(ToString::to_string).collect()
    }

    pub(super) fn stat(&self, path: &str) -> FileStat {
        self.with(|state| state.stat(state.names[&at(path)]))
    }

    pub(super) fn walks(&self) -> usize {
        self.with(|state| state.walked.len())
    }
}

#[async_trait]
impl SiteFiles for Tree {
    async fn sync(&self, roots: &[SitePath]) -> Result<(), SiteFilesError> {
        self.with(|state| {
            state.call();
            if let Some(gone) = roots.iter().find(|root| !state.names.contains_key(root)) {
                return Err(SiteFilesError::Missing(gone.clone()));
            }
            state.nodes.values_mut().for_each(|node| node.dirty = false);
            state.call();
            Ok(())
        })
    }

    async fn walk(&self, source: &FileSource) -> Result<Walk, SiteFilesError> {
        self.with(|state| {
            state.call();
            if !state.names.contains_key(&source.root) {
                return Err(SiteFilesError::Missing(source.root.clone()));
            }
            let mut paths: Vec<SitePath> =
                state.names.keys().filter(|path| path.starts_with(&source.root)).cloned().collect();
            paths.sort_by_key(|path| path.strip_prefix(&source.root));
            paths.retain(|path| !source.skip.iter().any(|skip| path.starts_with(skip)));
            let mut walk = Walk::default();
            for path in paths {
                state.call();
                // Listed, and gone before it was examined: as if it had never been there.
                let Some(inode) = state.names.get(&path) else { continue };
                let below = path.strip_prefix(&source.root).expect("it was filtered for that");
                walk.entries.push(WalkEntry { path: below, stat: state.stat(*inode) });
            }
            state.walked.push(walk.entries.iter().map(|entry| entry.path.clone()).collect());
            if source.exclude.iter().any(|pattern| pattern == "/unlistable") {
                let message = "cannot be listed".to_owned();
                walk.problems.push(FileProblem { path: source.root.clone(), message });
            }
            Ok(walk)
        })
    }

    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
        self.with(|state| {
            state.call();
            state.opened.push(path.clone());
            let inode = *state.names.get(path).ok_or_else(|| SiteFilesError::Missing(path.clone()))?;
            if state.unreadable.contains(path) || state.nodes[&inode].kind != FileKind::File {
                let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied).into();
                return Err(SiteFilesError::Failed { action: "open", path: path.clone(), source });
            }
            Ok(Box::new(Open { tree: self.clone(), inode }) as Box<dyn OpenFile>)
        })
    }

    fn attributes(&self, path: &SitePath) -> Result<Attributes, SiteFilesError> {
        self.with(State::call);
        if self.with(|state| state.unreadable.contains(path)) {
            let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied).into();
            return Err(SiteFilesError::Failed { action: "read the attributes of", path: path.clone(), source });
        }
        Ok(Vec::new())
    }
}

#[derive(Debug)]
struct Open {
    tree: Tree,
    inode: u64,
}

impl OpenFile for Open {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        self.tree.with(|state| {
            state.call();
            Ok(state.stat(self.inode))
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        let start = usize::try_from(offset).expect("a small file");
        for (index, byte) in buffer.iter_mut().enumerate() {
            // Byte by byte, so that a read can be torn.
            let next = self.tree.with(|state| {
                state.call();
                state.nodes[&self.inode].content.get(start + index).copied()
            });
            match next {
                Some(next) => *byte = next,
                None => return Ok(index),
            }
        }
        Ok(buffer.len())
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, SiteFilesError> {
        let size = self.stat()?.size;
        Ok((offset < size).then_some(offset..size))
    }
}

#[async_trait]
impl Clock for Tree {
    fn now(&self) -> Timestamp {
        let now = SignedDuration::try_from(self.with(|state| state.now())).expect("tests are short");
        Timestamp::from_second(1_700_000_000).expect("a moment") + now
    }

    fn local_zone(&self) -> TimeZone {
        TimeZone::UTC
    }

    fn zone(&self, name: &str) -> Result<TimeZone, UnknownZone> {
        Err(UnknownZone(name.to_owned()))
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(1)
    }

    async fn sleep_until(&self, _moment: Timestamp) {
        unreachable!("nothing here waits by the wall clock")
    }
}
