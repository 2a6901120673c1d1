use std::time::Duration;

use insta::assert_snapshot;

use super::super::parse;
use super::super::tests::{path, problems};
use super::*;

fn with_archive(rest: &str) -> String {
    format!(
        "version = 1\n[site]\ncode = 'P01'\ninstall-dir = '/x'\n[task]\ndestination = {{ local = '/b' }}\n[archive]\n{rest}\n"
    )
}

fn parsed(rest: &str) -> ArchiveConfig {
    let config = parse(&with_archive(rest), &path("/etc/site")).expect("nothing is wrong with it");
    config.archive.expect("there is one")
}

#[test]
fn an_archive_is_read() {
    let archive = parsed(
        "repository = '/archive'\npassphrase-file = 'passphrase'\nrecovery-sheet = ' printed, in the safe '\n\
         keep = { last = 1, hourly = 2, daily = 3, weekly = 4, monthly = 5, yearly = 6, at-least = 7, within = '14d' }",
    );
    let keep = RetentionPolicy {
        last: 1,
        hourly: 2,
        daily: 3,
        weekly: 4,
        monthly: 5,
        yearly: 6,
        within: Some(Duration::from_secs(14 * 86_400)),
        at_least: 7,
    };
    let key = ArchiveKey::PassphraseFile(path("/etc/site/passphrase"));
    let recovery_sheet = Some("printed, in the safe".to_owned());
    assert_eq!(archive, ArchiveConfig { repository: path("/archive"), key, keep, recovery_sheet });
    let least = parsed("repository = 'archive'\nidentity-file = '/etc/identity'");
    assert_eq!(least.key, ArchiveKey::IdentityFile(path("/etc/identity")));
    assert!(least.keep.is_empty() && least.recovery_sheet.is_none());
    assert_eq!(least.repository, path("/etc/site/archive"));
}

#[test]
fn what_is_wrong_with_an_archive_is_told_where_it_stands() {
    assert_snapshot!(problems(&with_archive("")), @r#"
    7:1: [archive] names no key; write passphrase-file = "/etc/sitebackup/passphrase"
    7:1: `repository` is missing in [archive]; write repository = "/archive"
    "#);
    assert_snapshot!(problems(&with_archive(
        "repository = 's3://bucket/site'\npassphrase = 'secret'\nrecovery-sheet = ' '\nkeep = { at-least = 2 }"
    )), @r#"
    8:14: a repository of the kind `s3` is not in this version; name a folder
    9:1: a passphrase does not belong in this file, which snapshots keep; put it alone into a file that only this program's account reads, and name that with passphrase-file
    10:18: `recovery-sheet` says nothing; write where the passphrase is kept, or remove it
    11:8: `keep` has no rule: `at-least` alone forgets nothing; write keep = { last = 3, daily = 7, weekly = 5, monthly = 12 }, or remove it: then everything stays
    "#);
    assert_snapshot!(problems(&with_archive(
        "repository = 7\npassphrase-file = '/p'\nidentity-file = '/i'\nrecovery-shet = 'x'\n\
         keep = { last = 'three', daily = -1, within = '2', quarterly = 1 }"
    )), @r#"
    8:14: `repository` cannot be a number; write it as a path between quotes
    10:1: `identity-file` is a second key of the archive; keep one of them
    11:1: unknown key `recovery-shet` in [archive]; did you mean `recovery-sheet`?
    12:17: `last` is no number of snapshots; write last = 3
    12:34: `daily` is no number of snapshots; write daily = 3
    12:47: `2` is not a duration; write a number and a unit (s, m, h, d), as in 60s, 90m or 1h30m
    12:52: unknown key `quarterly` in keep; known are `last`, `hourly`, `daily`, `weekly`, `monthly`, `yearly`, `at-least`, `within`
    "#);
}
