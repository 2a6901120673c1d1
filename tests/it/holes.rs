//! The holes in noticing a change that the pre-copy provider must close, on a real file system.
//!
//! A writer makes each change after the passes (in PrepareSnapshot) or inside the window (in Freeze): the staged copy must hold the
//! moment of the window, or the loss of consistency must be told.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::{Previous, RACY_SECONDS};
use backup_core::event::{Event, EventSink};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::clock::Clock;
use backup_core::ports::destination::Destination;
use backup_core::ports::shadow_copies::{
    Consistency, Image, ImageSource, SessionLimits, ShadowCopies, ShadowCopyRequest, ShadowCopySet, ShadowCopySetId,
    Writer, WriterError, WriterLevel, WriterMetadata,
};
use backup_core::ports::site_files::FileSource;
use backup_core::snapshot::RunId;
use host::destination::LocalDestination;
use host::files::LocalSiteFiles;
use host::machine::SystemClock;
use tempfile::TempDir;
use vss::InProcessCoordinator;

type Edit = Box<dyn Fn() + Send + Sync>;

/// Does something after the passes, inside the window, and at its end.
struct Editor {
    after_passes: Edit,
    in_window: Edit,
    at_thaw: Edit,
}

impl Editor {
    fn after_passes(edit: impl Fn() + Send + Sync + 'static) -> Self {
        Self { after_passes: Box::new(edit), in_window: Box::new(|| {}), at_thaw: Box::new(|| {}) }
    }
}

impl std::fmt::Debug for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Editor")
    }
}

#[async_trait]
impl Writer for Editor {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let id = uuid::Uuid::from_u128(1);
        Ok(WriterMetadata { id, name: "Editor".to_owned(), level: WriterLevel::FrontEnd, ..WriterMetadata::default() })
    }
    async fn prepare_backup(&self) -> Result<(), WriterError> {
        Ok(())
    }
    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        (self.after_passes)();
        Ok(())
    }
    async fn freeze(&self) -> Result<(), WriterError> {
        (self.in_window)();
        Ok(())
    }
    async fn thaw(&self) -> Result<(), WriterError> {
        (self.at_thaw)();
        Ok(())
    }
    async fn post_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }
    async fn abort(&self) -> Result<(), WriterError> {
        Ok(())
    }
    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}

#[derive(Debug)]
struct Deaf;

impl EventSink for Deaf {
    fn event(&self, _event: &Event) {}
}

/// A folder to back up, and a destination beside it. Not in a `tmpfs`, whose pages no sync writes back.
struct Ground {
    scratch: TempDir,
}

impl Ground {
    fn new() -> Self {
        let scratch = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch folder");
        fs::create_dir(scratch.path().join("source")).expect("a new folder");
        fs::create_dir(scratch.path().join("backup")).expect("a new folder");
        Self { scratch }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join("source").join(name)
    }

    fn site_path(&self, name: &str) -> SitePath {
        SitePath::parse(self.scratch.path().join(name).to_str().expect("Unicode")).expect("absolute")
    }

    /// One shadow copy; returns it with the folder of what was staged.
    fn shadow_copy(&self, editor: Editor) -> (ShadowCopySet, PathBuf) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(self.hold(editor))
    }

    async fn hold(&self, editor: Editor) -> (ShadowCopySet, PathBuf) {
        let clock = Arc::new(SystemClock);
        let destination = LocalDestination::new(self.site_path("backup"), "P01".parse().expect("a site code"));
        let run = RunId(clock.new_id());
        let staging = destination.begin(run, None).await.expect("a staging folder");
        let source = FileSource { root: self.site_path("source"), exclude: Vec::new(), skip: Vec::new() };
        let request = ShadowCopyRequest {
            id: ShadowCopySetId(clock.new_id()),
            sources: vec![ImageSource { source, target: RelPath::parse("files").expect("plain") }],
            components: Vec::new(),
            files: Arc::new(LocalSiteFiles::new()),
            staging,
            previous: Arc::new(Previous::default()),
            writers: vec![Arc::new(editor)],
            limits: SessionLimits::default(),
            cancel: Cancel::default(),
            events: Arc::new(Deaf),
        };
        let coordinator = InProcessCoordinator::new(clock, Arc::new(vss::PreCopy));
        let set = coordinator.prepare(request).await.expect("it is prepared").commit().await.expect("it is held");
        let staged = fs::read_dir(self.scratch.path().join("backup")).expect("the destination is there");
        let staged = staged.map(|entry| entry.expect("an entry").path().join("files")).find(|path| path.exists());
        (set, staged.expect("a staging folder"))
    }
}

