use super::super::identity::Identity;
use super::super::*;
use super::{BY_PASSPHRASE, BY_RECIPIENT, IDENTITY, add_cheap, read_key};
use crate::storage::memory::MemoryStorage;

/// A key file of its own by itself; opened by both ways.
fn opens(id: &KeyId, json: &[u8]) -> bool {
    let storage = MemoryStorage::default();
    storage.put_new(&id.object(), json).expect("room");
    let identity: Identity = IDENTITY.parse().expect("it is one");
    open_with_passphrase(&storage, "word", None).is_ok() || open_with_identity(&storage, &identity, None).is_ok()
}

/// One of each kind that opens with little work.
fn both() -> [(KeyId, Vec<u8>); 2] {
    let storage = MemoryStorage::default();
    let id = add_cheap(&storage, &Key::Read(read_key()), "word");
    let json = storage.get(&id.object(), MAX_LEN).expect("it was added");
    let of_recipient = KeyId::parse("101112131415161718191a1b1c1d1e1f").expect("an id");
    [(id, json), (of_recipient, BY_RECIPIENT.to_vec())]
}

#[test]
fn no_byte_of_a_key_file_is_for_nothing() {
    for (id, json) in both() {
        assert!(opens(&id, &json));
        // Another digit, the other case, no ASCII any more.
        for (at, change) in (0..json.len()).flat_map(|at| [0x01, 0x20, 0x80].map(|change| (at, change))) {
            let mut altered = json.clone();
            altered[at] ^= change;
            assert!(!opens(&id, &altered), "{}", String::from_utf8_lossy(&altered));
        }
        for len in 0..json.len() {
            assert!(!opens(&id, &json[..len]), "{len}");
        }
        assert!(!opens(&id, &[&json[..], b"x"].concat()));
    }
}

/// Well encrypted, as its maker alone can do it: also who makes a content that several passphrases decrypt.
#[test]
fn a_file_that_names_another_repository_than_its_keys_is_refused() {
    let storage = MemoryStorage::default();
    let json = concat!(
        r#"{"version":1,"kind":"passphrase","holds":"read","repository":"00000000000000000000000000000000","label":"","#,
        r#""kdf":{"name":"argon2id","memory_kib":64,"passes":1,"lanes":1,"salt":"000102030405060708090a0b0c0d0e0f"},"key":"1669cccbb26125362c66aaed36a7aa154f3fa899e014fe5ec572190b012569e6f0584f091401e29c3ffbc82cedd66b27"}"#
    );
    storage.put_new("keys/000102030405060708090a0b0c0d0e0f", json.as_bytes()).expect("room");
    let error = open_with_passphrase(&storage, "correct horse", None).expect_err("it must not open");
    let KeyError::WrongPassphrase { refused, .. } = &error else { panic!("{error}") };
    let fault = "the key file `000102030405060708090a0b0c0d0e0f` is damaged: its key is not that of the repository that it names";
    assert_eq!(refused.iter().map(KeyError::to_string).collect::<Vec<_>>(), [fault]);
}

/// Parses the passphrase fixture after a change, and tells what it says.
fn check(from: &str, to: &str, expected: &str) {
    let json = String::from_utf8(BY_PASSPHRASE.to_vec()).expect("JSON");
    assert!(json.contains(from), "{from}");
    let storage = MemoryStorage::default();
    let name = "keys/000102030405060708090a0b0c0d0e0f";
    storage.put_new(name, json.replacen(from, to, 1).as_bytes()).expect("room");
    let error = open_with_passphrase(&storage, "correct horse", None).expect_err("it was changed");
    let KeyError::WrongPassphrase { tried, refused } = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 0, "{error}");
    assert_eq!(refused.iter().map(KeyError::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn hostile_files_are_refused_before_any_work() {
    let damaged = |fault: &str| format!("the key file `000102030405060708090a0b0c0d0e0f` is damaged: {fault}");
    let work = damaged("it asks for more work than any key file of ours");
    check("\"memory_kib\":32768", "\"memory_kib\":32769", &work);
    check("\"memory_kib\":32768", "\"memory_kib\":4294967295", &work);
    check("\"passes\":2", "\"passes\":33", &work);
    check("\"passes\":2", "\"passes\":4294967295", &work);
    check("\"passes\":2", "\"passes\":0", &damaged("its parameters are none of Argon2's"));
    check("\"memory_kib\":32768", "\"memory_kib\":7", &damaged("its parameters are none of Argon2's"));
    let other_work = damaged("it asks for other work than any key file of ours");
    check("\"lanes\":1", "\"lanes\":2", &other_work);
    check("argon2id", "argon2i", &other_work);
    check("\"salt\":\"00", "\"salt\":\"", &damaged("its salt is none"));
    check("\"version\":1", "\"version\":0", &damaged("there was no such version"));
    check(
        "\"version\":1",
        "\"version\":2,\"more\":{}",
        "the key file `000102030405060708090a0b0c0d0e0f` has version 2, and this program reads up to 1: use a newer one",
    );
    let label = damaged("its label is too long, or has control characters");
    check("Zürich, safe", &"x".repeat(201), &label);
    check("Zürich, safe", "\\u001b[2J", &label);
    check("Zürich, safe", "a\\nargon2id", &label);
    check("\"passes\":2", "\"passes\":2,\"more\":1", &damaged("it is no key file from line 1, column 181 on"));
    check("\"label\"", "\"holds\":\"read\",\"label\"", &damaged("it is no key file from line 1, column 103 on"));
    let kinds = damaged("it is of both kinds, or of none");
    check("\"kdf\"", "\"recipient\":\"00\",\"kdf\"", &kinds);
    check("passphrase", "recipient", &kinds);
    check("\"key\":\"", "\"key\":\"g", &damaged("its key is not hexadecimal"));
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let storage = MemoryStorage::default();
    let id = add_cheap(&storage, &Key::Read(read_key()), "word");
    storage.put_new("keys/ffffffffffffffffffffffffffffffff", &vec![b' '; MAX_LEN + 1]).expect("room");
    assert_eq!(open_with_passphrase(&storage, "word", None).expect("the other one").id, id);
    let listed = list_keys(&storage).expect("a listing");
    assert!(listed.iter().any(|listed| listed.id == id && listed.facts.is_ok()), "{listed:?}");
    assert!(listed.iter().any(|listed| matches!(listed.facts, Err(KeyError::Storage(_)))), "{listed:?}");
}

#[test]
fn too_many_files_are_not_tried() {
    let storage = MemoryStorage::default();
    let id = add_cheap(&storage, &Key::Read(read_key()), "word");
    let fill = |number: usize| storage.put_new(&format!("keys/{number:032x}"), b"").expect("room");
    (1..MAX_KEYS).for_each(fill);
    assert_eq!(open_with_passphrase(&storage, "word", None).expect("they are not too many").id, id);
    fill(MAX_KEYS);
    assert!(matches!(open_with_passphrase(&storage, "word", None), Err(KeyError::TooMany)));
}
