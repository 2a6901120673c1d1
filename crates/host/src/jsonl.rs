//! Append-only files of JSON lines: durable, tolerant of a torn end, rolled over into one older file.
//!
//! Knows nothing of what a line means. Every append and read holds the file's own lock for its short time, so that two processes of
//! this program neither mix their lines nor lose a file by rolling it over twice.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// One such file, and the older one beside it: `x.jsonl` and `x.1.jsonl`.
#[derive(Debug, Clone)]
pub(crate) struct JsonLines {
    path: PathBuf,
}

impl JsonLines {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Adds a line; it is on the disk when this returns. A file longer than `roll_at` becomes the older file first.
    ///
    /// After an error the line may be there or not, whole or torn; the next append starts a line of its own in any case.
    pub(crate) fn append(&self, record: &impl Serialize, roll_at: Option<u64>) -> io::Result<()> {
        create_folder(self.folder())?;
        let mut file = self.open_locked()?;
        if roll_at.is_some_and(|limit| file.metadata().is_ok_and(|facts| facts.len() > limit)) {
            self.rename_to_older()?;
            file = self.open_locked()?;
        }
        let is_new = file.metadata()?.len() == 0;
        let mut line = if ends_torn(&mut file)? { b"\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut line, record)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()?;
        // An empty file may have been created by a process that died before it synced the folder.
        if is_new { sync_folder(self.folder()) } else { Ok(()) }
    }

    /// All records of both files, oldest first.
    ///
    /// A line that is no JSON was torn by a crash and is left out. One that is JSON but no record was written by another version:
    /// that is an error, for leaving it out could hide something that must be repaired.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> io::Result<Vec<T>> {
        let current = self.open_shared()?;
        let mut records = Vec::new();
        if let Some(older) = none_if_missing(File::open(self.older()))? {
            read_records(older, &self.older(), &mut records)?;
        }
        if let Some(current) = current {
            read_records(current, &self.path, &mut records)?;
        }
        Ok(records)
    }

    /// Makes the file the older one when it is longer than `limit`. The caller says when that is safe.
    pub(crate) fn roll_over(&self, limit: u64) -> io::Result<()> {
        if self.len()? <= limit {
            return Ok(());
        }
        let _locked = self.open_locked()?;
        self.rename_to_older()
    }

    /// The file's length; 0 when there is none.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(none_if_missing(fs::metadata(&self.path))?.map_or(0, |facts| facts.len()))
    }

    fn rename_to_older(&self) -> io::Result<()> {
        fs::rename(&self.path, self.older())?;
        sync_folder(self.folder())
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn open_locked(&self) -> io::Result<File> {
        loop {
            let file = private_options().read(true).append(true).create(true).open(&self.path)?;
            file.lock()?;
            if is_still_at(&file, &self.path)? {
                return Ok(file);
            }
        }
    }

    fn open_shared(&self) -> io::Result<Option<File>> {
        loop {
            let Some(file) = none_if_missing(File::open(&self.path))? else { return Ok(None) };
            file.lock_shared()?;
            if is_still_at(&file, &self.path)? {
                return Ok(Some(file));
            }
        }
    }
}

fn read_records<T: DeserializeOwned>(mut file: File, path: &Path, records: &mut Vec<T>) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(error) if is_json(line) => {
                let text = format!("line {} of `{}` is not of this version: {error}", number + 1, path.display());
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            Err(_torn) => {}
        }
    }
    Ok(())
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

fn ends_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Creates a folder and those above it, for their owner only; each is on the disk when this returns.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(parent)?;
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes are a Unix matter"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => {
            made?;
            #[cfg(windows)]
            close_to_others(folder)?;
        }
    }
    sync_folder(parent)
}

/// What is made in the folder later is closed with it.
#[cfg(windows)]
fn close_to_others(folder: &Path) -> io::Result<()> {
    use crate::os::fs::{Mode, OFlags, close_to_others, open};
    let folder = std::path::absolute(folder)?;
    Ok(close_to_others(open(&folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, true)?)
}

/// Options under which a new file belongs to its owner only.
pub(crate) fn private_options() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes are a Unix matter"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// `None` for what does not exist.
pub(crate) fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows cannot sync a folder; NTFS keeps the order of its own changes.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether `path` still names `file`, which may have been renamed while we waited for its lock.
pub(crate) fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    Ok(none_if_missing(crate::os::is_named(file, path))? == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> (tempfile::TempDir, JsonLines) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let lines = JsonLines::new(folder.path().join("state/deep/x.jsonl"));
        (folder, lines)
    }

    fn add_bytes(lines: &JsonLines, bytes: &[u8]) {
        let mut file = OpenOptions::new().append(true).open(&lines.path).expect("the file exists");
        file.write_all(bytes).expect("the test's bytes are written");
    }

    #[test]
    fn what_was_appended_is_read() {
        let (_folder, lines) = lines();
        assert_eq!(lines.read::<u32>().expect("no file is no records"), Vec::<u32>::new());
        for n in 0..3u32 {
            lines.append(&n, None).expect("appended");
        }
        assert_eq!(lines.read::<u32>().expect("read"), [0, 1, 2]);
    }

    #[test]
    fn a_torn_line_is_left_out_and_never_glued_to_the_next() {
        for torn in [&b"{\"n\":"[..], b"\"half", b"\0\0\0", b"\"\xe2\x82"] {
            let (_folder, lines) = lines();
            lines.append(&"before", None).expect("appended");
            add_bytes(&lines, torn);
            assert_eq!(lines.read::<String>().expect("read"), ["before"], "{torn:?}");
            lines.append(&"after", None).expect("appended");
            assert_eq!(lines.read::<String>().expect("read"), ["before", "after"], "{torn:?}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_an_error() {
        let (_folder, lines) = lines();
        lines.append(&"text", None).expect("appended");
        let error = lines.read::<u32>().expect_err("a text is not a number");
        assert!(error.to_string().contains("line 1 of"), "{error}");
    }

    #[test]
    fn one_older_file_is_kept() {
        let (_folder, lines) = lines();
        for n in 0..10u32 {
            lines.append(&n, Some(3)).expect("appended");
        }
        // Two bytes a line: the third append finds 4 bytes, which is over the limit.
        assert_eq!(lines.read::<u32>().expect("read"), [6, 7, 8, 9]);
    }

    #[test]
    fn many_writers_neither_mix_nor_lose_lines() {
        let (_folder, lines) = lines();
        std::thread::scope(|scope| {
            for writer in 0..4u32 {
                let lines = &lines;
                scope.spawn(move || {
                    for n in 0..25u32 {
                        lines.append(&(writer * 100 + n), Some(150)).expect("appended");
                    }
                });
            }
        });
        let kept = lines.read::<u32>().expect("read");
        assert!(kept.len() >= 30, "{} lines of at most 5 bytes fill more than 150 bytes", kept.len());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, lines) = lines();
        lines.append(&1, None).expect("appended");
        let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!((mode(&lines.path), mode(lines.folder())), (0o600, 0o700));
    }
}
