//! The writers of the system in a restore, as one writer of it.
//!
//! What the backup selected of them is in the document that VSS wrote then. Those whose writer is on this system are selected again; a machine
//! that has none of them, or no VSS, has nobody to tell.

use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::ports::Source;
use backup_core::ports::restores::{RestoreStatus, RestoreWriter};
use backup_core::ports::shadow_copies::{ShadowCopyError, WriterError, WriterLevel, WriterMetadata};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::apartment::Apartment;
use super::backup::{Patience, failed, fault, finish, refused};
use super::calls::Calls;
use super::components::{BackupComponents, ComponentInfo, Selected};
use super::hresult::HResult;
use super::vssapi::Library;
use crate::documents::{BackupDocument, DocumentComponent, DocumentWriter};
use crate::session::{Session, Step};

/// How long each operation may take; the restore's own limit comes first where it is shorter.
const LIMIT: Duration = Duration::from_secs(600);

type Told = Result<(), ShadowCopyError>;
type End = (RestoreStatus, oneshot::Sender<Told>);

/// Reads what VSS wrote of a backup. Blocks.
type Document = dyn Fn() -> Result<Vec<u8>, Source> + Send + Sync;

/// Tells the writers of VSS of a restore.
///
/// COM's objects live on a thread of their own, from PreRestore to PostRestore. A process that dies between them leaves the writers as they are.
pub struct SystemRestoreWriter {
    document: Arc<Document>,
    library: Option<PathBuf>,
    thread: Mutex<Option<Sender<End>>>,
}

impl SystemRestoreWriter {
    /// Of what this document of VSS says, a snapshot's `BCDocument.xml`, which is read at PreRestore. One that cannot be read is a veto.
    pub fn new(document: impl Fn() -> Result<Vec<u8>, Source> + Send + Sync + 'static) -> Self {
        Self { document: Arc::new(document), library: None, thread: Mutex::default() }
    }

    /// The same with whatever the library at this whole path stands for: for tests.
    pub fn with_library(self, library: PathBuf) -> Self {
        Self { library: Some(library), ..self }
    }

    fn start(&self) -> Result<oneshot::Receiver<Told>, ShadowCopyError> {
        let (document, library) = (Arc::clone(&self.document), self.library.clone());
        let (answer, answered) = oneshot::channel();
        let (sender, ends) = channel();
        let work = move || restore(document.as_ref(), library, answer, &ends);
        let spawned = thread::Builder::new().name("vss-restore".to_owned()).spawn(work);
        spawned.map_err(failed("start its thread"))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        Ok(answered)
    }
}

impl Debug for SystemRestoreWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRestoreWriter").field("library", &self.library).finish_non_exhaustive()
    }
}

async fn heard(answered: oneshot::Receiver<Told>) -> Result<(), WriterError> {
    let told = answered.await.unwrap_or_else(|_| Err(failed("answer a command")("its thread has ended")));
    told.map_err(|error| WriterError::new("the writers of VSS").because(error))
}

#[async_trait]
impl RestoreWriter for SystemRestoreWriter {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let (name, level) = ("VSS".to_owned(), WriterLevel::System);
        Ok(WriterMetadata { id: Uuid::nil(), name, level, ..WriterMetadata::default() })
    }

    async fn pre_restore(&self) -> Result<(), WriterError> {
        let answered = self.start().map_err(|error| WriterError::new("the writers of VSS").because(error))?;
        heard(answered).await
    }

    async fn post_restore(&self, status: RestoreStatus) -> Result<(), WriterError> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (answer, answered) = oneshot::channel();
        // A thread that was never started has told nobody; one that has ended does not take the answer's sender, which tells that.
        let Some(thread) = thread else { return Ok(()) };
        drop(thread.send((status, answer)));
        heard(answered).await
    }
}

/// The thread's work: PreRestore, and PostRestore when the restore has ended. Each is answered, also where nobody is to be told.
fn restore(document: &Document, library: Option<PathBuf>, answer: oneshot::Sender<Told>, ends: &Receiver<End>) {
    let calls = Calls::new(None);
    // Left after all of COM's objects are gone.
    let apartment = Apartment::enter(&calls);
    let (restore, told) = {
        let stop = || answer.is_closed();
        let patience = Patience { limit: LIMIT, stop: &stop };
        let begun = match apartment.as_ref() {
            Err(error) => Err(failed("set up COM")(*error)),
            Ok(_) => Restore::of(document, library, &calls, &patience),
        };
        match begun {
            Err(error) => (None, Err(error)),
            Ok(None) => (None, Ok(())),
            Ok(Some(mut restore)) => {
                let told = restore.pre_restore(&patience);
                (Some(restore), told)
            }
        }
    };
    let _heard = answer.send(told);
    // Who would end it has gone.
    let Ok((status, answer)) = ends.recv() else { return };
    calls.go_on();
    let ended = restore.map_or(Ok(()), |restore| {
        let stop = || answer.is_closed();
        restore.post_restore(status, &Patience { limit: LIMIT, stop: &stop })
    });
    let _heard = answer.send(ended);
}

