//! Each rule that refuses a script, alone.

use super::*;

/// What is refused, as `key: reason`, one line each.
fn refused(
    kind: SiteKind,
    database: Option<DatabasePart>,
    change: impl Fn(&mut SnapshotFacts, &mut Answers),
) -> String {
    let mut answers = answers(&kind);
    let mut facts = facts(kind, database, 1);
    change(&mut facts, &mut answers);
    match UnattendedRecovery::new(facts, &answers) {
        Ok(recovery) => panic!("it is not refused: {}", recovery.to_ini()),
        Err(refused) => refused.iter().map(|refused| format!("{refused}; {}\n", refused.remedy)).collect(),
    }
}

#[track_caller]
fn check(kind: SiteKind, change: impl Fn(&mut SnapshotFacts, &mut Answers), expect: &str) {
    let found = refused(kind, Some(files()), change);
    assert!(found.starts_with(expect) && found.lines().count() == 1, "{found}");
}

#[expect(clippy::unnecessary_wraps, reason = "answers are optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn sites_that_setup_does_not_recover() {
    let say = "Action: a secondary site has no backup: recover it from its primary site, which reinstalls it (Recover Secondary Site)";
    check(SiteKind::Secondary, |_, _| {}, say);
    check(SiteKind::SiteSystem, |_, _| {}, "Action: a site system server has no backup of its own");
}

#[test]
fn databases_that_setup_cannot_take_back() {
    let of = |kind, setup, form| refused(kind, Some(part(setup, form)), |_, _| {});
    let logical = "DatabaseRecoveryOptions: a logical dump has no CLR, Service Broker, certificates or change tracking in it: Setup cannot take database `CM_P01` back from the snapshot";
    let found = of(stand_alone(), SetupOption::None, DatabaseForm::Logical);
    assert!(found.starts_with(logical) && found.contains("(20)") && !found.contains("(40)"), "{found}");
    for kind in [child(), central()] {
        let found = of(kind, SetupOption::None, DatabaseForm::Logical);
        assert!(found.starts_with(logical) && found.contains("(40)"), "{found}");
    }
    let found = of(stand_alone(), SetupOption::None, DatabaseForm::File);
    assert!(found.contains("SQL Server 2022 is not the product's database engine"), "{found}");
    let found = refused(stand_alone(), None, |_, _| {});
    assert!(found.starts_with("DatabaseRecoveryOptions: the snapshot holds no database; "), "{found}");
    // Named all the same, MDF and LDF must be there.
    let backup = |_: &mut SnapshotFacts, answers: &mut Answers| answers.database = Some(DatabaseRecovery::Backup);
    let found = refused(stand_alone(), Some(part(SetupOption::Manual, DatabaseForm::Native)), backup);
    assert!(found.contains("Setup restores MDF and LDF files only (10)") && found.contains("(20)"), "{found}");
    let found = refused(stand_alone(), Some(part(SetupOption::None, DatabaseForm::Logical)), backup);
    assert!(found.starts_with(logical), "{found}");
    let found = refused(stand_alone(), None, backup);
    assert!(found.starts_with("DatabaseRecoveryOptions: the snapshot holds no database"), "{found}");
}

#[test]
fn options_that_contradict_each_other() {
    let database = |database| move |_: &mut SnapshotFacts, answers: &mut Answers| answers.database = Some(database);
    check(
        stand_alone(),
        database(DatabaseRecovery::Create),
        "DatabaseRecoveryOptions: a stand-alone primary site cannot get a new database (40)",
    );
    for asked in [DatabaseRecovery::Backup, DatabaseRecovery::Manual, DatabaseRecovery::Skip] {
        let change = |_: &mut SnapshotFacts, answers: &mut Answers| {
            (answers.server, answers.database) = (ServerRecovery::SiteServer, Some(asked));
        };
        check(stand_alone(), change, "DatabaseRecoveryOptions: Setup leaves the database alone");
    }
    let nothing = |_: &mut SnapshotFacts, answers: &mut Answers| {
        (answers.server, answers.database) = (ServerRecovery::Database, Some(DatabaseRecovery::Skip));
    };
    check(stand_alone(), nothing, "DatabaseRecoveryOptions: with the database recovered alone (4) and skipped (80)");
    let again = |_: &mut SnapshotFacts, answers: &mut Answers| {
        (answers.server, answers.reinstall) = (ServerRecovery::Database, true);
    };
    check(stand_alone(), again, "ServerRecoveryOptions: a site server that is not recovered (4) is not reinstalled");
}

