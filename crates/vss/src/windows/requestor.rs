//! The thread that talks to VSS, and what it is told.
//!
//! COM wants its objects used where they were made, and each call may block for minutes: so one thread has them all, and everybody else
//! sends it commands. Who stops waiting for an answer cancels what is going on.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use backup_core::cancel::Cancel;
use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{ShadowCopyError, ShadowCopySetId, WantedComponent};
use tokio::sync::oneshot;

use super::apartment::Apartment;
use super::backup::{Backup, Patience, failed};
use super::calls::{Calls, Heard};
use super::vssapi::Library;
use super::{VssOptions, volume};
use crate::provider::Taken;

/// What fails where the library is not there.
pub(super) const LOAD: &str = "load `vssapi.dll`";

/// An answer that somebody waits for.
type Answer<T> = oneshot::Sender<Result<T, ShadowCopyError>>;

/// What the thread can be told.
enum Command {
    /// Initialize, GatherWriterMetadata, StartSnapshotSet, AddToSnapshotSet, AddComponent, PrepareForBackup.
    Prepare { pledge: Pledge, asked: Asked, cancel: Cancel, answer: Answer<(String, Pledge)> },
    /// Initialize, GatherWriterMetadata, AbortBackup: whether the components are there.
    Inspect { asked: Asked, answer: Answer<String> },
    /// DoSnapshotSet.
    Take { pledge: Pledge, cancel: Cancel, answer: Answer<Pledge> },
    /// GatherWriterStatus, GetSnapshotProperties, SaveAsXML: whether the image is good, and where it is.
    Look { pledge: Pledge, roots: Vec<SitePath>, cancel: Cancel, answer: Answer<(Taken, Pledge)> },
    /// SetBackupSucceeded, BackupComplete.
    Complete { set: ShadowCopySetId, succeeded: bool, answer: Answer<Vec<ShadowCopyError>> },
    /// DeleteSnapshots; before BackupComplete AbortBackup.
    Release { set: ShadowCopySetId, answer: Option<Answer<()>> },
}

/// What is to be imaged.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The sources.
    pub(super) roots: Vec<SitePath>,
    pub(super) components: Vec<WantedComponent>,
}

/// A set that is released when nobody holds this any more, wherever it was on its way.
#[derive(Debug)]
pub(super) struct Pledge {
    set: ShadowCopySetId,
    thread: Option<Sender<Command>>,
}

impl Pledge {
    /// Leaves it to a later [`release`](Requestor::release).
    pub(super) fn redeem(mut self) {
        self.thread = None;
    }
}

impl Drop for Pledge {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A thread that has ended has released everything.
            let _sent = thread.send(Command::Release { set: self.set, answer: None });
        }
    }
}

/// Talks to the thread, which starts with the first set and ends with this value and all pledges.
#[derive(Debug)]
pub(super) struct Requestor {
    options: VssOptions,
    library: Option<PathBuf>,
    listener: Option<Sender<Heard>>,
    thread: Mutex<Thread>,
}

type Thread = Option<(Sender<Command>, JoinHandle<()>)>;

impl Requestor {
    /// One that loads this library instead of the system's.
    pub(super) fn new(options: VssOptions, library: Option<PathBuf>) -> Self {
        Self { options, library, listener: None, thread: Mutex::default() }
    }

    /// Another one of the same kind, whose calls are told to `listener`.
    pub(super) fn heard_by(&self, listener: Sender<Heard>) -> Self {
        let (options, library) = (self.options.clone(), self.library.clone());
        Self { listener: Some(listener), ..Self::new(options, library) }
    }

    /// The thread, if it runs. One that a panic has ended has released all that it had.
    fn running(&self) -> Option<Sender<Command>> {
        running(&self.thread.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self) -> Result<Sender<Command>, ShadowCopyError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running(&thread) {
            return Ok(running);
        }
        let (sender, commands) = channel();
        let (options, library, listener) = (self.options.clone(), self.library.clone(), self.listener.clone());
        // What belongs to COM is made on the thread and never leaves it.
        let work = move || {
            Worker { options, library, calls: Calls::new(listener), backups: HashMap::new() }.run(&commands);
        };
        let spawned = thread::Builder::new().name("vss-requestor".to_owned()).spawn(work);
        let handle = spawned.map_err(failed("start its thread"))?;
        Ok(thread.insert((sender, handle)).0.clone())
    }

