//! What is staged of each source, and what a walk says of it.

use std::collections::BTreeMap;

use backup_core::copy::{Copied, PlacedEntry};
use backup_core::manifest::{FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{FileId, FileKind, FileSource, FileStat, WalkEntry};

/// How an entry lies in the staging folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Staged {
    /// Not at all.
    Nothing,
    /// As its own, which may be brought up to date in place.
    Own,
    /// In a way that must not be written to: its content may belong to another name or to the previous snapshot too, or is unknown.
    Shared,
}

/// What has to be done about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    /// Nothing: what is staged is right.
    Keep,
    /// Stage it; nothing is in its way.
    Fresh,
    /// Bring the staged copy up to date.
    Update,
}

/// An entry of a source.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: RelPath,
    /// What the last walk saw.
    pub(super) stat: FileStat,
    pub(super) record: Option<FileRecord>,
    pub(super) staged: Staged,
    pub(super) todo: Todo,
    /// In a pass: whether nothing but a new time can hide a change. In the window: whether nobody changed it there.
    pub(super) clean: bool,
}

impl Entry {
    fn new(walked: WalkEntry) -> Self {
        let WalkEntry { path, stat } = walked;
        Self { path, stat, record: None, staged: Staged::Nothing, todo: Todo::Fresh, clean: false }
    }

    /// Decides what a new walk means for an entry; returns whether what is staged of it has to go first.
    fn meet(&mut self, stat: FileStat) -> bool {
        self.todo = Todo::Keep;
        if self.clean && self.stat == stat {
            return false;
        }
        let (folders, files) = match (&self.stat.kind, &stat.kind) {
            (FileKind::Directory, FileKind::Directory) => (true, false),
            (FileKind::File, FileKind::File) => (false, true),
            _ => (false, false),
        };
        self.stat = stat;
        self.todo = if files && self.staged == Staged::Own { Todo::Update } else { Todo::Fresh };
        let goes = self.staged != Staged::Nothing && !folders && self.todo == Todo::Fresh;
        if goes {
            self.staged = Staged::Nothing;
        }
        goes
    }

    /// Takes what became of the entry; `clean` when nothing about the moment of the read speaks against it.
    pub(super) fn take(&mut self, copied: Copied, staged: Staged, clean: bool) {
        let same = !copied.moved && copied.stat == self.stat;
        // What has no content cannot have changed unseen.
        self.clean = same && (clean || self.stat.kind == FileKind::Special);
        self.record = copied.record;
        self.staged = staged;
        self.todo = Todo::Keep;
    }

    fn is_record(&self, kind: RecordKind) -> bool {
        self.record.as_ref().is_some_and(|record| record.kind == kind)
    }
}

/// One source.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) source: FileSource,
    pub(super) target: RelPath,
    /// Sorted by path, as walks are.
    pub(super) entries: Vec<Entry>,
}

/// An entry's branch and its number there.
pub(super) type Position = (usize, usize);

impl Branch {
    pub(super) fn new(source: FileSource, target: RelPath) -> Self {
        Self { source, target, entries: Vec::new() }
    }

    pub(super) fn placed(&self, index: usize) -> PlacedEntry {
        let Entry { path, stat, .. } = &self.entries[index];
        PlacedEntry { source: self.source.root.join(path), place: self.target.join(path), stat: stat.clone() }
    }

    /// Takes a new walk: says for each entry what is to be done, and adds to `gone` what has to leave the staging folder.
    pub(super) fn meet(&mut self, walk: Vec<WalkEntry>, gone: &mut Vec<RelPath>) {
        let mut old = std::mem::take(&mut self.entries).into_iter().peekable();
        let mut entries = Vec::with_capacity(walk.len());
        // Equality is asked first: it is the common case, and cheaper than order.
        let mut leave = |entry: &Entry| gone.push(self.target.join(&entry.path));
        for walked in walk {
            let mut known = old.next_if(|entry| entry.path == walked.path);
            while known.is_none()
                && let Some(entry) = old.next_if(|entry| entry.path < walked.path)
            {
                if entry.staged != Staged::Nothing {
                    leave(&entry);
                }
                known = old.next_if(|entry| entry.path == walked.path);
            }
            entries.push(match known {
                Some(mut entry) => {
                    if entry.meet(walked.stat) {
                        leave(&entry);
                    }
                    entry
                }
                None => Entry::new(walked),
            });
        }
        old.filter(|entry| entry.staged != Staged::Nothing).for_each(|entry| leave(&entry));
        self.entries = entries;
    }

