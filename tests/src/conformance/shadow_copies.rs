//! The contract of [`ShadowCopies`], and with it of how [`Writer`]s are called.

use std::sync::Arc;

use backup_core::manifest::ContentHash;
use backup_core::path::RelPath;
use backup_core::ports::shadow_copies::{
    BACKUP_DOCUMENT, Clones, Consistency, Image, PreparedSet, ShadowCopies, ShadowCopyError, ShadowCopySetId, Writer,
    writer_document,
};

use super::destination::DestinationBench;
use super::{blocking, content_of, read_all, rel, run, run_checks, seal};
use going_wrong::{
    a_commit_that_nobody_waits_for_is_carried_through, a_component_that_cannot_be_had_is_refused,
    a_failed_set_leaves_room_for_the_next, a_fault_after_the_image_makes_it_weaker,
    a_fault_of_the_system_at_the_end_is_told, a_late_writer_aborts, a_session_of_another_program_is_told_as_such,
    a_veto_before_the_image_aborts_all, a_veto_of_the_system_aborts_all, a_wish_to_stop_aborts,
    a_writer_that_panics_has_vetoed, an_image_that_fails_aborts, an_image_that_never_comes_aborts,
    faults_at_the_end_are_told,
};
pub(super) use session::Deaf;
use session::{ORDER, Session, WRITERS, backwards, class_of, make_room};

mod going_wrong;
mod session;

const _: fn(&dyn ShadowCopies) = |_| ();
const _: fn(&dyn PreparedSet) = |_| ();
const _: fn(&dyn Writer) = |_| ();

/// The logical path and the name of a component of SQL Server's writer, where a bench has that: it cannot be selected.
pub const UNSELECTABLE: (&str, &str) = ("BENCH", "Unselectable");

/// What goes wrong elsewhere than in a writer of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Another program is making a set.
    AnotherProgram,
    /// There is no room for the image when it is taken.
    NoRoom,
    /// The disks are too busy for it this time.
    BusyDisks,
    /// Taking the image never ends.
    Never,
    /// A writer of the system, named [`SYSTEM_WRITER`], fails at this step.
    Writer(&'static str),
}

/// The writer of the system that fails.
pub const SYSTEM_WRITER: &str = "SMS Writer";

/// What writers of the system hear at the end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All that was selected of them has been backed up.
    Succeeded,
    /// None of it has.
    Failed,
    /// There is no backup.
    Aborted,
}

/// Shadow copies to try, of the bench's site.
pub trait ShadowCopiesBench: DestinationBench {
    /// The shadow copies.
    fn shadow_copies(&self) -> Arc<dyn ShadowCopies>;
    /// Whether limits are kept; where time does not pass nothing can be late.
    fn keeps_limits(&self) -> bool;
    /// Whether a writer that panics is one that failed.
    fn outlives_panics(&self) -> bool;
    /// Shadow copies in trouble, which stays; `None` where it cannot come about.
    fn in_trouble(&self, trouble: Trouble) -> Option<Arc<dyn ShadowCopies>>;
    /// How the last session ended for writers of the system; `None` where there are no such writers.
    ///
    /// # Panics
    /// When they have heard of no end, or when only some of what was selected was told to be backed up.
    fn end_for_system(&self) -> Option<End>;
}

/// Checks shadow copies.
pub async fn suite<B: ShadowCopiesBench>(make: impl Fn() -> B) {
    run_checks!(make: writers_are_called_in_their_order, the_set_and_each_writer_have_a_document, the_image_is_of_the_moment_of_the_freeze,
        a_veto_before_the_image_aborts_all, a_veto_of_the_system_aborts_all, a_writer_that_panics_has_vetoed,
        a_fault_after_the_image_makes_it_weaker, a_wish_to_stop_aborts, a_late_writer_aborts,
        an_image_that_fails_aborts, an_image_that_never_comes_aborts, a_session_of_another_program_is_told_as_such,
        a_component_that_cannot_be_had_is_refused, an_abort_sets_the_site_going,
        a_commit_that_nobody_waits_for_is_carried_through, one_set_at_a_time, a_failed_set_leaves_room_for_the_next,
        without_writers_less_is_promised, writers_hear_how_it_ended_once, a_set_that_is_released_has_not_succeeded,
        faults_at_the_end_are_told, a_fault_of_the_system_at_the_end_is_told, releasing_is_idempotent);
}

fn assert_system_heard(bench: &dyn ShadowCopiesBench, end: End) {
    assert!(bench.end_for_system().is_none_or(|heard| heard == end), "the system's writers should hear {end:?}");
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

async fn an_abort_sets_the_site_going(bench: impl ShadowCopiesBench) {
    let session = Session::quiet(&bench).await;
    session.prepare().await.expect("nothing goes wrong").abort().await;
    session.assert_failed("aborted").await;
    assert_system_heard(&bench, End::Aborted);
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

async fn without_writers_less_is_promised(bench: impl ShadowCopiesBench) {
    bench.put_file(&rel("f"), b"content");
    let mut session = Session::quiet(&bench).await;
    session.request.writers.clear();
    let set = session.make().await.expect("nobody can veto");
    assert!(set.consistency < Consistency::Application, "nobody was frozen");
    assert!(!set.weaker.is_empty(), "and it is told");
}

async fn writers_hear_how_it_ended_once(bench: impl ShadowCopiesBench) {
    for (succeeded, heard, end) in [(true, "BackupComplete", End::Succeeded), (false, "BackupFailed", End::Failed)] {
        make_room(&bench).await;
        let session = Session::quiet(&bench).await;
        let set = session.make().await.expect("nothing goes wrong");
        assert!(session.shadow_copies.complete(set.id, succeeded).await.is_empty());
        drop(session.shadow_copies.complete(set.id, succeeded).await);
        assert_system_heard(&bench, end);
        let mut writers = session.called(heard);
        writers.sort();
        assert_eq!(writers, ["database", "site", "system"], "each of them once");
    }
}

async fn a_set_that_is_released_has_not_succeeded(bench: impl ShadowCopiesBench) {
    let session = Session::quiet(&bench).await;
    let set = session.make().await.expect("nothing goes wrong");
    session.shadow_copies.release(set.id).await.expect("released");
    assert!(session.shadow_copies.complete(set.id, true).await.is_empty());
    assert_eq!(session.called("BackupComplete"), [""; 0], "what nobody vouched for in time has not succeeded");
    assert_system_heard(&bench, End::Aborted);
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