/// A restore through VSS: the order of its calls, and what each failure means.
struct Restore {
    components: BackupComponents,
    session: Session,
    selected: Vec<Selected>,
}

impl Restore {
    /// Up to the selection; `None` when this system has nobody to tell.
    fn of(
        document: &Document,
        library: Option<PathBuf>,
        calls: &Calls,
        patience: &Patience<'_>,
    ) -> Result<Option<Self>, ShadowCopyError> {
        const BEGIN: &str = "begin a restore";
        const ASK: &str = "ask the writers what they own";
        const READ: &str = "read what was backed up";
        let document = document().map_err(failed(READ))?;
        let backed_up = BackupDocument::parse(&document).map_err(failed(READ))?;
        if backed_up.writers.iter().all(|writer| writer.components.is_empty()) {
            return Ok(None);
        }
        let library = library.as_deref().map_or_else(Library::of_system, Library::at);
        let Ok(library) = library else { return Ok(None) };
        let components = match library.create(calls) {
            Err(error) if matches!(error.result, HResult::NOT_IMPLEMENTED | HResult::NOT_REGISTERED) => {
                return Ok(None);
            }
            created => created.map_err(refused(BEGIN))?,
        };
        components.initialize_for_restore(&String::from_utf8_lossy(&document)).map_err(refused(BEGIN))?;
        let mut session = Session::new(0);
        session.begin(Step::Identify)?;
        finish(&components.gather_writer_metadata().map_err(refused(ASK))?, ASK, patience)?;
        let present = components.writers().map_err(refused(ASK))?;
        let selected: Vec<Selected> = selected(&backed_up, |class| present.iter().any(|writer| writer.id == class));
        for component in &selected {
            session.within(Step::Identify, "SetSelectedForRestore")?;
            components.set_selected_for_restore(component).map_err(refused("select a component"))?;
        }
        Ok((!selected.is_empty()).then_some(Self { components, session, selected }))
    }

    fn pre_restore(&mut self, patience: &Patience<'_>) -> Result<(), ShadowCopyError> {
        const ACTION: &str = "tell the writers of the restore";
        self.session.begin(Step::PreRestore)?;
        finish(&self.components.pre_restore().map_err(refused(ACTION))?, ACTION, patience)?;
        self.judge(patience)
    }

    fn post_restore(mut self, status: RestoreStatus, patience: &Patience<'_>) -> Result<(), ShadowCopyError> {
        const ACTION: &str = "tell the writers how the restore ended";
        for component in &self.selected {
            self.session.within(Step::PreRestore, "SetFileRestoreStatus")?;
            self.components.set_file_restore_status(component, status).map_err(refused(ACTION))?;
        }
        self.session.begin(Step::PostRestore)?;
        finish(&self.components.post_restore().map_err(refused(ACTION))?, ACTION, patience)?;
        self.judge(patience)
    }

    /// Fails when a writer did of which something is put back.
    fn judge(&self, patience: &Patience<'_>) -> Result<(), ShadowCopyError> {
        const ACTION: &str = "ask for the writers' states";
        finish(&self.components.gather_writer_status().map_err(refused(ACTION))?, ACTION, patience)?;
        let statuses = self.components.statuses().map_err(refused(ACTION))?;
        let concerned = statuses.iter().filter(|status| self.selected.iter().any(|one| one.writer == status.id));
        concerned.filter_map(fault).next().map_or(Ok(()), Err)
    }
}

/// The components of the document whose writer is on this system.
fn selected(backed_up: &BackupDocument, is_here: impl Fn(Uuid) -> bool) -> Vec<Selected> {
    /// `VSS_CT_DATABASE` and `VSS_CT_FILEGROUP`.
    const KINDS: [i32; 2] = [1, 2];
    let writers = backed_up.writers.iter().filter(|writer| is_here(writer.id));
    let components = writers.flat_map(|writer| writer.components.iter().map(move |component| (writer, component)));
    let select = |(writer, component): (&DocumentWriter, &DocumentComponent)| Selected {
        instance: writer.instance,
        writer: writer.id,
        component: ComponentInfo {
            kind: if component.database { KINDS[0] } else { KINDS[1] },
            logical_path: component.logical_path.clone(),
            name: component.name.clone(),
            selectable: true,
            files: [0; 3],
        },
    };
    components.map(select).collect()
}
