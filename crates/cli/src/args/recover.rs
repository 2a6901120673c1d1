//! `recover`, `rehearse`: what they take.

use std::path::PathBuf;
use std::time::Duration;

use backup_core::manifest::Part;
use backup_core::path::SitePath;
use clap::{Args, ValueEnum, ValueHint};

use super::{AccessArgs, UnattendedArgs, map};
use crate::output::human;

/// `recover`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RecoverArgs {
    /// Name the snapshot by the beginning of its id; the newest without it
    pub(crate) id: Option<String>,
    /// Recover from this snapshot folder, without site.toml or destination
    ///
    /// All that is needed is in the folder: where the registry is, the site.toml that is kept in it tells. Services are asked where the site is
    /// configured on this machine.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "id")]
    pub(crate) from: Option<PathBuf>,
    /// Recover from the archive: the snapshot whose id begins so, or `latest`, without site.toml or destination
    ///
    /// As with --from, and with the options of `archive`. All that the snapshot needs is read first: nothing is written when a part of it is
    /// damaged. `latest` is that of the site that is configured on this machine, or of the only site in the archive.
    #[arg(long, value_name = "ID", conflicts_with_all = ["id", "from"])]
    pub(crate) from_archive: Option<String>,
    /// How the archive is reached.
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// Recover below this folder instead of to the original places; registry keys become files in it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) to: Option<PathBuf>,
    /// Put what was below OLD below NEW: files, the database, and what holds registry keys
    #[arg(long, value_name = "OLD=NEW", value_parser = map)]
    pub(crate) map: Vec<(SitePath, SitePath)>,
    /// Recover only this part; may be given more than once
    #[arg(long, value_name = "PART")]
    pub(crate) part: Vec<PartName>,
    /// Overwrite files that were changed after the snapshot
    #[arg(long)]
    pub(crate) overwrite_newer: bool,
    /// Have SQL Server put its database back over the one that is there
    #[arg(long)]
    pub(crate) replace_database: bool,
    /// Keep registry keys and values that the snapshot does not hold; without it they go
    #[arg(long)]
    pub(crate) merge_registry: bool,
    /// Tell what would be written and what would change in the registry; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Recover nothing: say that the site is as it should be, although a recovery did not end
    #[arg(long, conflicts_with_all = ["id", "from", "from_archive", "to", "map", "part", "overwrite_newer", "replace_database", "merge_registry", "dry_run"])]
    pub(crate) abandon: bool,
    /// Write the script with which the product's Setup recovers the site to this file, which must end in .ini and not be there
    ///
    /// Nothing is recovered: Setup does that, with `setup.exe /script FILE`. What the script will do and what is done by hand before and
    /// afterwards is printed. Paths and names are those that the machine sees which runs Setup.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["to", "map", "part", "overwrite_newer", "replace_database", "merge_registry", "dry_run", "abandon"])]
    pub(crate) unattended: Option<PathBuf>,
    /// What a snapshot cannot tell Setup.
    #[command(flatten)]
    pub(crate) setup: UnattendedArgs,
}

/// A part of a site on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartName {
    /// Files and folders
    Files,
    /// Registry keys
    Registry,
    /// The site database
    Database,
}

impl From<PartName> for Part {
    fn from(name: PartName) -> Self {
        match name {
            PartName::Files => Self::Files,
            PartName::Registry => Self::Registry,
            PartName::Database => Self::Database,
        }
    }
}

/// `rehearse`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RehearseArgs {
    /// Name the snapshot by the beginning of its id; the newest without it
    pub(crate) id: Option<String>,
    /// Rehearse with the archive: the snapshot whose id begins so, or `latest`; site.toml is not needed
    ///
    /// All that the snapshot needs is read first: one that is damaged is not rehearsed.
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub(crate) from_archive: Option<String>,
    /// How the archive is reached.
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// Make the scratch folder in this one; it needs room for the whole site
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) scratch: Option<PathBuf>,
    /// Run this command line, which must exit with 0; SITEBACKUP_REHEARSAL names the scratch folder
    #[arg(long, value_name = "CMD")]
    pub(crate) probe: Vec<String>,
    /// End a probe after this long
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = human::parse_duration)]
    pub(crate) probe_limit: Duration,
}
