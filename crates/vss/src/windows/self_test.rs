//! One backup that keeps nothing: every call of the requestor on this system's service, for a person to look at.
//!
//! It is the requestor of a backup that is listened to, not another one: what a self-test has seen work, a backup does.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use backup_core::cancel::Cancel;
use backup_core::copy::chain;
use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{Image, ShadowCopyError, ShadowCopySetId};
use backup_core::ports::site_files::{FileKind, FileSource, SiteFiles};
use uuid::Uuid;

use super::VssProvider;
use super::backup::failed;
use super::calls::{Heard, VssCall};
use super::components::CREATE;
use super::hresult::HResult;
use super::requestor::{Asked, LOAD, Requestor};

/// Names the set on this machine only; VSS gives it an id of its own.
const SET: ShadowCopySetId = ShadowCopySetId(Uuid::nil());
/// What is left out of the walks that look for a file, one after the other: all below the root's folders, and so on.
const DEPTHS: [&str; 3] = ["*/*", "*/*/*", "*/*/*/*"];
/// How many files are tried before a volume counts as unreadable: those of the system itself may be closed to everybody.
const TRIES: usize = 50;
/// How much is read of a file.
const SAMPLE: usize = 64 * 1024;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every call succeeded, and every writer.
    Passed,
    /// The shadow copy is good; a writer failed.
    Weaker,
    /// This system has no Volume Shadow Copy Service.
    NotAvailable,
    /// Something failed that a backup needs.
    Failed,
}

/// A writer of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterSeen {
    /// Its class.
    pub id: Uuid,
    /// Which one of the class.
    pub instance: Uuid,
    /// Its name.
    pub name: String,
    /// How many components it owns.
    pub components: usize,
    /// Its states, with VSS' numbers and its failures, as they were gathered after PrepareForBackup, DoSnapshotSet and BackupComplete.
    pub states: Vec<(i32, HResult)>,
}

/// A file that was read on a shadow copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRead {
    /// The file, below the device of the shadow copy.
    pub path: SitePath,
    /// How many bytes were read, of its beginning.
    pub bytes: usize,
}

/// A backup that kept nothing.
#[derive(Debug, Default)]
pub struct SelfTest {
    /// Every call in its order, without the looks at operations that go on.
    pub calls: Vec<VssCall>,
    /// The writers of the system.
    pub writers: Vec<WriterSeen>,
    /// A file of each volume.
    pub files: Vec<FileRead>,
    /// The failures of writers that nothing was selected of, or that came after the image.
    pub weaker: Vec<String>,
    /// What ended it.
    pub error: Option<ShadowCopyError>,
}

impl SelfTest {
    /// What came of it.
    pub fn verdict(&self) -> Verdict {
        match (&self.error, self.weaker.is_empty()) {
            (None, true) => Verdict::Passed,
            (None, false) => Verdict::Weaker,
            (Some(_), _) if self.is_missing() => Verdict::NotAvailable,
            (Some(_), _) => Verdict::Failed,
        }
    }

    /// Whether there was nobody to make a backup with: no library, or one with nothing behind it.
    fn is_missing(&self) -> bool {
        let create = self.calls.iter().find(|call| call.name == CREATE);
        match (&self.error, create) {
            (Some(ShadowCopyError::Provider { action: LOAD, .. }), _) => true,
            (_, Some(create)) => [HResult::NOT_IMPLEMENTED, HResult::NOT_REGISTERED].contains(&create.result),
            (_, None) => false,
        }
    }

    fn hear(&mut self, heard: &Receiver<Heard>) {
        for heard in heard.try_iter() {
            match heard {
                Heard::Call(call) => self.calls.push(call),
                Heard::Writers(writers) => {
                    self.writers.extend(writers.into_iter().map(|writer| WriterSeen {
                        id: writer.id,
                        instance: writer.instance,
                        name: writer.name,
                        components: writer.components.len(),
                        states: Vec::new(),
                    }));
                }
                Heard::States(states) => {
                    for status in states {
                        let seen = self.writers.iter_mut().find(|writer| writer.instance == status.instance);
                        let state = (status.state, status.failure);
                        match seen {
                            Some(writer) => writer.states.push(state),
                            // One that could not say what it owns has a state all the same.
                            None => self.writers.push(WriterSeen {
                                id: status.id,
                                instance: status.instance,
                                name: status.name,
                                components: 0,
                                states: vec![state],
                            }),
                        }
                    }
                }
            }
        }
    }
}

