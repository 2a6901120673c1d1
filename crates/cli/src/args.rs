//! The command line. The doc comments are the help.

mod archive;
mod database;
mod recover;
mod registry;
mod shadow_copy;
mod unattended;

use std::path::PathBuf;
use std::time::Duration;

use backup_core::path::SitePath;
use backup_core::ports::registry::RegistryKey;
use clap::{Args, Parser, Subcommand, ValueHint};
use jiff::civil::{Time, Weekday};

pub(crate) use archive::{
    AccessArgs, ArchiveArgs, ArchiveCommand, ArchiveDiffArgs, ArchiveExpireArgs, ArchiveFileArgs, ArchiveFilesArgs,
    ArchiveForgetArgs, ArchiveInitArgs, ArchivePruneArgs, ArchiveRestoreArgs, ArchiveSnapshotArgs, ArchiveStoreArgs,
    ArchiveVerifyArgs, KeysAddArgs, KeysCommand, KeysIdentityArgs, KeysPassphraseArgs, KeysRemoveArgs,
};
pub(crate) use database::{
    DatabaseCommand, DatabaseDumpArgs, DatabaseInspectArgs, DatabaseRestoreArgs, DatabaseVerifyArgs, ReachArgs,
};
pub(crate) use recover::{RecoverArgs, RehearseArgs};
pub(crate) use registry::{
    RegistryCommand, RegistryConvertArgs, RegistryDiffArgs, RegistryReadingArgs, RegistryShowArgs,
};
pub(crate) use shadow_copy::{ShadowCopyCommand, ShadowCopyDeleteArgs, ShadowCopyPathArgs, ShadowCopyRunArgs};
#[cfg(test)]
pub(crate) use unattended::DatabaseName as SetupDatabase;
pub(crate) use unattended::{UnattendedArgs, option as unattended_option};

use crate::output::human;

