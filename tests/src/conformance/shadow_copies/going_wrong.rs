//! Sessions in which something goes wrong, and what follows.

use std::sync::Arc;
use std::time::Duration;

use backup_core::cancel::Cancel;
use backup_core::ports::shadow_copies::{
    Consistency, SQL_SERVER_WRITER, SessionLimits, ShadowCopyError, WantedComponent,
};
use tokio::time::timeout;

use super::super::{LIMIT, blocking, rel};
use super::session::{ORDER, Session, backwards, make_room};
use super::{End, SYSTEM_WRITER, ShadowCopiesBench, Trouble, UNSELECTABLE, assert_system_heard};
use crate::poll::poll_until;

/// A limit that something that hangs has reached soon.
const SHORT: Duration = Duration::from_millis(400);

pub(super) async fn a_veto_before_the_image_aborts_all(bench: impl ShadowCopiesBench) {
    for step in ["Identify", "PrepareBackup", "PrepareSnapshot", "Freeze"] {
        for writer in ORDER {
            let call = format!("{writer} {step}");
            make_room(&bench).await;
            let session = Session::failing_at(&bench, &call).await;
            let error = session.make().await.expect_err("one veto aborts all");
            let vetoed = matches!(&error, ShadowCopyError::Writer { step: at, writer: named, source }
                if *at == step && source.message == "no" && (step == "Identify" || named == writer));
            assert!(vetoed, "{call}: {error}");
            session.assert_failed(&call).await;
        }
    }
}

/// The system's own writer where the backend has one, else one of the suite.
async fn failing_in_system(bench: &dyn ShadowCopiesBench, step: &'static str) -> (Session, &'static str) {
    match bench.in_trouble(Trouble::Writer(step)) {
        Some(shadow_copies) => (Session::of(bench, shadow_copies).await, SYSTEM_WRITER),
        None => (Session::failing_at(bench, &format!("system {step}")).await, "system"),
    }
}

pub(super) async fn a_veto_of_the_system_aborts_all(bench: impl ShadowCopiesBench) {
    for step in ["Identify", "PrepareBackup", "PrepareSnapshot", "Freeze"] {
        make_room(&bench).await;
        let (session, name) = failing_in_system(&bench, step).await;
        let error = session.make().await.expect_err("one veto aborts all");
        let vetoed = matches!(&error, ShadowCopyError::Writer { step: at, writer, .. }
            if *at == step && (step == "Identify" || writer == name));
        assert!(vetoed && !error.is_retryable(), "{step}: {error}");
        session.assert_failed(step).await;
        assert_system_heard(&bench, End::Aborted);
    }
}

pub(super) async fn a_writer_that_panics_has_vetoed(bench: impl ShadowCopiesBench) {
    if !bench.outlives_panics() {
        return;
    }
    for step in ["Identify", "PrepareBackup", "PrepareSnapshot", "Freeze", "Thaw", "PostSnapshot"] {
        make_room(&bench).await;
        let call = format!("database {step}");
        let act = move |now: &str| if now == call { panic!("a bug of {call}") } else { Ok(()) };
        let session = Session::new(&bench, Arc::new(act), None).await;
        match session.make().await {
            Ok(set) => {
                assert!(["Thaw", "PostSnapshot"].contains(&step), "{step}: that is no moment");
                assert!(set.weaker.iter().any(|text| text.contains("a bug of database")), "{:?}", set.weaker);
                session.assert_all_let_go(step);
            }
            Err(error) => {
                assert!(matches!(&error, ShadowCopyError::Writer { step: at, .. } if *at == step), "{step}: {error}");
                session.assert_failed(step).await;
            }
        }
    }
}

pub(super) async fn a_fault_after_the_image_makes_it_weaker(bench: impl ShadowCopiesBench) {
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

pub(super) async fn a_wish_to_stop_aborts(bench: impl ShadowCopiesBench) {
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
        session.assert_failed(at).await;
    }
}

pub(super) async fn a_late_writer_aborts(bench: impl ShadowCopiesBench) {
    if !bench.keeps_limits() {
        return;
    }
    for (call, step) in [("database PrepareSnapshot", "PrepareSnapshot"), ("database Freeze", "Freeze")] {
        make_room(&bench).await;
        let mut session = Session::new(&bench, Arc::new(|_| Ok(())), Some(call)).await;
        session.request.limits = SessionLimits { rest: SHORT, freeze: SHORT, ..SessionLimits::default() };
        let error = session.make().await.expect_err("it hangs");
        let late = matches!(&error, ShadowCopyError::Deadline { step: at, .. } if at.contains(step));
        assert!(late, "{call}: {error}");
        session.assert_failed(call).await;
    }
}

pub(super) async fn an_image_that_fails_aborts(bench: impl ShadowCopiesBench) {
    for trouble in [Trouble::NoRoom, Trouble::BusyDisks] {
        let Some(shadow_copies) = bench.in_trouble(trouble) else { continue };
        make_room(&bench).await;
        let session = Session::of(&bench, shadow_copies).await;
        let error = session.make().await.expect_err("there is no image");
        let is_it = matches!(&error, ShadowCopyError::Provider { is_retryable, .. }
            if *is_retryable == (trouble == Trouble::BusyDisks));
        assert!(is_it, "{trouble:?}: {error}");
        assert_eq!(session.called("Thaw"), backwards(), "{trouble:?}: it came to the image");
        session.assert_failed(&format!("{trouble:?}")).await;
        assert_system_heard(&bench, End::Aborted);
        session.prepare().await.expect("there is room for the next").abort().await;
    }
}