/// What is staged is the source, name by name and byte by byte, and the list says the same.
fn assert_staged(ground: &Ground, set: &ShadowCopySet, staged: &Path) {
    let content = |folder: &Path| {
        let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| {
                (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a file"))
            })
            .collect();
        files.sort();
        files
    };
    let source = content(&ground.scratch.path().join("source"));
    assert_eq!(content(staged), source);
    let Image::Staged { records, problems } = &set.image else { panic!("pre-copy stages") };
    assert_eq!(problems, &[]);
    for (name, bytes) in source {
        let path = RelPath::parse(format!("files/{name}")).expect("plain");
        let record =
            records.iter().find(|record| record.path == path).unwrap_or_else(|| panic!("`{name}` is not listed"));
        assert_eq!(record.hash, Some(backup_core::manifest::ContentHash::of(&bytes)), "{name}");
    }
    assert_eq!(set.consistency, Consistency::Application, "{:?}", set.weaker);
}

fn hole(prepare: impl Fn(&Ground), edit: impl Fn() + Send + Sync + 'static, ground: Ground) {
    prepare(&ground);
    let (set, staged) = ground.shadow_copy(Editor::after_passes(edit));
    assert_staged(&ground, &set, &staged);
}

#[test]
fn a_rewrite_of_the_same_size_within_a_clock_tick() {
    let ground = Ground::new();
    let path = ground.file("a");
    let edited = path.clone();
    // The new content is followed by the old times, so that only the ctime could tell.
    let edit = move || {
        let before = fs::metadata(&edited).expect("it is there");
        let file = File::options().write(true).open(&edited).expect("it opens");
        file.write_all_at(b"bbbb", 0).expect("it is written");
        file.set_modified(before.modified().expect("a time")).expect("the time is set");
        assert_eq!(fs::metadata(&edited).expect("it is there").mtime_nsec(), before.mtime_nsec());
    };
    hole(move |_| fs::write(&path, b"aaaa").expect("it is written"), edit, ground);
}

/// Waits until a file's ctime is old enough to be believed, so that only a new time can tell of a change.
fn settle(path: &Path) {
    let changed = fs::metadata(path).expect("it is there").ctime();
    let now = || SystemClock.now().as_second();
    tests::poll_until(Duration::from_secs(10), || (now() > changed + RACY_SECONDS + 1).then_some(()))
        .expect("time passes");
}

#[test]
fn a_rewrite_of_the_same_size_of_a_settled_file() {
    let ground = Ground::new();
    let path = ground.file("a");
    fs::write(&path, b"aaaa").expect("it is written");
    settle(&path);
    hole(|_| {}, move || fs::write(&path, b"bbbb").expect("it is written"), ground);
}

#[test]
fn a_rename() {
    let ground = Ground::new();
    let (from, to) = (ground.file("a"), ground.file("z"));
    let made = from.clone();
    hole(
        move |_| fs::write(&made, b"content").expect("it is written"),
        move || fs::rename(&from, &to).expect("it is renamed"),
        ground,
    );
}

