//! An archive is read by a script that knows docs/format.md and nothing of the program.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use archive::crypto::ReadKey;
use archive::keys::{self, Key};
use archive::storage::local::LocalStorage;
use archive::{About, Folder, Repository, StoreContext, StoredFolder};
use backup_core::cancel::Cancel;
use backup_core::path::SitePath;
use host::files::LocalSiteFiles;
use jiff::Timestamp;
use tempfile::TempDir;
use tests::noise;

use crate::hard_tree::{Facts, PAGE, build, facts, page};

/// Pages of the database file: more than 1,000 extents, so that its lists are in a list.
const PAGES: u32 = 8 * 1_100;
const PASSPHRASE: &str = "the passphrase of a test";
/// The pages that day 2 writes, each in another extent.
const WRITTEN: [u32; 3] = [3, 64, 127];

/// A folder, and a repository that keeps it.
struct Archive {
    scratch: TempDir,
    repository: Repository,
}

impl Archive {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let storage = LocalStorage::create(scratch.path().join("repository")).expect("storage");
        let key = ReadKey::generate();
        keys::add_passphrase_key(&storage, &Key::Read(key.clone()), PASSPHRASE, "a test").expect("a key file");
        let repository = Repository::create(Arc::new(storage), &key).expect("made");
        fs::create_dir(scratch.path().join("folder")).expect("a folder");
        Self { scratch, repository }
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().join("folder")
    }

    async fn store(&self, moment: &str) -> StoredFolder {
        let root = SitePath::parse(self.folder().as_os_str().as_bytes()).expect("an absolute path");
        let folder = Folder { files: Arc::new(LocalSiteFiles::new()), root, sealed: Vec::new() };
        let moment = moment.parse().expect("a moment");
        let about = About { site: "P01".to_owned(), run: None, folder: "folder".to_owned(), moment, good: true };
        let context =
            StoreContext { now: Timestamp::now(), holder: "test".to_owned(), cancel: Cancel::default(), threads: 0 };
        self.repository.store(folder, about, context).await.expect("stored")
    }

    fn reader(&self, passphrase: &str, args: &[&OsStr]) -> Output {
        reader(&self.scratch.path().join("repository"), passphrase, args)
    }

    /// What the reader restores of a snapshot.
    fn restored(&self, snapshot: &str) -> BTreeMap<PathBuf, Facts> {
        let target = self.scratch.path().join("target");
        let output = self.reader(PASSPHRASE, &[snapshot.as_ref(), target.as_ref()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let facts = facts(&target);
        fs::remove_dir_all(&target).expect("it goes");
        facts
    }

    /// What the reader says when it refuses to restore the newest snapshot.
    fn refused(&self, passphrase: &str) -> String {
        let target = self.scratch.path().join("refused");
        let output = self.reader(passphrase, &["latest".as_ref(), target.as_ref()]);
        assert!(!output.status.success(), "it must refuse");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn reader(repository: &Path, passphrase: &str, args: &[&OsStr]) -> Output {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/archive_reader.py");
    let mut command = Command::new(python());
    command.arg(reader).arg(repository);
    command.env("SITEBACKUP_PASSPHRASE", passphrase).args(args).output().expect("the reader starts")
}

/// Where `cargo xtask test` installs what the reader imports.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    let place = target.join("archive-reader");
    let python = place.join("bin/python3");
    let place = place.display();
    assert!(
        python.exists(),
        "the reader's packages are missing: python3 -m venv {place} && {place}/bin/pip install PyNaCl blake3 zstandard"
    );
    python
}

#[tokio::test]
async fn a_script_restores_what_was_archived() {
    let archive = Archive::new();
    let folder = archive.folder();
    build(&folder, PAGES);
    let first_day = facts(&folder);
    let first = archive.store("2026-03-01T01:00:00Z").await;

    let database = File::options().write(true).open(folder.join("database.mdf")).expect("it opens");
    for number in WRITTEN {
        database.write_all_at(&page(number, 2), u64::from(number) * PAGE as u64).expect("written");
    }
    fs::remove_file(folder.join("a-name-before")).expect("removed");
    fs::write(folder.join("new"), "of day 2").expect("written");
    let second_day = facts(&folder);
    let second = archive.store("2026-03-02T01:00:00Z").await;
    // Whole extents would be 192 KiB of noise: what was stored are patches.
    assert!((1..150 << 10).contains(&second.snapshot.added), "{:?}", second.snapshot);

    let listed = archive.reader(PASSPHRASE, &[]);
    let listed = String::from_utf8(listed.stdout).expect("text");
    let ids: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, [&first.id, &second.id], "{listed}");
    assert_eq!(archive.restored(&first.id[..12]), first_day);
    assert_eq!(archive.restored("latest"), second_day);
}

/// What a record of the list says, without what a restore does not bring back.
fn recorded(line: &str) -> (PathBuf, Facts) {
    let record: serde_json::Value = serde_json::from_str(line).expect("a record");
    let bytes = |field: &str| match &record[field] {
        serde_json::Value::String(text) => text.clone().into_bytes(),
        other => unhex(other["hex"].as_str().unwrap_or_default()),
    };
    let number = |field: &str| record[field].as_u64().unwrap_or_default();
    let path = PathBuf::from(OsStr::from_bytes(&bytes("path")));
    let (content, kind) = match record["kind"].as_str().expect("a kind") {
        "directory" => ("folder".to_owned(), 0o040_000),
        "symlink" => (format!("to {:?}", Path::new(OsStr::from_bytes(&bytes("target")))), 0o120_000),
        _ => (format!("{} {}", number("size"), record["hash"].as_str().unwrap_or_default()), 0o100_000),
    };
    let first =
        if record["first"].is_null() { path.clone() } else { PathBuf::from(OsStr::from_bytes(&bytes("first"))) };
    let modified = (record["modified"][0].as_i64().expect("s"), record["modified"][1].as_i64().expect("ns"));
    let attribute = record["attributes"][0][1].as_str().map(unhex);
    let mode = kind | u32::try_from(number("mode")).expect("a mode");
    let owner = (number("owner") as u32, number("group") as u32);
    (path, Facts { mode, owner, modified, content, attribute, first })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..][..2], 16).expect("digits")).collect()
}

