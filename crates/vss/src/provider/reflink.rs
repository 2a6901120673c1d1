//! The `reflink` provider: a clone of each file, which shares its blocks until one of the two is written to.
//!
//! Files are cloned while the site works, and inside the window only what changed since: the window grows with the number of files, which it
//! walks, and with the number of those that changed, but not with their bytes. What a file was when it was cloned may be believed under the same
//! conditions as in [`precopy`](super::precopy). Clones lie in `sitebackup-clones/<set>` of the working folder, which lies on the file system of
//! the sources, and nothing but that is ever removed.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::copy::chain;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::Source;
use backup_core::ports::shadow_copies::{
    Clones, Consistency, Image, ImageSource, ShadowCopyError, ShadowCopySetId, WantedComponent,
};
use backup_core::ports::site_files::{
    CloneOf, FileKind, FileProblem, FileStat, SiteFiles, SiteFilesError, Walk, WalkEntry,
};
use tokio::time::Instant;

use super::local::{blocking, local, told};
use super::precopy::branch::same;
use super::precopy::stage::is_settled;
use super::precopy::{LONG_REST, TICK};
use super::unfrozen::unfrozen;
use super::{Committed, ImageRequest, Preparation, Provider, Taken};

/// The provider's name.
const NAME: &str = "reflink";
/// The folder in the working folder that is ours alone.
const CLONES: &[u8] = b"sitebackup-clones";
/// Files cloned between two looks at the wish to stop.
const BATCH: usize = 2048;

/// Clones of files. See the module.
#[derive(Debug, Clone)]
pub struct Reflink {
    clones: SitePath,
}

impl Reflink {
    /// Keeps clones in `work_dir`, which lies on the file system of the sources, and is made if it is not there.
    pub fn new(work_dir: &SitePath) -> Self {
        let clones = RelPath::parse(CLONES).expect("a plain name");
        Self { clones: work_dir.join(&clones) }
    }

    fn folder(&self, set: ShadowCopySetId) -> SitePath {
        self.clones.join(&RelPath::parse(set.0.to_string()).expect("an id is a plain name"))
    }
}

fn failed(action: &'static str, source: impl Into<Source>) -> ShadowCopyError {
    ShadowCopyError::Provider { provider: NAME, action, source: source.into(), is_retryable: false }
}

#[async_trait]
impl Provider for Reflink {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Clones the samples, and removes the clones again.
    async fn inspect(
        &self,
        samples: &[SitePath],
        _components: &[WantedComponent],
        files: &Arc<dyn SiteFiles>,
    ) -> Result<Vec<String>, ShadowCopyError> {
        let folder = self.clones.join(&RelPath::parse("probe").expect("a plain name"));
        let place = |number: usize| folder.join(&RelPath::parse(number.to_string()).expect("a number is a plain name"));
        let clone = |(number, from): (usize, &SitePath)| CloneOf { from: from.clone(), to: place(number) };
        let (probe, clones) = (local(&folder), local(&self.clones));
        let work_dir = clones.parent().map(Path::to_owned).filter(|work_dir| !work_dir.exists());
        let made = files.clone_all(samples.iter().enumerate().map(clone).collect()).await;
        let clean_up = move || {
            let _not_there = fs::remove_dir_all(probe);
            // Only what was made for it, and nothing that has something in it.
            let _kept = fs::remove_dir(clones).and_then(|()| work_dir.map_or(Ok(()), fs::remove_dir));
            Ok(())
        };
        blocking(clean_up).await?;
        let apart =
            made.into_iter().filter_map(Result::err).find(|error| matches!(error, SiteFilesError::Apart { .. }));
        apart.map_or(Ok(Vec::new()), |error| Err(failed("clone the sources", error)))
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        let mut cloning = Cloning::new(request.clone(), &self.folder(request.set));
        cloning.pass().await?;
        Ok(Box::new(cloning))
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        let folder = local(&self.folder(set));
        let remove = move || match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove the clones", told(&folder, &error)))
            }
            _ => Ok(()),
        };
        blocking(remove).await
    }
}

/// A source and what was cloned of it.
#[derive(Debug)]
struct Tree {
    source: ImageSource,
    root: SitePath,
    /// Files whose clones are right as long as they look like this.
    clean: HashMap<RelPath, FileStat>,
}

/// The sources on their way.
#[derive(Debug)]
struct Cloning {
    request: ImageRequest,
    trees: Vec<Tree>,
    last_pass: Instant,
}

impl Cloning {
    fn new(request: ImageRequest, folder: &SitePath) -> Self {
        let tree = |(number, source): (usize, &ImageSource)| {
            let name = RelPath::parse(number.to_string()).expect("a number is a plain name");
            Tree { source: source.clone(), root: folder.join(&name), clean: HashMap::new() }
        };
        let trees = request.sources.iter().enumerate().map(tree).collect();
        Self { request, trees, last_pass: Instant::now() }
    }

