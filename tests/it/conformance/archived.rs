//! Snapshots of a destination of this machine, read from the archive.

use std::sync::Arc;

use archive::crypto::ReadKey;
use archive::storage::memory::MemoryStorage;
use archive::{About, Folder, Listed, Repository, StoreContext};
use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::path::SitePath;
use backup_core::ports::destination::{Destination, SnapshotFiles};
use backup_core::snapshot::RunId;
use host::files::LocalSiteFiles;
use jiff::Timestamp;
use tests::conformance::SITE;
use tests::conformance::destination::DestinationBench;
use tests::conformance::snapshot_files::SnapshotBench;

use super::local::Local;

/// A destination, and a repository that keeps what is stored there.
#[derive(Debug)]
pub(super) struct Archived {
    local: Local,
    repository: Repository,
}

impl Archived {
    pub(super) fn new() -> Self {
        let repository = Repository::create(Arc::new(MemoryStorage::default()), &ReadKey::generate());
        Self { local: Local::new(), repository: repository.expect("made") }
    }
}

#[async_trait]
impl SnapshotBench for Archived {
    fn destination(&self) -> Arc<dyn Destination> {
        DestinationBench::destination(&self.local)
    }

    fn plant_link(&self, folder: &SitePath, name: &str, target: &str) -> bool {
        DestinationBench::plant_link(&self.local, folder, name, target)
    }

    async fn open(&self, run: RunId) -> Arc<dyn SnapshotFiles> {
        let listed = self.destination().list().await.expect("listed");
        let root = listed.into_iter().find(|snapshot| snapshot.run == run).expect("sealed").folder;
        let folder = Folder { files: Arc::new(LocalSiteFiles::new()), root, sealed: Vec::new() };
        let now = Timestamp::now();
        let about =
            About { site: SITE.to_owned(), run: Some(run), folder: "P01Backup".to_owned(), moment: now, good: true };
        let context = StoreContext { now, holder: "conformance".to_owned(), cancel: Cancel::default(), threads: 0 };
        let stored = self.repository.store(folder, about, context).await.expect("stored");
        let listed = Listed { id: stored.id, snapshot: stored.snapshot };
        Arc::new(self.repository.open_snapshot(&listed).expect("its records are there"))
    }
}