#[test]
fn a_replacement_by_rename() {
    let ground = Ground::new();
    let (a, new) = (ground.file("a"), ground.scratch.path().join("new"));
    let made = a.clone();
    let edit = move || {
        fs::write(&new, b"newer").expect("it is written");
        fs::rename(&new, &a).expect("it is renamed");
    };
    hole(move |_| fs::write(&made, b"older").expect("it is written"), edit, ground);
}

#[test]
fn a_file_that_goes_and_one_that_comes() {
    let ground = Ground::new();
    let (gone, new) = (ground.file("gone"), ground.file("new"));
    let made = gone.clone();
    let edit = move || {
        fs::remove_file(&gone).expect("it goes");
        fs::write(&new, b"new").expect("it is written");
    };
    hole(move |_| fs::write(&made, b"x").expect("it is written"), edit, ground);
}

/// A page of a file, mapped and shared.
struct Page(*mut u8);

// SAFETY: the page is only stored to by one thread at a time.
#[expect(unsafe_code, reason = "a mapping is a pointer")]
unsafe impl Send for Page {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a mapping is a pointer")]
unsafe impl Sync for Page {}

impl Page {
    #[expect(unsafe_code, reason = "no safe interface maps a file")]
    fn map(file: &File) -> Self {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        // SAFETY: the kernel chooses the place; the file is not cut while it is mapped.
        let page =
            unsafe { mmap(std::ptr::null_mut(), 4096, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0) };
        Self(page.expect("the file is mapped").cast())
    }

    #[expect(unsafe_code, reason = "a mapping is a pointer")]
    fn store(&self, at: usize, value: u8) {
        assert!(at < 4096);
        // SAFETY: the page is mapped for the life of the test and `at` lies in it.
        unsafe { self.0.add(at).write_volatile(value) }
    }
}

/// The first store after a sync leaves a new time; a second one to the same page does not, until it is synced again.
#[test]
fn a_store_through_a_mapping() {
    let ground = Ground::new();
    let path = ground.file("mapped");
    fs::write(&path, vec![b'a'; 4096]).expect("it is written");
    let file = File::options().read(true).write(true).open(&path).expect("it opens");
    let page = Arc::new(Page::map(&file));
    page.store(0, b'b');
    let stored = Arc::clone(&page);
    hole(|_| {}, move || stored.store(1, b'c'), ground);
}

#[test]
fn a_store_through_a_mapping_of_a_settled_file() {
    let ground = Ground::new();
    let path = ground.file("mapped");
    fs::write(&path, vec![b'a'; 4096]).expect("it is written");
    let file = File::options().read(true).write(true).open(&path).expect("it opens");
    let page = Arc::new(Page::map(&file));
    page.store(0, b'b');
    file.sync_all().expect("it is synced");
    settle(&path);
    let stored = Arc::clone(&page);
    hole(|_| {}, move || stored.store(1, b'c'), ground);
}

/// Somebody whom nobody froze writes all through the window: never silent.
#[test]
fn a_file_that_changes_inside_the_window() {
    let ground = Ground::new();
    let path = ground.file("busy");
    fs::write(&path, b"0").expect("it is written");
    let stop = Arc::new(AtomicBool::new(false));
    let (seen, written) = (Arc::clone(&stop), path.clone());
    let in_window = move || {
        let (stop, path) = (Arc::clone(&seen), written.clone());
        thread::spawn(move || {
            let mut file = File::options().append(true).open(&path).expect("it opens");
            while !stop.load(Ordering::SeqCst) {
                file.write_all(b"x").expect("it is written");
            }
        });
    };
    let at_thaw = move || stop.store(true, Ordering::SeqCst);
    let editor = Editor { after_passes: Box::new(|| {}), in_window: Box::new(in_window), at_thaw: Box::new(at_thaw) };
    let (set, _) = ground.shadow_copy(editor);
    assert_eq!(set.consistency, Consistency::None);
    assert!(set.weaker.iter().any(|weaker| weaker.contains("busy")), "{:?}", set.weaker);
}
