//! `database`: databases inspected, dumped, restored and verified without a site.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use backup_core::cancel::Cancel;
use backup_core::event::{Event, EventSink};
use backup_core::report::{Cause, Finding, Gravity};
use jiff::Timestamp;
use serde_json::json;
use sql_dump::logical::{self, Address, Compression, DumpOptions, FolderDump, LogicalError, RestoreOptions};
use sql_dump::sqlserver::{BackupOrder, RestoreOrder, SqlServer, SqlServerError, set_name};

use super::Session;
use crate::args::{
    DatabaseCommand, DatabaseDumpArgs, DatabaseInspectArgs, DatabaseRestoreArgs, DatabaseVerifyArgs, ReachArgs,
};
use crate::database;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::progress::Screen;
use crate::output::{Answer, human};

pub(super) async fn run(session: &Session, command: DatabaseCommand) -> Result<Answer, CommandError> {
    let (cancel, screen) = (session.cancel.clone(), Arc::clone(&session.screen));
    // Databases are talked to by calls that block.
    let work = tokio::task::spawn_blocking(move || match command {
        DatabaseCommand::Inspect(args) => inspect(&args),
        DatabaseCommand::Dump(args) => dump(&args, cancel, &screen),
        DatabaseCommand::Restore(args) => restore(&args, cancel, &screen),
        DatabaseCommand::Verify(args) => verify(&args, &cancel, &screen),
    });
    let done = work.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    session.screen.clear();
    done
}

fn failed(error: LogicalError) -> CommandError {
    let hint = match &error {
        // It says what it can be.
        LogicalError::Address(_) => return CommandError::usage(error),
        LogicalError::Stopped => {
            return CommandError::new(Exit::INTERRUPTED, error)
                .hint("what was written is no dump; a restore goes on when it is repeated");
        }
        LogicalError::Denied { .. } => "name the file with the password: --password-file FILE",
        LogicalError::NotEmpty { .. } => "make a new database and name that",
        LogicalError::Gone { .. } => "repeat the command: a restore goes on, a dump begins anew in a new folder",
        LogicalError::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            return CommandError::new(Exit::FULL, error)
                .hint("what was written is no dump: remove it, and choose a place with more room");
        }
        LogicalError::Incomplete | LogicalError::Damaged { .. } => "use another dump, or make a new one",
        _ => return CommandError::new(Exit::DATABASE, error),
    };
    CommandError::new(Exit::DATABASE, error).hint(hint)
}

fn refused(error: SqlServerError) -> CommandError {
    let hint = match &error {
        SqlServerError::Cancelled { .. } => {
            return CommandError::new(Exit::INTERRUPTED, error).hint("a file that the server has left is no backup");
        }
        SqlServerError::Denied(_) => "name the file with the password: --password-file FILE",
        SqlServerError::Exists(_) => "name another database, or replace this one: --replace",
        SqlServerError::FileExists(_) => "the path is the server's: name a file that is not there",
        SqlServerError::NotThisReplica(_) => "name the server of the replica that is to take it",
        _ => return CommandError::new(Exit::DATABASE, error),
    };
    CommandError::new(Exit::DATABASE, error).hint(hint)
}

/// The address with its password, and a warning where that stands on the command line.
fn reach(text: &str, reach: &ReachArgs) -> Result<(Address, Vec<Finding>), CommandError> {
    let password = database::password(reach.password_file.as_deref())?;
    let exposed = Address::parse(text).map_err(failed)?.has_password().then(exposed);
    Ok((database::address(text, password.as_ref())?, exposed.into_iter().collect()))
}

fn reach_server(text: &str, reach: &ReachArgs) -> Result<(SqlServer, String, Vec<Finding>), CommandError> {
    let password = database::password(reach.password_file.as_deref())?;
    let exposed = database::sql_server(text, None)?.0.has_password().then(exposed);
    let (server, name) = database::sql_server(text, password.as_ref())?;
    Ok((server, name, exposed.into_iter().collect()))
}

fn exposed() -> Finding {
    let message = "a password on the command line is seen by everybody on this machine";
    let finding = Finding::new(Gravity::Warning, Cause::Configuration, message);
    finding.hint("put it into a file: --password-file FILE")
}

