//! Which keys go together: Setup's rules, each of which refuses what breaks it.

use super::draft::Draft;
use super::values::Form;
use super::{Answers, DEFAULT_SSB_PORT, DatabaseRecovery, Refused, ServerRecovery, SnapshotFacts, UnattendedRecovery};
use crate::manifest::DatabasePart;
use crate::ports::database::{DatabaseForm, SetupOption};
use crate::server_name::is_same_host;
use crate::site::{Role, SiteKind};

/// The folder of the database part in a backup set.
const DATABASE_FOLDER: &str = "SiteDBServer";

const OPTIONS: &str = "DatabaseRecoveryOptions";
const REFERENCE: &str = "ReferenceSite";
const SITE_SET: &str = "SiteServerBackupLocation";
const DATABASE_SET: &str = "BackupLocation";
const PARENT: &str = "CCARSiteServer";
/// No key of the script, but a name that a rule needs.
const SITE_SERVER: &str = "site server";

pub(super) fn judge(facts: SnapshotFacts, answers: &Answers) -> Result<UnattendedRecovery, Vec<Refused>> {
    if let Err(refusal) = facts.kind.admit(&Role::Active) {
        let remedy = "Setup recovers central administration sites and primary sites".to_owned();
        return Err(vec![Refused { key: "Action", reason: refusal.to_string(), remedy }]);
    }
    let mut rules = Rules { facts: &facts, answers, draft: Draft::default() };
    rules.identification();
    let database = rules.recovery_options();
    rules.options();
    rules.sql_config_options();
    rules.cloud_connector_options();
    rules.hierarchy_expansion_option();
    let Draft { sections, refused } = rules.draft;
    match refused.is_empty() {
        true => Ok(UnattendedRecovery { server: answers.server, database, sections, facts }),
        false => Err(refused),
    }
}

/// A script in the making, and what it is made of.
struct Rules<'a> {
    facts: &'a SnapshotFacts,
    answers: &'a Answers,
    draft: Draft,
}

