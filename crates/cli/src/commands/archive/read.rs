//! `archive snapshots`, `show`, `files`, `cat`, `diff`: what is in the archive.

use std::cmp::Ordering;
use std::fmt::Write as _;

use archive::{ArchivedSnapshot, Listed, Snapshot};
use backup_core::copy::{BLOCK, chain, read_once};
use backup_core::manifest::{FileRecord, RecordKind, to_hex};
use backup_core::path::RelPath;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::site_files::SiteFilesError;
use backup_core::report::{Cause, Finding};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::open::{OpenRepository, open_repository, short};
use super::path_in_snapshot;
use crate::args::{AccessArgs, ArchiveDiffArgs, ArchiveFileArgs, ArchiveFilesArgs, ArchiveSnapshotArgs};
use crate::commands::{Session, files};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human, stream};

pub(super) fn snapshots(access: &AccessArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let listing = opened.repository.snapshots().map_err(|error| opened.failed(error))?;
    let pins = opened.repository.pins().map_err(|error| opened.failed(error))?;
    let is_pinned = |listed: &Listed| pins.contains(&listed.id);
    let values: Vec<Value> =
        listing.snapshots.iter().map(|listed| value(&listed.id, &listed.snapshot, is_pinned(listed))).collect();
    let damaged: Vec<String> = listing.damaged.iter().map(|error| chain(error)).collect();
    let zone = TimeZone::system();
    let row = |listed: &Listed| {
        let Snapshot { about, entries, bytes, added, .. } = &listed.snapshot;
        let pinned = if is_pinned(listed) { ", pinned" } else { "" };
        let state = if about.good { "good" } else { "weaker than asked for" };
        vec![
            short(&listed.id).to_owned(),
            about.site.clone(),
            human::time(about.moment, &zone),
            human::entries(*entries),
            human::bytes(*bytes),
            format!("{} new", human::bytes(*added)),
            format!("{state}{pinned}"),
        ]
    };
    let rows: Vec<Vec<String>> = listing.snapshots.iter().map(row).collect();
    let text = match rows.is_empty() {
        true => "There is no archived snapshot.\n".to_owned(),
        false => human::table(&rows, &[3, 4, 5], ""),
    };
    let finding = |message: &String| {
        let hint = "the others are not touched; `sitebackup archive forget ID`, with the whole id, removes it: prune does nothing before";
        Finding::error(Cause::ArchiveDamaged, message).hint(hint)
    };
    let exit = if damaged.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    let findings: Vec<Finding> = damaged.iter().map(finding).collect();
    Ok(Answer::new(text, json!({ "snapshots": values, "damaged": damaged })).with(findings).exit(exit))
}

/// A snapshot in the JSON form.
pub(super) fn value(id: &str, snapshot: &Snapshot, pinned: bool) -> Value {
    json!({
        "id": id,
        "short": short(id),
        "site": snapshot.about.site,
        "run": snapshot.about.run,
        "folder": snapshot.about.folder,
        "moment": snapshot.about.moment,
        "stored": snapshot.stored,
        "good": snapshot.about.good,
        "pinned": pinned,
        "entries": snapshot.entries,
        "bytes": snapshot.bytes,
        "added": snapshot.added,
    })
}

pub(super) fn show(access: &AccessArgs, args: &ArchiveSnapshotArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let (Listed { id, snapshot }, doubts) = opened.find(&args.id)?;
    let pinned = opened.repository.pins().map_err(|error| opened.failed(error))?.contains(&id);
    let (about, zone) = (&snapshot.about, TimeZone::system());
    let made = about.run.map_or_else(|| "by another program".to_owned(), |run| format!("by run {run}"));
    let text = human::pairs(&[
        ("snapshot", id.clone()),
        ("site", about.site.clone()),
        ("folder", format!("{}, made {made}", about.folder)),
        ("moment", human::time(about.moment, &zone)),
        ("archived", human::time(snapshot.stored, &zone)),
        ("judged", if about.good { "good".to_owned() } else { "weaker than asked for".to_owned() }),
        ("pinned", if pinned { "yes".to_owned() } else { "no".to_owned() }),
        ("content", format!("{}, {}", human::entries(snapshot.entries), human::bytes(snapshot.bytes))),
        ("new then", human::bytes(snapshot.added)),
    ]);
    Ok(Answer::new(text, json!({ "snapshot": value(&id, &snapshot, pinned) })).with(doubts))
}

