//! `recover`, `rehearse`, `repair`.

use backup_core::manifest::Manifest;
use backup_core::rehearse::RehearsalPorts;

use super::*;

fn recover_to(world: &World, request: &RecoverRequest) -> Answer {
    let ports = world.ports();
    let chosen = block_on(open(&ports, None)).expect("a snapshot");
    let ports = RecoveryPorts::of(&ports, vec!["SMS_EXECUTIVE".to_owned()]);
    let request = RecoverRequest { stores: recover::stores(Some(&alone())), ..request.clone() };
    block_on(recover::judge(&ports, chosen.files, &request)).expect("it can be read")
}

#[test]
fn recover_says_where_everything_went() {
    let _filters = without_seconds();
    let request = RecoverRequest { to: Some(path("/elsewhere")), ..RecoverRequest::default() };
    let answer = recover_to(&backed_up(), &request);
    insta::assert_snapshot!(Printer::shown("recover --to /elsewhere", &answer), @r"
    $ sitebackup recover --to /elsewhere
    Snapshot 000000000001 of site P01, 2026-03-01 03:00:[s] +00:00, is recovered:
      /site/db/CM_P01.db -> /elsewhere/site/db/CM_P01.db
      /site/inboxes -> /elsewhere/site/inboxes
      /site/data -> /elsewhere/site/data
      HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS -> /elsewhere/registry/SMSbkSiteRegSMS.dat
    11 entries written with 12 B.
    [done]
    ");
    insta::assert_snapshot!(json("recover", &answer), @r#"
    {
      "already": 0,
      "bytes": 12,
      "end": "whole",
      "places": [
        "/site/db/CM_P01.db -> /elsewhere/site/db/CM_P01.db",
        "/site/inboxes -> /elsewhere/site/inboxes",
        "/site/data -> /elsewhere/site/data",
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\SMS -> /elsewhere/registry/SMSbkSiteRegSMS.dat"
      ],
      "registry_changes": [],
      "run": "00000000-0001-7000-8000-000000000000",
      "written": 11
    }
    "#);
}

#[test]
fn recover_refuses_while_services_run() {
    let _filters = without_seconds();
    let world = backed_up();
    let answer = recover_to(&world, &RecoverRequest::default());
    insta::assert_snapshot!(Printer::shown("recover", &answer), @"
    $ sitebackup recover
    error: service `SMS_EXECUTIVE` is running: it would write while its site is put back
    hint: stop the site's services first, and keep them stopped until the recovery is done
    error: `/site/inboxes/counter.txt` was changed after the snapshot
    hint: overwrite such files with --overwrite-newer, or recover to another place with --to
    Snapshot 000000000001 of site P01, 2026-03-01 03:00:[s] +00:00, is not recovered; nothing was written.
    [service-stop]
    ");
    world.lock().services.insert("SMS_EXECUTIVE".to_owned(), ServiceState::Stopped);
    let request = RecoverRequest { overwrite_newer: true, ..RecoverRequest::default() };
    let answer = recover_to(&world, &request);
    insta::assert_snapshot!(Printer::shown("recover --overwrite-newer", &answer), @r"
    $ sitebackup recover --overwrite-newer
    Snapshot 000000000001 of site P01, 2026-03-01 03:00:[s] +00:00, is recovered:
      /site/db/CM_P01.db -> /site/db/CM_P01.db
      /site/inboxes -> /site/inboxes
      /site/data -> /site/data
      HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS -> /site/SMS.reg
    3 entries written with 2 B, 8 entries right already.
    [done]
    ");
}

#[test]
fn rehearse_judges_and_says_how_long() {
    let _filters = without_seconds();
    let world = backed_up();
    let rehearse = |probe: &str| {
        let args = RehearseArgs { probe: vec![probe.to_owned()], ..RehearseArgs::default() };
        let rehearse = async {
            let chosen = open(&world.ports(), None).await?;
            rehearse::judge(&RehearsalPorts::of(&world.ports()), chosen, &session(), &args).await
        };
        block_on(rehearse).expect("a snapshot")
    };
    let answer = rehearse("true");
    insta::assert_snapshot!(Printer::shown("rehearse --probe true", &answer), @"
    $ sitebackup rehearse --probe true
    Snapshot 000000000001 can be recovered: 11 entries with 12 B, database and registry judged, 1 probe.
    The recovery took [n] s; the real one takes about as long.
    [done]
    ");
    insta::assert_snapshot!(json("rehearse", &answer), @r#"
    {
      "recovered": true,
      "recovery": {
        "already": 0,
        "bytes": 12,
        "end": "whole",
        "places": [
          "/site/db/CM_P01.db -> /.scratch-2/site/db/CM_P01.db",
          "/site/inboxes -> /.scratch-2/site/inboxes",
          "/site/data -> /.scratch-2/site/data",
          "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\SMS -> /.scratch-2/registry/SMSbkSiteRegSMS.dat"
        ],
        "registry_changes": [],
        "run": "00000000-0001-7000-8000-000000000000",
        "written": 11
      },
      "run": "00000000-0001-7000-8000-000000000000",
      "took": [n]
    }
    "#);
    insta::assert_snapshot!(Printer::shown("rehearse --probe false", &rehearse("false")), @"
    $ sitebackup rehearse --probe false
    error: probe `false` failed (Exit(1)): ran false
    Snapshot 000000000001 failed its rehearsal.
    [recovery]
    ");
}

#[test]
fn repair_tells_what_it_did() {
    let _filters = without_seconds();
    let world = World::new();
    let none = block_on(repair::judge(&world.ports())).expect("nobody holds the journal");
    insta::assert_snapshot!(Printer::shown("repair", &none), @"
    $ sitebackup repair
    There was nothing to repair.
    [done]
    ");
    let run: RunId = "01900000000070008000000000000009".parse().expect("an id");
    let start = vec!["SMS_EXECUTIVE".to_owned()];
    let at = world.lock().now;
    world.lock().journal = vec![JournalRecord::RunStarted { run, at }, JournalRecord::ServicesStopping { run, start }];
    world.lock().services.insert("SMS_EXECUTIVE".to_owned(), ServiceState::Stopped);
    let left = status_of(&world, &alone(), None);
    insta::assert_snapshot!(Printer::shown("status", &left), @"
    $ sitebackup status
    error: there is no backup snapshot
    hint: `sitebackup backup` makes one
    warning: 1 run left something to repair
    hint: `sitebackup repair` puts it right, and so does the next run
    Site P01
      last good snapshot  none
      last run            none
      next window         open until 2026-03-01 05:00:[s] +00:00
    [stale]
    ");
    let answer = block_on(repair::judge(&world.ports())).expect("nobody holds the journal");
    insta::assert_snapshot!(Printer::shown("repair", &answer), @"
    $ sitebackup repair
    Services started: SMS_EXECUTIVE.
    Everything is put right.
    [done]
    ");
    insta::assert_snapshot!(json("repair", &answer), @r#"
    {
      "published": null,
      "started": [
        "SMS_EXECUTIVE"
      ],
      "swept": 0,
      "unfinished": [
        "01900000-0000-7000-8000-000000000009"
      ]
    }
    "#);
    world.lock().locked = true;
    let busy = block_on(repair::judge(&world.ports())).expect_err("somebody holds the journal");
    insta::assert_snapshot!(Printer::shown_error("repair", &busy), @"
    $ sitebackup repair
    error: another run is in progress (another process)
    hint: wait until it has ended; a watchdog that starts services takes as long as the services may
    [busy]
    ");
}

#[test]
fn a_half_recovered_site_is_told_and_settled() {
    let _filters = without_seconds();
    let world = backed_up();
    let snapshot = block_on(world.ports().destination.list()).expect("memory lists")[0].run;
    let (at, places) = (world.lock().now, vec!["/site/data -> /site/data".to_owned()]);
    world.lock().journal.push(JournalRecord::RecoveryBegun { snapshot, at, places });
    insta::assert_snapshot!(Printer::shown("backup", &back_up(&world)), @"
    $ sitebackup backup
    error: a recovery of snapshot 000000000001 began 2026-03-01 03:00:[s] UTC and did not end: the site may be half old, half recovered (/site/data -> /site/data)
    hint: repeat `sitebackup recover`; if the site is as it should be, say so with `sitebackup recover --abandon`
    Site P01 is not backed up; earlier snapshots are as they were.
    [half-recovered]
    ");
    insta::assert_snapshot!(Printer::shown("status", &status_of(&world, &alone(), None)), @"
    $ sitebackup status
    warning: the last run failed: 5000 E the run failed before anything was touched: a recovery of snapshot 000000000001 began 2026-03-01 03:00:[s] UTC and did not end: the site may be half old, half recovered (/site/data -> /site/data)
    hint: `sitebackup log` tells more, smsbkup.log at the destination all of it
    warning: a recovery of snapshot 000000000001 began 2026-03-01 03:00:[s] UTC and did not end: the site may be half old, half recovered (/site/data -> /site/data)
    hint: repeat `sitebackup recover`; if the site is as it should be, say so with `sitebackup recover --abandon`
    Site P01
      last good snapshot  000000000001, [n] s old (2026-03-01 03:00:[s] +00:00)
      last run            failed, began 2026-03-01 03:00:[s] +00:00
      next window         open until 2026-03-01 05:00:[s] +00:00
    [incomplete]
    ");
    let repaired = block_on(repair::judge(&world.ports())).expect("nobody holds the journal");
    insta::assert_snapshot!(Printer::shown("repair", &repaired), @"
    $ sitebackup repair
    warning: a recovery of snapshot 000000000001 began 2026-03-01 03:00:[s] UTC and did not end: the site may be half old, half recovered (/site/data -> /site/data)
    hint: repeat `sitebackup recover`; if the site is as it should be, say so with `sitebackup recover --abandon`
    The site is half recovered: no service is started before that is settled.
    [done]
    ");
    let settled = block_on(recover::abandon(&world.ports())).expect("nobody holds the journal");
    insta::assert_snapshot!(Printer::shown("recover --abandon", &settled), @"
    $ sitebackup recover --abandon
    The site counts as whole again: backups are made as before.
    [done]
    ");
    insta::assert_snapshot!(json("recover", &settled), @r#"
    {
      "already": 0,
      "bytes": 0,
      "end": "abandoned",
      "places": [
        "/site/data -> /site/data"
      ],
      "registry_changes": [],
      "run": "00000000-0001-7000-8000-000000000000",
      "written": 0
    }
    "#);
    let none = block_on(recover::abandon(&world.ports())).expect("nobody holds the journal");
    insta::assert_snapshot!(Printer::shown("recover --abandon", &none), @"
    $ sitebackup recover --abandon
    No recovery is open: there was nothing to abandon.
    [done]
    ");
    assert_eq!(back_up(&world).exit.name(), "done");
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let _filters = without_seconds();
    let world = backed_up();
    world.lock().services.insert("SMS_EXECUTIVE".to_owned(), ServiceState::Stopped);
    let key = r"hkey_local_machine\software\microsoft\sms";
    world.lock().registry.insert(key.to_owned(), b"77\nNew Key".to_vec());
    let before = format!("{:?}", world.lock().registry);
    let preview = |registry| {
        let stores = recover::stores(Some(&alone()));
        let request = RecoverRequest { overwrite_newer: true, registry, stores, ..RecoverRequest::default() };
        let ports = world.ports();
        let chosen = block_on(open(&ports, None)).expect("a snapshot");
        let ports = RecoveryPorts::of(&ports, vec!["SMS_EXECUTIVE".to_owned()]);
        block_on(recover::preview(&ports, chosen.files, &request)).expect("it can be read")
    };
    let answer = preview(ImportMode::Exact);
    insta::assert_snapshot!(Printer::shown("recover --overwrite-newer --dry-run", &answer), @r"
    $ sitebackup recover --overwrite-newer --dry-run
    Snapshot 000000000001 of site P01, 2026-03-01 03:00:[s] +00:00, would be recovered:
      /site/db/CM_P01.db -> /site/db/CM_P01.db
      /site/inboxes -> /site/inboxes
      /site/data -> /site/data
      HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS -> /site/SMS.reg
    11 entries with 8 B, less what is right already.
    In the registry:
      - 77
      - New Key
      + 9
    [done]
    ");
    insta::assert_snapshot!(json("recover", &answer), @r#"
    {
      "already": 0,
      "bytes": 8,
      "end": "preview",
      "places": [
        "/site/db/CM_P01.db -> /site/db/CM_P01.db",
        "/site/inboxes -> /site/inboxes",
        "/site/data -> /site/data",
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\SMS -> /site/SMS.reg"
      ],
      "registry_changes": [
        "- 77",
        "- New Key",
        "+ 9"
      ],
      "run": "00000000-0001-7000-8000-000000000000",
      "written": 11
    }
    "#);
    let answer = preview(ImportMode::Merge);
    insta::assert_snapshot!(Printer::shown("recover --overwrite-newer --dry-run --merge-registry", &answer), @r"
    $ sitebackup recover --overwrite-newer --dry-run --merge-registry
    Snapshot 000000000001 of site P01, 2026-03-01 03:00:[s] +00:00, would be recovered:
      /site/db/CM_P01.db -> /site/db/CM_P01.db
      /site/inboxes -> /site/inboxes
      /site/data -> /site/data
      HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS -> /site/SMS.reg
    11 entries with 8 B, less what is right already.
    In the registry:
      - 77
      + 9
    [done]
    ");
    assert_eq!(format!("{:?}", world.lock().registry), before);
    for (registry, expect) in [(ImportMode::Merge, "9\nNew Key"), (ImportMode::Exact, "9")] {
        let request = RecoverRequest { overwrite_newer: true, registry, ..RecoverRequest::default() };
        assert_eq!(recover_to(&world, &request).exit.name(), "done");
        assert_eq!(String::from_utf8_lossy(&world.lock().registry[key]), expect);
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("site.toml");
    let global = Global { site: Some(file.clone()), ..Global::default() };
    let told = || brought::configured_here(&global).1.map(|finding| finding.message);
    assert_eq!(told(), None, "a bare machine has none");
    std::fs::write(&file, "version = ").expect("written");
    let told = told().expect("what is there counts for nothing");
    assert!(told.starts_with("the site.toml of this machine is of no use: "), "{told}");
}

/// Repeated, an interrupted recovery goes on with its own snapshot, and not with what has become the newest.
#[test]
fn an_interrupted_recovery_goes_on_with_its_snapshot() {
    let world = backed_up();
    let ports = world.ports();
    let begun = |id: Option<&str>, to: Option<&str>| {
        let args = RecoverArgs { id: id.map(str::to_owned), ..RecoverArgs::default() };
        let request = RecoverRequest { to: to.map(path), ..RecoverRequest::default() };
        block_on(recover::begun(&ports, &args, &request)).expect("the journal can be read")
    };
    assert_eq!(begun(None, None), None);
    let snapshot = block_on(open(&ports, None)).expect("a snapshot");
    let snapshot = Manifest::parse(&block_on(snapshot.files.manifest()).expect("read")).expect("a manifest").run;
    let record = JournalRecord::RecoveryBegun { snapshot, at: world.lock().now, places: vec!["/site".to_owned()] };
    world.lock().journal.push(record);
    assert_eq!(begun(None, None), Some(snapshot.to_string()));
    assert_eq!(begun(Some("01a2"), None), None, "somebody chose");
    assert_eq!(begun(None, Some("/elsewhere")), None, "another place is another recovery");
}