#[test]
fn the_script_restores_what_earlier_programs_archived() {
    let versions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/archive/fixtures");
    for version in fs::read_dir(versions).expect("fixtures").map(|entry| entry.expect("an entry").path()) {
        let lists = fs::read_dir(&version).expect("a fixture").map(|entry| entry.expect("an entry").path());
        let mut snapshots = 0;
        for list in lists.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")) {
            snapshots += 1;
            let scratch = tempfile::tempdir().expect("a scratch folder");
            let target = scratch.path().join("target");
            let id = list.file_stem().expect("an id");
            let output = reader(&version.join("repository"), "a known passphrase", &[id, target.as_ref()]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let mut expected: BTreeMap<PathBuf, Facts> =
                fs::read_to_string(&list).expect("records").lines().map(recorded).collect();
            let contents: Vec<_> = expected.values().map(|facts| expected[&facts.first].content.clone()).collect();
            expected.values_mut().zip(contents).for_each(|(facts, content)| facts.content = content);
            let restored = facts(&target);
            // Whoever is not root makes files that are his own.
            let owner = |facts: &Facts| if rustix::process::geteuid().is_root() { facts.owner } else { (0, 0) };
            assert_eq!(restored.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            for (path, facts) in &expected {
                let found = &restored[path];
                assert_eq!(owner(found), owner(facts), "{}", path.display());
                assert_eq!(Facts { owner: (0, 0), ..found.clone() }, Facts { owner: (0, 0), ..facts.clone() });
            }
        }
        assert_eq!(snapshots, 2);
    }
}

#[tokio::test]
async fn the_script_refuses_what_is_damaged_newer_or_of_another_key() {
    let archive = Archive::new();
    fs::write(archive.folder().join("file"), noise(3, 100_000)).expect("written");
    archive.store("2026-03-01T01:00:00Z").await;
    assert!(archive.refused("another passphrase").contains("no key file opens"));

    let repository = archive.scratch.path().join("repository");
    let (config, plain) = (repository.join("config"), fs::read(repository.join("config")).expect("it is there"));
    let text = String::from_utf8(plain.clone()).expect("text");
    replace(&config, text.replace("\"version\":1", "\"version\":2").as_bytes());
    assert!(archive.refused(PASSPHRASE).contains("config is of a newer version"));
    replace(&config, text.replace("\"version\":1", "\"version\":1,\"more\":1").as_bytes());
    assert!(archive.refused(PASSPHRASE).contains("config has a field that is not known"));
    replace(&config, &plain);

    let folders = fs::read_dir(repository.join("packs")).expect("packs").map(|entry| entry.expect("one").path());
    let packs = folders.flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let pack = packs.map(|entry| entry.expect("a pack").path()).next().expect("there is one");
    let mut bytes = fs::read(&pack).expect("it is there");
    bytes[100] ^= 1;
    replace(&pack, &bytes);
    let said = archive.refused(PASSPHRASE);
    assert!(said.contains("is damaged") && said.contains(&*pack.to_string_lossy()), "{said}");
}

/// Objects may be write-protected, so the file is made anew.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).expect("removed");
    fs::write(path, bytes).expect("written");
}