impl VssProvider {
    /// Takes shadow copies of the volumes that `places` lie on, reads a file of each through `files`, and lets go of them.
    ///
    /// Nothing is kept, whatever fails and wherever; the writers of the system hear of a copy backup, as in a backup.
    pub async fn self_test(&self, places: Vec<SitePath>, files: Arc<dyn SiteFiles>, cancel: Cancel) -> SelfTest {
        let (listener, heard) = channel();
        let requestor = self.requestor.heard_by(listener);
        let mut test = SelfTest::default();
        let walked = test.walk(&requestor, places, files, cancel).await;
        // After an error the set is on its way out already; this waits until it is.
        let released = requestor.release(SET).await;
        test.error = walked.and(released).err();
        test.hear(&heard);
        test
    }
}

impl SelfTest {
    async fn walk(
        &mut self,
        requestor: &Requestor,
        places: Vec<SitePath>,
        files: Arc<dyn SiteFiles>,
        cancel: Cancel,
    ) -> Result<(), ShadowCopyError> {
        let asked = Asked { roots: places.clone(), components: Vec::new() };
        let (_summary, pledge) = requestor.prepare(SET, asked, cancel.clone()).await?;
        let pledge = Requestor::take(pledge, cancel.clone()).await?;
        let (taken, pledge) = Requestor::look(pledge, places, cancel).await?;
        self.weaker = taken.weaker;
        let Image::Borrowed(roots) = taken.image else { unreachable!("VSS leaves all files to be read") };
        let read = self.read(&roots, files).await;
        // The writers hear of the end before the set goes.
        pledge.redeem();
        let completed = requestor.complete(SET, read.is_ok()).await;
        read?;
        for fault in completed?.iter().map(|fault| chain(fault)) {
            if !self.weaker.contains(&fault) {
                self.weaker.push(fault);
            }
        }
        Ok(())
    }

    async fn read(&mut self, roots: &[SitePath], files: Arc<dyn SiteFiles>) -> Result<(), ShadowCopyError> {
        for root in roots {
            self.files.push(read_one(root, &files).await?);
        }
        Ok(())
    }
}

/// Reads the beginning of some file below `root`, with the calls that a backup makes.
async fn read_one(root: &SitePath, files: &Arc<dyn SiteFiles>) -> Result<FileRead, ShadowCopyError> {
    const ACTION: &str = "read the shadow copy";
    let mut last = format!("no file lies below `{root}`");
    for depth in DEPTHS {
        let exclude = vec![depth.to_owned()];
        let source = FileSource { root: root.clone(), exclude, skip: Vec::new() };
        let walk = files.walk(&source).await.map_err(failed(ACTION))?;
        if let Some(problem) = walk.problems.first() {
            last = problem.to_string();
        }
        let with_content = walk.entries.iter().filter(|entry| entry.stat.kind == FileKind::File && entry.stat.size > 0);
        let paths: Vec<SitePath> = with_content.map(|entry| root.join(&entry.path)).take(TRIES).collect();
        let files = Arc::clone(files);
        let tried = tokio::task::spawn_blocking(move || try_each(&paths, files.as_ref())).await;
        match tried.map_err(failed(ACTION))? {
            Ok(read) => return Ok(read),
            Err(Some(error)) => last = error,
            Err(None) => {}
        }
    }
    Err(failed(ACTION)(last))
}

/// The first that can be read, or why the last one could not.
fn try_each(paths: &[SitePath], files: &dyn SiteFiles) -> Result<FileRead, Option<String>> {
    let mut last = None;
    for path in paths {
        let mut buffer = vec![0; SAMPLE];
        match files.open(path).and_then(|file| file.read_at(0, &mut buffer)) {
            Ok(0) => last = Some(format!("`{path}` has a size and no content")),
            Ok(bytes) => return Ok(FileRead { path: path.clone(), bytes }),
            Err(error) => last = Some(chain(&error)),
        }
    }
    Err(last)
}
