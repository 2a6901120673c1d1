use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::ports::shadow_copies::{
    BACKUP_DOCUMENT, Consistency, SessionLimits, ShadowCopies, ShadowCopyError, ShadowCopySet, ShadowCopySetId, Writer,
    WriterError, WriterLevel, WriterMetadata, writer_document,
};
use proptest::prelude::{Strategy, prop_oneof};
use proptest::strategy::Just;
use uuid::Uuid;

use super::scripted::{Bench, Script, Trace, WRITERS, Wrong, writers};
use crate::documents::{BackupDocument, WriterDocument};

async fn session(bench: &Bench) -> Result<ShadowCopySet, ShadowCopyError> {
    let request = bench.request(writers(&bench.script)).await;
    bench.coordinator.prepare(request).await?.commit().await
}

/// What must hold after every session, however it went.
fn assert_all_let_go(trace: &Trace) {
    let lines = trace.lines();
    for (writer, _) in WRITERS {
        let count = |step: &str| trace.count(&format!("{writer} {step}"));
        let position = |step: &str| trace.position(&format!("{writer} {step}"));
        assert_eq!(count("Freeze"), count("Thaw"), "{writer} is thawed once if it was frozen: {lines:?}");
        assert!(position("Thaw") >= position("Freeze"), "{lines:?}");
        if count("PrepareSnapshot") == 1 {
            let going = position("PostSnapshot").or(position("Abort"));
            assert!(going > position("Thaw").or(position("PrepareSnapshot")), "{writer} is set going: {lines:?}");
        }
        if count("PostSnapshot") == 0 {
            assert_eq!(count("PrepareBackup"), count("Abort"), "{writer} hears of the end: {lines:?}");
        }
    }
    let thaws = lines.iter().rposition(|line| line.ends_with(" Thaw"));
    let going = lines.iter().position(|line| line.ends_with(" PostSnapshot") || line.ends_with(" Abort"));
    assert!(thaws < going || thaws.is_none(), "all are thawed before the first is set going: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_calls_everybody_in_order() {
    let bench = Bench::new(Script::default());
    let set = session(&bench).await.expect("nothing goes wrong");
    assert_eq!(set.consistency, Consistency::Application);
    assert_eq!(set.weaker, [""; 0]);
    assert_eq!(set.provider, "scripted");
    assert_eq!(set.frozen_at.to_string(), "2026-03-01T03:00:00.2Z", "the moment before the first Freeze");
    let there = |step: &str| ["site", "db", "sys"].map(|writer| format!("{writer} {step}")).to_vec();
    let back = |step: &str| ["sys", "db", "site"].map(|writer| format!("{writer} {step}")).to_vec();
    let line = |line: &str| vec![line.to_owned()];
    let expected = [
        // Levels are known only after Identify.
        ["sys", "site", "db"].map(|writer| format!("{writer} Identify")).to_vec(),
        there("PrepareBackup"),
        line("PreCopy"),
        line("provider prepare"),
        line("Stopping"),
        there("PrepareSnapshot"),
        line("provider settle"),
        line("Frozen"),
        there("Freeze"),
        line("provider commit"),
        back("Thaw"),
        line("Thawed"),
        line("provider look"),
        line("Starting"),
        back("PostSnapshot"),
    ];
    assert_eq!(bench.script.trace.lines(), expected.concat());
    let states: Vec<u8> = bench.coordinator.writers().iter().map(|writer| writer.state.number()).collect();
    assert_eq!(states, [5, 5, 5]);

    bench.script.trace.clear();
    assert!(bench.coordinator.complete(set.id, true).await.is_empty());
    assert_eq!(bench.script.trace.lines(), [back("BackupComplete"), line("provider complete")].concat());
    bench.script.trace.clear();
    assert!(bench.coordinator.complete(set.id, true).await.is_empty());
    assert_eq!(bench.script.trace.lines(), [""; 0], "nobody hears it twice");
}

#[tokio::test(start_paused = true)]
async fn the_documents_name_the_set_and_its_writers() {
    let bench = Bench::new(Script::default());
    let set = session(&bench).await.expect("nothing goes wrong");
    let [(name, bytes), of_writers @ ..] = &set.documents[..] else { panic!("no document") };
    assert_eq!(name, BACKUP_DOCUMENT);
    let document = BackupDocument::parse(bytes).expect("our own document");
    assert_eq!(document.set, Some(set.id.0));
    let names: Vec<_> = document.writers.iter().map(|writer| writer.name.as_deref()).collect();
    assert_eq!(names, [Some("sys"), Some("site"), Some("db")]);
    assert_eq!(document.writers[2].components[0].name, "db <&\"> component");
    assert!(document.writers[2].components[0].database);
    assert_eq!(of_writers.len(), document.writers.len());
    for ((name, bytes), writer) in of_writers.iter().zip(&document.writers) {
        assert_eq!(*name, writer_document(writer.id, 0));
        let own = WriterDocument::parse(bytes).expect("our own document");
        assert_eq!((own.instance, own.metadata.id), (writer.instance, writer.id));
        assert_eq!(own.metadata.components[0].name, writer.components[0].name);
    }
}

/// Every way of going wrong at every call before the image is good.
#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_everybody_is_thawed_and_set_going() {
    let steps = ["Identify", "PrepareBackup", "PrepareSnapshot", "Freeze"];
    let mut calls: Vec<String> =
        WRITERS.iter().flat_map(|(writer, _)| steps.map(|step| format!("{writer} {step}"))).collect();
    calls.extend(["provider prepare", "provider settle", "provider commit", "provider look"].map(str::to_owned));
    for call in calls {
        for wrong in [Wrong::Veto, Wrong::Hang, Wrong::Panic, Wrong::Cancel] {
            if (call.as_str(), wrong) == ("provider prepare", Wrong::Hang) {
                continue; // It has no limit: the site works meanwhile, and the run can be cancelled.
            }
            let bench = Bench::new(Script::default().at(call.clone(), wrong));
            let error = session(&bench).await.expect_err("one veto aborts all");
            assert_all_let_go(&bench.script.trace);
            assert_eq!(
                bench.script.trace.count("provider release"),
                1,
                "{call} {wrong:?}: what was imaged is let go of"
            );
            let at = format!("{call} {wrong:?}: {error}");
            match wrong {
                Wrong::Cancel => assert!(matches!(error, ShadowCopyError::Cancelled), "{at}"),
                Wrong::Hang => assert!(matches!(error, ShadowCopyError::Deadline { .. }), "{at}"),
                _ if call.starts_with("provider") => assert!(matches!(error, ShadowCopyError::Provider { .. }), "{at}"),
                _ => {
                    let (writer, step) = call.split_once(' ').expect("two words");
                    let ShadowCopyError::Writer { writer: named, step: at_step, .. } = error else { panic!("{at}") };
                    assert_eq!(step, at_step);
                    assert!(named == writer || step == "Identify", "{at}");
                }
            }
            let next = bench.coordinator.prepare(bench.request(Vec::new()).await).await;
            assert!(!matches!(next, Err(ShadowCopyError::InProgress { .. })), "{at}: the next set can be made");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_image_makes_the_set_weaker() {
    for step in ["Thaw", "PostSnapshot"] {
        for wrong in [Wrong::Veto, Wrong::Hang, Wrong::Panic] {
            let bench = Bench::new(Script::default().at(format!("db {step}"), wrong));
            let set = session(&bench).await.expect("the image is good");
            assert_eq!(set.consistency, Consistency::Application);
            let [weaker] = &set.weaker[..] else { panic!("{:?}", set.weaker) };
            assert!(weaker.contains("`db`") && weaker.contains(step), "{weaker}");
            assert_all_let_go(&bench.script.trace);
            for (writer, _) in WRITERS {
                assert_eq!(bench.script.trace.count(&format!("{writer} PostSnapshot")), 1);
            }
            let second_chance = usize::from(step == "PostSnapshot");
            assert_eq!(bench.script.trace.count("db Abort"), second_chance);
            assert_eq!(bench.script.trace.count("site Abort"), 0);
            assert!(bench.coordinator.complete(set.id, true).await.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_cannot_start_again_is_told_twice() {
    let script = Script::default().at("site PostSnapshot", Wrong::Veto).at("site Abort", Wrong::Veto);
    let set = session(&Bench::new(script)).await.expect("the image is good");
    assert_eq!(set.weaker, ["writer `site` failed in PostSnapshot: no; Abort failed too: no"]);
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_stop_inside_the_window_aborts() {
    for call in ["sys Freeze", "provider commit", "site Thaw", "provider look"] {
        let bench = Bench::new(Script::default().at(call, Wrong::Cancel));
        let error = session(&bench).await.expect_err("somebody wished it");
        assert!(matches!(error, ShadowCopyError::Cancelled), "{call}: {error}");
        assert_all_let_go(&bench.script.trace);
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_took_too_long_is_no_image() {
    // The first Thaw hangs for all of its share, and so the window closes late.
    let bench = Bench::new(Script::default().at("sys Thaw", Wrong::Hang));
    let mut request = bench.request(writers(&bench.script)).await;
    request.limits.freeze = Duration::from_secs(3);
    let prepared = bench.coordinator.prepare(request).await.expect("nothing is wrong yet");
    let error = prepared.commit().await.expect_err("too late");
    assert_eq!(error.to_string(), "the freeze window took longer than 3s");
    assert_all_let_go(&bench.script.trace);
}

#[tokio::test(start_paused = true)]
async fn a_thaw_that_hangs_leaves_the_others_their_share() {
    let bench = Bench::new(Script::default().at("sys Thaw", Wrong::Hang).at("db Thaw", Wrong::Hang));
    let set = session(&bench).await.expect("a third of the window each");
    assert_eq!(set.weaker.len(), 2);
    assert!(set.freeze_window < SessionLimits::default().freeze, "{:?}", set.freeze_window);
}

#[tokio::test(start_paused = true)]
async fn coming_to_rest_has_a_limit_of_its_own() {
    let bench = Bench::new(Script::default().at("db PrepareSnapshot", Wrong::Hang));
    let mut request = bench.request(writers(&bench.script)).await;
    request.limits.rest = Duration::from_secs(20);
    let error = bench.coordinator.prepare(request).await.expect_err("it hangs");
    assert_eq!(error.to_string(), "PrepareSnapshot of writer `db` took longer than 20s");
    assert_all_let_go(&bench.script.trace);
}

/// As in another process: it shares nothing with the first one but the file.
#[tokio::test(start_paused = true)]
async fn only_one_set_is_in_the_making_on_a_machine() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let machine = || {
        let mut bench = Bench::new(Script::default());
        bench.coordinator = bench.coordinator.one_on_machine(scratch.path().join("session.lock"));
        bench
    };
    let (one, other) = (machine(), machine());
    let first = one.coordinator.prepare(one.request(Vec::new()).await).await.expect("the first one");
    let error =
        other.coordinator.prepare(other.request(Vec::new()).await).await.expect_err("another one is being made");
    assert!(matches!(error, ShadowCopyError::InProgress { .. }));
    #[cfg(unix)]
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    first.commit().await.expect("nothing goes wrong");
    other.coordinator.prepare(other.request(Vec::new()).await).await.expect("there is room again").abort().await;
    let nowhere = one.coordinator.one_on_machine(scratch.path().join("none/session.lock"));
    let error = nowhere.prepare(other.request(Vec::new()).await).await.expect_err("no such folder");
    assert!(matches!(error, ShadowCopyError::Lock { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn only_one_set_is_in_the_making() {
    let bench = Bench::new(Script::default());
    let first = bench.coordinator.prepare(bench.request(Vec::new()).await).await.expect("the first one");
    let second = bench.coordinator.prepare(bench.request(Vec::new()).await).await;
    assert!(matches!(second, Err(ShadowCopyError::InProgress { .. })));
    let set = first.commit().await.expect("nothing goes wrong");
    let third = bench.coordinator.prepare(bench.request(Vec::new()).await).await.expect("the first one is made");
    third.abort().await;
    drop(bench.coordinator.prepare(bench.request(Vec::new()).await).await.expect("the third one is aborted"));
    bench.coordinator.release(set.id).await.expect("it is known");
    bench.coordinator.release(set.id).await.expect("releasing is idempotent");
    bench.coordinator.release(ShadowCopySetId(Uuid::nil())).await.expect("an unknown set is released");
}

#[tokio::test(start_paused = true)]
async fn an_abort_sets_everybody_going() {
    let bench = Bench::new(Script::default());
    let request = bench.request(writers(&bench.script)).await;
    bench.coordinator.prepare(request).await.expect("nothing goes wrong").abort().await;
    assert_all_let_go(&bench.script.trace);
    assert_eq!(bench.script.trace.count("site Freeze"), 0);
}

#[tokio::test(start_paused = true)]
async fn without_writers_an_image_is_crash_consistent_at_most() {
    let bench = Bench::new(Script::default());
    let request = bench.request(Vec::new()).await;
    let set = bench.coordinator.prepare(request).await.expect("nothing to veto").commit().await.expect("an image");
    assert_eq!((set.consistency, set.weaker), (Consistency::Crash, vec!["no writer was frozen".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_commit_is_carried_through() {
    let bench = Bench::new(Script::default().at("sys Freeze", Wrong::Hang));
    let request = bench.request(writers(&bench.script)).await;
    let prepared = bench.coordinator.prepare(request).await.expect("nothing goes wrong");
    let _elapsed = tokio::time::timeout(Duration::from_secs(1), prepared.commit()).await.expect_err("a Freeze hangs");
    assert_eq!(bench.script.trace.count("site Thaw"), 0);
    tokio::time::advance(SessionLimits::default().freeze).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.script.trace.count("site Abort"), 1);
    assert_all_let_go(&bench.script.trace);
}

/// A writer whose Freeze blocks its thread until it is thawed.
#[derive(Debug)]
struct Blocking {
    release: Sender<()>,
    released: std::sync::Mutex<Receiver<()>>,
}

#[async_trait]
impl Writer for Blocking {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let name = "blocking".to_owned();
        Ok(WriterMetadata { id: Uuid::nil(), name, level: WriterLevel::FrontEnd, ..WriterMetadata::default() })
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        self.released.lock().unwrap().recv().expect("the writer lives");
        Ok(())
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        self.release.send(()).expect("the writer lives");
        Ok(())
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn abort(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_blocks_its_thread_is_thawed_too() {
    let bench = Bench::new(Script::default());
    let (release, released) = channel();
    let mut request = bench.request(vec![Arc::new(Blocking { release, released: released.into() })]).await;
    request.limits.freeze = Duration::from_millis(50);
    let prepared = bench.coordinator.prepare(request).await.expect("nothing goes wrong");
    let error = prepared.commit().await.expect_err("Freeze does not return");
    assert_eq!(error.to_string(), "Freeze of writer `blocking` took longer than 50ms");
}

fn any_wrongs() -> impl Strategy<Value = Vec<(usize, &'static str, Wrong)>> {
    let step = proptest::sample::select(vec![
        "Identify",
        "PrepareBackup",
        "PrepareSnapshot",
        "Freeze",
        "Thaw",
        "PostSnapshot",
        "Abort",
    ]);
    let wrong = prop_oneof![Just(Wrong::Veto), Just(Wrong::Hang), Just(Wrong::Panic), Just(Wrong::Cancel)];
    proptest::collection::vec((0..WRITERS.len(), step, wrong), 1..5)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(200))]

    #[test]
    fn several_faults_at_once_leave_nobody_frozen(wrongs in any_wrongs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut script = Script::default();
            for (writer, step, wrong) in wrongs {
                script = script.at(format!("{} {step}", WRITERS[writer].0), wrong);
            }
            let bench = Bench::new(script);
            drop(session(&bench).await);
            assert_all_let_go(&bench.script.trace);
        });
    }
}
