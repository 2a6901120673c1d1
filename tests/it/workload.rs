//! The workload is what the proof of consistency rests on, so it is proven first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;
use tests::{
    Counters, Fault, JournalMode, SampleSite, SampleSiteOptions, ServiceName, Workload, poll_until, read_counters,
};

const JOURNAL_MODES: [JournalMode; 2] = [JournalMode::Wal, JournalMode::Delete];

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_workload"))
}

fn sample_site(journal_mode: JournalMode) -> (TempDir, SampleSite) {
    let dir = tempfile::tempdir().expect("a scratch folder");
    let options = SampleSiteOptions { journal_mode, workload: program(), ..SampleSiteOptions::default() };
    let site = SampleSite::build(dir.path(), &options).expect("the site is built");
    (dir, site)
}

fn exit_code(site: &SampleSite, arguments: &[&str]) -> i32 {
    let output = Command::new(program()).args(arguments).arg("--site").arg(site.dir()).output().expect("it runs");
    output.status.code().expect("no signal")
}

/// Copies the three parts one after another, each of them whole, as a backup without a freeze would.
fn copy_unfrozen(site: &SampleSite, target: &Path) -> Counters {
    let install_dir = target.join("install");
    for folder in ["inboxes", "Logs"] {
        fs::create_dir_all(install_dir.join(folder)).expect("a folder");
    }
    for file in ["inboxes/counter.txt", "Logs/counter.log"] {
        fs::copy(site.install_dir().join(file), install_dir.join(file)).expect("a copy");
    }
    let database = target.join("copy.db");
    let connection = Connection::open(site.database()).expect("a connection");
    connection.busy_timeout(std::time::Duration::from_secs(60)).expect("a time limit");
    connection.execute("VACUUM INTO ?1", [database.to_str().expect("scratch paths are text")]).expect("a copy");
    let registry = target.join("SMS.reg");
    fs::copy(site.registry_file(), &registry).expect("a copy");
    read_counters(&install_dir, &database, &registry).expect("numbers")
}

#[test]
fn numbers_agree_whenever_the_services_are_stopped() {
    for journal_mode in JOURNAL_MODES {
        let (_dir, site) = sample_site(journal_mode);
        let workload = Workload::start(&site, &program(), 50).expect("the services start");
        let mut last = 0;
        for _ in 0..5 {
            workload.wait_for_progress().expect("the number grows");
            workload.stop_all().expect("the services stop");
            let counters = site.counters().expect("numbers");
            assert!(counters.agree(), "{journal_mode:?}: {counters}");
            assert!(counters.db > last, "{journal_mode:?}: {counters}");
            assert_eq!(site.counters().expect("numbers"), counters, "{journal_mode:?}: somebody still writes");
            last = counters.db;
            workload.start_all().expect("the services start");
        }
    }
}

#[test]
fn copies_of_a_running_site_are_torn() {
    for journal_mode in JOURNAL_MODES {
        let (_dir, site) = sample_site(journal_mode);
        let workload = Workload::start(&site, &program(), 0).expect("the services start");
        workload.wait_for_progress().expect("the number grows");
        let torn = (0..50).any(|_| {
            let target = tempfile::tempdir().expect("a scratch folder");
            !copy_unfrozen(&site, target.path()).agree()
        });
        assert!(torn, "{journal_mode:?}: fifty copies without a freeze all agree");
    }
}

#[test]
fn the_log_of_a_stopped_database_still_holds_its_newest_pages() {
    let (_dir, site) = sample_site(JournalMode::Wal);
    let workload = Workload::start(&site, &program(), 0).expect("the services start");
    workload.wait_for_progress().expect("the number grows");
    workload.stop_all().expect("the services stop");
    let log = site.database().with_extension("db-wal");
    assert!(fs::metadata(log).expect("a write-ahead log").len() > 0);
}

#[test]
fn the_component_manager_restarts_the_executive() {
    let (_dir, site) = sample_site(JournalMode::Wal);
    let workload = Workload::start(&site, &program(), 0).expect("the services start");
    workload.stop_service(ServiceName::Executive).expect("it stops");
    workload.wait_for_progress().expect("it was started again");
    workload.stop_service(ServiceName::ComponentManager).expect("it stops");
    workload.stop_service(ServiceName::Executive).expect("it stops");
    assert!(!workload.is_running(ServiceName::Executive).expect("a state"));
}

#[test]
fn a_killed_executive_goes_on_and_agrees_again() {
    for journal_mode in JOURNAL_MODES {
        let (_dir, site) = sample_site(journal_mode);
        let workload = Workload::start(&site, &program(), 0).expect("the services start");
        for _ in 0..10 {
            workload.kill_service(ServiceName::Executive).expect("it is killed");
            workload.wait_for_progress().expect("it was started again");
        }
        workload.stop_all().expect("the services stop");
        let counters = site.counters().expect("numbers");
        assert!(counters.agree(), "{journal_mode:?}: {counters}");
    }
}

