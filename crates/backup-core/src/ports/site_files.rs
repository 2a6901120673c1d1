//! The live files of the site, or an image of them: walked, and read with all their metadata.

use std::fmt::{self, Debug};
use std::ops::Range;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Source;
use crate::path::{RelPath, SitePath};

/// A moment as a file system keeps it: seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct FileTime(pub i64, pub u32);

/// In nanoseconds, the steps below a second in which file systems keep times: 100 ns (NTFS), 1 us (UDF), 1 ms (shares), 10 ms (exFAT).
const STEPS: [u32; 5] = [1, 100, 1_000, 1_000_000, 10_000_000];
/// Every file system keeps the times from here on: FAT begins with 1980 in local time, which is a day later at the latest.
const FIRST_SECOND: i64 = 315_532_800 + 24 * 60 * 60;
/// Every file system keeps the times up to here: where they are numbers of 32 bits, they end in 2038.
const LAST_SECOND: i64 = i32::MAX as i64;

impl FileTime {
    /// Whether this is `time` as a file system keeps it, whose steps may be coarser (up to the 2 s of FAT) and whose years may be fewer.
    pub fn is_kept(self, time: FileTime) -> bool {
        let to_step = |step: &u32| self == FileTime(time.0, time.1 / step * step);
        let to_second = match time.0.checked_sub(self.0) {
            Some(seconds) => self.1 == 0 && (seconds == 0 || (seconds == 1 && self.0 % 2 == 0)),
            None => false,
        };
        STEPS.iter().any(to_step) || to_second || self.is_nearest(time)
    }

    /// Whether this may be the first or the last moment of a file system that cannot say `time`. Which one it is depends on the file
    /// system; what matters is that no time of today is taken for it.
    fn is_nearest(self, time: FileTime) -> bool {
        let first = time < self && self.0 <= FIRST_SECOND;
        let last = self < time && self.0 >= LAST_SECOND;
        self.1 == 0 && (first || last)
    }
}

/// What tells one file from another on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct FileId {
    /// The volume.
    pub device: u64,
    /// The file on it.
    pub inode: u64,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link with its target as it is written.
    Symlink(Vec<u8>),
    /// A pipe, a socket or a device: it has no content to back up.
    Special,
}

/// The metadata of one entry, without extended attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: FileTime,
    /// Last change of content or metadata, which no program can set; zero where the platform has none.
    pub changed: FileTime,
    /// Which file it is.
    pub id: FileId,
    /// How many names it has.
    pub links: u64,
    /// Permission bits.
    pub mode: u32,
    /// The owner's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
}

impl FileStat {
    /// Whether nothing tells this file from `earlier`: same file, size and times.
    pub fn looks_like(&self, earlier: &FileStat) -> bool {
        self == earlier
    }
}

/// An entry of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkEntry {
    /// Where it lies below the walk's root; the root itself is the empty path.
    pub path: RelPath,
    /// What it is.
    pub stat: FileStat,
}

/// Extended attributes: names with their values.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// A file that could not be read, or changed while it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// Which one.
    pub path: SitePath,
    /// What happened, with its causes.
    pub message: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = format!("`{}`", self.path);
        // The port's own errors name the path themselves.
        if self.message.contains(&path) { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

/// What a walk found: entries sorted by path, each folder before its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Walk {
    /// The entries.
    pub entries: Vec<WalkEntry>,
    /// Entries that could not be examined, and folders that could not be listed.
    pub problems: Vec<FileProblem>,
}

/// A file or folder to back up, and what of it to leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// A file or a folder; a folder with all below it, symbolic links not followed.
    pub root: SitePath,
    /// Patterns such as `**/*.tmp`, matched against the path below the root.
    pub exclude: Vec<String>,
    /// Paths left out, with all below them; what is a file there while the walk goes on is left out under its other names too, for a
    /// database's files are opened by its adapter alone.
    pub skip: Vec<SitePath>,
}

/// Why the site's files could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteFilesError {
    /// The path does not exist.
    #[error("`{0}` does not exist")]
    Missing(SitePath),
    /// A pattern is not one.
    #[error("`{pattern}` is not a pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: Source,
    },
    /// Two places cannot share content: they lie on two file systems, or on one that has no clones.
    #[error("`{from}` cannot be cloned to `{to}`")]
    Apart {
        /// The file.
        from: SitePath,
        /// The place of the clone.
        to: SitePath,
        /// The system's reason.
        source: Source,
    },
    /// The system refused.
    #[error("failed to {action} `{path}`")]
    Failed {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On which path.
        path: SitePath,
        /// The reason.
        source: Source,
    },
}