/// Back up a site at one consistent moment, and prove that the backup restores
///
/// A site is a database, registry keys, files and folders, and the services that write to all of them at once. It is described in a
/// site.toml; `sitebackup init` writes one.
///
/// The result goes to standard output, everything else to standard error. Exit codes: 0 done as asked, 1 unexpected, 2 usage or
/// configuration, 3 done but incomplete or weaker than asked, 10 and up one for each cause, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "sitebackup", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// Read the site's configuration from this file
    ///
    /// Without it ./site.toml is read, and where there is none, the file that the variable SITEBACKUP_SITE names.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) site: Option<PathBuf>,
    /// Print the result as one JSON object on standard output
    ///
    /// It is {"version":1,"command":…,"result":…,"findings":[…],"exit":N}; docs/cli.md lists the fields of each result. After an
    /// error, result is null and the error is the last finding.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but the result and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a site.toml for a site that is there
    Init(InitArgs),
    /// Tell what would be backed up, what would fail and what is not covered; change nothing
    Check,
    /// Back the site up
    ///
    /// The snapshot before the last good one goes only after the new one is published and found whole. A run that was killed is put
    /// right by the next one, or by `sitebackup repair`.
    Backup(BackupArgs),
    /// List the backup snapshots, oldest first
    Snapshots,
    /// List what is in a backup snapshot
    Files(FilesArgs),
    /// Compare a backup snapshot with its list
    ///
    /// Every entry must be there, with its size; with --read-data every byte is read and hashed.
    Verify(VerifyArgs),
    /// Put files, registry and database of a backup snapshot back
    ///
    /// Nothing is written before everything is judged. Files that were changed after the snapshot are not overwritten unless
    /// --overwrite-newer says so. An interrupted recovery is simply repeated; until it has ended as a whole, no backup of the site is
    /// made, for it would keep a site that is half old, half recovered. With --to nothing of that concerns the site.
    Recover(Box<RecoverArgs>),
    /// Practise a recovery in a scratch place, judge it, and throw it away
    Rehearse(RehearseArgs),
    /// Tell how old the last good backup snapshot is, and what needs attention; made for monitors
    ///
    /// Exits with 0 when all is well, with 3 when a good snapshot is there but something needs attention (the last run failed, a window
    /// was missed, a run did not end), and with 30 when there is no good snapshot or it is too old.
    Status(StatusArgs),
    /// Print the status messages of the last runs
    Log(LogArgs),
    /// Put right what a run left behind that was killed
    ///
    /// Starts the services that it had stopped, removes unfinished folders at the destination and publishes a snapshot that was
    /// complete. With nothing to repair it changes nothing.
    Repair,
    /// Print what the writers of the site own, as they say it in a shadow copy session
    Writers(WritersArgs),
    /// Let other programs read the site at one moment
    #[command(subcommand)]
    ShadowCopy(ShadowCopyCommand),
    /// Try the Volume Shadow Copy Service of this Windows machine, and print every call with its result
    ///
    /// Takes shadow copies as a backup does (a copy backup, which breaks no chain), reads a file of each and lets go of them. Nothing is
    /// kept, whatever fails. Needs no site.toml; needs an administrator or a member of Backup Operators. Exits with 0 only when every call
    /// and every writer succeeded, with 3 when a writer failed and the shadow copy was good all the same.
    VssSelftest(VssSelftestArgs),
    /// Let other backup programs bring the site to rest through the Volume Shadow Copy Service of this Windows machine
    ///
    /// Registers the site's writer, under the class of the product's SMS Writer, until the command is interrupted. A shadow copy that selects
    /// one of its components is made of the site at rest: services stop, and the database is pinned, as in a backup, and both go on before
    /// the other program copies. Each event is told on standard error with its time. site.toml and control file are read anew whenever the
    /// writer is asked. Where the product's own writer is installed, this one is refused. Needs an administrator.
    VssWriter,
    /// Work with backup control files (smsbkup.ctl)
    #[command(subcommand)]
    ControlFile(ControlFileCommand),
    /// Look into files with registry keys: hives such as SMSbkSiteRegSMS.dat, .reg files, files of a Wine prefix
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Inspect, dump, restore and verify databases without a site
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Archive a finished folder in a deduplicated, encrypted repository, and get it back
    ///
    /// `sitebackup archive FOLDER` is all that AfterBackup needs. docs/archive.md has the first steps.
    #[command(arg_required_else_help = true)]
    Archive(Box<ArchiveArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Bring services back when the run that stopped them dies; started by `backup`
    #[command(hide = true)]
    Watchdog,
    /// Write the generated pages of the documentation into a folder
    #[command(hide = true)]
    Docs {
        /// The folder
        dir: PathBuf,
    },
}

impl Command {
    /// The name in the JSON form.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Check => "check",
            Self::Backup(_) => "backup",
            Self::Snapshots => "snapshots",
            Self::Files(_) => "files",
            Self::Verify(_) => "verify",
            Self::Recover(args) if args.unattended.is_some() => "recover --unattended",
            Self::Recover(_) => "recover",
            Self::Rehearse(_) => "rehearse",
            Self::Status(_) => "status",
            Self::Log(_) => "log",
            Self::Repair => "repair",
            Self::Writers(_) => "writers",
            Self::ShadowCopy(ShadowCopyCommand::Run(_)) => "shadow-copy run",
            Self::ShadowCopy(ShadowCopyCommand::Create) => "shadow-copy create",
            Self::ShadowCopy(ShadowCopyCommand::List) => "shadow-copy list",
            Self::ShadowCopy(ShadowCopyCommand::Path(_)) => "shadow-copy path",
            Self::ShadowCopy(ShadowCopyCommand::Delete(_)) => "shadow-copy delete",
            Self::VssSelftest(_) => "vss-selftest",
            Self::VssWriter => "vss-writer",
            Self::ControlFile(ControlFileCommand::Check { .. }) => "control-file check",
            Self::ControlFile(ControlFileCommand::Format { .. }) => "control-file format",
            Self::ControlFile(ControlFileCommand::New { .. }) => "control-file new",
            Self::Registry(RegistryCommand::Show(_)) => "registry show",
            Self::Registry(RegistryCommand::Diff(_)) => "registry diff",
            Self::Registry(RegistryCommand::Convert(_)) => "registry convert",
            Self::Database(DatabaseCommand::Inspect(_)) => "database inspect",
            Self::Database(DatabaseCommand::Dump(_)) => "database dump",
            Self::Database(DatabaseCommand::Restore(_)) => "database restore",
            Self::Database(DatabaseCommand::Verify(_)) => "database verify",
            Self::Archive(args) => args.name(),
            Self::Completions { .. } => "completions",
            Self::Man => "man",
            Self::Watchdog => "watchdog",
            Self::Docs { .. } => "docs",
        }
    }
}

