//! The in-memory doubles.

use std::any::Any;
use std::sync::Arc;

use backup_core::memory::{MemoryFile, MemoryRestores, World};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::archive::SnapshotArchive;
use backup_core::ports::clock::Clock;
use backup_core::ports::commands::{CommandEnd, CommandOutcome, Commands};
use backup_core::ports::database::{DatabaseForm, SiteDatabase};
use backup_core::ports::destination::{Destination, StoredSnapshot};
use backup_core::ports::journal::RunJournal;
use backup_core::ports::recovery_target::RecoveryTarget;
use backup_core::ports::registry::{Registry, RegistryKey};
use backup_core::ports::restores::{RestoreWriter, Restores};
use backup_core::ports::services::{ServiceControl, ServiceState};
use backup_core::ports::shadow_copies::ShadowCopies;
use backup_core::ports::site_files::{FileKind, FileTime, SiteFiles};
use backup_core::ports::status_log::StatusLog;
use backup_core::snapshot::RunId;
use jiff::SignedDuration;
use tests::conformance::archive::ArchiveBench;
use tests::conformance::clock::ClockBench;
use tests::conformance::commands::CommandsBench;
use tests::conformance::database::DatabaseBench;
use tests::conformance::destination::DestinationBench;
use tests::conformance::journal::JournalBench;
use tests::conformance::recovery_target::RecoveryBench;
use tests::conformance::registry::RegistryBench;
use tests::conformance::restores::RestoresBench;
use tests::conformance::served_database::ServedBench;
use tests::conformance::services::ServicesBench;
use tests::conformance::shadow_copies::{End, ShadowCopiesBench, Trouble};
use tests::conformance::status_log::StatusLogBench;
use tests::conformance::{Models, SiteBench};

const ROOT: &str = "/bench";
const KEY: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Bench";
const NEIGHBOUR: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Bench2";
const SERVICE: &str = "SMS_SITE_COMPONENT_MANAGER";
const OTHER_SERVICE: &str = "SMS_EXECUTIVE";
const DEPENDENT_SERVICE: &str = "DEPENDENT";

/// A world whose site writes nothing by itself, unless its services are what is tried.
#[derive(Debug)]
pub(super) struct Memory(World);

fn path(text: &str) -> SitePath {
    SitePath::parse(text).expect("absolute")
}

impl Memory {
    pub(super) fn new() -> Self {
        let memory = Self(World::new());
        memory.insert(&path(ROOT), FileKind::Directory, b"");
        let mut state = memory.0.lock();
        state.database = b"0".to_vec();
        for key in [KEY, NEIGHBOUR] {
            state.registry.insert(key.to_lowercase(), key.as_bytes().to_vec());
        }
        drop(state);
        memory
    }

    /// With the database of a server.
    pub(super) fn served() -> Self {
        let memory = Self::new();
        memory.0.lock().database_form = DatabaseForm::Logical;
        memory
    }

    /// The world at rest.
    fn quiet(&self) -> World {
        self.0.lock().services.insert(OTHER_SERVICE.to_owned(), ServiceState::Stopped);
        self.0.clone()
    }

    fn insert(&self, path: &SitePath, kind: FileKind, content: &[u8]) {
        let mut state = self.0.lock();
        state.now += SignedDuration::from_millis(1);
        let next = state.files.values().map(|file| file.inode).max().unwrap_or(0) + 1;
        let inode = state.files.get(path).map_or(next, |file| file.inode);
        let nanoseconds = u32::try_from(state.now.subsec_nanosecond()).expect("after 1970");
        let changed = FileTime(state.now.as_second(), nanoseconds);
        let file = MemoryFile { kind, content: content.to_vec(), changed, inode, unreadable: false };
        state.files.insert(path.clone(), file);
    }

    fn put(&self, place: &RelPath, kind: FileKind, content: &[u8]) {
        let mut above = place.parent();
        while let Some(folder) = above.filter(|folder| !folder.is_root()) {
            let at = path(ROOT).join(&folder);
            if !self.0.lock().files.contains_key(&at) {
                self.insert(&at, FileKind::Directory, b"");
            }
            above = folder.parent();
        }
        self.insert(&path(ROOT).join(place), kind, content);
    }
}

