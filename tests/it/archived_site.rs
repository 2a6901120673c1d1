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
    fn new() -> Self {
        let archived = Self { test: TestSite::running(JournalMode::Delete, 20) };
        fs::write(archived.at("passphrase"), "correct horse battery staple\n").expect("written");
        archived.archive(0, &["init", &text(&archived.at("repository"))]);
        archived
    }

    fn at(&self, name: &str) -> PathBuf {
        self.test.site.dir().join(name)
    }

    fn archive(&self, expect: i32, args: &[&str]) -> Ran {
        let (repository, passphrase) = (text(&self.at("repository")), text(&self.at("passphrase")));
        let access = ["--repository", &repository, "--passphrase-file", &passphrase];
        let ran = self.test.program.run([&["archive"], args, &access].concat());
        assert_eq!(ran.code, expect, "{ran:#?}");
        ran
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
        let listed = self.archive(0, &["snapshots", "--json"]).json();
        let snapshots = listed["result"]["snapshots"].as_array().expect("a list").clone();
        snapshots.iter().map(|snapshot| snapshot["id"].as_str().expect("an id").to_owned()).collect()
    }
}

#[test]
fn every_backup_comes_back_from_the_archive_as_it_was() {
    let archived = Archived::new();
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
    let archived = Archived::new();
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
