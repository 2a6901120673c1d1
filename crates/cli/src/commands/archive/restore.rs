//! `archive restore`: a snapshot of the archive, or a part of it, as files again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use archive::ArchivedSnapshot;
use backup_core::copy::chain;
use backup_core::event::{Event, EventSink, Phase, Progress};
use backup_core::manifest::{FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::recovery_target::{RecoveryError, RecoveryTarget, RestoreItem, Standing};
use backup_core::recover::{Batches, refused_by_windows};
use backup_core::report::{Cause, Finding, Gravity, RecoveryReport, has_errors};
use serde_json::{Map, json};

use super::open::{open_repository, short};
use super::path_in_snapshot;
use super::read::{no_entry, open_snapshot};
use crate::args::{AccessArgs, ArchiveRestoreArgs};
use crate::commands::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human, json};
use crate::ports;
use crate::site::{real, site_path};

/// Entries looked at by one call, which copies them.
const SURVEYED: usize = 4096;
/// Errors of one kind that are told one by one.
const NAMED: usize = 20;

pub(super) async fn run(
    session: &Session,
    access: &AccessArgs,
    args: &ArchiveRestoreArgs,
) -> Result<Answer, CommandError> {
    let root = site_path(&args.to)?;
    let wanted = args.path.iter().map(|path| path_in_snapshot(path)).collect::<Result<Vec<_>, _>>()?;
    let opened = open_repository(access)?;
    if real(&root).starts_with(&real(&opened.place.path)) {
        let message = format!("`{root}` lies in the archive repository `{}`", opened.place.path);
        return Err(CommandError::usage(message).hint("restore to a folder of its own"));
    }
    let (listed, snapshot, doubts) = open_snapshot(&opened, &args.id)?;
    let items = items(&snapshot, &root, &wanted)?;
    let target = ports::recovery_target();
    let findings = judge(&*target, &items, args.overwrite_newer, cfg!(windows)).await;
    let mut report = RecoveryReport { findings, ..RecoveryReport::default() };
    let refused = has_errors(&report.findings);
    if !refused {
        put_back(session, &*target, items, snapshot, &mut report).await;
    }
    let whole = !has_errors(&report.findings);
    let state = match (whole, refused) {
        (true, _) => "is restored",
        (false, true) => "is not restored, and nothing was written",
        (false, false) => "is restored in part",
    };
    let text = format!(
        "Snapshot {} {state} to `{root}`:\n{} written with {}, {} right already.\n",
        short(&listed.id),
        human::entries(report.written),
        human::bytes(report.bytes),
        human::entries(report.already)
    );
    let mut result = Map::new();
    json::put_path(&mut result, "to", &root);
    for (name, value) in [
        ("id", json!(listed.id)),
        ("whole", json!(whole)),
        ("written", json!(report.written)),
        ("already", json!(report.already)),
        ("bytes", json!(report.bytes)),
    ] {
        result.insert(name.to_owned(), value);
    }
    let exit = Exit::of_findings(&report.findings);
    Ok(Answer::new(text, result.into()).with(doubts).with(report.findings).exit(exit))
}

/// What is to be put back: all of it, or the wanted entries with what is below them and the folders above them.
fn items(snapshot: &ArchivedSnapshot, root: &SitePath, wanted: &[RelPath]) -> Result<Vec<RestoreItem>, CommandError> {
    let mut unseen: HashSet<&RelPath> = wanted.iter().collect();
    let mut files: HashMap<&RelPath, &FileRecord> = HashMap::new();
    let mut placed: HashMap<&RelPath, &RelPath> = HashMap::new();
    let mut items = Vec::with_capacity(snapshot.records().len());
    for record in snapshot.records() {
        files.insert(&record.path, record);
        unseen.remove(&record.path);
        let is_in = wanted.is_empty() || wanted.iter().any(|path| record.path.strip_prefix(path).is_some());
        let is_above = record.kind == RecordKind::Directory
            && !record.path.is_root()
            && wanted.iter().any(|path| path.strip_prefix(&record.path).is_some());
        if !is_in && !is_above {
            continue;
        }
        let item = RestoreItem { root: root.clone(), path: record.path.clone(), record: record.clone(), link_to: None };
        items.push(match &record.first {
            None => item,
            Some(first) => further_name(item, first, &files, &placed),
        });
        let first = record.first.as_ref().unwrap_or(&record.path);
        placed.entry(first).or_insert(&record.path);
    }
    match unseen.into_iter().next() {
        Some(path) => Err(no_entry(path)),
        None => Ok(items),
    }
}

/// A further name links to the first one that is put back; where that is itself, it becomes the file.
fn further_name(
    item: RestoreItem,
    first: &RelPath,
    files: &HashMap<&RelPath, &FileRecord>,
    placed: &HashMap<&RelPath, &RelPath>,
) -> RestoreItem {
    match (placed.get(first), files.get(first)) {
        (Some(place), _) => RestoreItem { link_to: Some((*place).clone()), ..item },
        (None, Some(file)) => {
            // Its content is asked for under its own name, which the snapshot knows.
            let record = FileRecord { path: item.path.clone(), ..(*file).clone() };
            RestoreItem { record, ..item }
        }
        (None, None) => item,
    }
}

