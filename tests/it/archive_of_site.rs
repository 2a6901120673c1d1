//! The archive of a site: what `[archive]` in site.toml has runs and commands do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tests::noise;
use tests::program::{Program, Ran};

/// A site of one file that is new for each backup, with an archive.
struct Site {
    program: Program,
    scratch: TempDir,
}

/// Bytes of the site's file.
const LEN: usize = 300_000;

impl Site {
    fn new(keep: &str) -> Self {
        let site = Self::without_repository(keep);
        site.run(0, &["archive", "init"]);
        site
    }

    fn without_repository(keep: &str) -> Self {
        let site = Self { program: Program::build(), scratch: TempDir::new().expect("a scratch folder") };
        for folder in ["data", "backup"] {
            fs::create_dir(site.at(folder)).expect("made");
        }
        site.write("passphrase", "correct horse battery staple\n");
        site.configure("passphrase-file = \"passphrase\"\nrecovery-sheet = \"in the vault\"", keep);
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().expect("Unicode").to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.at(name), content).expect("written");
    }

    fn configure(&self, key: &str, keep: &str) {
        let keep = if keep.is_empty() { String::new() } else { format!("keep = {{ {keep} }}\n") };
        self.write(
            "site.toml",
            format!(
                "version = 1\n[site]\ncode = \"P01\"\n[files]\ninclude = [\"data\"]\n[task]\ndestination = {{ local = \"backup\" }}\n\
                 session-lock = \"session.lock\"\n[archive]\nrepository = \"repository\"\n{key}\n{keep}"
            ),
        );
    }

    fn run(&self, expect: i32, args: &[&str]) -> Ran {
        let ran = self.program.run([&["--site", &self.text("site.toml")], args].concat());
        assert_eq!(ran.code, expect, "{ran:#?}");
        ran
    }

    /// The result of a command.
    fn result(&self, expect: i32, args: &[&str]) -> Value {
        self.run(expect, &[args, &["--json"]].concat()).json()["result"].clone()
    }

    /// Backs up content that is like none before it.
    fn backup(&self, expect: i32, seed: u64) -> Value {
        self.write("data/file", noise(seed, LEN));
        self.result(expect, &["backup"])
    }

    fn archived(&self) -> Vec<String> {
        self.run(0, &["archive", "snapshots", "--json"]).snapshot_ids()
    }

    fn published(&self) -> Value {
        let listed = self.result(0, &["snapshots"]);
        let snapshots = listed["snapshots"].as_array().expect("a list").clone();
        assert_eq!(snapshots.len(), 1, "{snapshots:?}");
        snapshots[0]["id"].clone()
    }

    fn status_messages(&self) -> Vec<u64> {
        let messages = self.result(0, &["log"])["messages"].as_array().expect("a list").clone();
        messages.iter().map(|message| message["id"].as_u64().expect("a number")).collect()
    }
}

#[test]
fn a_run_archives_and_lets_go_by_the_policy() {
    let site = Site::new("last = 2");
    let runs: Vec<Value> = (1..=3).map(|seed| site.backup(0, seed)).collect();
    let id = |run: &Value| run["archived"]["id"].as_str().expect("archived").to_owned();
    assert!(runs[2]["archived"]["added"].as_u64().expect("bytes") >= 300_000, "{}", runs[2]);
    assert_eq!(runs[1]["archived"]["forgotten"], Value::Array(Vec::new()));
    assert_eq!(runs[2]["archived"]["forgotten"], serde_json::json!([id(&runs[0])]));
    assert_eq!(site.archived(), [id(&runs[1]), id(&runs[2])]);
    assert_eq!(site.published(), runs[2]["run"]);
    site.run(0, &["archive", "verify", "--read-data"]);
    site.run(0, &["archive", "restore", "latest", "--to", &site.text("restored")]);
    fs::create_dir(site.at("recovered")).expect("made");
    site.run(0, &["recover", "--from", &site.text("restored"), "--to", &site.text("recovered")]);
    let place = site.at("data/file").strip_prefix("/").expect("absolute").to_owned();
    assert_eq!(fs::read(site.at("recovered").join(place)).expect("recovered"), noise(3, LEN));
    let shown = site.run(0, &["backup"]).stdout;
    assert!(shown.contains("archive") && shown.contains("1 snapshot let go"), "{shown}");
}