pub(super) fn files(access: &AccessArgs, args: &ArchiveFilesArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let (_, snapshot, doubts) = open_snapshot(&opened, &args.id)?;
    let wanted = args.path.as_deref().map(path_in_snapshot).transpose()?.unwrap_or_default();
    let below = |record: &&FileRecord| record.path.strip_prefix(&wanted).is_some();
    let records: Vec<FileRecord> = snapshot.records().filter(below).cloned().collect();
    if records.is_empty() {
        return Err(no_entry(&wanted));
    }
    let values: Vec<Value> = records.iter().map(files::value).collect();
    Ok(Answer::new(files::text(&records), json!({ "files": values })).with(doubts))
}

/// The snapshot that the command line names, and what speaks against it.
pub(super) fn open_snapshot(
    opened: &OpenRepository,
    id: &str,
) -> Result<(Listed, ArchivedSnapshot, Vec<Finding>), CommandError> {
    let (listed, doubts) = opened.find(id)?;
    let snapshot = opened.repository.open_snapshot(&listed).map_err(|error| opened.failed(error))?;
    Ok((listed, snapshot, doubts))
}

pub(super) fn no_entry(path: &RelPath) -> CommandError {
    CommandError::usage(format!("`{path}` is not in the snapshot")).hint("`sitebackup archive files ID` lists what is")
}

pub(super) fn cat(session: &Session, access: &AccessArgs, args: &ArchiveFileArgs) -> Result<Answer, CommandError> {
    if session.global.json {
        let message = "`archive cat` writes the file itself and has no JSON form";
        return Err(CommandError::usage(message).hint("leave --json away"));
    }
    let opened = open_repository(access)?;
    let (_, snapshot, doubts) = open_snapshot(&opened, &args.id)?;
    let path = path_in_snapshot(&args.path)?;
    let record = snapshot.records().find(|record| record.path == path).ok_or_else(|| no_entry(&path))?;
    if matches!(record.kind, RecordKind::Directory | RecordKind::Symlink) {
        return Err(CommandError::usage(format!("`{path}` is no file"))
            .hint("`sitebackup archive files ID PATH` lists a folder"));
    }
    let of = record.first.as_ref().unwrap_or(&record.path);
    let hash = snapshot.records().find(|record| record.path == *of).and_then(|record| record.hash);
    let damaged = |source: backup_core::ports::Source| {
        let hint = "what was written is not the file; `sitebackup archive verify --read-data` tells what is damaged";
        CommandError::new(Exit::ARCHIVE_DAMAGED, source).hint(hint)
    };
    let file = snapshot.open(&path).map_err(|error| damaged(error.into()))?;
    let mut buffer = vec![0; BLOCK];
    let mut end = 0;
    let mut is_heard = true;
    // Holes come as nothing at all: they are written as the zeros that they are.
    let mut write = |offset: u64, block: &[u8]| {
        is_heard = is_heard && zeros(offset.saturating_sub(end)) && stream(block);
        end = offset + block.len() as u64;
        Ok::<_, SiteFilesError>(())
    };
    let (size, found) = read_once(&*file, &mut buffer, false, &mut write).map_err(|error| damaged(error.into()))?;
    let at_the_end = size.saturating_sub(end);
    if is_heard {
        zeros(at_the_end);
    }
    if hash.is_some_and(|hash| hash != found) {
        return Err(damaged(format!("`{path}` does not have the content that was archived").into()));
    }
    Ok(Answer::new("", Value::Null).with(doubts))
}

