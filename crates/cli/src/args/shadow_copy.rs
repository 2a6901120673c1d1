//! `shadow-copy`: what its commands take.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

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
    /// Hold the site at one moment, set it going, and keep the moment until it is deleted
    ///
    /// For programs that read in their own time. Prints its id and where to read: a folder with the database, the registry exports and the
    /// documents, and each source on the image; where the provider copies (pre-copy, reflink), all is in the one folder. That lies in
    /// sitebackup-kept of the `work-dir`, of the destination where there is none. Both stay over a reboot, and over backups and repairs,
    /// which they keep from nothing; they hold room, so `check` and `status` warn of what is kept for more than a day.
    ///
    /// Where images go with the program that made them (the Volume Shadow Copy Service) it is refused: use `shadow-copy run`.
    Create,
    /// List the moments that are kept, oldest first
    ///
    /// Exits with 3 when one of them cannot be read any more; it says why.
    List,
    /// Print where a kept moment is read: one line, for scripts
    Path(ShadowCopyPathArgs),
    /// Delete kept moments
    ///
    /// Waits for nobody: while a backup runs it exits with 10. What does not carry this program's marker stays.
    Delete(ShadowCopyDeleteArgs),
}

/// `shadow-copy path`
#[derive(Debug, Clone, Args)]
pub(crate) struct ShadowCopyPathArgs {
    /// Name it by the beginning of its id
    pub(crate) id: String,
    /// Print what stands for this file or folder of the site, which is a source or below one; without it, the folder with database,
    /// registry exports and documents
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) source: Option<PathBuf>,
}

/// `shadow-copy delete`
#[derive(Debug, Clone, Args)]
pub(crate) struct ShadowCopyDeleteArgs {
    /// Name it by the beginning of its id
    #[arg(required_unless_present = "all")]
    pub(crate) id: Option<String>,
    /// Delete all that are kept
    #[arg(long, conflicts_with = "id")]
    pub(crate) all: bool,
}

/// `shadow-copy run`
#[derive(Debug, Clone, Args)]
pub(crate) struct ShadowCopyRunArgs {
    /// The program and its arguments, run without a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
