//! `database`: what its commands take.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `database`
#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseCommand {
    /// Tell what a database is, how large, and what is worth comparing after a recovery
    Inspect(DatabaseInspectArgs),
    /// Write the rows of a database into a new folder, or have SQL Server back it up
    ///
    /// All rows are of one moment. The folder is a dump once its manifest.json is there.
    Dump(DatabaseDumpArgs),
    /// Put a dump into an empty database and compare every row, or have SQL Server restore a backup
    ///
    /// An interrupted restore is simply repeated.
    Restore(DatabaseRestoreArgs),
    /// Read a whole dump and compare it with its manifest, or have SQL Server verify a backup
    Verify(DatabaseVerifyArgs),
}

/// How a database is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReachArgs {
    /// Read the password from the first line of this file; SITEBACKUP_DATABASE_PASSWORD goes before it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
}

/// `database inspect`
#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseInspectArgs {
    /// Where it is: postgresql://user@host/database, sqlite:/file, or an ODBC connection string
    pub(crate) address: String,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `database dump`
#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseDumpArgs {
    /// Where it is: postgresql://user@host/database, sqlite:/file, or an ODBC connection string
    pub(crate) address: String,
    /// Write the dump into this folder, which must not be there or be empty
    #[arg(value_hint = ValueHint::DirPath, required_unless_present = "native")]
    pub(crate) folder: Option<PathBuf>,
    /// Write rows as plain text instead of compressed
    #[arg(long)]
    pub(crate) plain: bool,
    /// Read with this many connections at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) connections: u8,
    /// Have SQL Server back the database up to this file, which is the server's and must not be there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "plain", "connections"])]
    pub(crate) native: Option<String>,
    /// Print the statements that --native would send, and send none
    #[arg(long, requires = "native", conflicts_with = "folder")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `database restore`
#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseRestoreArgs {
    /// The dump, or with --native a file of the server
    pub(crate) from: String,
    /// Where the database is to be: postgresql://user@host/database, sqlite:/file, or an ODBC connection string
    pub(crate) address: String,
    /// Load with this many connections at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) connections: u8,
    /// Have SQL Server restore its backup, as the database that the address names
    #[arg(long, conflicts_with = "connections")]
    pub(crate) native: bool,
    /// Replace a database of that name
    #[arg(long, requires = "native")]
    pub(crate) replace: bool,
    /// Print the statements that --native would send, and send none
    #[arg(long, requires = "native")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `database verify`
#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseVerifyArgs {
    /// The dump, or with --native a file of the server
    pub(crate) from: String,
    /// Have the SQL Server at this address verify its backup
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) native: Option<String>,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}
