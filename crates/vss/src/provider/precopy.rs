//! The `pre-copy` provider: copies while the site works, in passes, and inside the window only what changed since.
//!
//! What a pass may believe: a file is *clean* when its metadata was the same in the walk, before and after the read, and its ctime is
//! more than [`RACY_SECONDS`](backup_core::copy::RACY_SECONDS) older than the pass, which began by syncing the file system. A later
//! change of such a file has a new ctime: it cannot fall into the clock tick of an earlier one, and a store through a mapping finds
//! its page write-protected and so leaves a new time too. All other files are *doubtful* and are read again.
//!
//! What the window believes: it syncs and walks, and before it reads it syncs once more and lets the file systems' clock tick. From then on
//! every change, through a mapping or not, leaves a time that the walk has not seen. It reads what is new, changed or doubtful and walks
//! again: when both walks saw the same, all files were of one moment, between the first read and the last walk. What differs was written
//! by somebody nobody froze, and is told so loudly. Three things are taken on trust: that the machine's clock and the file systems' clocks
//! agree within two seconds, that these have times finer than [`TICK`], and that a sync writes back pages that are stored to through a
//! mapping, which `tmpfs` does not.

use std::time::Duration;

use async_trait::async_trait;
use backup_core::copy::RACY_SECONDS;
use backup_core::event::Event;
use backup_core::path::SitePath;
use backup_core::ports::Source;
use backup_core::ports::shadow_copies::{Consistency, Image, ShadowCopyError, ShadowCopySetId};
use backup_core::ports::site_files::{FileProblem, FileSource, SiteFilesError, Walk};
use tokio::time::Instant;

use super::unfrozen::unfrozen;
use super::{Committed, ImageRequest, Preparation, Provider, Taken};
use branch::Branch;
use stage::{Load, Rule};

pub(super) mod branch;
pub(super) mod stage;

/// The provider's name.
const NAME: &str = "pre-copy";

/// Passes while the site works, at most: what changes faster than it is copied stays for the window.
const MAX_PASSES: usize = 5;

/// The files of the window are read this much after its walk. Clocks of file systems tick every 1 to 10 ms.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// When coming to rest took longer than this, what was written meanwhile is copied before the window and not in it.
pub(super) const LONG_REST: Duration = Duration::from_secs(5);

/// Copies while the site works; its window grows with the number of files and with the rate of change, not with bytes.
///
/// Works on every file system. The guarantee holds under the writers' freeze; a file that changes inside the window all the same makes
/// the consistency [`Consistency::None`]. After an error the staging folder holds a part of the files, and is the run's to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct PreCopy;

#[async_trait]
impl Provider for PreCopy {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        let mut copy = Copying::new(request)?;
        copy.passes().await?;
        Ok(Box::new(copy))
    }

    /// What it made lies in the staging folder, which is the run's.
    async fn release(&self, _set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        Ok(())
    }
}

/// The sources with all that is staged of them.
#[derive(Debug)]
struct Copying {
    request: ImageRequest,
    roots: Vec<SitePath>,
    /// Sorted by target, so that records come out sorted.
    branches: Vec<Branch>,
    last_pass: Instant,
}

fn failed(action: &'static str, source: impl Into<Source>) -> ShadowCopyError {
    ShadowCopyError::Provider { provider: NAME, action, source: source.into(), is_retryable: false }
}

impl Copying {
    fn new(request: ImageRequest) -> Result<Self, ShadowCopyError> {
        let mut branches: Vec<Branch> =
            request.sources.iter().map(|image| Branch::new(image.source.clone(), image.target.clone())).collect();
        branches.sort_by(|a, b| a.target.cmp(&b.target));
        // In this order the content of a folder follows it, so that neighbours tell.
        if let Some(pair) = branches.windows(2).find(|pair| pair[1].target.strip_prefix(&pair[0].target).is_some()) {
            let message = format!("`{}` would lie in `{}`", pair[1].target, pair[0].target);
            return Err(failed("place the sources", message));
        }
        let roots = request.sources.iter().map(|image| image.source.root.clone()).collect();
        Ok(Self { request, roots, branches, last_pass: Instant::now() })
    }

    /// Passes until what is left is small or no longer shrinks.
    async fn passes(&mut self) -> Result<(), ShadowCopyError> {
        let mut last: Option<Load> = None;
        for number in 1..=MAX_PASSES {
            let load = self.pass().await?;
            let Load { files, bytes } = load;
            self.log(format!("pre-copy pass {number}: {files} files, {bytes} bytes"));
            if load.is_small() || last.is_some_and(|last| !load.is_less_than(last)) {
                break;
            }
            if number < MAX_PASSES && self.doubtful().is_heavy() {
                self.let_settle().await?;
            }
            last = Some(load);
        }
        Ok(())
    }

