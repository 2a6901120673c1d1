//! The rules of the destination, on a real file system.

mod listing;
mod removal;
mod staging;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup_core::manifest::{ContentHash, FORMAT_VERSION, Manifest};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{
    Destination, StageContent, StageError, StageItem, StagedContent, Staging, StoredSnapshot,
};
use backup_core::ports::shadow_copies::Consistency;
use backup_core::ports::site_files::SiteFiles;
use backup_core::snapshot::RunId;
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::LocalDestination;
use crate::files::LocalSiteFiles;

const LIST: &[u8] = b"{\"kind\":\"file\",\"path\":\"a\"}\n";

fn site_path(path: &Path) -> SitePath {
    SitePath::parse(path.as_os_str().as_bytes()).expect("an absolute path")
}

fn rel(path: impl AsRef<[u8]>) -> RelPath {
    RelPath::parse(path).expect("a plain path")
}

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn manifest(run: RunId, list: &[u8]) -> Manifest {
    let started = Timestamp::from_second(1_700_000_000).expect("an instant");
    Manifest {
        version: FORMAT_VERSION,
        run,
        site: "P01".to_owned(),
        started,
        moment: started,
        consistency: Consistency::Application,
        provider: "pre-copy".to_owned(),
        freeze_window: Duration::ZERO,
        outage: Duration::ZERO,
        weaker: Vec::new(),
        origins: Vec::new(),
        database: None,
        cd_latest: None,
        entries: 1,
        bytes: 0,
        list: ContentHash::of(list),
        additions: Vec::new(),
    }
}

/// A destination and a folder with files to back up.
struct Bench {
    root: TempDir,
    source: TempDir,
    destination: LocalDestination,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a scratch folder");
        let destination = LocalDestination::new(site_path(root.path()), "P01".parse().expect("a site code"));
        Self { root, source: tempfile::tempdir().expect("a scratch folder"), destination }
    }

    fn without_exchange() -> Self {
        let mut bench = Self::new();
        bench.destination.exchange = false;
        bench
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> SitePath {
        let path = self.source.path().join(name);
        fs::write(&path, content).expect("a file");
        site_path(&path)
    }

    fn staged(&self, run: RunId, name: &str) -> PathBuf {
        self.root.path().join(super::names::working_name(run)).join(name)
    }

    async fn begin(&self, run: RunId, previous: Option<RunId>) -> Arc<dyn Staging> {
        self.destination.begin(run, previous).await.expect("a staging folder")
    }

    /// A sealed snapshot with one file `a`.
    async fn sealed(&self, run: RunId, content: &str) {
        let source = self.write("a", content);
        let staging = self.begin(run, None).await;
        stage(&staging, "a", StageContent::Copy(source)).await.expect("staged");
        staging.seal(&manifest(run, LIST), LIST).await.expect("sealed");
    }

    async fn published(&self, run: RunId, content: &str) -> StoredSnapshot {
        self.sealed(run, content).await;
        self.destination.publish(run).await.expect("published")
    }

    async fn runs(&self) -> Vec<RunId> {
        self.destination.list().await.expect("a list").into_iter().map(|snapshot| snapshot.run).collect()
    }

    /// The names below the root, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.path()).expect("a listing");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn local_files() -> Arc<dyn SiteFiles> {
    Arc::new(LocalSiteFiles::new())
}

async fn stage(
    staging: &Arc<dyn Staging>,
    path: impl AsRef<[u8]>,
    content: StageContent,
) -> Result<StagedContent, StageError> {
    let item = StageItem { path: rel(path), content };
    staging.stage(vec![item], local_files()).await.pop().expect("one result")
}
