//! `archive restore` on a folder with all that is hard to bring back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use archive::keys::{self, Key};
use archive::storage::Storage;
use archive::storage::local::LocalStorage;
use tempfile::TempDir;
use tests::noise;
use tests::program::{Program, Ran, finish};

use crate::hard_tree::{build, facts};

/// Small files beside the hard ones.
const SMALL: u64 = 1_500;

/// A folder that is archived, and where it is restored to.
struct Bench {
    scratch: TempDir,
    program: Program,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { scratch: TempDir::new().expect("a scratch folder"), program: Program::build() };
        fs::create_dir(bench.at("folder")).expect("a folder");
        fs::write(bench.at("pass"), "correct horse battery staple\n").expect("written");
        bench.archive(&["init", &bench.text("repository")]);
        bench
    }

    /// With the hard tree in it, archived.
    fn of_hard_tree() -> Self {
        let bench = Self::new();
        let small = bench.at("folder/small");
        fs::create_dir(&small).expect("a folder");
        (0..SMALL).for_each(|n| fs::write(small.join(n.to_string()), noise(n, 5_000)).expect("written"));
        build(&bench.at("folder"), 256);
        bench.store();
        bench
    }

    fn store(&self) {
        self.archive(&["store", &self.text("folder"), "--code", "P01"]);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().expect("Unicode").to_owned()
    }

    fn args(&self, args: &[&str]) -> Vec<String> {
        let (repository, pass) = (self.text("repository"), self.text("pass"));
        let access = ["--repository", &repository, "--passphrase-file", &pass, "--json"];
        ["archive"].iter().chain(args).chain(&access).map(|arg| (*arg).to_owned()).collect()
    }

    fn archive(&self, args: &[&str]) -> Ran {
        let ran = self.program.run(self.args(args));
        assert_eq!(ran.code, 0, "{ran:#?}");
        ran
    }

    /// Restores all of it; returns how many entries were written, and how many were right.
    fn restore(&self) -> (u64, u64) {
        let result = self.archive(&["restore", "latest", "--to", &self.text("to")]).json()["result"].clone();
        let count = |name: &str| result[name].as_u64().expect("a number");
        (count("written"), count("already"))
    }

    /// Starts a restore and kills it once so many small files stand there.
    fn restore_killed_after(&self, files: usize) {
        let to = self.text("to");
        let mut child =
            self.program.command(self.args(&["restore", "latest", "--to", &to])).spawn().expect("it starts");
        let small = self.at("to/small");
        let stand = || fs::read_dir(&small).map_or(0, Iterator::count);
        while stand() < files && child.try_wait().expect("a child").is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("killed");
        let ran = finish(child).expect("it ended");
        assert_eq!(ran.code, 128 + 9, "it was not to end by itself: {ran:#?}");
    }
}

/// What tells whether anybody wrote to a file, for all files that stand whole in a folder. To give one another name changes it, too: those with
/// several are left out.
fn marks(root: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let is_whole = |path: &Path| path.extension().is_none_or(|extension| extension != "part");
    let files = facts(root).into_keys().map(|path| root.join(path)).filter(|path| is_whole(path));
    let mark = |path: PathBuf| {
        let facts = path.symlink_metadata().expect("it is there");
        (facts.is_file() && facts.nlink() == 1).then(|| (path, (facts.ino(), facts.ctime(), facts.ctime_nsec())))
    };
    files.filter_map(mark).collect()
}

/// Of `now`, what was touched since `before`.
fn touched(before: &BTreeMap<PathBuf, (u64, i64, i64)>, root: &Path) -> Vec<PathBuf> {
    let now = marks(root);
    let changed = now.into_iter().filter(|(path, mark)| before.get(path) != Some(mark));
    changed.map(|(path, _)| path.strip_prefix(root).expect("below it").to_owned()).collect()
}

/// What stood before, and was touched all the same.
fn written_again(before: &BTreeMap<PathBuf, (u64, i64, i64)>, root: &Path) -> Vec<PathBuf> {
    touched(before, root).into_iter().filter(|path| before.contains_key(&root.join(path))).collect()
}

