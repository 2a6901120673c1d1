//! The library that stands in for the system's, and a site whose writer logs to the same file.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::event::{Event, EventSink, Phase};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::shadow_copies::{
    ImageSource, ShadowCopies, ShadowCopyError, ShadowCopyRequest, ShadowCopySet, ShadowCopySetId, WantedComponent,
    Writer, WriterError, WriterLevel, WriterMetadata,
};
use backup_core::ports::site_files::FileSource;
use uuid::Uuid;

use super::super::{VssOptions, VssProvider};
use crate::provider::Provider;
use crate::tests::scripted::{Bench, Script};

/// Where `cargo xtask windows` has put the library.
const PLACE: &str = "SITEBACKUP_FAKE_VSSAPI";

/// A copy of the library with a script and a log of its own.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) library: PathBuf,
    pub(super) log: PathBuf,
}

impl StandIn {
    /// One for the test of this name.
    pub(super) fn new(name: &str, script: &str) -> Self {
        let place = std::env::var(PLACE).unwrap_or_else(|_| panic!("{PLACE} is not set: run `cargo xtask windows`"));
        let original = PathBuf::from(place.replace('/', "\\"));
        let beside = |end: &str| original.with_file_name(format!("{name}.dll{end}"));
        fs::copy(&original, beside("")).expect("the library is copied");
        fs::write(beside(".script"), script).expect("the script is written");
        fs::write(beside(".log"), "").expect("the log is emptied");
        Self { library: beside(""), log: beside(".log") }
    }

    /// All that was called.
    pub(super) fn lines(&self) -> Vec<String> {
        read(&mut locked(&self.log))
    }

    /// Adds a line to what was called.
    pub(super) fn add(&self, line: &str) {
        append(&self.log, line);
    }

    /// What was called since, and forgets it.
    pub(super) fn take_lines(&self) -> Vec<String> {
        let mut log = locked(&self.log);
        let lines = read(&mut log);
        log.set_len(0).expect("the log is emptied");
        lines
    }
}

/// The log, which the library writes under the same lock.
pub(super) fn locked(log: &Path) -> File {
    let file = File::options().read(true).write(true).open(log).expect("the log is there");
    file.lock().expect("the log can be locked");
    file
}

pub(super) fn read(log: &mut File) -> Vec<String> {
    let mut text = String::new();
    log.read_to_string(&mut text).expect("the log is text");
    text.lines().map(str::to_owned).collect()
}

fn append(log: &Path, line: &str) {
    let mut log = locked(log);
    read(&mut log);
    log.write_all(format!("{line}\n").as_bytes()).expect("the log is written");
}

/// The site's writer: logs its callbacks, and fails at one where a test says so.
#[derive(Debug)]
struct Scribe {
    log: PathBuf,
    fails_at: Option<&'static str>,
}

impl Scribe {
    fn step(&self, step: &str) -> Result<(), WriterError> {
        append(&self.log, &format!("site {step}"));
        match self.fails_at {
            Some(fails) if fails == step => Err(WriterError::new("no")),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Writer for Scribe {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let name = "site".to_owned();
        Ok(WriterMetadata { name, level: WriterLevel::FrontEnd, ..WriterMetadata::default() })
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        self.step("PrepareBackup")
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        self.step("PrepareSnapshot")
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        self.step("Freeze")
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        self.step("Thaw")
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        self.step("PostSnapshot")
    }

    async fn abort(&self) -> Result<(), WriterError> {
        self.step("Abort")
    }

    async fn backup_complete(&self, succeeded: bool) -> Result<(), WriterError> {
        self.step(if succeeded { "BackupComplete" } else { "BackupFailed" })
    }
}

/// Stops the run when the provider is about to prepare.
#[derive(Debug)]
struct StopAtPreCopy(Cancel);

impl EventSink for StopAtPreCopy {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Phase(Phase::PreCopy)) {
            self.0.cancel();
        }
    }
}

/// A site with two sources on one volume, whose images VSS makes.
pub(super) struct Site {
    pub(super) bench: Bench,
    pub(super) provider: Arc<VssProvider>,
    pub(super) stand_in: Arc<StandIn>,
    pub(super) fails_at: Option<&'static str>,
    pub(super) stops: bool,
    pub(super) components: Vec<WantedComponent>,
}

impl Site {
    pub(super) fn new(name: &str, script: &str) -> Self {
        Self::with(name, script, VssOptions::default())
    }

    pub(super) fn with(name: &str, script: &str, options: VssOptions) -> Self {
        let stand_in = Arc::new(StandIn::new(name, script));
        let provider = Arc::new(VssProvider::with_library(options, stand_in.library.clone()));
        let bench = Bench::with(Script::default(), Arc::clone(&provider) as _);
        Self { bench, provider, stand_in, fails_at: None, stops: false, components: Vec::new() }
    }

    pub(super) async fn request(&self) -> ShadowCopyRequest {
        let writer = Scribe { log: self.stand_in.log.clone(), fails_at: self.fails_at };
        let mut request = self.bench.request(vec![Arc::new(writer)]).await;
        request.components.clone_from(&self.components);
        request.sources = [r"C:\windows\system32", r"C:\windows"].map(source).to_vec();
        if self.stops {
            request.events = Arc::new(StopAtPreCopy(request.cancel.clone()));
        }
        request
    }

    pub(super) async fn backup(&self) -> Result<ShadowCopySet, ShadowCopyError> {
        let request = self.request().await;
        self.bench.coordinator.prepare(request).await?.commit().await
    }

    /// All that was called, when nothing is going on any more.
    pub(super) async fn lines(&self) -> Vec<String> {
        // Commands are obeyed in their order: what was sent before has been done when this is answered.
        self.provider.release(ShadowCopySetId(Uuid::max())).await.expect("an unknown set is released");
        self.stand_in.lines()
    }
}

fn source(root: &str) -> ImageSource {
    let root = SitePath::parse(root).expect("absolute");
    let target = RelPath::parse(root.name().expect("a folder")).expect("a name");
    ImageSource { source: FileSource { root, exclude: Vec::new(), skip: Vec::new() }, target }
}