impl Rules<'_> {
    fn is_central(&self) -> bool {
        self.facts.kind == SiteKind::CentralAdministration
    }

    fn identification(&mut self) {
        self.draft.section("Identification");
        self.draft.put("Action", if self.is_central() { "RecoverCCAR" } else { "RecoverPrimarySite" });
        if self.facts.cd_latest.is_whole() {
            self.draft.put("CDLatest", 1);
        }
    }

    fn recovery_options(&mut self) -> Option<DatabaseRecovery> {
        let Answers { server, database: asked, .. } = *self.answers;
        self.draft.section("RecoveryOptions");
        self.draft.put("ServerRecoveryOptions", server.code());
        let database = match (server, asked) {
            (ServerRecovery::SiteServer, None) => None,
            (ServerRecovery::SiteServer, Some(_)) => {
                let reason = "Setup leaves the database alone where it recovers the site server only";
                self.draft.refuse(OPTIONS, reason, "leave it out, or recover both");
                None
            }
            (_, Some(asked)) => Some(asked),
            (_, None) => self.served(),
        };
        if let Some(database) = database {
            self.judge_database(database);
            self.draft.put(OPTIONS, database.code());
        }
        self.reference_site(database);
        self.backup_sets(database);
        database
    }

    /// The option that the snapshot serves.
    fn served(&mut self) -> Option<DatabaseRecovery> {
        let found = match &self.facts.database {
            None => Err("the snapshot holds no database".to_owned()),
            Some(part) => served_by(part),
        };
        found.map_err(|reason| self.draft.refuse(OPTIONS, reason, self.instead())).ok()
    }

    /// What there is for a database that the snapshot does not serve.
    fn instead(&self) -> &'static str {
        match self.facts.kind.in_hierarchy() {
            true => {
                "have the other sites replicate the data into a new database (40), or restore a backup of SQL Server's own by hand (20)"
            }
            false => {
                "restore a backup of SQL Server's own by hand (20): a stand-alone primary site has no other site to get its data from"
            }
        }
    }

    fn judge_database(&mut self, database: DatabaseRecovery) {
        match database {
            DatabaseRecovery::Backup => self.judge_backup(),
            DatabaseRecovery::Create if !self.facts.kind.in_hierarchy() => {
                let reason = "a stand-alone primary site cannot get a new database (40): no other site has its data";
                self.draft.refuse(OPTIONS, reason, "restore a backup by hand (20)");
            }
            DatabaseRecovery::Skip => self.judge_skip(),
            DatabaseRecovery::Manual | DatabaseRecovery::Create => {}
        }
    }

    /// Setup puts back MDF and LDF and nothing else.
    fn judge_backup(&mut self) {
        let served = self.facts.database.as_ref().map(served_by);
        let (reason, remedy) = match served {
            Some(Ok(DatabaseRecovery::Backup)) => return,
            Some(Ok(_)) => {
                let reason = "Setup restores MDF and LDF files only (10), and the snapshot holds none";
                (reason.to_owned(), "restore the database by hand, and say so (20)")
            }
            Some(Err(reason)) => (reason, self.instead()),
            None => ("the snapshot holds no database".to_owned(), self.instead()),
        };
        self.draft.refuse(OPTIONS, reason, remedy);
    }

    /// A database can be left where it is when only the site server was lost.
    fn judge_skip(&mut self) {
        if self.answers.server == ServerRecovery::Database {
            let reason = "with the database recovered alone (4) and skipped (80) Setup has nothing to do";
            return self.draft.refuse(OPTIONS, reason, "choose another of the two");
        }
        let Some(site_server) = self.facts.site_server.clone() else {
            let reason = "a database can be skipped (80) only where it is on another computer than the site server, whose name is not known";
            return self.draft.refuse(SITE_SERVER, reason, "name the site server");
        };
        let database_server = self.answers.sql_server_name.as_deref();
        if database_server.is_some_and(|name| is_same_host(name, &site_server)) {
            let reason = format!(
                "the database is on the site server `{site_server}` and was lost with it: it cannot be skipped (80)"
            );
            self.draft.refuse(OPTIONS, reason, "say where it comes from");
        }
    }

    fn reference_site(&mut self, database: Option<DatabaseRecovery>) {
        let name = self.answers.reference_site.as_deref();
        let fills = !matches!(database, None | Some(DatabaseRecovery::Skip));
        match database {
            _ if !self.is_central() => {
                let reason = "only a central administration site takes global data from a primary site";
                self.draft.forbid(REFERENCE, name.is_some(), reason);
            }
            Some(DatabaseRecovery::Create) => {
                let remedy = "name the primary site that has the global data; a central administration site without primary sites cannot get a new database";
                self.draft.must(REFERENCE, name, Form::FullHost, remedy);
            }
            _ if fills => self.draft.may(REFERENCE, name, Form::FullHost),
            _ => self.draft.forbid(
                REFERENCE,
                name.is_some(),
                "a database that is left as it is takes no data from another site",
            ),
        }
    }

    fn backup_sets(&mut self, database: Option<DatabaseRecovery>) {
        let set = self.answers.site_server_backup_location.as_deref();
        let remedy = "name the snapshot's folder as the machine sees it that runs Setup";
        match (self.answers.server, self.answers.reinstall) {
            (ServerRecovery::Database, true) => {
                let reason = "a site server that is not recovered (4) is not reinstalled either";
                self.draft.refuse("ServerRecoveryOptions", reason, "choose one of the two");
            }
            (ServerRecovery::Database, false) | (_, true) => {}
            (_, false) => self.draft.must(SITE_SET, set, Form::Folder, remedy),
        }
        let own = self.answers.backup_location.clone();
        if database != Some(DatabaseRecovery::Backup) {
            return self.draft.forbid(
                DATABASE_SET,
                own.is_some(),
                "only a database that Setup restores itself (10) has a backup set",
            );
        }
        let within = set.map(|set| format!(r"{}\{DATABASE_FOLDER}", set.trim_end_matches(['\\', '/'])));
        let remedy = "name the folder with MDF and LDF as the machine sees it that runs Setup";
        self.draft.must(DATABASE_SET, own.or(within).as_deref(), Form::Folder, remedy);
    }

    fn options(&mut self) {
        let Answers { server, download_prerequisites, no_admin_console, .. } = *self.answers;
        let answers = self.answers;
        self.draft.section("Options");
        let key = answers.product_id.as_ref().map(|secret| secret.reveal());
        self.draft.must("ProductID", key, Form::ProductKey, "give the product key, or take the evaluation version");
        self.draft.put("SiteCode", &self.facts.site);
        self.draft.may("SiteName", answers.site_name.as_deref(), Form::Text);
        let remedy = "name the installation folder, the old one or a new one";
        self.draft.must("SMSInstallDir", answers.sms_install_dir.as_deref(), Form::LocalFolder, remedy);
        let remedy = "name the server that had the SMS Provider";
        self.draft.must("SDKServer", answers.sdk_server.as_deref(), Form::FullHost, remedy);
        self.draft.put("PrerequisiteComp", u8::from(!download_prerequisites));
        let remedy = r"name the folder of Setup's prerequisites, such as `Redist` in the copy of CD.Latest";
        self.draft.must("PrerequisitePath", answers.prerequisite_path.as_deref(), Form::Folder, remedy);
        if server != ServerRecovery::Database {
            self.draft.put("AdminConsole", u8::from(!no_admin_console));
        }
        // The programme is gone since version 1802, the key is still asked for.
        self.draft.put("JoinCEIP", 0);
    }

    fn sql_config_options(&mut self) {
        let answers = self.answers;
        self.draft.section("SQLConfigOptions");
        let remedy = "name the server that had the site database";
        self.draft.must("SQLServerName", answers.sql_server_name.as_deref(), Form::Host, remedy);
        self.draft.may_port("SQLServerPort", answers.sql_server_port);
        let known = self.facts.database.as_ref().map(|part| part.name.as_str());
        let name = answers.database_name.as_deref().or(known);
        self.draft.must("DatabaseName", name, Form::Database, "name the database as it was called");
        self.draft.may_port("SQLSSBPort", Some(answers.sql_ssb_port.unwrap_or(DEFAULT_SSB_PORT)));
        self.draft.may("SQLDataFilePath", answers.sql_data_file_path.as_deref(), Form::LocalFolder);
        self.draft.may("SQLLogFilePath", answers.sql_log_file_path.as_deref(), Form::LocalFolder);
    }

    fn cloud_connector_options(&mut self) {
        const PROXY: &str = "ProxyName";
        let answers = self.answers;
        let (server, proxy) = (answers.cloud_connector_server.as_deref(), answers.proxy_name.as_deref());
        self.draft.section("CloudConnectorOptions");
        self.draft.put("CloudConnector", u8::from(server.is_some()));
        let reason = "only the top site of a hierarchy has a service connection point";
        self.draft.forbid("CloudConnectorServer", server.is_some() && self.facts.is_child(), reason);
        self.draft.may("CloudConnectorServer", server, Form::FullHost);
        if server.is_some() {
            self.draft.put("UseProxy", u8::from(proxy.is_some()));
        }
        let reason = "a proxy is used by a service connection point only, and none is asked for";
        self.draft.forbid(PROXY, proxy.is_some() && server.is_none(), reason);
        self.draft.may(PROXY, proxy, Form::Host);
        match (proxy, answers.proxy_port) {
            (Some(_), None) => self.draft.refuse("ProxyPort", "is missing", "name the proxy's port"),
            (None, Some(_)) => self.draft.refuse(PROXY, "is missing", "name the proxy whose port is given"),
            (_, port) => self.draft.may_port("ProxyPort", port),
        }
    }

    fn hierarchy_expansion_option(&mut self) {
        const LONGEST: u32 = 100;
        let Answers { cas_retry_interval: retry, wait_for_cas_timeout: wait, .. } = *self.answers;
        let parent = self.answers.ccar_site_server.as_deref();
        if !self.facts.is_child() {
            let reason = "only a child primary site connects to a central administration site";
            self.draft.forbid(PARENT, parent.is_some(), reason);
            self.draft.forbid("CASRetryInterval", retry.is_some(), reason);
            return self.draft.forbid("WaitForCASTimeout", wait.is_some(), reason);
        }
        self.draft.section("HierarchyExpansionOption");
        self.draft.must(PARENT, parent, Form::FullHost, "name the site server of the central administration site");
        if let Some(minutes) = retry {
            self.draft.put("CASRetryInterval", minutes);
        }
        match wait {
            Some(minutes) if minutes > LONGEST => {
                let reason = format!("{minutes} minutes are more than Setup takes");
                self.draft.refuse("WaitForCASTimeout", reason, "give 0 to 100 minutes");
            }
            Some(minutes) => self.draft.put("WaitForCASTimeout", minutes),
            None => {}
        }
    }
}

/// The option that a database part serves, or why it serves none.
fn served_by(part: &DatabasePart) -> Result<DatabaseRecovery, String> {
    let none = |what: &str| Err(format!("{what}: Setup cannot take database `{}` back from the snapshot", part.name));
    match (part.setup_option, part.form) {
        (SetupOption::Files, _) => Ok(DatabaseRecovery::Backup),
        (SetupOption::Manual, _) | (SetupOption::None, DatabaseForm::External) => Ok(DatabaseRecovery::Manual),
        (SetupOption::None, DatabaseForm::Logical) => {
            none("a logical dump has no CLR, Service Broker, certificates or change tracking in it")
        }
        (SetupOption::None, DatabaseForm::File | DatabaseForm::Files | DatabaseForm::Native) => {
            none(&format!("{} is not the product's database engine", part.engine))
        }
    }
}
