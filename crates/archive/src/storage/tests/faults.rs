use std::sync::Arc;

use super::super::faults::{Fault, FaultKind, FaultyStorage};
use super::super::memory::MemoryStorage;
use super::super::{Storage, StorageError};
use super::conforms;

/// Puts three objects, deletes the first and lists what is left, whatever fails. Which calls went well, and what is there after all.
fn run(fault: Option<Fault>) -> (Vec<bool>, Vec<String>, Vec<&'static str>) {
    let inner = Arc::new(MemoryStorage::default());
    let storage = FaultyStorage::new(inner.clone(), fault);
    let put = |name: &str| storage.put_new(name, b"content").is_ok();
    let mut well = vec![put("a/1"), put("a/2"), put("a/3")];
    well.extend([storage.delete("a/1").is_ok(), storage.get("a/2", 7).is_ok(), storage.list("a").is_ok()]);
    let there = inner.list("a").expect("a listing").into_iter().map(|stored| stored.name).collect();
    (well, there, storage.calls().iter().map(|call| call.action).collect())
}

fn check(fault: (usize, FaultKind), well: [u8; 6], there: &[&str], n_calls: usize) {
    let (at, kind) = fault;
    let (went, left, calls) = run(Some(Fault { at, kind }));
    assert_eq!(went, well.map(|well| well == 1), "{kind:?}");
    assert_eq!(left, there, "{kind:?}");
    assert_eq!(calls.len(), n_calls, "{kind:?}: {calls:?}");
}

#[test]
fn it_strikes_where_it_is_told_to() {
    let (well, there, calls) = run(None);
    assert!(well.iter().all(|well| *well), "{well:?}");
    assert_eq!(there, ["a/2", "a/3"]);
    assert_eq!(calls, ["put", "put", "put", "delete", "len", "get", "list"]);

    check((1, FaultKind::ErrorBefore), [1, 0, 1, 1, 0, 1], &["a/3"], 6);
    check((1, FaultKind::ErrorAfter), [1, 0, 1, 1, 1, 1], &["a/2", "a/3"], 7);
    check((1, FaultKind::KillBefore), [1, 0, 0, 0, 0, 0], &["a/1"], 2);
    check((1, FaultKind::KillAfter), [1, 0, 0, 0, 0, 0], &["a/1", "a/2"], 2);
    check((1, FaultKind::Full), [1, 0, 0, 1, 0, 1], &[], 6);
    check((3, FaultKind::ErrorBefore), [1, 1, 1, 0, 1, 1], &["a/1", "a/2", "a/3"], 7);
    check((5, FaultKind::ErrorAfter), [1, 1, 1, 1, 0, 1], &["a/2", "a/3"], 7);
}

#[test]
fn a_full_disk_says_so_and_names_the_object() {
    let storage = FaultyStorage::new(MemoryStorage::default(), Some(Fault { at: 0, kind: FaultKind::Full }));
    assert!(matches!(storage.put_new("a", b""), Err(StorageError::Full(name)) if name == "a"));
}

#[test]
fn without_a_fault_it_conforms() {
    conforms(&FaultyStorage::new(MemoryStorage::default(), None));
}
