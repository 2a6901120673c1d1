//! From a running site through the archive and back.

use std::fs;
use std::path::{Path, PathBuf};

use tests::JournalMode;
use tests::program::Ran;

use crate::site::TestSite;

/// Backups that are archived: more where the suite is run whole.
const ROUNDS: u64 = if cfg!(feature = "servers") { 10 } else { 2 };

/// A site whose snapshots are archived.
struct Archived {
    test: TestSite,
}

fn text(path: &Path) -> String {
    path.to_str().expect("Unicode").to_owned()
}

impl Archived {
    fn new(journal_mode: JournalMode) -> Self {
        let archived = Self { test: TestSite::running(journal_mode, 20) };
        fs::write(archived.at("passphrase"), "correct horse battery staple\n").expect("written");
        archived.archive(0, &["init", &text(&archived.at("repository"))]);
        archived
    }

    fn at(&self, name: &str) -> PathBuf {
        self.test.site.dir().join(name)
    }

    /// Runs the program with the repository and its passphrase, on a machine without site.toml.
    fn run(&self, expect: i32, args: &[&str]) -> Ran {
        let (repository, passphrase) = (text(&self.at("repository")), text(&self.at("passphrase")));
        let access = ["--repository", &repository, "--passphrase-file", &passphrase];
        let ran = self.test.program.run([args, &access].concat());
        assert_eq!(ran.code, expect, "{ran:#?}");
        ran
    }

    fn archive(&self, expect: i32, args: &[&str]) -> Ran {
        self.run(expect, &[&["archive"], args].concat())
    }

    /// A backup of the running site, archived.
    fn back_up(&self) {
        self.test.workload.wait_for_progress().expect("the site works");
        self.test.backup(0);
        self.archive(0, &[&text(&self.snapshot())]);
    }

    /// Recovers the site straight from the archive, and reads its number.
    fn recovered_number(&self, id: &str) -> u64 {
        let to = self.at("from-archive");
        fs::create_dir(&to).expect("a new folder");
        let ran = self.run(0, &["recover", "--from-archive", id, "--to", &text(&to), "--json"]).json();
        assert_eq!(ran["result"]["end"], "whole", "{ran}");
        let counters = self.test.counters_in(&to);
        assert!(counters.agree(), "{counters}");
        fs::remove_dir_all(&to).expect("it goes");
        counters.highest()
    }

    fn packs(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.at("repository/packs")).expect("packs").map(|entry| entry.expect("one").path());
        folders
            .flat_map(|folder| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path()))
            .collect()
    }

    fn snapshot(&self) -> PathBuf {
        self.test.site.destination().join("P01Backup")
    }

    /// Restores an archived snapshot, recovers the site from what was restored, and reads its number.
    fn number_of(&self, id: &str) -> u64 {
        let (restored, recovered) = (self.at("restored"), self.at("recovered"));
        self.archive(0, &["restore", id, "--to", &text(&restored)]);
        fs::create_dir(&recovered).expect("a new folder");
        let ran = self.test.program.run(["recover", "--from", &text(&restored), "--to", &text(&recovered)]);
        assert_eq!(ran.code, 0, "{ran:#?}");
        let counters = self.test.counters_in(&recovered);
        assert!(counters.agree(), "{counters}");
        [restored, recovered].iter().for_each(|folder| fs::remove_dir_all(folder).expect("it goes"));
        counters.highest()
    }

    fn ids(&self) -> Vec<String> {
        self.archive(0, &["snapshots", "--json"]).snapshot_ids()
    }
}

#[test]
fn every_backup_comes_back_from_the_archive_as_it_was() {
    let archived = Archived::new(JournalMode::Delete);
    let mut numbers = Vec::new();
    for _ in 0..ROUNDS {
        archived.test.workload.wait_for_progress().expect("the site works");
        archived.test.backup(0);
        archived.archive(0, &[&text(&archived.snapshot())]);
        numbers.push(archived.number_of("latest"));
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    archived.archive(0, &["verify", "--read-data"]);
    let ids = archived.ids();
    let again: Vec<u64> = ids.iter().map(|id| archived.number_of(id)).collect();
    assert_eq!(again, numbers);
    archived.archive(0, &["forget", &ids[0]]);
    archived.archive(0, &["prune"]);
    archived.archive(0, &["verify", "--read-data"]);
    assert_eq!(archived.number_of(&ids[1]), numbers[1]);
}

#[test]
fn what_is_not_as_it_was_sealed_is_not_archived() {
    let archived = Archived::new(JournalMode::Delete);
    archived.test.backup(0);
    let file = archived.snapshot().join("SiteServer/SMSServer/inboxes/counter.txt");
    let content = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, content.replace('0', "1")).expect("altered");
    let ran = archived.archive(22, &[&text(&archived.snapshot())]);
    assert!(ran.stderr.contains("inboxes/counter.txt` is not as it was sealed"), "{ran:#?}");
    fs::remove_file(&file).expect("removed");
    archived.archive(22, &[&text(&archived.snapshot())]);
    assert_eq!(archived.ids(), [""; 0]);
    fs::write(&file, content).expect("as it was");
    archived.archive(0, &[&text(&archived.snapshot())]);
    assert_eq!(archived.ids().len(), 1);
}

