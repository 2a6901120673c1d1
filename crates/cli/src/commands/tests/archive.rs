//! `archive` on real folders, as the command line has it.

mod damage;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::args::Cli;

/// A folder of the product's, a repository, and what opens it.
struct Archive(TempDir);

impl Archive {
    fn new() -> Self {
        let archive = Self(tempfile::tempdir().expect("a scratch folder"));
        fs::create_dir_all(archive.path("P01Backup/SiteServer/sub")).expect("made");
        archive.write("P01Backup/smsbkup.log", "done");
        archive.write("P01Backup/SiteServer/a.txt", "one");
        archive.write("P01Backup/SiteServer/sub/large", &"0123456789abcdef".repeat(20_000));
        fs::hard_link(archive.path("P01Backup/SiteServer/sub/large"), archive.path("P01Backup/SiteServer/zname"))
            .expect("linked");
        symlink("a.txt", archive.path("P01Backup/SiteServer/link")).expect("linked");
        archive.write("pass", "open sesame\n");
        archive.write("wrong", "open barley\n");
        archive.ok("init @repo --passphrase-file @pass");
        archive
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Runs a command line of `archive` in which `@` stands for the folder.
    fn run(&self, line: &str) -> Result<Answer, CommandError> {
        let folder = format!("{}/", self.0.path().display());
        let args = ["sitebackup", "archive"].into_iter().chain(line.split(' ')).map(|arg| arg.replace('@', &folder));
        let Cli { global, command } = Cli::try_parse_from(args).expect("a command line");
        let session = Session { global, cancel: Cancel::default(), screen: Arc::default() };
        let name = command.name();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let answer = runtime.block_on(super::super::run(&session, command))?;
        assert_documented(name, &answer.result);
        Ok(answer)
    }

    /// The same with the repository and its passphrase.
    fn open(&self, line: &str) -> Result<Answer, CommandError> {
        self.run(&format!("{line} --repository @repo --passphrase-file @pass"))
    }

    #[track_caller]
    fn ok(&self, line: &str) -> Value {
        let answer = if line.starts_with("init") { self.run(line) } else { self.open(line) };
        let answer = answer.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        assert_eq!(answer.exit, Exit::DONE, "{line}: {answer:?}");
        answer.result
    }

    #[track_caller]
    fn store(&self) -> String {
        self.ok("@P01Backup")["snapshot"]["id"].as_str().expect("an id").to_owned()
    }

    /// The refusal of a command line, with all that is said.
    #[track_caller]
    fn refused(&self, line: &str, kind: Exit, words: &[&str]) {
        let error = self.open(line).expect_err(line);
        Self::says(&error, kind, words);
    }

    #[track_caller]
    fn says(error: &CommandError, kind: Exit, words: &[&str]) {
        assert_eq!(error.kind, kind, "{error:?}");
        let said = Printer::shown_error("archive", error);
        assert!(!error.hints.is_empty(), "no remedy: {said}");
        for word in words {
            assert!(said.contains(word), "`{word}` is not said: {said}");
        }
    }

    fn packs(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.path("repo/packs")).expect("packs").map(|entry| entry.expect("listed").path());
        let mut packs: Vec<PathBuf> = folders
            .flat_map(|folder| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("listed").path()))
            .collect();
        packs.sort();
        packs
    }
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_is_archived_comes_back_with_its_metadata() {
    let archive = Archive::new();
    let file = archive.path("P01Backup/SiteServer/a.txt");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
    let id = archive.store();
    let listed = archive.ok("snapshots");
    assert_eq!(listed["snapshots"][0]["id"], id.as_str());
    assert_eq!(listed["snapshots"][0]["site"], "P01");
    assert_eq!(archive.ok("show latest")["snapshot"]["folder"], "P01Backup");
    let restored = archive.ok("restore latest --to @out");
    assert_eq!(restored["whole"], true);
    let out = archive.path("out/SiteServer");
    assert_eq!(content(&out.join("a.txt")), "one");
    let (was, is) = (fs::metadata(&file).expect("there"), fs::metadata(out.join("a.txt")).expect("there"));
    assert_eq!((is.mode(), is.mtime(), is.mtime_nsec()), (was.mode(), was.mtime(), was.mtime_nsec()));
    assert_eq!(fs::read_link(out.join("link")).expect("a link"), Path::new("a.txt"));
    let inode = |name: &str| fs::metadata(out.join(name)).expect("there").ino();
    assert_eq!(inode("sub/large"), inode("zname"));
    let again = archive.ok("restore latest --to @out");
    assert_eq!((&again["written"], &again["bytes"]), (&0.into(), &0.into()));
}

