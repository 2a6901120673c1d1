//! The contract of [`ShadowCopies`], and with it of how [`Writer`]s are called.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::Previous;
use backup_core::event::{Event, EventSink};
use backup_core::manifest::ContentHash;
use backup_core::path::RelPath;
use backup_core::ports::destination::Staging;
use backup_core::ports::shadow_copies::{
    BACKUP_DOCUMENT, Clones, Consistency, Image, ImageSource, PreparedSet, SessionLimits, ShadowCopies,
    ShadowCopyError, ShadowCopyRequest, ShadowCopySet, ShadowCopySetId, Writer, WriterError, WriterLevel,
    WriterMetadata, writer_document,
};
use uuid::Uuid;

use super::destination::DestinationBench;
use super::{begin, blocking, content_of, hold, read_all, rel, run, run_checks, seal, site_files};

const _: fn(&dyn ShadowCopies) = |_| ();
const _: fn(&dyn PreparedSet) = |_| ();
const _: fn(&dyn Writer) = |_| ();

/// Shadow copies to try, of the bench's site.
pub trait ShadowCopiesBench: DestinationBench {
    /// The shadow copies.
    fn shadow_copies(&self) -> Arc<dyn ShadowCopies>;
    /// Whether limits are kept; where time does not pass nothing can be late.
    fn keeps_limits(&self) -> bool;
}

/// Checks shadow copies.
pub async fn suite<B: ShadowCopiesBench>(make: impl Fn() -> B) {
    run_checks!(make: writers_are_called_in_their_order, the_set_and_each_writer_have_a_document, the_image_is_of_the_moment_of_the_freeze, a_veto_before_the_image_aborts_all,
        a_fault_after_the_image_makes_it_weaker, a_wish_to_stop_aborts, a_late_writer_aborts, an_abort_sets_the_site_going,
        one_set_at_a_time, a_failed_set_leaves_room_for_the_next, without_writers_less_is_promised,
        writers_hear_how_it_ended_once, faults_at_the_end_are_told, releasing_is_idempotent);
}

/// What is done when a writer is called.
type Act = Arc<dyn Fn(&str) -> Result<(), &'static str> + Send + Sync>;

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
pub(super) struct Deaf;

impl EventSink for Deaf {
    fn event(&self, _event: &Event) {}
}

/// Given in an order that is not theirs.
const WRITERS: [(&str, WriterLevel); 3] =
    [("system", WriterLevel::System), ("site", WriterLevel::FrontEnd), ("database", WriterLevel::BackEnd)];
const ORDER: [&str; 3] = ["site", "database", "system"];

fn class_of(level: WriterLevel) -> Uuid {
    Uuid::from_u128(level as u128 + 1)
}

/// Removes what a session has staged, for the next one.
async fn make_room(bench: &dyn ShadowCopiesBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    destination.remove(run(1)).await.expect("room for the next");
}

/// One session on a bench.
struct Session {
    shadow_copies: Arc<dyn ShadowCopies>,
    staging: Arc<dyn Staging>,
    request: ShadowCopyRequest,
    trace: Arc<Mutex<Vec<String>>>,
}

