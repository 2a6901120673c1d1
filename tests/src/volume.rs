//! A file system of its own, in a file that is mounted, or in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system; it goes with all that is in it when it is dropped.
#[derive(Debug)]
pub struct Volume {
    scratch: TempDir,
    file_system: FileSystem,
}

/// What is on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Images its subvolumes.
    Btrfs,
    /// Clones files.
    Xfs,
    /// Neither.
    Ext4,
    /// Lies in memory, and keeps no extended attributes.
    Ramfs,
}

impl Volume {
    /// An empty btrfs of 600 MB.
    ///
    /// # Panics
    /// When it cannot be made: root may, where `mkfs.btrfs` and loop devices are.
    pub fn btrfs() -> Self {
        Self::made_by(FileSystem::Btrfs, 600, Command::new("mkfs.btrfs").arg("-q"), "apt-get install btrfs-progs")
    }

    /// An empty XFS of 600 MB, which clones files.
    ///
    /// # Panics
    /// When it cannot be made: root may, where `mkfs.xfs` and loop devices are.
    pub fn xfs() -> Self {
        Self::made_by(
            FileSystem::Xfs,
            600,
            Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]),
            "apt-get install xfsprogs",
        )
    }

    /// An empty ext4 of 120 MB, to be filled up.
    ///
    /// # Panics
    /// When it cannot be made: root may, where `mkfs.ext4` and loop devices are.
    pub fn ext4() -> Self {
        let mut program = Command::new("mkfs.ext4");
        Self::made_by(FileSystem::Ext4, 120, program.args(["-q", "-m", "0"]), "apt-get install e2fsprogs")
    }

    /// An empty file system in memory that keeps no extended attributes.
    ///
    /// # Panics
    /// When it cannot be made: root may.
    pub fn ramfs() -> Self {
        let volume = Self { scratch: tempfile::tempdir().expect("a scratch folder"), file_system: FileSystem::Ramfs };
        std::fs::create_dir(volume.path()).expect("a folder");
        run(Command::new("mount").args(["-t", "ramfs", "none"]).arg(volume.path()), "run the suites as root");
        volume
    }

    fn made_by(file_system: FileSystem, megabytes: u64, program: &mut Command, remedy: &str) -> Self {
        let volume = Self { scratch: tempfile::tempdir().expect("a scratch folder"), file_system };
        let file = std::fs::File::create(volume.file()).expect("a file");
        file.set_len(megabytes << 20).expect("a sparse file");
        std::fs::create_dir(volume.path()).expect("a folder");
        run(program.arg(volume.file()), remedy);
        run(Command::new("mount").args(["-o", "loop"]).arg(volume.file()).arg(volume.path()), "run the suites as root");
        volume
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.scratch.path().join("mounted")
    }

    /// What is on it.
    pub fn file_system(&self) -> FileSystem {
        self.file_system
    }

    fn file(&self) -> PathBuf {
        self.scratch.path().join("volume")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a process of a test that failed may still be there, and the folder must not be emptied through the mount.
        let gone = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(gone.is_ok_and(|status| status.success()) || std::thread::panicking(), "the volume stays mounted");
    }
}

/// A new subvolume of btrfs.
///
/// # Panics
/// When it cannot be made.
pub fn subvolume(path: &Path) {
    run(Command::new("btrfs").args(["subvolume", "create"]).arg(path), "apt-get install btrfs-progs");
}

fn run(command: &mut Command, remedy: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {remedy}"));
    assert!(output.status.success(), "{command:?}: {}; {remedy}", String::from_utf8_lossy(&output.stderr));
}
