//! Files, destination, recovery and shadow copies of this machine.

mod troubled;
#[cfg(unix)]
pub(super) mod unix;
#[cfg(windows)]
mod vss_stand_in;
#[cfg(windows)]
pub(super) mod windows;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use archive::crypto::ReadKey;
use archive::storage::Storage;
use archive::storage::local::LocalStorage;
use archive::{ArchiveError, Key, Repository, RepositoryArchive};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::archive::{SnapshotArchive, SnapshotArchiveError};
use backup_core::ports::destination::{Destination, StoredSnapshot};
use backup_core::ports::recovery_target::RecoveryTarget;
use backup_core::ports::restores::{RestoreWriter, Restores};
use backup_core::ports::shadow_copies::ShadowCopies;
use backup_core::ports::site_files::SiteFiles;
use backup_core::snapshot::RunId;
use host::destination::LocalDestination;
use host::files::LocalSiteFiles;
use host::machine::SystemClock;
use host::recovery::LocalRecoveryTarget;
use tempfile::TempDir;
use tests::conformance::archive::ArchiveBench;
use tests::conformance::destination::DestinationBench;
use tests::conformance::recovery_target::RecoveryBench;
use tests::conformance::restores::RestoresBench;
use tests::conformance::shadow_copies::{End, ShadowCopiesBench, Trouble};
use tests::conformance::{Models, SITE, SiteBench};
use vss::{InProcessCoordinator, InProcessRestores, PreCopy, Provider};

#[cfg(unix)]
pub(super) use self::unix as machine;
#[cfg(windows)]
pub(super) use self::windows as machine;

pub(super) use machine::{site_path, system_path};

/// What a foreign folder holds.
const FOREIGN: &[u8] = b"the product's own";

/// A scratch folder with a site and a destination in it.
#[derive(Debug)]
pub(super) struct Local {
    folder: PathBuf,
    _scratch: TempDir,
    provider: Arc<dyn Provider>,
    archive_key: ReadKey,
    /// The lock of a program that makes a set.
    another_program: Mutex<Option<fs::File>>,
    /// Who stands in for the system's shadow copies and its writers, where these take part.
    #[cfg(windows)]
    vss: Option<vss_stand_in::StandIn>,
    /// What the folder lies on, where that is a file system of its own; dropped after it.
    #[cfg(all(target_os = "linux", feature = "servers"))]
    _volume: Option<tests::volume::Volume>,
}

impl Local {
    pub(super) fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        Self::at(scratch.path().to_owned(), scratch)
    }

    /// On an XFS, whose files are cloned.
    #[cfg(all(target_os = "linux", feature = "servers"))]
    pub(super) fn cloned() -> Self {
        let volume = tests::volume::Volume::xfs();
        let provider = Arc::new(vss::Reflink::new(&site_path(&volume.path().join("work"))));
        let scratch = TempDir::new_in(volume.path()).expect("a scratch folder");
        Self { provider, _volume: Some(volume), ..Self::at(scratch.path().to_owned(), scratch) }
    }

    fn at(folder: PathBuf, scratch: TempDir) -> Self {
        let local = Self {
            folder,
            _scratch: scratch,
            provider: Arc::new(PreCopy),
            archive_key: ReadKey::generate(),
            another_program: Mutex::default(),
            #[cfg(windows)]
            vss: None,
            #[cfg(all(target_os = "linux", feature = "servers"))]
            _volume: None,
        };
        fs::create_dir_all(local.site()).expect("made");
        fs::create_dir(local.backup()).expect("made");
        local
    }

    fn site(&self) -> PathBuf {
        self.folder.join("site")
    }

    fn backup(&self) -> PathBuf {
        self.folder.join("backup")
    }

    /// The repository, made at the first call.
    fn repository(&self) -> Repository {
        let folder = self.folder.join("archive");
        fs::create_dir_all(&folder).expect("made");
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(folder).expect("opened"));
        match Repository::open(Arc::clone(&storage), Key::Read(self.archive_key.clone())) {
            Err(ArchiveError::NoRepository) => Repository::create(storage, &self.archive_key).expect("made"),
            opened => opened.expect("opened"),
        }
    }

    fn archive_with(&self, key: Key) -> Arc<dyn SnapshotArchive> {
        drop(self.repository());
        let folder = self.folder.join("archive");
        let open = move || {
            let storage = LocalStorage::open(folder.clone()).map_err(ArchiveError::from)?;
            Repository::open(Arc::new(storage), key.clone()).map_err(SnapshotArchiveError::from)
        };
        Arc::new(RepositoryArchive::new(open, Arc::new(LocalSiteFiles::new()), "conformance".to_owned()))
    }

    /// Where an entry of the site goes; the folders above it are made.
    fn place(&self, path: &RelPath) -> PathBuf {
        let place = system_path(&self.root().join(path));
        fs::create_dir_all(place.parent().expect("below the site")).expect("made");
        place
    }
}

impl SiteBench for Local {
    fn files(&self) -> Arc<dyn SiteFiles> {
        Arc::new(LocalSiteFiles::new())
    }

    fn root(&self) -> SitePath {
        site_path(&self.site())
    }

    fn put_file(&self, path: &RelPath, content: &[u8]) {
        fs::write(self.place(path), content).expect("written");
    }

    fn put_folder(&self, path: &RelPath) {
        fs::create_dir_all(self.place(path)).expect("made");
    }

    fn put_symlink(&self, path: &RelPath, target: &[u8]) -> bool {
        machine::symlink(target, &self.place(path))
    }

    fn put_hard_link(&self, path: &RelPath, first: &RelPath) {
        fs::hard_link(self.place(first), self.place(path)).expect("linked");
    }

