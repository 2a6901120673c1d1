//! Writers and a provider that do what a test tells them, and leave a trace.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::Previous;
use backup_core::event::{Event, EventSink};
use backup_core::memory::World;
use backup_core::ports::destination::Holder;
use backup_core::ports::shadow_copies::{
    Component, Consistency, Image, SessionLimits, ShadowCopyError, ShadowCopyRequest, ShadowCopySetId, Writer,
    WriterError, WriterLevel, WriterMetadata,
};
use backup_core::snapshot::RunId;
use uuid::Uuid;

use crate::coordinator::InProcessCoordinator;
use crate::provider::{Committed, ImageRequest, Preparation, Provider, Taken};

/// All that happened, in its order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub(super) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(super) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }

    pub(super) fn position(&self, line: &str) -> Option<usize> {
        self.lines().iter().position(|other| other == line)
    }
}

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Veto,
    Hang,
    Panic,
    Cancel,
}

/// What goes wrong where: by `writer step`, such as `db Freeze`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(super) trace: Trace,
    pub(super) cancel: Cancel,
    wrongs: Arc<Mutex<HashMap<String, Wrong>>>,
}

impl Script {
    pub(super) fn at(self, call: impl Into<String>, wrong: Wrong) -> Self {
        self.wrongs.lock().unwrap().insert(call.into(), wrong);
        self
    }

    async fn step(&self, call: String) -> Result<(), WriterError> {
        self.trace.add(&call);
        let wrong = self.wrongs.lock().unwrap().get(&call).copied();
        match wrong {
            None => Ok(()),
            Some(Wrong::Veto) => Err(WriterError::new("no")),
            Some(Wrong::Hang) => pending().await,
            Some(Wrong::Panic) => panic!("as the script says"),
            Some(Wrong::Cancel) => {
                self.cancel.cancel();
                Ok(())
            }
        }
    }
}

impl EventSink for Script {
    fn event(&self, event: &Event) {
        match event {
            Event::Phase(phase) => self.trace.add(format!("{phase:?}")),
            Event::Thawed(_) => self.trace.add("Thawed"),
            _ => {}
        }
    }
}

#[derive(Debug)]
pub(crate) struct ScriptedWriter {
    pub(super) name: &'static str,
    pub(super) level: WriterLevel,
    pub(super) script: Script,
}

impl ScriptedWriter {
    async fn step(&self, step: &str) -> Result<(), WriterError> {
        self.script.step(format!("{} {step}", self.name)).await
    }
}

#[async_trait]
impl Writer for ScriptedWriter {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        self.step("Identify").await?;
        let component = Component {
            logical_path: "P01".to_owned(),
            name: format!("{} <&\"> component", self.name),
            database: self.level == WriterLevel::BackEnd,
            ..Component::default()
        };
        let (id, name) = (Uuid::from_u128(self.level as u128 + 1), self.name.to_owned());
        let components = vec![component];
        Ok(WriterMetadata { id, name, level: self.level, components, ..WriterMetadata::default() })
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        self.step("PrepareBackup").await
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        self.step("PrepareSnapshot").await
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        self.step("Freeze").await
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        self.step("Thaw").await
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        self.step("PostSnapshot").await
    }

    async fn abort(&self) -> Result<(), WriterError> {
        self.step("Abort").await
    }

    async fn backup_complete(&self, succeeded: bool) -> Result<(), WriterError> {
        self.step(if succeeded { "BackupComplete" } else { "BackupFailed" }).await
    }
}

#[derive(Debug, Clone)]
struct ScriptedProvider(Script);

impl ScriptedProvider {
    async fn step(&self, step: &'static str) -> Result<(), ShadowCopyError> {
        let failed = |error: WriterError| ShadowCopyError::Provider {
            provider: "scripted",
            action: "do it",
            source: Box::new(error),
            is_retryable: false,
        };
        self.0.step(format!("provider {step}")).await.map_err(failed)
    }
}

#[async_trait]
impl Provider for ScriptedProvider {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn prepare(&self, _request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        self.step("prepare").await?;
        Ok(Box::new(self.clone()))
    }

    async fn release(&self, _set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        self.step("release").await
    }

    async fn complete(&self, _set: ShadowCopySetId, succeeded: bool) -> Vec<ShadowCopyError> {
        let step = if succeeded { "complete" } else { "fail" };
        self.step(step).await.err().into_iter().collect()
    }
}

#[async_trait]
impl Preparation for ScriptedProvider {
    fn provider(&self) -> &'static str {
        self.name()
    }

    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        self.step("settle").await
    }

    async fn commit(self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        self.step("commit").await?;
        Ok(self)
    }
}

#[async_trait]
impl Committed for ScriptedProvider {
    async fn look(self: Box<Self>) -> Result<Taken, ShadowCopyError> {
        self.step("look").await?;
        let image = Image::Borrowed(Vec::new());
        let (weaker, remarks, components, documents) = Default::default();
        Ok(Taken { consistency: Consistency::Application, weaker, remarks, image, components, documents })
    }
}

/// The writers of the tests: `sys`, `site` and `db`, given in an order that is not theirs.
pub(super) const WRITERS: [(&str, WriterLevel); 3] =
    [("sys", WriterLevel::System), ("site", WriterLevel::FrontEnd), ("db", WriterLevel::BackEnd)];

pub(super) fn writers(script: &Script) -> Vec<Arc<dyn Writer>> {
    let writer = |(name, level)| Arc::new(ScriptedWriter { name, level, script: script.clone() }) as Arc<dyn Writer>;
    WRITERS.into_iter().map(writer).collect()
}

/// A coordinator, with requests for it.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(super) script: Script,
    pub(crate) coordinator: InProcessCoordinator,
    world: World,
}

impl Bench {
    pub(super) fn new(script: Script) -> Self {
        let provider = Arc::new(ScriptedProvider(script.clone()));
        Self::with(script, provider)
    }

    /// One whose images another provider makes.
    pub(crate) fn with(script: Script, provider: Arc<dyn Provider>) -> Self {
        let world = World::new();
        let coordinator = InProcessCoordinator::new(Arc::new(world.clone()), provider);
        Self { script, coordinator, world }
    }

    pub(crate) async fn request(&self, writers: Vec<Arc<dyn Writer>>) -> ShadowCopyRequest {
        let ports = self.world.ports();
        let id = ports.clock.new_id();
        let _held = ports.destination.hold(Holder::Run(RunId(id))).await.expect("nobody else holds it");
        ShadowCopyRequest {
            id: ShadowCopySetId(id),
            sources: Vec::new(),
            components: Vec::new(),
            files: ports.files,
            staging: ports.destination.begin(RunId(id), None).await.expect("memory takes it"),
            previous: Arc::new(Previous::default()),
            writers,
            limits: SessionLimits::default(),
            cancel: self.script.cancel.clone(),
            events: Arc::new(self.script.clone()),
        }
    }
}
