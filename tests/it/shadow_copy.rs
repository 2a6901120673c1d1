//! Other programs read the site at one moment.

use std::fs;
use std::path::{Path, PathBuf};

use tests::program::Ran;
use tests::{Counters, JournalMode, read_counters};

use crate::site::TestSite;

/// Copies all that it is told of: the parts to `parts`, each source on an image into `files`.
const COPY: &str = r#"mkdir -p "$0/files" && cp -a "$SITEBACKUP_PARTS" "$0/parts" && printf '%s\n' "$SITEBACKUP_IMAGES" | while read -r image; do
    test -z "$image" || cp -a "$image" "$0/files/" || exit 9; done"#;

fn read_by(test: &TestSite, argv: &[&str]) -> Ran {
    let mut args = vec!["shadow-copy", "run", "--"];
    args.extend(argv);
    test.run(&args)
}

fn copied(test: &TestSite, to: &Path) -> Counters {
    let ran = read_by(test, &["sh", "-c", COPY, to.to_str().expect("Unicode")]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let parts = to.join("parts");
    let on_image = to.join("files");
    let files = if on_image.join("inboxes").exists() { on_image } else { parts.join("SiteServer/SMSServer") };
    let registry = parts.join("SiteServer/SMSbkSiteRegSMS.dat");
    read_counters(&files, &parts.join("SiteDBServer/CM_P01.db"), &registry).expect("the numbers can be read")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn a_program_reads_one_moment(test: &TestSite) {
    test.backup(0);
    let before = entries(&test.site.destination());
    let scratch = tempfile::tempdir().expect("a scratch folder");
    for round in 0..5 {
        test.workload.wait_for_progress().expect("the site works");
        let counters = copied(test, &scratch.path().join(round.to_string()));
        assert!(counters.agree() && counters.highest() > 0, "round {round}: {counters}");
    }
    test.assert_services_come_back();
    assert_eq!(entries(&test.site.destination()), before, "nothing is left of it");
    let ran = test.run(&["verify", "--read-data"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    test.backup(0);
}

#[test]
fn a_program_reads_copies_of_one_moment() {
    a_program_reads_one_moment(&TestSite::running(JournalMode::Wal, 0));
}

#[cfg(all(target_os = "linux", feature = "servers"))]
#[test]
fn a_program_reads_an_image_of_one_moment() {
    let volume = tests::volume::Volume::btrfs();
    a_program_reads_one_moment(&crate::images::running(&volume, "btrfs", JournalMode::Wal));
    assert_eq!(crate::images::images(&volume), Vec::<PathBuf>::new());
}

#[cfg(all(target_os = "linux", feature = "servers"))]
#[test]
fn a_program_reads_clones_of_one_moment() {
    let volume = tests::volume::Volume::xfs();
    a_program_reads_one_moment(&crate::images::running(&volume, "reflink", JournalMode::Wal));
    assert_eq!(crate::images::images(&volume), Vec::<PathBuf>::new());
}

#[test]
fn the_program_has_the_output_and_its_failure_is_told() {
    let test = TestSite::running(JournalMode::Wal, 0);
    let ran = read_by(&test, &["ls", "-d", "{}"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{ran:#?}");
    assert!(!Path::new(ran.stdout.trim()).exists(), "it is gone when the program has ended: {ran:#?}");
    let ran = read_by(&test, &["sh", "-c", "exit 7"]);
    assert_eq!(ran.code, 20, "{ran:#?}");
    assert!(ran.stderr.contains("`sh` exited with 7"), "{ran:#?}");
    let ran = read_by(&test, &["/no/such/program"]);
    assert_eq!(ran.code, 20, "{ran:#?}");
    assert!(ran.stderr.contains("`/no/such/program` could not be started: No such file"), "{ran:#?}");
    let ran = test.run(&["--json", "shadow-copy", "run", "--", "echo", "words"]);
    assert_eq!((ran.code, ran.json()["result"]["exit_code"].as_i64()), (0, Some(0)), "{ran:#?}");
    assert!(ran.stderr.contains("words"), "{ran:#?}");
    assert_eq!(entries(&test.site.destination()), Vec::<PathBuf>::new());
    test.assert_services_come_back();
    assert_eq!(test.run(&["repair"]).code, 0);
}