    /// Compares with a second walk: marks what is not as before, and returns what was not there before.
    pub(super) fn mark_changes(&mut self, walk: Vec<WalkEntry>) -> Vec<SitePath> {
        let mut new = Vec::new();
        let mut entries = self.entries.iter_mut().peekable();
        for walked in walk {
            let mut known = entries.next_if(|entry| entry.path == walked.path);
            while known.is_none()
                && let Some(entry) = entries.next_if(|entry| entry.path < walked.path)
            {
                entry.clean = false;
                known = entries.next_if(|entry| entry.path == walked.path);
            }
            match known {
                Some(entry) => entry.clean &= same(&entry.stat, &walked.stat),
                None => new.push(self.source.root.join(&walked.path)),
            }
        }
        entries.for_each(|entry| entry.clean = false);
        new
    }

    /// The paths that the window found changed.
    pub(super) fn changed(&self) -> impl Iterator<Item = SitePath> {
        self.entries.iter().filter(|entry| !entry.clean).map(|entry| self.source.root.join(&entry.path))
    }

    pub(super) fn into_records(self) -> impl Iterator<Item = FileRecord> {
        self.entries.into_iter().filter_map(|entry| entry.record)
    }
}

/// Whether an entry is as it was. Files that are not backed up may come and go in a folder: that moves all its times, while a change of
/// the folder itself moves only its ctime.
pub(in crate::provider) fn same(before: &FileStat, now: &FileStat) -> bool {
    if before == now {
        return true;
    }
    let churned = before.kind == FileKind::Directory && before.modified != now.modified;
    let itself = |stat: &FileStat| (stat.id, stat.mode, stat.owner, stat.group);
    churned && now.kind == FileKind::Directory && itself(before) == itself(now)
}

/// Sees to it that the names of one file are staged together or not at all; returns those to stage, in their order.
///
/// A copy of one name alone would break the link, and bringing one up to date would change the others.
pub(super) fn regroup(branches: &mut [Branch], gone: &mut Vec<RelPath>) -> Vec<Position> {
    let mut names: BTreeMap<FileId, Vec<Position>> = BTreeMap::new();
    for (number, branch) in branches.iter().enumerate() {
        for (index, Entry { stat, .. }) in branch.entries.iter().enumerate() {
            if stat.kind == FileKind::File && stat.links > 1 {
                names.entry(stat.id).or_default().push((number, index));
            }
        }
    }
    let mut linked = Vec::new();
    for names in names.into_values() {
        if !is_sound(branches, &names) {
            linked.extend(names);
        }
    }
    linked.sort_unstable();
    for (number, index) in &linked {
        let branch = &mut branches[*number];
        let entry = &mut branch.entries[*index];
        entry.todo = Todo::Fresh;
        if std::mem::replace(&mut entry.staged, Staged::Nothing) != Staged::Nothing {
            gone.push(branch.target.join(&entry.path));
        }
    }
    linked
}

fn is_sound(branches: &[Branch], names: &[Position]) -> bool {
    let entry = |position: &Position| &branches[position.0].entries[position.1];
    let (first, others) = names.split_first().expect("a group has a member");
    let place = branches[first.0].target.join(&entry(first).path);
    match entry(first).todo {
        // A single name among the sources is a file like any other.
        Todo::Update | Todo::Fresh => others.is_empty(),
        Todo::Keep => {
            let linked = |name: &&Position| {
                let entry = entry(name);
                entry.todo == Todo::Keep && entry.record.as_ref().is_some_and(|r| r.first.as_ref() == Some(&place))
            };
            entry(first).is_record(RecordKind::File) && others.iter().filter(linked).count() == others.len()
        }
    }
}