    /// Clones while the site works.
    async fn pass(&mut self) -> Result<(), ShadowCopyError> {
        self.last_pass = Instant::now();
        // Before the sync: what is stored from here on counts as doubtful.
        let started = self.request.clock.now();
        self.sync().await?;
        for index in 0..self.trees.len() {
            let walk = self.walk(index).await?;
            let stale = self.trees[index].stale(&walk.entries);
            // What cannot be cloned now, the window tries again and tells.
            let lost = self.clone_all(index, &stale).await?;
            let tree = &mut self.trees[index];
            let is_clean = |entry: &WalkEntry| {
                let is_lost = lost.contains_key(&entry.path);
                entry.stat.kind == FileKind::File && is_settled(entry.stat.changed, started) && !is_lost
            };
            let clean = walk.entries.into_iter().filter(is_clean);
            tree.clean = clean.map(|entry| (entry.path, entry.stat)).collect();
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), ShadowCopyError> {
        if self.request.cancel.is_cancelled() { Err(ShadowCopyError::Cancelled) } else { Ok(()) }
    }

    async fn sync(&self) -> Result<(), ShadowCopyError> {
        self.go_on()?;
        let roots: Vec<SitePath> = self.trees.iter().map(|tree| tree.source.source.root.clone()).collect();
        match self.request.files.sync(&roots).await {
            // The walk tells what is gone.
            Err(SiteFilesError::Missing(_)) | Ok(()) => Ok(()),
            Err(error) => Err(failed("sync the sources", error)),
        }
    }

    async fn walk(&self, index: usize) -> Result<Walk, ShadowCopyError> {
        self.go_on()?;
        let source = &self.trees[index].source.source;
        match self.request.files.walk(source).await {
            Err(error @ SiteFilesError::Missing(_)) => {
                let problem = FileProblem { path: source.root.clone(), message: error.to_string() };
                Ok(Walk { entries: Vec::new(), problems: vec![problem] })
            }
            walk => walk.map_err(|error| failed("walk a source", error)),
        }
    }

    /// Clones files of a source; returns those of which there is no clone now, with the reason.
    async fn clone_all(&self, index: usize, stale: &[RelPath]) -> Result<BTreeMap<RelPath, String>, ShadowCopyError> {
        let Tree { source, root, .. } = &self.trees[index];
        let clone = |path: &RelPath| CloneOf { from: source.source.root.join(path), to: root.join(path) };
        let mut lost = BTreeMap::new();
        for batch in stale.chunks(BATCH) {
            self.go_on()?;
            let clones: Vec<CloneOf> = batch.iter().map(clone).collect();
            for (path, made) in batch.iter().zip(self.request.files.clone_all(clones).await) {
                match made {
                    Ok(()) => {}
                    Err(error @ SiteFilesError::Apart { .. }) => return Err(failed("clone the sources", error)),
                    Err(error) => drop(lost.insert(path.clone(), chain(&error))),
                }
            }
        }
        Ok(lost)
    }
}

impl Tree {
    /// The files that have no clone which is surely right.
    fn stale(&self, entries: &[WalkEntry]) -> Vec<RelPath> {
        let files = entries.iter().filter(|entry| entry.stat.kind == FileKind::File);
        files.filter(|entry| self.clean.get(&entry.path) != Some(&entry.stat)).map(|entry| entry.path.clone()).collect()
    }

    /// What is not as the walk before saw it.
    fn changed(&self, before: &[WalkEntry], now: &[WalkEntry]) -> Vec<SitePath> {
        let mut known: HashMap<&RelPath, &FileStat> = before.iter().map(|entry| (&entry.path, &entry.stat)).collect();
        let mut changed: Vec<&RelPath> = Vec::new();
        for entry in now {
            if !known.remove(&entry.path).is_some_and(|before| same(before, &entry.stat)) {
                changed.push(&entry.path);
            }
        }
        changed.extend(known.into_keys());
        changed.into_iter().map(|path| self.source.source.root.join(path)).collect()
    }
}

#[async_trait]
impl Preparation for Cloning {
    fn provider(&self) -> &'static str {
        NAME
    }

    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        if self.last_pass.elapsed() > LONG_REST {
            return self.pass().await;
        }
        // What the site wrote while it came to rest need not be written back inside the window.
        self.sync().await
    }

    async fn commit(mut self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        self.sync().await?;
        let mut walks = Vec::new();
        let mut stale = Vec::new();
        for index in 0..self.trees.len() {
            let walk = self.walk(index).await?;
            stale.push(self.trees[index].stale(&walk.entries));
            walks.push(walk);
        }
        if stale.iter().any(|files| !files.is_empty()) {
            // From here on every change leaves a time that the walk has not seen.
            tokio::time::sleep(TICK).await;
        }
        let mut lost = Vec::new();
        for (index, files) in stale.iter().enumerate() {
            lost.push(self.clone_all(index, files).await?);
        }
        let mut changed = Vec::new();
        for (index, walk) in walks.iter_mut().enumerate() {
            let now = self.walk(index).await?;
            changed.extend(self.trees[index].changed(&walk.entries, &now.entries));
            let lost = std::mem::take(&mut lost[index]);
            if !lost.is_empty() {
                walk.entries.retain(|entry| !lost.contains_key(&entry.path));
            }
            let root = &self.trees[index].source.source.root;
            let problem = |(path, message): (RelPath, String)| FileProblem { path: root.join(&path), message };
            walk.problems.extend(lost.into_iter().map(problem));
        }
        Ok(Box::new(self.taken(walks, changed)))
    }
}

impl Cloning {
    fn taken(self, mut walks: Vec<Walk>, changed: Vec<SitePath>) -> Taken {
        let (mut consistency, mut weaker) = (Consistency::Application, Vec::new());
        if !changed.is_empty() {
            let (summary, problems) = unfrozen(changed);
            consistency = Consistency::None;
            weaker.push(summary);
            if let Some(first) = walks.first_mut() {
                first.problems.extend(problems);
            }
        }
        let clones = self.trees.into_iter().zip(walks).map(|(tree, walk)| Clones { root: tree.root, walk });
        Taken {
            consistency,
            weaker,
            remarks: Vec::new(),
            image: Image::Cloned(clones.collect()),
            components: Vec::new(),
            documents: Vec::new(),
        }
    }
}