#[test]
fn all_that_is_hard_comes_back() {
    let bench = Bench::of_hard_tree();
    let (written, already) = bench.restore();
    assert_eq!(facts(&bench.at("to")), facts(&bench.at("folder")));
    let standing = marks(&bench.at("to"));
    let again = bench.restore();
    assert_eq!((again.0, again.1), (0, written + already));
    assert_eq!(touched(&standing, &bench.at("to")), [""; 0].map(PathBuf::from));
    // Beside each of so many places with data at most two pieces of 64 KiB are written, and of a hole nothing.
    for (name, places) in [("sparse", 2), ("hole", 0), ("many-holes", 60)] {
        let blocks = fs::metadata(bench.at("to").join(name)).expect("there").blocks();
        assert!(blocks * 512 <= places * 2 * (64 << 10), "{name}: {blocks} blocks");
    }
}

#[test]
fn a_restore_that_was_killed_goes_on_with_what_stands() {
    let bench = Bench::of_hard_tree();
    for files in [1, 300, 900] {
        let before = match bench.at("to").exists() {
            true => marks(&bench.at("to")),
            false => BTreeMap::new(),
        };
        bench.restore_killed_after(files);
        assert_eq!(written_again(&before, &bench.at("to")), [""; 0].map(PathBuf::from));
    }
    let standing = marks(&bench.at("to"));
    let (written, already) = bench.restore();
    assert!(
        already >= standing.len() as u64 && written > 0,
        "{written} written, {already} right, {} stood",
        standing.len()
    );
    assert_eq!(written_again(&standing, &bench.at("to")), [""; 0].map(PathBuf::from));
    assert_eq!(facts(&bench.at("to")), facts(&bench.at("folder")), "and nothing half-written is left");
}

#[test]
fn in_place_only_the_differences_are_written() {
    let bench = Bench::of_hard_tree();
    bench.restore();
    let to = bench.at("to");
    let before = marks(&to);
    let database = File::options().write(true).open(to.join("database.mdf")).expect("it opens");
    let modified = fs::metadata(to.join("database.mdf")).expect("there").modified().expect("a time");
    database.write_all_at(b"other", 1_000_000).expect("written");
    // With the time that it had: by its hash alone is it found.
    database.set_modified(modified).expect("set");
    fs::remove_file(to.join("small/7")).expect("removed");
    fs::write(to.join("stays"), "the snapshot does not have it").expect("written");
    let (written, _) = bench.restore();
    assert_eq!(written, 2);
    let stays = "stays";
    assert_eq!(touched(&before, &to), ["database.mdf", "small/7", stays].map(PathBuf::from));
    fs::remove_file(to.join(stays)).expect("removed");
    bench.restore();
    assert_eq!(facts(&to), facts(&bench.at("folder")));
}

/// Gives the only frame of a pack other bytes, as anybody can who has the key that reads.
fn forge(pack: &Path, key: &Key) {
    let Key::Read(key) = key else { panic!("it only writes") };
    let mut bytes = fs::read(pack).expect("read");
    let index = u32::from_le_bytes(*bytes.last_chunk().expect("a length")) as usize;
    let (head, end) = (88, bytes.len() - 4 - index);
    let sealed = key.unseal(bytes[8..head].first_chunk().expect("80 bytes")).expect("its own key");
    let mut frame = bytes[head..end].to_vec();
    sealed.decrypt(0, &[], &mut frame).expect("one frame");
    frame[0] ^= 1;
    sealed.encrypt(0, &[], &mut frame);
    bytes.splice(head..end, frame);
    let name = blake3::hash(&bytes).to_hex().to_string();
    fs::remove_file(pack).expect("removed");
    fs::write(pack.with_file_name(name), bytes).expect("written");
}

/// All opens and authenticates, and is not what was archived.
#[test]
fn another_content_is_told_whoever_prints_or_restores_it() {
    let bench = Bench::new();
    fs::write(bench.at("folder/file"), noise(1, 100_000)).expect("written");
    bench.store();
    let cat = || bench.program.run(bench.args(&["cat", "latest", "file"]).iter().filter(|arg| *arg != "--json"));
    assert_eq!(cat().code, 0);
    let storage = LocalStorage::open(bench.at("repository")).expect("there");
    let opened = keys::open_with_passphrase(&storage, "correct horse battery staple", None).expect("it opens");
    let packs = storage.list("packs").expect("listed");
    // The other one holds the records.
    let pack = packs.iter().max_by_key(|pack| pack.len).expect("two");
    forge(&bench.at("repository").join(&pack.name), &opened.key);
    let ran = cat();
    assert_eq!(ran.code, 27);
    assert!(ran.stderr.contains("`file` does not have the content that was archived"), "{}", ran.stderr);
    assert!(ran.stderr.contains("what was written is not the file"), "{}", ran.stderr);
    let ran = bench.program.run(bench.args(&["restore", "latest", "--to", &bench.text("to")]));
    assert_eq!(ran.code, 27, "{ran:#?}");
    assert!(!bench.at("to/file").exists());
}

