//! Bad input to the real program: each gets a clear message, its own exit code, and changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use backup_core::path::SitePath;
use backup_core::ports::destination::{Destination, Holder};
use host::destination::LocalDestination;
use tests::program::Ran;
use tests::{Fault, JournalMode, ServiceName, poll_until, tree_hash};

use crate::site::TestSite;

fn site() -> TestSite {
    TestSite::running(JournalMode::Wal, 0)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("it can be read");
    assert!(text.contains(from), "`{from}` is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).expect("it can be written");
}

#[track_caller]
fn says(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:#?}");
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is not said: {ran:#?}");
    }
}

fn nothing_was_stopped(test: &TestSite) {
    let journal = fs::read_to_string(test.site.state_dir().join("journal.jsonl")).unwrap_or_default();
    assert!(!journal.contains("services-stopping"), "{journal}");
}

#[test]
fn a_typo_in_site_toml_names_the_nearest_key() {
    let test = site();
    edit(&test.site.site_toml(), "install-dir", "instal-dir");
    says(&test.run(&["backup"]), 2, &["instal-dir", "install-dir", "7:1"]);
    nothing_was_stopped(&test);
}

#[test]
fn a_time_zone_that_is_none() {
    let test = site();
    edit(&test.site.site_toml(), "time-zone = \"utc\"", "time-zone = \"Mars/Olympus\"");
    says(&test.run(&["check"]), 2, &["Mars/Olympus", "Europe/Berlin"]);
}

#[test]
fn a_missing_folder_is_found_before_anything_is_stopped() {
    let test = site();
    fs::remove_dir_all(test.site.install_dir().join("srvacct")).expect("it goes");
    says(&test.run(&["backup"]), 16, &["srvacct", "does not exist"]);
    nothing_was_stopped(&test);
}

#[test]
fn a_database_that_is_not_one() {
    let test = site();
    let other = test.site.site_dir().join("other.db");
    fs::write(&other, "this is no database, whatever its name says").expect("it is written");
    edit(&test.site.site_toml(), "CM_P01.db", "../other.db");
    edit(&test.site.site_toml(), "db/../", "");
    says(&test.run(&["check"]), 14, &["other.db", "is not a SQLite database"]);
    nothing_was_stopped(&test);
}

#[test]
fn the_products_own_snapshot_is_never_replaced() {
    let test = site();
    let foreign = test.site.destination().join("P01Backup");
    fs::create_dir(&foreign).expect("a new folder");
    fs::write(foreign.join("BackupDocument.xml"), "<x/>").expect("it is written");
    let before = tree_hash(&foreign).expect("a tree");
    says(&test.run(&["backup"]), 13, &["P01Backup", "never replaced", "choose another destination"]);
    assert_eq!(tree_hash(&foreign).expect("a tree"), before);
    nothing_was_stopped(&test);
}

/// Its next run would delete the snapshot that this program published.
#[test]
fn the_built_in_task_on_our_destination_is_told() {
    let test = site();
    test.backup(0);
    assert!(!test.run(&["check"]).stderr.contains("built-in"));
    let log =
        "SMS site backup service started.  $$<SMS_SITE_BACKUP><11-22-2026 02:00:00.000+0><thread=1180 (0x049C)>\r\n";
    fs::write(test.site.destination().join("smsbkup.log"), log).expect("it is written");
    says(&test.run(&["check"]), 0, &["the built-in Backup Site Server task wrote to", "Site Maintenance"]);
    says(&test.run(&["backup"]), 0, &["the built-in Backup Site Server task wrote to"]);
    assert!(!test.run(&["check"]).stderr.contains("built-in"), "the log is ours again");
}

#[test]
fn a_destination_that_is_not_there() {
    let test = site();
    fs::remove_dir_all(test.site.destination()).expect("it goes");
    says(&test.run(&["backup"]), 11, &["backup"]);
    nothing_was_stopped(&test);
}

#[test]
fn a_control_file_tells_all_its_errors_at_once() {
    let test = site();
    edit(&test.site.control_file(), "sitedbdump", "sitebddump");
    edit(&test.site.control_file(), r"%SITE_SERVER_ROOT_DIR%\data", r"%SITE_SERVER_ROT_DIR%\data");
    let ran = test.run(&["backup"]);
    says(&ran, 2, &["unknown-verb", "did you mean `sitedbdump`", "undefined-token", "--redact"]);
    nothing_was_stopped(&test);
}

#[test]
fn a_service_that_will_not_stop() {
    let test = site();
    test.workload.set_fault(Fault::WontStop, ServiceName::Executive).expect("the fault is set");
    edit(&test.site.site_toml(), "timeout = \"60s\"", "timeout = \"3s\"");
    let text = fs::read_to_string(test.site.site_toml())
        .expect("it can be read")
        .replace("timeout = \"60s\"", "timeout = \"3s\"");
    fs::write(test.site.site_toml(), text).expect("it can be written");
    says(&test.run(&["backup"]), 17, &["SMS_EXECUTIVE"]);
    test.workload.clear_faults().expect("the fault goes");
    test.assert_services_come_back();
    test.backup(0);
}

#[test]
fn a_service_that_will_not_start() {
    let test = site();
    for name in ServiceName::IN_STOP_ORDER {
        test.workload.set_fault(Fault::WontStart, name).expect("the fault is set");
    }
    let ran = test.run(&["backup"]);
    says(&ran, 18, &["SMS_EXECUTIVE", "by hand"]);
    let at_once = ran.stderr.lines().next().expect("it is told while the run goes on");
    assert!(at_once.starts_with("5024 E a service could not be started: "), "{ran:#?}");
    assert_eq!(test.snapshots().len(), 1, "the snapshot itself is good");
    test.workload.clear_faults().expect("the fault goes");
    // The watchdog may be quicker than we are; then there is nothing left to repair.
    let repaired = || (test.run(&["repair"]).code == 0).then_some(());
    poll_until(Duration::from_secs(60), repaired).expect("it is repaired");
    test.assert_services_come_back();
}

#[test]
fn two_runs_at_once() {
    let test = site();
    let first = test.program.command(test.args(&["backup"])).spawn().expect("the program starts");
    let journal = test.site.state_dir().join("journal.jsonl");
    let begun = || fs::read_to_string(&journal).is_ok_and(|text| text.contains("run-started")).then_some(());
    poll_until(Duration::from_secs(30), begun).expect("the first run begins");
    let second = test.run(&["backup"]);
    let first = tests::program::finish(first).expect("its output can be read");
    assert_eq!(first.code, 0, "{first:#?}");
    says(&second, 10, &["another run is in progress"]);
}

fn with_hook(test: &TestSite, script: &str) {
    let hook = test.site.control_file().with_file_name("AfterBackup");
    fs::write(&hook, format!("#!/bin/sh\n{script}\n")).expect("it is written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("it is made executable");
}

fn log_of(test: &TestSite) -> String {
    fs::read_to_string(test.site.destination().join("smsbkup.log")).expect("a log is kept")
}

#[test]
fn after_backup_is_told_judged_and_walked_after() {
    let test = site();
    with_hook(&test, "echo said by the hook; echo more > \"$SITEBACKUP_SNAPSHOT/added.txt\"; exit 5");
    let ran = test.backup(0);
    assert!(ran.stderr.contains("AfterBackup failed with exit code 5"), "{ran:#?}");
    assert!(log_of(&test).contains("said by the hook") && log_of(&test).contains("STATMSG: ID=5040"));
    assert_eq!(test.run(&["verify", "--read-data"]).code, 0);

    edit(&test.site.site_toml(), "time-zone", "after-backup = { timeout = \"1h\", success = \"0-7\" }\ntime-zone");
    let ran = test.backup(0);
    assert!(!ran.stderr.contains("AfterBackup failed"), "{ran:#?}");

    with_hook(&test, "rm -r \"$SITEBACKUP_SNAPSHOT/SiteDBServer\"");
    let ran = test.run(&["backup"]);
    says(&ran, 3, &["SiteDBServer", "is missing"]);
    assert_eq!(test.snapshots().len(), 2, "the one before it is kept");
}

#[test]
fn the_log_is_where_monitors_look() {
    let test = site();
    test.backup(0);
    let logs = [
        log_of(&test),
        fs::read_to_string(test.site.destination().join("P01Backup/smsbkup.log")).expect("a log in the snapshot"),
        fs::read_to_string(test.site.install_dir().join("Logs/smsbkup.log")).expect("a log in the install folder"),
    ];
    for log in logs {
        assert!(log.contains("Backup completed") && log.contains("STATMSG: ID=5035"));
        let lines: Vec<&str> = log.lines().collect();
        let fourth = lines[lines.len() - 4];
        assert!(fourth.starts_with("Backup task completed successfully with zero errors"), "{fourth}");
    }
    fs::remove_dir_all(test.site.install_dir().join("srvacct")).expect("it goes");
    assert_eq!(test.run(&["backup"]).code, 16);
    assert!(log_of(&test).contains("SMS site backup failed"), "a failed run keeps its log as well");
    let status = test.run(&["status", "--max-age", "5d"]);
    assert_ne!(status.code, 0, "a monitor hears of the failed run: {status:#?}");
}

/// Rewrites the list of files of the published snapshot, and the manifest so that it names the new list.
fn forge(test: &TestSite, from: &str, to: &str) {
    let folder = test.site.destination().join("P01Backup");
    let packed = fs::read(folder.join("files.jsonl.zst")).expect("a list");
    let list = zstd::decode_all(packed.as_slice()).expect("it is packed");
    let text = String::from_utf8(list.clone()).expect("it is text");
    assert!(text.contains(from), "{from} is not in the list");
    let forged = text.replacen(from, to, 1);
    fs::write(folder.join("files.jsonl.zst"), zstd::encode_all(forged.as_bytes(), 3).expect("packed"))
        .expect("written");
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    edit(&folder.join("sitebackup.json"), &hash(&list), &hash(forged.as_bytes()));
}

#[test]
fn a_hostile_manifest_leads_nowhere() {
    for path in ["../../../escaped", "/escaped", "SiteServer/../../escaped", "a//b", "SiteServer/./x"] {
        let test = site();
        test.backup(0);
        forge(&test, "SiteServer/SMSServer/srvacct/", &format!("{path}/"));
        let to = test.site.dir().join("to");
        fs::create_dir(&to).expect("a new folder");
        let from = test.site.destination().join("P01Backup");
        let text = |path: &Path| path.to_str().expect("Unicode").to_owned();
        let ran = test.program.run(["recover", "--from", &text(&from), "--to", &text(&to)]);
        assert_eq!(ran.code, 22, "{path}: {ran:#?}");
        assert_eq!(fs::read_dir(&to).expect("it is there").count(), 0, "{path}: something was written");
    }
}

#[test]
fn a_bare_machine_needs_nothing_but_the_snapshot_folder() {
    let test = site();
    test.backup(0);
    let moved = test.site.dir().join("carried/P01Backup");
    fs::create_dir(test.site.dir().join("carried")).expect("a new folder");
    fs::rename(test.site.destination().join("P01Backup"), &moved).expect("it is carried away");
    test.workload.stop_all().expect("the site stops");
    fs::remove_dir_all(test.site.site_dir()).expect("the site is gone");
    fs::remove_file(test.site.site_toml()).expect("its configuration too");
    let ran = test.program.run(["recover", "--from", moved.to_str().expect("Unicode")]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(test.site.counters().expect("they can be read").agree());
}

#[test]
fn a_single_file_keeps_its_name() {
    let test = site();
    let task = "[Tasks]\r\nfile %SITE_SERVER_ROOT_DIR%\\CD.Latest\\SMSSETUP\\version.ini %SITE_SERVER_DEST%\\Extra";
    edit(&test.site.control_file(), "[Tasks]", task);
    test.backup(0);
    let copied = test.site.destination().join("P01Backup/SiteServer/Extra/version.ini");
    let original = test.site.install_dir().join("CD.Latest/SMSSETUP/version.ini");
    assert_eq!(fs::read(copied).expect("it is there"), fs::read(&original).expect("it is there"));
    let to = test.site.dir().join("to");
    fs::create_dir(&to).expect("a new folder");
    assert_eq!(test.run(&["recover", "--to", to.to_str().expect("Unicode")]).code, 0);
    assert!(to.join(original.strip_prefix("/").expect("absolute")).is_file());
}

/// What a recovery leaves that was killed: a beginning in the journal.
#[test]
fn a_half_recovered_site_is_not_backed_up_before_somebody_settles_it() {
    let test = site();
    test.backup(0);
    let snapshot = test.snapshots().remove(0)["id"].as_str().expect("an id").to_owned();
    let begun = format!(
        "{{\"event\":\"recovery-begun\",\"snapshot\":\"{snapshot}\",\"at\":\"2026-03-01T03:00:00Z\",\"places\":[\"/a -> /a\"]}}\n"
    );
    let journal = test.site.state_dir().join("journal.jsonl");
    fs::write(&journal, fs::read_to_string(&journal).expect("a journal") + &begun).expect("written");
    says(
        &test.run(&["backup"]),
        25,
        &["began 2026-03-01 03:00:00 UTC and did not end", "/a -> /a", "recover --abandon"],
    );
    says(&test.run(&["check"]), 25, &["half recovered"]);
    says(&test.run(&["status"]), 3, &["half recovered"]);
    assert_eq!(test.run(&["recover", "--abandon"]).code, 0);
    test.backup(0);
}

/// A second configuration, with a state folder of its own, names the destination at which a run works.
#[tokio::test(flavor = "multi_thread")]
async fn one_destination_takes_one_run_whatever_configuration_it_comes_from() {
    let test = site();
    test.backup(0);
    let text = fs::read_to_string(test.site.site_toml()).expect("it can be read");
    let state = test.site.state_dir();
    let other = test.site.dir().join("other.toml");
    fs::write(&other, text.replace(state.to_str().expect("Unicode"), &format!("{}-2", state.display())))
        .expect("written");
    let root = SitePath::parse(test.site.destination().as_os_str().as_encoded_bytes()).expect("absolute");
    let destination = LocalDestination::new(root, "P01".parse().expect("a site code"));
    let hold = destination.hold(Holder::Repair).await.expect("free");
    let backup = ["--site", other.to_str().expect("Unicode"), "backup"];
    says(
        &test.program.run(backup),
        10,
        &[&format!("process {} on ", std::process::id()), "try again when it has ended"],
    );
    assert_eq!(test.run(&["repair"]).code, 10);
    assert_eq!(test.run(&["verify"]).code, 0, "reading needs no lock");
    drop(hold);
    assert_eq!(test.program.run(backup).code, 0);
    assert_eq!(test.snapshots().len(), 1);
}

/// The pages of the database rot under the running site: it is copied as it is, told, and keeps the last good copy alive.
#[test]
fn a_rotten_database_is_told_and_keeps_the_good_snapshot() {
    let test = site();
    test.backup(0);
    let good = test.snapshots();
    test.workload.stop_all().expect("the site stops");
    let database = test.site.database();
    let size = fs::metadata(&database).expect("facts").len();
    let file = fs::OpenOptions::new().write(true).open(&database).expect("opened");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5; 16 << 10], size / 2).expect("written");
    for _ in 0..2 {
        says(&test.run(&["backup"]), 3, &["database", "is damaged", "recover it from an older snapshot"]);
        let snapshots = test.snapshots();
        assert_eq!((snapshots.len(), &snapshots[0]["id"]), (2, &good[0]["id"]), "the good one stays");
    }
}

#[test]
fn a_map_moves_registry_stores_too() {
    let test = site();
    test.backup(0);
    test.workload.stop_all().expect("the site stops");
    let moved = test.site.dir().join("moved");
    fs::create_dir(&moved).expect("a new folder");
    let map = format!("{}={}", test.site.site_dir().display(), moved.display());
    let before = tree_hash(&test.site.site_dir()).expect("it can be read");
    let ran = test.run(&["recover", "--map", &map]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(tree_hash(&test.site.site_dir()).expect("it can be read"), before, "the site itself is left alone");
    let store = test.site.registry_file();
    let store = moved.join(store.strip_prefix(test.site.site_dir()).expect("it lies in the site"));
    assert!(store.is_file(), "{} is not there", store.display());
}
