//! Repositories of each version of the format are read and written on; what is written today has the form of the last version: whoever changes the form
//! changes [`FORMAT_VERSION`] and adds a fixture.

use std::collections::BTreeSet;

use backup_core::cancel::Cancel;
use backup_core::copy::{BLOCK, chain, read_once};
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::site_files::SiteFilesError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::known::{FOLDERS, Known};
use super::{HOLDER, a_tree, read_all, read_back, store};
use crate::content::Part;
use crate::keys::{self, Holds};
use crate::lease::{Confirmed, Mark};
use crate::pack::write_index;
use crate::repository::{CONFIG, Config};
use crate::snapshot::{Record, Snapshot};
use crate::storage::Storage;
use crate::{ArchiveError, ArchivedSnapshot, FORMAT_VERSION, Key, LeaseFacts, Repository};

/// Reads each file; it must have its hash.
fn read_files(snapshot: &ArchivedSnapshot) -> Result<(), String> {
    for record in snapshot.records().filter(|record| record.hash.is_some()) {
        let file = snapshot.open(&record.path).map_err(|error| chain(&error))?;
        let read = read_once(&*file, &mut vec![0; BLOCK], true, |_, _| Ok::<_, SiteFilesError>(()));
        let read = read.map_err(|error| chain(&error))?;
        assert_eq!(read, (record.size, record.hash.expect("it has one")), "{}", record.path);
    }
    Ok(())
}

#[test]
fn a_repository_of_every_version_is_read_bit_for_bit() {
    for version in 1..=FORMAT_VERSION {
        let known = Known::of(version);
        let passphrase = keys::open_with_passphrase(&*known.storage, "a known passphrase", None).expect("a key");
        assert_eq!(passphrase.key.holds(), Holds::Read);
        assert_eq!(known.opened_by("writer").key.holds(), Holds::Write);
        let repository = known.repository();
        let expected = known.expected();
        assert_eq!(expected.len(), 2);
        for (id, expected) in &expected {
            let snapshot = repository.open_snapshot(&repository.find(id).expect("listed")).expect("readable");
            assert_eq!(&snapshot.records().cloned().collect::<Vec<_>>(), expected);
            read_files(&snapshot).expect("each file has its hash");
        }
        known.is_whole();
        assert_eq!(repository.pins().expect("listed").len(), 1);
        assert_eq!(repository.leases().expect("listed").len(), 1);
    }
}

#[test]
fn a_repository_of_every_version_is_written_on() {
    for version in 1..=FORMAT_VERSION {
        let known = Known::of(version);
        let writing = Repository::open(known.storage.clone(), known.opened_by("writer").key).expect("opened");
        let id = store(&writing, &a_tree(), 1_000).expect("stored").id;
        let repository = known.repository();
        assert!(read_back(&repository, &id) == a_tree());
        let prune = || repository.prune(HOLDER, false, &Cancel::default()).expect("pruned");
        let waits = prune().waits_for;
        assert_eq!(waits.len(), 1, "the mark waits for the lease");
        repository.break_lease(&waits[0].0).expect("broken");
        assert!(prune().deleted_bytes > 0);
        known.is_whole();
    }
}

/// JSON that is read as a `T` is written as it was.
fn is_written_again<T: Serialize + DeserializeOwned>(json: &[u8]) -> T {
    let value: T = serde_json::from_slice(json).expect("it is read");
    let written = serde_json::to_vec(&value).expect("JSON");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(json));
    value
}

/// A field that is added, left out or moved, another order or width of numbers: each of them is another version.
#[test]
fn what_is_written_has_the_form_of_its_version() {
    let known = Known::of(FORMAT_VERSION);
    assert_eq!(is_written_again::<Config>(&known.bytes(CONFIG)).version, FORMAT_VERSION);
    known.all("leases").iter().for_each(|(_, json)| drop(is_written_again::<LeaseFacts>(json)));
    known.all("marks").iter().for_each(|(_, json)| drop(is_written_again::<Mark>(json)));
    known.all("confirmed").iter().for_each(|(_, json)| drop(is_written_again::<Confirmed>(json)));
    known.snapshots().iter().for_each(|json| drop(is_written_again::<Snapshot>(json)));
    for lines in known.records() {
        let lines = lines.strip_suffix(b"\n").expect("each line ends");
        lines.split(|byte| *byte == b'\n').for_each(|line| drop(is_written_again::<Record>(line)));
    }
    for (pack, index) in known.packs() {
        assert!(write_index(&pack.frames) == index, "{}", pack.name);
    }
}