#[test]
fn single_paths_come_back_with_the_folders_above_them() {
    let bench = Bench::of_hard_tree();
    let paths = ["small/7", "locked", "sparse"];
    bench.archive(&[&["restore", "latest"], &paths[..], &["--to", &bench.text("to")]].concat());
    let whole = facts(&bench.at("folder"));
    let mut restored = facts(&bench.at("to"));
    restored.remove(Path::new("")).expect("the target itself, which is nobody's");
    let names: Vec<&str> = restored.keys().map(|path| path.to_str().expect("Unicode")).collect();
    assert_eq!(names, ["locked", "small", "small/7", "sparse"]);
    assert!(restored.iter().all(|(path, facts)| whole.get(path) == Some(facts)), "with their metadata");
}

#[cfg(feature = "servers")]
mod lost {
    use std::ffi::OsStr;
    use std::os::unix::fs::{chown, lchown};
    use std::process::Command;

    use rustix::fs::{XattrFlags, setxattr};
    use tests::volume::Volume;

    use super::*;

    /// The remedy that is told.
    const REMEDY: &str = "repeat the call once the reason is gone";

    impl Bench {
        /// A restore to `to`, as `run_by` starts the program; it must tell of each of these entries and of no other one, and bring back all others.
        fn loses(&self, to: &Path, run_by: &[&str], entries: &[&str]) {
            let args = self.args(&["restore", "latest", "--to", to.to_str().expect("Unicode")]);
            let args = args.iter().filter(|arg| *arg != "--json").map(OsStr::new);
            let all: Vec<&OsStr> =
                run_by.iter().map(OsStr::new).chain([self.program.path().as_os_str()]).chain(args).collect();
            let output = Command::new(all[0]).args(&all[1..]).env("NO_COLOR", "1").output().expect("it starts");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(23), "{said}");
            for entry in entries {
                let named = format!("failed to set the metadata of `{}`", to.join(entry).display());
                assert!(said.contains(&named), "{entry}: {said}");
            }
            assert_eq!(said.matches("failed to").count(), entries.len(), "{said}");
            assert!(said.contains(REMEDY), "{said}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("is restored in part"), "{output:?}");
            let (mut was, mut is) = (facts(&self.at("folder")), facts(to));
            for entry in entries.iter().map(Path::new) {
                let folder = was.remove(entry).expect("it was archived").content == "folder";
                assert_eq!(is.remove(entry).is_some(), folder, "a file that is not whole is not there");
            }
            assert_eq!(is, was);
        }
    }

    #[test]
    fn attributes_that_cannot_be_kept_are_an_error() {
        let bench = Bench::new();
        build(&bench.at("folder"), 8);
        setxattr(bench.at("folder/locked"), "user.test", b"of a folder", XattrFlags::empty()).expect("kept here");
        bench.store();
        let volume = Volume::ramfs();
        bench.loses(&volume.path().join("to"), &[], &["a", "locked"]);
        bench.restore();
        assert_eq!(facts(&bench.at("to")), facts(&bench.at("folder")), "elsewhere all is kept");
    }

    /// In a namespace of one user nothing can be given to another one.
    #[test]
    fn owners_that_cannot_be_kept_are_an_error() {
        let bench = Bench::new();
        build(&bench.at("folder"), 8);
        chown(bench.at("folder/shared"), Some(1234), None).expect("root may");
        lchown(bench.at("folder/to-nothing"), None, Some(2345)).expect("root may");
        bench.store();
        let names = ["caf\u{e9}", "shared", "to-nothing"];
        bench.loses(&bench.at("to"), &["unshare", "--user", "--map-root-user"], &names);
        bench.restore();
        assert_eq!(facts(&bench.at("to")), facts(&bench.at("folder")), "what is lacking comes when it can be kept");
    }
}