    /// One pass; returns what there was to copy.
    async fn pass(&mut self) -> Result<Load, ShadowCopyError> {
        self.last_pass = Instant::now();
        // Before the sync: what is stored from here on counts as doubtful.
        let started = self.request.clock.now();
        self.sync().await?;
        // Problems may be gone in the window, whose walk decides.
        let (work, _) = self.look().await?;
        let load = self.load(&work);
        self.apply(work, Rule::Settled(started)).await?;
        Ok(load)
    }

    /// Waits until what was changed just now can be told from what will be.
    async fn let_settle(&self) -> Result<(), ShadowCopyError> {
        let end = Instant::now() + Duration::from_secs(RACY_SECONDS.unsigned_abs() + 1);
        while Instant::now() < end {
            self.go_on()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn sync(&self) -> Result<(), ShadowCopyError> {
        self.go_on()?;
        let mut roots = self.roots.clone();
        loop {
            match self.request.files.sync(&roots).await {
                // The walk tells it; what is left must be synced all the same.
                Err(SiteFilesError::Missing(gone)) if roots.contains(&gone) => roots.retain(|root| *root != gone),
                synced => return synced.map_err(|error| failed("sync the sources", error)),
            }
        }
    }

    async fn walk(&self, source: &FileSource) -> Result<Walk, ShadowCopyError> {
        self.go_on()?;
        match self.request.files.walk(source).await {
            Ok(walk) => Ok(walk),
            // Gone since the run was planned: asked for and not there, but no reason to leave out the rest.
            Err(error @ SiteFilesError::Missing(_)) => {
                let problem = FileProblem { path: source.root.clone(), message: error.to_string() };
                Ok(Walk { entries: Vec::new(), problems: vec![problem] })
            }
            Err(error) => Err(failed("walk a source", error)),
        }
    }

    fn go_on(&self) -> Result<(), ShadowCopyError> {
        if self.request.cancel.is_cancelled() { Err(ShadowCopyError::Cancelled) } else { Ok(()) }
    }

    fn log(&self, line: String) {
        self.request.events.event(&Event::Note(line));
    }

    /// Walks again at the end of the window, and marks what is not as the window's first walk saw it.
    ///
    /// Returns paths that the first walk did not see.
    async fn look_again(&mut self) -> Result<Vec<SitePath>, ShadowCopyError> {
        let mut new = Vec::new();
        for index in 0..self.branches.len() {
            let walk = self.walk(&self.branches[index].source).await?;
            new.extend(self.branches[index].mark_changes(walk.entries));
        }
        Ok(new)
    }

    fn taken(self, mut problems: Vec<FileProblem>, new: Vec<SitePath>) -> Taken {
        let changed: Vec<SitePath> = self.branches.iter().flat_map(Branch::changed).chain(new).collect();
        let mut taken = Taken {
            consistency: Consistency::Application,
            weaker: Vec::new(),
            remarks: Vec::new(),
            image: Image::Borrowed(Vec::new()),
            components: Vec::new(),
            documents: Vec::new(),
        };
        if !changed.is_empty() {
            taken.consistency = Consistency::None;
            let (summary, told) = unfrozen(changed);
            taken.weaker.push(summary);
            problems.extend(told);
        }
        problems.sort_by(|a, b| a.path.cmp(&b.path));
        let count = self.branches.iter().map(|branch| branch.entries.len()).sum();
        let mut records = Vec::with_capacity(count);
        self.branches.into_iter().for_each(|branch| records.extend(branch.into_records()));
        taken.image = Image::Staged { records, problems };
        taken
    }
}

#[async_trait]
impl Preparation for Copying {
    fn provider(&self) -> &'static str {
        NAME
    }

    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        if self.last_pass.elapsed() > LONG_REST {
            return self.pass().await.map(drop);
        }
        // What the site wrote while it came to rest need not be written back inside the window.
        self.sync().await
    }

    async fn commit(mut self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        self.sync().await?;
        let (work, mut problems) = self.look().await?;
        if self.load(&work).files > 0 {
            let walked = Instant::now();
            self.sync().await?;
            tokio::time::sleep_until(walked + TICK).await;
        }
        problems.extend(self.apply(work, Rule::Window).await?);
        let new = self.look_again().await?;
        Ok(Box::new(self.taken(problems, new)))
    }
}
