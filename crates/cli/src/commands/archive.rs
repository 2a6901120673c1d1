//! `archive`: the repository that keeps many snapshots.

mod chosen;
mod expire;
mod init;
mod keys;
pub(crate) mod open;
mod prune;
mod read;
mod restore;
mod store;
mod verify;

use backup_core::path::RelPath;

pub(super) use chosen::chosen;
pub(super) use open::completed;

use super::Session;
use crate::args::{ArchiveArgs, ArchiveCommand, ArchiveStoreArgs, KeysCommand};
use crate::error::CommandError;
use crate::output::Answer;

pub(super) async fn run(session: &Session, args: &ArchiveArgs) -> Result<Answer, CommandError> {
    let answer = run_command(session, args).await;
    session.screen.clear();
    answer
}

async fn run_command(session: &Session, args: &ArchiveArgs) -> Result<Answer, CommandError> {
    use ArchiveCommand::{
        Cat, Diff, Expire, Files, Forget, Init, Keys, Leases, Pin, Prune, Restore, Show, Snapshots, Store, Unlock,
        Unpin, Verify,
    };
    let command = match (&args.command, &args.folder) {
        (Some(_), folder) if folder.is_some() || args.code.is_some() => {
            let message = "a folder and --code stand before the command of `archive`";
            return Err(
                CommandError::usage(message).hint("`sitebackup archive store FOLDER --code CODE` stores a folder")
            );
        }
        (Some(command), _) => command.clone(),
        (None, Some(folder)) => Store(ArchiveStoreArgs { folder: folder.clone(), code: args.code.clone() }),
        (None, None) => {
            let message = "neither a folder to archive nor a command is given";
            return Err(CommandError::usage(message).hint("`sitebackup archive --help` lists the commands"));
        }
    };
    if args.access.append_only && deletes(&command) {
        let message = "this command deletes in the repository, and --append-only says that nothing is deleted";
        return Err(CommandError::usage(message).hint("leave --append-only away, on a machine that may delete there"));
    }
    let access = &match &command {
        Keys(KeysCommand::Identity(_)) => args.access.clone(),
        Init(new) => init::access(session, &args.access, new)?,
        _ => open::with_site(session, &args.access, false)?,
    };
    match &command {
        Init(args) => init::run(access, args),
        Expire(args) => expire::run(session, access, args).await,
        Store(args) => store::run(session, access, args).await,
        Snapshots => read::snapshots(access),
        Show(args) => read::show(access, args),
        Files(args) => read::files(access, args),
        Cat(args) => read::cat(session, access, args),
        Diff(args) => read::diff(access, args),
        Restore(args) => restore::run(session, access, args).await,
        Verify(args) => verify::run(session, access, args),
        Forget(args) => prune::forget(access, args),
        Pin(args) => prune::pin(access, args),
        Unpin(args) => prune::unpin(access, args),
        Prune(args) => prune::run(session, access, args),
        Leases => prune::leases(access),
        Unlock(args) => prune::unlock(access, args),
        Keys(command) => keys::run(access, command),
    }
}

/// Whether a command is for deleting something in the repository.
fn deletes(command: &ArchiveCommand) -> bool {
    match command {
        ArchiveCommand::Prune(args) => !args.dry_run,
        ArchiveCommand::Expire(args) => !args.dry_run,
        ArchiveCommand::Keys(command) => matches!(command, KeysCommand::Remove(_) | KeysCommand::Passphrase(_)),
        ArchiveCommand::Forget(_) | ArchiveCommand::Unpin(_) | ArchiveCommand::Unlock(_) => true,
        _ => false,
    }
}

/// A path in a snapshot, as the command line has it.
fn path_in_snapshot(text: &str) -> Result<RelPath, CommandError> {
    let hint = "give the path in the snapshot, as `sitebackup archive files ID` shows it";
    // A script's variable may be empty: that does not stand for everything.
    if text.is_empty() {
        return Err(CommandError::usage("an empty path names no entry").hint(hint));
    }
    // Elsewhere a backslash is a letter like any other.
    let text = if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
    RelPath::parse(text.trim_matches('/')).map_err(|error| CommandError::usage(error).hint(hint))
}
