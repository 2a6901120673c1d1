use backup_core::ports::shadow_copies::{WriterLevel, WriterMetadata};
use uuid::Uuid;

use crate::session::{Session, Step, WriterState};

const STEPS: [Step; 11] = [
    Step::Identify,
    Step::PrepareBackup,
    Step::PrepareSnapshot,
    Step::Freeze,
    Step::Commit,
    Step::Thaw,
    Step::PostSnapshot,
    Step::BackupComplete,
    Step::Abort,
    Step::PreRestore,
    Step::PostRestore,
];

fn session_at(path: &[Step]) -> Session {
    let mut session = Session::new(1);
    path.iter().for_each(|step| session.begin(*step).expect("a legal path"));
    session
}

/// The steps that may come after `path`.
fn next(path: &[Step]) -> Vec<&'static str> {
    let legal = |step: &&Step| session_at(path).begin(**step).is_ok();
    STEPS.iter().filter(legal).map(|step| step.name()).collect()
}

#[test]
fn each_step_has_its_successors() {
    use Step::{
        Abort, BackupComplete, Commit, Freeze, Identify, PostRestore, PostSnapshot, PreRestore, PrepareBackup,
        PrepareSnapshot, Thaw,
    };
    let path = [Identify, PrepareBackup, PrepareSnapshot, Freeze, Commit, Thaw, PostSnapshot, BackupComplete];
    assert_eq!(next(&[]), ["Identify"]);
    assert_eq!(next(&path[..1]), ["PrepareBackup", "Abort", "PreRestore"]);
    assert_eq!(next(&path[..2]), ["PrepareSnapshot", "Abort"]);
    assert_eq!(next(&path[..3]), ["Freeze", "Abort"]);
    assert_eq!(next(&path[..4]), ["Commit", "Thaw"]);
    assert_eq!(next(&path[..5]), ["Thaw"]);
    assert_eq!(next(&path[..6]), ["PostSnapshot", "Abort"]);
    assert_eq!(next(&path[..7]), ["BackupComplete", "Abort"]);
    assert_eq!(next(&path[..8]), [""; 0]);
    assert_eq!(next(&[Identify, Abort]), [""; 0]);
    assert_eq!(next(&[Identify, PrepareBackup, PrepareSnapshot, Freeze, Thaw]), ["PostSnapshot", "Abort"]);
    assert_eq!(next(&[Identify, PreRestore]), ["PostRestore"]);
    assert_eq!(next(&[Identify, PreRestore, PostRestore]), [""; 0]);
}

#[test]
fn a_wrong_step_leaves_the_session_where_it_was() {
    let mut session = session_at(&[Step::Identify]);
    assert_eq!(session.begin(Step::Thaw).unwrap_err().to_string(), "Thaw is not possible now");
    assert_eq!(session.step(), Some(Step::Identify));
}

#[test]
fn a_call_belongs_to_its_step() {
    let session = session_at(&[Step::Identify]);
    session.within(Step::Identify, "AddComponent").expect("its step");
    let error = session.within(Step::PostSnapshot, "SetBackupSucceeded").unwrap_err();
    assert_eq!(error.to_string(), "SetBackupSucceeded is not possible now");
    Session::new(0).within(Step::Identify, "AddComponent").expect_err("nothing was begun");
}

#[test]
fn writer_states_have_the_numbers_of_vss() {
    let mut session = Session::new(1);
    let mut seen = Vec::new();
    for step in &STEPS[..8] {
        session.begin(*step).expect("the next step");
        if *step != Step::Commit {
            session.call(0).expect("a first call");
            session.returned(0, true);
        }
        seen.push(session.writers()[0].state.number());
    }
    assert_eq!(seen, [1, 1, 2, 3, 3, 4, 5, 1]);
    let failed = |path: &[Step]| {
        let mut session = session_at(path);
        session.call(0).expect("a first call");
        session.returned(0, false);
        session.writers()[0].state.number()
    };
    assert_eq!(failed(&STEPS[..1]), 6);
    assert_eq!(failed(&STEPS[..3]), 8);
    assert_eq!(failed(&STEPS[..4]), 9);
    assert_eq!(failed(&STEPS[..6]), 10);
    assert_eq!(failed(&STEPS[..7]), 11);
    assert_eq!(failed(&[Step::Identify, Step::PreRestore]), 13);
    assert_eq!(failed(&[Step::Identify, Step::PreRestore, Step::PostRestore]), 14);
}

#[test]
fn a_failure_stays() {
    let mut session = session_at(&STEPS[..2]);
    session.call(0).expect("a first call");
    session.returned(0, false);
    session.begin(Step::Abort).expect("after PrepareBackup");
    session.call(0).expect("a first call");
    session.returned(0, true);
    assert_eq!(session.writers()[0].state, WriterState::FailedAtPrepareBackup);
    assert!(session.writers()[0].state.is_failed());
}

#[test]
fn nobody_is_called_twice_or_at_the_wrong_time() {
    let mut session = Session::new(1);
    session.call(0).expect_err("before Identify");
    session.begin(Step::Identify).expect("the first step");
    session.call(0).expect("a first call");
    session.call(0).expect_err("a second call");
    let mut session = session_at(&STEPS[..5]);
    session.call(0).expect_err("the provider's step");
}

#[test]
fn writers_are_called_by_level_and_back_in_reverse() {
    let levels = [WriterLevel::System, WriterLevel::FrontEnd, WriterLevel::BackEnd];
    let mut session = Session::new(3);
    for (index, level) in levels.into_iter().enumerate() {
        let metadata =
            WriterMetadata { id: Uuid::nil(), name: format!("w{index}"), level, ..WriterMetadata::default() };
        session.identified(index, &metadata);
    }
    for (step, order) in STEPS.iter().zip([[0, 1, 2], [1, 2, 0], [1, 2, 0], [1, 2, 0]]) {
        session.begin(*step).expect("the next step");
        if *step != Step::Identify {
            assert_eq!(session.to_call(), order);
        }
    }
    // The third writer never was frozen, so it is not thawed.
    session.call(1).expect("a first call");
    session.call(2).expect("a first call");
    session.begin(Step::Thaw).expect("after Freeze");
    assert_eq!(session.to_call(), [2, 1]);
    // Nor was it told to get out of the way, so it hears no end of it.
    let mut restore = session_at(&[]);
    restore.begin(Step::Identify).expect("the first step");
    restore.begin(Step::PreRestore).expect("the next step");
    assert_eq!(restore.to_call(), [0]);
    restore.begin(Step::PostRestore).expect("the next step");
    assert_eq!(restore.to_call(), [0; 0]);
}
