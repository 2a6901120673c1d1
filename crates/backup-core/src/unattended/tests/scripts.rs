//! The text of scripts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A reader as Windows has one: sections, keys, values without the spaces and the pair of quotes around them.
fn read(text: &str) -> BTreeMap<(String, String), String> {
    let mut keys = BTreeMap::new();
    let mut section = String::new();
    for line in text.split("\r\n").map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_lowercase();
            continue;
        }
        let (key, value) = line.split_once('=').expect("a key with a value");
        let value = value.trim();
        let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let before = keys.insert((section.clone(), key.trim().to_lowercase()), unquoted.unwrap_or(value).to_owned());
        assert_eq!(before, None, "{key} stands twice");
    }
    keys
}

fn ini(kind: SiteKind, database: Option<DatabasePart>, change: impl Fn(&mut Answers)) -> String {
    let mut answers = answers(&kind);
    change(&mut answers);
    made(facts(kind, database, 1), &answers).to_ini().replace("\r\n", "\n")
}

#[test]
fn a_stand_alone_primary_site_with_mdf_and_ldf() {
    insta::assert_snapshot!(ini(stand_alone(), Some(files()), |_| {}), @r"
    [Identification]
    Action=RecoverPrimarySite
    CDLatest=1

    [RecoveryOptions]
    ServerRecoveryOptions=1
    DatabaseRecoveryOptions=10
    SiteServerBackupLocation=E:\P01Backup
    BackupLocation=E:\P01Backup\SiteDBServer

    [Options]
    ProductID=Eval
    SiteCode=P01
    SMSInstallDir=C:\Program Files\Microsoft Configuration Manager
    SDKServer=CM01.corp.example
    PrerequisiteComp=1
    PrerequisitePath=D:\CD.Latest\Redist
    AdminConsole=1
    JoinCEIP=0

    [SQLConfigOptions]
    SQLServerName=SQL1.corp.example
    DatabaseName=CM_P01
    SQLSSBPort=4022

    [CloudConnectorOptions]
    CloudConnector=0
    ");
}

#[test]
fn a_central_site_with_every_key() {
    let text = ini(central(), None, |answers| {
        answers.database = Some(DatabaseRecovery::Create);
        answers.reinstall = true;
        answers.reference_site = Some("PRI1.corp.example".to_owned());
        answers.product_id = Some(Secret::new("ABCDE-12345-ABCDE-12345-ABCDE"));
        answers.site_name = Some("Central = all [of it]".to_owned());
        answers.download_prerequisites = true;
        answers.no_admin_console = true;
        answers.database_name = Some(r"INST\CM_P01".to_owned());
        (answers.sql_server_port, answers.sql_ssb_port) = (Some(1433), Some(4023));
        answers.sql_data_file_path = Some(r"E:\Data".to_owned());
        answers.sql_log_file_path = Some(r"F:\Logs".to_owned());
        answers.cloud_connector_server = Some("SCP.corp.example".to_owned());
        (answers.proxy_name, answers.proxy_port) = (Some("proxy".to_owned()), Some(8080));
    });
    insta::assert_snapshot!(text, @r"
    [Identification]
    Action=RecoverCCAR
    CDLatest=1

    [RecoveryOptions]
    ServerRecoveryOptions=1
    DatabaseRecoveryOptions=40
    ReferenceSite=PRI1.corp.example

    [Options]
    ProductID=ABCDE-12345-ABCDE-12345-ABCDE
    SiteCode=P01
    SiteName=Central = all [of it]
    SMSInstallDir=C:\Program Files\Microsoft Configuration Manager
    SDKServer=CM01.corp.example
    PrerequisiteComp=0
    PrerequisitePath=D:\CD.Latest\Redist
    AdminConsole=0
    JoinCEIP=0

    [SQLConfigOptions]
    SQLServerName=SQL1.corp.example
    SQLServerPort=1433
    DatabaseName=INST\CM_P01
    SQLSSBPort=4023
    SQLDataFilePath=E:\Data
    SQLLogFilePath=F:\Logs

    [CloudConnectorOptions]
    CloudConnector=1
    CloudConnectorServer=SCP.corp.example
    UseProxy=1
    ProxyName=proxy
    ProxyPort=8080
    ");
}

#[test]
fn the_database_of_a_child_site_alone() {
    let text = ini(child(), Some(part(SetupOption::Manual, DatabaseForm::Native)), |answers| {
        answers.server = ServerRecovery::Database;
        (answers.cas_retry_interval, answers.wait_for_cas_timeout) = (Some(5), Some(100));
    });
    insta::assert_snapshot!(text, @r"
    [Identification]
    Action=RecoverPrimarySite
    CDLatest=1

    [RecoveryOptions]
    ServerRecoveryOptions=4
    DatabaseRecoveryOptions=20

    [Options]
    ProductID=Eval
    SiteCode=P01
    SMSInstallDir=C:\Program Files\Microsoft Configuration Manager
    SDKServer=CM01.corp.example
    PrerequisiteComp=1
    PrerequisitePath=D:\CD.Latest\Redist
    JoinCEIP=0

    [SQLConfigOptions]
    SQLServerName=SQL1.corp.example
    DatabaseName=CM_P01
    SQLSSBPort=4022

    [CloudConnectorOptions]
    CloudConnector=0

    [HierarchyExpansionOption]
    CCARSiteServer=CAS01.corp.example
    CASRetryInterval=5
    WaitForCASTimeout=100
    ");
}

/// What the options of the snapshot, of the administrator and of the server make of the three keys.
#[test]
fn options_follow_the_snapshot_unless_somebody_chooses() {
    let key = |text: &str, key: &str| read(text).get(&("recoveryoptions".to_owned(), key.to_owned())).cloned();
    let check = |kind: SiteKind, database, server, asked, expect: [Option<&str>; 3]| {
        let mut answers = answers(&kind);
        (answers.server, answers.database) = (server, asked);
        answers.database_name = Some("CM_P01".to_owned());
        let reference = kind == central() && asked == Some(DatabaseRecovery::Create);
        answers.reference_site = reference.then(|| "PRI1.corp.example".to_owned());
        let text = made(facts(kind, database, 1), &answers).to_ini();
        let found =
            ["databaserecoveryoptions", "siteserverbackuplocation", "backuplocation"].map(|name| key(&text, name));
        assert_eq!(found.each_ref().map(Option::as_deref), expect, "{text}");
    };
    use DatabaseRecovery::{Backup, Create, Manual, Skip};
    use ServerRecovery::{Both, Database, SiteServer};
    let (set, database_set) = (Some(r"E:\P01Backup"), Some(r"E:\P01Backup\SiteDBServer"));
    let bak = || Some(part(SetupOption::Manual, DatabaseForm::Native));
    let logical = || Some(part(SetupOption::None, DatabaseForm::Logical));
    let external = || Some(part(SetupOption::None, DatabaseForm::External));
    for kind in [stand_alone(), child(), central()] {
        check(kind.clone(), Some(files()), Both, None, [Some("10"), set, database_set]);
        check(kind.clone(), Some(files()), Both, Some(Backup), [Some("10"), set, database_set]);
        check(kind.clone(), Some(files()), Database, None, [Some("10"), None, database_set]);
        check(kind.clone(), Some(files()), SiteServer, None, [None, set, None]);
        check(kind.clone(), None, SiteServer, None, [None, set, None]);
        check(kind.clone(), bak(), Both, None, [Some("20"), set, None]);
        check(kind.clone(), external(), Both, None, [Some("20"), set, None]);
        check(kind.clone(), external(), Database, None, [Some("20"), None, None]);
        // Whoever has restored it by hand has it from somewhere.
        check(kind.clone(), logical(), Both, Some(Manual), [Some("20"), set, None]);
        check(kind.clone(), None, Both, Some(Manual), [Some("20"), set, None]);
        check(kind.clone(), logical(), Both, Some(Skip), [Some("80"), set, None]);
        if kind.in_hierarchy() {
            check(kind.clone(), logical(), Both, Some(Create), [Some("40"), set, None]);
            check(kind, None, Database, Some(Create), [Some("40"), None, None]);
        }
    }
}

#[test]
fn a_set_of_its_own_goes_before_the_snapshots_folder() {
    let text = ini(stand_alone(), Some(files()), |answers| {
        answers.site_server_backup_location = Some(r"\\srv\bk\P01Backup\".to_owned());
    });
    assert!(text.contains("BackupLocation=\\\\srv\\bk\\P01Backup\\SiteDBServer\n"), "{text}");
    let text = ini(stand_alone(), Some(files()), |answers| {
        answers.server = ServerRecovery::Database;
        answers.site_server_backup_location = None;
        answers.backup_location = Some(r"\\sql1\bk".to_owned());
    });
    assert!(text.contains("DatabaseRecoveryOptions=10\nBackupLocation=\\\\sql1\\bk\n"), "{text}");
}

#[test]
fn a_product_key_is_shown_nowhere() {
    let kind = stand_alone();
    let shown = |key: &str| {
        let answers = Answers { product_id: Some(Secret::new(key)), ..answers(&kind) };
        match UnattendedRecovery::new(facts(kind.clone(), Some(files()), 1), &answers) {
            Ok(recovery) => {
                let said = [recovery.consequences(), recovery.before(), recovery.afterwards()].concat();
                format!("{:?} {said:?} {:?} {answers:?}", recovery.sections(), recovery.findings())
            }
            Err(refused) => format!("{refused:?}"),
        }
    };
    assert!(!shown("ABCDE-12345-ABCDE-12345-ABCDE").contains("ABCDE"));
    let refused = shown("ABCDE-12345");
    assert!(refused.contains("ProductID") && !refused.contains("ABCDE"), "{refused}");
}

proptest! {
    /// Whatever is not refused comes back from the file as it was given.
    #[test]
    fn what_is_written_is_read_back(
        name in "[ -~\u{e0}\r\n\t]{0,12}",
        database in r"[A-Za-z_ ='\\]{1,8}",
        folder in r#"[A-Za-z "';=\[\]\\:]{0,8}"#,
        port in 0..=u16::MAX,
        which in 0..3,
    ) {
        let kind = [stand_alone(), child(), central()][which as usize].clone();
        let folder = format!(r"E:\{folder}");
        let answers = Answers {
            site_name: Some(name.clone()),
            database_name: Some(database.clone()),
            sql_server_port: Some(port),
            site_server_backup_location: Some(folder.clone()),
            ..answers(&kind)
        };
        if let Ok(recovery) = UnattendedRecovery::new(facts(kind, Some(files()), 1), &answers) {
            let keys = read(&recovery.to_ini());
            let value = |section: &str, key: &str| keys.get(&(section.to_owned(), key.to_owned())).cloned();
            prop_assert_eq!(value("options", "sitename"), Some(name));
            prop_assert_eq!(value("sqlconfigoptions", "databasename"), Some(database));
            prop_assert_eq!(value("sqlconfigoptions", "sqlserverport"), Some(port.to_string()));
            prop_assert_eq!(value("recoveryoptions", "siteserverbackuplocation"), Some(folder));
            let written: usize = recovery.sections().iter().map(|section| section.keys.len()).sum();
            prop_assert_eq!(keys.len(), written);
        }
    }
}