fn inspect(args: &DatabaseInspectArgs) -> Result<Answer, CommandError> {
    let (address, mut findings) = reach(&args.address, &args.reach)?;
    let seen = logical::inspect(&address).map_err(failed)?;
    findings.extend(seen.lost.iter().map(lost));
    if let Err(error) = logical::may_dump(&address, &DumpOptions::default()) {
        let message = format!("it cannot be dumped: {}", backup_core::copy::chain(&error));
        findings.push(Finding::new(Gravity::Warning, Cause::Database, message));
    }
    let rows = seen.facts.iter().map(|(fact, value)| vec![fact.clone(), value.clone()]);
    let text = format!(
        "{} at `{address}`: {}, {}.\n{}",
        seen.name,
        seen.engine,
        human::bytes(seen.size),
        human::table(&rows.collect::<Vec<_>>(), &[], "  ")
    );
    let facts: serde_json::Map<_, _> = seen.facts.iter().map(|(fact, value)| (fact.clone(), json!(value))).collect();
    let result = json!({
        "name": seen.name, "engine": seen.engine, "address": address.to_string(), "size": seen.size, "facts": facts,
    });
    Ok(Answer::new(text, result).with(findings))
}

fn dump(args: &DatabaseDumpArgs, cancel: Cancel, screen: &Screen) -> Result<Answer, CommandError> {
    let Some(folder) = &args.folder else { return dump_native(args, &cancel, screen) };
    let (address, mut findings) = reach(&args.address, &args.reach)?;
    refuse_full(folder)?;
    let compression = if args.plain { Compression::None } else { DumpOptions::default().compression };
    let options = DumpOptions { connections: args.connections.into(), compression, cancel, ..DumpOptions::default() };
    screen.work("dumping");
    let report = logical::dump(&address, &FolderDump::new(folder), &options).map_err(failed)?;
    findings.extend(report.not_covered.iter().map(not_covered));
    let left = |what: &String| Finding::new(Gravity::Warning, Cause::Database, format!("left on the server: {what}"));
    findings.extend(report.left_behind.iter().map(left));
    let moment = &report.manifest.moment;
    let weaker = report.weaker();
    findings.extend(weaker.iter().map(|why| Finding::new(Gravity::Warning, Cause::Database, why.clone())));
    let rows: u64 = report.manifest.tables.iter().map(|table| table.rows).sum();
    let tables = report.manifest.tables.len() as u64;
    let text = format!(
        "Dumped {} with {} into `{}`, {} of one moment: {}.\n",
        human::count(tables, "table", "tables"),
        human::count(rows, "row", "rows"),
        folder.display(),
        if moment.one_snapshot { "all" } else { "not all" },
        moment.pinned_by
    );
    let result = json!({ "folder": folder.display().to_string(), "tables": tables, "rows": rows, "moment": moment.id });
    let exit = if weaker.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    Ok(Answer::new(text, result).with(findings).exit(exit))
}

/// What a dump does not hold.
fn not_covered(what: &String) -> Finding {
    Finding::new(Gravity::Note, Cause::Database, format!("not in the logical dump: {what}"))
}

/// Data that a dump does not hold.
fn lost(what: &String) -> Finding {
    Finding::new(Gravity::Warning, Cause::Database, format!("not in the logical dump: {what}"))
}

/// A dump is made in a folder of its own: one that holds something is somebody's.
fn refuse_full(folder: &Path) -> Result<(), CommandError> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) if !folder.join("manifest.json").exists() && folder.join("data").is_dir() => {
            let message = format!("`{}` holds a dump that was not finished", folder.display());
            Err(CommandError::usage(message).hint("remove it, or name a new folder"))
        }
        Ok(true) => Err(CommandError::usage(format!("`{}` is not empty", folder.display())).hint("name a new folder")),
        Err(_) if folder.exists() && !folder.is_dir() => {
            Err(CommandError::usage(format!("`{}` is no folder", folder.display())).hint("name a new folder"))
        }
        _ => Ok(()),
    }
}

