//! `archive`: what its commands take.

use std::path::PathBuf;

use archive::keys::identity::Recipient;
use backup_core::site::SiteCode;
use clap::{Args, Subcommand, ValueHint};

/// `archive`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveArgs {
    /// What to do; without it the folder is stored.
    #[command(subcommand)]
    pub(crate) command: Option<ArchiveCommand>,
    /// Archive this folder, as `sitebackup archive store` does; one that has the name of a command is given as `./NAME`
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    /// Name the site by its three-character code; without it the folder's manifest, or its name such as P01Backup, tells
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<SiteCode>,
    /// How the repository is reached.
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// How the archive is reached: options of every `archive` command, of `recover` and of `rehearse`. Where neither they nor the environment say it,
/// `[archive]` in site.toml does.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AccessArgs {
    /// Use the repository in this folder; without it the variable SITEBACKUP_REPOSITORY names it, or `[archive]` in site.toml
    #[arg(long, short, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) repository: Option<PathBuf>,
    /// Read the passphrase from the first line of this file
    ///
    /// Without it the variable SITEBACKUP_PASSPHRASE_FILE names the file, or SITEBACKUP_PASSPHRASE is the passphrase itself, or else `[archive]` in site.toml
    /// names what opens it. Nothing is ever asked.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Open the repository with the identity in this file, which `archive keys identity` has written
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "passphrase_file")]
    pub(crate) identity_file: Option<PathBuf>,
    /// Delete nothing in the repository: for a machine that only stores
    ///
    /// A command that would delete is refused, and a store says by an object more that it is over. Whoever has taken over the machine leaves the option
    /// away: have the folder itself refuse to delete (docs/archive.md, Append-only).
    #[arg(long, global = true)]
    pub(crate) append_only: bool,
}

/// The commands of `archive`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Make a repository and its first keys, and print its recovery sheet
    ///
    /// The folder must be empty, or not be there while the one above it is. Whoever knows the passphrase, or has the identity of a recipient, can
    /// read everything; without one of them nobody can, ever. Nothing on the sheet is secret: print it, and keep the passphrase elsewhere.
    Init(ArchiveInitArgs),
    /// Archive a finished folder: a backup snapshot of this program, or of the product
    ///
    /// Each file is read at most once. A snapshot of this program is compared with its list, and one that is not as it was sealed is not archived.
    /// Of the product's own folder the site code is in its name, and its moment is the time of its smsbkup.log or, where that is later, its own.
    Store(ArchiveStoreArgs),
    /// List the archived snapshots, oldest first; exits with 3 when one cannot be read
    Snapshots,
    /// Tell what is known of an archived snapshot
    Show(ArchiveSnapshotArgs),
    /// List what is in an archived snapshot
    Files(ArchiveFilesArgs),
    /// Write a file of an archived snapshot to standard output
    ///
    /// When its content is not what was stored, that is said at its end, with exit code 27.
    Cat(ArchiveFileArgs),
    /// Compare two archived snapshots; exits with 3 when they differ
    ///
    /// Each line begins with + for what only the second one has, - for what only the first one has, M where content, kind or link differ, and m
    /// where only times, modes, owners or attributes do.
    Diff(ArchiveDiffArgs),
    /// Put all of an archived snapshot, or single paths of it, below a folder
    ///
    /// What stands there with the right content is not written again, so an interrupted call is simply repeated; what the snapshot does not
    /// have stays. Files that were changed after the snapshot are not overwritten unless --overwrite-newer says so: then nothing is written.
    /// Metadata that cannot be set is an error. A backup snapshot that was put back is recovered with `sitebackup recover --from FOLDER`,
    /// and one in the archive with `sitebackup recover --from-archive ID`.
    Restore(ArchiveRestoreArgs),
    /// Prove that what is stored can be read
    ///
    /// Without --read-data: that every snapshot, list and index can be read, and all that snapshots need is there. With it the packs are read
    /// whole, too, and each piece of content is compared with its id.
    Verify(ArchiveVerifyArgs),
    /// Remove an archived snapshot; its room is free after `archive prune`
    Forget(ArchiveForgetArgs),
    /// Forget what the retention policy of site.toml does not ask for, of its site alone
    ///
    /// Each snapshot is listed with the reason why it stays or goes. What goes is forgotten as by `archive forget`; the newest, the last good one and
    /// pinned ones never go. A backup does the same after it has archived its snapshot.
    Expire(ArchiveExpireArgs),
    /// Keep an archived snapshot until it is unpinned
    Pin(ArchiveSnapshotArgs),
    /// Let a pinned snapshot be forgotten again
    Unpin(ArchiveSnapshotArgs),
    /// Free the room of what no snapshot needs; may run beside others that store
    ///
    /// Exits with 3 when something waits for somebody who still stores, or was killed while storing: see `archive leases`.
    Prune(ArchivePruneArgs),
    /// List who stores or prunes, or was killed while doing so
    Leases,
    /// Remove the lease of somebody who is known to be gone
    ///
    /// While the one who holds it still stores, a prune may then delete what is relied on.
    Unlock(ArchiveSnapshotArgs),
    /// Work with the keys of a repository
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// `archive keys`
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys: what each gives, and to whom
    List,
    /// Give the repository's key to another passphrase or to a recipient
    Add(KeysAddArgs),
    /// Have another passphrase open the key that --passphrase-file opens now
    Passphrase(KeysPassphraseArgs),
    /// Remove a key; another one that reads must be opened meanwhile, so that the last one never goes
    ///
    /// Whoever has opened the repository with it before may have kept what it gave: removing takes no knowledge back.
    Remove(KeysRemoveArgs),
    /// Write a new identity to a file of its own and print its recipient, to whom keys can be given
    Identity(KeysIdentityArgs),
}

