//! What is read of a folder: each file at most once, none that is known, and none that is not what it was.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::manifest::{ContentHash, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{
    Attributes, FileKind, FileProblem, FileSource, FileStat, FileTime, OpenFile, SiteFiles, SiteFilesError, Walk,
};

use super::tree::{Tree, root};
use super::{a_tree, about, context, noise, read_back, repository, store};
use crate::crypto::ReadKey;
use crate::storage::memory::MemoryStorage;
use crate::{About, ArchiveError, Folder, Repository, StoredFolder};

/// A tree that tells which of its files were opened, and may be no better than a real folder.
#[derive(Debug, Default)]
struct Watched {
    tree: Tree,
    opened: Mutex<Vec<String>>,
    /// Whether its files are written to while they are read.
    moves: bool,
    problems: Vec<FileProblem>,
}

#[async_trait]
impl SiteFiles for Watched {
    async fn sync(&self, roots: &[SitePath]) -> Result<(), SiteFilesError> {
        self.tree.sync(roots).await
    }

    async fn walk(&self, source: &FileSource) -> Result<Walk, SiteFilesError> {
        Ok(Walk { problems: self.problems.clone(), ..self.tree.walk(source).await? })
    }

    fn open(&self, path: &SitePath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
        let below = path.strip_prefix(&root()).expect("a file of the tree");
        self.opened.lock().expect("no panic").push(below.to_string());
        let file = self.tree.open(path)?;
        Ok(if self.moves { Box::new(Moving(file)) } else { file })
    }

    fn attributes(&self, path: &SitePath) -> Result<Attributes, SiteFilesError> {
        self.tree.attributes(path)
    }
}

#[derive(Debug)]
struct Moving(Box<dyn OpenFile>);

impl OpenFile for Moving {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        let stat = self.0.stat()?;
        Ok(FileStat { changed: FileTime(stat.changed.0 + 1, 0), ..stat })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        self.0.read_at(offset, buffer)
    }

    fn next_data(&self, offset: u64) -> Result<Option<std::ops::Range<u64>>, SiteFilesError> {
        self.0.next_data(offset)
    }
}

/// Archives a tree by its list, if it has one; returns what came of it and which files were opened, in their order.
fn watched(
    repository: &Repository,
    tree: &Tree,
    sealed: Vec<FileRecord>,
    about: About,
) -> (Result<StoredFolder, ArchiveError>, Vec<String>) {
    let files = Arc::new(Watched { tree: tree.clone(), ..Watched::default() });
    let folder = Folder { files: files.clone(), root: root(), sealed };
    let context = context(&about);
    let stored = repository.store_walk(&folder, &tree.entries(), about, &context);
    let mut opened = files.opened.lock().expect("no panic").clone();
    opened.sort();
    (stored, opened)
}

/// The list of a tree that was sealed as it is.
fn list_of(tree: &Tree) -> Vec<FileRecord> {
    let record = |(path, (content, _)): (&RelPath, &(Vec<u8>, FileTime))| {
        let record = FileRecord::new(RecordKind::File, path.clone());
        FileRecord { size: content.len() as u64, hash: Some(ContentHash::of(content)), ..record }
    };
    tree.0.iter().map(record).collect()
}

fn new_repository() -> Repository {
    repository(Arc::new(MemoryStorage::default()), &ReadKey::generate())
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.0.keys().map(ToString::to_string).collect()
}

#[test]
fn each_file_is_read_once_and_none_that_has_not_changed() {
    let (repository, mut tree) = (new_repository(), a_tree());
    let opened = |tree: &Tree, second| {
        let (stored, opened) = watched(&repository, tree, Vec::new(), about(second));
        assert!(read_back(&repository, &stored.expect("stored").id) == *tree);
        opened
    };
    assert_eq!(opened(&tree, 100), paths(&tree));
    assert_eq!(opened(&tree, 200), [""; 0]);
    tree.put("a/small", b"other".to_vec(), 30);
    assert_eq!(opened(&tree, 300), ["a/small"]);
}

