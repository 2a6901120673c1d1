//! A writer of ours that VSS calls: what other programs' shadow copies bring to rest.
//!
//! One thread, `vss-writer`, registers it and takes it back; VSS calls it on threads of its own ([`table`]), each of which waits until the
//! port has answered or its limit is over ([`part`]).

mod interfaces;
mod part;
mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use backup_core::event::EventSink;
use backup_core::ports::shadow_copies::{SessionLimits, ShadowCopyError, Writer, WriterMetadata};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::apartment::Apartment;
use super::backup::failed;
use super::calls::Calls;
use super::requestor::LOAD;
use super::vssapi::Library;
use crate::coordinator::Slots;
use part::Part;
use table::Registration;

/// What a writer of ours has behind its name, so that our own requestor knows it.
pub(super) const OURS: &str = " (sitebackup)";

const REGISTER: &str = "register the writer";

/// How a writer is hosted.
#[derive(Debug, Clone, Default)]
pub struct WriterOptions {
    /// How long each callback may take: VSS waits no longer for it, whatever the port does.
    pub limits: SessionLimits,
    /// The file whose lock keeps hosts on this machine apart; without one nothing does.
    pub lock: Option<PathBuf>,
    /// The library at this whole path instead of the system's: for tests.
    pub library: Option<PathBuf>,
}

/// A registered writer. Dropped, it is taken back a little later.
///
/// Its port is called for sessions only that have selected a component of it, from PrepareBackup to BackupComplete; what it owns it is asked at
/// every Identify. A callback that fails, panics or takes too long is VSS' failure of the writer, and the port is told to abort.
#[derive(Debug)]
pub struct WriterHost {
    part: Arc<Part>,
    identified: WriterMetadata,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl WriterHost {
    /// Registers `writer` under the class and the name that it says. Must be called within a tokio runtime of several threads, on which the
    /// callbacks are carried out.
    ///
    /// # Errors
    /// [`ShadowCopyError`] when the writer cannot say what it owns, another process has the lock, or VSS refuses; nothing is registered then.
    pub async fn register(
        writer: Arc<dyn Writer>,
        events: Arc<dyn EventSink>,
        options: WriterOptions,
    ) -> Result<Self, ShadowCopyError> {
        let part = Arc::new(Part::new(writer, events, options.limits, Handle::current()));
        let (stop, stopped) = channel();
        let (answer, answered) = oneshot::channel();
        let host = Host { part: Arc::clone(&part), options };
        let spawned = thread::Builder::new().name("vss-writer".to_owned()).spawn(move || host.run(answer, &stopped));
        let thread = spawned.map_err(failed("start its thread"))?;
        let ended = || Err(failed(REGISTER)("its thread has ended"));
        let identified = answered.await.unwrap_or_else(|_| ended())?;
        Ok(Self { part, identified, stop, thread })
    }

    /// What the writer said of itself when it was registered, with the name that VSS knows it by.
    pub fn identified(&self) -> &WriterMetadata {
        &self.identified
    }

    /// Sets the site going if it takes part in a session, which fails then, and takes the writer back.
    pub async fn stop(self) {
        self.part.close().await;
        drop(self.stop);
        let thread = self.thread;
        // A thread that has panicked has taken it back, too.
        let _joined = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

/// The thread's own.
struct Host {
    part: Arc<Part>,
    options: WriterOptions,
}

impl Host {
    fn run(self, answer: oneshot::Sender<Result<WriterMetadata, ShadowCopyError>>, stopped: &Receiver<()>) {
        let calls = Calls::new(None);
        let slots = self.options.lock.clone().map(Slots::on_machine);
        let held = slots.as_ref().map(Slots::take).transpose().map_err(|error| match error {
            ShadowCopyError::InProgress { holder } => failed(REGISTER)(format!("{holder} has registered it already")),
            other => other,
        });
        let apartment = Apartment::enter(&calls).map_err(failed("set up COM"));
        let registered = held.and_then(|held| apartment.map(|apartment| (held, apartment)));
        match registered.and_then(|held| self.register(&calls).map(|registered| (registered, held))) {
            Ok(((identified, registration), _held)) => {
                if answer.send(Ok(identified)).is_ok() {
                    // Nothing is sent: it ends with its sender.
                    let _ended = stopped.recv();
                }
                drop(registration);
            }
            Err(error) => {
                let _nobody_waits = answer.send(Err(error));
            }
        }
    }

    fn register(&self, calls: &Calls) -> Result<(WriterMetadata, Registration), ShadowCopyError> {
        let library = self.options.library.as_deref().map_or_else(Library::of_system, Library::at);
        let library = library.map_err(failed(LOAD))?;
        // A system that has no service says so here. The next call ends the process where the library has it in name only, as Wine's has.
        drop(library.create(calls).map_err(failed(REGISTER))?);
        let create = library.create_writer.ok_or_else(|| failed(REGISTER)("`vssapi.dll` has no CreateWriter"))?;
        let mut metadata = self.part.identified().map_err(|refusal| failed(REGISTER)(refusal.message))?;
        metadata.name.push_str(OURS);
        let registration = Registration::new(create, Arc::clone(&self.part), &metadata, calls);
        Ok((metadata, registration.map_err(failed(REGISTER))?))
    }
}
