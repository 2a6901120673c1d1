//! `shadow-copy`: what its commands take.

use std::ffi::OsString;

use clap::{Args, Subcommand};

/// `shadow-copy`
#[derive(Debug, Subcommand)]
pub(crate) enum ShadowCopyCommand {
    /// Hold the site at one moment, set it going, and run a program that reads the moment
    ///
    /// For other backup programs: restic, tar or rsync then read a consistent site. In the program's arguments {} stands for all folders
    /// that hold a part of it: one with the database, the registry exports and the documents, in the layout of a snapshot, and the sources
    /// on the image; where the provider copies (pre-copy, reflink), all is in the one folder, which lies at the destination. The program is
    /// also told by its environment: SITEBACKUP_PARTS is that folder, SITEBACKUP_IMAGES a line for each source on an image, SITEBACKUP_SITE,
    /// SITEBACKUP_RUN and SITEBACKUP_MOMENT say what it is.
    ///
    /// Nothing of it is left afterwards, and snapshots, status messages and AfterBackup have no part in it. Exits with 20 when the program
    /// fails.
    Run(ShadowCopyRunArgs),
}

/// `shadow-copy run`
#[derive(Debug, Clone, Args)]
pub(crate) struct ShadowCopyRunArgs {
    /// The program and its arguments, run without a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
