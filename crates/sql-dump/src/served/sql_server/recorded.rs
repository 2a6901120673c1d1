//! The files of a backed-up database as facts of its backup: `backup-file-data-CM_P01` = `E:\CM_P01.mdf`.
//!
//! They tell beforehand where a recovery puts them, when the backup is in the snapshot and no server has read it yet.

use super::LEARNED;
use crate::sqlserver::{BackupFile, FileKind};

const KINDS: [(FileKind, &str); 4] =
    [(FileKind::Data, "data"), (FileKind::Log, "log"), (FileKind::Stream, "stream"), (FileKind::FullText, "full_text")];

pub(super) fn to_fact(file: &BackupFile) -> (String, String) {
    let (_, kind) = KINDS.iter().find(|(kind, _)| *kind == file.kind).expect("all kinds are listed");
    (format!("{LEARNED}file-{kind}-{}", file.logical), file.path.clone())
}

/// The files among the facts; none in a snapshot of before they were recorded.
pub(super) fn from_facts(facts: &[(String, String)]) -> Vec<BackupFile> {
    let file = |(fact, path): &(String, String)| {
        let (kind, logical) = fact.strip_prefix(LEARNED)?.strip_prefix("file-")?.split_once('-')?;
        let (kind, _) = KINDS.iter().find(|(_, name)| *name == kind)?;
        Some(BackupFile { logical: logical.to_owned(), path: path.clone(), kind: *kind, size: 0 })
    };
    facts.iter().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_from_their_facts() {
        let file = |logical: &str, kind| BackupFile {
            logical: logical.to_owned(),
            path: format!(r"E:\{logical}-x"),
            kind,
            size: 0,
        };
        let files = [
            file("CM_P01", FileKind::Data),
            file("CM-P01 log", FileKind::Log),
            file("", FileKind::Stream),
            file("Größe = 🦀", FileKind::FullText),
        ];
        let mut facts: Vec<_> = files.iter().map(to_fact).collect();
        assert_eq!(facts[1], ("backup-file-log-CM-P01 log".to_owned(), r"E:\CM-P01 log-x".to_owned()));
        facts.extend([("backup-set", "1"), ("backup-file-tape-x", "2")].map(|(f, v)| (f.to_owned(), v.to_owned())));
        assert_eq!(from_facts(&facts), files);
    }
}
