//! Everything outside the process, as plain data behind one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::archive::MemoryArchive;
use crate::manifest::Manifest;
use crate::path::{RelPath, SitePath};
use crate::ports::commands::CommandOutcome;
use crate::ports::database::{ChangedFact, DatabaseForm, DatabaseMoment};
use crate::ports::journal::JournalRecord;
use crate::ports::journal::UnendedRecovery;
use crate::ports::services::ServiceState;
use crate::ports::site_files::{FileId, FileKind, FileStat, FileTime};
use crate::snapshot::RunId;
use crate::status::StatusMessage;

/// A file, folder or link of the memory site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryFile {
    /// What it is.
    pub kind: FileKind,
    /// Its content.
    pub content: Vec<u8>,
    /// Last change.
    pub changed: FileTime,
    /// Its number; files with one number are one file.
    pub inode: u64,
    /// Whether reading it fails.
    pub unreadable: bool,
}

impl MemoryFile {
    /// The metadata of the file.
    pub fn stat(&self, links: u64) -> FileStat {
        FileStat {
            kind: self.kind.clone(),
            size: self.content.len() as u64,
            modified: self.changed,
            changed: self.changed,
            id: FileId { device: 1, inode: self.inode },
            links,
            mode: 0o640,
            owner: 1000,
            group: 1000,
        }
    }
}

/// A file at the memory destination.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredFile {
    pub(crate) content: Arc<Vec<u8>>,
    pub(crate) modified: FileTime,
}

/// A folder at the memory destination.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder {
    /// Our marker, with the run.
    pub(crate) marker: Option<RunId>,
    /// There once the folder is sealed.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) list: Vec<u8>,
    pub(crate) files: BTreeMap<RelPath, StoredFile>,
    pub(crate) folders: BTreeSet<RelPath>,
    /// Whether a power cut leaves it as it is.
    pub(crate) synced: bool,
}