/// What an option names goes before what a variable names, and this before site.toml.
#[test]
fn a_repository_is_made_where_it_will_be_looked_for() {
    let site = Site::without_repository("");
    let opened_by = |ran: &Ran| -> Vec<String> {
        let keys = ran.json()["result"]["keys"].as_array().expect("a list").clone();
        keys.iter().map(|key| key["opened_by"].as_str().expect("text").to_owned()).collect()
    };
    let init = |variable: &str, args: &[&str]| {
        let site_toml = site.text("site.toml");
        let mut command = site.program.command([&["--site", &site_toml, "archive", "init", "--json"], args].concat());
        tests::program::finish(command.env("SITEBACKUP_REPOSITORY", variable).spawn().expect("it starts"))
            .expect("ends")
    };
    let twice = init("", &[&site.text("one"), "--repository", &site.text("two")]);
    assert!(twice.code == 2 && twice.stdout.contains("are to be the new repository"), "{twice:#?}");
    for (variable, args, made) in [
        ("by-variable", vec![site.text("by-name")], "by-name"),
        ("by-variable", vec!["--repository".to_owned(), site.text("by-option")], "by-option"),
        ("by-variable", vec![], "by-variable"),
        ("", vec![], "repository"),
    ] {
        let variable = if variable.is_empty() { String::new() } else { site.text(variable) };
        let ran = init(&variable, &Vec::from_iter(args.iter().map(String::as_str)));
        assert_eq!(ran.code, 0, "{ran:#?}");
        assert_eq!(ran.json()["result"]["repository"], site.text(made).as_str());
        assert!(site.at(made).join("config").exists(), "{made}");
        assert_eq!(opened_by(&ran), ["a passphrase"], "{made}");
    }
    site.backup(0, 1);
    assert_eq!(site.archived().len(), 1, "what opens it is what site.toml names");

    // A recipient is a key that was named: no other one is made unasked.
    let made = site.run(0, &["archive", "keys", "identity", &site.text("identity")]).stdout;
    let recipient = made.split_whitespace().find(|word| word.starts_with("sitebackup-recipient-")).expect("told");
    let ran = init("", &[&site.text("for-one"), "--recipient", recipient]);
    assert_eq!((ran.code, opened_by(&ran)), (0, vec![recipient.to_owned()]), "{ran:#?}");
    site.configure("identity-file = \"identity\"", "");
    let refused = init("", &[&site.text("for-nobody")]);
    assert!(refused.code == 2 && refused.stdout.contains("--recipient"), "{refused:#?}");
    assert!(!site.at("for-nobody").exists());
}

#[test]
fn an_archive_that_is_away_costs_no_snapshot_and_is_told() {
    let site = Site::new("last = 2");
    site.backup(0, 1);
    fs::rename(site.at("repository"), site.at("away")).expect("moved");
    let run = site.backup(3, 2);
    assert_eq!((&run["outcome"], &run["archived"]), (&"incomplete".into(), &Value::Null));
    assert_eq!(site.published(), run["run"], "it takes the earlier one's place");
    let messages = site.status_messages();
    assert_eq!(messages[messages.len() - 2..], [5035, 5045], "{messages:?}");
    let checked = site.run(26, &["check"]);
    assert!(checked.stderr.contains("the archive cannot be used"), "{checked:#?}");
    assert!(checked.stdout.contains("it would be made all the same"), "{checked:#?}");
    let status = site.run(3, &["status"]);
    assert!(status.stdout.contains("incomplete"), "{status:#?}");
    fs::rename(site.at("away"), site.at("repository")).expect("moved");
    site.run(0, &["check"]);
    let run = site.backup(0, 2);
    assert_eq!(site.archived().len(), 2, "{run}");
    site.run(0, &["status"]);
}

/// AfterBackup sends the signal, so that it comes before the archive is even opened.
#[test]
fn a_signal_breaks_archiving_off_and_costs_no_snapshot() {
    let site = Site::new("");
    site.backup(0, 1);
    site.write("AfterBackup", "#!/bin/sh\nkill -INT $PPID\n");
    fs::set_permissions(site.at("AfterBackup"), fs::Permissions::from_mode(0o755)).expect("set");
    site.write("data/file", noise(2, LEN));
    let run = site.run(130, &["backup"]);
    assert!(run.stdout.contains("Site P01 is backed up, but the run was interrupted."), "{run:#?}");
    assert!(run.stderr.contains("the snapshot was not archived: interrupted"), "{run:#?}");
    assert_eq!(site.archived().len(), 1);
    let listed = site.result(0, &["snapshots"])["snapshots"].as_array().expect("a list").clone();
    assert!(
        listed.len() == 1 && run.stdout.contains(listed[0]["short"].as_str().expect("an id")),
        "{listed:?} {run:#?}"
    );
    assert_eq!(site.result(0, &["archive", "leases"])["leases"], serde_json::json!([]));
    let messages = site.status_messages();
    assert_eq!(messages[messages.len() - 3..], [5035, 5040, 5045], "{messages:?}");
    fs::remove_file(site.at("AfterBackup")).expect("removed");
    site.run(0, &["backup"]);
    assert_eq!(site.archived().len(), 2);
}