/// Each kind of object and of content is in the fixture, or what it proves is less than it says.
#[test]
fn the_fixture_has_one_of_everything() {
    let known = Known::of(FORMAT_VERSION);
    let packs = known.packs();
    let all = packs.iter().flat_map(|(pack, _)| &pack.frames).flat_map(|frame| &frame.chunks);
    let kinds: BTreeSet<u8> = all.map(|chunk| chunk.kind.number()).collect();
    assert_eq!(Vec::from_iter(kinds), [0, 1, 2, 3, 4]);
    let chunks = known.repository().chunks().expect("read");
    let (mut holes, mut lists, mut kinds) = (0, 0, BTreeSet::new());
    for line in known.records().concat().split_inclusive(|byte| *byte == b'\n') {
        let Record { record, content } = serde_json::from_slice(line).expect("a record");
        kinds.insert(format!("{:?}", record.kind));
        let walked = chunks.walk(&content, "a file", |part| {
            match part {
                Part::Hole(_) => holes += 1,
                Part::List(_) => lists += 1,
                Part::Chunk(..) => {}
            }
            Ok::<_, ArchiveError>(())
        });
        walked.expect("it adds up");
    }
    assert!(holes > 0 && lists > 0 && kinds.len() == 4, "{holes} {lists} {kinds:?}");
    assert_eq!(known.all("keys").len(), 3);
}

/// Gives an object the version after ours, calls everything, and returns its name and what each call said. Nothing may change.
fn of_tomorrow(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> (String, Vec<(&'static str, String)>) {
    let known = Known::of(FORMAT_VERSION);
    let key = known.repository().read.expect("it reads");
    let mut ids: Vec<String> = known.expected().into_keys().collect();
    known.storage.damage(name, change);
    let mut name = name.to_owned();
    if let Some(id) = name.strip_prefix("snapshots/") {
        // The later program named it by what is in it.
        let object = known.bytes(&name);
        let hash = blake3::hash(&object).to_hex().to_string();
        ids.iter_mut().filter(|known| *known == id).for_each(|known| known.clone_from(&hash));
        known.storage.delete(&name).expect("deleted");
        name = format!("snapshots/{hash}");
        known.storage.put_new(&name, &object).expect("put");
    }
    let all = || FOLDERS.map(|folder| known.all(folder));
    let before = all();
    let mut said = Vec::new();
    let mut tell = |call, result: Result<(), String>| said.push((call, result.err().unwrap_or_default()));
    let by_passphrase = keys::open_with_passphrase(&*known.storage, "a known passphrase", None);
    tell("key", by_passphrase.map(drop).map_err(|error| error.to_string()));
    match Repository::open(known.storage.clone(), Key::Read(key)) {
        Err(error) => tell("open", Err(error.to_string())),
        Ok(opened) => {
            let verified = read_all(&opened);
            tell("verify", verified.problems.first().map_or(Ok(()), |problem| Err(problem.to_string())));
            let prune = opened.prune(HOLDER, false, &Cancel::default());
            tell("prune", prune.map(drop).map_err(|error| error.to_string()));
            let read = |id: &String| {
                let snapshot = opened.find(id).and_then(|listed| opened.open_snapshot(&listed));
                read_files(&snapshot.map_err(|error| error.to_string())?)
            };
            tell("restore", ids.iter().try_for_each(read));
        }
    }
    assert!(all() == before, "{name}: something was changed");
    (name, said)
}

#[test]
fn what_a_later_program_wrote_is_named_with_the_remedy_and_nothing_is_changed() {
    let known = Known::of(FORMAT_VERSION);
    let remedy = |name: &str| format!("`{name}` has version 2, and this program reads up to 1: use a newer one");
    let named = |calls: &[&str], (name, said): &(String, Vec<(&'static str, String)>)| {
        for call in calls {
            let (_, said) = said.iter().find(|(called, _)| called == call).expect("it was called");
            assert!(said.contains(&remedy(name)), "{call}: {said}");
        }
    };
    let next = |text: &mut Vec<u8>| {
        let tomorrow =
            String::from_utf8(text.clone()).expect("text").replace("\"version\":1,", "\"version\":2,\"more\":0,");
        assert_ne!(tomorrow.as_bytes(), text);
        *text = tomorrow.into_bytes();
    };
    named(&["open"], &of_tomorrow(CONFIG, next));
    let of_passphrase = |(_, text): &(String, Vec<u8>)| String::from_utf8_lossy(text).contains("argon2id");
    let (key, _) = known.all("keys").into_iter().find(of_passphrase).expect("there is one");
    let (name, said) = of_tomorrow(&key, next);
    named(&["key"], &(name["keys/".len()..].to_owned(), said));
    for (name, _) in known.all("snapshots") {
        named(&["verify", "prune", "restore"], &of_tomorrow(&name, |object| object[6] += 1));
    }
    let mut in_the_way = 0;
    for (name, _) in known.all("packs") {
        let of_tomorrow = of_tomorrow(&name, |object| object[6] += 1);
        named(&["verify", "prune"], &of_tomorrow);
        // Who needs nothing of it is restored.
        let restored = &of_tomorrow.1.last().expect("all was called").1;
        assert!(restored.is_empty() || restored.contains(&remedy(&name)), "{restored}");
        in_the_way += usize::from(!restored.is_empty());
    }
    assert!(in_the_way > 0);
}