#[test]
fn a_database_on_the_site_server_is_not_skipped() {
    let on = |site_server: Option<&str>, sql_server: &str| {
        let (site_server, sql_server) = (site_server.map(str::to_owned), some(sql_server));
        move |facts: &mut SnapshotFacts, answers: &mut Answers| {
            answers.database = Some(DatabaseRecovery::Skip);
            facts.site_server.clone_from(&site_server);
            answers.sql_server_name.clone_from(&sql_server);
        }
    };
    let lost = "DatabaseRecoveryOptions: the database is on the site server `CM01.corp.example` and was lost with it";
    for name in ["CM01.corp.example", "cm01.CORP.example", "cm01"] {
        check(stand_alone(), on(some("CM01.corp.example").as_deref(), name), lost);
    }
    let short = "DatabaseRecoveryOptions: the database is on the site server `CM01` and was lost with it";
    check(stand_alone(), on(Some("CM01"), "CM01.corp.example"), short);
    let unknown = "site server: a database can be skipped (80) only where it is on another computer";
    check(stand_alone(), on(None, "SQL1.corp.example"), unknown);
    let kind = stand_alone();
    for (site_server, sql_server) in [("CM01.corp.example", "CM01.lab.example"), ("CM01", "SQL1"), ("CM01", "CM010")] {
        let (mut facts, mut answers) = (facts(kind.clone(), Some(files()), 1), answers(&kind));
        on(Some(site_server), sql_server)(&mut facts, &mut answers);
        made(facts, &answers);
    }
}

#[test]
fn a_reference_site_is_for_a_central_site_whose_database_is_recovered() {
    let reference = |_: &mut SnapshotFacts, answers: &mut Answers| answers.reference_site = some("PRI1.corp.example");
    for kind in [stand_alone(), child()] {
        check(kind, reference, "ReferenceSite: only a central administration site");
    }
    let create = |_: &mut SnapshotFacts, answers: &mut Answers| answers.database = Some(DatabaseRecovery::Create);
    check(
        central(),
        create,
        "ReferenceSite: is missing; name the primary site that has the global data; a central administration site without primary sites",
    );
    for (server, database) in [(ServerRecovery::SiteServer, None), (ServerRecovery::Both, Some(DatabaseRecovery::Skip))]
    {
        let change = |facts: &mut SnapshotFacts, answers: &mut Answers| {
            reference(facts, answers);
            (answers.server, answers.database) = (server, database);
        };
        check(central(), change, "ReferenceSite: a database that is left as it is");
    }
}

#[test]
fn what_must_be_there_is_missing() {
    type Change = fn(&mut SnapshotFacts, &mut Answers);
    let missing: [(SiteKind, Change, &str); 9] = [
        (stand_alone(), |_, answers| answers.product_id = None, "ProductID: is missing"),
        (stand_alone(), |_, answers| answers.sms_install_dir = None, "SMSInstallDir: is missing"),
        (stand_alone(), |_, answers| answers.sdk_server = None, "SDKServer: is missing"),
        (stand_alone(), |_, answers| answers.prerequisite_path = None, "PrerequisitePath: is missing"),
        (stand_alone(), |_, answers| answers.sql_server_name = None, "SQLServerName: is missing"),
        (child(), |_, answers| answers.ccar_site_server = None, "CCARSiteServer: is missing"),
        (
            stand_alone(),
            |_, answers| (answers.site_server_backup_location, answers.backup_location) = (None, some(r"E:\db")),
            "SiteServerBackupLocation: is missing",
        ),
        (
            stand_alone(),
            |_, answers| (answers.site_server_backup_location, answers.reinstall) = (None, true),
            "BackupLocation: is missing",
        ),
        (
            stand_alone(),
            |facts, answers| (facts.database, answers.database) = (None, Some(DatabaseRecovery::Manual)),
            "DatabaseName: is missing",
        ),
    ];
    for (kind, change, expect) in missing {
        check(kind, change, expect);
    }
}