#[test]
fn single_paths_are_restored_alone() {
    let archive = Archive::new();
    archive.store();
    archive.ok("restore latest SiteServer/zname SiteServer/link --to @out");
    let out = archive.path("out/SiteServer");
    assert_eq!(content(&out.join("zname")).len(), 320_000, "its first name was not asked for");
    assert!(out.join("link").is_symlink());
    assert!(!out.join("sub").exists() && !archive.path("out/smsbkup.log").exists());
    archive.refused("restore latest --to @repo/packs", Exit::USAGE, &["repo/packs", "lies in the archive repository"]);
    archive.refused("restore latest SiteServer/none --to @out", Exit::USAGE, &["SiteServer/none", "archive files"]);
    // As a script's variable with nothing in it.
    archive.refused("restore latest  --to @out", Exit::USAGE, &["an empty path", "archive files"]);
}

#[test]
fn a_file_that_was_changed_later_is_not_overwritten_unasked() {
    let archive = Archive::new();
    archive.store();
    archive.ok("restore latest --to @out");
    archive.write("out/SiteServer/a.txt", "newer");
    fs::remove_file(archive.path("out/smsbkup.log")).expect("removed");
    let answer = archive.open("restore latest --to @out").expect("an answer");
    assert_eq!(answer.exit, Exit::RECOVERY, "{answer:?}");
    assert_eq!(content(&archive.path("out/SiteServer/a.txt")), "newer");
    assert!(!archive.path("out/smsbkup.log").exists(), "nothing is written");
    archive.ok("restore latest --to @out --overwrite-newer");
    assert_eq!(content(&archive.path("out/SiteServer/a.txt")), "one");
}

#[test]
fn differences_are_told() {
    let archive = Archive::new();
    let old = archive.store();
    archive.ok(&format!("diff {old} latest"));
    archive.write("P01Backup/SiteServer/a.txt", "other");
    archive.write("P01Backup/SiteServer/new", "new");
    fs::remove_file(archive.path("P01Backup/SiteServer/link")).expect("removed");
    let new = archive.store();
    let answer = archive.open(&format!("diff {old} {new}")).expect("an answer");
    assert_eq!(answer.exit, Exit::INCOMPLETE);
    let text = String::from_utf8_lossy(&answer.text).into_owned();
    for line in ["M SiteServer/a.txt\n", "+ SiteServer/new\n", "- SiteServer/link\n", "m SiteServer\n"] {
        assert!(text.contains(line), "`{line}` is not in {text}");
    }
    assert!(!text.contains("large"), "{text}");
}

#[test]
fn the_last_good_snapshot_and_a_pinned_one_stay() {
    let archive = Archive::new();
    let first = archive.store();
    archive.refused(&format!("forget {first}"), Exit::USAGE, &["the last good one of site P01", "--last-good"]);
    archive.write("P01Backup/SiteServer/sub/large", &"fedcba9876543210".repeat(20_000));
    archive.store();
    archive.ok(&format!("pin {first}"));
    archive.refused(&format!("forget {first}"), Exit::USAGE, &["is pinned", "unpin"]);
    archive.ok(&format!("unpin {first}"));
    archive.ok(&format!("forget {first}"));
    let before = archive.packs();
    let would = archive.ok("prune --dry-run");
    assert_eq!(archive.packs(), before, "a dry run changes nothing");
    let pruned = archive.ok("prune");
    assert_eq!(would["dead_packs"], pruned["dead_packs"]);
    assert_ne!(archive.packs(), before);
    archive.ok("verify --read-data");
    archive.ok("restore latest --to @out");
    assert!(content(&archive.path("out/SiteServer/sub/large")).starts_with("fedc"));
}

