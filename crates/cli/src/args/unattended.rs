//! `recover --unattended`: what a snapshot cannot tell Setup. Each option is one of Setup's keys.

use std::path::PathBuf;

use backup_core::unattended::{Answers, DatabaseRecovery, ServerRecovery};
use clap::{Args, ValueEnum, ValueHint};

/// The options.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "With --unattended")]
pub(crate) struct UnattendedArgs {
    /// Recover this of the site
    #[arg(long, value_name = "WHAT", requires = "unattended", default_value = "both")]
    pub(crate) server: ServerName,
    /// Get the site database from here; without it from what the snapshot holds
    #[arg(long, value_name = "FROM", requires = "unattended")]
    pub(crate) database: Option<DatabaseName>,
    /// Set the site server up anew instead of from the snapshot
    #[arg(long, requires = "unattended")]
    pub(crate) reinstall: bool,
    /// Name the snapshot's folder, such as E:\P01Backup; on Windows it is known
    #[arg(long, value_name = "FOLDER", requires = "unattended")]
    pub(crate) backup_set: Option<String>,
    /// Name the folder with MDF and LDF, where it is not SiteDBServer in the snapshot
    #[arg(long, value_name = "FOLDER", requires = "unattended")]
    pub(crate) database_backup_set: Option<String>,
    /// Name the primary site server from which a central administration site takes global data
    #[arg(long, value_name = "HOST", requires = "unattended")]
    pub(crate) reference_site: Option<String>,
    /// Read the product key from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "unattended")]
    pub(crate) product_key_file: Option<PathBuf>,
    /// Set up the evaluation version, which needs no product key
    #[arg(long, requires = "unattended", conflicts_with = "product_key_file")]
    pub(crate) evaluation: bool,
    /// Name the site in words
    #[arg(long, value_name = "NAME", requires = "unattended")]
    pub(crate) site_name: Option<String>,
    /// Name the installation folder; the one of the registry in the snapshot without it
    #[arg(long, value_name = "FOLDER", requires = "unattended")]
    pub(crate) install_folder: Option<String>,
    /// Name the site server; the one of the registry in the snapshot without it
    #[arg(long, value_name = "HOST", requires = "unattended")]
    pub(crate) site_server: Option<String>,
    /// Name the server that had the SMS Provider
    #[arg(long, value_name = "HOST", requires = "unattended")]
    pub(crate) sms_provider: Option<String>,
    /// Name the folder with Setup's prerequisites, such as Redist in the copy of CD.Latest
    #[arg(long, value_name = "FOLDER", requires = "unattended")]
    pub(crate) prerequisites: Option<String>,
    /// Have Setup download its prerequisites into that folder
    #[arg(long, requires = "unattended")]
    pub(crate) download_prerequisites: bool,
    /// Leave out the console on the site server
    #[arg(long, requires = "unattended")]
    pub(crate) no_console: bool,
    /// Name the database server; the one of the registry in the snapshot without it
    #[arg(long, value_name = "HOST", requires = "unattended")]
    pub(crate) sql_server: Option<String>,
    /// Name the database server's port
    #[arg(long, value_name = "PORT", requires = "unattended")]
    pub(crate) sql_port: Option<u16>,
    /// Name the site database, INSTANCE\NAME on a named instance; that of the snapshot without it
    #[arg(long, value_name = "NAME", requires = "unattended")]
    pub(crate) database_name: Option<String>,
    /// Name the port that SQL Server's Service Broker had; 4022 without it
    #[arg(long, value_name = "PORT", requires = "unattended")]
    pub(crate) broker_port: Option<u16>,
    /// Put the database's data file into this folder
    #[arg(long, value_name = "FOLDER", requires = "unattended")]
    pub(crate) sql_data: Option<String>,
    /// Put the database's log file into this folder
    #[arg(long, value_name = "FOLDER", requires = "unattended")]
    pub(crate) sql_log: Option<String>,
    /// Set up a service connection point on this server; only the top site of a hierarchy has one
    #[arg(long, value_name = "HOST", requires = "unattended")]
    pub(crate) service_connection_point: Option<String>,
    /// Have it use this proxy
    #[arg(long, value_name = "HOST", requires = "unattended")]
    pub(crate) proxy: Option<String>,
    /// Name the proxy's port
    #[arg(long, value_name = "PORT", requires = "unattended")]
    pub(crate) proxy_port: Option<u16>,
    /// Name the site server of the central administration site above a child primary site
    #[arg(long, value_name = "HOST", requires = "unattended")]
    pub(crate) parent_server: Option<String>,
    /// Try a failed connection to it again after this many minutes
    #[arg(long, value_name = "MINUTES", requires = "unattended")]
    pub(crate) parent_retry: Option<u32>,
    /// Give up connecting to it after this many minutes, at most 100
    #[arg(long, value_name = "MINUTES", requires = "unattended")]
    pub(crate) parent_timeout: Option<u32>,
}