/// A file open for reading. Its calls block: they are made on an adapter's own threads.
pub trait OpenFile: Debug + Send {
    /// The metadata of the open file, now.
    fn stat(&self) -> Result<FileStat, SiteFilesError>;
    /// Fills `buffer` from `offset`; returns less only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError>;
    /// The next range at or after `offset` that holds data; `None` when only a hole or nothing follows.
    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, SiteFilesError>;
}

/// A file, and where a clone of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneOf {
    /// The file.
    pub from: SitePath,
    /// The place of the clone, whose folders are made.
    pub to: SitePath,
}

/// Walks and reads files. Changes nothing but access times.
#[async_trait]
pub trait SiteFiles: Debug + Send + Sync {
    /// Writes back what is in memory of the file systems that hold `roots`, so that a later store through a mapping
    /// shows in the files' times.
    async fn sync(&self, roots: &[SitePath]) -> Result<(), SiteFilesError>;
    /// Lists the root and all below it. An entry that cannot be examined is a problem of the walk, not an error.
    async fn walk(&self, source: &FileSource) -> Result<Walk, SiteFilesError>;
    /// Opens a regular file; refuses a symbolic link. Blocks.
    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError>;
    /// The extended attributes of an entry, by name; empty where there are none. Does not follow a link. Blocks.
    fn attributes(&self, path: &SitePath) -> Result<Attributes, SiteFilesError>;
    /// Makes clones: files of their own with the content, the time of its last change and the extended attributes that others have now, whose
    /// content takes no room and no time. One that is there is replaced. Each has a result, in their order; after an error nothing counts that is at the place.
    async fn clone_all(&self, clones: Vec<CloneOf>) -> Vec<Result<(), SiteFilesError>> {
        let apart =
            |CloneOf { from, to }| SiteFilesError::Apart { from, to, source: "this system has no clones".into() };
        clones.into_iter().map(|clone| Err(apart(clone))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::FileTime;

    #[test]
    fn a_time_is_kept_as_its_file_system_can() {
        let time = FileTime(1_700_000_001, 123_456_789);
        let kept = |seconds, nanoseconds| FileTime(seconds, nanoseconds).is_kept(time);
        assert!(kept(1_700_000_001, 123_456_789) && kept(1_700_000_001, 123_456_700));
        assert!(kept(1_700_000_001, 0) && kept(1_700_000_000, 0));
        assert!(!kept(1_700_000_001, 123_456_788) && !kept(1_700_000_001, 200_000_000));
        assert!(!kept(1_700_000_002, 0) && !kept(1_699_999_999, 0) && !kept(1_700_000_000, 1));
        assert!(!FileTime(1_700_000_001, 0).is_kept(FileTime(1_700_000_002, 5)), "an odd second is no step of FAT");
    }

    #[test]
    fn each_step_of_a_file_system_is_one() {
        let time = FileTime(1_700_000_001, 123_456_789);
        for step in [1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000] {
            assert!(FileTime(time.0, time.1 / step * step).is_kept(time), "steps of {step} ns");
        }
        assert!(!FileTime(time.0, 100_000_000).is_kept(time), "nobody keeps tenths of a second");
        assert!(!FileTime(time.0, 130_000_000).is_kept(time), "nobody rounds up");
    }

    #[test]
    fn a_time_that_the_file_system_cannot_say_is_kept_as_its_first_or_last_one() {
        let (first_of_fat, last_of_ext3, last_of_fat) = (315_532_800, i64::from(i32::MAX), 4_354_819_198);
        let kept = |stored, time| FileTime(stored, 0).is_kept(FileTime(time, 5));
        assert!(kept(first_of_fat, 0) && kept(i64::from(i32::MIN), -11_644_473_600) && kept(0, i64::MIN));
        assert!(kept(last_of_ext3, 4_000_000_000) && kept(last_of_fat, 5_000_000_000) && kept(last_of_fat, i64::MAX));
        assert!(!kept(first_of_fat, 1_700_000_000) && !kept(last_of_fat, 1_700_000_000), "every one can say this");
        assert!(!kept(1_700_000_000, 0) && !kept(1_700_000_000, 5_000_000_000) && !kept(5_000_000_000, 4_000_000_000));
        assert!(
            !FileTime(i64::MIN, 0).is_kept(FileTime(i64::MAX, 0))
                && !FileTime(i64::MAX, 1).is_kept(FileTime(i64::MIN, 1))
        );
    }
}