/// A folder that refuses nothing, so that it is this program which deletes nothing there.
#[test]
fn append_only_deletes_nothing() {
    let archive = Archive::new();
    let id = archive.store();
    let there = |folder: &str| fs::read_dir(archive.path("repo").join(folder)).map_or(0, Iterator::count);
    assert_eq!((there("leases"), there("ended")), (0, 0));
    archive.ok("@P01Backup --append-only");
    assert_eq!((there("leases"), there("ended")), (1, 1), "an object more says that it is over");
    let deleting = ["prune", "expire", "unlock a", "keys remove a", "keys passphrase --new-passphrase-file @wrong"]
        .map(str::to_owned);
    for command in deleting.into_iter().chain(["forget", "unpin"].map(|command| format!("{command} {id}"))) {
        archive.refused(&format!("{command} --append-only"), Exit::USAGE, &["--append-only", "may delete"]);
    }
    archive.ok("prune --dry-run --append-only");
    archive.ok(&format!("pin {id} --append-only"));
    assert_eq!((there("leases"), there("ended")), (1, 1));
    archive.ok("prune");
    assert_eq!((there("leases"), there("ended")), (0, 0));
}

#[test]
fn a_prune_that_waits_tells_for_whom_until_the_lease_is_removed() {
    let archive = Archive::new();
    let first = archive.store();
    archive.write("P01Backup/SiteServer/sub/large", &"fedcba9876543210".repeat(20_000));
    archive.store();
    archive.ok(&format!("forget {first}"));
    let lease = |digit: &str, holder: &str| {
        fs::create_dir_all(archive.path("repo/leases")).expect("made");
        let facts = format!("{{\"purpose\":\"store\",\"holder\":\"{holder}\"}}");
        archive.write(&format!("repo/leases/{}", digit.repeat(32)), &facts);
    };
    lease("a", "process 7 on p01\\u001b[2J");
    let answer = archive.open("prune").expect("an answer");
    assert_eq!((answer.exit, &answer.result["deleted_bytes"]), (Exit::INCOMPLETE, &0.into()), "{answer:?}");
    assert_eq!(answer.result["waits_for"].as_array().map(Vec::len), Some(1));
    let said = Printer::shown("archive prune", &answer);
    assert!(said.contains("process 7 on p01[2J") && said.contains("archive unlock"), "{said}");
    assert!(archive.ok("prune --dry-run")["dead_bytes"].as_u64() > Some(0), "what waits would go, too");
    lease("b", "another");
    archive.refused("unlock c", Exit::USAGE, &["0 leases begin with `c`", "archive leases"]);
    archive.refused("unlock ", Exit::USAGE, &["0 leases begin with ``"]);
    lease("c", "another");
    archive.write("repo/leases/cc", "{\"purpose\":\"store\",\"holder\":\"short\"}");
    archive.refused("unlock c", Exit::USAGE, &["2 leases begin with `c`"]);
    assert_eq!(archive.ok("leases")["leases"].as_array().map(Vec::len), Some(4));
    archive.ok("unlock aa");
    let pruned = archive.ok("prune");
    assert!(pruned["deleted_bytes"].as_u64() > Some(0), "it waits for nobody who came later: {pruned}");
}

#[test]
fn a_repository_that_is_none() {
    let archive = Archive::new();
    let error = archive.run("snapshots --repository @P01Backup --passphrase-file @pass").expect_err("none");
    Archive::says(&error, Exit::ARCHIVE, &["P01Backup", "no archive repository", "archive init"]);
    let error = archive.run("snapshots --repository @nowhere --passphrase-file @pass").expect_err("none");
    Archive::says(&error, Exit::ARCHIVE, &["nowhere", "does not exist"]);
    let error = archive.run("init @P01Backup --passphrase-file @pass").expect_err("not empty");
    Archive::says(&error, Exit::ARCHIVE, &["P01Backup", "empty"]);
    let error = archive.run("init @repo --passphrase-file @pass").expect_err("there is one");
    Archive::says(&error, Exit::ARCHIVE, &["repo", "empty"]);
    let error = archive.run("init @no/repo --passphrase-file @pass").expect_err("nothing above it");
    Archive::says(&error, Exit::ARCHIVE, &["could not be made", "the one above it"]);
    let error = archive.run("init @another").expect_err("no key");
    Archive::says(&error, Exit::USAGE, &["--passphrase-file", "--recipient"]);
    assert!(!archive.path("another").exists());
}