/// The state of a [`World`].
#[derive(Debug)]
pub struct WorldState {
    /// The present moment.
    pub now: Timestamp,
    /// Ids given so far.
    pub ids: u64,
    /// The live files.
    pub files: BTreeMap<SitePath, MemoryFile>,
    /// Images by set.
    pub(crate) images: BTreeMap<Uuid, BTreeMap<SitePath, MemoryFile>>,
    /// Folders at the destination by name.
    pub(crate) folders: BTreeMap<String, Folder>,
    /// The archive.
    pub archive: MemoryArchive,
    /// Bytes free at the destination.
    pub free: u64,
    /// Who holds the destination.
    pub held: Option<String>,
    /// What recoveries left open, as noted at the destination.
    pub half_recovered: Option<UnendedRecovery>,
    /// The last `smsbkup.log` at the destination.
    pub kept_log: Option<Vec<u8>>,
    /// Registry exports by key in lower case.
    pub registry: BTreeMap<String, Vec<u8>>,
    /// What the registry says that it has no place for.
    pub registry_loses: Option<String>,
    /// The services.
    pub services: BTreeMap<String, ServiceState>,
    /// The application beside the site that is frozen with it.
    pub application: ServiceState,
    /// Which services need the one that is named first.
    pub dependents: BTreeMap<String, Vec<String>>,
    /// Services that answer a stop or start with an error.
    pub stubborn: BTreeSet<(String, &'static str)>,
    /// Folders made for rehearsals and not yet discarded.
    pub(crate) scratch: BTreeSet<SitePath>,
    /// The database's content.
    pub database: Vec<u8>,
    /// What is taken out of the database.
    pub database_form: DatabaseForm,
    /// Which moment that holds.
    pub database_moment: DatabaseMoment,
    /// Whether a copy of it takes longer than anything else that a run waits for.
    pub database_is_slow: bool,
    /// Files that its server has beside those that its writer names.
    pub database_more: Vec<SitePath>,
    /// Whether one of the files that it is in is missing on images.
    pub is_torn: bool,
    /// What is to be known of it, such as that its server cannot be asked.
    pub database_remarks: Vec<String>,
    /// Why its copies are weaker than asked for.
    pub database_weaker: Vec<String>,
    /// Facts that are not as they were after a recovery.
    pub changed_facts: Vec<ChangedFact>,
    /// What of the database does not come back.
    pub not_restored: Vec<String>,
    /// What of the database would come back to another place.
    pub restore_remarks: Vec<String>,
    /// Databases that were made to be discarded.
    pub scratch_databases: BTreeMap<String, Vec<u8>>,
    /// What is wrong with the database, and so with every copy of it.
    pub database_faults: Vec<String>,
    /// The journal.
    pub journal: Vec<JournalRecord>,
    /// Whether a living process holds the journal.
    pub locked: bool,
    /// The status messages.
    pub status: Vec<StatusMessage>,
    /// What AfterBackup answers.
    pub after_backup: Option<CommandOutcome>,
    /// Done to the published folder while AfterBackup runs.
    pub(crate) hook_edits: Vec<(RelPath, Option<Vec<u8>>)>,
    /// Commands that ran.
    pub commands: Vec<String>,
    /// The number that the site writes.
    pub counter: u64,
    /// Whether the in-memory shadow copies leave writers unfrozen: the test of the tests.
    pub skip_freeze: bool,
    /// Whether an image goes with the process that made it.
    pub images_go: bool,
    /// A world of which only the destination counts: where shadow copies are kept.
    kept_store: Option<World>,
    turn: usize,
}

/// Where the memory site keeps its number: `inboxes/counter.txt`, the database, and the registry key `HKLM\SOFTWARE\Microsoft\SMS`.
pub(crate) const COUNTER_FILE: &str = "/site/inboxes/counter.txt";
pub(crate) const COUNTER_KEY: &str = "hkey_local_machine\\software\\microsoft\\sms";

/// A site with its destination and state, shared by all ports.
#[derive(Debug, Clone)]
pub struct World(Arc<Mutex<WorldState>>);

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A small running site: about ten files, two services, a database and a registry key that hold the number 0.
    pub fn new() -> Self {
        let state = WorldState {
            now: "2026-03-01T02:00:00Z".parse().expect("a timestamp"),
            ids: 0,
            files: BTreeMap::new(),
            images: BTreeMap::new(),
            folders: BTreeMap::new(),
            archive: MemoryArchive::default(),
            free: 1 << 30,
            held: None,
            half_recovered: None,
            kept_log: None,
            registry: BTreeMap::new(),
            registry_loses: None,
            services: ["SMS_SITE_COMPONENT_MANAGER", "SMS_EXECUTIVE"]
                .map(|name| (name.to_owned(), ServiceState::Running))
                .into(),
            application: ServiceState::Running,
            dependents: BTreeMap::new(),
            stubborn: BTreeSet::new(),
            scratch: BTreeSet::new(),
            database: Vec::new(),
            database_form: DatabaseForm::File,
            database_moment: DatabaseMoment::Pinned,
            database_is_slow: false,
            database_more: Vec::new(),
            is_torn: false,
            database_remarks: Vec::new(),
            database_weaker: Vec::new(),
            changed_facts: Vec::new(),
            not_restored: Vec::new(),
            restore_remarks: Vec::new(),
            scratch_databases: BTreeMap::new(),
            database_faults: Vec::new(),
            journal: Vec::new(),
            locked: false,
            status: Vec::new(),
            after_backup: None,
            hook_edits: Vec::new(),
            commands: Vec::new(),
            counter: 0,
            skip_freeze: false,
            images_go: false,
            kept_store: None,
            turn: 0,
        };
        let world = Self(Arc::new(Mutex::new(state)));
        world.populate();
        world
    }

    /// Where shadow copies are kept; made at the first call.
    pub(crate) fn kept_store(&self) -> World {
        if let Some(store) = self.lock().kept_store.clone() {
            return store;
        }
        let store = World::new();
        self.lock().kept_store.get_or_insert(store).clone()
    }

    fn populate(&self) {
        let mut state = self.lock();
        for folder in ["/site", "/site/inboxes", "/site/data", "/site/data/empty"] {
            state.put(folder, FileKind::Directory, b"");
        }
        for (path, content) in
            [("/site/inboxes/a.box", "a"), ("/site/inboxes/b.box", "bb"), ("/site/data/c.dat", "ccc")]
        {
            state.put(path, FileKind::File, content.as_bytes());
        }
        state.put("/site/data/link", FileKind::Symlink(b"c.dat".to_vec()), b"");
        let first = state.files[&site_path("/site/data/c.dat")].clone();
        state.files.insert(site_path("/site/data/d.dat"), first);
        state.put("/site/data/pipe", FileKind::Special, b"");
        state.write_counter(0);
        state.write_counter(1);
        state.write_counter(2);
        state.now += SignedDuration::from_hours(1);
    }