/// `init`
#[derive(Debug, Clone, Args)]
pub(crate) struct InitArgs {
    /// Name the site by its three-character code
    #[arg(long, value_name = "CODE", required_unless_present = "from_registry")]
    pub(crate) code: Option<String>,
    /// Read site code, kind, parent and installation folder from the product's registry keys, and name its database
    ///
    /// They are read from this hive or .reg file, such as SMSbkSiteRegSMS.dat; on Windows, without a file, from the registry of this
    /// machine. What other options say goes before it.
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_hint = ValueHint::FilePath)]
    pub(crate) from_registry: Option<Option<PathBuf>>,
    /// Back up these files and folders, each folder with all below it
    #[arg(long, value_name = "PATH", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub(crate) include: Vec<PathBuf>,
    /// Leave out what matches this pattern, such as `**/*.tmp`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Name the installation folder; its Logs folder gets smsbkup.log
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) install_dir: Option<PathBuf>,
    /// Take what is backed up from this backup control file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "include")]
    pub(crate) control_file: Option<PathBuf>,
    /// Say where a root of the control file lies on this machine
    #[arg(long, value_name = "ORIGINAL=HERE", value_parser = map)]
    pub(crate) path: Vec<(SitePath, SitePath)>,
    /// Back up this SQLite database
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) database: Option<PathBuf>,
    /// Write snapshots to this folder, which must be there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,
    /// Back up this registry key, which lives in a .reg file, a hive file or the folder of a Wine prefix
    #[arg(long, value_name = "KEY=FILE", value_parser = registry_root)]
    pub(crate) registry: Vec<(RegistryKey, PathBuf)>,
    /// Run on these days of the week, such as `sun,wed`; daily without it
    #[arg(long, value_name = "DAYS", value_delimiter = ',', value_parser = weekday)]
    pub(crate) days: Vec<Weekday>,
    /// Begin a run at this time or up to three hours later
    #[arg(long, value_name = "HH:MM", value_parser = time, default_value = "02:00")]
    pub(crate) begin: Time,
    /// Replace a site.toml that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `backup`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BackupArgs {
    /// Read and write every byte anew
    ///
    /// Without it a file that did not change is taken over from the previous snapshot unread, as long as the file stored there has the
    /// size and the time of change with which it was sealed.
    #[arg(long)]
    pub(crate) no_reuse: bool,
    /// Take a snapshot with less than half the entries of the last good one for as good as that
    ///
    /// Without it such a snapshot is weaker than asked for (exit code 3), and the last good one is kept beside it: the site may have been
    /// wiped, or the configuration emptied.
    #[arg(long)]
    pub(crate) accept_smaller: bool,
}

/// `vss-selftest`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VssSelftestArgs {
    /// Take shadow copies of these volumes, all at one moment; of the system's own without any
    #[arg(value_name = "VOLUME", value_hint = ValueHint::DirPath)]
    pub(crate) volumes: Vec<PathBuf>,
    /// Select what the product's SMS Writer offers, as a backup does; it may stop the services of the site for the moment
    #[arg(long)]
    pub(crate) components: bool,
}

