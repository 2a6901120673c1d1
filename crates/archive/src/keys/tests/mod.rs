mod damage;
mod identities;

use std::sync::Arc;

use super::identity::Identity;
use super::*;
use crate::storage::faults::{Fault, FaultKind, FaultyStorage};
use crate::storage::memory::MemoryStorage;

/// Both were made by PyNaCl, argon2-cffi and blake3 for Python from docs/format.md, not by this program.
const BY_PASSPHRASE: &[u8] = include_bytes!("passphrase.json");
const BY_RECIPIENT: &[u8] = include_bytes!("recipient.json");
const IDENTITY: &str = "sitebackup-identity-4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60cb00f3a5";

fn read_key() -> ReadKey {
    ReadKey::from_bytes(&std::array::from_fn(|at| 1 + at as u8))
}

/// Adds a key file that is opened with little work.
fn add_cheap(storage: &dyn Storage, key: &Key, passphrase: &str) -> KeyId {
    let file = KeyFile::by_passphrase(key, Work::new(64, 1), passphrase, "cheap").expect("a label");
    add(storage, &file).expect("room")
}

fn wrong(result: Result<Opened, KeyError>) -> (Vec<KeyId>, Vec<String>) {
    match result {
        Err(KeyError::WrongPassphrase { tried, refused }) => (tried, refused.iter().map(KeyError::to_string).collect()),
        other => panic!("not a wrong passphrase: {other:?}"),
    }
}

#[test]
fn files_of_another_program_open() {
    let storage = MemoryStorage::default();
    storage.put_new("keys/000102030405060708090a0b0c0d0e0f", BY_PASSPHRASE).expect("room");
    storage.put_new("keys/101112131415161718191a1b1c1d1e1f", BY_RECIPIENT).expect("room");
    let opened = open_with_passphrase(&storage, "correct horse", None).expect("its passphrase");
    let Key::Read(key) = &opened.key else { panic!("{opened:?}") };
    assert_eq!(key.to_bytes(), read_key().to_bytes());
    let repository = key.write_key().repository();
    let opened = open_with_identity(&storage, &IDENTITY.parse().expect("it is one"), Some(&repository));
    let Key::Write(key) = opened.expect("it was given").key else { panic!("it gives the key that writes") };
    assert_eq!(key.to_bytes(), read_key().write_key().to_bytes());
}

#[test]
fn a_file_is_written_as_it_is_read() {
    for (id, json) in
        [("000102030405060708090a0b0c0d0e0f", BY_PASSPHRASE), ("101112131415161718191a1b1c1d1e1f", BY_RECIPIENT)]
    {
        let file = KeyFile::parse(&KeyId::parse(id).expect("an id"), json).expect("undamaged");
        assert_eq!(file.to_json(), json);
    }
}

#[test]
fn both_keys_open_by_both_ways() {
    let storage = MemoryStorage::default();
    let (read, identity) = (ReadKey::generate(), Identity::generate());
    let write = Key::Write(read.write_key());
    let read = Key::Read(read);
    let repository = read.write_key().repository();
    let repository = Some(repository.as_str());

    let by_word = add_passphrase_key(&storage, &write, "a word", "by passphrase").expect("room");
    let by_person = add_recipient_key(&storage, &read, &identity.recipient(), "by recipient").expect("room");
    let opened = open_with_passphrase(&storage, "a word", repository).expect("its passphrase");
    assert_eq!((opened.id, opened.key.holds()), (by_word.clone(), Holds::Write));
    assert_eq!(opened.key.write_key().to_bytes(), write.write_key().to_bytes());
    let opened = open_with_identity(&storage, &identity, repository).expect("its identity");
    assert_eq!((opened.id, opened.key.holds()), (by_person.clone(), Holds::Read));
    assert_eq!(*opened.key.to_bytes(), *read.to_bytes());

    let fact = |holds, label: &str, recipient| KeyFacts { holds, label: label.to_owned(), recipient };
    let mut expected = vec![
        (by_word, fact(Holds::Write, "by passphrase", None)),
        (by_person, fact(Holds::Read, "by recipient", Some(identity.recipient()))),
    ];
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let listed = list_keys(&storage).expect("a listing").into_iter();
    assert_eq!(listed.map(|listed| (listed.id, listed.facts.expect("undamaged"))).collect::<Vec<_>>(), expected);
}

