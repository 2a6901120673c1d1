//! Backups and restores that fail or are given up: the server is told, and nothing of theirs is left.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_core::ports::database::{DatabaseError, DatabaseTarget, SiteDatabase};
use backup_core::ports::destination::Destination;
use tds_server::{Event, Script, Step, done, error};
use tests::poll_until;

use super::super::sample::{SET, script};
use super::super::{DRIVERS, Driver};
use super::{Bench, here, run, take};

/// A server that does something to the file of a backup, and then answers `steps`.
fn with_file(driver: Driver, steps: Vec<Step>, does: fn(PathBuf) -> std::io::Result<()>) -> Bench {
    let shared = Arc::new(Mutex::new(PathBuf::new()));
    let place = Arc::clone(&shared);
    let script = script().on("BACKUP DATABASE", steps).when(move |sql| {
        if sql.starts_with("BACKUP DATABASE") {
            does(here(&place.lock().expect("no panic"), sql)).expect("done");
        }
        None
    });
    let bench = Bench::new(driver, script);
    *shared.lock().expect("no panic") = bench.shared();
    std::fs::write(bench.shared().join("CM_P01-another run.bak"), "another's").expect("written");
    bench
}

const OTHERS: [&str; 1] = ["CM_P01-another run.bak"];

fn failing() -> Vec<Step> {
    vec![error(3271, "A nonrecoverable I/O error"), error(3013, "BACKUP DATABASE is terminating abnormally."), done()]
}

async fn backed_up(bench: &Bench) -> Result<(), DatabaseError> {
    let staging = bench.destination().begin(run(), None).await.expect("begun");
    take(&bench.database(Some(bench.shared())), &staging).await.map(drop)
}

/// An error with its reasons.
fn whole(error: &DatabaseError) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(reason) = source {
        text += &format!(": {reason}");
        source = reason.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_leaves_nothing() {
    for driver in DRIVERS {
        let bench = with_file(driver, failing(), |file| std::fs::write(file, "half of a"));
        let error = backed_up(&bench).await.expect_err("it failed");
        assert!(whole(&error).contains("3271"), "{driver:?}: {}", whole(&error));
        assert_eq!(bench.left(), OTHERS, "{driver:?}");

        // What cannot be removed here is a folder.
        let bench = with_file(driver, failing(), std::fs::create_dir);
        let error = backed_up(&bench).await.expect_err("it failed");
        let left = format!("CM_P01-{}.bak", run());
        let text = whole(&error);
        assert!(text.contains(&left) && text.contains("could not be removed"), "{driver:?}: {text}");
        assert!(text.contains("3271"), "{driver:?}: {text}");
    }
}

/// Nobody here can remove it, and nothing lists it: so it is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_where_only_the_server_sees_names_what_may_be_left() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script().on("BACKUP DATABASE", failing()));
        let staging = bench.destination().begin(run(), None).await.expect("begun");
        let error = take(&bench.database(None), &staging).await.expect_err("it failed");
        let (left, text) = (format!(r"the server may have left `B:\bk\CM_P01-{}.bak`", run()), whole(&error));
        assert!(text.contains(&left) && text.contains("3271"), "{driver:?}: {text}");
    }
}

/// The server says that it is done, and its file is not there: the two see different folders.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_cannot_be_fetched_is_an_error() {
    let bench = Bench::new(Driver::Microsoft, script());
    let error = backed_up(&bench).await.expect_err("nothing is there");
    assert!(matches!(error, DatabaseError::Failed { action: "read the backup of", .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_before_is_not_touched() {
    let bench = Bench::new(Driver::Microsoft, script());
    let file = bench.shared().join(format!("CM_P01-{}.bak", run()));
    std::fs::write(&file, "another's").expect("written");
    let error = backed_up(&bench).await.expect_err("it is refused");
    assert!(whole(&error).contains("is there already"), "{}", whole(&error));
    assert_eq!(std::fs::read(&file).expect("it is there"), b"another's");
    assert!(bench.lab.server.batches().iter().all(|sql| !sql.starts_with("BACKUP")));
}

/// A backup takes long; when its run is given up, the server is told, and its file goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_given_up_is_stopped() {
    for driver in DRIVERS {
        let steps = vec![Step::WaitForAttention, done()];
        let bench = with_file(driver, steps, |file| std::fs::write(file, "half of a"));
        let database = bench.database(Some(bench.shared()));
        let staging = bench.destination().begin(run(), None).await.expect("begun");
        let taking = tokio::spawn(async move { take(&database, &staging).await.map(drop) });
        assert!(bench.lab.server.wait_for(begins("BACKUP")), "{driver:?}");
        taking.abort();
        assert!(bench.lab.server.wait_for(|event| matches!(event, Event::Attention { .. })), "{driver:?}");
        let gone = poll_until(Duration::from_secs(10), || (bench.left() == OTHERS).then_some(()));
        assert_eq!(gone, Some(()), "{driver:?}: {:?}", bench.left());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_given_up_is_stopped() {
    for driver in DRIVERS {
        let script: Script = script().on("RESTORE DATABASE", vec![Step::WaitForAttention, done()]);
        let bench = Bench::new(driver, script);
        let database = bench.database(Some(bench.shared()));
        let mut source = bench.stored("CM_P01.bak", b"a backup").await;
        source.part.facts.push(("backup-set".to_owned(), SET.to_owned()));
        let target = DatabaseTarget::Own { replace: true };
        let restoring = tokio::spawn(async move { database.restore(&source, &target).await.map(drop) });
        assert!(bench.lab.server.wait_for(begins("RESTORE DATABASE")), "{driver:?}");
        restoring.abort();
        assert!(bench.lab.server.wait_for(|event| matches!(event, Event::Attention { .. })), "{driver:?}");
        let gone = poll_until(Duration::from_secs(10), || bench.left().is_empty().then_some(()));
        assert_eq!(gone, Some(()), "{driver:?}: {:?}", bench.left());
    }
}

/// An interrupt ends a rehearsal: its database is dropped when the server has let go of it, not while it is being made.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_that_is_given_up_is_dropped_after_its_restore() {
    for driver in DRIVERS {
        let script: Script = script().on("RESTORE DATABASE", vec![Step::WaitForAttention, done()]);
        let bench = Bench::new(driver, script.on("IF DB_ID(N'sitebackup_rehearsal_7')", vec![done()]));
        let database = bench.database(Some(bench.shared()));
        let mut source = bench.stored("CM_P01.bak", b"a backup").await;
        source.part.facts.push(("backup-set".to_owned(), SET.to_owned()));
        let target = DatabaseTarget::Scratch("7".to_owned());
        let (restorer, to) = (database.clone(), target.clone());
        let restoring = tokio::spawn(async move { restorer.restore(&source, &to).await.map(drop) });
        assert!(bench.lab.server.wait_for(begins("RESTORE DATABASE")), "{driver:?}");
        restoring.abort();
        database.discard(&target).await.expect("dropped");
        let heard = bench.lab.server.heard();
        let at = |wanted: &dyn Fn(&Event) -> bool| heard.iter().position(wanted);
        let stopped = at(&|event| matches!(event, Event::Attention { .. })).expect("it was stopped");
        assert!(stopped < at(&begins("IF DB_ID")).expect("it was dropped"), "{driver:?}: {heard:#?}");
        assert_eq!(bench.left(), [""; 0], "{driver:?}");
    }
}

fn begins(with: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Batch { sql, .. } if sql.starts_with(with))
}
