//! `archive forget`, `pin`, `unpin`, `prune`, `leases`, `unlock`: what stays, what goes, and who is in the way.

use archive::{ArchiveError, LeaseFacts, Listed, Pruned, Purpose};
use backup_core::report::{Cause, Finding, Gravity};
use serde_json::{Value, json};

use super::open::{self, OpenRepository, open_repository, short};
use crate::args::{AccessArgs, ArchiveForgetArgs, ArchivePruneArgs, ArchiveSnapshotArgs};
use crate::commands::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};

pub(super) fn forget(access: &AccessArgs, args: &ArchiveForgetArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let named = args.id.to_ascii_lowercase();
    let id = match opened.repository.find(&named) {
        Ok(listed) => {
            keep_last_good(&opened, &listed, args.last_good)?;
            listed.id
        }
        Err(error @ ArchiveError::Damaged { .. }) => unreadable(&opened, named, error)?,
        Err(error) => return Err(opened.failed(error)),
    };
    opened.repository.forget(&id).map_err(|error| opened.failed(error))?;
    let text = format!("Snapshot {} is forgotten. `sitebackup archive prune` frees its room.\n", short(&id));
    Ok(Answer::new(text, json!({ "id": id })))
}

/// What nobody can look at goes only by its whole id: whether it is the last good one of its site is not known.
fn unreadable(opened: &OpenRepository, named: String, error: ArchiveError) -> Result<String, CommandError> {
    let id = opened.repository.whole_id(&named).map_err(|error| opened.failed(error))?;
    if id == named {
        return Ok(id);
    }
    Err(opened.failed(error).hint(format!("it is forgotten by its whole id: `sitebackup archive forget {id}`")))
}

/// The last good snapshot of a site goes only by a word of its own.
fn keep_last_good(opened: &OpenRepository, listed: &Listed, may_go: bool) -> Result<(), CommandError> {
    let snapshots = opened.repository.snapshots().map_err(|error| opened.failed(error))?.snapshots;
    let about = &listed.snapshot.about;
    let other =
        |other: &Listed| other.id != listed.id && other.snapshot.about.good && other.snapshot.about.site == about.site;
    if may_go || !about.good || snapshots.iter().any(other) {
        return Ok(());
    }
    let message = format!("snapshot {} is the last good one of site {}", short(&listed.id), about.site);
    Err(CommandError::usage(message).hint("archive a newer one first, or say --last-good"))
}

pub(super) fn pin(access: &AccessArgs, args: &ArchiveSnapshotArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let (Listed { id, .. }, doubts) = opened.find(&args.id)?;
    opened.repository.pin(&id).map_err(|error| opened.failed(error))?;
    Ok(Answer::new(format!("Snapshot {} is pinned.\n", short(&id)), json!({ "id": id })).with(doubts))
}

pub(super) fn unpin(access: &AccessArgs, args: &ArchiveSnapshotArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let (Listed { id, .. }, doubts) = opened.find(&args.id)?;
    opened.repository.unpin(&id).map_err(|error| opened.failed(error))?;
    Ok(Answer::new(format!("Snapshot {} is not pinned.\n", short(&id)), json!({ "id": id })).with(doubts))
}

pub(super) fn run(session: &Session, access: &AccessArgs, args: &ArchivePruneArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?.heard_by(session);
    session.screen.work("pruning");
    let pruned = opened.repository.prune(&open::holder(), args.dry_run, &session.cancel);
    Ok(answer(&pruned.map_err(|error| opened.failed(error))?, args.dry_run))
}

fn answer(pruned: &Pruned, dry_run: bool) -> Answer {
    let packs = |n: u64| human::count(n, "pack", "packs");
    let (dead, repacked, kept) = (packs(pruned.dead_packs), packs(pruned.repacked), packs(pruned.kept));
    let bytes = human::bytes(pruned.dead_bytes);
    let text = match dry_run {
        true => format!(
            "No snapshot needs {dead} with {bytes}: they would go.\nOf {repacked} more than an eighth is not needed: the rest would be copied, and they go.\nOf {kept} snapshots need seven eighths or more: they stay.\n"
        ),
        false => format!(
            "No snapshot needed {dead} with {bytes}. {} copied out of {repacked} of which more than an eighth was not needed.\n{} freed.\n",
            human::bytes(pruned.repacked_bytes),
            human::bytes(pruned.deleted_bytes)
        ),
    };
    let finding = |(id, facts): &(String, LeaseFacts)| {
        let message = format!("what would go waits for lease {}: {}", short(id), holder(facts));
        let hint =
            "prune again when that one has ended; if it was killed, `sitebackup archive unlock ID` removes its lease";
        Finding::new(Gravity::Warning, Cause::Busy, message).hint(hint)
    };
    let result = json!({
        "dead_packs": pruned.dead_packs,
        "dead_bytes": pruned.dead_bytes,
        "repacked": pruned.repacked,
        "repacked_bytes": pruned.repacked_bytes,
        "kept": pruned.kept,
        "deleted_bytes": pruned.deleted_bytes,
        "waits_for": pruned.waits_for.iter().map(value).collect::<Vec<_>>(),
    });
    let exit = if pruned.waits_for.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    Answer::new(text, result).with(pruned.waits_for.iter().map(finding)).exit(exit)
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Store => "stores",
        Purpose::Prune => "prunes",
    }
}

fn holder(facts: &LeaseFacts) -> String {
    // Anybody who writes to the storage can say anything here.
    let said: String = facts.holder.chars().filter(|letter| !letter.is_control()).take(200).collect();
    format!("{} ({said})", purpose(facts.purpose))
}

fn value((id, facts): &(String, LeaseFacts)) -> Value {
    json!({ "id": id, "purpose": facts.purpose, "holder": facts.holder })
}

pub(super) fn leases(access: &AccessArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let leases = opened.repository.leases().map_err(|error| opened.failed(error))?;
    let rows: Vec<Vec<String>> = leases.iter().map(|(id, facts)| vec![short(id).to_owned(), holder(facts)]).collect();
    let text = match rows.is_empty() {
        true => "Nobody stores or prunes.\n".to_owned(),
        false => human::table(&rows, &[], ""),
    };
    Ok(Answer::new(text, json!({ "leases": leases.iter().map(value).collect::<Vec<_>>() })))
}

pub(super) fn unlock(access: &AccessArgs, args: &ArchiveSnapshotArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let leases = opened.repository.leases().map_err(|error| opened.failed(error))?;
    // A script's variable may be empty: that names none.
    let is_named = |id: &&String| !args.id.is_empty() && id.starts_with(&args.id);
    let named: Vec<&String> = leases.iter().map(|(id, _)| id).filter(is_named).collect();
    let [id] = named.as_slice() else {
        let message =
            format!("{} with `{}`", human::count(named.len() as u64, "lease begins", "leases begin"), args.id);
        return Err(CommandError::usage(message).hint("`sitebackup archive leases` lists them"));
    };
    opened.repository.break_lease(id).map_err(|error| opened.failed(error))?;
    Ok(Answer::new(format!("Lease {} is removed.\n", short(id)), json!({ "id": id })))
}
