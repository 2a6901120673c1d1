//! Kills and full disks: what was archived stays whole, and the call that was cut off goes on when it is repeated.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use tests::program::{Program, Ran};
use tests::{noise, poll_until, tree_hash};

/// Kills of each command.
const KILLS: u32 = if cfg!(feature = "servers") { 24 } else { 3 };

/// A repository, and a folder as the product leaves one.
struct Archive {
    program: Program,
    scratch: TempDir,
    repository: PathBuf,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("Unicode")
}

fn hash_of(folder: &Path) -> String {
    tree_hash(folder).expect("it can be read")
}

fn write_noise(path: &Path, seed: u64, len: usize) {
    fs::write(path, noise(seed, len)).expect("written");
}

impl Archive {
    fn new(place: Option<&Path>) -> Self {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let repository = place.unwrap_or(scratch.path()).join("repository");
        let archive = Self { program: Program::build(), scratch, repository };
        fs::create_dir(archive.folder()).expect("a folder");
        fs::write(archive.at("passphrase"), "correct horse battery staple\n").expect("written");
        assert_eq!(archive.run(&["init"]).code, 0);
        archive
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn folder(&self) -> PathBuf {
        self.at("P01Backup")
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let (repository, passphrase) = (&self.repository, self.at("passphrase"));
        let place = if args[0] == "init" { [].as_slice() } else { &["--repository"] };
        let access = [text(repository), "--passphrase-file", text(&passphrase)];
        self.program.command([&["archive"], args, place, &access].concat())
    }

    fn run(&self, args: &[&str]) -> Ran {
        tests::program::finish(self.command(args).spawn().expect("it starts")).expect("it ends")
    }

    fn good(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{ran:#?}");
        ran
    }

    /// New content in the folder, some of it in small files.
    fn change(&self, seed: u64, bytes: usize) {
        write_noise(&self.folder().join("large"), seed, bytes);
        for n in 0..20 {
            write_noise(&self.folder().join(format!("{n}")), seed << 8 | n, 20_000);
        }
    }

    fn store(&self) -> Ran {
        self.run(&[text(&self.folder())])
    }

    fn ids(&self) -> Vec<String> {
        self.good(&["snapshots", "--json"]).snapshot_ids()
    }

    /// All of the archive can be read, and `id` comes back as a tree of this hash.
    fn is_whole(&self, id: &str, hash: &str) {
        self.good(&["verify", "--read-data"]);
        let restored = self.at("restored");
        self.good(&["restore", id, "--to", text(&restored)]);
        assert_eq!(hash_of(&restored), hash, "{id}");
        fs::remove_dir_all(restored).expect("it goes");
    }

    fn unlock_all(&self) -> usize {
        let leases = self.good(&["leases", "--json"]).json();
        let leases = leases["result"]["leases"].as_array().expect("a list").clone();
        for lease in &leases {
            self.good(&["unlock", lease["id"].as_str().expect("an id")]);
        }
        leases.len()
    }

    /// Files that have no name yet.
    fn temporary(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.repository.join("tmp"));
        folder.expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Starts a command and kills it after `moment`; whether it was still at work.
    fn kill(&self, args: &[&str], moment: Duration) -> bool {
        let mut child = self.command(args).spawn().expect("it starts");
        let began = Instant::now();
        poll_until(Duration::from_secs(60), || (began.elapsed() >= moment).then_some(()));
        child.kill().expect("it is our child");
        !child.wait().expect("it is our child").success()
    }
}

#[test]
fn stores_that_are_killed_lose_nothing_and_go_on() {
    let archive = Archive::new(None);
    archive.change(1, 20 << 20);
    let first = hash_of(&archive.folder());
    let began = Instant::now();
    assert_eq!(archive.store().code, 0);
    let whole = began.elapsed();
    let id = archive.ids().remove(0);
    let mut killed = 0;
    for kill in 0..KILLS {
        archive.change(u64::from(kill) + 2, 20 << 20);
        killed += u32::from(archive.kill(&[text(&archive.folder())], whole * (kill + 1) / (KILLS + 1)));
        archive.is_whole(&id, &first);
    }
    assert!(killed * 2 >= KILLS, "only {killed} of {KILLS} were still at work");
    let last = hash_of(&archive.folder());
    assert_eq!(archive.store().code, 0);
    archive.is_whole("latest", &last);
    // A lease is taken before the first byte, so some of the kills have left one.
    let leases = archive.unlock_all();
    assert!(leases > 0 && leases <= killed as usize, "{leases} leases after {killed} kills");
    // Whose they are, nobody can tell before they are a day old.
    let left = archive.temporary();
    let young = archive.at("young");
    archive.good(&["prune"]);
    assert_eq!(archive.temporary().len(), left.len());
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    write_noise(&young, 1, 10);
    let old = left.iter().map(|path| File::options().write(true).open(path).expect("it opens"));
    old.for_each(|file| file.set_modified(yesterday).expect("old"));
    fs::copy(&young, archive.repository.join("tmp/0123456789abcdef.part")).expect("copied");
    archive.good(&["prune"]);
    assert_eq!(archive.temporary(), [archive.repository.join("tmp/0123456789abcdef.part")]);
    archive.is_whole(&id, &first);
    archive.is_whole("latest", &last);
}

#[test]
fn prunes_that_are_killed_lose_nothing_and_go_on() {
    let archive = Archive::new(None);
    archive.change(0, 200_000);
    let kept = hash_of(&archive.folder());
    assert_eq!(archive.store().code, 0);
    let id = archive.ids().remove(0);
    let mut whole = None;
    let mut killed = 0;
    for kill in 0..=KILLS {
        // Most of a pack goes and the rest is copied.
        archive.change(u64::from(kill) + 1, 30 << 20);
        assert_eq!(archive.store().code, 0);
        fs::remove_file(archive.folder().join("large")).expect("removed");
        assert_eq!(archive.store().code, 0);
        let small = hash_of(&archive.folder());
        let ids = archive.ids();
        let large = ids.iter().rev().nth(1).expect("three");
        archive.good(&["forget", large]);
        match whole {
            None => {
                let began = Instant::now();
                archive.good(&["prune"]);
                whole = Some(began.elapsed());
            }
            Some(whole) => killed += u32::from(archive.kill(&["prune"], whole * kill / (KILLS + 1))),
        }
        archive.is_whole(&id, &kept);
        archive.is_whole("latest", &small);
        // Who stores is not kept from it.
        assert_eq!(archive.store().code, 0);
        archive.unlock_all();
        archive.good(&["prune"]);
        archive.is_whole(&id, &kept);
        archive.is_whole("latest", &small);
    }
    assert!(killed * 2 >= KILLS, "only {killed} of {KILLS} were still at work");
}

#[cfg(all(target_os = "linux", feature = "servers"))]
mod full {
    use rustix::fs::FallocateFlags;
    use tests::volume::Volume;

    use super::*;

    /// Fills the volume until so many bytes are free; what fills it is in the folder.
    fn fill(volume: &Volume, free: u64) -> PathBuf {
        let filler = volume.path().join("filler");
        fs::create_dir(&filler).expect("a folder");
        let file = File::create(filler.join("large")).expect("a file");
        let has_room = |step: u64| {
            let facts = rustix::fs::statvfs(volume.path()).expect("a file system");
            facts.f_bavail * facts.f_frsize >= free + step
        };
        let (mut taken, mut small) = (0, 0..);
        // Room of what was deleted comes back when the journal commits, and with what is written here, some more of it.
        loop {
            rustix::fs::syncfs(&file).expect("synced");
            let before = (taken, small.clone());
            for step in [1 << 20, 4 << 10] {
                while has_room(step) && rustix::fs::fallocate(&file, FallocateFlags::empty(), taken, step).is_ok() {
                    taken += step;
                }
            }
            // The last blocks: to a large file the system gives none that it may need for the file's own extents, and it knows of more than it tells.
            let fills = |n: &u32| fs::write(filler.join(n.to_string()), [1]).is_ok();
            while (free == 0 || has_room(4 << 10)) && fills(&small.start) {
                small.start += 1;
            }
            if before == (taken, small.clone()) {
                break;
            }
        }
        filler
    }

    fn is_told(archive: &Archive, ran: &Ran) {
        assert_eq!(ran.code, 12, "{ran:#?}");
        assert!(ran.stderr.contains("no room for `"), "{ran:#?}");
        assert!(ran.stderr.contains(text(&archive.repository)), "{ran:#?}");
    }

    #[test]
    fn a_full_disk_is_told_and_nothing_is_half_there() {
        let volume = Volume::ext4();
        let archive = Archive::new(Some(&volume.path()));
        archive.change(1, 3 << 20);
        let first = hash_of(&archive.folder());
        assert_eq!(archive.store().code, 0);
        let id = archive.ids().remove(0);

        // A store that breaks off at its lease, at a pack, at the last one, at the snapshot.
        archive.change(2, 40 << 20);
        let second = hash_of(&archive.folder());
        for free in [0, 100 << 10, 1 << 20, 17 << 20, 4 << 20] {
            let filler = fill(&volume, free);
            let ran = archive.store();
            is_told(&archive, &ran);
            assert_eq!(archive.ids(), [id.as_str()]);
            assert_eq!(archive.temporary(), [""; 0].map(PathBuf::from));
            fs::remove_dir_all(filler).expect("room");
            archive.is_whole(&id, &first);
        }
        let ran = archive.store();
        assert_eq!(ran.code, 0, "{ran:#?}");
        archive.is_whole("latest", &second);

        // A prune that has to copy what is left of packs.
        fs::remove_file(archive.folder().join("large")).expect("removed");
        let third = hash_of(&archive.folder());
        assert_eq!(archive.store().code, 0);
        let ids = archive.ids();
        archive.good(&["forget", &ids[1]]);
        for free in [0, 12 << 10, 64 << 10, 300 << 10] {
            let filler = fill(&volume, free);
            is_told(&archive, &archive.run(&["prune"]));
            fs::remove_dir_all(filler).expect("room");
            archive.is_whole(&id, &first);
            archive.is_whole("latest", &third);
        }
        archive.unlock_all();
        assert!(archive.good(&["prune", "--json"]).json()["result"]["deleted_bytes"].as_u64() > Some(30 << 20));
        archive.is_whole(&id, &first);
        archive.is_whole("latest", &third);

        // A change of the passphrase: the old one stays.
        let (old, new) = (archive.at("passphrase"), archive.at("new"));
        fs::write(&new, "another passphrase\n").expect("written");
        let filler = fill(&volume, 0);
        is_told(&archive, &archive.run(&["keys", "passphrase", "--new-passphrase-file", text(&new)]));
        archive.is_whole(&id, &first);
        fs::remove_dir_all(filler).expect("room");
        archive.good(&["keys", "passphrase", "--new-passphrase-file", text(&new)]);
        assert_eq!(archive.run(&["snapshots"]).code, 28, "the old passphrase is gone");
        fs::rename(new, old).expect("renamed");
        archive.is_whole(&id, &first);
    }

    fn chattr(flag: &str, paths: &[PathBuf]) {
        let status = std::process::Command::new("chattr").arg(flag).args(paths).status();
        assert!(status.is_ok_and(|status| status.success()), "chattr {flag}: apt-get install e2fsprogs");
    }

    fn below(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    }

    /// The folders that docs/archive.md names, and the files in them.
    fn protected(repository: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut folders: Vec<PathBuf> =
            ["keys", "packs", "snapshots", "leases", "ended"].iter().map(|name| repository.join(name)).collect();
        folders.extend(below(&repository.join("packs")));
        let files = folders.iter().flat_map(|folder| below(folder)).filter(|path| path.is_file()).collect();
        (folders, files)
    }

    #[test]
    fn a_folder_that_refuses_to_delete_and_to_overwrite_is_stored_into() {
        let volume = Volume::ext4();
        let archive = Archive::new(Some(&volume.path()));
        for name in ["snapshots", "leases", "ended"] {
            fs::create_dir(archive.repository.join(name)).expect("made");
        }
        (0..256).for_each(|n| fs::create_dir_all(archive.repository.join(format!("packs/{n:02x}"))).expect("made"));
        let mut days = Vec::new();
        for (day, option) in [(1, None), (2, Some("--append-only")), (3, Some("--append-only"))] {
            let (folders, files) = protected(&archive.repository);
            chattr("+a", &folders);
            chattr("+i", &files);
            archive.change(day, 1 << 20);
            let folder = archive.folder();
            archive.good(&[&[text(&folder)], option.as_slice()].concat());
            days.push((archive.ids().pop().expect("stored"), hash_of(&archive.folder())));
            assert_eq!(archive.good(&["leases", "--json"]).json()["result"]["leases"], serde_json::json!([]));
            assert_eq!(archive.temporary(), [""; 0].map(PathBuf::from));
            for (id, hash) in &days {
                archive.is_whole(id, hash);
            }
        }
        let first = &days[0].0;
        assert_eq!(archive.run(&["forget", first]).code, 26);
        assert_eq!(archive.run(&["forget", first, "--append-only"]).code, 2);
        assert_eq!(archive.ids().len(), 3);
        fs::remove_file(archive.repository.join("snapshots").join(first)).expect_err("the system refuses");

        // Elsewhere, by somebody who may.
        let (folders, files) = protected(&archive.repository);
        chattr("-a", &folders);
        chattr("-i", &files);
        archive.good(&["forget", first]);
        archive.good(&["prune"]);
        assert_eq!(below(&archive.repository.join("ended")).len() + below(&archive.repository.join("leases")).len(), 0);
        for (id, hash) in &days[1..] {
            archive.is_whole(id, hash);
        }
    }
}