    fn put_special(&self, path: &RelPath) -> bool {
        machine::special(&self.place(path))
    }

    fn put_sparse(&self, path: &RelPath, size: u64, data_at: u64) -> bool {
        let file = fs::File::create(self.place(path)).expect("made");
        file.set_len(size).expect("extended");
        machine::write_at(&file, b"x", data_at);
        machine::keeps_holes(&file)
    }

    fn put_attribute(&self, path: &RelPath, name: &str, value: &[u8]) -> bool {
        machine::set_attribute(&self.place(path), name, value)
    }

    fn models(&self) -> Models {
        let probe = self.folder.join("probe");
        let symlinks = machine::symlink(b"nowhere", &probe) && fs::remove_file(&probe).is_ok();
        let modes = cfg!(unix);
        Models { metadata: true, modes, symlinks, hard_links: true, patterns: true, snapshot_logs: true }
    }
}

impl DestinationBench for Local {
    fn destination(&self) -> Arc<dyn Destination> {
        Arc::new(LocalDestination::new(site_path(&self.backup()), SITE.parse().expect("a site code")))
    }

    fn put_foreign(&self, name: &str) {
        fs::create_dir(self.backup().join(name)).expect("made");
        fs::write(self.backup().join(name).join("file"), FOREIGN).expect("written");
    }

    fn is_untouched(&self, name: &str) -> bool {
        let folder = self.backup().join(name);
        fs::read_dir(&folder).is_ok_and(|entries| entries.count() == 1)
            && fs::read(folder.join("file")).is_ok_and(|content| content == FOREIGN)
    }

    fn log(&self, snapshot: Option<&StoredSnapshot>) -> Option<Vec<u8>> {
        let folder = snapshot.map_or_else(|| self.backup(), |snapshot| system_path(&snapshot.folder));
        fs::read(folder.join("smsbkup.log")).ok()
    }

    fn plant_link(&self, folder: &SitePath, name: &str, target: &str) -> bool {
        machine::symlink(target.as_bytes(), &system_path(folder).join(name))
    }

    fn rename(&self, folder: &SitePath, name: &str) -> bool {
        fs::rename(system_path(folder), self.backup().join(name)).expect("renamed");
        true
    }

    fn damage(&self, folder: &SitePath, _run: RunId) -> bool {
        fs::write(system_path(folder).join("sitebackup.json"), "{").expect("written");
        true
    }

    fn fill(&self) -> bool {
        false
    }
}

impl ArchiveBench for Local {
    fn archive(&self) -> Arc<dyn SnapshotArchive> {
        self.archive_with(Key::Read(self.archive_key.clone()))
    }

    fn writer(&self) -> Arc<dyn SnapshotArchive> {
        self.archive_with(Key::Write(self.archive_key.write_key()))
    }

    fn pin(&self, id: &str) {
        self.repository().pin(id).expect("pinned");
    }

    fn spoil(&self, snapshot: &StoredSnapshot) {
        fs::write(system_path(&snapshot.folder).join("a.txt"), "###").expect("written");
    }
}

impl RecoveryBench for Local {
    fn target(&self) -> Arc<dyn RecoveryTarget> {
        Arc::new(LocalRecoveryTarget::new())
    }
}

impl RestoresBench for Local {
    fn restores(&self) -> Arc<dyn Restores> {
        Arc::new(InProcessRestores)
    }

    fn keeps_limits(&self) -> bool {
        true
    }

    fn outlives_panics(&self) -> bool {
        true
    }

    fn of_system(&self, fails_at: Option<&'static str>) -> Option<Arc<dyn RestoreWriter>> {
        #[cfg(windows)]
        return self.vss.as_ref().map(|vss| vss.restore_writer(fails_at));
        #[cfg(not(windows))]
        fails_at.and(None)
    }

    fn heard_by_system(&self) -> Option<Vec<String>> {
        #[cfg(windows)]
        return self.vss.as_ref().map(|vss| vss.heard_of_restore());
        #[cfg(not(windows))]
        None
    }
}

impl Local {
    fn coordinator(&self, provider: Arc<dyn Provider>) -> InProcessCoordinator {
        InProcessCoordinator::new(Arc::new(SystemClock), provider).one_on_machine(self.folder.join("session.lock"))
    }
}

impl ShadowCopiesBench for Local {
    fn shadow_copies(&self) -> Arc<dyn ShadowCopies> {
        Arc::new(self.coordinator(Arc::clone(&self.provider)))
    }

    fn keeps_limits(&self) -> bool {
        true
    }

    fn outlives_panics(&self) -> bool {
        true
    }

    fn in_trouble(&self, trouble: Trouble) -> Option<Arc<dyn ShadowCopies>> {
        #[cfg(windows)]
        if let Some(vss) = &self.vss {
            return Some(Arc::new(self.coordinator(vss.in_trouble(trouble))));
        }
        match trouble {
            Trouble::AnotherProgram => {
                let lock = fs::File::create(self.folder.join("session.lock")).expect("made");
                lock.lock().expect("nobody else has it");
                *self.another_program.lock().expect("no panic") = Some(lock);
                Some(self.shadow_copies())
            }
            Trouble::Writer(_) => None,
            at_the_image => {
                let provider = troubled::Troubled::new(Arc::clone(&self.provider), at_the_image);
                Some(Arc::new(self.coordinator(Arc::new(provider))))
            }
        }
    }

    fn end_for_system(&self) -> Option<End> {
        #[cfg(windows)]
        return self.vss.as_ref().map(|vss| vss.end());
        #[cfg(not(windows))]
        None
    }
}
