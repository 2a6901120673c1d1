//! In-memory shadow copies: an atomic image that is read after Thaw, with the writers called as VSS calls them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::database::SERVER_FILES;
use super::site::IMAGE_ROOT;
use super::world::{MemoryFile, World, site_path};
use crate::event::{Event, Phase};
use crate::path::RelPath;
use crate::ports::shadow_copies::{
    BACKUP_DOCUMENT, Consistency, Image, ImagedFile, PreparedSet, ShadowCopies, ShadowCopyError, ShadowCopyRequest,
    ShadowCopySet, ShadowCopySetId, WantedComponent, Writer, WriterLevel, WriterMetadata, writer_document,
};
use crate::ports::site_files::{FileKind, FileTime};

/// Writers that still have to hear how the backup ended.
type Held = Mutex<HashMap<ShadowCopySetId, Vec<Arc<dyn Writer>>>>;

/// Shadow copies of a [`World`].
#[derive(Debug)]
pub(super) struct MemoryShadowCopies {
    world: World,
    writers: Arc<Held>,
    making: Arc<AtomicBool>,
}

impl MemoryShadowCopies {
    pub(super) fn new(world: World) -> Self {
        Self { world, writers: Arc::default(), making: Arc::default() }
    }
}

/// The right to make the one set that may be in the making.
struct Slot(Arc<AtomicBool>);