fn dump_native(args: &DatabaseDumpArgs, cancel: &Cancel, screen: &Screen) -> Result<Answer, CommandError> {
    let device = args.native.as_deref().unwrap_or_default();
    let (server, name, findings) = reach_server(&args.address, &args.reach)?;
    let order = BackupOrder::new(&name, device, &set_name(&name, &Timestamp::now().to_string()));
    if args.dry_run {
        return Ok(statements(&order.dry_run()).with(findings));
    }
    screen.work("backing up");
    let taken = server
        .stopped_by(cancel)
        .backup(&order, &|progress| screen.event(&Event::Server(progress)))
        .map_err(refused)?;
    let text = format!(
        "{} backed up database {name} to `{device}`, {}; its moment is its end, {}.\n",
        taken.server.name,
        human::bytes(taken.set.compressed_size),
        taken.set.finished
    );
    let result =
        json!({ "file": device, "server": taken.server.name, "set": taken.set.id, "finished": taken.set.finished });
    Ok(Answer::new(text, result).with(findings))
}

fn statements(statements: &[String]) -> Answer {
    let text: String = statements.iter().map(|statement| format!("{statement};\n")).collect();
    Answer::new(text, json!({ "statements": statements }))
}

fn restore(args: &DatabaseRestoreArgs, cancel: Cancel, screen: &Screen) -> Result<Answer, CommandError> {
    if args.native {
        return restore_native(args, &cancel, screen);
    }
    let (address, mut findings) = reach(&args.address, &args.reach)?;
    let dump = FolderDump::new(&args.from);
    // Nothing is written before all of it is judged.
    screen.work("verifying");
    logical::verify(&dump, &cancel).map_err(failed)?;
    screen.work("restoring");
    let options = RestoreOptions { connections: args.connections.into(), cancel, ..RestoreOptions::default() };
    let report = logical::restore(&dump, &address, &options).map_err(failed)?;
    findings.extend(report.not_covered.iter().map(not_covered));
    let before = match report.chunks_before {
        0 => String::new(),
        n => format!(", {} of them from an earlier attempt", human::count(n as u64, "file", "files")),
    };
    let rows = human::count(report.rows, "row", "rows");
    let text = format!("Restored {rows} into `{address}`{before}; every row was compared with the dump.\n");
    let result = json!({ "address": address.to_string(), "rows": report.rows, "files_before": report.chunks_before });
    Ok(Answer::new(text, result).with(findings))
}

fn restore_native(args: &DatabaseRestoreArgs, cancel: &Cancel, screen: &Screen) -> Result<Answer, CommandError> {
    let (server, name, mut findings) = reach_server(&args.address, &args.reach)?;
    let order = RestoreOrder { replace: args.replace, ..RestoreOrder::new(&args.from, &name) };
    if args.dry_run {
        return Ok(statements(&order.dry_run()).with(findings));
    }
    screen.work("restoring");
    let restored = server
        .stopped_by(cancel)
        .restore(&order, &|progress| screen.event(&Event::Server(progress)))
        .map_err(refused)?;
    findings.extend(restored.faults.iter().map(|fault| Finding::error(Cause::Database, fault.clone())));
    let sound = restored.faults.is_empty();
    let judged = if sound { "DBCC CHECKDB finds nothing wrong" } else { "DBCC CHECKDB finds it damaged" };
    let text = format!("Restored database {} from `{}`; {judged}.\n", restored.database, args.from);
    let result = json!({ "database": restored.database, "faults": restored.faults });
    let exit = if sound { Exit::DONE } else { Exit::DATABASE };
    Ok(Answer::new(text, result).with(findings).exit(exit))
}

fn verify(args: &DatabaseVerifyArgs, cancel: &Cancel, screen: &Screen) -> Result<Answer, CommandError> {
    screen.work("verifying");
    if let Some(address) = &args.native {
        let (server, _, findings) = reach_server(address, &args.reach)?;
        server.verify(std::slice::from_ref(&args.from)).map_err(refused)?;
        let text = format!("SQL Server has read `{}` and finds it whole.\n", args.from);
        return Ok(Answer::new(text, json!({ "file": args.from })).with(findings));
    }
    let manifest = logical::verify(&FolderDump::new(&args.from), cancel).map_err(failed)?;
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let tables = manifest.tables.len() as u64;
    let text = format!(
        "The dump in `{}` is whole: {} with {} of `{}`.\n",
        args.from,
        human::count(tables, "table", "tables"),
        human::count(rows, "row", "rows"),
        manifest.address
    );
    Ok(Answer::new(text, json!({ "folder": args.from, "tables": tables, "rows": rows, "address": manifest.address })))
}