#[test]
fn what_has_no_meaning_for_the_site_is_refused() {
    type Change = fn(&mut SnapshotFacts, &mut Answers);
    let cases: [(SiteKind, Change, &str); 9] = [
        (stand_alone(), |_, answers| answers.ccar_site_server = some("C.example"), "CCARSiteServer: only a child"),
        (central(), |_, answers| answers.cas_retry_interval = Some(1), "CASRetryInterval: only a child"),
        (central(), |_, answers| answers.wait_for_cas_timeout = Some(1), "WaitForCASTimeout: only a child"),
        (child(), |_, answers| answers.wait_for_cas_timeout = Some(101), "WaitForCASTimeout: 101 minutes are more"),
        (
            child(),
            |_, answers| answers.cloud_connector_server = some("S.example"),
            "CloudConnectorServer: only the top site",
        ),
        (
            stand_alone(),
            |_, answers| (answers.proxy_name, answers.proxy_port) = (some("proxy"), Some(80)),
            "ProxyName: a proxy is used by a service connection point only",
        ),
        (
            stand_alone(),
            |_, answers| (answers.cloud_connector_server, answers.proxy_port) = (some("S.example"), Some(80)),
            "ProxyName: is missing",
        ),
        (
            stand_alone(),
            |_, answers| (answers.cloud_connector_server, answers.proxy_name) = (some("S.example"), some("proxy")),
            "ProxyPort: is missing",
        ),
        (
            stand_alone(),
            |_, answers| (answers.database, answers.backup_location) = (Some(DatabaseRecovery::Manual), some(r"E:\db")),
            "BackupLocation: only a database that Setup restores itself (10)",
        ),
    ];
    for (kind, change, expect) in cases {
        check(kind, change, expect);
    }
}

#[test]
fn values_that_are_not_what_they_must_be() {
    let name = |value: &'static str, expect: &str| {
        check(stand_alone(), |_, answers| answers.site_name = some(value), &format!("SiteName: {expect}"));
    };
    name("", "`` is empty");
    name("a\r\nSDKServer=evil", "`a\u{fffd}\u{fffd}SDKServer=evil` holds a line break");
    name("Zürich", "`Zürich` holds characters other than ASCII");
    name(" x", "` x` begins or ends with a space");
    name("\"x\"", "`\"x\"` stands in quotes");
    name("'x'", "`'x'` stands in quotes");

    let folder = |value: &'static str, expect: &str| {
        check(
            stand_alone(),
            |_, answers| answers.sms_install_dir = some(value),
            &format!("SMSInstallDir: `{value}` {expect}"),
        );
    };
    folder("ConfigMgr", "is not a full path of Windows");
    folder("/opt/configmgr", "is not a full path of Windows");
    folder(r"C:ConfigMgr", "is not a full path of Windows");
    folder(r"C:\a\..\b", "is not a full path of Windows");
    folder(r"C:\a:b", "holds a character that no path of Windows can hold");
    folder(r"\\srv\share\ConfigMgr", "is not on a drive of this machine");

    let host = |value: &'static str, expect: &str| {
        check(stand_alone(), |_, answers| answers.sdk_server = some(value), &format!("SDKServer: `{value}` {expect}"));
    };
    host("CM01", "is not a fully qualified name");
    host(r"CM01\INST", "names an instance");
    host("CM01.corp.example,1433", "names a port");
    host("CM01..example", "is not the name of a host");
    host("CM 01.example", "is not the name of a host");
    check(
        stand_alone(),
        |_, answers| answers.sql_server_name = some("."),
        "SQLServerName: `.` is not the name of a host",
    );
    check(
        stand_alone(),
        |_, answers| answers.sql_server_name = some("localhost"),
        "SQLServerName: `localhost` is another machine",
    );

    let database = |value: &'static str, expect: &str| {
        check(
            stand_alone(),
            |_, answers| answers.database_name = some(value),
            &format!("DatabaseName: `{value}` {expect}"),
        );
    };
    database(r"INST\", "names no database");
    database(r"\CM_P01", "names no instance");
    database(r"SRV\INST\CM_P01", "is no database");

    check(stand_alone(), |_, answers| answers.sql_server_port = Some(0), "SQLServerPort: 0 is no port");
    check(stand_alone(), |_, answers| answers.sql_ssb_port = Some(0), "SQLSSBPort: 0 is no port");
    for key in [
        "ABCDE-12345",
        "ABCDE-12345-ABCDE-12345-ABCD",
        "ABCDE-12345-ABCDE-12345-ABCD!",
        "ABCDE12345ABCDE12345ABCDE",
        "Evaluation",
    ] {
        let change = |_: &mut SnapshotFacts, answers: &mut Answers| answers.product_id = Some(Secret::new(key));
        check(stand_alone(), change, "ProductID: the product key is not five groups");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let found = refused(child(), None, |_, answers| *answers = Answers::default());
    let keys: Vec<&str> = found.lines().filter_map(|line| line.split(':').next()).collect();
    insta::assert_snapshot!(keys.join(" "), @"DatabaseRecoveryOptions SiteServerBackupLocation ProductID SMSInstallDir SDKServer PrerequisitePath SQLServerName DatabaseName CCARSiteServer");
}
