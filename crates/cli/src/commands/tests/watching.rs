//! `status` and `log`.

use backup_core::status::Severity;

use super::*;

#[test]
fn status_of_a_new_site_and_of_a_good_one() {
    let _filters = without_seconds();
    insta::assert_snapshot!(Printer::shown("status", &status_of(&World::new(), &alone(), None)), @"
    $ sitebackup status
    error: there is no backup snapshot
    hint: `sitebackup backup` makes one
    Site P01
      last good snapshot  none
      last run            none
      next window         open until 2026-03-01 05:00:[s] +00:00
    [stale]
    ");
    let world = backed_up();
    pass(&world, DAY / 2);
    let answer = status_of(&world, &alone(), Some(5 * DAY));
    insta::assert_snapshot!(Printer::shown("status --max-age 5d", &answer), @"
    $ sitebackup status --max-age 5d
    Site P01
      last good snapshot  000000000001, 12 h old (2026-03-01 03:00:[s] +00:00)
      last run            done, began 2026-03-01 03:00:[s] +00:00
      next window         2026-03-02 02:00:[s] +00:00
    [done]
    ");
    insta::assert_snapshot!(json("status", &answer), @r#"
    {
      "age": [n],
      "damaged": [],
      "good": {
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
      "half_recovered": false,
      "last_run": {
        "message": {
          "at": "2026-03-01T03:00:[s]Z",
          "details": [
            "/backup/P01Backup"
          ],
          "id": 5035,
          "run": "00000000-0001-7000-8000-000000000000",
          "severity": "information",
          "site": "P01",
          "text": "5035 I the backup is complete, with zero errors: /backup/P01Backup"
        },
        "result": "done",
        "run": "00000000-0001-7000-8000-000000000000",
        "started": "2026-03-01T03:00:[s]Z"
      },
      "leftovers": [],
      "max_age": 432000,
      "missed": [],
      "newest": {
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
      "next_window": {
        "begin": "2026-03-02T02:00:[s]Z",
        "latest_begin": "2026-03-02T05:00:[s]Z"
      },
      "now": "2026-03-01T15:00:[s]Z",
      "site": "P01",
      "usable_until": null
    }
    "#);
}

#[test]
fn status_of_a_site_that_is_left_alone() {
    let _filters = without_seconds();
    let world = backed_up();
    pass(&world, 6 * DAY);
    insta::assert_snapshot!(Printer::shown("status", &status_of(&world, &alone(), None)), @"
    $ sitebackup status
    warning: 5 windows passed without a run, the first from 2026-03-02 02:00:[s] +00:00
    hint: does the scheduler run `sitebackup backup`? docs/scheduling.md has examples
    Site P01
      last good snapshot  000000000001, 6 days old (2026-03-01 03:00:[s] +00:00)
      last run            done, began 2026-03-01 03:00:[s] +00:00
      next window         open until 2026-03-07 05:00:[s] +00:00
    [incomplete]
    ");
    insta::assert_snapshot!(Printer::shown("status --max-age 5d", &status_of(&world, &alone(), Some(5 * DAY))), @"
    $ sitebackup status --max-age 5d
    error: the last good snapshot is 6 days old, more than 5 days
    hint: `sitebackup backup` makes one
    warning: 5 windows passed without a run, the first from 2026-03-02 02:00:[s] +00:00
    hint: does the scheduler run `sitebackup backup`? docs/scheduling.md has examples
    Site P01
      last good snapshot  000000000001, 6 days old (2026-03-01 03:00:[s] +00:00)
      last run            done, began 2026-03-01 03:00:[s] +00:00
      next window         open until 2026-03-07 05:00:[s] +00:00
    [stale]
    ");
    let child = config(SiteKind::Primary { parent: Some("CAS".parse().expect("a site code")) });
    insta::assert_snapshot!(Printer::shown("status", &status_of(&world, &child, None)), @"
    $ sitebackup status
    error: the last good snapshot was usable until 2026-03-06 03:00:[s] +00:00: change tracking no longer reaches back to it, and other sites cannot catch up
    hint: `sitebackup backup` makes one
    warning: 5 windows passed without a run, the first from 2026-03-02 02:00:[s] +00:00
    hint: does the scheduler run `sitebackup backup`? docs/scheduling.md has examples
    Site P01
      last good snapshot  000000000001, 6 days old (2026-03-01 03:00:[s] +00:00)
      usable until        2026-03-06 03:00:[s] +00:00
      last run            done, began 2026-03-01 03:00:[s] +00:00
      next window         open until 2026-03-07 05:00:[s] +00:00
    [stale]
    ");
}

#[test]
fn status_before_change_tracking_no_longer_reaches_back() {
    let _filters = without_seconds();
    let world = backed_up();
    pass(&world, 4 * DAY + DAY / 2);
    let child = config(SiteKind::Primary { parent: Some("CAS".parse().expect("a site code")) });
    let judged = |world: &World, config| status_of(world, config, None);
    let shown = Printer::shown("status", &judged(&world, &child));
    insta::assert_snapshot!(shown.lines().take(3).collect::<Vec<_>>().join("\n"), @"
    $ sitebackup status
    warning: the last good snapshot is usable until 2026-03-06 03:00:[s] +00:00: after that change tracking does not reach back to it, and other sites cannot catch up
    hint: `sitebackup backup` makes one
    ");
    assert_eq!(judged(&world, &child).exit.name(), "incomplete");
    assert!(!Printer::shown("status", &judged(&world, &alone())).contains("usable"));
}

#[test]
fn status_after_a_failed_run() {
    let _filters = without_seconds();
    let world = backed_up();
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "stop"));
    back_up(&world);
    insta::assert_snapshot!(Printer::shown("status", &status_of(&world, &alone(), None)), @"
    $ sitebackup status
    warning: the last run failed: 5022 E a service could not be stopped: writer `SMS Writer` failed in PrepareSnapshot: failed to stop service `SMS_EXECUTIVE`: permission denied
    hint: `sitebackup log` tells more, smsbkup.log at the destination all of it
    Site P01
      last good snapshot  000000000001, [n] s old (2026-03-01 03:00:[s] +00:00)
      last run            failed, began 2026-03-01 03:00:[s] +00:00
      next window         open until 2026-03-01 05:00:[s] +00:00
    [incomplete]
    ");
}

/// That a service is down is told before all else of the run, and matters more.
#[test]
fn status_after_a_run_that_left_a_service_down_and_a_file_out() {
    let _filters = without_seconds();
    let world = backed_up();
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "start"));
    world.lock().put("/site/inboxes/new.box", FileKind::File, b"new");
    world.lock().files.get_mut(&path("/site/inboxes/new.box")).expect("it is there").unreadable = true;
    back_up(&world);
    let told: Vec<u32> = world.lock().status.iter().map(|message| message.id).collect();
    assert_eq!(told.iter().filter(|id| [5024, 5044].contains(id)).collect::<Vec<_>>(), [&5024, &5044]);
    let shown = Printer::shown("status", &status_of(&world, &alone(), None));
    assert!(shown.contains("warning: the last run failed: 5024 E a service could not be started: "), "{shown}");
    // As if it had come up, late, and the run had been complete then.
    for message in world.lock().status.iter_mut().filter(|message| message.id == 5044) {
        (message.id, message.severity) = (5035, Severity::Information);
    }
    let shown = Printer::shown("status", &status_of(&world, &alone(), None));
    assert!(shown.contains("last run            done"), "{shown}");
}

#[test]
fn log_tells_the_last_messages() {
    let _filters = without_seconds();
    let world = backed_up();
    let answer = block_on(log::list(&world.ports(), 2)).expect("memory reads");
    insta::assert_snapshot!(Printer::shown("log -n 2", &answer), @"
    $ sitebackup log -n 2
    2026-03-01 03:00:[s] +00:00  5056 I the shadow copy is taken, copying begins: freeze window [n] s, provider memory
    2026-03-01 03:00:[s] +00:00  5035 I the backup is complete, with zero errors: /backup/P01Backup
    [done]
    ");
    insta::assert_snapshot!(json("log", &answer), @r#"
    {
      "messages": [
        {
          "at": "2026-03-01T03:00:[s]Z",
          "details": [
            "freeze window [n] s, provider memory"
          ],
          "id": 5056,
          "run": "00000000-0001-7000-8000-000000000000",
          "severity": "information",
          "site": "P01",
          "text": "5056 I the shadow copy is taken, copying begins: freeze window [n] s, provider memory"
        },
        {
          "at": "2026-03-01T03:00:[s]Z",
          "details": [
            "/backup/P01Backup"
          ],
          "id": 5035,
          "run": "00000000-0001-7000-8000-000000000000",
          "severity": "information",
          "site": "P01",
          "text": "5035 I the backup is complete, with zero errors: /backup/P01Backup"
        }
      ]
    }
    "#);
    let none = block_on(log::list(&World::new().ports(), 2)).expect("memory reads");
    insta::assert_snapshot!(Printer::shown("log", &none), @"
    $ sitebackup log
    There is no status message: nothing has run yet.
    [done]
    ");
}

#[test]
fn a_snapshot_weaker_than_asked_for_names_the_last_good_one() {
    let _filters = without_seconds();
    let world = backed_up();
    world.lock().put("/site/inboxes/new.box", FileKind::File, b"new");
    world.lock().files.get_mut(&path("/site/inboxes/new.box")).expect("it is there").unreadable = true;
    back_up(&world);
    let chosen = block_on(open(&world.ports(), None)).expect("a snapshot");
    insta::assert_debug_snapshot!(chosen.findings, @r#"
    [
        Finding {
            gravity: Warning,
            cause: Snapshot,
            message: "snapshot 000000000002 is weaker than asked for: `/site/inboxes/new.box`: failed to open `/.image/00000000-0002-7000-8000-000000000000/site/inboxes/new.box`: permission denied",
            hint: Some(
                "the last good one is 000000000001",
            ),
        },
    ]
    "#);
    insta::assert_snapshot!(Printer::shown("status", &status_of(&world, &alone(), None)), @"
    $ sitebackup status
    warning: the last run was incomplete: 5044 E a snapshot was published, but it is incomplete or weaker than asked for: `/site/inboxes/new.box`: failed to open `/.image/00000000-0002-7000-8000-000000000000/site/inboxes/new.box`: permission denied
    hint: `sitebackup log` tells more, smsbkup.log at the destination all of it
    Site P01
      last good snapshot  000000000001, [n] s old (2026-03-01 03:00:[s] +00:00)
      newest snapshot     000000000002, weaker than asked for (2026-03-01 03:00:[s] +00:00)
      last run            incomplete, began 2026-03-01 03:00:[s] +00:00
      next window         open until 2026-03-01 05:00:[s] +00:00
    [incomplete]
    ");
}

#[test]
fn a_damaged_snapshot_is_told_and_counts_for_nothing() {
    let _filters = without_seconds();
    let world = backed_up();
    let ports = world.ports();
    let first = block_on(ports.destination.list()).expect("memory lists")[0].run;
    world.damage(first);
    insta::assert_snapshot!(Printer::shown("status", &status_of(&world, &alone(), None)), @"
    $ sitebackup status
    error: there is no backup snapshot
    hint: `sitebackup backup` makes one
    warning: snapshot 000000000001 at `/backup/P01Backup` is damaged: the list of files does not have the hash in the manifest
    hint: it counts as no snapshot and is never removed: save from it what you need, then move the folder away or delete it
    Site P01
      last good snapshot  none
      last run            done, began 2026-03-01 03:00:[s] +00:00
      next window         open until 2026-03-01 05:00:[s] +00:00
    [stale]
    ");
    let refused = block_on(open(&ports, Some(&first.to_string()))).map(|_| ()).expect_err("it is damaged");
    insta::assert_snapshot!(Printer::shown_error("verify 00000000", &refused), @"
    $ sitebackup verify 00000000
    error: snapshot 000000000001 at `/backup/P01Backup` is damaged: the list of files does not have the hash in the manifest
    hint: it counts as no snapshot and is never removed: save from it what you need, then move the folder away or delete it
    [snapshot]
    ");
    assert_eq!(back_up(&world).exit.name(), "done", "it stands in nobody's way");
    let listed = block_on(snapshots::list(&ports)).expect("memory lists");
    insta::assert_snapshot!(Printer::shown("snapshots", &listed), @"
    $ sitebackup snapshots
    warning: snapshot 000000000001 at `/backup/.sitebackup-00000000000170008000000000000000` is damaged: the list of files does not have the hash in the manifest
    hint: it counts as no snapshot and is never removed: save from it what you need, then move the folder away or delete it
    000000000002  2026-03-01 03:00:[s] +00:00  15 entries  86 B  application consistency  /backup/P01Backup
    [incomplete]
    ");
    assert_documented("snapshots", &listed.result);
    insta::assert_snapshot!(serde_json::to_string_pretty(&listed.result["damaged"]).expect("JSON"), @r#"
    [
      {
        "folder": "/backup/.sitebackup-00000000000170008000000000000000",
        "reason": "the list of files does not have the hash in the manifest",
        "run": "00000000-0001-7000-8000-000000000000"
      }
    ]
    "#);
    let verified = block_on(verify::judge(&ports, &VerifyArgs { id: None, read_data: true })).expect("one is whole");
    insta::assert_snapshot!(Printer::shown("verify --read-data", &verified), @"
    $ sitebackup verify --read-data
    warning: snapshot 000000000001 at `/backup/.sitebackup-00000000000170008000000000000000` is damaged: the list of files does not have the hash in the manifest
    hint: it counts as no snapshot and is never removed: save from it what you need, then move the folder away or delete it
    Snapshot 000000000002 is whole: 15 entries, 86 B read and hashed.
    [incomplete]
    ");
    let checked = block_on(check::judge(&ports, &alone(), &plan(&alone())));
    assert!(checked.notices.iter().any(|notice| notice.finding.message.contains("is damaged")));
    assert_eq!(checked.exit.name(), "incomplete");
}
