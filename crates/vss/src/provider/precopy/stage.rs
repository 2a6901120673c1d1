//! Carries out what a walk decided.

use std::sync::{Arc, Mutex, PoisonError};

use backup_core::copy::{Copied, Copier, Previous, RACY_SECONDS};
use backup_core::event::{Event, EventSink, Progress};
use backup_core::path::RelPath;
use backup_core::ports::shadow_copies::ShadowCopyError;
use backup_core::ports::site_files::{FileKind, FileProblem, FileStat, FileTime};
use jiff::Timestamp;

use super::Copying;
use super::branch::{Position, Staged, Todo, regroup};

/// Entries copied between two looks at the wish to stop; also bounds what is in memory twice.
const CHUNK: usize = 2048;

/// Files and bytes to copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Load {
    fn add(&mut self, stat: &FileStat) {
        self.files += 1;
        self.bytes += if stat.kind == FileKind::File { stat.size } else { 0 };
    }

    /// Whether copying it takes no more than tens of milliseconds.
    pub(super) fn is_small(self) -> bool {
        self.files <= 64 && self.bytes <= 16 << 20
    }

    /// Whether reading it takes a good part of a second, from memory.
    pub(super) fn is_heavy(self) -> bool {
        self.files > 2000 || self.bytes > 256 << 20
    }

    /// A file costs about as much as reading 64 KiB more.
    pub(super) fn is_less_than(self, other: Self) -> bool {
        let cost = |load: Self| load.bytes.saturating_add(load.files << 16);
        cost(self) < cost(other)
    }
}

/// When a copied entry counts as clean.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// When it had its last change long before the pass, which began then.
    Settled(Timestamp),
    /// When it is as the window's walk saw it.
    Window,
}

impl Rule {
    fn allows(self, changed: FileTime) -> bool {
        match self {
            Self::Settled(started) => is_settled(changed, started),
            Self::Window => true,
        }
    }
}

/// Whether a change since `started` would have left another time. Where the platform has no ctime, nothing is ever sure.
pub(in crate::provider) fn is_settled(changed: FileTime, started: Timestamp) -> bool {
    changed != FileTime::default() && changed.0.saturating_add(RACY_SECONDS) < started.as_second()
}

/// What a walk found to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// What leaves the staging folder, with all below it.
    gone: Vec<RelPath>,
    fresh: Vec<Position>,
    /// Names of files that have several, which are staged in one go.
    linked: Vec<Position>,
    update: Vec<Position>,
}

/// Adds what was done before to the progress of one chunk.
#[derive(Debug)]
struct Overall {
    events: Arc<dyn EventSink>,
    total: Load,
    before: Mutex<Load>,
}

impl EventSink for Overall {
    fn event(&self, event: &Event) {
        let Event::Progress(progress) = event else { return self.events.event(event) };
        let before = *self.before.lock().unwrap_or_else(PoisonError::into_inner);
        self.events.event(&Event::Progress(Progress {
            files: before.files + progress.files,
            bytes: before.bytes + progress.bytes,
            total_files: self.total.files,
            total_bytes: self.total.bytes,
        }));
    }
}

impl Copying {
    /// Walks all sources and decides.
    pub(super) async fn look(&mut self) -> Result<(Work, Vec<FileProblem>), ShadowCopyError> {
        let mut work = Work::default();
        let mut problems = Vec::new();
        for index in 0..self.branches.len() {
            let walk = self.walk(&self.branches[index].source).await?;
            problems.extend(walk.problems);
            self.branches[index].meet(walk.entries, &mut work.gone);
        }
        work.linked = regroup(&mut self.branches, &mut work.gone);
        for (number, branch) in self.branches.iter().enumerate() {
            for (index, entry) in branch.entries.iter().enumerate() {
                match entry.todo {
                    Todo::Keep => {}
                    Todo::Update => work.update.push((number, index)),
                    Todo::Fresh if work.linked.binary_search(&(number, index)).is_err() => {
                        work.fresh.push((number, index));
                    }
                    Todo::Fresh => {}
                }
            }
        }
        Ok((work, problems))
    }