#[test]
fn of_a_latest_snapshot_that_is_weaker_the_last_good_one_is_named() {
    let site = Site::new("");
    (0..20).for_each(|n| site.write(&format!("data/{n}"), "content"));
    site.backup(0, 1);
    (0..20).for_each(|n| fs::remove_file(site.at("data").join(n.to_string())).expect("removed"));
    site.backup(3, 2);
    let ids = site.archived();
    let recover = |id: &str, to: &str| {
        fs::create_dir(site.at(to)).expect("made");
        site.run(0, &["recover", "--from-archive", id, "--to", &site.text(to)]).stderr
    };
    let told = recover("latest", "latest");
    assert!(told.contains(&format!("snapshot {} is weaker than asked for", &ids[1][..12])), "{told}");
    assert!(told.contains(&format!("the last good one is {}", &ids[0][..12])), "{told}");
    assert!(!recover(&ids[0], "good").contains("weaker"));
    site.run(0, &["archive", "forget", &ids[0], "--last-good"]);
    let told = recover("latest", "only");
    assert!(told.contains("weaker than asked for") && !told.contains("the last good one"), "{told}");
}

#[test]
fn a_wrong_passphrase_costs_no_snapshot() {
    let site = Site::new("");
    site.write("passphrase", "incorrect horse\n");
    let run = site.backup(3, 1);
    assert_eq!(site.published(), run["run"]);
    site.run(28, &["check"]);
}

#[test]
fn expiry_is_explained_before_it_is_done() {
    let site = Site::new("");
    (1..=4).for_each(|seed| drop(site.backup(0, seed)));
    let ids = site.archived();
    assert_eq!(ids.len(), 4, "without a rule nothing goes");
    let refused = site.run(2, &["archive", "expire"]);
    assert!(refused.stderr.contains("keep = "), "{refused:#?}");
    site.configure("passphrase-file = \"passphrase\"", "last = 1");
    site.run(0, &["archive", "pin", &ids[1]]);
    let told = site.run(0, &["archive", "expire", "--dry-run"]);
    let lines: Vec<&str> = told.stdout.lines().collect();
    let says = |line: usize, words: &[&str]| {
        assert!(
            lines[line].starts_with(&ids[line][..12]) && words.iter().all(|word| lines[line].contains(word)),
            "{lines:#?}"
        );
    };
    says(0, &["goes", "no rule asks for it"]);
    says(1, &["stays", "pinned"]);
    says(2, &["goes", "no rule asks for it"]);
    says(3, &["stays", "the newest, the last good one, last 1 of 1"]);
    assert!(
        lines[4].starts_with("2 snapshots of site P01 would be forgotten, 2 would stay. A prune would free"),
        "{lines:#?}"
    );
    assert_eq!(site.archived(), ids, "a dry run changes nothing");
    let would = site.result(0, &["archive", "expire", "--dry-run"]);
    let packs = |told: &Value| [&told["dead_packs"], &told["repacked"]].map(|packs| packs.as_u64().expect("a number"));
    assert!(packs(&would["frees"]).iter().sum::<u64>() >= 2, "two of the files are not needed: {would}");
    assert!(would["frees"]["dead_bytes"].as_u64().expect("bytes") >= 300_000, "{would}");
    let done = site.result(0, &["archive", "expire"]);
    assert_eq!(done["forgotten"], serde_json::json!([ids[0], ids[2]]));
    assert_eq!(site.archived(), [ids[1].clone(), ids[3].clone()]);
    let pruned = site.result(0, &["archive", "prune", "--dry-run"]);
    assert_eq!(packs(&pruned), packs(&would["frees"]), "what was told is what is free to go");
    assert_eq!(site.result(0, &["archive", "expire"])["forgotten"], Value::Array(Vec::new()));
    site.run(0, &["archive", "prune"]);
    site.run(0, &["archive", "verify", "--read-data"]);
}

