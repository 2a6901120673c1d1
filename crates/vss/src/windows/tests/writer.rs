//! A writer of ours that VSS calls, the stand-in being its coordinator.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_core::copy::chain;
use backup_core::event::{Event, EventSink};
use backup_core::ports::shadow_copies::{
    Component, FileSpec, RestoreMethod, SMS_WRITER, SessionLimits, ShadowCopies, ShadowCopyError, Writer, WriterError,
    WriterMetadata,
};

use super::super::{WriterHost, WriterOptions};
use super::stand_in::{Site, StandIn};

const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Veto,
    Passing,
    Panic,
    Hang,
}

/// Logs its callbacks where the stand-in logs what it hears, and what the host tells; one callback goes wrong.
#[derive(Debug, Clone)]
struct Actor {
    stand_in: Arc<StandIn>,
    wrong: Option<(&'static str, Wrong)>,
}

impl Actor {
    async fn step(&self, step: &str) -> Result<(), WriterError> {
        self.stand_in.add(&format!("site {step}"));
        let fails = |is_retryable| Err(WriterError { is_retryable, ..WriterError::new("no") });
        match self.wrong.filter(|(at, _)| *at == step).map(|(_, wrong)| wrong) {
            None => Ok(()),
            Some(Wrong::Veto) => fails(false),
            Some(Wrong::Passing) => fails(true),
            Some(Wrong::Panic) => panic!("as the script says"),
            Some(Wrong::Hang) => pending().await,
        }
    }
}

fn files(path: &str, spec: &str, recursive: bool) -> FileSpec {
    FileSpec { path: path.to_owned(), spec: spec.to_owned(), recursive, alternate: None }
}

fn component(name: &str, database: bool, files: Vec<FileSpec>) -> Component {
    let (logical_path, name, caption) = ("P01".to_owned(), name.to_owned(), format!("{name} of P01"));
    Component { logical_path, name, caption, database, selectable: true, files, ..Component::default() }
}

#[async_trait]
impl Writer for Actor {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        self.step("Identify").await?;
        let components = vec![
            component("SiteServer", false, vec![files(r"C:\site\inboxes", "*", true), files(r"D:\data", "*", true)]),
            component("CM_P01", true, vec![files(r"C:\db", "CM_P01.db", false)]),
            component("Elsewhere", true, Vec::new()),
        ];
        let exclude = vec![files(r"C:\site\inboxes", "*.tmp", true), files(r"D:\data", "logs/**", false)];
        let restore = Some(RestoreMethod::default());
        let name = "SMS Writer".to_owned();
        Ok(WriterMetadata { id: SMS_WRITER, name, components, exclude, restore, ..WriterMetadata::default() })
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

impl EventSink for Actor {
    fn event(&self, event: &Event) {
        if let Event::Note(note) = event {
            self.stand_in.add(&format!("told {note}"));
            assert_ne!(self.wrong, Some(("told", Wrong::Panic)), "as the script says");
        }
    }
}

/// A stand-in with an actor that has it for a coordinator.
struct Stage {
    stand_in: Arc<StandIn>,
    actor: Actor,
    options: WriterOptions,
}

impl Stage {
    fn new(name: &str, script: &str, wrong: Option<(&'static str, Wrong)>) -> Self {
        let stand_in = Arc::new(StandIn::new(name, script));
        let short = Duration::from_millis(300);
        let hangs = matches!(wrong, Some((_, Wrong::Hang)));
        let limits = match hangs {
            true => SessionLimits { callback: short, rest: short, freeze: short },
            false => SessionLimits::default(),
        };
        let options = WriterOptions { limits, lock: None, library: Some(stand_in.library.clone()) };
        Self { actor: Actor { stand_in: Arc::clone(&stand_in), wrong }, stand_in, options }
    }

    async fn register(&self) -> Result<WriterHost, ShadowCopyError> {
        let actor = Arc::new(self.actor.clone());
        WriterHost::register(Arc::clone(&actor) as _, actor, self.options.clone()).await
    }

    /// Waits for a line.
    fn await_line(&self, line: &str) {
        let began = Instant::now();
        while !self.stand_in.lines().iter().any(|other| other == line) {
            assert!(began.elapsed() < LONG, "`{line}` is missing: {:#?}", self.stand_in.lines());
            std::thread::yield_now();
        }
    }

    /// All that is logged between the registration and the end of the play, without the description.
    async fn played(&self) -> Vec<String> {
        let host = self.register().await.expect("it registers");
        self.await_line("played");
        let lines = self.stand_in.lines();
        host.stop().await;
        let last = self.stand_in.lines();
        assert_eq!(last[last.len() - 3..], ["Unsubscribe", "Uninitialize", "Writer released"]);
        let is_play = |line: &&String| !line.starts_with("Add") && !line.starts_with("SetRestoreMethod");
        let begin = lines.iter().position(|line| line.starts_with("Subscribe")).expect("it subscribed");
        let end = lines.iter().position(|line| line == "played").expect("it was awaited");
        lines[begin + 1..end].iter().filter(is_play).cloned().collect()
    }
}

const WHOLE: &str = r"
play Identify
play PrepareBackup P01\SiteServer P01\CM_P01
play PrepareSnapshot
play Freeze
play Thaw
play PostSnapshot
play BackupComplete 1 P01\SiteServer P01\CM_P01
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_writer_is_called_slot_for_slot() {
    let stage = Stage::new("writer-whole", WHOLE, None);
    let host = stage.register().await.expect("it registers");
    assert_eq!(host.identified().name, "SMS Writer (sitebackup)");
    stage.await_line("played");
    host.stop().await;
    let lines = stage.stand_in.lines();
    let expect = [
        "Create",
        "Release, 0 left",
        "site Identify",
        "CreateWriter",
        "Initialize 03ba67dd 'SMS Writer (sitebackup)' - 0 0 3 3 3 60000 1 0",
        "Subscribe 0 2",
        "site Identify",
        "AddComponent 2 P01 SiteServer 'SiteServer of P01' 0 0 0 1 0 0",
        r"AddFilesToFileGroup P01 SiteServer C:\site\inboxes * 1 - f0f",
        r"AddFilesToFileGroup P01 SiteServer D:\data * 1 - f0f",
        "AddComponent 1 P01 CM_P01 'CM_P01 of P01' 0 0 0 1 0 0",
        r"AddDatabaseFiles P01 CM_P01 C:\db CM_P01.db f0f",
        r"AddExcludeFiles C:\site\inboxes *.tmp 1",
        "SetRestoreMethod 2 - - 1 0",
        "told Identify: 3 components",
        "Identify answered 1",
        "site Identify",
        "site PrepareBackup",
        r"told PrepareBackup: selected: `P01\SiteServer`, `P01\CM_P01`",
        "PrepareBackup answered 1",
        "site PrepareSnapshot",
        "told PrepareSnapshot: done",
        "PrepareSnapshot answered 1",
        "site Freeze",
        "told Freeze: done",
        "Freeze answered 1",
        "site Thaw",
        "told Thaw: done",
        "Thaw answered 1",
        "site PostSnapshot",
        "told PostSnapshot: done",
        "PostSnapshot answered 1",
        "site BackupComplete",
        "told BackupComplete: the backup succeeded",
        "BackupComplete answered 1",
        "played",
        "Unsubscribe",
        "Uninitialize",
        "Writer released",
    ];
    assert_eq!(lines, expect);
}

/// The events of a whole session, with what the writer's callback is called in it.
const EVENTS: [&str; 7] =
    ["Identify", "PrepareBackup", "PrepareSnapshot", "Freeze", "Thaw", "PostSnapshot", "BackupComplete"];

/// Has a callback go wrong: its event fails with `failure`, the site is told to abort, and what comes after in the session fails as well.
async fn check_wrong(at: &'static str, wrong: Wrong, failure: &str) {
    let name = format!("writer-{wrong:?}-{at}").to_lowercase();
    let script = WHOLE.replace("play Identify\n", "");
    let script = if at == "Identify" { WHOLE } else { &script };
    let stage = Stage::new(&name, script, Some((at, wrong)));
    if at == "Identify" {
        // Nothing is registered of a writer that does not know itself.
        let error = stage.register().await.expect_err("it cannot say what it owns");
        assert!(chain(&error).contains("failed to register the writer"), "{}", chain(&error));
        assert!(!stage.stand_in.lines().iter().any(|line| line == "CreateWriter"), "{:?}", stage.stand_in.lines());
        return;
    }
    let began = Instant::now();
    let host = stage.register().await.expect("it registers");
    stage.await_line("played");
    let is_last = at == "BackupComplete";
    if !is_last {
        stage.await_line("site Abort");
    }
    let lines = stage.stand_in.lines();
    host.stop().await;
    let place = EVENTS.iter().position(|event| *event == at).expect("an event");
    for (number, event) in EVENTS.iter().enumerate().skip(1) {
        // A failure is the session's until it is over; of its end the writer hears if it had a part in it.
        let well = number < place || (*event == "BackupComplete" && !is_last);
        let answered = format!("{event} answered {}", i32::from(well));
        assert!(lines.contains(&answered), "{name}: `{answered}` is missing: {lines:#?}");
        let called = lines.iter().filter(|line| **line == format!("site {event}")).count();
        assert_eq!(called, usize::from(number <= place), "{name}: {event}: {lines:#?}");
    }
    assert_eq!(lines.iter().filter(|line| *line == "site Abort").count(), usize::from(!is_last), "{name}: {lines:#?}");
    let told = lines.iter().filter(|line| **line == format!("SetWriterFailure {failure}")).count();
    let after = EVENTS.len() - 1 - place;
    assert_eq!(told, if is_last { 1 } else { after }, "{name}: {lines:#?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{name}: VSS waited for {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_veto_at_each_event_fails_it_and_sets_the_site_going() {
    for at in EVENTS {
        check_wrong(at, Wrong::Veto, "800423f4").await;
    }
    check_wrong("PrepareBackup", Wrong::Passing, "800423f3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_callback_is_a_failure() {
    for at in EVENTS {
        check_wrong(at, Wrong::Panic, "800423f4").await;
    }
}

/// What is not the port's may panic as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_beside_the_callback_does_not_reach_vss_either() {
    let stage = Stage::new("writer-panic-told", "play Identify\nplay Startup", Some(("told", Wrong::Panic)));
    let lines = stage.played().await;
    let expect =
        ["site Identify", "told Identify: 3 components", "Identify answered 0", "VSSApplicationStartup answered 1"];
    assert_eq!(lines, expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vss_waits_for_no_callback_beyond_its_limit() {
    for at in EVENTS {
        check_wrong(at, Wrong::Hang, "800423f2").await;
    }
}

async fn check(name: &str, script: &str, expect: &[&str]) {
    assert_eq!(Stage::new(name, script, None).played().await, expect, "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_selects_nothing_leaves_the_site_alone() {
    let whole = "play PrepareBackup\nplay PrepareSnapshot\nplay Freeze\nplay Thaw\nplay PostSnapshot\nplay BackupComplete 1\nplay Abort";
    let expect = [
        "told PrepareBackup: nothing is selected, so that the site goes on",
        "PrepareBackup answered 1",
        "PrepareSnapshot answered 1",
        "Freeze answered 1",
        "Thaw answered 1",
        "PostSnapshot answered 1",
        "BackupComplete answered 1",
        "Abort answered 1",
    ];
    check("writer-nothing", whole, &expect).await;
    let of_volumes = WHOLE.replace("play Identify\n", "whole-volumes\n") + "play Abort";
    check("writer-volumes", &of_volumes, &expect).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_without_all_that_was_selected_stops_no_service() {
    let script = r"
unaffected D:\
play PrepareBackup P01\SiteServer
play PrepareSnapshot
play wait C:\windows
play Freeze
play Abort
";
    let mut lines = Stage::new("writer-torn", script, None).played().await;
    // It comes by itself, and need not have come yet.
    lines.retain(|line| line != "site Abort");
    let torn = r"failed with VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT (0x800423F0): `D:\data` was selected, and its volume is not in the set";
    let expect = [
        "site Identify",
        "site PrepareBackup",
        r"told PrepareBackup: selected: `P01\SiteServer`",
        "PrepareBackup answered 1",
        "SetWriterFailure 800423f0",
        &format!("told PrepareSnapshot: {torn}"),
        "PrepareSnapshot answered 0",
        "SetWriterFailure 800423f0",
        &format!("told Freeze: {torn}"),
        "Freeze answered 0",
        "Abort answered 1",
    ];
    assert_eq!(lines, expect);
    // What was not selected need not be there.
    let script = "unaffected D:\\\nplay PrepareBackup P01\\CM_P01\nplay PrepareSnapshot\nplay Abort";
    let lines = Stage::new("writer-not-torn", script, None).played().await;
    assert!(lines.contains(&"PrepareSnapshot answered 1".to_owned()), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_the_site_does_not_have_is_refused() {
    let lines = Stage::new("writer-unknown", "play PrepareBackup P01\\Gone", None).played().await;
    let refusal = r"component `P01\Gone` was selected, and is none of the site's";
    let told = format!("told PrepareBackup: failed with VSS_E_WRITERERROR_NONRETRYABLE (0x800423F4): {refusal}");
    assert!(lines.contains(&told) && !lines.contains(&"site PrepareBackup".to_owned()), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_session_sets_the_site_going() {
    let events = ["PrepareBackup P01\\SiteServer", "PrepareSnapshot", "Freeze", "Thaw"];
    for end in ["Abort", "Shutdown"] {
        for count in 1..=events.len() {
            let begun: String = events[..count].iter().map(|event| format!("play {event}\n")).collect();
            let name = format!("writer-{end}-{count}").to_lowercase();
            let lines = Stage::new(&name, &format!("{begun}play {end}\nplay {end}"), None).played().await;
            let called = if end == "Shutdown" { "BackupShutdown" } else { end };
            let told = format!("told {called}: the site goes on");
            let answered = format!("{called} answered 1");
            let (told, answered) = (told.as_str(), answered.as_str());
            assert_eq!(lines[lines.len() - 4..], ["site Abort", told, answered, answered], "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writer_hears_that_a_backup_failed() {
    let script = WHOLE.replace("BackupComplete 1", "BackupComplete 0");
    let lines = Stage::new("writer-failed-backup", &script, None).played().await;
    let end = ["site BackupFailed", "told BackupComplete: the backup failed", "BackupComplete answered 1"];
    assert_eq!(lines[lines.len() - 3..], end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_nobodys_are_answered() {
    let script = "play Startup\nplay BackOff\nplay Continue\nplay PreRestore P01\\SiteServer\nplay PostRestore\nplay VssShutdown";
    let names = ["VSSApplicationStartup", "BackOffIOOnVolume", "ContinueIOOnVolume", "PreRestore", "PostRestore"];
    let expect: Vec<String> = names.iter().chain(&["VSSShutdown"]).map(|name| format!("{name} answered 1")).collect();
    assert_eq!(Stage::new("writer-others", script, None).played().await, expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_registration_that_fails() {
    let cases = [
        ("Create", "80004001", "CreateVssBackupComponents returned E_NOTIMPL"),
        ("CreateWriter", "80070005", "CreateWriter returned E_ACCESSDENIED"),
        ("Initialize", "80042302", "IVssWriterImpl::Initialize returned VSS_E_UNEXPECTED"),
        ("Subscribe", "8004231a", "IVssWriterImpl::Subscribe returned VSS_E_WRITER_ALREADY_SUBSCRIBED"),
    ];
    for (call, result, expect) in cases {
        let name = format!("writer-no-{call}").to_lowercase();
        let stage = Stage::new(&name, &format!("fail {call} {result}"), None);
        let error = chain(&stage.register().await.expect_err("it is refused"));
        assert!(
            error.starts_with("provider `vss` failed to register the writer: ") && error.contains(expect),
            "{error}"
        );
        let lines = stage.stand_in.lines();
        let count = |line: &str| lines.iter().filter(|other| *other == line).count();
        assert_eq!(count("Writer released"), usize::from(matches!(call, "Initialize" | "Subscribe")), "{lines:#?}");
        // Wine's own library ends the process there.
        assert_eq!(count("CreateWriter"), usize::from(call != "Create"), "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_ends_sets_the_site_going_and_fails_the_session() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let flag = folder.path().join("go");
    let script =
        format!("play PrepareBackup P01\\SiteServer\nplay PrepareSnapshot\nplay wait {}\nplay Freeze", flag.display());
    let stage = Stage::new("writer-stopped", &script, None);
    let host = stage.register().await.expect("it registers");
    stage.await_line("PrepareSnapshot answered 1");
    let stop = tokio::spawn(host.stop());
    stage.await_line("site Abort");
    std::fs::write(flag, "").expect("written");
    stop.await.expect("no panic");
    let lines = stage.stand_in.lines();
    assert!(lines.contains(&"SetWriterFailure 800423f3".to_owned()), "{lines:#?}");
    assert!(
        lines.contains(&"Freeze answered 0".to_owned()) && !lines.contains(&"site Freeze".to_owned()),
        "{lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_is_registered_on_a_machine() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let lock = Some(folder.path().join("lock"));
    let [first, second] = ["writer-first", "writer-second"].map(|name| {
        let mut stage = Stage::new(name, "", None);
        stage.options.lock.clone_from(&lock);
        stage
    });
    let host = first.register().await.expect("it registers");
    let error = chain(&second.register().await.expect_err("the other one has it"));
    assert!(error.contains("has registered it already"), "{error}");
    assert_eq!(second.stand_in.lines(), [""; 0]);
    host.stop().await;
    second.register().await.expect("the first one is gone").stop().await;
}

/// Both halves in one process: a backup of ours stops the site itself, and its own writer must neither take part nor refuse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_ours_leaves_our_own_writer_alone() {
    let site = Site::new("writer-and-requestor", "no-sms-writer");
    let actor = Actor { stand_in: Arc::clone(&site.stand_in), wrong: None };
    let options = WriterOptions { library: Some(site.stand_in.library.clone()), ..WriterOptions::default() };
    let host = WriterHost::register(Arc::new(actor.clone()), Arc::new(actor), options).await.expect("it registers");
    site.stand_in.take_lines();
    let set = site.backup().await.expect("nothing is in the way");
    assert_eq!(set.weaker, [""; 0]);
    assert!(site.bench.coordinator.complete(set.id, true).await.is_empty());
    site.bench.coordinator.release(set.id).await.expect("released");
    let lines = site.lines().await;
    let answered: Vec<&String> = lines.iter().filter(|line| line.contains(" answered ")).collect();
    let all = EVENTS.map(|event| format!("{event} answered 1"));
    assert_eq!(answered, all.iter().collect::<Vec<_>>(), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("AddComponent dddd0000")).count(), 0, "{lines:#?}");
    // The site's writer around the backup, once; as VSS' writer it was asked what it owns and nothing else.
    for event in &EVENTS[1..] {
        assert_eq!(lines.iter().filter(|line| **line == format!("site {event}")).count(), 1, "{event}: {lines:#?}");
    }
    host.stop().await;
}