/// `archive init`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveInitArgs {
    /// The folder; without it --repository names it, or what says so for the other commands
    #[arg(value_name = "REPOSITORY", value_hint = ValueHint::DirPath)]
    pub(crate) place: Option<PathBuf>,
    /// Give the key to this recipient; may be given more than once, and beside a passphrase. The passphrase of site.toml is not taken then
    #[arg(long, value_name = "RECIPIENT")]
    pub(crate) recipient: Vec<Recipient>,
}

/// `archive store`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveStoreArgs {
    /// The folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Name the site by its three-character code; without it the folder's manifest, or its name such as P01Backup, tells
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<SiteCode>,
}

/// One snapshot, or one lease.
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveSnapshotArgs {
    /// Name it by the beginning of its id; a snapshot also by `latest`
    pub(crate) id: String,
}

/// `archive files`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveFilesArgs {
    /// Name the snapshot by the beginning of its id, or `latest`
    pub(crate) id: String,
    /// List only this entry and what is below it, by its path in the snapshot, such as SiteServer/SMSServer
    pub(crate) path: Option<String>,
}

/// `archive cat`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveFileArgs {
    /// Name the snapshot by the beginning of its id, or `latest`
    pub(crate) id: String,
    /// The file's path in the snapshot
    pub(crate) path: String,
}

/// `archive diff`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveDiffArgs {
    /// The first snapshot
    pub(crate) old: String,
    /// The second snapshot
    pub(crate) new: String,
}

/// `archive restore`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveRestoreArgs {
    /// Name the snapshot by the beginning of its id, or `latest`
    pub(crate) id: String,
    /// Restore only these entries, each with what is below it
    pub(crate) path: Vec<String>,
    /// Restore below this folder, which is made when it is missing
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) to: PathBuf,
    /// Overwrite files that were changed after the snapshot
    #[arg(long)]
    pub(crate) overwrite_newer: bool,
}

/// `archive verify`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveVerifyArgs {
    /// Read all data, or part N of M of it: parts 1/30 to 30/30, one a day, are all of it in a month
    #[arg(long, value_name = "N/M", num_args = 0..=1, value_parser = part)]
    pub(crate) read_data: Option<Option<(u32, u32)>>,
}

