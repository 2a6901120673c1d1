//! `recover --unattended`.

use std::path::Path;

use super::*;
use crate::args::{SetupDatabase, UnattendedArgs};
use crate::commands::recover::unattended::{Found, judge};

/// A child primary site whose snapshot is so many days old.
fn script(args: &UnattendedArgs, days: i64) -> Result<Answer, CommandError> {
    let world = backed_up();
    let ports = world.ports();
    let chosen = block_on(open(&ports, None)).expect("a snapshot");
    let config = config(SiteKind::Primary { parent: Some("CAS".parse().expect("a site code")) });
    let found = Found { files: chosen.files, folder: chosen.folder, config: Some(config), findings: chosen.findings };
    let now = world.lock().now + SignedDuration::from_hours(24 * days);
    block_on(judge(found, args, Path::new("/P01.ini"), now)).map(|(_, answer)| answer)
}

fn args() -> UnattendedArgs {
    let some = |text: &str| Some(text.to_owned());
    UnattendedArgs {
        database: Some(SetupDatabase::Manual),
        evaluation: true,
        backup_set: some(r"E:\P01Backup"),
        sms_provider: some("CM01.corp.example"),
        prerequisites: some(r"D:\Redist"),
        parent_server: some("CAS01.corp.example"),
        install_folder: some(r"C:\ConfigMgr"),
        sql_server: some("SQL1.corp.example"),
        ..UnattendedArgs::default()
    }
}

#[test]
fn a_script_is_explained() {
    let _filters = without_seconds();
    let answer = script(&args(), 6).expect("no rule is broken");
    insta::assert_snapshot!(Printer::shown("recover --unattended /P01.ini …", &answer), @r"
    $ sitebackup recover --unattended /P01.ini …
    warning: `SiteServer/SMSbkSiteRegSMS.dat` in the snapshot tells nothing of the site: data to import are neither a valid hive nor valid .reg text: line 1, column 1: expected `Windows Registry Editor Version 5.00` or `REGEDIT4`
    error: the snapshot holds no `CD.Latest`: Setup of the site's version must come from elsewhere
    hint: the script has no CDLatest=1: add it to [Identification] when Setup runs from a CD.Latest of the same version, the old server's or one of a lab site updated to it; of a site never updated, its installation media will do
    note: nobody says how long change tracking data is kept: 5 days, the product's default, are taken
    hint: set `site.change-tracking-retention` in site.toml if it is another time
    note: the backup is older than change tracking reaches: global data is taken anew from another site
    hint: a new database (40), filled by replication, needs no backup at all
    `/P01.ini` is written: with it Setup recovers site P01, a child primary site of CAS, from snapshot 000000000001, 2026-03-01 03:00:[s] +00:00.
    The backup is 6 days old; change tracking, kept for 5 days, no longer reaches back to it.
    What becomes of the data:
      - global data: this site replaces its own by that of the central administration site
      - site data: the central administration site replaces what it has of this site by what is recovered; changes since the backup are lost, clients send most of them again
    By hand, before:
      - use a server with the name and domain of the old one and without an installation: where Setup finds a site, it recovers the database only
      - to clean the old server: delete `HKLM\SOFTWARE\Microsoft\SMS` and all keys `SMS*` below `HKLM\SYSTEM\CurrentControlSet\Services`, remove the console, restart
      - be ready to reinstall the site server instead (without SiteServerBackupLocation): that Setup takes a snapshot of this program for a backup set of the product's is not proven
      - restore database `CM_P01`: Setup expects it to be there
      - see that SQL Server has the edition that it had, its version or a newer one, is not in single-user mode, and that its Service Broker had port 4022 before
      - get CD.Latest of the site's version, put it outside the installation folder, and add CDLatest=1 to [Identification]
      - run, as an administrator: `<copy of CD.Latest>\SMSSETUP\BIN\X64\setup.exe /script <full path of this file>`
    By hand, afterwards:
      - enter the passwords of all accounts again, and install the out-of-band hotfixes: `C:\ConfigMgrPostRecoveryActions.html` on the site server lists both
      - enter the passwords of the PXE-enabled distribution points and of the steps of task sequences again
      - enter the sideloading keys again; their count of activations begins anew
      - make bootable and prestaged media anew where no PKI is used
      - give IIS its certificate again on site systems that use HTTPS
      - put back what the backup does not cover, to the same places: the content library and the package sources (`SELECT * FROM v_Package` names them)
      - put back custom reports of Reporting Services with its encryption key
      - put back the databases of Updates Publisher, one for each of its users
      - put back the folders of user states of state migration points
      - make publications and subscriptions of database replicas anew
      - renew the secret key of each Azure tenant where cloudmgr.log tells of an index that must be zero or more
      - import or renew the certificates of distribution points for which distmgr.log says `Failed to decrypt cert PFX data` (Set-CMDistributionPoint), those of the cloud too
      - back the site up once it works
    [incomplete]
    ");
    let result: serde_json::Value = serde_json::from_str(&json("recover --unattended", &answer)).expect("JSON");
    assert_eq!(result["sections"]["HierarchyExpansionOption"]["CCARSiteServer"], "CAS01.corp.example");
    assert_eq!((&result["inside_retention"], &result["cd_latest"]["present"]), (&false.into(), &false.into()));
}

#[test]
fn everything_that_is_missing_is_said_with_its_option() {
    let error = script(&UnattendedArgs::default(), 1).expect_err("much is missing");
    insta::assert_snapshot!(Printer::shown_error("recover --unattended /P01.ini", &error), @"
    $ sitebackup recover --unattended /P01.ini
    warning: `SiteServer/SMSbkSiteRegSMS.dat` in the snapshot tells nothing of the site: data to import are neither a valid hive nor valid .reg text: line 1, column 1: expected `Windows Registry Editor Version 5.00` or `REGEDIT4`
    error: DatabaseRecoveryOptions: memory 1 is not the product's database engine: Setup cannot take database `CM_P01` back from the snapshot
    hint: --database: have the other sites replicate the data into a new database (40), or restore a backup of SQL Server's own by hand (20)
    error: SiteServerBackupLocation: is missing
    hint: --backup-set: name the snapshot's folder as the machine sees it that runs Setup
    error: ProductID: is missing
    hint: --product-key-file or --evaluation: give the product key, or take the evaluation version
    error: SMSInstallDir: is missing
    hint: --install-folder: name the installation folder, the old one or a new one
    error: SDKServer: is missing
    hint: --sms-provider: name the server that had the SMS Provider
    error: PrerequisitePath: is missing
    hint: --prerequisites: name the folder of Setup's prerequisites, such as `Redist` in the copy of CD.Latest
    error: SQLServerName: is missing
    hint: --sql-server: name the server that had the site database
    error: CCARSiteServer: is missing
    hint: --parent-server: name the site server of the central administration site
    [usage]
    ");
}
