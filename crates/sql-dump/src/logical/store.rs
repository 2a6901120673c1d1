//! Where the files of a dump lie: two small traits, and a plain folder.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

/// The file that says that a dump is complete.
pub(crate) const MANIFEST: &str = "manifest.json";

/// A place for the files of a new dump.
pub trait DumpSink: Debug + Send + Sync {
    /// Creates the file at `path`, names separated by `/`. Refuses one that is there. Called by several threads at once.
    fn create(&self, path: &str) -> io::Result<Box<dyn DumpFile>>;
    /// Writes `manifest.json`, the last file, so that it is there whole or not at all, and durable when this returns.
    ///
    /// Every other file has been finished before.
    fn seal(&self, manifest: &[u8]) -> io::Result<()>;
}

/// A file of a dump that is being written.
pub trait DumpFile: Write + Send {
    /// Makes what was written durable. A file that is dropped without it is not part of a dump.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A place where a dump lies.
pub trait DumpSource: Debug + Send + Sync {
    /// Opens the file at `path`, which comes from a manifest and must not lead out of the dump.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>>;
}

/// A dump in a folder of its own.
#[derive(Debug, Clone)]
pub struct FolderDump(PathBuf);

impl FolderDump {
    /// The dump in `folder`. Nothing is looked at yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn path(&self, path: &str) -> io::Result<PathBuf> {
        let below = Path::new(path);
        let plain = below.components().all(|part| matches!(part, Component::Normal(_))) && !path.is_empty();
        let fault = || io::Error::new(io::ErrorKind::InvalidInput, format!("`{path}` leads out of the dump"));
        if plain && !path.contains(['\\', ':', '\0']) { Ok(self.0.join(below)) } else { Err(fault()) }
    }
}

impl DumpSink for FolderDump {
    fn create(&self, path: &str) -> io::Result<Box<dyn DumpFile>> {
        let path = self.path(path)?;
        if let Some(folder) = path.parent() {
            new_folder().create(folder)?;
        }
        Ok(Box::new(new_file().open(path)?))
    }

    fn seal(&self, manifest: &[u8]) -> io::Result<()> {
        let (path, partial) = (self.0.join(MANIFEST), self.0.join(format!(".{MANIFEST}.partial")));
        // One that an attempt left behind may be others' to read.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = new_file().open(&partial)?;
        file.write_all(manifest)?;
        file.sync_all()?;
        for folder in ["data", "schema"] {
            sync_folder(&self.0.join(folder))?;
        }
        fs::rename(&partial, &path)?;
        sync_folder(&self.0)
    }
}

impl DumpSource for FolderDump {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path(path)?)?))
    }
}

impl DumpFile for File {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.sync_all()
    }
}

/// Folders of a dump hold rows in plain text: they are their owner's alone.
fn new_folder() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Creates a file that its owner alone reads.
pub(crate) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A folder's names are durable once it was synced; Windows keeps them without.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) && folder.is_dir() { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_manifest_cannot_lead_out() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let dump = FolderDump::new(folder.path().join("dump"));
        for path in ["../x", "/etc/passwd", "data/../../x", "", "C:\\x", "a\\..\\..\\x", "./x/.."] {
            assert!(dump.open(path).is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput), "{path}");
            assert!(dump.create(path).is_err(), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn everything_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let folder = scratch.path().join("dump");
        let dump = FolderDump::new(&folder);
        dump.create("data/a").and_then(DumpFile::finish).expect("a new file");
        fs::write(folder.join(".manifest.json.partial"), "left behind").expect("it is written");
        dump.seal(b"whole").expect("it is sealed");
        assert_eq!(fs::read(folder.join(MANIFEST)).expect("it is there"), b"whole");
        for (path, mode) in [("", 0o700), ("data", 0o700), ("data/a", 0o600), (MANIFEST, 0o600)] {
            let found = fs::metadata(folder.join(path)).expect("it is there").permissions().mode();
            assert_eq!(found & 0o777, mode, "{path}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_refused() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let dump = FolderDump::new(folder.path());
        dump.create("data/a").and_then(DumpFile::finish).expect("a new file");
        assert!(dump.create("data/a").is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists));
    }
}