#[test]
fn a_wrong_passphrase_says_what_was_tried() {
    let storage = MemoryStorage::default();
    let key = Key::Read(ReadKey::generate());
    assert_eq!(wrong(open_with_passphrase(&storage, "none", None)), (vec![], vec![]));
    let mut ids = vec![add_cheap(&storage, &key, "one"), add_cheap(&storage, &key, "two")];
    add_recipient_key(&storage, &key, &Identity::generate().recipient(), "").expect("room");
    storage.put_new("keys/ffffffffffffffffffffffffffffffff", b"{}").expect("room");
    storage.put_new("keys/notes", b"none of ours").expect("room");
    ids.sort();
    for passphrase in ["One", "one ", "", "three"] {
        let error = open_with_passphrase(&storage, passphrase, None);
        let said = error.as_ref().expect_err("wrong").to_string();
        assert!(
            said.starts_with(&format!("the passphrase opens no key: 2 tried, `{}`, `{}`; ", ids[0], ids[1])),
            "{said}"
        );
        let (tried, refused) = wrong(error);
        assert_eq!(tried, ids);
        assert_eq!(
            refused,
            ["the key file `ffffffffffffffffffffffffffffffff` is damaged: it is no key file from line 1, column 2 on"]
        );
    }
    let stranger = Identity::generate();
    let error = open_with_identity(&storage, &stranger, None).expect_err("it was given nothing");
    assert!(matches!(&error, KeyError::NotGiven { recipient, .. } if *recipient == stranger.recipient()), "{error}");
}

#[test]
fn the_key_that_reads_is_found_first() {
    let storage = MemoryStorage::default();
    let read = ReadKey::generate();
    let write = Key::Write(read.write_key());
    let reads = add_cheap(&storage, &Key::Read(read), "same");
    (0..8).for_each(|_| drop(add_cheap(&storage, &write, "same")));
    assert_eq!(open_with_passphrase(&storage, "same", None).expect("its passphrase").id, reads);
}

#[test]
fn another_repositorys_key_is_refused_and_the_right_one_found() {
    let storage = MemoryStorage::default();
    let (ours, theirs, identity) =
        (Key::Read(ReadKey::generate()), Key::Read(ReadKey::generate()), Identity::generate());
    let wanted = ours.write_key().repository();
    let wanted = Some(wanted.as_str());
    for _ in 0..4 {
        add_recipient_key(&storage, &theirs, &identity.recipient(), "planted").expect("room");
        add_cheap(&storage, &theirs, "word");
    }
    let error = open_with_identity(&storage, &identity, wanted).expect_err("only theirs is there");
    let KeyError::NotGiven { refused, .. } = error else { panic!("{error}") };
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|error| matches!(error, KeyError::OtherRepository { .. })), "{refused:?}");
    let (tried, refused) = wrong(open_with_passphrase(&storage, "word", wanted));
    assert_eq!((tried.len(), refused.len()), (0, 4));

    add_recipient_key(&storage, &ours, &identity.recipient(), "ours").expect("room");
    let ours_by_word = add_cheap(&storage, &ours, "word");
    let opened = open_with_identity(&storage, &identity, wanted).expect("ours is there");
    assert_eq!(*opened.key.to_bytes(), *ours.to_bytes());
    assert_eq!(open_with_passphrase(&storage, "word", wanted).expect("ours is there").id, ours_by_word);
}

#[test]
fn new_keys_are_refused_that_keep_nothing_or_say_nonsense() {
    let storage = MemoryStorage::default();
    let (key, recipient) = (Key::Read(ReadKey::generate()), Identity::generate().recipient());
    assert!(matches!(add_passphrase_key(&storage, &key, "", "x"), Err(KeyError::EmptyPassphrase)));
    for label in ["two\nlines", "bell\u{7}", &"x".repeat(201)] {
        assert!(matches!(add_recipient_key(&storage, &key, &recipient, label), Err(KeyError::Label)), "{label}");
    }
    assert_eq!(storage.list("keys").expect("a listing"), []);
    add_recipient_key(&storage, &key, &recipient, &"ü".repeat(100)).expect("it fits");
}

#[test]
fn the_last_key_that_reads_stays() {
    let storage = Arc::new(MemoryStorage::default());
    let read = ReadKey::generate();
    let write = Key::Write(read.write_key());
    let first = add_cheap(&storage, &Key::Read(read.clone()), "first");
    let writes = add_cheap(&storage, &write, "writes");
    let open = |word: &str| open_with_passphrase(&storage, word, None).expect("its passphrase");
    let refused = |id: &KeyId, proof: &Opened| {
        let watched = FaultyStorage::new(Arc::clone(&storage), None);
        let result = remove_key(&watched, id, proof);
        assert!(matches!(&result, Err(KeyError::MayBeLast(last)) if last == id), "{result:?}");
        let calls = watched.calls();
        assert!(calls.iter().all(|call| call.action != "delete"), "it was away for a moment: {calls:?}");
    };
    // By itself; by one that only writes.
    refused(&first, &open("first"));
    refused(&first, &open("writes"));
    refused(&writes, &open("writes"));
    // By one that is gone.
    let second = add_cheap(&storage, &Key::Read(read.clone()), "second");
    let proof = open("second");
    remove_key(&storage, &second, &open("first")).expect("the first one reads");
    refused(&first, &proof);
    open("first");
    // A damaged file may have been one that reads.
    storage.damage(&writes.object(), |content| content.truncate(9));
    let also_writes = add_cheap(&storage, &write, "also writes");
    refused(&writes, &open("also writes"));
    remove_key(&storage, &writes, &open("first")).expect("the first one reads");
    // One that only writes is removed by any other.
    let third = add_cheap(&storage, &write, "third");
    remove_key(&storage, &also_writes, &open("third")).expect("another one writes");
    remove_key(&storage, &third, &open("first")).expect("the first one reads");
    remove_key(&storage, &third, &open("first")).expect("it is gone already");
    assert_eq!(list_keys(&storage).expect("a listing").len(), 1);
}