pub(super) async fn an_image_that_never_comes_aborts(bench: impl ShadowCopiesBench) {
    let Some(shadow_copies) = bench.in_trouble(Trouble::Never).filter(|_| bench.keeps_limits()) else { return };
    let mut session = Session::of(&bench, shadow_copies).await;
    session.request.limits.freeze = SHORT;
    let error = session.make().await.expect_err("the window is over");
    let is_it =
        matches!(&error, ShadowCopyError::Deadline { step, limit } if step.contains("provider") && *limit == SHORT);
    assert!(is_it, "{error}");
    assert_eq!(session.called("Thaw"), backwards(), "it came to the image");
    session.assert_failed("an image that never comes").await;
    assert_system_heard(&bench, End::Aborted);
    session.prepare().await.expect("there is room for the next").abort().await;
}

pub(super) async fn a_session_of_another_program_is_told_as_such(bench: impl ShadowCopiesBench) {
    let Some(shadow_copies) = bench.in_trouble(Trouble::AnotherProgram) else { return };
    let session = Session::of(&bench, shadow_copies).await;
    let error = session.make().await.expect_err("one session at a time on a machine");
    assert!(matches!(error, ShadowCopyError::InProgress { .. }) && error.is_retryable(), "{error}");
    assert_eq!(session.called("PrepareSnapshot"), [""; 0], "the site was left at work");
    session.assert_failed("another program's session").await;
}

pub(super) async fn a_component_that_cannot_be_had_is_refused(bench: impl ShadowCopiesBench) {
    let (logical_path, unselectable) = UNSELECTABLE;
    for name in [unselectable, "Not offered"] {
        make_room(&bench).await;
        let mut session = Session::quiet(&bench).await;
        session.request.components = vec![WantedComponent {
            writer: SQL_SERVER_WRITER,
            writer_name: "SqlServerWriter".to_owned(),
            logical_path: logical_path.to_owned(),
            name: name.to_owned(),
            known: vec![bench.root().join(&rel("no file of any component"))],
            remedy: "there is none".to_owned(),
        }];
        let error = session.make().await.expect_err("it would be left out without a word");
        let is_it = matches!(&error, ShadowCopyError::Component { component, .. } if component.contains(name));
        assert!(is_it, "{error}");
        assert_eq!(session.called("PrepareSnapshot"), [""; 0], "{name}: the site was left at work");
        session.assert_failed(name).await;
    }
}

pub(super) async fn a_commit_that_nobody_waits_for_is_carried_through(bench: impl ShadowCopiesBench) {
    if !bench.keeps_limits() {
        return;
    }
    let mut session = Session::new(&bench, Arc::new(|_| Ok(())), Some("database Freeze")).await;
    session.request.limits.freeze = SHORT;
    let prepared = session.prepare().await.expect("nothing goes wrong");
    let _elapsed = timeout(SHORT / 4, prepared.commit()).await.expect_err("a Freeze hangs");
    let session = Arc::new(session);
    let all = Arc::clone(&session);
    let aborted = move || poll_until(LIMIT, || (all.called("Abort").len() == 3).then_some(()));
    blocking(aborted).await.expect("everybody is set going all the same");
    session.assert_all_let_go("nobody waits");
}

pub(super) async fn a_failed_set_leaves_room_for_the_next(bench: impl ShadowCopiesBench) {
    let failing = Session::failing_at(&bench, "database Freeze").await;
    failing.make().await.expect_err("a veto");
    let shadow_copies = Arc::clone(&failing.shadow_copies);
    // With it goes the staging folder's last user.
    drop(failing);
    make_room(&bench).await;
    let next = Session::of(&bench, shadow_copies).await;
    next.prepare().await.expect("there is room").abort().await;
    let last = next.make().await.expect("and after an abort");
    assert_eq!(last.consistency, Consistency::Application);
}

pub(super) async fn faults_at_the_end_are_told(bench: impl ShadowCopiesBench) {
    let session = Session::failing_at(&bench, "site BackupComplete").await;
    a_fault_at_the_end_is_told(&session).await;
}

pub(super) async fn a_fault_of_the_system_at_the_end_is_told(bench: impl ShadowCopiesBench) {
    let (session, _) = failing_in_system(&bench, "BackupComplete").await;
    a_fault_at_the_end_is_told(&session).await;
}

async fn a_fault_at_the_end_is_told(session: &Session) {
    let set = session.make().await.expect("nothing goes wrong");
    let faults = session.shadow_copies.complete(set.id, true).await;
    let told = matches!(&faults[..], [ShadowCopyError::Writer { step: "BackupComplete", .. }]);
    assert!(told, "{faults:?}");
    assert_eq!(session.called("BackupComplete").len(), 3, "and the others hear of it");
    session.shadow_copies.release(set.id).await.expect("it changes nothing");
}