impl SiteBench for Memory {
    fn files(&self) -> Arc<dyn SiteFiles> {
        Arc::new(self.quiet())
    }

    fn root(&self) -> SitePath {
        path(ROOT)
    }

    fn put_file(&self, path: &RelPath, content: &[u8]) {
        self.put(path, FileKind::File, content);
    }

    fn put_folder(&self, path: &RelPath) {
        self.put(path, FileKind::Directory, b"");
    }

    fn put_symlink(&self, path: &RelPath, target: &[u8]) -> bool {
        self.put(path, FileKind::Symlink(target.to_vec()), b"");
        true
    }

    fn put_hard_link(&self, place: &RelPath, first: &RelPath) {
        self.put(place, FileKind::File, b"");
        let mut state = self.0.lock();
        let file = state.files[&path(ROOT).join(first)].clone();
        state.files.insert(path(ROOT).join(place), file);
    }

    fn put_special(&self, path: &RelPath) -> bool {
        self.put(path, FileKind::Special, b"");
        true
    }

    fn put_sparse(&self, _path: &RelPath, _size: u64, _data_at: u64) -> bool {
        false
    }

    fn put_attribute(&self, _path: &RelPath, _name: &str, _value: &[u8]) -> bool {
        false
    }

    fn models(&self) -> Models {
        Models {
            metadata: false,
            modes: false,
            symlinks: true,
            hard_links: false,
            patterns: false,
            snapshot_logs: false,
        }
    }
}

impl DestinationBench for Memory {
    fn destination(&self) -> Arc<dyn Destination> {
        Arc::new(self.quiet())
    }

    fn put_foreign(&self, name: &str) {
        self.0.put_foreign(name);
    }

    fn is_untouched(&self, name: &str) -> bool {
        self.0.has_folder(name)
    }

    fn log(&self, _snapshot: Option<&StoredSnapshot>) -> Option<Vec<u8>> {
        self.0.lock().kept_log.clone()
    }

    fn plant_link(&self, _folder: &SitePath, _name: &str, _target: &str) -> bool {
        false
    }

    fn rename(&self, _folder: &SitePath, _name: &str) -> bool {
        false
    }

    fn damage(&self, _folder: &SitePath, run: RunId) -> bool {
        self.0.damage(run);
        true
    }

    fn fill(&self) -> bool {
        self.0.lock().free = 0;
        true
    }
}

impl ArchiveBench for Memory {
    fn archive(&self) -> Arc<dyn SnapshotArchive> {
        self.quiet().archive()
    }

    fn writer(&self) -> Arc<dyn SnapshotArchive> {
        self.quiet().archive_for_writing()
    }

    fn pin(&self, id: &str) {
        self.0.pin_archived(id);
    }

    fn spoil(&self, _snapshot: &StoredSnapshot) {
        self.0.tamper("a.txt", b"###");
    }
}

impl RecoveryBench for Memory {
    fn target(&self) -> Arc<dyn RecoveryTarget> {
        Arc::new(self.quiet())
    }
}

impl RestoresBench for Memory {
    fn restores(&self) -> Arc<dyn Restores> {
        Arc::new(MemoryRestores)
    }

    fn keeps_limits(&self) -> bool {
        false
    }

    fn outlives_panics(&self) -> bool {
        false
    }

    fn of_system(&self, _fails_at: Option<&'static str>) -> Option<Arc<dyn RestoreWriter>> {
        None
    }

    fn heard_by_system(&self) -> Option<Vec<String>> {
        None
    }
}

impl ShadowCopiesBench for Memory {
    fn shadow_copies(&self) -> Arc<dyn ShadowCopies> {
        self.quiet().ports().shadow_copies
    }

    fn keeps_limits(&self) -> bool {
        false
    }

    fn outlives_panics(&self) -> bool {
        false
    }

    fn in_trouble(&self, _trouble: Trouble) -> Option<Arc<dyn ShadowCopies>> {
        None
    }

    fn end_for_system(&self) -> Option<End> {
        None
    }
}

impl ClockBench for Memory {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.0.clone())
    }
}

impl CommandsBench for Memory {
    fn commands(&self) -> Arc<dyn Commands> {
        Arc::new(self.0.clone())
    }