/// Storage in which somebody else removes the other key just before this one's first removal.
#[derive(Debug)]
struct Crossing {
    inner: MemoryStorage,
    other: KeyId,
}

impl Storage for Crossing {
    fn list(&self, folder: &str) -> Result<Vec<crate::storage::Stored>, StorageError> {
        self.inner.list(folder)
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        self.inner.len(name)
    }

    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        self.inner.get_range(name, offset, len)
    }

    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.inner.put_new(name, content)
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.inner.delete(&self.other.object())?;
        self.inner.delete(name)
    }
}

#[test]
fn two_who_remove_each_others_key_keep_one() {
    let inner = MemoryStorage::default();
    let key = Key::Read(ReadKey::generate());
    let (mine, theirs) = (add_cheap(&inner, &key, "mine"), add_cheap(&inner, &key, "theirs"));
    let proof = open_with_passphrase(&inner, "mine", None).expect("its passphrase");
    let storage = Crossing { inner, other: mine };
    assert!(matches!(remove_key(&storage, &theirs, &proof), Err(KeyError::MayBeLast(_))));
    assert_eq!(open_with_passphrase(&storage, "theirs", None).expect("it is back").id, theirs);
}

#[test]
fn a_passphrase_is_changed_and_the_old_one_opens_nothing() {
    let storage = MemoryStorage::default();
    let key = Key::Read(ReadKey::generate());
    let old = add_cheap(&storage, &key, "old");
    let opened = open_with_passphrase(&storage, "old", None).expect("its passphrase");
    let anew = change_passphrase(&storage, &opened, "new", "changed").expect("room");
    assert_eq!(wrong(open_with_passphrase(&storage, "old", None)).0, std::slice::from_ref(&anew.id));
    assert_eq!(open_with_passphrase(&storage, "new", None).expect("its passphrase").id, anew.id);
    assert_ne!(anew.id, old);
}

#[test]
fn a_change_that_fails_at_any_call_leaves_a_passphrase_that_opens() {
    let before = MemoryStorage::default();
    add_cheap(&before, &Key::Read(ReadKey::generate()), "old");
    let opened = open_with_passphrase(&before, "old", None).expect("its passphrase");
    let kinds =
        [FaultKind::ErrorBefore, FaultKind::ErrorAfter, FaultKind::KillBefore, FaultKind::KillAfter, FaultKind::Full];
    let new = KeyFile::by_passphrase(&opened.key, Work::new(64, 1), "new", "").expect("a label");
    let changed = |fault: Option<Fault>| {
        let inner = Arc::new(before.copy());
        let storage = FaultyStorage::new(inner.clone(), fault);
        let result = change(&storage, &opened, &new, "new");
        let opens = |word| open_with_passphrase(&inner, word, None).is_ok();
        assert!(opens("old") || opens("new"), "{fault:?}: {:?}", storage.calls());
        assert!(result.is_err() || opens("new") && !opens("old"), "{fault:?}: {:?}", storage.calls());
        storage.calls().len()
    };
    let n_calls = changed(None);
    assert!(n_calls > 5, "{n_calls}");
    for (at, kind) in (0..n_calls).flat_map(|at| kinds.map(|kind| (at, kind))) {
        changed(Some(Fault { at, kind }));
    }
}

#[test]
fn nothing_prints_a_key() {
    let storage = MemoryStorage::default();
    let (key, identity) = (Key::Read(read_key()), IDENTITY.parse::<Identity>().expect("it is one"));
    let id = add_recipient_key(&storage, &key, &identity.recipient(), "").expect("room");
    let opened = open_with_identity(&storage, &identity, None).expect("its identity");
    assert_eq!(format!("{identity:?}"), "Identity { .. }");
    assert_eq!(format!("{opened:?}"), format!("Opened {{ id: {id:?}, key: Read(ReadKey {{ .. }}) }}"));
}