/// Refuses before anything is written.
async fn judge(
    target: &dyn RecoveryTarget,
    items: &[RestoreItem],
    overwrite_newer: bool,
    on_windows: bool,
) -> Vec<Finding> {
    let places = items.iter().map(|item| (item.root.join(&item.path), &item.path));
    let names = if on_windows { refused_by_windows(places) } else { Vec::new() };
    if !names.is_empty() {
        let hint = "restore it on a machine that allows both, or other paths alone";
        let finding = |message: String| Finding::error(Cause::Recovery, message).hint(hint);
        return shortened(names.into_iter().map(finding).collect());
    }
    let mut standings = Vec::with_capacity(items.len());
    for batch in items.chunks(SURVEYED) {
        standings.extend(target.survey(batch).await);
    }
    let mut findings = Vec::new();
    for (item, standing) in items.iter().zip(standings) {
        let path = item.root.join(&item.path);
        let (message, hint) = match standing {
            Ok(Standing::Newer) if !overwrite_newer => (
                format!("`{path}` was changed after the snapshot"),
                "overwrite such files with --overwrite-newer, or restore to another folder",
            ),
            Ok(Standing::Other) => (
                format!("`{path}` is there, and of another kind than in the snapshot"),
                "move it away, or restore to another folder",
            ),
            Ok(_) => continue,
            Err(error) => (chain(&error), "nothing was written"),
        };
        findings.push(Finding::error(Cause::Recovery, message).hint(hint));
    }
    shortened(findings)
}

/// The first errors one by one, and how many more there are.
fn shortened(mut findings: Vec<Finding>) -> Vec<Finding> {
    if let Some(more) = findings.len().checked_sub(NAMED).filter(|more| *more > 0) {
        findings.truncate(NAMED);
        let message = format!("and {more} more like these");
        findings.push(Finding::new(Gravity::Error, Cause::Recovery, message));
    }
    findings
}

async fn put_back(
    session: &Session,
    target: &dyn RecoveryTarget,
    mut items: Vec<RestoreItem>,
    snapshot: ArchivedSnapshot,
    report: &mut RecoveryReport,
) {
    let total_bytes = items.iter().map(|item| item.record.size).sum();
    let progress = Progress { total_files: items.len() as u64, total_bytes, ..Progress::default() };
    // Links come last: nothing is ever written through one.
    let place = |item: &RestoreItem| match item.record.kind {
        RecordKind::Directory => 0,
        RecordKind::Symlink => 2,
        _ if item.link_to.is_some() => 2,
        _ => 1,
    };
    items.sort_by_key(place);
    let links = items.split_off(items.partition_point(|item| place(item) < 2));
    let files = items.split_off(items.partition_point(|item| place(item) < 1));
    items.shrink_to_fit();
    let folders = items;
    let mut batches =
        Batches { target, files: Arc::new(snapshot), cancel: &session.cancel, events: &*session.screen, progress };
    session.screen.event(&Event::Phase(Phase::Recovering));
    let mut errors = Vec::new();
    for items in [folders.clone(), files, links] {
        let note = |restored| errors.extend(report.count(restored).err().as_ref().map(finding));
        if !batches.restore(items, note).await {
            let hint = "repeat the call: what stands there already is not written again";
            report.findings.extend(shortened(errors));
            report.findings.push(Finding::error(Cause::Interrupted, "interrupted").hint(hint));
            return;
        }
    }
    errors.extend(target.settle(folders).await.into_iter().filter_map(|settled| Some(finding(&settled.err()?))));
    report.findings.extend(shortened(errors));
}

fn finding(error: &RecoveryError) -> Finding {
    let (cause, hint) = match error {
        RecoveryError::Read(_) | RecoveryError::Hash(_) => {
            (Cause::ArchiveDamaged, "the other entries are not touched by it; another snapshot may have this one whole")
        }
        RecoveryError::Escape { .. } | RecoveryError::Failed { .. } => {
            (Cause::Recovery, "repeat the call once the reason is gone: what stands there already is not written again")
        }
    };
    Finding::error(cause, chain(error)).hint(hint)
}

#[cfg(test)]
mod tests {
    use backup_core::memory::{World, block_on};

    use super::*;

    #[test]
    fn names_are_judged_before_a_restore_on_windows() {
        let root = SitePath::parse("/out").expect("absolute");
        let item = |path: &str| {
            let path = RelPath::parse(path).expect("a plain path");
            let record = FileRecord::new(RecordKind::File, path.clone());
            RestoreItem { root: root.clone(), path, record, link_to: None }
        };
        let items = ["a/Con.txt", "dot.", "a:b", "Same", "same", "fine"].map(item);
        let judged = |items: &[RestoreItem], on_windows| {
            let target = World::new().ports().recovery_target;
            let findings = block_on(judge(&*target, items, false, on_windows));
            findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
        };
        let refused = judged(&items, true);
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        assert_eq!(
            refused,
            [
                "`/out/a/Con.txt` holds a name that Windows does not allow",
                "`/out/dot.` holds a name that Windows does not allow",
                "`/out/a:b` holds a name that Windows does not allow",
                "`/out/same` and `/out/Same` are one file on Windows",
            ]
        );
        assert_eq!(judged(&items[4..], true), [""; 0], "other paths alone are restored");
        assert_eq!(judged(&items, false), [""; 0], "elsewhere they are names like any other");
    }
}