    pub(super) async fn prepare(
        &self,
        set: ShadowCopySetId,
        asked: Asked,
        cancel: Cancel,
    ) -> Result<(String, Pledge), ShadowCopyError> {
        let thread = self.start()?;
        let pledge = Pledge { set, thread: Some(thread.clone()) };
        let (answer, answered) = oneshot::channel();
        ask(&thread, Command::Prepare { pledge, asked, cancel, answer }, answered).await
    }

    /// What would be imaged, in a line; nothing of it is left.
    pub(super) async fn inspect(&self, asked: Asked) -> Result<String, ShadowCopyError> {
        let thread = self.start()?;
        let (answer, answered) = oneshot::channel();
        ask(&thread, Command::Inspect { asked, answer }, answered).await
    }

    pub(super) async fn take(pledge: Pledge, cancel: Cancel) -> Result<Pledge, ShadowCopyError> {
        let thread = pledge.thread.clone().ok_or(ShadowCopyError::BadState("DoSnapshotSet"))?;
        let (answer, answered) = oneshot::channel();
        ask(&thread, Command::Take { pledge, cancel, answer }, answered).await
    }

    pub(super) async fn look(
        pledge: Pledge,
        roots: Vec<SitePath>,
        cancel: Cancel,
    ) -> Result<(Taken, Pledge), ShadowCopyError> {
        let thread = pledge.thread.clone().ok_or(ShadowCopyError::BadState("GatherWriterStatus"))?;
        let (answer, answered) = oneshot::channel();
        ask(&thread, Command::Look { pledge, roots, cancel, answer }, answered).await
    }

    pub(super) async fn complete(
        &self,
        set: ShadowCopySetId,
        succeeded: bool,
    ) -> Result<Vec<ShadowCopyError>, ShadowCopyError> {
        let Some(thread) = self.running() else { return Ok(Vec::new()) };
        let (answer, answered) = oneshot::channel();
        ask(&thread, Command::Complete { set, succeeded, answer }, answered).await
    }

    pub(super) async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        let Some(thread) = self.running() else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        ask(&thread, Command::Release { set, answer: Some(answer) }, answered).await
    }
}

fn running(thread: &Thread) -> Option<Sender<Command>> {
    let (sender, handle) = thread.as_ref()?;
    (!handle.is_finished()).then(|| sender.clone())
}

async fn ask<T>(
    thread: &Sender<Command>,
    command: Command,
    answered: oneshot::Receiver<Result<T, ShadowCopyError>>,
) -> Result<T, ShadowCopyError> {
    const ENDED: &str = "its thread has ended";
    thread.send(command).map_err(|_| failed("hear a command")(ENDED))?;
    answered.await.unwrap_or_else(|_| Err(failed("answer a command")(ENDED)))
}

/// The thread's own.
struct Worker {
    options: VssOptions,
    library: Option<PathBuf>,
    calls: Calls,
    backups: HashMap<ShadowCopySetId, Backup>,
}

impl Worker {
    fn run(mut self, commands: &Receiver<Command>) {
        // A thread without COM says so when it is asked for a backup.
        let mut apartment = Apartment::enter(&self.calls);
        while let Ok(command) = commands.recv() {
            self.calls.go_on();
            if apartment.is_err() {
                apartment = Apartment::enter(&self.calls);
            }
            self.obey(command, apartment.as_ref().err().copied());
        }
        // Before the apartment is left.
        self.backups.clear();
    }

