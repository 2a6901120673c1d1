//! What a script will do to the site's data, and what is left to people.

use super::{DatabaseRecovery, ServerRecovery, UnattendedRecovery, values};
use crate::change_tracking::DEFAULT_RETENTION;
use crate::manifest::DatabasePart;
use crate::ports::database::DatabaseForm;
use crate::report::{Cause, Finding, Gravity};
use crate::site::SiteKind;

/// Where Setup lists what it cannot put back.
const ACTIONS: &str = r"C:\ConfigMgrPostRecoveryActions.html";

/// The central administration site in a sentence.
const CAS: &str = "the central administration site";

pub(super) fn consequences(recovery: &UnattendedRecovery) -> Vec<String> {
    let central = recovery.facts.kind == SiteKind::CentralAdministration;
    let reference = recovery.value("ReferenceSite");
    match recovery.database {
        None | Some(DatabaseRecovery::Skip) => vec!["the site database stays as it is".to_owned()],
        Some(DatabaseRecovery::Create) if central => vec![
            format!("global data: {CAS} takes it from the reference site `{}`", reference.unwrap_or_default()),
            format!("site data: {CAS} takes it from each primary site"),
        ],
        Some(DatabaseRecovery::Create) => {
            vec![format!(
                "global data and site data: this site takes them from {CAS}; what it had not replicated is lost"
            )]
        }
        Some(DatabaseRecovery::Backup | DatabaseRecovery::Manual) => {
            from_backup(&recovery.facts.kind, recovery.facts.is_inside_retention(), reference)
        }
    }
}

/// The vendor's table of recovery scenarios.
fn from_backup(kind: &SiteKind, inside: bool, reference: Option<&str>) -> Vec<String> {
    let own_site_data = format!(
        "site data: {CAS} replaces what it has of this site by what is recovered; changes since the backup are lost, clients send most of them again"
    );
    match (kind, inside, reference) {
        (SiteKind::CentralAdministration, true, _) => vec![
            "global data: changes since the backup come from all primary sites; of two that contradict each other the first to arrive holds".to_owned(),
            "site data: changes since the backup come from all primary sites".to_owned(),
        ],
        (SiteKind::CentralAdministration, false, Some(reference)) => vec![
            format!("global data: {CAS} replaces its own by that of the reference site `{reference}`, then every other primary site its own by that"),
            format!("site data: {CAS} replaces what it has of each primary site by what that site has"),
        ],
        (SiteKind::CentralAdministration, false, None) => vec![
            format!("global data: every primary site replaces its own by the old data that {CAS} recovers; changes since the backup are lost everywhere"),
            format!("site data: {CAS} replaces what it has of each primary site by what that site has"),
        ],
        (SiteKind::Primary { parent: Some(_) }, true, _) => {
            vec![format!("global data: changes since the backup come from {CAS}"), own_site_data]
        }
        (SiteKind::Primary { parent: Some(_) }, false, _) => {
            vec![format!("global data: this site replaces its own by that of {CAS}"), own_site_data]
        }
        _ => vec!["all data: changes since the backup are lost; its age makes no other difference".to_owned()],
    }
}

pub(super) fn warnings(recovery: &UnattendedRecovery) -> Vec<Finding> {
    let facts = &recovery.facts;
    let mut findings = Vec::new();
    let mut tell = |gravity, message: String, hint: &str| {
        findings.push(Finding::new(gravity, Cause::Recovery, message).hint(hint));
    };
    if facts.now < facts.moment {
        let hint = "set this machine's clock: the snapshot's age decides what is replicated";
        tell(Gravity::Warning, "the snapshot is of a moment that has not come yet".to_owned(), hint);
    }
    let Some(inside) = recovery.is_inside_retention() else { return findings };
    if facts.retention.is_none() {
        let days = DEFAULT_RETENTION.as_secs() / 86_400;
        let message =
            format!("nobody says how long change tracking data is kept: {days} days, the product's default, are taken");
        tell(Gravity::Note, message, "set `site.change-tracking-retention` in site.toml if it is another time");
    }
    if external(recovery).is_some() {
        let message = "the age that counts is that of the backup which is restored by hand, and not the snapshot's";
        tell(Gravity::Warning, message.to_owned(), "compare it with the time for which change tracking data is kept");
    }
    match (&facts.kind, inside, recovery.value("ReferenceSite")) {
        (SiteKind::CentralAdministration, false, None) => {
            let message = "the backup is older than change tracking reaches, and no reference site is named: the old data replaces that of all primary sites";
            tell(Gravity::Warning, message.to_owned(), "name a primary site whose global data is good");
        }
        (_, false, _) => {
            let message =
                "the backup is older than change tracking reaches: global data is taken anew from another site";
            tell(
                Gravity::Note,
                message.to_owned(),
                "a new database (40), filled by replication, needs no backup at all",
            );
        }
        (_, true, _) => {}
    }
    findings
}

/// The database part, where others back it up.
fn external(recovery: &UnattendedRecovery) -> Option<&DatabasePart> {
    let by_hand = recovery.database == Some(DatabaseRecovery::Manual);
    recovery.facts.database.as_ref().filter(|part| by_hand && part.form == DatabaseForm::External)
}