impl Slot {
    fn take(making: &Arc<AtomicBool>) -> Result<Self, ShadowCopyError> {
        match making.swap(true, Ordering::SeqCst) {
            true => Err(ShadowCopyError::InProgress { holder: "this process".to_owned() }),
            false => Ok(Self(Arc::clone(making))),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct Named {
    id: Uuid,
    name: String,
    level: WriterLevel,
    writer: Arc<dyn Writer>,
    /// Whether PrepareBackup was begun: before that there is nothing to abort.
    told: bool,
}

async fn each(writers: &mut [Named], step: &'static str) -> Result<(), ShadowCopyError> {
    for Named { name, writer, told, .. } in writers {
        *told = true;
        let called = match step {
            "PrepareBackup" => writer.prepare_backup().await,
            "PrepareSnapshot" => writer.prepare_snapshot().await,
            _ => writer.freeze().await,
        };
        called.map_err(|source| ShadowCopyError::Writer { writer: name.clone(), step, source })?;
    }
    Ok(())
}

async fn abort_all(writers: &[Named]) {
    for named in writers.iter().rev().filter(|named| named.told) {
        drop(named.writer.abort().await);
    }
}

/// Documents of the names that real ones have; no two writers of a test are of one class.
fn documents(writers: &[Named]) -> Vec<(String, Vec<u8>)> {
    let of_writer = |named: &Named| (writer_document(named.id, 0), b"<WRITER_METADATA/>".to_vec());
    let whole = (BACKUP_DOCUMENT.to_owned(), b"<BACKUP_COMPONENTS/>".to_vec());
    [whole].into_iter().chain(writers.iter().map(of_writer)).collect()
}

#[async_trait]
impl ShadowCopies for MemoryShadowCopies {
    fn outlives_process(&self) -> bool {
        !self.world.lock().images_go
    }

    async fn prepare(&self, request: ShadowCopyRequest) -> Result<Box<dyn PreparedSet>, ShadowCopyError> {
        let named = SERVER_FILES.map(site_path);
        let is_torn = |component: &&WantedComponent| component.known.iter().any(|path| !named.contains(path));
        if let Some(component) = request.components.iter().find(is_torn) {
            let (component, remedy) = (component.to_string(), component.remedy.clone());
            return Err(ShadowCopyError::Component { component, reason: "it would be torn".to_owned(), remedy });
        }
        let slot = Slot::take(&self.making)?;
        let mut writers = Vec::new();
        for writer in &request.writers {
            let veto = |source| ShadowCopyError::Writer { writer: "?".to_owned(), step: "Identify", source };
            let metadata = writer.identify().await.map_err(veto)?;
            let WriterMetadata { id, name, level, .. } = metadata;
            writers.push(Named { id, name, level, writer: Arc::clone(writer), told: false });
        }
        writers.sort_by_key(|named| named.level);
        let result = match each(&mut writers, "PrepareBackup").await {
            Ok(()) => {
                request.events.event(&Event::Phase(Phase::Stopping));
                each(&mut writers, "PrepareSnapshot").await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            abort_all(&writers).await;
            return Err(error);
        }
        let (world, held) = (self.world.clone(), Arc::clone(&self.writers));
        Ok(Box::new(MemoryPrepared { world, request, writers, held, _slot: slot }))
    }

    async fn complete(&self, set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        drop(self.world.step());
        let writers = self.writers.lock().expect("no panic").remove(&set).unwrap_or_default();
        let mut faults = Vec::new();
        for writer in writers {
            if let Err(source) = writer.backup_complete(succeeded).await {
                faults.push(ShadowCopyError::Writer { writer: "?".to_owned(), step: "BackupComplete", source });
            }
        }
        faults
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        self.world.step().images.remove(&set.0);
        self.writers.lock().expect("no panic").remove(&set);
        Ok(())
    }
}

struct MemoryPrepared {
    world: World,
    request: ShadowCopyRequest,
    writers: Vec<Named>,
    held: Arc<Held>,
    _slot: Slot,
}

impl std::fmt::Debug for MemoryPrepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryPrepared").finish_non_exhaustive()
    }
}

impl MemoryPrepared {
    async fn hold(&mut self) -> Result<Timestamp, ShadowCopyError> {
        self.request.events.event(&Event::Phase(Phase::Frozen));
        each(&mut self.writers, "Freeze").await?;
        if self.request.cancel.is_cancelled() {
            return Err(ShadowCopyError::Cancelled);
        }
        let mut state = self.world.step();
        let mut files = state.files.clone();
        if !self.request.components.is_empty() {
            // A server that has its files open leaves their times as they were.
            let file = |content, inode| {
                let changed = FileTime(1, 0);
                MemoryFile { kind: FileKind::File, content, changed, inode, unreadable: false }
            };
            files.insert(site_path(SERVER_FILES[0]), file(state.database.clone(), 1001));
            if !state.is_torn {
                files.insert(site_path(SERVER_FILES[1]), file(b"log".to_vec(), 1002));
            }
        }
        state.images.insert(self.request.id.0, files);
        Ok(state.now)
    }
}

#[async_trait]
impl PreparedSet for MemoryPrepared {
    async fn commit(mut self: Box<Self>) -> Result<ShadowCopySet, ShadowCopyError> {
        let held = self.hold().await;
        let mut weaker = Vec::new();
        for named in self.writers.iter().rev() {
            if let Err(error) = named.writer.thaw().await {
                weaker.push(format!("{}: {error}", named.name));
            }
        }
        self.request.events.event(&Event::Thawed(Duration::from_millis(100)));
        let frozen_at = match held {
            Ok(at) => at,
            Err(error) => {
                abort_all(&self.writers).await;
                return Err(error);
            }
        };
        for named in self.writers.iter().rev() {
            if let Err(error) = named.writer.post_snapshot().await {
                weaker.push(format!("{}: {error}", named.name));
            }
        }
        self.held.lock().expect("no panic").insert(self.request.id, self.request.writers.clone());
        let mut consistency = Consistency::Application;
        if self.writers.is_empty() {
            consistency = Consistency::Crash;
            weaker.push("no writer was frozen".to_owned());
        }
        let image = RelPath::parse(self.request.id.0.to_string()).expect("an id is a plain name");
        let image = site_path(IMAGE_ROOT).join(&image);
        let root = |source: &crate::ports::shadow_copies::ImageSource| image.join(source.source.root.below_root());
        let file = |path| {
            let original = site_path(path);
            ImagedFile { place: image.join(original.below_root()), original }
        };
        Ok(ShadowCopySet {
            id: self.request.id,
            provider: "memory".to_owned(),
            consistency,
            weaker,
            remarks: Vec::new(),
            frozen_at,
            freeze_window: Duration::from_millis(100),
            components: vec![SERVER_FILES.map(file).to_vec(); self.request.components.len()],
            image: Image::Borrowed(self.request.sources.iter().map(root).collect()),
            documents: documents(&self.writers),
        })
    }

    async fn abort(self: Box<Self>) {
        abort_all(&self.writers).await;
    }
}