/// Which option stands for a key of Setup.
const OPTIONS: &[(&str, &str)] = &[
    ("ServerRecoveryOptions", "--server"),
    ("DatabaseRecoveryOptions", "--database"),
    ("site server", "--site-server"),
    ("SiteServerBackupLocation", "--backup-set"),
    ("BackupLocation", "--database-backup-set"),
    ("ReferenceSite", "--reference-site"),
    ("ProductID", "--product-key-file or --evaluation"),
    ("SiteName", "--site-name"),
    ("SMSInstallDir", "--install-folder"),
    ("SDKServer", "--sms-provider"),
    ("PrerequisitePath", "--prerequisites"),
    ("SQLServerName", "--sql-server"),
    ("SQLServerPort", "--sql-port"),
    ("DatabaseName", "--database-name"),
    ("SQLSSBPort", "--broker-port"),
    ("SQLDataFilePath", "--sql-data"),
    ("SQLLogFilePath", "--sql-log"),
    ("CloudConnectorServer", "--service-connection-point"),
    ("ProxyName", "--proxy"),
    ("ProxyPort", "--proxy-port"),
    ("CCARSiteServer", "--parent-server"),
    ("CASRetryInterval", "--parent-retry"),
    ("WaitForCASTimeout", "--parent-timeout"),
];

/// The option that stands for a key; `None` for one that no option sets.
pub(crate) fn option(key: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|(name, _)| *name == key).map(|(_, option)| *option)
}

impl UnattendedArgs {
    /// What the options say, without the product key, which is in a file.
    pub(crate) fn answers(&self) -> Answers {
        let args = self.clone();
        Answers {
            server: args.server.into(),
            database: args.database.map(Into::into),
            reinstall: args.reinstall,
            site_server_backup_location: args.backup_set,
            backup_location: args.database_backup_set,
            reference_site: args.reference_site,
            product_id: None,
            site_name: args.site_name,
            sms_install_dir: args.install_folder,
            sdk_server: args.sms_provider,
            download_prerequisites: args.download_prerequisites,
            prerequisite_path: args.prerequisites,
            no_admin_console: args.no_console,
            sql_server_name: args.sql_server,
            sql_server_port: args.sql_port,
            database_name: args.database_name,
            sql_ssb_port: args.broker_port,
            sql_data_file_path: args.sql_data,
            sql_log_file_path: args.sql_log,
            cloud_connector_server: args.service_connection_point,
            proxy_name: args.proxy,
            proxy_port: args.proxy_port,
            ccar_site_server: args.parent_server,
            cas_retry_interval: args.parent_retry,
            wait_for_cas_timeout: args.parent_timeout,
        }
    }
}

/// What Setup recovers, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ServerName {
    /// The site server and its database (ServerRecoveryOptions=1)
    #[default]
    Both,
    /// The site server (2)
    SiteServer,
    /// The database (4)
    Database,
}

impl From<ServerName> for ServerRecovery {
    fn from(name: ServerName) -> Self {
        match name {
            ServerName::Both => Self::Both,
            ServerName::SiteServer => Self::SiteServer,
            ServerName::Database => Self::Database,
        }
    }
}

/// Where the database comes from, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatabaseName {
    /// The snapshot's MDF and LDF (DatabaseRecoveryOptions=10)
    Backup,
    /// It is restored by hand before Setup runs (20)
    Manual,
    /// It is made anew and filled by the other sites (40)
    Create,
    /// It was not lost, on another computer than the site server (80)
    Skip,
}

impl From<DatabaseName> for DatabaseRecovery {
    fn from(name: DatabaseName) -> Self {
        match name {
            DatabaseName::Backup => Self::Backup,
            DatabaseName::Manual => Self::Manual,
            DatabaseName::Create => Self::Create,
            DatabaseName::Skip => Self::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_key_has_an_option_that_is_there() {
        let root = Cli::command();
        let recover = root.find_subcommand("recover").expect("a command");
        for (key, options) in OPTIONS {
            for option in options.split(" or ") {
                let there = recover.get_arguments().any(|arg| arg.get_long() == option.strip_prefix("--"));
                assert!(there, "{key}: {option}");
            }
        }
    }

    #[test]
    fn an_answer_needs_a_script() {
        let parse = |line: &str| clap::Parser::try_parse_from(line.split(' ')).map(|_: Cli| ());
        assert_eq!(
            parse("sitebackup recover --unattended x.ini --server both --sql-port 1433").map_err(|_| ()),
            Ok(())
        );
        for line in ["--sql-port 1433", "--evaluation", "--unattended x.ini --dry-run", "--unattended x.ini --to /x"] {
            assert!(parse(&format!("sitebackup recover {line}")).is_err(), "{line}");
        }
    }
}