/// Writes so many zeros; returns whether somebody still reads.
fn zeros(mut count: u64) -> bool {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while count > 0 {
        let part = usize::try_from(count).unwrap_or(ZEROS.len()).min(ZEROS.len());
        if !stream(&ZEROS[..part]) {
            return false;
        }
        count -= part as u64;
    }
    true
}

pub(super) fn diff(access: &AccessArgs, args: &ArchiveDiffArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let (_, old, of_old) = open_snapshot(&opened, &args.old)?;
    let (_, new, of_new) = open_snapshot(&opened, &args.new)?;
    let changes = changes(old.records(), new.records());
    let mut text = String::new();
    for (mark, path) in &changes {
        // Writing to a String cannot fail.
        _ = writeln!(text, "{mark} {}", human::path(path));
    }
    let value = |(mark, path): &(char, &RelPath)| {
        let mut value = json!({ "change": word(*mark), "path": path.to_string() });
        if path.as_str().is_none() {
            value["path_hex"] = json!(to_hex(path.as_bytes()));
        }
        value
    };
    let values: Vec<Value> = changes.iter().map(value).collect();
    let exit = if changes.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    Ok(Answer::new(text, json!({ "changes": values })).with(of_old).with(of_new).exit(exit))
}

fn word(mark: char) -> &'static str {
    match mark {
        '+' => "added",
        '-' => "removed",
        'M' => "content",
        _ => "metadata",
    }
}

/// What turns the first snapshot into the second one, by path.
fn changes<'a>(
    old: impl Iterator<Item = &'a FileRecord>,
    new: impl Iterator<Item = &'a FileRecord>,
) -> Vec<(char, &'a RelPath)> {
    let sorted = |records: Vec<&'a FileRecord>| {
        let mut records = records;
        records.sort_by(|a, b| a.path.cmp(&b.path));
        records
    };
    let (old, new) = (sorted(old.collect()), sorted(new.collect()));
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.path.cmp(&b.path),
        };
        let a = if order.is_le() { old.next() } else { None };
        let b = if order.is_ge() { new.next() } else { None };
        match (a, b) {
            (Some(a), None) => changes.push(('-', &a.path)),
            (None, Some(b)) => changes.push(('+', &b.path)),
            (Some(a), Some(b)) => changes.extend(change(a, b).map(|mark| (mark, &b.path))),
            (None, None) => {}
        }
    }
}

fn change(a: &FileRecord, b: &FileRecord) -> Option<char> {
    let content =
        |record: &FileRecord| (record.kind, record.size, record.hash, record.target.clone(), record.first.clone());
    let metadata =
        |record: &FileRecord| (record.modified, record.mode, record.owner, record.group, record.attributes.clone());
    match (content(a) == content(b), metadata(a) == metadata(b)) {
        (false, _) => Some('M'),
        (true, false) => Some('m'),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use backup_core::manifest::ContentHash;

    use super::*;

    fn record(path: &str, content: &str, mode: u32) -> FileRecord {
        let path = RelPath::parse(path).expect("a plain path");
        let hash = Some(ContentHash::of(content.as_bytes()));
        FileRecord { size: content.len() as u64, hash, mode, ..FileRecord::new(RecordKind::File, path) }
    }

    #[test]
    fn each_difference_has_its_mark() {
        let old = [record("a", "1", 1), record("b", "1", 1), record("c", "1", 1), record("e", "1", 1)];
        let new = [record("b", "1", 2), record("c", "2", 1), record("d", "1", 1), record("e", "1", 1)];
        let found: String =
            changes(old.iter(), new.iter()).iter().map(|(mark, path)| format!("{mark}{path} ")).collect();
        assert_eq!(found, "-a mb Mc +d ");
    }
}
