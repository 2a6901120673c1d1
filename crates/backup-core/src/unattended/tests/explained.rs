//! What is said of scripts: consequences, warnings, what is done by hand.

use super::*;
use crate::change_tracking::retention_in;

fn recovery(kind: &SiteKind, database: DatabaseRecovery, days: i64, reference: Option<&str>) -> UnattendedRecovery {
    let answers = Answers { database: Some(database), reference_site: reference.map(str::to_owned), ..answers(kind) };
    made(facts(kind.clone(), Some(files()), days), &answers)
}

/// The decision table, whole: kinds, ways of the database, inside and outside.
#[test]
fn consequences_follow_kind_way_and_age() {
    use DatabaseRecovery::{Backup, Create, Manual, Skip};
    let cases = [
        ("alone", stand_alone(), None, vec![Backup, Skip]),
        ("child", child(), None, vec![Backup, Create, Skip]),
        ("central", central(), None, vec![Backup, Skip]),
        ("central, reference site", central(), Some("PRI1.corp.example"), vec![Backup, Create]),
    ];
    let mut table = String::new();
    for (name, kind, reference, ways) in cases {
        for way in ways {
            let said = |way, days| {
                let recovery = recovery(&kind, way, days, reference);
                format!("{:?}\n  {}\n", recovery.is_inside_retention(), recovery.consequences().join("\n  "))
            };
            let (code, inside, outside) = (way.code(), said(way, 5), said(way, 6));
            match inside == outside {
                true => table.push_str(&format!("{name}, {code}, any age: {inside}")),
                false => {
                    table.push_str(&format!("{name}, {code}, 5 days: {inside}{name}, {code}, 6 days: {outside}"));
                }
            }
            if way == Backup {
                assert_eq!([said(Manual, 5), said(Manual, 6)], [inside, outside], "whoever restores it");
            }
        }
    }
    insta::assert_snapshot!(table, @"
    alone, 10, any age: None
      all data: changes since the backup are lost; its age makes no other difference
    alone, 80, any age: None
      the site database stays as it is
    child, 10, 5 days: Some(true)
      global data: changes since the backup come from the central administration site
      site data: the central administration site replaces what it has of this site by what is recovered; changes since the backup are lost, clients send most of them again
    child, 10, 6 days: Some(false)
      global data: this site replaces its own by that of the central administration site
      site data: the central administration site replaces what it has of this site by what is recovered; changes since the backup are lost, clients send most of them again
    child, 40, any age: None
      global data and site data: this site takes them from the central administration site; what it had not replicated is lost
    child, 80, any age: None
      the site database stays as it is
    central, 10, 5 days: Some(true)
      global data: changes since the backup come from all primary sites; of two that contradict each other the first to arrive holds
      site data: changes since the backup come from all primary sites
    central, 10, 6 days: Some(false)
      global data: every primary site replaces its own by the old data that the central administration site recovers; changes since the backup are lost everywhere
      site data: the central administration site replaces what it has of each primary site by what that site has
    central, 80, any age: None
      the site database stays as it is
    central, reference site, 10, 5 days: Some(true)
      global data: changes since the backup come from all primary sites; of two that contradict each other the first to arrive holds
      site data: changes since the backup come from all primary sites
    central, reference site, 10, 6 days: Some(false)
      global data: the central administration site replaces its own by that of the reference site `PRI1.corp.example`, then every other primary site its own by that
      site data: the central administration site replaces what it has of each primary site by what that site has
    central, reference site, 40, any age: None
      global data: the central administration site takes it from the reference site `PRI1.corp.example`
      site data: the central administration site takes it from each primary site
    ");
}

fn said(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{:?}: {}\n", finding.gravity, finding.message)).collect()
}

#[test]
fn what_is_dangerous_is_a_warning() {
    use DatabaseRecovery::{Backup, Create, Skip};
    let quiet = [
        (stand_alone(), Backup, 400, None),
        (child(), Backup, 5, None),
        (central(), Backup, 5, None),
        (central(), Create, 400, Some("PRI1.corp.example")),
        (central(), Skip, 400, None),
    ];
    for (kind, database, days, reference) in quiet {
        assert_eq!(said(&recovery(&kind, database, days, reference).findings()), "", "{kind:?} {database:?}");
    }
    let old = "Note: the backup is older than change tracking reaches: global data is taken anew from another site\n";
    assert_eq!(said(&recovery(&child(), Backup, 6, None).findings()), old);
    assert_eq!(said(&recovery(&central(), Backup, 6, Some("PRI1.corp.example")).findings()), old);
    let everywhere = "Warning: the backup is older than change tracking reaches, and no reference site is named: the old data replaces that of all primary sites\n";
    assert_eq!(said(&recovery(&central(), Backup, 6, None).findings()), everywhere);
    let future = "Warning: the snapshot is of a moment that has not come yet\n";
    assert_eq!(said(&recovery(&child(), Backup, -1, None).findings()), future);
}

#[test]
fn the_time_of_change_tracking_is_the_sites_own_or_the_products() {
    let with = |kind: SiteKind, retention, days| {
        let answers = answers(&kind);
        made(SnapshotFacts { retention, ..facts(kind, Some(files()), days) }, &answers)
    };
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(with(child(), days(14), 14).is_inside_retention(), Some(true));
    assert_eq!(with(child(), days(2), 3).is_inside_retention(), Some(false));
    let unknown = with(child(), None, 6);
    assert_eq!(unknown.is_inside_retention(), Some(false));
    assert!(said(&unknown.findings()).starts_with("Note: nobody says how long"), "{:?}", unknown.findings());
    assert_eq!(said(&with(stand_alone(), None, 6).findings()), "");
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let kept = |period: &str, units: &str| {
        let facts = vec![fact("change-tracking-retention", period), fact("change-tracking-units", units)];
        retention_in(&DatabasePart { facts, ..files() })
    };
    assert_eq!(kept("5", "DAYS"), days(5));
    assert_eq!(kept("48", "HOURS"), days(2));
    assert_eq!(kept("1440", "MINUTES"), days(1));
    assert_eq!(kept("5", "FORTNIGHTS"), None);
    assert_eq!(retention_in(&files()), None);
}

fn steps(kind: SiteKind, database: Option<DatabasePart>, change: impl Fn(&mut Answers)) -> (String, String) {
    let mut answers = answers(&kind);
    change(&mut answers);
    let recovery = made(facts(kind, database, 1), &answers);
    (recovery.before().join("\n"), recovery.afterwards().join("\n"))
}

#[test]
fn by_hand_for_a_whole_site() {
    let key = |answers: &mut Answers| answers.product_id = Some(Secret::new("ABCDE-12345-ABCDE-12345-ABCDE"));
    let (before, afterwards) = steps(stand_alone(), Some(files()), key);
    insta::assert_snapshot!(before, @r"
    use a server with the name and domain of the old one and without an installation: where Setup finds a site, it recovers the database only
    to clean the old server: delete `HKLM\SOFTWARE\Microsoft\SMS` and all keys `SMS*` below `HKLM\SYSTEM\CurrentControlSet\Services`, remove the console, restart
    be ready to reinstall the site server instead (without SiteServerBackupLocation): that Setup takes a snapshot of this program for a backup set of the product's is not proven
    remove database `CM_P01` where SQL Server still has it: Setup fails when it is there
    see that the snapshot is whole (`sitebackup verify --read-data`): Setup does not look at the MDF and LDF before it uses them
    where the database was in an availability group, restore SQL Server's own backup by hand instead (20): its MDF and LDF do not serve
    see that SQL Server has the edition that it had, its version or a newer one, is not in single-user mode, and that its Service Broker had port 4022 before
    copy CD.Latest from the snapshot to a folder outside the installation folder: Setup recovers from nowhere else
    run, as an administrator: `<copy of CD.Latest>\SMSSETUP\BIN\X64\setup.exe /script <full path of this file>`
    ");
    insta::assert_snapshot!(afterwards, @r"
    enter the passwords of all accounts again, and install the out-of-band hotfixes: `C:\ConfigMgrPostRecoveryActions.html` on the site server lists both
    enter the passwords of the PXE-enabled distribution points and of the steps of task sequences again
    enter the sideloading keys again; their count of activations begins anew
    make bootable and prestaged media anew where no PKI is used
    give IIS its certificate again on site systems that use HTTPS
    put back what the backup does not cover, to the same places: the content library and the package sources (`SELECT * FROM v_Package` names them)
    put back custom reports of Reporting Services with its encryption key
    put back the databases of Updates Publisher, one for each of its users
    put back the folders of user states of state migration points
    make publications and subscriptions of database replicas anew
    add the service connection point where the site had one: the script asks for none
    renew the secret key of each Azure tenant where cloudmgr.log tells of an index that must be zero or more
    import or renew the certificates of distribution points for which distmgr.log says `Failed to decrypt cert PFX data` (Set-CMDistributionPoint), those of the cloud too
    back the site up once it works
    delete this file: it holds the product key
    ");
}

#[test]
fn by_hand_is_only_what_the_script_leaves() {
    let bak = part(SetupOption::Manual, DatabaseForm::Native);
    let (before, afterwards) = steps(central(), Some(bak), |answers| answers.server = ServerRecovery::Database);
    assert!(
        before.starts_with("restore database `CM_P01` from the snapshot: `sitebackup recover --part database`"),
        "{before}"
    );
    assert!(
        !before.contains("SiteServerBackupLocation") && !afterwards.contains("sideloading"),
        "{before}\n{afterwards}"
    );
    assert!(afterwards.contains("ConfigMgrDRSSiteQueue") && afterwards.contains("publications"), "{afterwards}");

    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let facts = vec![fact("backup-places", r"\\sql1\bk\CM_P01.bak")];
    let external = DatabasePart { facts, ..part(SetupOption::None, DatabaseForm::External) };
    let (before, _) = steps(child(), Some(external), |_| {});
    assert!(before.contains(r"restore database `CM_P01` from the backup of others: \\sql1\bk\CM_P01.bak"), "{before}");

    let elsewhere = |answers: &mut Answers| answers.database = Some(DatabaseRecovery::Manual);
    let (before, _) = steps(child(), Some(part(SetupOption::None, DatabaseForm::Logical)), elsewhere);
    assert!(before.contains("restore database `CM_P01`: Setup expects it to be there"), "{before}");

    let (before, afterwards) = steps(stand_alone(), Some(files()), |answers| {
        answers.server = ServerRecovery::SiteServer;
        answers.reinstall = true;
        answers.cloud_connector_server = Some("SCP.corp.example".to_owned());
    });
    for absent in ["database", "edition", "SiteServerBackupLocation"] {
        assert!(!before.lines().skip(2).any(|line| line.contains(absent)), "{absent}: {before}");
    }
    for absent in ["ConfigMgrDRSSiteQueue", "publications", "service connection point", "product key"] {
        assert!(!afterwards.contains(absent), "{absent}: {afterwards}");
    }
}

#[test]
fn the_age_of_what_others_back_up_is_not_the_snapshots() {
    let kind = child();
    let external = part(SetupOption::None, DatabaseForm::External);
    let recovery = made(facts(kind.clone(), Some(external), 1), &answers(&kind));
    let expect =
        "Warning: the age that counts is that of the backup which is restored by hand, and not the snapshot's\n";
    assert_eq!(said(&recovery.findings()), expect);
}