    fn has_shell(&self) -> bool {
        false
    }

    fn put_hook(&self, code: i32) {
        let outcome = CommandOutcome { end: CommandEnd::Exit(code), output: b"/backup/P01Backup".to_vec(), cut: false };
        self.0.lock().after_backup = Some(outcome);
    }

    fn break_hook(&self) -> bool {
        false
    }
}

impl DatabaseBench for Memory {
    fn database(&self) -> Arc<dyn SiteDatabase> {
        Arc::new(self.quiet())
    }

    fn destination(&self) -> Arc<dyn Destination> {
        Arc::new(self.quiet())
    }

    fn write(&self, number: u64) {
        self.0.lock().database = number.to_string().into_bytes();
    }

    fn read(&self, _file: &SitePath) -> u64 {
        let text = String::from_utf8(self.0.lock().database.clone()).expect("the bench writes text");
        text.parse().expect("the bench writes numbers")
    }

    fn file(&self) -> SitePath {
        path("/site/db/CM_P01.db")
    }

    fn elsewhere(&self) -> Option<SitePath> {
        None
    }

    fn missing(&self) -> Option<Arc<dyn SiteDatabase>> {
        None
    }

    fn not_one(&self) -> Option<Arc<dyn SiteDatabase>> {
        None
    }

    fn hold(&self) -> Option<Box<dyn Any + Send>> {
        None
    }

    fn damage(&self, _file: &SitePath) -> bool {
        self.0.lock().database_faults.push("page 3 is not a page".to_owned());
        true
    }
}

impl ServedBench for Memory {
    fn database(&self) -> Arc<dyn SiteDatabase> {
        Arc::new(self.quiet())
    }

    fn destination(&self) -> Arc<dyn Destination> {
        Arc::new(self.quiet())
    }

    fn write(&self, number: u64) {
        DatabaseBench::write(self, number);
    }

    fn number(&self, scratch: Option<&str>) -> Option<u64> {
        let state = self.0.lock();
        let content = scratch.map_or(Some(&state.database), |name| state.scratch_databases.get(name))?;
        String::from_utf8(content.clone()).ok()?.parse().ok()
    }

    fn empty(&self) {
        self.0.lock().database.clear();
    }
}

impl JournalBench for Memory {
    fn journal(&self) -> Arc<dyn RunJournal> {
        Arc::new(self.0.clone())
    }

    fn tear(&self) -> bool {
        false
    }
}

impl StatusLogBench for Memory {
    fn log(&self) -> Arc<dyn StatusLog> {
        Arc::new(self.0.clone())
    }

    fn tear(&self) -> bool {
        false
    }
}

impl RegistryBench for Memory {
    fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(self.quiet())
    }

    fn empty(&self) -> Arc<dyn Registry> {
        Arc::new(World::new())
    }

    fn key(&self) -> RegistryKey {
        RegistryKey::new(KEY)
    }

    fn count(&self) -> usize {
        1
    }

    fn neighbour(&self) -> RegistryKey {
        RegistryKey::new(NEIGHBOUR)
    }

    fn change(&self) {
        self.0.lock().registry.insert(KEY.to_lowercase(), b"changed\nNew Key".to_vec());
    }

    fn unserved(&self) -> Option<RegistryKey> {
        None
    }
}

impl ServicesBench for Memory {
    fn services(&self) -> Arc<dyn ServiceControl> {
        Arc::new(self.0.clone())
    }

    fn name(&self) -> &'static str {
        SERVICE
    }

    fn other(&self) -> &'static str {
        OTHER_SERVICE
    }

    fn dependent(&mut self) -> Option<&'static str> {
        let mut state = self.0.lock();
        state.services.insert(DEPENDENT_SERVICE.to_owned(), ServiceState::Running);
        state.dependents.insert(SERVICE.to_owned(), vec![DEPENDENT_SERVICE.to_owned()]);
        Some(DEPENDENT_SERVICE)
    }

    fn make_fail(&self, action: &'static str) {
        self.0.lock().stubborn.insert((SERVICE.to_owned(), action));
    }

    fn heal(&self) {
        self.0.lock().stubborn.clear();
    }

    fn make_hang(&self, _action: &'static str) -> bool {
        false
    }
}