/// Nobody knows whose it is, nor whether it is the last good one.
#[test]
fn while_a_snapshot_cannot_be_read_none_goes() {
    let site = Site::new("last = 1");
    fs::create_dir(site.at("P02Backup")).expect("made");
    site.run(0, &["archive", &site.text("P02Backup")]);
    let object = site.at("repository/snapshots").join(&site.archived()[0]);
    let whole = fs::read(&object).expect("read");
    site.backup(0, 1);
    let mut altered = whole.clone();
    altered[100] ^= 1;
    fs::write(&object, altered).expect("written");
    let run = site.backup(3, 2);
    assert_eq!((&run["archived"]["forgotten"], site.published()), (&Value::Array(Vec::new()), run["run"].clone()));
    let messages = site.status_messages();
    assert_eq!(messages[messages.len() - 2..], [5035, 5045], "{messages:?}");
    let refused = site.run(27, &["archive", "expire"]);
    assert!(refused.stderr.contains("archive forget ID"), "{refused:#?}");
    assert_eq!(site.result(3, &["archive", "snapshots"])["snapshots"].as_array().map(Vec::len), Some(2));
    fs::write(&object, whole).expect("as it was");
    assert_eq!(site.result(0, &["archive", "expire"])["forgotten"].as_array().map(Vec::len), Some(1));
}

#[test]
fn damage_that_a_run_meets_is_told() {
    let site = Site::new("");
    site.backup(0, 1);
    let folder = fs::read_dir(site.at("repository/packs")).expect("packs").next().expect("one").expect("listed").path();
    let pack = fs::read_dir(folder).expect("a folder").next().expect("one").expect("listed").path();
    let mut bytes = fs::read(&pack).expect("read");
    *bytes.last_mut().expect("some") ^= 1;
    fs::write(&pack, bytes).expect("written");
    site.write("data/file", noise(2, LEN));
    let run = site.run(3, &["backup"]);
    assert!(run.stdout.contains("archive"), "it is archived all the same: {run:#?}");
    assert!(run.stderr.contains(&*pack.file_name().expect("a name").to_string_lossy()), "{run:#?}");
    let messages = site.status_messages();
    assert_eq!(messages[messages.len() - 2..], [5035, 5045], "{messages:?}");
}

/// The archive is shared: what is another site's is not looked at.
#[test]
fn another_sites_snapshots_stay() {
    let site = Site::new("last = 1");
    fs::create_dir(site.at("P02Backup")).expect("made");
    site.write("P02Backup/smsbkup.log", "done");
    site.run(0, &["archive", &site.text("P02Backup")]);
    (1..=3).for_each(|seed| drop(site.backup(0, seed)));
    let listed = site.result(0, &["archive", "snapshots"])["snapshots"].as_array().expect("a list").clone();
    let sites: Vec<&str> = listed.iter().filter_map(|snapshot| snapshot["site"].as_str()).collect();
    assert_eq!(sites.len(), 2);
    assert!(sites.contains(&"P01") && sites.contains(&"P02"), "{sites:?}");
    assert_eq!(site.result(0, &["archive", "expire"])["snapshots"].as_array().expect("a list").len(), 1);
}

#[test]
fn a_server_that_only_stores_leaves_retention_to_others() {
    let site = Site::new("last = 1");
    let made = site.run(0, &["archive", "keys", "identity", &site.text("identity")]);
    let recipient =
        made.stdout.split_whitespace().find(|word| word.starts_with("sitebackup-recipient-")).expect("told");
    site.run(0, &["archive", "keys", "add", "--recipient", recipient, "--write-only"]);
    site.configure("identity-file = \"identity\"", "last = 1");
    for seed in 1..=2 {
        assert_eq!(site.backup(0, seed)["archived"]["forgotten"], Value::Array(Vec::new()));
    }
    let checked = site.run(0, &["check"]);
    assert!(checked.stderr.contains("`keep` is not applied by this server"), "{checked:#?}");
    assert!(!checked.stderr.contains("both are lost at once"), "it opens nothing: {checked:#?}");
    site.run(28, &["archive", "expire"]);
    let passphrase = site.text("passphrase");
    let expired = site.result(0, &["archive", "expire", "--passphrase-file", &passphrase]);
    assert_eq!(expired["forgotten"].as_array().expect("a list").len(), 1, "an option goes before site.toml");
}
