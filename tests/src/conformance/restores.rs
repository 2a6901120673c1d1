//! The contract of [`Restores`], and with it of how [`RestoreWriter`]s are called.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::ports::restores::{RestoreRequest, RestoreSession, RestoreStatus, RestoreWriter, Restores};
use backup_core::ports::shadow_copies::{ShadowCopyError, WriterError, WriterLevel, WriterMetadata};
use uuid::Uuid;

use super::run_checks;
use super::shadow_copies::Deaf;

const _: fn(&dyn Restores) = |_| ();
const _: fn(&dyn RestoreSession) = |_| ();
const _: fn(&dyn RestoreWriter) = |_| ();

/// Restores to try.
pub trait RestoresBench: Send + Sync + 'static {
    /// The restores.
    fn restores(&self) -> Arc<dyn Restores>;
    /// Whether limits are kept; where time does not pass nothing can be late.
    fn keeps_limits(&self) -> bool;
    /// Whether a writer that panics is one that failed.
    fn outlives_panics(&self) -> bool;
    /// Tells the system's own writers, one of which fails at a step where one is named; `None` where there are no such writers.
    fn of_system(&self, fails_at: Option<&'static str>) -> Option<Arc<dyn RestoreWriter>>;
    /// What the system's own writers have heard of the last restore, as the suite's writers note it; `None` where there are none.
    fn heard_by_system(&self) -> Option<Vec<String>>;
}

/// Checks restores.
pub async fn suite<B: RestoresBench>(make: impl Fn() -> B) {
    run_checks!(make: writers_are_called_in_their_order, they_hear_how_it_ended, a_veto_ends_it_and_who_was_called_hears_of_it,
        a_veto_of_the_system_ends_it, a_wish_to_stop_ends_it, faults_at_the_end_are_told_and_all_hear_of_it,
        a_fault_of_the_system_at_the_end_is_told, a_late_writer_ends_it, a_writer_that_panics_has_failed);
}

/// What a writer does that does not do what it is asked for.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Veto,
    Hang,
    Panic,
    WishToStop,
}

/// A writer that keeps a trace of its calls, `name Step`.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    level: WriterLevel,
    trace: Arc<Mutex<Vec<String>>>,
    wrong: Option<(String, Wrong)>,
    cancel: Cancel,
}

impl Scripted {
    async fn step(&self, step: &str) -> Result<(), WriterError> {
        let call = format!("{} {step}", self.name);
        self.trace.lock().expect("no panic").push(call.clone());
        match self.wrong.as_ref().filter(|(at, _)| *at == call) {
            None => Ok(()),
            Some((_, Wrong::Veto)) => Err(WriterError::new("no")),
            Some((_, Wrong::Hang)) => std::future::pending().await,
            Some((_, Wrong::Panic)) => panic!("a bug of {call}"),
            Some((_, Wrong::WishToStop)) => {
                self.cancel.cancel();
                Ok(())
            }
        }
    }
}

#[async_trait]
impl RestoreWriter for Scripted {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        self.step("Identify").await?;
        let id = Uuid::from_u128(self.level as u128 + 1);
        Ok(WriterMetadata { id, name: self.name.to_owned(), level: self.level, ..WriterMetadata::default() })
    }

    async fn pre_restore(&self) -> Result<(), WriterError> {
        self.step("PreRestore").await
    }

    async fn post_restore(&self, status: RestoreStatus) -> Result<(), WriterError> {
        self.step(&format!("PostRestore {status:?}")).await
    }
}

/// Given in an order that is not theirs.
const WRITERS: [(&str, WriterLevel); 3] =
    [("system", WriterLevel::System), ("site", WriterLevel::FrontEnd), ("database", WriterLevel::BackEnd)];

/// A limit that a writer that hangs has reached soon, and the others keep.
const SHORT: Duration = Duration::from_secs(1);

fn assert_system_heard(bench: &dyn RestoresBench, steps: &[&str]) {
    if let Some(heard) = bench.heard_by_system() {
        assert_eq!(heard, steps);
    }
}

