//! One session of the suite: its writers, and what must hold however it went.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::Previous;
use backup_core::event::{Event, EventSink};
use backup_core::ports::destination::Staging;
use backup_core::ports::shadow_copies::{
    ImageSource, PreparedSet, SessionLimits, ShadowCopies, ShadowCopyError, ShadowCopyRequest, ShadowCopySet,
    ShadowCopySetId, Writer, WriterError, WriterLevel, WriterMetadata,
};
use uuid::Uuid;

use super::super::{begin, hold, rel, run, site_files};
use super::ShadowCopiesBench;

/// What is done when a writer is called.
pub(super) type Act = Arc<dyn Fn(&str) -> Result<(), &'static str> + Send + Sync>;

/// A writer that keeps a trace of its calls, `name Step`, and does what a check wants.
struct Scripted {
    name: &'static str,
    level: WriterLevel,
    trace: Arc<Mutex<Vec<String>>>,
    act: Act,
    hang_at: Option<&'static str>,
}

impl Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Scripted {
    async fn step(&self, step: &str) -> Result<(), WriterError> {
        let call = format!("{} {step}", self.name);
        self.trace.lock().expect("no panic").push(call.clone());
        if self.hang_at == Some(call.as_str()) {
            std::future::pending::<()>().await;
        }
        (self.act)(&call).map_err(WriterError::new)
    }
}

#[async_trait]
impl Writer for Scripted {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        self.step("Identify").await?;
        let id = class_of(self.level);
        Ok(WriterMetadata { id, name: self.name.to_owned(), level: self.level, ..WriterMetadata::default() })
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

/// Hears nothing.
#[derive(Debug)]
pub(in super::super) struct Deaf;

impl EventSink for Deaf {
    fn event(&self, _event: &Event) {}
}

/// Given in an order that is not theirs.
pub(super) const WRITERS: [(&str, WriterLevel); 3] =
    [("system", WriterLevel::System), ("site", WriterLevel::FrontEnd), ("database", WriterLevel::BackEnd)];
pub(super) const ORDER: [&str; 3] = ["site", "database", "system"];

pub(super) fn class_of(level: WriterLevel) -> Uuid {
    Uuid::from_u128(level as u128 + 1)
}

/// Removes what a session has staged, for the next one.
pub(super) async fn make_room(bench: &dyn ShadowCopiesBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    destination.remove(run(1)).await.expect("room for the next");
}

/// One session on a bench.
pub(super) struct Session {
    pub(super) shadow_copies: Arc<dyn ShadowCopies>,
    pub(super) staging: Arc<dyn Staging>,
    pub(super) request: ShadowCopyRequest,
    trace: Arc<Mutex<Vec<String>>>,
}

impl Session {
    pub(super) async fn new(bench: &dyn ShadowCopiesBench, act: Act, hang_at: Option<&'static str>) -> Self {
        let trace = Arc::<Mutex<Vec<String>>>::default();
        let writer = |(name, level)| {
            let (trace, act) = (Arc::clone(&trace), Arc::clone(&act));
            Arc::new(Scripted { name, level, trace, act, hang_at }) as Arc<dyn Writer>
        };
        let staging = begin(bench.destination().as_ref(), run(1)).await;
        let source = site_files::source(bench.root());
        let request = ShadowCopyRequest {
            id: ShadowCopySetId(run(1).0),
            sources: vec![ImageSource { source, target: rel("SiteServer") }],
            components: Vec::new(),
            files: bench.files(),
            staging: Arc::clone(&staging),
            previous: Arc::new(Previous::default()),
            writers: WRITERS.into_iter().map(writer).collect(),
            limits: SessionLimits::default(),
            cancel: Cancel::default(),
            events: Arc::new(Deaf),
        };
        Self { shadow_copies: bench.shadow_copies(), staging, request, trace }
    }

    /// One in which the call fails.
    pub(super) async fn failing_at(bench: &dyn ShadowCopiesBench, call: &str) -> Self {
        let call = call.to_owned();
        Self::new(bench, Arc::new(move |now| if now == call { Err("no") } else { Ok(()) }), None).await
    }

    pub(super) async fn quiet(bench: &dyn ShadowCopiesBench) -> Self {
        Self::new(bench, Arc::new(|_| Ok(())), None).await
    }

    /// One of these shadow copies.
    pub(super) async fn of(bench: &dyn ShadowCopiesBench, shadow_copies: Arc<dyn ShadowCopies>) -> Self {
        Self { shadow_copies, ..Self::quiet(bench).await }
    }

    pub(super) async fn prepare(&self) -> Result<Box<dyn PreparedSet>, ShadowCopyError> {
        self.shadow_copies.prepare(self.request.clone()).await
    }

    pub(super) async fn make(&self) -> Result<ShadowCopySet, ShadowCopyError> {
        self.prepare().await?.commit().await
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.trace.lock().expect("no panic").clone()
    }

    fn position(&self, writer: &str, step: &str) -> Option<usize> {
        self.lines().iter().position(|line| *line == format!("{writer} {step}"))
    }

    pub(super) fn called(&self, step: &str) -> Vec<String> {
        let lines = self.lines().into_iter();
        lines.filter_map(|line| Some(line.strip_suffix(&format!(" {step}"))?.to_owned())).collect()
    }

    /// What must hold of a session that failed: all are set going, there is no image, and nobody hears anything more of it.
    pub(super) async fn assert_failed(&self, when: &str) {
        self.assert_all_let_go(when);
        assert_eq!(self.called("PostSnapshot"), [""; 0], "{when}: there is no image");
        let faults = self.shadow_copies.complete(self.request.id, true).await;
        assert!(faults.is_empty(), "{when}: {faults:?}");
        assert_eq!(self.called("BackupComplete"), [""; 0], "{when}: nothing is complete");
        self.shadow_copies.release(self.request.id).await.expect("nothing is left of it");
    }

    /// What must hold after every session, however it went.
    pub(super) fn assert_all_let_go(&self, when: &str) {
        let lines = self.lines();
        for writer in ORDER {
            let at = |step: &str| self.position(writer, step);
            if let Some(frozen) = at("Freeze") {
                assert!(at("Thaw").is_some_and(|thawed| thawed > frozen), "{when}: {writer} is not thawed: {lines:?}");
            }
            let going = at("PostSnapshot").or(at("Abort"));
            if let Some(rest) = at("PrepareSnapshot") {
                assert!(going > at("Thaw").or(Some(rest)), "{when}: {writer} is not set going: {lines:?}");
            }
            assert!(at("Abort") >= at("PrepareBackup") || at("Abort").is_none(), "{when}: {lines:?}");
            assert!(
                at("Abort").is_none() || at("PrepareBackup").is_some(),
                "{when}: {writer} was told of nothing: {lines:?}"
            );
        }
        let last_thaw = lines.iter().rposition(|line| line.ends_with(" Thaw"));
        let first_going = lines.iter().position(|line| line.ends_with(" PostSnapshot") || line.ends_with(" Abort"));
        assert!(last_thaw.is_none() || first_going.is_none() || last_thaw < first_going, "{when}: {lines:?}");
    }
}

pub(super) fn backwards() -> Vec<&'static str> {
    ORDER.into_iter().rev().collect()
}
