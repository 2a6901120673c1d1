//! The port of core, on a repository.

use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::chain;
use backup_core::ports::archive::{
    ArchiveFacts, ArchiveListing, SealedSnapshot, SnapshotArchive, SnapshotArchiveError, StoredInArchive,
};
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::site_files::SiteFiles;
use backup_core::retention::Archived;
use jiff::Timestamp;

use crate::error::ArchiveError;
use crate::repository::{Listed, Listing, Repository};
use crate::snapshot::About;
use crate::storage::StorageError;
use crate::store::{Folder, StoreContext};

type Open = dyn Fn() -> Result<Repository, SnapshotArchiveError> + Send + Sync;

/// A repository as core's port: opened when it is first used, so that one that is out of reach stands in no backup's way.
#[derive(Clone)]
pub struct RepositoryArchive {
    open: Arc<Open>,
    opened: Arc<OnceLock<Repository>>,
    files: Arc<dyn SiteFiles>,
    holder: String,
}

impl RepositoryArchive {
    /// The repository that `open` opens, which may block; an error is asked for anew by the next call. `files` reads the folders to archive, and
    /// `holder` is the process and its machine, for whoever meets its lease.
    pub fn new(
        open: impl Fn() -> Result<Repository, SnapshotArchiveError> + Send + Sync + 'static,
        files: Arc<dyn SiteFiles>,
        holder: String,
    ) -> Self {
        Self { open: Arc::new(open), opened: Arc::default(), files, holder }
    }

    fn repository(&self) -> Result<Repository, SnapshotArchiveError> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened.clone());
        }
        let opened = (self.open)()?;
        Ok(self.opened.get_or_init(|| opened).clone())
    }

    /// Does it on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(Repository) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, SnapshotArchiveError> {
        let this = self.clone();
        let call = move || Ok(call(this.repository()?)?);
        tokio::task::spawn_blocking(call).await.expect("no call on a repository panics")
    }
}

impl Debug for RepositoryArchive {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepositoryArchive").field("opened", &self.opened).finish_non_exhaustive()
    }
}

impl From<ArchiveError> for SnapshotArchiveError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Storage(StorageError::Full(_)) => Self::Full(error.into()),
            ArchiveError::OtherKey(_) => Self::Key(error.into()),
            ArchiveError::WriteOnly => Self::WriteOnly,
            ArchiveError::Damaged { .. } | ArchiveError::Lost { .. } => Self::Damaged(error.into()),
            ArchiveError::Unsealed { .. } | ArchiveError::Read(_) => Self::Snapshot(error.into()),
            ArchiveError::NoSnapshot(what) => Self::NoSnapshot(what),
            ArchiveError::Pinned(id) => Self::Pinned(id),
            ArchiveError::Cancelled => Self::Cancelled,
            error => Self::Failed(error.into()),
        }
    }
}

#[async_trait]
impl SnapshotArchive for RepositoryArchive {
    async fn inspect(&self) -> Result<ArchiveFacts, SnapshotArchiveError> {
        self.blocking(|repository| Ok(ArchiveFacts { reads: repository.read_key().is_ok() })).await
    }

    async fn store(
        &self,
        snapshot: SealedSnapshot,
        now: Timestamp,
        cancel: &Cancel,
    ) -> Result<StoredInArchive, SnapshotArchiveError> {
        let repository = self.blocking(Ok).await?;
        let SealedSnapshot { folder: root, manifest, records: sealed } = snapshot;
        let about = About::of_manifest(&manifest, &root);
        let folder = Folder { files: Arc::clone(&self.files), root, sealed };
        let context = StoreContext { now, holder: self.holder.clone(), cancel: cancel.clone(), threads: 0 };
        let stored = repository.store(folder, about, context).await?;
        let damaged = stored.damaged.iter().map(|error| chain(error)).collect();
        Ok(StoredInArchive { id: stored.id, added: stored.snapshot.added, damaged })
    }

    async fn list(&self, site: &str) -> Result<ArchiveListing, SnapshotArchiveError> {
        let site = site.to_owned();
        self.blocking(move |repository| {
            let Listing { snapshots, damaged } = repository.snapshots()?;
            let pins = repository.pins()?;
            let of_site = snapshots.into_iter().filter(|listed| listed.snapshot.about.site == site);
            let archived = |Listed { id, snapshot }| {
                let is_pinned = pins.contains(&id);
                Archived { id, moment: snapshot.about.moment, is_good: snapshot.about.good, is_pinned }
            };
            let damaged = damaged.iter().map(|error| chain(error)).collect();
            Ok(ArchiveListing { snapshots: of_site.map(archived).collect(), damaged })
        })
        .await
    }

    async fn open(&self, id: &str) -> Result<Arc<dyn SnapshotFiles>, SnapshotArchiveError> {
        let id = id.to_owned();
        self.blocking(move |repository| {
            let listed = repository.find(&id)?;
            Ok(Arc::new(repository.open_snapshot(&listed)?) as Arc<dyn SnapshotFiles>)
        })
        .await
    }

    async fn forget(&self, id: &str) -> Result<(), SnapshotArchiveError> {
        let id = id.to_owned();
        self.blocking(move |repository| repository.forget(&id)).await
    }
}
