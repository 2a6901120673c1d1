//! Conformance suites: the contracts of the ports in `backup-core`, as checks that every adapter must pass.
//!
//! A suite takes a closure that makes a *bench*: a fresh adapter over a fresh place, with the few things that a check must do behind
//! the port's back. Each check gets a bench of its own; a suite runs all its checks and tells all that failed. Whoever writes an
//! adapter implements the bench of its port and calls the suite in a test, on a runtime with more than one thread.
//!
//! What a bench says not to model (the in-memory double has no extended attributes, say) is left out; everything else is asked of all.

use std::fmt::Debug;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use backup_core::manifest::{ContentHash, FORMAT_VERSION, FileRecord, Manifest, RecordKind, list_to_jsonl};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{Destination, DestinationHold, Holder, SnapshotFiles, Staging};
use backup_core::ports::shadow_copies::Consistency;
use backup_core::ports::site_files::{FileStat, OpenFile, SiteFiles};
use backup_core::snapshot::RunId;
use jiff::Timestamp;
use tokio::time::timeout;
use uuid::Uuid;

pub mod archive;
pub mod clock;
pub mod commands;
pub mod database;
pub mod destination;
pub mod journal;
pub mod recovery_target;
pub mod registry;
pub mod restores;
pub mod served_database;
pub mod services;
pub mod shadow_copies;
pub mod site_files;
pub mod snapshot_files;
pub mod staging;
pub mod status_log;

/// The site whose snapshots the suites keep.
pub const SITE: &str = "P01";
/// No check takes anywhere near this long; one that does hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// What an adapter keeps of the files that pass through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Models {
    /// Times of what was written.
    pub metadata: bool,
    /// Modes and owners.
    pub modes: bool,
    /// Symbolic links that a recovery makes.
    pub symlinks: bool,
    /// Several names of one file in a snapshot.
    pub hard_links: bool,
    /// The patterns of what a walk leaves out.
    pub patterns: bool,
    /// A log in each snapshot, beside the one at the destination.
    pub snapshot_logs: bool,
}

/// A folder of a site, and what checks do there themselves. Paths are below [`root`](Self::root); folders above them are made.
pub trait SiteBench: Debug + Send + Sync + 'static {
    /// Reads the site.
    fn files(&self) -> Arc<dyn SiteFiles>;
    /// A folder that exists; it is empty at first.
    fn root(&self) -> SitePath;
    /// Writes a file.
    fn put_file(&self, path: &RelPath, content: &[u8]);
    /// Makes a folder.
    fn put_folder(&self, path: &RelPath);
    /// Makes a symbolic link; `false` where there are none.
    fn put_symlink(&self, path: &RelPath, target: &[u8]) -> bool;
    /// Gives the file `first` another name.
    fn put_hard_link(&self, path: &RelPath, first: &RelPath);
    /// Makes an entry that is neither file nor folder nor link; `false` where there are none.
    fn put_special(&self, path: &RelPath) -> bool;
    /// Writes a file of `size` zeros with one `x` at `data_at`; `false` where there are no holes.
    fn put_sparse(&self, path: &RelPath, size: u64, data_at: u64) -> bool;
    /// Gives a file an extended attribute; `false` where there are none.
    fn put_attribute(&self, path: &RelPath, name: &str, value: &[u8]) -> bool;
    /// What the adapter keeps.
    fn models(&self) -> Models;
}

/// Runs one check on a task of its own; `false` when it panicked or hung.
pub(crate) async fn passes(name: &str, check: impl Future<Output = ()> + Send + 'static) -> bool {
    let task = tokio::spawn(check);
    let abort = task.abort_handle();
    match timeout(LIMIT, task).await {
        Ok(ended) => ended.is_ok(),
        Err(_) => {
            abort.abort();
            tell(&format!("{name} did not end within {LIMIT:?}"));
            false
        }
    }
}

// Panics tell of themselves; a check that hangs is told of here.
#[expect(clippy::print_stderr, reason = "a test tells what failed")]
fn tell(line: &str) {
    eprintln!("{line}");
}

/// Runs the named checks, each with a bench of its own.
macro_rules! run_checks {
    ($make:ident: $($check:ident),+ $(,)?) => {{
        let mut failed: Vec<&str> = Vec::new();
        $(
            if !$crate::conformance::passes(stringify!($check), $check($make())).await {
                failed.push(stringify!($check));
            }
        )+
        assert!(failed.is_empty(), "the contract does not hold: {}", failed.join(", "));
    }};
}
pub(crate) use run_checks;

/// Whether the call is refused: by an error, or by a panic of a double that is stricter than an adapter.
pub(crate) async fn is_refused<T: Send + 'static, E: Send + 'static>(
    call: impl Future<Output = Result<T, E>> + Send + 'static,
) -> bool {
    !matches!(tokio::spawn(call).await, Ok(Ok(_)))
}

/// Runs what blocks, as adapters ask for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

pub(crate) fn rel(path: impl AsRef<[u8]>) -> RelPath {
    RelPath::parse(path).expect("the check's path is plain")
}

/// The n-th run: later ones sort after earlier ones.
pub(crate) fn run(number: u64) -> RunId {
    RunId(Uuid::from_u128((u128::from(number) << 80) | 0x7000_8000_0000_0000_0000))
}

pub(crate) fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

