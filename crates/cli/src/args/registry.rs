//! `registry`: what its commands take.

use std::path::PathBuf;

use backup_core::ports::registry::RegistryKey;
use clap::{Args, Subcommand, ValueHint};
use registry::{KeyPath, PathError};

/// `registry`
#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Print the keys and values of a file
    Show(RegistryShowArgs),
    /// Tell what turns the keys of one file into those of another
    ///
    /// Exits with 0 when nothing does, and with 3 when the files differ.
    Diff(RegistryDiffArgs),
    /// Write a hive as .reg text, or a file of another kind as a hive
    ///
    /// Class names, last-write times and security descriptors stand in hives only: .reg text has no place for them.
    Convert(RegistryConvertArgs),
}

/// `registry show`
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryShowArgs {
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Show this key and what is below it only
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub(crate) key: Option<KeyPath>,
    /// Show class names, last-write times and security descriptors too
    #[arg(long)]
    pub(crate) details: bool,
    /// How the files are read
    #[command(flatten)]
    pub(crate) reading: RegistryReadingArgs,
}

/// `registry diff`
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryDiffArgs {
    /// The file with the keys as they were
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) before: PathBuf,
    /// The file with the keys as they are
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) after: PathBuf,
    /// How the files are read
    #[command(flatten)]
    pub(crate) reading: RegistryReadingArgs,
}

/// `registry convert`
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryConvertArgs {
    /// The file to read
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) from: PathBuf,
    /// The file to write, which must not be there: .reg text when its name ends with .reg, else a hive
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) to: PathBuf,
    /// Write UTF-8 instead of UTF-16 into a .reg file
    #[arg(long)]
    pub(crate) utf8: bool,
    /// Write a hive of version 1.3, as Windows 2000 had it, instead of 1.5
    #[arg(long)]
    pub(crate) old_hive: bool,
    /// How the file is read
    #[command(flatten)]
    pub(crate) reading: RegistryReadingArgs,
}

/// How files with keys are read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RegistryReadingArgs {
    /// Say which key the root of a hive is, such as HKLM\SOFTWARE\Microsoft\SMS
    ///
    /// A hive does not say it itself. Where a hive is written, this key becomes its root.
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub(crate) at: Option<KeyPath>,
    /// Read what can be read of a damaged hive, and list what was lost
    #[arg(long)]
    pub(crate) salvage: bool,
}

/// A key with its root, which may be short, or a key below the root of a hive.
fn key(text: &str) -> Result<KeyPath, PathError> {
    match text.get(..2) {
        Some(root) if root.eq_ignore_ascii_case("HK") => RegistryKey::new(text).as_str().parse(),
        _ => text.trim_matches('\\').parse(),
    }
}
