//! One file a command. Each reads what it needs, calls core, and makes an [`Answer`] of the report.

mod alert;
pub(crate) mod archive;
mod backup;
mod brought;
mod check;
mod control_file;
mod database;
mod docs;
mod files;
mod init;
mod log;
mod product;
mod recover;
mod registry;
mod rehearse;
mod repair;
mod shadow_copy;
mod snapshots;
mod status;
#[cfg(test)]
mod tests;
mod verify;
mod vss_selftest;
mod vss_writer;
mod watchdog;
mod writers;

use std::sync::Arc;

use backup_core::cancel::Cancel;
use backup_core::path::SitePath;
use backup_core::ports::Ports;
use backup_core::ports::destination::{DamagedSnapshot, SnapshotFiles, StoredSnapshot};
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::snapshot::{ChooseError, RunId, choose, short};

use crate::args::{
    ArchiveArgs, ArchiveCommand, Command, ControlFileCommand, DatabaseCommand, Global, RegistryCommand,
    ShadowCopyCommand,
};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Answer;
use crate::output::progress::Screen;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Session {
    /// Options of every command.
    pub(crate) global: Global,
    /// Set by a signal.
    pub(crate) cancel: Cancel,
    /// Shows progress.
    pub(crate) screen: Arc<Screen>,
}

/// Carries out a command.
pub(crate) async fn run(session: &Session, command: Command) -> Result<Answer, CommandError> {
    match command {
        Command::Init(args) => init::run(session, &args),
        Command::Check => check::run(session).await,
        Command::Backup(args) => backup::run(session, &args).await,
        Command::Snapshots => snapshots::run(session).await,
        Command::Files(args) => files::run(session, &args).await,
        Command::Verify(args) => verify::run(session, &args).await,
        Command::Recover(args) => recover::run(session, &args).await,
        Command::Rehearse(args) => rehearse::run(session, &args).await,
        Command::Status(args) => status::run(session, &args).await,
        Command::Log(args) => log::run(session, &args).await,
        Command::Repair => repair::run(session).await,
        Command::Writers(args) => writers::run(session, &args).await,
        Command::ShadowCopy(ShadowCopyCommand::Run(args)) => shadow_copy::run(session, &args).await,
        Command::ShadowCopy(ShadowCopyCommand::Create) => shadow_copy::kept::create(session).await,
        Command::ShadowCopy(ShadowCopyCommand::List) => shadow_copy::kept::list(session).await,
        Command::ShadowCopy(ShadowCopyCommand::Path(args)) => shadow_copy::kept::path(session, &args).await,
        Command::ShadowCopy(ShadowCopyCommand::Delete(args)) => shadow_copy::kept::delete(session, &args).await,
        Command::VssSelftest(args) => vss_selftest::run(session, &args).await,
        Command::VssWriter => vss_writer::run(session).await,
        Command::ControlFile(ControlFileCommand::Check { file, redact }) => {
            control_file::check(session, file.as_deref(), redact)
        }
        Command::ControlFile(ControlFileCommand::Format { file, write }) => {
            control_file::format(session, file.as_deref(), write)
        }
        Command::ControlFile(ControlFileCommand::New { file }) => control_file::new(file.as_deref()),
        Command::Registry(RegistryCommand::Show(args)) => registry::show(&args),
        Command::Registry(RegistryCommand::Diff(args)) => registry::diff(&args),
        Command::Registry(RegistryCommand::Convert(args)) => registry::convert(&args),
        Command::Database(command) => database::run(session, command).await,
        Command::Archive(args) => archive::run(session, &args).await,
        Command::Completions { shell } => Ok(docs::completions(shell)),
        Command::Man => docs::man(),
        Command::Docs { dir } => docs::write(&dir),
        Command::Watchdog => watchdog::run(session).await,
    }
}

/// Whether a signal asks the command to stop in good order, instead of ending it at once.
pub(crate) fn is_cancellable(command: &Command) -> bool {
    use Command::{Archive, Backup, Database, Recover, Rehearse, ShadowCopy, VssSelftest, VssWriter};
    use ShadowCopyCommand::{Create, Run};
    let holds_an_image = matches!(command, ShadowCopy(Run(_) | Create));
    let stops = |args: &ArchiveArgs| {
        use ArchiveCommand::{Prune, Restore, Store, Verify};
        matches!(args.command, None | Some(Store(_) | Restore(_) | Verify(_) | Prune(_)))
    };
    let archives = matches!(command, Archive(args) if stops(args));
    // The others only read.
    let writes = matches!(command, Database(DatabaseCommand::Dump(_) | DatabaseCommand::Restore(_)));
    holds_an_image
        || archives
        || writes
        || matches!(command, Backup(_) | Recover(_) | Rehearse(_) | VssSelftest(_) | VssWriter)
}

/// A snapshot that was chosen.
struct Chosen {
    files: Arc<dyn SnapshotFiles>,
    /// The folder in which it lies; none in the archive.
    folder: Option<SitePath>,
    /// The shortest text that names it.
    short: String,
    /// Said when nobody named the snapshot and it is not the one that they would want.
    findings: Vec<Finding>,
}

/// Opens the snapshot that `id` names, or the newest that is whole.
async fn open(ports: &Ports, id: Option<&str>) -> Result<Chosen, CommandError> {
    let snapshots = ports.destination.list().await?;
    let damaged = ports.destination.damaged().await?;
    let runs: Vec<RunId> = snapshots.iter().map(|snapshot| snapshot.run).collect();
    let run = match choose(&runs, id) {
        Ok(run) => run,
        Err(error) => return Err(not_chosen(error, &damaged, id)),
    };
    let is_it = |snapshot: &&StoredSnapshot| snapshot.run == run;
    let chosen = snapshots.iter().find(is_it).expect("it was chosen among them");
    let newest = Some(chosen).filter(|_| id.is_none());
    let mut findings: Vec<Finding> = match newest {
        Some(_) => damaged.iter().map(DamagedSnapshot::finding).collect(),
        None => Vec::new(),
    };
    findings.extend(newest.and_then(|newest| weaker(newest, &snapshots, &runs)));
    let (folder, files) = (Some(chosen.folder.clone()), ports.destination.open(run).await?);
    Ok(Chosen { files, folder, short: short(run, &runs), findings })
}

/// A snapshot that is there and damaged is not one that is not there.
fn not_chosen(error: ChooseError, damaged: &[DamagedSnapshot], id: Option<&str>) -> CommandError {
    let runs: Vec<RunId> = damaged.iter().map(|damaged| damaged.run).collect();
    let named = choose(&runs, id).ok().and_then(|run| damaged.iter().find(|damaged| damaged.run == run));
    match named.map(DamagedSnapshot::finding) {
        Some(finding) => CommandError::new(Exit::SNAPSHOT, finding.message).hint(finding.hint.unwrap_or_default()),
        None => error.into(),
    }
}

/// Warns when the newest snapshot is weaker than asked for, and names a better one.
fn weaker(snapshot: &StoredSnapshot, snapshots: &[StoredSnapshot], runs: &[RunId]) -> Option<Finding> {
    let reason = snapshot.manifest.weaker.first()?;
    let message = format!("snapshot {} is weaker than asked for: {reason}", short(snapshot.run, runs));
    let finding = Finding::new(Gravity::Warning, Cause::Snapshot, message);
    let good = snapshots.iter().rev().find(|other| other.manifest.weaker.is_empty());
    Some(match good {
        Some(good) => finding.hint(format!("the last good one is {}", short(good.run, runs))),
        None => finding,
    })
}
