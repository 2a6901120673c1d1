//! What every storage keeps: one suite for all of them, and what each keeps beside.

mod faults;
mod local;

use std::sync::{Arc, Barrier};
use std::thread;

use super::memory::MemoryStorage;
use super::{Storage, StorageError, is_name};

/// Runs the suite on storage that holds nothing.
fn conforms(storage: &dyn Storage) {
    gives_back_what_was_put(storage);
    gives_ranges(storage);
    knows_what_is_missing(storage);
    lists_by_name(storage);
    replaces_nothing(storage);
    deletes_and_is_content(storage);
    lets_one_of_two_win(storage);
}

fn gives_back_what_was_put(storage: &dyn Storage) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, content) in [("config", &b"{}"[..]), ("packs/1f/1f00", &large), ("keys/empty", b"")] {
        storage.put_new(name, content).expect("room");
        assert_eq!(storage.len(name).expect("it is there"), content.len() as u64, "{name}");
        assert!(storage.get(name, content.len()).expect("it is there") == content, "{name}");
    }
    let long = storage.get("packs/1f/1f00", large.len() - 1);
    assert!(
        matches!(long, Err(StorageError::Failed { action: "read", .. })),
        "{:?}",
        long.map(|content| content.len())
    );
}

fn gives_ranges(storage: &dyn Storage) {
    storage.put_new("ranges/1", b"0123456789").expect("room");
    for (offset, len, expected) in [(0, 10, "0123456789"), (3, 4, "3456"), (9, 1, "9"), (0, 0, ""), (10, 0, "")] {
        let range = storage.get_range("ranges/1", offset, len).expect("it is there");
        assert_eq!(range, expected.as_bytes(), "{offset} {len}");
    }
    for (offset, len) in [(0, 11), (9, 2), (10, 1), (11, 0), (u64::MAX, 1), (1, usize::MAX), (u64::MAX, usize::MAX)] {
        let range = storage.get_range("ranges/1", offset, len);
        assert!(matches!(&range, Err(StorageError::Missing(name)) if name == "ranges/1"), "{offset} {len}: {range:?}");
    }
}

fn knows_what_is_missing(storage: &dyn Storage) {
    // The second lies below an object, the third is a folder.
    for name in ["nothing", "none/1", "packs/1f"] {
        assert!(matches!(storage.len(name), Err(StorageError::Missing(_))), "{name}");
        assert!(matches!(storage.get_range(name, 0, 0), Err(StorageError::Missing(_))), "{name}");
        assert!(matches!(storage.get(name, 10), Err(StorageError::Missing(_))), "{name}");
    }
    assert_eq!(storage.list("nowhere").expect("an empty folder"), []);
}

fn lists_by_name(storage: &dyn Storage) {
    // By the bytes of whole names: `/` comes before digits and letters.
    let names = ["listed/0/z", "listed/00", "listed/1", "listed/a/b/c", "listed/aa", "listed/b"];
    for name in [3, 0, 5, 1, 4, 2].map(|at| names[at]) {
        storage.put_new(name, name.as_bytes()).expect("room");
    }
    storage.put_new("listed2/0", b"in a folder whose name begins alike").expect("room");
    let listed = storage.list("listed").expect("a listing");
    assert_eq!(listed.iter().map(|stored| stored.name.as_str()).collect::<Vec<_>>(), names);
    assert!(listed.iter().all(|stored| stored.len == stored.name.len() as u64), "{listed:?}");
}

fn replaces_nothing(storage: &dyn Storage) {
    storage.put_new("once/1", b"first").expect("room");
    for content in [&b"second"[..], b"first"] {
        let again = storage.put_new("once/1", content);
        assert!(matches!(&again, Err(StorageError::Exists(name)) if name == "once/1"), "{again:?}");
    }
    assert_eq!(storage.get("once/1", 10).expect("it is there"), b"first");
    assert_eq!(storage.list("once").expect("a listing").len(), 1);
}

fn deletes_and_is_content(storage: &dyn Storage) {
    storage.put_new("gone/1/1", b"1").expect("room");
    storage.put_new("gone/1/2", b"2").expect("room");
    for name in ["gone/1/1", "gone/1/1", "gone/3/3", "gone/1", "never"] {
        storage.delete(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(matches!(storage.len("gone/1/1"), Err(StorageError::Missing(_))));
    assert_eq!(
        storage.list("gone").expect("a listing").iter().map(|stored| &stored.name).collect::<Vec<_>>(),
        ["gone/1/2"]
    );
    storage.put_new("gone/1/1", b"anew").expect("the name is free");
}

fn lets_one_of_two_win(storage: &dyn Storage) {
    for round in 0..50 {
        let (name, together) = (format!("races/{round}"), Barrier::new(2));
        let put = |content: &'static [u8]| {
            together.wait();
            (content, storage.put_new(&name, content))
        };
        let results = thread::scope(|scope| {
            [b"one", b"two"]
                .map(|content| scope.spawn(move || put(content)))
                .map(|thread| thread.join().expect("no panic"))
        });
        let winners: Vec<_> = results.iter().filter(|(_, result)| result.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert!(results.iter().any(|(_, result)| matches!(result, Err(StorageError::Exists(_)))), "{results:?}");
        assert_eq!(storage.get(&name, 3).expect("it is there"), winners[0].0);
    }
}

#[test]
fn memory_conforms() {
    conforms(&MemoryStorage::default());
    conforms(&Arc::new(MemoryStorage::default()));
}

#[test]
fn memory_refuses_what_no_caller_may_ask() {
    let storage = MemoryStorage::default();
    storage.put_new("a/b", b"").expect("room");
    let panics = |call: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err();
    for name in WRONG_NAMES {
        assert!(panics(&|| drop(storage.put_new(name, b""))), "{name}");
        assert!(panics(&|| drop(storage.len(name))), "{name}");
        assert!(panics(&|| drop(storage.get_range(name, 0, 0))), "{name}");
        assert!(panics(&|| drop(storage.delete(name))), "{name}");
    }
    for folder in ["", "a/b", "..", "a/"] {
        assert!(panics(&|| drop(storage.list(folder))), "{folder}");
    }
    // A folder system could not hold these.
    for name in ["a", "a/b/c"] {
        assert!(panics(&|| drop(storage.put_new(name, b""))), "{name}");
    }
    assert_eq!(storage.list("a").expect("it still works").len(), 1);
}

#[test]
fn memory_copies_and_damages() {
    let storage = MemoryStorage::default();
    storage.put_new("a", b"content").expect("room");
    let copy = storage.copy();
    copy.damage("a", |content| content.truncate(3));
    assert_eq!((storage.len("a").expect("there"), copy.get("a", 9).expect("there")), (7, b"con".to_vec()));
}

const WRONG_NAMES: [&str; 12] = ["", "/", "a/", "/a", "a//b", "..", "../a", "a/../b", "A", "a.part", "ä", "c:\\a"];

#[test]
fn names_are_plain() {
    for name in WRONG_NAMES {
        assert!(!is_name(name), "{name}");
    }
    for name in ["config", "packs/1f/1f0a", "0/1/2/3"] {
        assert!(is_name(name), "{name}");
    }
}
