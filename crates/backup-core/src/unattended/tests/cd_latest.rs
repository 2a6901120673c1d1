//! What makes CD.Latest whole.

use super::*;
use crate::report::has_errors;

fn cd_key(cd_latest: &CdLatest) -> bool {
    let kind = stand_alone();
    let facts = SnapshotFacts { cd_latest: cd_latest.clone(), ..facts(kind.clone(), Some(files()), 1) };
    made(facts, &answers(&kind)).to_ini().contains("CDLatest=1")
}

#[track_caller]
fn check(cd_latest: &CdLatest, whole: bool, expect: &str) {
    let findings = cd_latest.findings();
    let said = findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ");
    assert_eq!(said, expect);
    assert_eq!((cd_latest.is_whole(), has_errors(&findings)), (whole, !whole), "{said}");
    assert_eq!(cd_key(cd_latest), whole, "the script says so where it is whole, and only there");
}

#[test]
fn it_is_whole_when_all_that_is_listed_is_there() {
    check(&cd_latest(&WHOLE, &WHOLE), true, "");
    // Windows' names are the same in any case.
    let upper = WHOLE.map(str::to_uppercase);
    let upper = upper.each_ref().map(String::as_str);
    check(&cd_latest(&upper, &upper), true, "");
    let none = "the snapshot holds no `CD.Latest`: Setup of the site's version must come from elsewhere";
    check(&cd_latest(&[], &[]), false, none);
    check(&cd_latest(&["SiteServer/x", "CD.Latest.old/SMSSETUP/BIN/X64/setup.exe"], &[]), false, none);
}

#[test]
fn what_is_missing_is_named() {
    let setup = "`CD.Latest` in the snapshot is of no use: `CD.Latest/SMSSETUP/BIN/X64/setup.exe`, which starts Setup, is missing";
    check(&cd_latest(&WHOLE[1..], &WHOLE[1..]), false, setup);
    let gone = "`CD.Latest` in the snapshot is of no use: `CD.Latest/redist/ccmsetup.cab` is missing";
    check(&cd_latest(&WHOLE, &WHOLE[..2]), false, gone);
    let all = "`CD.Latest` in the snapshot is of no use: `CD.Latest/SMSSETUP/BIN/X64/setup.exe` is missing, and 2 more";
    check(&cd_latest(&WHOLE, &[]), false, all);
}

#[test]
fn a_file_of_another_size_is_not_whole() {
    let records: Vec<FileRecord> = WHOLE.iter().map(|path| FileRecord { size: 9, ..record(path) }).collect();
    let walk: Vec<WalkEntry> = WHOLE.iter().map(|path| entry(path)).collect();
    let judged = CdLatest::judge(&manifest(Some("5")), &records, &walk, Some("5".to_owned()));
    assert!(!judged.is_whole() && judged.faults()[0].contains("has 8 bytes instead of 9"), "{judged:?}");
}

#[test]
fn it_must_be_of_the_sites_version() {
    let judge = |recorded: Option<&str>, site: Option<&str>| {
        let records: Vec<FileRecord> = WHOLE.iter().map(|path| record(path)).collect();
        let walk: Vec<WalkEntry> = WHOLE.iter().map(|path| entry(path)).collect();
        CdLatest::judge(&manifest(recorded), &records, &walk, site.map(str::to_owned))
    };
    let other = "`CD.Latest` in the snapshot is of no use: it is of version 5.00.9106.1000, the site of 5.00.9122.1000";
    check(&judge(Some("5.00.9106.1000"), Some("5.00.9122.1000")), false, other);
    let unread = "`CD.Latest` in the snapshot records no version that can be read: whether Setup is of the site's version is not known";
    check(&judge(None, Some("5.00.9122.1000")), true, unread);
    let unknown = "the snapshot does not tell the site's version: whether Setup is of the site's version is not known";
    check(&judge(Some("5.00.9122.1000"), None), true, unknown);
}

/// A site that was never updated from its console has no `Redist`.
#[test]
fn a_missing_redist_is_told_where_setup_would_look_for_it() {
    let kind = stand_alone();
    let warned = |download_prerequisites: bool, there: &[&str]| {
        let facts = SnapshotFacts { cd_latest: cd_latest(there, there), ..facts(kind.clone(), Some(files()), 1) };
        let recovery = made(facts, &Answers { download_prerequisites, ..answers(&kind) });
        assert!(recovery.to_ini().contains("CDLatest=1") && !has_errors(&recovery.findings()));
        recovery.findings().iter().any(|finding| finding.message.contains("has no `Redist`"))
    };
    assert!(warned(false, &WHOLE[..2]));
    assert!(!warned(true, &WHOLE[..2]));
    assert!(!warned(false, &WHOLE));
}