    fn obey(&mut self, command: Command, no_com: Option<super::hresult::CallError>) {
        // That nobody hears an answer is no fault; a pledge in it goes, and releases the set.
        match command {
            Command::Inspect { asked, answer } => {
                let stop = || answer.is_closed();
                let patience = Patience { limit: self.options.limit, stop: &stop };
                let seen = match no_com {
                    Some(error) => Err(failed("set up COM")(error)),
                    None => self.begin(&asked, &patience).map(|(backup, mounts)| backup.outlook(&mounts)),
                };
                let _heard = answer.send(seen);
            }
            Command::Prepare { pledge, asked, cancel, answer } => {
                let stop = || cancel.is_cancelled() || answer.is_closed();
                let patience = Patience { limit: self.options.limit, stop: &stop };
                let prepared = match no_com {
                    Some(error) => Err(failed("set up COM")(error)),
                    None => self.prepare(pledge.set, &asked, &patience),
                };
                let _heard = answer.send(prepared.map(|summary| (summary, pledge)));
            }
            Command::Take { pledge, cancel, answer } => {
                let stop = || cancel.is_cancelled() || answer.is_closed();
                let patience = Patience { limit: self.options.limit, stop: &stop };
                let taken = self.further(pledge.set, "DoSnapshotSet", |backup| backup.take(&patience));
                let _heard = answer.send(taken.map(|()| pledge));
            }
            Command::Look { pledge, roots, cancel, answer } => {
                let stop = || cancel.is_cancelled() || answer.is_closed();
                let patience = Patience { limit: self.options.limit, stop: &stop };
                let looked = self.further(pledge.set, "GatherWriterStatus", |backup| backup.look(&roots, &patience));
                let _heard = answer.send(looked.map(|taken| (taken, pledge)));
            }
            Command::Complete { set, succeeded, answer } => {
                let stop = || answer.is_closed();
                let patience = Patience { limit: self.options.limit, stop: &stop };
                let told = match self.backups.get_mut(&set) {
                    Some(backup) => backup.complete(succeeded, &patience),
                    None => Ok(Vec::new()),
                };
                let _heard = answer.send(told);
            }
            Command::Release { set, answer } => {
                let released = self.backups.remove(&set).map_or(Ok(()), Backup::delete);
                let _heard = answer.map(|answer| answer.send(released));
            }
        }
    }

    /// A backup that knows what it is to image, and the volumes that this lies on.
    fn begin(&self, asked: &Asked, patience: &Patience<'_>) -> Result<(Backup, Vec<SitePath>), ShadowCopyError> {
        let mut volumes = Vec::new();
        add_mounts(&mut volumes, &asked.roots)?;
        let mut backup = Backup::begin(&self.library()?, &self.calls)?;
        backup.gather(patience)?;
        add_mounts(&mut volumes, &backup.find(&asked.components)?)?;
        Ok((backup, volumes))
    }

    fn prepare(
        &mut self,
        set: ShadowCopySetId,
        asked: &Asked,
        patience: &Patience<'_>,
    ) -> Result<String, ShadowCopyError> {
        // Who makes a set anew has given it up before.
        drop(self.backups.remove(&set));
        let (mut backup, mounts) = self.begin(asked, patience)?;
        backup.start_set(mounts)?;
        backup.select(&self.options.components)?;
        backup.prepare(patience)?;
        let summary = backup.summary();
        self.backups.insert(set, backup);
        Ok(summary)
    }

    /// Takes a backup a step further, or gives it up.
    fn further<T>(
        &mut self,
        set: ShadowCopySetId,
        call: &'static str,
        step: impl FnOnce(&mut Backup) -> Result<T, ShadowCopyError>,
    ) -> Result<T, ShadowCopyError> {
        let mut backup = self.backups.remove(&set).ok_or(ShadowCopyError::BadState(call))?;
        let done = step(&mut backup)?;
        self.backups.insert(set, backup);
        Ok(done)
    }

    /// Loading what is loaded costs nothing, and a library that was missing may have come.
    fn library(&self) -> Result<Library, ShadowCopyError> {
        let loaded = self.library.as_deref().map_or_else(Library::of_system, Library::at);
        loaded.map_err(failed(LOAD))
    }
}

/// Adds the volumes that paths lie on, each once.
fn add_mounts(mounts: &mut Vec<SitePath>, paths: &[SitePath]) -> Result<(), ShadowCopyError> {
    for root in paths {
        let mount = volume::mount_of(root).map_err(|error| {
            failed("find a volume")(std::io::Error::new(error.kind(), format!("`{root}`: {error}")))
        })?;
        if !mounts.iter().any(|other| other.strip_prefix(&mount).is_some_and(|rest| rest.is_root())) {
            mounts.push(mount);
        }
    }
    Ok(())
}