impl Session {
    async fn new(bench: &dyn ShadowCopiesBench, act: Act, hang_at: Option<&'static str>) -> Self {
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
    async fn failing_at(bench: &dyn ShadowCopiesBench, call: &str) -> Self {
        let call = call.to_owned();
        Self::new(bench, Arc::new(move |now| if now == call { Err("no") } else { Ok(()) }), None).await
    }

    async fn quiet(bench: &dyn ShadowCopiesBench) -> Self {
        Self::new(bench, Arc::new(|_| Ok(())), None).await
    }

    async fn prepare(&self) -> Result<Box<dyn PreparedSet>, ShadowCopyError> {
        self.shadow_copies.prepare(self.request.clone()).await
    }

    async fn make(&self) -> Result<ShadowCopySet, ShadowCopyError> {
        self.prepare().await?.commit().await
    }

    fn lines(&self) -> Vec<String> {
        self.trace.lock().expect("no panic").clone()
    }

    fn position(&self, writer: &str, step: &str) -> Option<usize> {
        self.lines().iter().position(|line| *line == format!("{writer} {step}"))
    }

    fn called(&self, step: &str) -> Vec<String> {
        let lines = self.lines().into_iter();
        lines.filter_map(|line| Some(line.strip_suffix(&format!(" {step}"))?.to_owned())).collect()
    }

    /// What must hold after every session, however it went.
    fn assert_all_let_go(&self, when: &str) {
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

fn backwards() -> Vec<&'static str> {
    ORDER.into_iter().rev().collect()
}

async fn writers_are_called_in_their_order(bench: impl ShadowCopiesBench) {
    let session = Session::quiet(&bench).await;
    let prepared = session.prepare().await.expect("nothing goes wrong");
    assert_eq!(session.called("PrepareBackup"), ORDER);
    assert_eq!(session.called("PrepareSnapshot"), ORDER, "front ends come to rest before what they write to");
    assert_eq!(session.called("Freeze"), [""; 0], "nothing is frozen yet");
    let set = prepared.commit().await.expect("nothing goes wrong");
    for (step, order) in [("Freeze", ORDER.to_vec()), ("Thaw", backwards()), ("PostSnapshot", backwards())] {
        assert_eq!(session.called(step), order, "{step}");
    }
    assert_eq!(session.called("Abort"), [""; 0]);
    let steps: Vec<String> =
        session.lines().into_iter().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect();
    let expected =
        ["Identify", "PrepareBackup", "PrepareSnapshot", "Freeze", "Thaw", "PostSnapshot"].map(|step| [step; 3]);
    assert_eq!(steps, expected.concat(), "each step is over before the next begins");
    session.assert_all_let_go("all is well");
    assert_eq!((set.id, set.consistency), (session.request.id, Consistency::Application));
    assert_eq!(set.weaker, Vec::<String>::new());
    assert!(!set.provider.is_empty() && set.freeze_window <= session.request.limits.freeze);
}

async fn the_set_and_each_writer_have_a_document(bench: impl ShadowCopiesBench) {
    let set = Session::quiet(&bench).await.make().await.expect("nothing goes wrong");
    let mut names: Vec<String> = set.documents.into_iter().map(|(name, _)| name).collect();
    let mut expected = WRITERS.map(|(_, level)| writer_document(class_of(level), 0)).to_vec();
    expected.push(BACKUP_DOCUMENT.to_owned());
    names.sort();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    // A provider may add documents of its own.
    expected.retain(|name| !names.contains(name));
    assert_eq!(expected, Vec::<String>::new(), "{names:?}");
}

/// A file of the image: its content where the image is read later, its hash where it is staged.
async fn imaged(session: &Session, image: &Image, path: &RelPath) -> Option<Vec<u8>> {
    match image {
        Image::Borrowed(roots) => {
            let (files, path) = (Arc::clone(&session.request.files), roots[0].join(path));
            blocking(move || files.open(&path).ok().map(|file| read_all(file.as_ref()))).await
        }
        Image::Cloned(clones) => {
            let Clones { root, walk } = &clones[0];
            assert_eq!(walk.problems, &[]);
            walk.entries.iter().find(|entry| entry.path == *path)?;
            let (files, path) = (Arc::clone(&session.request.files), root.join(path));
            Some(blocking(move || read_all(files.open(&path).expect("a clone").as_ref())).await)
        }
        Image::Staged { records, problems } => {
            assert_eq!(problems, &[]);
            let place = session.request.sources[0].target.join(path);
            let record = records.iter().find(|record| record.path == place)?;
            let entry = session.staging.walk().await.expect("walked").into_iter().find(|entry| entry.path == place);
            assert_eq!(entry.map(|entry| entry.stat.size), Some(record.size), "what is told is staged");
            Some(record.hash?.0.as_bytes().to_vec())
        }
    }
}

/// What [`imaged`] returns for this content.
fn expected_in(image: &Image, content: &[u8]) -> Vec<u8> {
    match image {
        Image::Borrowed(_) | Image::Cloned(_) => content.to_vec(),
        Image::Staged { .. } => ContentHash::of(content).0.as_bytes().to_vec(),
    }
}

async fn the_image_is_of_the_moment_of_the_freeze(bench: impl ShadowCopiesBench) {
    let bench = Arc::new(bench);
    for name in ["d/changes", "stays", "goes", "d/inner/deep"] {
        bench.put_file(&rel(name), b"at first");
    }
    let site = Arc::clone(&bench);
    let act = move |call: &str| {
        let write = |content: &[u8]| {
            site.put_file(&rel("d/changes"), content);
            Ok(())
        };
        match call {
            "site PrepareSnapshot" => write(b"coming to rest"),
            "system Freeze" => {
                site.put_file(&rel("late"), b"made in the freeze");
                write(b"the last word")
            }
            "site Thaw" | "site PostSnapshot" => {
                site.put_file(&rel("after"), b"x");
                write(b"after the moment")
            }
            _ => Ok(()),
        }
    };
    let session = Session::new(bench.as_ref(), Arc::new(act), None).await;
    let set = session.make().await.expect("nothing goes wrong");
    assert_eq!((set.consistency, &set.weaker), (Consistency::Application, &Vec::new()));
    let files = [
        ("d/changes", &b"the last word"[..]),
        ("stays", b"at first"),
        ("d/inner/deep", b"at first"),
        ("late", b"made in the freeze"),
    ];
    for (name, content) in files {
        assert_eq!(imaged(&session, &set.image, &rel(name)).await, Some(expected_in(&set.image, content)), "{name}");
    }
    assert_eq!(imaged(&session, &set.image, &rel("after")).await, None);
    if let Image::Staged { records, .. } = &set.image {
        assert!(records.windows(2).all(|pair| pair[0].path < pair[1].path), "sorted by path");
        seal(session.staging.as_ref(), run(1), &[]).await;
        let snapshot = bench.destination().open(run(1)).await.expect("sealed");
        let staged = content_of(&snapshot, &rel("SiteServer/d/changes")).await;
        assert_eq!(staged.as_deref(), Some(&b"the last word"[..]));
    }
}

async fn a_veto_before_the_image_aborts_all(bench: impl ShadowCopiesBench) {
    for step in ["Identify", "PrepareBackup", "PrepareSnapshot", "Freeze"] {
        for writer in ORDER {
            let call = format!("{writer} {step}");
            make_room(&bench).await;
            let session = Session::failing_at(&bench, &call).await;
            let error = session.make().await.expect_err("one veto aborts all");
            let vetoed = matches!(&error, ShadowCopyError::Writer { step: at, writer: named, source }
                if *at == step && source.message == "no" && (step == "Identify" || named == writer));
            assert!(vetoed, "{call}: {error}");
            session.assert_all_let_go(&call);
            assert_eq!(session.called("PostSnapshot"), [""; 0], "{call}: there is no image");
        }
    }
}

async fn a_fault_after_the_image_makes_it_weaker(bench: impl ShadowCopiesBench) {
    for step in ["Thaw", "PostSnapshot"] {
        for writer in ORDER {
            let call = format!("{writer} {step}");
            make_room(&bench).await;
            let session = Session::failing_at(&bench, &call).await;
            let set = session.make().await.expect("the moment was held");
            assert!(set.weaker.iter().any(|text| text.contains(writer)), "{call}: {:?}", set.weaker);
            session.assert_all_let_go(&call);
            assert_eq!(session.called("PostSnapshot").len(), 3, "{call}: the others are set going");
        }
    }
}

async fn a_wish_to_stop_aborts(bench: impl ShadowCopiesBench) {
    for at in ["site PrepareBackup", "site PrepareSnapshot", "system PrepareSnapshot", "site Freeze", "system Freeze"] {
        make_room(&bench).await;
        let cancel = Cancel::default();
        let wish = cancel.clone();
        let act = move |call: &str| {
            if call == at {
                wish.cancel();
            }
            Ok(())
        };
        let mut session = Session::new(&bench, Arc::new(act), None).await;
        session.request.cancel = cancel;
        let error = session.make().await.expect_err("somebody wished it");
        assert!(matches!(error, ShadowCopyError::Cancelled), "{at}: {error}");
        session.assert_all_let_go(at);
    }
}

async fn a_late_writer_aborts(bench: impl ShadowCopiesBench) {
    if !bench.keeps_limits() {
        return;
    }
    for (call, step) in [("database PrepareSnapshot", "PrepareSnapshot"), ("database Freeze", "Freeze")] {
        make_room(&bench).await;
        let mut session = Session::new(&bench, Arc::new(|_| Ok(())), Some(call)).await;
        let short = Duration::from_millis(400);
        session.request.limits = SessionLimits { rest: short, freeze: short, ..SessionLimits::default() };
        let error = session.make().await.expect_err("it hangs");
        let late = matches!(&error, ShadowCopyError::Deadline { step: at, .. } if at.contains(step));
        assert!(late, "{call}: {error}");
        session.assert_all_let_go(call);
    }
}

async fn an_abort_sets_the_site_going(bench: impl ShadowCopiesBench) {
    let session = Session::quiet(&bench).await;
    session.prepare().await.expect("nothing goes wrong").abort().await;
    session.assert_all_let_go("aborted");
    assert_eq!((session.called("Abort").len(), session.called("Freeze").len()), (3, 0));
}

async fn one_set_at_a_time(bench: impl ShadowCopiesBench) {
    let mut session = Session::quiet(&bench).await;
    let first = session.prepare().await.expect("the first one");
    let calls = session.lines().len();
    session.request.id = ShadowCopySetId(run(2).0);
    let error = session.prepare().await.map(drop).expect_err("another one is being made");
    assert!(matches!(error, ShadowCopyError::InProgress { .. }), "{error}");
    assert_eq!(session.lines().len(), calls, "nobody was called for it");
    first.commit().await.expect("the first one is not concerned");
    session.prepare().await.expect("there is room again").abort().await;
}

async fn a_failed_set_leaves_room_for_the_next(bench: impl ShadowCopiesBench) {
    let failing = Session::failing_at(&bench, "database Freeze").await;
    failing.make().await.expect_err("a veto");
    let shadow_copies = Arc::clone(&failing.shadow_copies);
    // With it goes the staging folder's last user.
    drop(failing);
    make_room(&bench).await;
    let next = Session { shadow_copies, ..Session::quiet(&bench).await };
    next.prepare().await.expect("there is room").abort().await;
    let last = next.make().await.expect("and after an abort");
    assert_eq!(last.consistency, Consistency::Application);
}

async fn without_writers_less_is_promised(bench: impl ShadowCopiesBench) {
    bench.put_file(&rel("f"), b"content");
    let mut session = Session::quiet(&bench).await;
    session.request.writers.clear();
    let set = session.make().await.expect("nobody can veto");
    assert!(set.consistency < Consistency::Application, "nobody was frozen");
    assert!(!set.weaker.is_empty(), "and it is told");
}

async fn writers_hear_how_it_ended_once(bench: impl ShadowCopiesBench) {
    for (succeeded, heard) in [(true, "BackupComplete"), (false, "BackupFailed")] {
        make_room(&bench).await;
        let session = Session::quiet(&bench).await;
        let set = session.make().await.expect("nothing goes wrong");
        assert!(session.shadow_copies.complete(set.id, succeeded).await.is_empty());
        drop(session.shadow_copies.complete(set.id, succeeded).await);
        let mut writers = session.called(heard);
        writers.sort();
        assert_eq!(writers, ["database", "site", "system"], "each of them once");
    }
}

async fn faults_at_the_end_are_told(bench: impl ShadowCopiesBench) {
    let session = Session::failing_at(&bench, "site BackupComplete").await;
    let set = session.make().await.expect("nothing goes wrong");
    let faults = session.shadow_copies.complete(set.id, true).await;
    let told = matches!(&faults[..], [ShadowCopyError::Writer { step: "BackupComplete", .. }]);
    assert!(told, "{faults:?}");
    assert_eq!(session.called("BackupComplete").len(), 3, "and the others hear of it");
    session.shadow_copies.release(set.id).await.expect("it changes nothing");
}

async fn releasing_is_idempotent(bench: impl ShadowCopiesBench) {
    bench.put_file(&rel("f"), b"content");
    let session = Session::quiet(&bench).await;
    let set = session.make().await.expect("nothing goes wrong");
    assert_eq!(imaged(&session, &set.image, &rel("f")).await, Some(expected_in(&set.image, b"content")));
    for _ in 0..2 {
        session.shadow_copies.release(set.id).await.expect("released");
    }
    let unknown = ShadowCopySetId(run(99).0);
    session.shadow_copies.release(unknown).await.expect("an unknown set is released");
    if let Image::Borrowed(_) = set.image {
        assert_eq!(imaged(&session, &set.image, &rel("f")).await, None, "the image has gone");
    }
}