/// `files`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilesArgs {
    /// Name the snapshot by the beginning of its id; the newest without it
    pub(crate) id: Option<String>,
    /// Print lines that `b3sum --check` reads, to be run in the snapshot folder
    #[arg(long)]
    pub(crate) b3sum: bool,
}

/// `verify`
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    /// Name the snapshot by the beginning of its id; the newest without it
    pub(crate) id: Option<String>,
    /// Read and hash every byte
    #[arg(long)]
    pub(crate) read_data: bool,
}

/// `status`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct StatusArgs {
    /// Exit with 30 when the last good snapshot is older than this, such as 36h or 5d
    #[arg(long, value_name = "AGE", value_parser = human::parse_duration)]
    pub(crate) max_age: Option<Duration>,
}

/// `log`
#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// Print this many messages, the last ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,
}

/// `writers`
#[derive(Debug, Clone, Args)]
pub(crate) struct WritersArgs {
    /// Print the writer metadata document of this writer, by its name or id
    #[arg(long, value_name = "WRITER")]
    pub(crate) xml: Option<String>,
}

/// `control-file`
#[derive(Debug, Subcommand)]
pub(crate) enum ControlFileCommand {
    /// Report everything that is wrong with a control file
    Check {
        /// The control file; the site's own without it
        file: Option<PathBuf>,
        /// Print a copy that names neither hosts nor paths, to show to others
        #[arg(long)]
        redact: bool,
    },
    /// Print a control file in canonical layout
    Format {
        /// The control file; the site's own without it
        file: Option<PathBuf>,
        /// Write the file instead of printing it
        #[arg(long)]
        write: bool,
    },
    /// Print a control file to begin with
    New {
        /// Write it to this file, which must not be there
        file: Option<PathBuf>,
    },
}

fn map(text: &str) -> Result<(SitePath, SitePath), String> {
    let (from, to) = text.split_once('=').ok_or("write ORIGINAL=HERE, both absolute paths")?;
    let path = |text: &str| SitePath::parse(text).map_err(|error| error.to_string());
    Ok((path(from)?, path(to)?))
}

fn registry_root(text: &str) -> Result<(RegistryKey, PathBuf), String> {
    let (key, file) = text.rsplit_once('=').ok_or("write KEY=FILE")?;
    if !key.to_ascii_uppercase().starts_with("HK") || file.is_empty() {
        return Err(r"write KEY=FILE, the key with its root, such as HKLM\SOFTWARE\Microsoft\SMS".to_owned());
    }
    Ok((RegistryKey::new(key), PathBuf::from(file)))
}

fn weekday(text: &str) -> Result<Weekday, String> {
    let lower = text.trim().to_lowercase();
    let all = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let found = all.iter().position(|name| lower.len() >= 3 && name.starts_with(&lower));
    let number = found.and_then(|at| i8::try_from(at + 1).ok());
    let day = number.and_then(|number| Weekday::from_monday_one_offset(number).ok());
    day.ok_or_else(|| format!("`{text}` is not a day of the week: write mon, tue, wed, thu, fri, sat or sun"))
}

fn time(text: &str) -> Result<Time, String> {
    let wrong = || format!("`{text}` is not a time of the day: write 02:00");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<i8>().map_err(|_| wrong());
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_read() {
        assert_eq!(weekday("Wed"), Ok(Weekday::Wednesday));
        assert_eq!(weekday("sunday"), Ok(Weekday::Sunday));
        assert!(weekday("su").is_err());
        assert!(weekday("someday").is_err());
        assert_eq!(time("22:30"), Ok(Time::constant(22, 30, 0, 0)));
        assert!(time("24:00").is_err());
        assert!(time("-1:00").is_err());
        assert!(
            registry_root(r"HKLM\SOFTWARE\A=b.reg=/x/SMS.reg").is_ok_and(|(key, _)| key.as_str().ends_with("b.reg"))
        );
        assert!(registry_root("SOFTWARE=x.reg").is_err());
        assert!(map("/a=/b").is_ok());
        assert!(map("a=/b").is_err());
    }
}
