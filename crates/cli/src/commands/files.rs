//! `files`: what is in a snapshot.

use std::fmt::Write as _;
use std::sync::Arc;

use backup_core::manifest::{FileRecord, RecordKind, to_hex};
use backup_core::ports::Ports;
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::verify::read_snapshot;
use serde_json::{Value, json};

use super::{Session, open};
use crate::args::FilesArgs;
use crate::error::CommandError;
use crate::output::{Answer, human};
use crate::ports;
use crate::site::Site;

pub(super) async fn run(session: &Session, args: &FilesArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    list(&ports::wire(&site, Arc::clone(&session.screen) as _), args).await
}

pub(super) async fn list(ports: &Ports, args: &FilesArgs) -> Result<Answer, CommandError> {
    let chosen = open(ports, args.id.as_deref()).await?;
    let (_, records) = read_snapshot(chosen.files.as_ref()).await?;
    let values: Vec<Value> = records.iter().map(value).collect();
    let mut answer = match args.b3sum {
        true => sums(&records),
        false => Answer::new(text(&records), Value::Null),
    };
    answer.result = json!({ "files": values });
    Ok(answer.with(chosen.findings))
}

pub(super) fn value(record: &FileRecord) -> Value {
    let mut value =
        json!({ "kind": record.kind, "path": record.path.to_string(), "bytes": record.size, "hash": record.hash });
    if record.path.as_str().is_none() {
        value["path_hex"] = json!(to_hex(record.path.as_bytes()));
    }
    value
}

pub(super) fn text(records: &[FileRecord]) -> String {
    let row = |record: &FileRecord| {
        let kind = match record.kind {
            RecordKind::File => "file",
            RecordKind::HardLink => "hard link",
            RecordKind::Directory => "folder",
            RecordKind::Symlink => "link",
            RecordKind::Database => "database",
            RecordKind::Registry => "registry",
            RecordKind::Made => "made",
        };
        format!("{kind:9} {:>10}  {}\n", human::bytes(record.size), human::path(&record.path))
    };
    records.iter().map(row).collect()
}

/// Lines for `b3sum --check`, to be run in the snapshot folder. It reads Unicode names only.
fn sums(records: &[FileRecord]) -> Answer {
    let mut text = String::new();
    let mut left_out = 0;
    for record in records {
        let Some(hash) = record.hash else { continue };
        match record.path.as_str().filter(|path| !path.contains(['\\', '\n'])) {
            // Writing to a String cannot fail.
            Some(path) => _ = writeln!(text, "{hash}  {path}"),
            None => left_out += 1,
        }
    }
    let message =
        format!("{left_out} files have names that b3sum does not read: `sitebackup verify --read-data` checks them");
    let finding = (left_out > 0).then(|| Finding::new(Gravity::Note, Cause::Snapshot, message));
    Answer::new(text, Value::Null).with(finding)
}