    pub(super) fn load(&self, work: &Work) -> Load {
        let mut load = Load::default();
        for (number, index) in [&work.fresh, &work.linked, &work.update].into_iter().flatten() {
            load.add(&self.branches[*number].entries[*index].stat);
        }
        load
    }

    /// What the next pass or the window has to read again, even if nothing changes any more.
    pub(super) fn doubtful(&self) -> Load {
        let mut load = Load::default();
        for entry in self.branches.iter().flat_map(|branch| &branch.entries).filter(|entry| !entry.clean) {
            load.add(&entry.stat);
        }
        load
    }

    /// Removes and copies; returns the files that could not be read.
    pub(super) async fn apply(&mut self, work: Work, rule: Rule) -> Result<Vec<FileProblem>, ShadowCopyError> {
        let total = self.load(&work);
        let events = Arc::clone(&self.request.events);
        let overall = Arc::new(Overall { events, total, before: Mutex::default() });
        let gone = topmost(work.gone);
        if !gone.is_empty() {
            self.request.staging.remove(gone).await?;
        }
        let mut problems = Vec::new();
        for chunk in work.fresh.chunks(CHUNK) {
            problems.extend(self.copy(chunk, Todo::Fresh, false, rule, &overall).await?);
        }
        if !work.linked.is_empty() {
            problems.extend(self.copy(&work.linked, Todo::Fresh, true, rule, &overall).await?);
        }
        for chunk in work.update.chunks(CHUNK) {
            problems.extend(self.copy(chunk, Todo::Update, false, rule, &overall).await?);
        }
        Ok(problems)
    }

    async fn copy(
        &mut self,
        positions: &[Position],
        todo: Todo,
        linked: bool,
        rule: Rule,
        overall: &Arc<Overall>,
    ) -> Result<Vec<FileProblem>, ShadowCopyError> {
        self.go_on()?;
        let entries: Vec<_> = positions.iter().map(|(number, index)| self.branches[*number].placed(*index)).collect();
        let previous = Arc::clone(&self.request.previous);
        let copier = Copier {
            from_clones: false,
            files: Arc::clone(&self.request.files),
            staging: Arc::clone(&self.request.staging),
            previous: Arc::clone(&previous),
            events: Arc::clone(overall) as Arc<dyn EventSink>,
        };
        let results = copier.copy(&entries, todo == Todo::Update).await?;
        let mut problems = Vec::new();
        let mut done = overall.before.lock().unwrap_or_else(PoisonError::into_inner);
        for (((number, index), placed), mut copied) in positions.iter().zip(&entries).zip(results) {
            let problem = copied.problem.take();
            // A problem of a pass is told only if the window has it too, so the window looks again.
            let is_right = copied.record.is_some() && problem.is_none();
            problems.extend(problem);
            let staged = match todo {
                Todo::Update => lies(&copied, false),
                _ => lies(&copied, linked || is_reused(&previous, &placed.place, &placed.stat)),
            };
            done.add(&placed.stat);
            let clean = is_right && rule.allows(placed.stat.changed);
            self.branches[*number].entries[*index].take(copied, staged, clean || matches!(rule, Rule::Window));
        }
        Ok(problems)
    }
}

fn is_reused(previous: &Previous, place: &RelPath, stat: &FileStat) -> bool {
    stat.kind == FileKind::File && previous.unchanged(place, stat).is_some()
}

/// How an entry lies in the staging folder after its copy.
fn lies(copied: &Copied, shared: bool) -> Staged {
    match (&copied.stat.kind, &copied.record) {
        (FileKind::Symlink(_) | FileKind::Special, _) => Staged::Nothing,
        (FileKind::Directory, _) => Staged::Own,
        // Half a file may lie there, or nothing.
        (FileKind::File, None) => Staged::Shared,
        (FileKind::File, Some(_)) if shared => Staged::Shared,
        (FileKind::File, Some(_)) => Staged::Own,
    }
}

/// The paths that lie below no other one: what lies below goes with it.
fn topmost(mut paths: Vec<RelPath>) -> Vec<RelPath> {
    paths.sort();
    paths.dedup_by(|path, above| path.strip_prefix(above).is_some());
    paths
}