/// `archive forget`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveForgetArgs {
    /// Name the snapshot by the beginning of its id; one that is damaged by the whole of it
    pub(crate) id: String,
    /// Forget it although it is the last good one of its site
    #[arg(long)]
    pub(crate) last_good: bool,
}

/// `archive expire`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveExpireArgs {
    /// Tell what would go and what a prune would free then, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `archive prune`
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchivePruneArgs {
    /// Tell what would go, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `archive keys add`
#[derive(Debug, Clone, Args)]
pub(crate) struct KeysAddArgs {
    /// Read the new passphrase from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "recipient")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Give the key to this recipient
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "new_passphrase_file")]
    pub(crate) recipient: Option<Recipient>,
    /// Give the key that stores and reads nothing, for a site server
    #[arg(long)]
    pub(crate) write_only: bool,
    /// Note who it is for; anybody who sees the repository can read it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) label: String,
}

/// `archive keys passphrase`
#[derive(Debug, Clone, Args)]
pub(crate) struct KeysPassphraseArgs {
    /// Read the new passphrase from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) new_passphrase_file: PathBuf,
}

/// `archive keys remove`
#[derive(Debug, Clone, Args)]
pub(crate) struct KeysRemoveArgs {
    /// The key's id, as `archive keys list` shows it
    pub(crate) id: String,
}

/// `archive keys identity`
#[derive(Debug, Clone, Args)]
pub(crate) struct KeysIdentityArgs {
    /// The file, which must not be there; it becomes readable by its owner only
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

impl ArchiveArgs {
    /// The name in the JSON form.
    pub(crate) fn name(&self) -> &'static str {
        match &self.command {
            None | Some(ArchiveCommand::Store(_)) => "archive store",
            Some(ArchiveCommand::Init(_)) => "archive init",
            Some(ArchiveCommand::Snapshots) => "archive snapshots",
            Some(ArchiveCommand::Show(_)) => "archive show",
            Some(ArchiveCommand::Files(_)) => "archive files",
            Some(ArchiveCommand::Cat(_)) => "archive cat",
            Some(ArchiveCommand::Diff(_)) => "archive diff",
            Some(ArchiveCommand::Restore(_)) => "archive restore",
            Some(ArchiveCommand::Verify(_)) => "archive verify",
            Some(ArchiveCommand::Forget(_)) => "archive forget",
            Some(ArchiveCommand::Expire(_)) => "archive expire",
            Some(ArchiveCommand::Pin(_)) => "archive pin",
            Some(ArchiveCommand::Unpin(_)) => "archive unpin",
            Some(ArchiveCommand::Prune(_)) => "archive prune",
            Some(ArchiveCommand::Leases) => "archive leases",
            Some(ArchiveCommand::Unlock(_)) => "archive unlock",
            Some(ArchiveCommand::Keys(KeysCommand::List)) => "archive keys list",
            Some(ArchiveCommand::Keys(KeysCommand::Add(_))) => "archive keys add",
            Some(ArchiveCommand::Keys(KeysCommand::Passphrase(_))) => "archive keys passphrase",
            Some(ArchiveCommand::Keys(KeysCommand::Remove(_))) => "archive keys remove",
            Some(ArchiveCommand::Keys(KeysCommand::Identity(_))) => "archive keys identity",
        }
    }
}

fn part(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("`{text}` is not a part: write 1/30 to 30/30");
    let (part, of) = text.split_once('/').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
    let (part, of) = (number(part)?, number(of)?);
    if (1..=of).contains(&part) { Ok((part, of)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        assert_eq!(part("1/30"), Ok((1, 30)));
        assert_eq!(part("7/7"), Ok((7, 7)));
        for text in ["", "1", "0/7", "8/7", "1/0", "-1/7", "a/b", "1/7/2"] {
            assert!(part(text).is_err(), "{text}");
        }
    }
}
