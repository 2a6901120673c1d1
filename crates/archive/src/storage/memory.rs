//! Storage in memory, for tests: stricter than any real one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use super::{Storage, StorageError, Stored, is_name, is_part};

/// Objects in memory. A name that no object can have is a panic, for no caller of ours may make one; so is a folder of more than one part.
#[derive(Debug, Default)]
pub struct MemoryStorage(Mutex<BTreeMap<String, Vec<u8>>>);

impl MemoryStorage {
    /// Storage that holds what this one holds by now.
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.objects().clone()))
    }

    /// Changes an object behind everybody's back, as a rotten disk does.
    ///
    /// # Panics
    /// When there is no such object.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.objects().get_mut(name).expect("an object of this name"));
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().expect("no call panics while it holds the objects")
    }
}

impl Storage for MemoryStorage {
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError> {
        assert!(is_part(folder), "`{folder}` is no folder of objects");
        let below = |name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let objects = self.objects();
        let listed = objects.iter().filter(|(name, _)| below(name));
        Ok(listed.map(|(name, content)| Stored { name: name.clone(), len: content.len() as u64 }).collect())
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        checked(name);
        let objects = self.objects();
        objects.get(name).map(|content| content.len() as u64).ok_or_else(|| StorageError::Missing(name.to_owned()))
    }

    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        checked(name);
        let objects = self.objects();
        let range = usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(len)?));
        let content = objects.get(name).zip(range).and_then(|(content, range)| content.get(range));
        content.map(<[u8]>::to_vec).ok_or_else(|| StorageError::Missing(name.to_owned()))
    }

    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        checked(name);
        let mut objects = self.objects();
        if objects.contains_key(name) {
            return Err(StorageError::Exists(name.to_owned()));
        }
        let is_folder = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let below_object = name.match_indices('/').any(|(at, _)| objects.contains_key(&name[..at]));
        let fault = format!("`{name}` is both an object and a folder");
        let clashes = below_object || objects.keys().any(is_folder);
        if !clashes {
            objects.insert(name.to_owned(), content.to_vec());
        }
        drop(objects);
        assert!(!clashes, "{fault}");
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        checked(name);
        self.objects().remove(name);
        Ok(())
    }
}

fn checked(name: &str) {
    assert!(is_name(name), "`{name}` is no name of an object");
}