/// Names that a careless program gets wrong, sorted as paths sort.
pub(crate) fn hard_names() -> Vec<RelPath> {
    let mut names: Vec<RelPath> =
        [&b"-rf"[..], b" leading space", b"quote'", b"[x]", b".hidden", "Größe \u{1f4be}".as_bytes(), &[b'l'; 255]]
            .map(rel)
            .into();
    // Windows has no such names.
    if cfg!(not(windows)) {
        names.extend(
            [&b"new\nline"[..], b"back\\slash", b"quote\"'", b"*?[x]", b"...", b"not \xff\xfe Unicode"].map(rel),
        );
    }
    names.sort();
    names
}

/// The list and the manifest of a snapshot of these files.
pub(crate) fn describe(run: RunId, files: &[(RelPath, Vec<u8>)]) -> (Manifest, Vec<u8>) {
    let record = |(path, content): &(RelPath, Vec<u8>)| {
        let hash = Some(ContentHash::of(content));
        FileRecord { size: content.len() as u64, hash, ..FileRecord::new(RecordKind::File, path.clone()) }
    };
    let records: Vec<FileRecord> = files.iter().map(record).collect();
    let list = list_to_jsonl(&records);
    let manifest = Manifest {
        version: FORMAT_VERSION,
        run,
        site: SITE.to_owned(),
        started: moment(0),
        moment: moment(10),
        consistency: Consistency::Application,
        provider: "conformance".to_owned(),
        freeze_window: Duration::from_millis(7),
        outage: Duration::from_secs(3),
        weaker: Vec::new(),
        origins: Vec::new(),
        database: None,
        cd_latest: None,
        entries: records.len() as u64,
        bytes: records.iter().map(|record| record.size).sum(),
        list: ContentHash::of(&list),
        additions: Vec::new(),
    };
    (manifest, list)
}

/// Seals a staging folder; its list names these files.
pub async fn seal(staging: &dyn Staging, run: RunId, files: &[(RelPath, Vec<u8>)]) -> Manifest {
    let (manifest, list) = describe(run, files);
    staging.seal(&manifest, &list).await.expect("sealed");
    manifest
}

/// Holds the destination, as whoever changes anything there must.
pub(crate) async fn hold(destination: &dyn Destination) -> Box<dyn DestinationHold> {
    destination.hold(Holder::Repair).await.expect("nobody else holds it")
}

/// The staging folder of a run that needs the destination for nothing else.
pub(crate) async fn begin(destination: &dyn Destination, run: RunId) -> Arc<dyn Staging> {
    let _hold = hold(destination).await;
    destination.begin(run, None).await.expect("begun")
}

/// Stores a snapshot of these files, sealed and not published.
pub(crate) async fn store(destination: &dyn Destination, run: RunId, files: &[(RelPath, Vec<u8>)]) -> Manifest {
    let staging = destination.begin(run, None).await.expect("begun");
    for (path, content) in files {
        staging.write(path, content, moment(5)).await.expect("written");
    }
    seal(staging.as_ref(), run, files).await
}

/// A few files in folders.
pub(crate) fn some_files(text: &str) -> Vec<(RelPath, Vec<u8>)> {
    let file = |path: &str, content: String| (rel(path), content.into_bytes());
    vec![
        file("a.txt", format!("{text} a")),
        file("folder/b.txt", format!("{text} b")),
        file("folder/inner/c.txt", format!("{text} c")),
    ]
}

/// The whole content of an open file, read in uneven pieces.
pub(crate) fn read_all(file: &dyn OpenFile) -> Vec<u8> {
    let mut content = Vec::new();
    let mut buffer = vec![0; 1000];
    loop {
        let count = file.read_at(content.len() as u64, &mut buffer).expect("it can be read");
        content.extend_from_slice(&buffer[..count]);
        if count < buffer.len() {
            return content;
        }
    }
}

/// The content of a file of a snapshot; `None` where it cannot be opened.
pub(crate) async fn content_of(snapshot: &Arc<dyn SnapshotFiles>, path: &RelPath) -> Option<Vec<u8>> {
    let (snapshot, path) = (Arc::clone(snapshot), path.clone());
    blocking(move || snapshot.open(&path).ok().map(|file| read_all(file.as_ref()))).await
}

/// The content of a file of the bench's site; `None` where it cannot be opened.
pub(crate) async fn site_content(bench: &dyn SiteBench, path: &RelPath) -> Option<Vec<u8>> {
    let (files, path) = (bench.files(), bench.root().join(path));
    blocking(move || files.open(&path).ok().map(|file| read_all(file.as_ref()))).await
}

/// All entries of the bench's site below its root.
pub(crate) async fn site_entries(bench: &dyn SiteBench) -> Vec<(RelPath, FileStat)> {
    let walk = bench.files().walk(&site_files::source(bench.root())).await.expect("the root is there");
    assert_eq!(walk.problems, [], "all can be examined");
    let entries = walk.entries.into_iter().map(|entry| (entry.path, entry.stat));
    entries.filter(|(path, _)| !path.is_root()).collect()
}

/// The paths of the bench's site below its root.
pub(crate) async fn site_paths(bench: &dyn SiteBench) -> Vec<RelPath> {
    site_entries(bench).await.into_iter().map(|(path, _)| path).collect()
}

/// What of the bench's site lies at `path`.
pub(crate) async fn site_stat(bench: &dyn SiteBench, path: &RelPath) -> FileStat {
    let mut entries = site_entries(bench).await.into_iter();
    entries.find(|(there, _)| there == path).map(|(_, stat)| stat).expect("it is there")
}