#[test]
fn a_wrong_passphrase_and_a_wrong_id() {
    let archive = Archive::new();
    archive.store();
    let error = archive.run("snapshots --repository @repo --passphrase-file @wrong").expect_err("wrong");
    Archive::says(&error, Exit::KEY, &["the passphrase opens no key", "keys list"]);
    let error = archive.run("snapshots --repository @repo --passphrase-file @nofile").expect_err("no file");
    assert_eq!(error.kind, Exit::KEY);
    archive.write("empty", "\n");
    archive.write("large", &"x".repeat(70_000));
    for (file, why) in [("empty", "its first line is empty"), ("large", "is too long")] {
        let line = format!("snapshots --repository @repo --passphrase-file @{file}");
        let error = archive.run(&line).expect_err("no secret");
        Archive::says(&error, Exit::KEY, &[file, why, "whose first line is the passphrase"]);
    }
    archive.refused("show abcxyz", Exit::SNAPSHOT, &["abcxyz", "archive snapshots"]);
    for n in 0..17 {
        archive.write("P01Backup/SiteServer/a.txt", &n.to_string());
        archive.store();
    }
    let listed = archive.ok("snapshots");
    let ids = listed["snapshots"].as_array().expect("a list").iter();
    let mut firsts: Vec<char> = ids.filter_map(|snapshot| snapshot["id"].as_str()?.chars().next()).collect();
    firsts.sort_unstable();
    let twice = firsts.windows(2).find(|pair| pair[0] == pair[1]).expect("17 ids and 16 digits")[0];
    archive.refused(&format!("show {twice}"), Exit::SNAPSHOT, &["snapshots have an id that begins with"]);
}

#[test]
fn a_folder_that_is_not_to_be_archived() {
    let archive = Archive::new();
    archive.refused("store @nothing", Exit::FILES, &["nothing"]);
    archive.refused("store @pass", Exit::USAGE, &["is no folder"]);
    fs::create_dir(archive.path("some")).expect("made");
    archive.refused("store @some", Exit::USAGE, &["whose snapshot", "--code"]);
    archive.ok("store @some --code P02");
    archive.write("some/.sitebackup", "");
    archive.refused("store @some --code P02", Exit::SNAPSHOT, &["is not finished"]);
    let folder = archive.path("").display().to_string();
    archive.refused(&format!("store {folder} --code P01"), Exit::USAGE, &["lie in one another"]);
    archive.refused("@P01Backup snapshots", Exit::USAGE, &["before the command"]);
}

#[test]
fn keys_come_and_go_and_one_that_stores_does_not_read() {
    let archive = Archive::new();
    archive.store();
    let made = archive.ok("keys identity @me");
    assert_eq!(fs::metadata(archive.path("me")).expect("there").mode() & 0o777, 0o600);
    let recipient = made["recipient"].as_str().expect("a recipient").to_owned();
    archive.ok(&format!("keys add --recipient {recipient} --write-only --label server"));
    let by_identity = |line: &str| archive.run(&format!("{line} --repository @repo --identity-file @me"));
    assert_eq!(by_identity("@P01Backup").expect("stored").exit, Exit::DONE);
    let error = by_identity("snapshots").expect_err("it only stores");
    Archive::says(&error, Exit::KEY, &["a key that reads"]);
    let error = by_identity("keys passphrase --new-passphrase-file @wrong").expect_err("it has none");
    Archive::says(&error, Exit::USAGE, &["me` would open nothing any more", "keys add"]);
    assert_eq!(by_identity("@P01Backup").expect("it still opens").exit, Exit::DONE);
    archive.ok("keys passphrase --new-passphrase-file @wrong");
    let error = archive.open("snapshots").expect_err("the old passphrase");
    assert_eq!(error.kind, Exit::KEY);
    let listed = archive.run("snapshots --repository @repo --passphrase-file @wrong").expect("the new one opens");
    assert_eq!(listed.result["snapshots"].as_array().map(Vec::len), Some(3));
    let keys = archive.run("keys list --repository @repo").expect("no key is needed").result;
    let only_reads = keys["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["holds"] == "read"));
    let id = only_reads.expect("one that reads")["id"].as_str().expect("an id").to_owned();
    let remove = format!("keys remove {id} --repository @repo --passphrase-file @wrong");
    Archive::says(&archive.run(&remove).expect_err("the last one"), Exit::KEY, &[&id, "another key"]);
}

#[test]
fn nothing_on_the_recovery_sheet_is_secret() {
    let archive = Archive::new();
    let answer = archive.run("init @second --passphrase-file @pass").expect("made");
    let sheet = String::from_utf8(answer.text).expect("text");
    let key = fs::read_dir(archive.path("second/keys")).expect("keys").next().expect("one").expect("listed");
    for word in ["second", "docs/format.md", "archive_reader.py", &key.file_name().to_string_lossy()] {
        assert!(sheet.contains(word), "`{word}` is not in {sheet}");
    }
    assert!(!sheet.contains("sesame"), "{sheet}");
}
