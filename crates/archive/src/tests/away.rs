//! A share that has gone away in the midst of the work.

use std::fs;
use std::sync::Arc;

use backup_core::cancel::Cancel;

use super::{HOLDER, a_tree, repository, store};
use crate::crypto::ReadKey;
use crate::storage::local::LocalStorage;
use crate::{ArchiveError, ReadData};

/// What a share was mounted on is there when it is not any more, and is empty.
#[test]
fn a_repository_that_has_gone_away_is_none_and_takes_nothing() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let place = scratch.path().join("repository");
    let key = ReadKey::generate();
    repository(Arc::new(LocalStorage::create(&place).expect("a new folder")), &key);
    // Anew, for what was put once into a folder finds it gone.
    let repository = repository(Arc::new(LocalStorage::open(&place).expect("it is there")), &key);
    fs::rename(&place, scratch.path().join("away")).expect("renamed");
    fs::create_dir(&place).expect("made");
    let is_none = |result: Result<(), ArchiveError>| {
        assert!(matches!(result, Err(ArchiveError::NoRepository)), "{result:?}");
    };
    is_none(repository.snapshots().map(drop));
    is_none(store(&repository, &a_tree(), 10).map(drop));
    is_none(repository.prune(HOLDER, false, &Cancel::default()).map(drop));
    is_none(repository.verify(ReadData::Structure, &Cancel::default()).map(drop));
    assert!(!place.join("packs").exists());
    // Or another one was made there meanwhile.
    fs::remove_dir_all(&place).expect("removed");
    super::repository(Arc::new(LocalStorage::create(&place).expect("a new folder")), &ReadKey::generate());
    let another = repository.snapshots();
    assert!(matches!(another, Err(ArchiveError::OtherKey(_))), "{another:?}");
    store(&repository, &a_tree(), 10).expect_err("it is another one");
    assert!(!place.join("packs").exists());
}