pub(super) fn before(recovery: &UnattendedRecovery) -> Vec<String> {
    let mut steps = Vec::new();
    let site_server = recovery.server != ServerRecovery::Database;
    if site_server {
        steps.push("use a server with the name and domain of the old one and without an installation: where Setup finds a site, it recovers the database only".to_owned());
        steps.push(r"to clean the old server: delete `HKLM\SOFTWARE\Microsoft\SMS` and all keys `SMS*` below `HKLM\SYSTEM\CurrentControlSet\Services`, remove the console, restart".to_owned());
    }
    if recovery.value("SiteServerBackupLocation").is_some() {
        steps.push("be ready to reinstall the site server instead (without SiteServerBackupLocation): that Setup takes a snapshot of this program for a backup set of the product's is not proven".to_owned());
    }
    steps.extend(database_first(recovery));
    if !matches!(recovery.database, None | Some(DatabaseRecovery::Skip)) {
        let port = recovery.value("SQLSSBPort").unwrap_or_default();
        steps.push(format!("see that SQL Server has the edition that it had, its version or a newer one, is not in single-user mode, and that its Service Broker had port {port} before"));
    }
    let whole = recovery.facts.cd_latest.is_whole();
    steps.push(match whole {
        true => "copy CD.Latest from the snapshot to a folder outside the installation folder: Setup recovers from nowhere else".to_owned(),
        false => "get CD.Latest of the site's version, put it outside the installation folder, and add CDLatest=1 to [Identification]".to_owned(),
    });
    steps.push(
        r"run, as an administrator: `<copy of CD.Latest>\SMSSETUP\BIN\X64\setup.exe /script <full path of this file>`"
            .to_owned(),
    );
    steps
}

fn database_first(recovery: &UnattendedRecovery) -> Vec<String> {
    let name = recovery.value("DatabaseName").unwrap_or_default();
    let form = recovery.facts.database.as_ref().map(|part| part.form);
    match (recovery.database, form) {
        (Some(DatabaseRecovery::Backup), _) => vec![
            format!("remove database `{name}` where SQL Server still has it: Setup fails when it is there"),
            "see that the snapshot is whole (`sitebackup verify --read-data`): Setup does not look at the MDF and LDF before it uses them".to_owned(),
            "where the database was in an availability group, restore SQL Server's own backup by hand instead (20): its MDF and LDF do not serve".to_owned(),
        ],
        (Some(DatabaseRecovery::Manual), Some(DatabaseForm::Native)) => vec![format!(
            "restore database `{name}` from the snapshot: `sitebackup recover --part database`, or `sitebackup database restore --native` for the file alone"
        )],
        (Some(DatabaseRecovery::Manual), _) => match external(recovery) {
            Some(part) => {
                vec![format!("restore database `{name}` from the backup of others: {}", part.fact("backup-places"))]
            }
            None => vec![format!("restore database `{name}`: Setup expects it to be there")],
        },
        (Some(DatabaseRecovery::Create), _) => vec![format!("remove database `{name}` where SQL Server still has it")],
        (Some(DatabaseRecovery::Skip) | None, _) => Vec::new(),
    }
}

/// What Setup leaves to people after the site server is set up anew.
const OF_SITE_SERVER: [&str; 8] = [
    "enter the passwords of the PXE-enabled distribution points and of the steps of task sequences again",
    "enter the sideloading keys again; their count of activations begins anew",
    "make bootable and prestaged media anew where no PKI is used",
    "give IIS its certificate again on site systems that use HTTPS",
    "put back what the backup does not cover, to the same places: the content library and the package sources (`SELECT * FROM v_Package` names them)",
    "put back custom reports of Reporting Services with its encryption key",
    "put back the databases of Updates Publisher, one for each of its users",
    "put back the folders of user states of state migration points",
];

/// What is left to people after any recovery.
const OF_ANY: [&str; 3] = [
    "renew the secret key of each Azure tenant where cloudmgr.log tells of an index that must be zero or more",
    "import or renew the certificates of distribution points for which distmgr.log says `Failed to decrypt cert PFX data` (Set-CMDistributionPoint), those of the cloud too",
    "back the site up once it works",
];

pub(super) fn afterwards(recovery: &UnattendedRecovery) -> Vec<String> {
    let mut steps = Vec::new();
    let site_server = recovery.server != ServerRecovery::Database;
    if site_server {
        steps.push(format!("enter the passwords of all accounts again, and install the out-of-band hotfixes: `{ACTIONS}` on the site server lists both"));
        steps.extend(OF_SITE_SERVER.map(str::to_owned));
    }
    if !matches!(recovery.database, None | Some(DatabaseRecovery::Skip)) {
        steps.push("make publications and subscriptions of database replicas anew".to_owned());
    }
    if recovery.facts.kind == SiteKind::CentralAdministration {
        steps.push("where data of child sites does not arrive, open the queue in the site database: `ALTER QUEUE [dbo].[ConfigMgrDRSSiteQueue] WITH STATUS = ON`".to_owned());
        steps.push("make subscriptions of external notifications anew".to_owned());
    }
    if !recovery.facts.is_child() && recovery.value("CloudConnector") == Some("0") {
        steps.push("add the service connection point where the site had one: the script asks for none".to_owned());
    }
    steps.extend(OF_ANY.map(str::to_owned));
    if !recovery.value("ProductID").is_some_and(values::is_evaluation) {
        steps.push("delete this file: it holds the product key".to_owned());
    }
    steps
}