/// One restore on a bench.
struct Restore {
    restores: Arc<dyn Restores>,
    request: RestoreRequest,
    trace: Arc<Mutex<Vec<String>>>,
}

impl Restore {
    fn new(bench: &dyn RestoresBench, wrong: Option<(&str, Wrong)>) -> Self {
        Self::with(bench, wrong, bench.of_system(None))
    }

    fn with(
        bench: &dyn RestoresBench,
        wrong: Option<(&str, Wrong)>,
        of_system: Option<Arc<dyn RestoreWriter>>,
    ) -> Self {
        let (trace, cancel) = (Arc::<Mutex<Vec<String>>>::default(), Cancel::default());
        let writer = |(name, level)| {
            let wrong = wrong.map(|(at, wrong)| (at.to_owned(), wrong));
            Arc::new(Scripted { name, level, trace: Arc::clone(&trace), wrong, cancel: cancel.clone() }) as _
        };
        let writers = WRITERS.into_iter().map(writer).chain(of_system).collect();
        let limit = if matches!(wrong, Some((_, Wrong::Hang))) { SHORT } else { super::LIMIT };
        let request = RestoreRequest { writers, limit, cancel: cancel.clone(), events: Arc::new(Deaf) };
        Self { restores: bench.restores(), request, trace }
    }

    /// One in which a writer of the system fails: its own where it has such ones, else one of the suite.
    fn failing_in_system(bench: &dyn RestoresBench, suites: &'static str, step: &'static str) -> Self {
        match bench.of_system(Some(step)) {
            None => Self::with(bench, Some((suites, Wrong::Veto)), None),
            failing => Self::with(bench, None, failing),
        }
    }

    async fn begin(&self) -> Result<Box<dyn RestoreSession>, ShadowCopyError> {
        self.restores.begin(self.request.clone()).await
    }

    async fn refused(&self) -> ShadowCopyError {
        self.begin().await.map(drop).expect_err("it cannot begin")
    }

    /// The calls since Identify.
    fn lines(&self) -> Vec<String> {
        let lines = self.trace.lock().expect("no panic").clone();
        lines.into_iter().filter(|line| !line.ends_with(" Identify")).collect()
    }
}

async fn writers_are_called_in_their_order(bench: impl RestoresBench) {
    let restore = Restore::new(&bench, None);
    let session = restore.begin().await.expect("nobody minds");
    assert_eq!(restore.lines(), ["site PreRestore", "database PreRestore", "system PreRestore"]);
    assert!(session.end(RestoreStatus::All).await.is_empty());
    let ended = ["system PostRestore All", "database PostRestore All", "site PostRestore All"];
    assert_eq!(restore.lines()[3..], ended);
}

async fn they_hear_how_it_ended(bench: impl RestoresBench) {
    for status in [RestoreStatus::Nothing, RestoreStatus::All, RestoreStatus::Failed] {
        let restore = Restore::new(&bench, None);
        assert!(restore.begin().await.expect("nobody minds").end(status).await.is_empty());
        let told = format!("PostRestore {status:?}");
        for (name, _) in WRITERS {
            assert!(restore.lines().contains(&format!("{name} {told}")), "{:?}", restore.lines());
        }
        assert_system_heard(&bench, &["PreRestore", &told]);
    }
}

async fn a_veto_ends_it_and_who_was_called_hears_of_it(bench: impl RestoresBench) {
    let called = [
        ("site Identify", "Identify", vec![]),
        ("site PreRestore", "PreRestore", vec!["site"]),
        ("database PreRestore", "PreRestore", vec!["site", "database"]),
        ("system PreRestore", "PreRestore", vec!["site", "database", "system"]),
    ];
    for (call, at, who) in called {
        let restore = Restore::new(&bench, Some((call, Wrong::Veto)));
        let error = restore.refused().await;
        let named =
            matches!(&error, ShadowCopyError::Writer { step, source, .. } if *step == at && source.message == "no");
        assert!(named, "{call}: {error}");
        let before = who.iter().map(|name| format!("{name} PreRestore"));
        let after = who.iter().rev().map(|name| format!("{name} PostRestore Nothing"));
        assert_eq!(restore.lines(), before.chain(after).collect::<Vec<_>>(), "{call}");
    }
}

