//! `check`, `backup`, `snapshots`, `verify`.

use backup_core::config::{ArchiveConfig, ArchiveKey};
use backup_core::retention::RetentionPolicy;

use super::*;

#[test]
fn check_tells_what_would_be_done() {
    let _filters = without_seconds();
    let answer = block_on(check::judge(&World::new().ports(), &alone(), &plan(&alone())));
    insta::assert_snapshot!(Printer::shown("check", &answer), @r"
    $ sitebackup check
    note: pipes, sockets and devices have no content and are left out: 1, such as `/site/data/pipe`
    Site P01 to `/backup`:
      database CM_P01 (memory 1)                    1 entry   1 B
      /site/inboxes                               4 entries   4 B
      /site/data                                  6 entries   6 B
      HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS     1 entry   1 B
      all together                               12 entries  12 B
    Room: the new snapshot takes 1.0 MiB, at the peak old and new together 1.0 MiB; 1.0 GiB are free.
    Nothing stands in the way of a backup.
    [done]
    ");
    insta::assert_snapshot!(json("check", &answer), @r#"
    {
      "covered": [
        {
          "bytes": 1,
          "entries": 1,
          "what": "database CM_P01 (memory 1)"
        },
        {
          "bytes": 4,
          "entries": 4,
          "what": "/site/inboxes"
        },
        {
          "bytes": 6,
          "entries": 6,
          "what": "/site/data"
        },
        {
          "bytes": 1,
          "entries": 1,
          "what": "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\SMS"
        }
      ],
      "destination": "/backup",
      "free": 1073741824,
      "needed": 1054732,
      "not_covered": [],
      "peak": 1054732,
      "site": "P01"
    }
    "#);
}

#[test]
fn check_judges_what_opens_the_archive() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let key = scratch.path().join("passphrase");
    host::private_file::write_new(&key, b"correct horse\n").expect("written");
    let key = crate::site::site_path(&key).expect("an absolute path");
    let told = |recovery_sheet: Option<&str>, key: ArchiveKey| {
        let recovery_sheet = recovery_sheet.map(str::to_owned);
        let keep = RetentionPolicy::default();
        let archive = Some(ArchiveConfig { repository: path("/archive"), key, keep, recovery_sheet });
        let config = SiteConfig { archive, ..alone() };
        let answer = block_on(check::judge(&World::new().ports(), &config, &plan(&config)));
        let shown = Printer::shown("check", &answer);
        (shown.contains("both are lost at once"), shown.contains("cannot be read"), answer.exit.name())
    };
    let passphrase = || ArchiveKey::PassphraseFile(key.clone());
    assert_eq!(told(None, passphrase()), (true, false, "done"));
    assert_eq!(told(Some("printed, in the safe"), passphrase()), (false, false, "done"));
    let gone = ArchiveKey::PassphraseFile(crate::site::site_path(&scratch.path().join("gone")).expect("absolute"));
    assert_eq!(told(Some("printed, in the safe"), gone), (false, true, "key"));
}

#[test]
fn check_tells_what_would_fail() {
    let _filters = without_seconds();
    let world = World::new();
    world.put_foreign("P01Backup");
    world.lock().free = 100;
    let mut config = alone();
    config.files.include = vec![path("/gone")];
    let answer = block_on(check::judge(&world.ports(), &config, &plan(&config)));
    insta::assert_snapshot!(Printer::shown("check", &answer), @r"
    $ sitebackup check
    error: `/gone` does not exist
    hint: correct the path, or take it out of the configuration
    error: `/backup/P01Backup` is not a snapshot of this program, and is never replaced
    hint: it may be the product's own snapshot: choose another destination, or move that folder away
    error: `/backup` has 100 bytes free, the new snapshot needs up to 1049602 beside the old one
    hint: free some room or choose another destination; the old snapshot stays until the new one is safe
    Site P01 to `/backup`:
      database CM_P01 (memory 1)                   1 entry  1 B
      HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS    1 entry  1 B
      all together                               2 entries  2 B
    Room: the new snapshot takes 1.0 MiB, at the peak old and new together 1.0 MiB; 100 B are free.
    A backup would fail.
    [files]
    ");
}

#[test]
fn backup_tells_the_snapshot_and_the_outage() {
    let _filters = without_seconds();
    let answer = back_up(&World::new());
    insta::assert_snapshot!(Printer::shown("backup", &answer), @"
    $ sitebackup backup
    note: pipes, sockets and devices have no content and are left out: 1, such as `/site/data/pipe`
    Site P01 is backed up.
      snapshot       000000000001 at `/backup/P01Backup`
      moment         2026-03-01 03:00:[s] +00:00, application consistency, by memory
      content        15 entries, 83 B
      freeze window  [n] s
      outage         [n] s
      took           [n] s
    [done]
    ");
    insta::assert_snapshot!(json("backup", &answer), @r#"
    {
      "after_backup": {
        "code": null,
        "end": "absent"
      },
      "archived": null,
      "bytes": 83,
      "cause": null,
      "consistency": "application",
      "ended": "2026-03-01T03:00:[s]Z",
      "entries": 15,
      "freeze_window": [n],
      "outage": [n],
      "outcome": "done",
      "run": "00000000-0001-7000-8000-000000000000",
      "site": "P01",
      "snapshot": {
        "bytes": 83,
        "consistency": "application",
        "database": {
          "engine": "memory 1",
          "facts": [
            [
              "taken-by",
              "memory"
            ]
          ],
          "form": "file",
          "name": "CM_P01",
          "pinned_by": "a copy in memory",
          "setup_option": "none"
        },
        "entries": 15,
        "folder": "/backup/P01Backup",
        "freeze_window": [n],
        "id": "00000000-0001-7000-8000-000000000000",
        "moment": "2026-03-01T03:00:[s]Z",
        "outage": [n],
        "provider": "memory",
        "published": true,
        "short": "000000000001",
        "site": "P01",
        "started": "2026-03-01T03:00:[s]Z",
        "weaker": []
      },
      "started": "2026-03-01T03:00:[s]Z"
    }
    "#);
}

#[test]
fn an_unreadable_file_makes_a_backup_incomplete() {
    let _filters = without_seconds();
    let world = World::new();
    world.lock().files.get_mut(&path("/site/inboxes/a.box")).expect("it is there").unreadable = true;
    insta::assert_snapshot!(Printer::shown("backup", &back_up(&world)), @"
    $ sitebackup backup
    note: pipes, sockets and devices have no content and are left out: 1, such as `/site/data/pipe`
    error: `/site/inboxes/a.box`: failed to open `/.image/00000000-0001-7000-8000-000000000000/site/inboxes/a.box`: permission denied
    Site P01 is backed up, but the snapshot is incomplete or weaker than asked for.
      snapshot       000000000001 at `/backup/P01Backup`
      moment         2026-03-01 03:00:[s] +00:00, application consistency, by memory
      content        14 entries, 82 B
      freeze window  [n] s
      outage         [n] s
      took           [n] s
    [incomplete]
    ");
}

#[test]
fn a_backup_that_fails_says_that_nothing_is_lost() {
    let _filters = without_seconds();
    let world = backed_up();
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "stop"));
    insta::assert_snapshot!(Printer::shown("backup", &back_up(&world)), @"
    $ sitebackup backup
    note: pipes, sockets and devices have no content and are left out: 1, such as `/site/data/pipe`
    error: writer `SMS Writer` failed in PrepareSnapshot: failed to stop service `SMS_EXECUTIVE`: permission denied
    Site P01 is not backed up; earlier snapshots are as they were. The outage was [n] s.
    [service-stop]
    ");
}

#[test]
fn a_hook_that_fails_changes_no_result() {
    let _filters = without_seconds();
    let world = World::new();
    world.lock().after_backup = Some(CommandOutcome { end: CommandEnd::Exit(8), output: Vec::new(), cut: false });
    insta::assert_snapshot!(Printer::shown("backup", &back_up(&world)), @"
    $ sitebackup backup
    note: pipes, sockets and devices have no content and are left out: 1, such as `/site/data/pipe`
    warning: AfterBackup failed with exit code 8
    Site P01 is backed up.
      snapshot       000000000001 at `/backup/P01Backup`
      moment         2026-03-01 03:00:[s] +00:00, application consistency, by memory
      content        15 entries, 83 B
      freeze window  [n] s
      outage         [n] s
      took           [n] s
      AfterBackup    failed with exit code 8
    [done]
    ");
}

#[test]
fn snapshots_are_listed() {
    let _filters = without_seconds();
    let none = block_on(snapshots::list(&World::new().ports())).expect("memory lists");
    let some = block_on(snapshots::list(&backed_up().ports())).expect("memory lists");
    insta::assert_snapshot!(Printer::shown("snapshots", &none), @"
    $ sitebackup snapshots
    There is no backup snapshot.
    [done]
    ");
    insta::assert_snapshot!(Printer::shown("snapshots", &some), @"
    $ sitebackup snapshots
    000000000001  2026-03-01 03:00:[s] +00:00  15 entries  83 B  application consistency  /backup/P01Backup
    [done]
    ");
    insta::assert_snapshot!(json("snapshots", &some), @r#"
    {
      "damaged": [],
      "snapshots": [
        {
          "bytes": 83,
          "consistency": "application",
          "database": {
            "engine": "memory 1",
            "facts": [
              [
                "taken-by",
                "memory"
              ]
            ],
            "form": "file",
            "name": "CM_P01",
            "pinned_by": "a copy in memory",
            "setup_option": "none"
          },
          "entries": 15,
          "folder": "/backup/P01Backup",
          "freeze_window": [n],
          "id": "00000000-0001-7000-8000-000000000000",
          "moment": "2026-03-01T03:00:[s]Z",
          "outage": [n],
          "provider": "memory",
          "published": true,
          "short": "000000000001",
          "site": "P01",
          "started": "2026-03-01T03:00:[s]Z",
          "weaker": []
        }
      ]
    }
    "#);
}

#[test]
fn verify_says_how_far_it_looked() {
    let _filters = without_seconds();
    let world = backed_up();
    let verify = |read_data| block_on(verify::judge(&world.ports(), &VerifyArgs { id: None, read_data }));
    let answer = verify(true).expect("a snapshot");
    insta::assert_snapshot!(Printer::shown("verify --read-data", &answer), @"
    $ sitebackup verify --read-data
    Snapshot 000000000001 is whole: 15 entries, 83 B read and hashed.
    [done]
    ");
    insta::assert_snapshot!(Printer::shown("verify", &verify(false).expect("a snapshot")), @"
    $ sitebackup verify
    Snapshot 000000000001 is whole: 15 entries looked at, no content read (--read-data does).
    [done]
    ");
    insta::assert_snapshot!(json("verify", &answer), @r#"
    {
      "bytes": 83,
      "entries": 15,
      "run": "00000000-0001-7000-8000-000000000000",
      "whole": true
    }
    "#);
}

#[test]
fn a_snapshot_that_is_not_there_is_an_error_with_a_hint() {
    let _filters = without_seconds();
    let choose = |world: &World, id: &str| {
        let args = VerifyArgs { id: Some(id.to_owned()), read_data: false };
        block_on(verify::judge(&world.ports(), &args)).expect_err("there is none")
    };
    insta::assert_snapshot!(Printer::shown_error("verify 7", &choose(&backed_up(), "7")), @"
    $ sitebackup verify 7
    error: no backup snapshot starts with `7`
    hint: `sitebackup snapshots` lists them
    [snapshot]
    ");
}

#[cfg(not(windows))]
#[test]
fn a_writer_of_vss_is_for_windows() {
    let error = block_on(vss_writer::run(&session())).expect_err("not here");
    assert_eq!(error.kind, Exit::USAGE);
    assert!(error.messages().concat().starts_with("the Volume Shadow Copy Service is Windows' own"), "{error:?}");
    assert!(error.hints.concat().contains("sitebackup shadow-copy run"), "{error:?}");
}

#[cfg(not(windows))]
#[test]
fn a_self_test_of_vss_is_for_windows() {
    let error =
        block_on(vss_selftest::run(&session(), &crate::args::VssSelftestArgs::default())).expect_err("not here");
    assert_eq!(error.kind, Exit::USAGE);
    let said = error.messages().concat();
    assert!(said.starts_with("the Volume Shadow Copy Service is Windows' own, and this is "), "{said}");
    assert_eq!(error.hints, ["run it on the site server"]);
}