#[test]
fn exit_codes_tell_what_happened() {
    let (_dir, site) = sample_site(JournalMode::Delete);
    let workload = Workload::adopt(&site, &program(), 0).expect("nobody else has it");
    assert_eq!(exit_code(&site, &["service", "state", "SMS_EXECUTIVE"]), 3);
    assert_eq!(exit_code(&site, &["service", "stop", "SMS_EXECUTIVE"]), 0);
    assert_eq!(exit_code(&site, &["service", "start", "SMS_EXECUTIVE"]), 0);
    assert_eq!(exit_code(&site, &["service", "start", "SMS_EXECUTIVE"]), 0);
    assert_eq!(exit_code(&site, &["service", "state", "SMS_EXECUTIVE"]), 0);
    assert_eq!(exit_code(&site, &["service", "state", "SPOOLER"]), 2);
    assert_eq!(exit_code(&site, &["dance"]), 2);
    drop(workload);
    assert_eq!(exit_code(&site, &["service", "state", "SMS_EXECUTIVE"]), 3);
    assert_eq!(exit_code(&site, &["service", "start", "SMS_EXECUTIVE"]), 5, "its owner has ended");
}

#[test]
fn a_service_that_will_not_stop_goes_on_writing() {
    let (_dir, site) = sample_site(JournalMode::Wal);
    let workload = Workload::start(&site, &program(), 0).expect("the services start");
    workload.set_fault(Fault::WontStop, ServiceName::Executive).expect("a fault");
    assert_eq!(exit_code(&site, &["service", "stop", "SMS_EXECUTIVE", "--timeout", "0"]), 4);
    workload.wait_for_progress().expect("the number grows");
    assert_eq!(exit_code(&site, &["service", "start", "SMS_EXECUTIVE"]), 0);
    workload.clear_faults().expect("no faults");
    workload.stop_all().expect("the services stop");
}

#[test]
fn a_service_that_will_not_start_says_so() {
    let (_dir, site) = sample_site(JournalMode::Wal);
    let workload = Workload::adopt(&site, &program(), 0).expect("nobody else has it");
    workload.set_fault(Fault::WontStart, ServiceName::Executive).expect("a fault");
    assert_eq!(exit_code(&site, &["service", "start", "SMS_EXECUTIVE"]), 5);
    assert_eq!(exit_code(&site, &["service", "state", "SMS_EXECUTIVE"]), 3);
    workload.clear_faults().expect("no faults");
    assert_eq!(exit_code(&site, &["service", "start", "SMS_EXECUTIVE"]), 0);
}

#[test]
fn a_service_that_lies_about_its_stop_goes_on_writing() {
    let (_dir, site) = sample_site(JournalMode::Wal);
    let workload = Workload::start(&site, &program(), 0).expect("the services start");
    for name in ServiceName::IN_STOP_ORDER {
        workload.set_fault(Fault::LiesAboutStop, name).expect("a fault");
    }
    workload.stop_all().expect("they say so");
    assert_eq!(exit_code(&site, &["service", "state", "SMS_EXECUTIVE"]), 3);
    workload.wait_for_progress().expect("the number grows");
    workload.start_all().expect("they run already");
    assert_eq!(exit_code(&site, &["service", "state", "SMS_EXECUTIVE"]), 0);
}

#[test]
fn services_end_when_their_owner_is_killed() {
    let (_dir, site) = sample_site(JournalMode::Wal);
    let workload = Workload::start(&site, &program(), 0).expect("the services start");
    // A stand-in for a killed owner: the lock is gone, nothing was stopped.
    let owner = site.control_dir().join("owner");
    fs::rename(&owner, owner.with_extension("gone")).expect("a move");
    fs::write(&owner, "").expect("a file that nobody has locked");
    for name in ServiceName::IN_STOP_ORDER {
        let ended = poll_until(std::time::Duration::from_secs(20), || {
            (!workload.is_running(name).expect("a state")).then_some(())
        });
        assert!(ended.is_some(), "{name} still runs");
    }
    assert!(site.counters().expect("numbers").agree());
}

/// Windows removes no folder in which a file is locked.
#[cfg(unix)]
#[test]
fn services_end_when_their_site_is_removed() {
    let (dir, site) = sample_site(JournalMode::Wal);
    let workload = Workload::start(&site, &program(), 0).expect("the services start");
    let lock = fs::File::open(site.control_dir().join("SMS_EXECUTIVE.lock")).expect("the lock");
    fs::remove_dir_all(site.control_dir()).expect("the folder is removed");
    let ended = poll_until(std::time::Duration::from_secs(20), || lock.try_lock().ok());
    assert!(ended.is_some(), "the executive still runs");
    drop(workload);
    dir.close().expect("nobody writes into it any more");
}