async fn a_veto_of_the_system_ends_it(bench: impl RestoresBench) {
    let restore = Restore::failing_in_system(&bench, "system PreRestore", "PreRestore");
    let error = restore.refused().await;
    assert!(matches!(&error, ShadowCopyError::Writer { step: "PreRestore", .. }), "{error}");
    let lines = restore.lines();
    let nothing = ["system", "database", "site"].map(|name| format!("{name} PostRestore Nothing"));
    assert_eq!(lines[lines.len() - 3..], nothing, "who was told to make way hears that nothing was written");
    assert_system_heard(&bench, &["PreRestore", "PostRestore Nothing"]);
}

async fn a_wish_to_stop_ends_it(bench: impl RestoresBench) {
    for (call, calls) in [("site Identify", 0), ("site PreRestore", 2)] {
        let restore = Restore::new(&bench, Some((call, Wrong::WishToStop)));
        assert!(matches!(restore.refused().await, ShadowCopyError::Cancelled), "{call}");
        assert_eq!(restore.lines().len(), calls, "{call}: {:?}", restore.lines());
    }
}

async fn faults_at_the_end_are_told_and_all_hear_of_it(bench: impl RestoresBench) {
    let restore = Restore::new(&bench, Some(("database PostRestore All", Wrong::Veto)));
    let faults = restore.begin().await.expect("nobody minds").end(RestoreStatus::All).await;
    let [ShadowCopyError::Writer { writer, step: "PostRestore", .. }] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!((writer.as_str(), restore.lines().len()), ("database", 6));
}

async fn a_fault_of_the_system_at_the_end_is_told(bench: impl RestoresBench) {
    let restore = Restore::failing_in_system(&bench, "system PostRestore Failed", "PostRestore");
    let faults = restore.begin().await.expect("nobody minds").end(RestoreStatus::Failed).await;
    assert!(matches!(&faults[..], [ShadowCopyError::Writer { step: "PostRestore", .. }]), "{faults:?}");
    assert_eq!(restore.lines().len(), 6, "the others hear of it");
    assert_system_heard(&bench, &["PreRestore", "PostRestore Failed"]);
}

async fn a_late_writer_ends_it(bench: impl RestoresBench) {
    if !bench.keeps_limits() {
        return;
    }
    let restore = Restore::new(&bench, Some(("database PreRestore", Wrong::Hang)));
    let error = restore.refused().await;
    assert!(matches!(&error, ShadowCopyError::Deadline { step, .. } if step.contains("PreRestore")), "{error}");
    assert_eq!(restore.lines()[2..], ["database PostRestore Nothing", "site PostRestore Nothing"]);
    let restore = Restore::new(&bench, Some(("system PostRestore All", Wrong::Hang)));
    let faults = restore.begin().await.expect("nobody minds").end(RestoreStatus::All).await;
    assert!(matches!(&faults[..], [ShadowCopyError::Deadline { .. }]), "{faults:?}");
    assert_eq!(restore.lines().len(), 6, "the others hear of it");
}

async fn a_writer_that_panics_has_failed(bench: impl RestoresBench) {
    if !bench.outlives_panics() {
        return;
    }
    for call in ["database Identify", "database PreRestore"] {
        let restore = Restore::new(&bench, Some((call, Wrong::Panic)));
        assert!(matches!(restore.refused().await, ShadowCopyError::Writer { .. }), "{call}");
        let hangs =
            restore.lines().iter().filter(|line| line.ends_with("PreRestore")).count() * 2 != restore.lines().len();
        assert!(!hangs, "{call}: {:?}", restore.lines());
    }
}