/// Copies of one machine have the same inodes and times.
#[test]
fn what_another_site_has_is_no_reason_not_to_read() {
    let (repository, mut tree) = (new_repository(), a_tree());
    store(&repository, &tree, 100).expect("stored");
    tree.put("a/small", b"other".to_vec(), 11);
    let about = About { site: "P02".to_owned(), ..about(200) };
    let (stored, opened) = watched(&repository, &tree, Vec::new(), about);
    assert_eq!(opened, paths(&tree));
    assert!(read_back(&repository, &stored.expect("stored").id) == tree);
}

#[test]
fn of_a_sealed_folder_the_list_tells_what_is_known() {
    let (repository, mut tree) = (new_repository(), a_tree());
    watched(&repository, &tree, list_of(&tree), about(100)).0.expect("stored");
    // Each run makes its files anew.
    tree.0.values_mut().for_each(|(_, time)| time.0 += 500);
    tree.put("a/small", b"other".to_vec(), 11);
    let (stored, opened) = watched(&repository, &tree, list_of(&tree), about(200));
    assert_eq!(opened, ["a/small"]);
    assert!(read_back(&repository, &stored.expect("stored").id) == tree);
}

#[test]
fn what_is_not_as_it_was_sealed_is_not_archived() {
    let (repository, tree) = (new_repository(), a_tree());
    let refused = |tree: &Tree, list: &[FileRecord], words: &str| {
        let refused = watched(&repository, tree, list.to_vec(), about(100)).0.expect_err(words);
        assert!(matches!(refused, ArchiveError::Unsealed { .. }) && refused.to_string().contains(words), "{refused}");
        assert!(repository.snapshots().expect("listed").snapshots.is_empty());
        assert!(repository.leases().expect("listed").is_empty());
    };
    let list = list_of(&tree);
    let mut rotten = tree.clone();
    rotten.put("a/b/large", noise(2, 3_000_000), 12);
    refused(&rotten, &list, "`a/b/large` is not as it was sealed: its content has another hash");
    rotten.put("a/b/large", noise(1, 2_999_999), 12);
    refused(&rotten, &list, "`a/b/large` is not as it was sealed: its content has another hash");
    rotten.0.retain(|path, _| path.to_string() != "a/b/large");
    refused(&rotten, &list, "`a/b/large` is not as it was sealed: it is missing");
    watched(&repository, &tree, list, about(100)).0.expect("as it was");
}

#[test]
fn what_moves_or_cannot_be_read_ends_the_call_and_nothing_is_archived() {
    let (repository, tree) = (new_repository(), a_tree());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let refused = |files: Watched, words: &str| {
        let folder = Folder { files: Arc::new(files), root: root(), sealed: Vec::new() };
        let about = about(100);
        let context = context(&about);
        let refused = runtime.block_on(repository.store(folder, about, context)).expect_err(words);
        assert!(matches!(refused, ArchiveError::Read(_)), "{refused}");
        assert!(backup_core::copy::chain(&refused).contains(words), "{refused:?}");
        assert!(repository.snapshots().expect("listed").snapshots.is_empty());
    };
    let problem = FileProblem { path: root(), message: "it cannot be listed".to_owned() };
    refused(Watched { tree: tree.clone(), moves: true, ..Watched::default() }, "it changed while it was read");
    refused(Watched { tree: tree.clone(), problems: vec![problem], ..Watched::default() }, "it cannot be listed");
    let mut entries = tree.entries();
    entries.last_mut().expect("there are some").stat.kind = FileKind::Special;
    let folder = Folder { files: Arc::new(tree), root: root(), sealed: Vec::new() };
    let special = repository.store_walk(&folder, &entries, about(100), &context(&about(100)));
    let special = special.expect_err("it has no content");
    assert!(backup_core::copy::chain(&special).contains("cannot be archived"), "{special:?}");
    assert!(repository.snapshots().expect("listed").snapshots.is_empty());
    assert!(repository.leases().expect("listed").is_empty());
}
