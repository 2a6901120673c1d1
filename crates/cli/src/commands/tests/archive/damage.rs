//! What is damaged is named with what to do about it, and what it does not touch comes back.

use super::*;

#[test]
fn a_damaged_pack_is_named_and_what_it_does_not_touch_restores() {
    let archive = Archive::new();
    archive.store();
    let before = archive.packs();
    archive.write("P01Backup/SiteServer/other", &"not in the first snapshot ".repeat(20_000));
    let second = archive.store();
    let new: Vec<PathBuf> = archive.packs().into_iter().filter(|pack| !before.contains(pack)).collect();
    assert!(!new.is_empty());
    for pack in &new {
        let mut bytes = fs::read(pack).expect("read");
        bytes[100] ^= 1;
        fs::set_permissions(pack, fs::Permissions::from_mode(0o600)).expect("set");
        fs::write(pack, bytes).expect("written");
    }
    let answer = archive.open("verify --read-data").expect("an answer");
    assert_eq!(answer.exit, Exit::ARCHIVE_DAMAGED, "{answer:?}");
    assert_eq!(answer.result["broken"], serde_json::json!([second]));
    let first = answer.result["whole"][0].as_str().expect("the other one is whole").to_owned();
    let said = Printer::shown("archive verify", &answer);
    let name = new[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(said.contains(&name), "{said}");
    archive.ok(&format!("restore {first} --to @out"));
    assert_eq!(content(&archive.path("out/SiteServer/a.txt")), "one");
}

#[test]
fn of_a_snapshot_that_is_damaged_all_that_is_whole_restores() {
    let archive = Archive::new();
    archive.store();
    let before = archive.packs();
    archive.write("P01Backup/SiteServer/other", &"not in the first snapshot ".repeat(20_000));
    let id = archive.store();
    let mut in_part = 0;
    for pack in archive.packs().into_iter().filter(|pack| !before.contains(pack)) {
        let whole = fs::read(&pack).expect("read");
        let mut bytes = whole.clone();
        bytes[100] ^= 1;
        fs::write(&pack, bytes).expect("written");
        let name = pack.file_name().expect("a name").to_string_lossy().into_owned();
        match archive.open(&format!("restore {id} --to @out")) {
            // What tells of the entries is in the other one.
            Err(error) => Archive::says(&error, Exit::ARCHIVE_DAMAGED, &[&name]),
            Ok(answer) => {
                in_part += 1;
                assert_eq!(
                    (answer.exit, &answer.result["whole"]),
                    (Exit::ARCHIVE_DAMAGED, &false.into()),
                    "{answer:?}"
                );
                let said = Printer::shown("archive restore", &answer);
                assert!(said.contains(&name) && said.contains("SiteServer/other"), "{said}");
                assert_eq!(content(&archive.path("out/SiteServer/a.txt")), "one");
                assert!(!archive.path("out/SiteServer/other").exists());
                let error = archive.open(&format!("cat {id} SiteServer/other")).expect_err("it cannot be read");
                Archive::says(&error, Exit::ARCHIVE_DAMAGED, &[&name]);
            }
        }
        fs::write(&pack, whole).expect("written");
    }
    assert_eq!(in_part, 1);
    archive.ok(&format!("restore {id} --to @out"));
    assert!(content(&archive.path("out/SiteServer/other")).starts_with("not in"));
}

#[test]
fn a_store_that_meets_a_damaged_pack_says_so() {
    let archive = Archive::new();
    archive.store();
    let pack = archive.packs().remove(0);
    let mut bytes = fs::read(&pack).expect("read");
    *bytes.last_mut().expect("some") ^= 1;
    fs::write(&pack, bytes).expect("written");
    let answer = archive.open("@P01Backup").expect("stored all the same");
    assert_eq!(answer.exit, Exit::INCOMPLETE, "{answer:?}");
    let name = pack.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(Printer::shown("archive store", &answer).contains(&name), "{answer:?}");
}

#[test]
fn a_damaged_snapshot_is_forgotten_by_its_whole_id_only() {
    let archive = Archive::new();
    let id = archive.store();
    let object = archive.path("repo/snapshots").join(&id);
    let mut bytes = fs::read(&object).expect("read");
    bytes[100] ^= 1;
    fs::remove_file(&object).expect("removed");
    fs::write(&object, bytes).expect("written");
    let remedy = format!("archive forget {id}");
    archive.refused(&format!("forget {}", &id[..12]), Exit::ARCHIVE_DAMAGED, &["another hash", &remedy]);
    archive.refused("forget latest --last-good", Exit::SNAPSHOT, &["there is no archived snapshot"]);
    archive.refused("prune", Exit::ARCHIVE_DAMAGED, &[&id]);
    archive.ok(&format!("forget {}", id.to_uppercase()));
    archive.ok("prune");
    assert!(archive.packs().is_empty(), "nothing needs them");
}

/// Whoever restores `latest` must not take yesterday's snapshot for it.
#[test]
fn that_a_newer_snapshot_may_be_there_is_told_whoever_asks_for_the_latest() {
    let archive = Archive::new();
    let ids = [archive.store(), archive.store()];
    let object = archive.path("repo/snapshots").join(&ids[1]);
    let mut bytes = fs::read(&object).expect("read");
    bytes[100] ^= 1;
    fs::write(&object, bytes).expect("written");
    for line in ["show #", "files #", "diff # #", "restore # --to @out", "pin #", "unpin #"] {
        let told = |id: &str| {
            let answer = archive.open(&line.replace('#', id)).expect("the other one is whole");
            assert_eq!(answer.exit, Exit::DONE, "{line}");
            Printer::shown("archive", &answer).contains("a newer one may be there that cannot be read")
        };
        assert_eq!((told("latest"), told(&ids[0])), (true, false), "{line}");
    }
}

/// A store takes what rotted for what is there, as long as the index of its pack can be read.
#[test]
fn what_rotted_is_stored_anew_once_its_pack_is_moved_away() {
    for n in 0..2 {
        let archive = Archive::new();
        archive.store();
        let pack = archive.packs().swap_remove(n);
        let mut bytes = fs::read(&pack).expect("read");
        bytes[100] ^= 1;
        fs::write(&pack, bytes).expect("written");
        archive.store();
        let answer = archive.open("verify --read-data").expect("an answer");
        assert_eq!((answer.exit, answer.result["broken"].as_array().map(Vec::len)), (Exit::ARCHIVE_DAMAGED, Some(2)));
        let said = Printer::shown("archive verify", &answer);
        assert!(said.contains("move this pack out of the repository and archive again"), "{said}");
        fs::rename(&pack, archive.path("away")).expect("moved");
        archive.store();
        assert_eq!(archive.ok("verify --read-data")["whole"].as_array().map(Vec::len), Some(3));
        archive.ok("prune");
        archive.ok("restore latest --to @out");
    }
}

#[test]
fn of_a_key_that_cannot_be_read_it_is_told_what_it_is_worth() {
    let archive = Archive::new();
    let key = fs::read_dir(archive.path("repo/keys")).expect("keys").next().expect("one").expect("listed").path();
    let whole = content(&key);
    let says = |words: &[&str]| {
        let answer = archive.open("keys list").expect("no key is needed");
        assert_eq!(answer.exit, Exit::INCOMPLETE, "{answer:?}");
        let said = Printer::shown("archive keys list", &answer);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    fs::write(&key, &whole[..whole.len() - 9]).expect("written");
    says(&["is damaged", "if no other key opens the repository, only a copy of this file does"]);
    fs::write(&key, whole.replace("\"version\":1", "\"version\":2")).expect("written");
    says(&["use a newer one", "the program that made it opens it"]);
    fs::remove_file(&key).expect("removed");
    says(&["has no key", "from a copy of the repository"]);
    fs::write(&key, whole).expect("as it was");
    archive.ok("keys list");
}

#[test]
fn a_config_that_was_lost_is_written_anew_by_the_recovery_sheet() {
    let archive = Archive::new();
    let sheet =
        String::from_utf8(archive.run("init @second --passphrase-file @pass").expect("made").text).expect("text");
    let id = sheet.lines().find_map(|line| line.strip_prefix("id")).expect("it is on the sheet").trim();
    let open = || archive.run("snapshots --repository @second --passphrase-file @pass");
    let config = archive.path("second/config");
    let whole = content(&config);
    fs::write(&config, "{").expect("written");
    Archive::says(&open().expect_err("damaged"), Exit::ARCHIVE_DAMAGED, &["`config` is damaged", "write it anew"]);
    fs::remove_file(&config).expect("removed");
    Archive::says(&open().expect_err("lost"), Exit::ARCHIVE, &["`config` is missing", "write it anew"]);
    let anew = format!("{{\"format\":\"sitebackup-archive\",\"version\":1,\"id\":\"{id}\"}}");
    fs::write(&config, &anew).expect("written");
    open().expect("it opens again");
    assert_eq!(anew, whole);
}

/// Nothing is restored from them, but they are in the way of who stores or prunes.
#[test]
fn damaged_leases_and_marks_are_told_with_what_to_do() {
    for (folder, in_the_way_of) in [("leases", "prune"), ("marks", "prune"), ("marks", "@P01Backup")] {
        let archive = Archive::new();
        archive.store();
        fs::create_dir_all(archive.path("repo").join(folder)).expect("made");
        let name = format!("{folder}/{}", "d".repeat(32));
        archive.write(&format!("repo/{name}"), "{");
        archive.refused(in_the_way_of, Exit::ARCHIVE_DAMAGED, &[&name, "remove this file"]);
        let answer = archive.open("verify").expect("an answer");
        assert_eq!((answer.exit, answer.result["whole"].as_array().map(Vec::len)), (Exit::ARCHIVE_DAMAGED, Some(1)));
        let said = Printer::shown("archive verify", &answer);
        assert!(said.contains(&name) && said.contains("remove this file"), "{said}");
        fs::remove_file(archive.path("repo").join(&name)).expect("removed");
        archive.ok(in_the_way_of);
        archive.ok("verify");
    }
}
