//! The walk: it runs inside the freeze window, so every entry costs one `lstat`, made from the folder that holds it.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use crate::os::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::os::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, open, openat, stat, statat};
use crate::os::io::Errno;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{
    FileId, FileKind, FileProblem, FileSource, FileStat, SiteFilesError, Walk, WalkEntry,
};
use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use super::stat::{file_stat, id_of, kind_of};
use super::{failed, local};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Room for the names that one call of the system returns.
const NAMES: usize = 64 << 10;

/// What a walk leaves out.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    globs: Option<GlobSet>,
    skip: HashSet<RelPath>,
    skip_ids: HashSet<FileId>,
    own: Option<fn(&RelPath) -> bool>,
}

impl Filter {
    /// Leaves out only what `own` says.
    pub(crate) fn own(own: fn(&RelPath) -> bool) -> Self {
        Self { own: Some(own), ..Self::default() }
    }

    /// Which files the skipped ones are is asked anew for each walk: once one of them is gone, the next new file may get its identity.
    fn of_source(source: &FileSource) -> Result<Self, SiteFilesError> {
        let skip = source.skip.iter().filter_map(|skip| skip.strip_prefix(&source.root)).collect();
        let skip_ids = source.skip.iter().filter_map(file_at).collect();
        Ok(Self { globs: globs(&source.exclude)?, skip, skip_ids, own: None })
    }

    fn leaves_out(&self, path: &RelPath) -> bool {
        self.own.is_some_and(|own| own(path))
            || (!self.skip.is_empty() && self.skip.contains(path))
            || self
                .globs
                .as_ref()
                .is_some_and(|globs| globs.is_match_candidate(&Candidate::from_bytes(path.as_bytes())))
    }

    fn leaves_out_id(&self, id: FileId) -> bool {
        !self.skip_ids.is_empty() && self.skip_ids.contains(&id)
    }
}

fn file_at(path: &SitePath) -> Option<FileId> {
    let stat = statat(CWD, local(path).ok()?, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| id_of(&stat))
}

fn globs(patterns: &[String]) -> Result<Option<GlobSet>, SiteFilesError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let wrong =
            |source: globset::Error| SiteFilesError::Pattern { pattern: pattern.clone(), source: source.into() };
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(wrong)?);
    }
    let all = || patterns.join(", ");
    let set = set.build().map_err(|source| SiteFilesError::Pattern { pattern: all(), source: source.into() })?;
    Ok((!set.is_empty()).then_some(set))
}

/// Walks a source of the site: its root and all below it.
pub(crate) fn walk_source(source: &FileSource) -> Result<Walk, SiteFilesError> {
    let filter = Filter::of_source(source)?;
    let mut walk = Walk::default();
    if source.skip.iter().any(|skip| source.root.starts_with(skip)) {
        return Ok(walk);
    }
    let place = local(&source.root).map_err(failed("examine", &source.root))?;
    let root = examine_root(&place).map_err(failed("examine", &source.root))?;
    if filter.leaves_out_id(root.id) {
        return Ok(walk);
    }
    if let FileKind::Symlink(_) = root.kind {
        let message = "it is a symbolic link, and not to a folder: name the file it leads to".to_owned();
        walk.problems.push(FileProblem { path: source.root.clone(), message });
    }
    let is_folder = root.kind == FileKind::Directory;
    walk.entries.push(WalkEntry { path: RelPath::root(), stat: root });
    if is_folder {
        match open(&place, FOLDER, Mode::empty()) {
            Ok(folder) => walk_folder(folder.as_fd(), &source.root, &filter, &mut walk),
            Err(error) => walk.problems.push(problem(source.root.clone(), "list", error)),
        }
    }
    Ok(walk)
}

// The administrator named the root, so a link there is meant as what it leads to.
fn examine_root(place: &Path) -> io::Result<FileStat> {
    let own = statat(CWD, place, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = kind_of(CWD, place, &own)?;
    if let FileKind::Symlink(_) = kind
        && let Ok(meant) = stat(place)
        && kind_of(CWD, place, &meant).is_ok_and(|kind| kind == FileKind::Directory)
    {
        return Ok(file_stat(&meant, FileKind::Directory));
    }
    Ok(file_stat(&own, kind))
}

/// Adds all below the open folder `root` to `walk`, sorted; `shown` is its path in messages.
pub(crate) fn walk_folder(root: BorrowedFd<'_>, shown: &SitePath, filter: &Filter, walk: &mut Walk) {
    let mut walker = Walker { root, shown, filter, names: Vec::with_capacity(NAMES), problems: &mut walk.problems };
    let mut levels = vec![walker.list(&RelPath::root()).unwrap_or_default().into_iter()];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.next() else {
            levels.pop();
            continue;
        };
        if entry.stat.kind == FileKind::Directory {
            // A folder that is gone by now is not in the walk.
            let Some(content) = walker.list(&entry.path) else { continue };
            levels.push(content.into_iter());
        }
        walk.entries.push(entry);
    }
}

struct Walker<'a> {
    root: BorrowedFd<'a>,
    shown: &'a SitePath,
    filter: &'a Filter,
    names: Vec<u8>,
    problems: &'a mut Vec<FileProblem>,
}

impl Walker<'_> {
    /// The content of one folder, sorted; `None` when the folder does not exist. Only one folder is open at a time, so
    /// that no depth exhausts the descriptors.
    fn list(&mut self, path: &RelPath) -> Option<Vec<WalkEntry>> {
        let folder = match self.open(path) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return None,
            Err(error) => {
                self.problems.push(problem(self.shown.join(path), "list", error));
                return Some(Vec::new());
            }
        };
        let mut content = Vec::new();
        let mut names = std::mem::take(&mut self.names);
        let mut listing = RawDir::new(&folder, names.spare_capacity_mut());
        while let Some(listed) = listing.next() {
            match listed {
                Ok(listed) => content.extend(self.examine(&folder, path, listed.file_name())),
                Err(error) => {
                    self.problems.push(problem(self.shown.join(path), "list", error));
                    break;
                }
            }
        }
        self.names = names;
        // All have the same parent, so comparing bytes is comparing names.
        content.sort_unstable_by(|a: &WalkEntry, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        Some(content)
    }

    fn open(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        let path = if path.is_root() { b".".as_slice() } else { path.as_bytes() };
        openat(self.root, path, FOLDER | OFlags::NOFOLLOW, Mode::empty())
    }

    fn examine(&mut self, folder: &OwnedFd, parent: &RelPath, name: &std::ffi::CStr) -> Option<WalkEntry> {
        // The only names that are no component are `.` and `..`.
        let path = parent.try_join(name.to_bytes()).ok()?;
        if self.filter.leaves_out(&path) {
            return None;
        }
        let examined = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        match examined.and_then(|stat| Ok((kind_of(folder, name, &stat)?, stat))) {
            Ok((_, stat)) if self.filter.leaves_out_id(id_of(&stat)) => None,
            Ok((kind, stat)) => Some(WalkEntry { path, stat: file_stat(&stat, kind) }),
            Err(Errno::NOENT) => None,
            Err(error) => {
                self.problems.push(problem(self.shown.join(&path), "examine", error));
                None
            }
        }
    }
}

fn problem(path: SitePath, action: &str, error: Errno) -> FileProblem {
    FileProblem { path, message: format!("failed to {action} it: {}", io::Error::from(error)) }
}