    /// The state, locked. Not to be held over an await.
    pub fn lock(&self) -> MutexGuard<'_, WorldState> {
        self.0.lock().expect("no test thread panics with the world locked")
    }

    /// Gives the destination back, also while a panic unwinds.
    pub(super) fn release_destination(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).held = None;
    }

    /// What a port does first: time passes, and the running site writes its number to one of its three places.
    pub(crate) fn step(&self) -> MutexGuard<'_, WorldState> {
        let mut state = self.lock();
        state.now += SignedDuration::from_millis(100);
        if state.services.get("SMS_EXECUTIVE") == Some(&ServiceState::Running) {
            let turn = state.turn;
            if turn == 0 {
                state.counter += 1;
            }
            state.write_counter(turn);
            state.turn = (turn + 1) % 3;
        }
        state
    }

    /// The three numbers: database, file, registry.
    pub fn counters(&self) -> [u64; 3] {
        let state = self.lock();
        let file = &state.files[&site_path(COUNTER_FILE)].content;
        [&state.database, file, &state.registry[COUNTER_KEY]].map(|bytes| number(bytes))
    }

    /// Whether all services run, and the application beside the site.
    pub fn all_running(&self) -> bool {
        let state = self.lock();
        state.services.values().chain([&state.application]).all(|state| *state == ServiceState::Running)
    }

    /// Somebody removes all images.
    pub fn lose_images(&self) {
        self.lock().images.clear();
    }

    /// Whether an image is left.
    pub fn has_images(&self) -> bool {
        !self.lock().images.is_empty()
    }

    /// The process dies: its locks go with it.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.locked = false;
        state.held = None;
        if let Some(store) = &state.kept_store {
            store.kill();
        }
    }

    /// The power goes: what was not synced at the destination is lost, the images too.
    pub fn cut_power(&self) {
        self.kill();
        let mut state = self.lock();
        state.images.clear();
        for folder in state.folders.values_mut().filter(|folder| !folder.synced) {
            // Every other file never reached the disk.
            let lost: Vec<RelPath> = folder.files.keys().step_by(2).cloned().collect();
            lost.iter().for_each(|path| drop(folder.files.remove(path)));
        }
    }

    /// Makes a folder without our marker at the destination, such as the product's own snapshot.
    pub fn put_foreign(&self, name: &str) {
        self.lock().folders.insert(name.to_owned(), Folder { synced: true, ..Folder::default() });
    }

    /// Whether a folder of this name is at the destination.
    pub fn has_folder(&self, name: &str) -> bool {
        self.lock().folders.contains_key(name)
    }

    /// Damages the list of the snapshot of `run`.
    pub fn damage(&self, run: RunId) {
        let mut state = self.lock();
        let folder = state.folders.values_mut().find(|folder| folder.marker == Some(run));
        folder.expect("the snapshot is there").list.push(b'#');
    }

    /// Writes a file of the published snapshot behind the program's back, now.
    pub fn tamper(&self, path: &str, content: &[u8]) {
        let mut state = self.lock();
        let modified = state.file_time();
        let path = RelPath::parse(path).expect("a plain path");
        let published = state.folders.values_mut().find(|folder| folder.files.contains_key(&path));
        let file = published.and_then(|folder| folder.files.get_mut(&path)).expect("the file is there");
        *file = StoredFile { content: Arc::new(content.to_vec()), modified };
    }

    /// Has AfterBackup write (`Some`) or remove a file of the published snapshot.
    pub fn edit_in_hook(&self, path: &str, content: Option<&[u8]>) {
        let path = RelPath::parse(path).expect("a plain path");
        self.lock().hook_edits.push((path, content.map(<[u8]>::to_vec)));
    }
}

impl WorldState {
    fn write_counter(&mut self, turn: usize) {
        let content = self.counter.to_string().into_bytes();
        match turn {
            0 => self.database = content,
            1 => self.put(COUNTER_FILE, FileKind::File, &content),
            _ => drop(self.registry.insert(COUNTER_KEY.to_owned(), content)),
        }
        // The services finish the number that they have begun before they stop, so only a stop finds all three equal.
    }

    /// What a service does before it stops: the number goes to all three places.
    pub(crate) fn come_to_rest(&mut self) {
        for turn in 0..3 {
            self.write_counter(turn);
        }
        self.turn = 0;
    }

    /// Creates or changes an entry, now.
    pub fn put(&mut self, path: &str, kind: FileKind, content: &[u8]) {
        let path = site_path(path);
        let next = self.files.values().map(|file| file.inode).max().unwrap_or(0) + 1;
        let inode = self.files.get(&path).map_or(next, |file| file.inode);
        let changed = self.file_time();
        let file = MemoryFile { kind, content: content.to_vec(), changed, inode, unreadable: false };
        self.files.insert(path, file);
    }

    pub(crate) fn file_time(&self) -> FileTime {
        FileTime(self.now.as_second(), u32::try_from(self.now.subsec_millisecond()).unwrap_or(0) * 1_000_000)
    }

    /// A deadline's worth of time passes.
    pub fn pass(&mut self, time: Duration) {
        self.now += SignedDuration::try_from(time).expect("a short time");
    }
}

pub(crate) fn site_path(text: &str) -> SitePath {
    SitePath::parse(text).expect("an absolute path")
}

pub(crate) fn number(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).expect("the site writes numbers")
}