#[test]
fn a_site_is_recovered_straight_from_the_archive() {
    for journal_mode in [JournalMode::Delete, JournalMode::Wal] {
        let archived = Archived::new(journal_mode);
        let mut numbers = Vec::new();
        for _ in 0..ROUNDS {
            archived.back_up();
            numbers.push(archived.recovered_number("latest"));
            assert_eq!(numbers.last(), Some(&archived.number_of("latest")), "over a plain folder it is the same");
        }
        assert!(numbers.is_sorted_by(|a, b| a < b), "{journal_mode:?}: {numbers:?}");
        let again: Vec<u64> = archived.ids().iter().map(|id| archived.recovered_number(&id[..12])).collect();
        assert_eq!(again, numbers, "{journal_mode:?}");
    }
}

#[test]
fn a_site_is_put_back_in_place_from_the_archive() {
    let archived = Archived::new(JournalMode::Delete);
    archived.back_up();
    let number = archived.recovered_number("latest");
    archived.test.workload.wait_for_progress().expect("the site works on");
    let site = text(&archived.test.site.site_toml());
    let in_place = ["--site", &site, "recover", "--from-archive", "latest"];
    let running = archived.run(17, &[&in_place[..], &["--overwrite-newer"]].concat());
    assert!(running.stderr.contains("is running: it would write"), "{running:#?}");
    archived.test.workload.stop_all().expect("the services stop");
    let newer = archived.run(23, &in_place);
    assert!(newer.stderr.contains("was changed after the snapshot"), "{newer:#?}");
    archived.run(0, &[&in_place[..], &["--overwrite-newer"]].concat());
    let counters = archived.test.site.counters().expect("the site's numbers");
    assert!(counters.agree() && counters.highest() == number, "{counters} instead of {number}");
    archived.test.backup(0);
}

#[test]
fn an_archived_site_is_rehearsed() {
    let archived = Archived::new(JournalMode::Wal);
    archived.back_up();
    let scratch = archived.at("scratch");
    fs::create_dir(&scratch).expect("a new folder");
    let rehearse = ["rehearse", "--from-archive", "latest", "--scratch", &text(&scratch)];
    let ran = archived.run(0, &[&rehearse[..], &["--probe", "test -d $SITEBACKUP_REHEARSAL"]].concat());
    assert!(ran.stdout.contains("can be recovered"), "{ran:#?}");
    archived.run(23, &[&rehearse[..], &["--probe", "false"]].concat());
    assert_eq!(fs::read_dir(&scratch).expect("the folder").count(), 0, "nothing is left of it");
}

#[test]
fn a_pack_that_was_altered_is_refused_by_name_before_anything_is_written() {
    let archived = Archived::new(JournalMode::Delete);
    archived.back_up();
    let (to, scratch) = (archived.at("to"), archived.at("scratch"));
    [&to, &scratch].iter().for_each(|folder| fs::create_dir(folder).expect("a new folder"));
    let recover = ["recover", "--from-archive", "latest", "--to", &text(&to)];
    let rehearse = ["rehearse", "--from-archive", "latest", "--scratch", &text(&scratch)];
    for pack in archived.packs() {
        let whole = fs::read(&pack).expect("read");
        fs::remove_file(&pack).expect("removed");
        // In a frame, and in the index at the end.
        for at in [100, whole.len() - 10] {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            fs::write(&pack, altered).expect("altered");
            for command in [&recover[..], &[&recover[..], &["--dry-run"]].concat(), &rehearse] {
                let ran = archived.run(27, command);
                assert!(ran.stderr.contains(&*pack.file_name().expect("a name").to_string_lossy()), "{ran:#?}");
            }
        }
        fs::write(&pack, whole).expect("as it was");
    }
    for folder in [&to, &scratch] {
        assert_eq!(fs::read_dir(folder).expect("the folder").count(), 0, "nothing was written");
    }
    fs::write(archived.at("passphrase"), "another one\n").expect("written");
    archived.run(28, &recover);
    fs::write(archived.at("passphrase"), "correct horse battery staple\n").expect("written");
    archived.run(0, &recover);
}

#[test]
fn the_latest_snapshot_is_that_of_the_site() {
    let archived = Archived::new(JournalMode::Delete);
    archived.back_up();
    let of_site = archived.ids()[0].clone();
    let product = archived.at("P02Backup");
    fs::create_dir(&product).expect("a new folder");
    archived.archive(0, &[&text(&product)]);
    let to = text(&archived.at("to"));
    let recover =
        |id: &str| ["recover".to_owned(), "--from-archive".to_owned(), id.to_owned(), "--to".to_owned(), to.clone()];
    let refused = |expect: i32, id: &str, words: &str| {
        let command = recover(id);
        let ran = archived.run(expect, &command.each_ref().map(String::as_str));
        assert!(ran.stderr.contains(words), "{ran:#?}");
    };
    refused(2, "latest", "holds snapshots of P01, P02");
    let ids = archived.ids();
    refused(22, ids.iter().find(|id| **id != of_site).expect("the product's"), "made by another program");
    refused(22, "0000", "begins with `0000`");
    let site = text(&archived.test.site.site_toml());
    // Whose it is and of what moment, nobody knows any more.
    let object =
        archived.at("repository/snapshots").join(ids.iter().find(|id| **id != of_site).expect("the product's"));
    let mut altered = fs::read(&object).expect("read");
    altered[100] ^= 1;
    fs::write(&object, altered).expect("written");
    let ran = archived.run(0, &["--site", &site, "recover", "--from-archive", "latest", "--to", &to]);
    assert!(ran.stderr.contains("a newer one may be there that cannot be read"), "{ran:#?}");
    let ran = archived.test.program.run(["recover", "--from", &to, "--repository", &to]);
    assert!(ran.code == 2 && ran.stderr.contains("--from-archive"), "{ran:#?}");
}
