//! Registry keys whose roots live in different files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::config::RegistryRoot;
use backup_core::ports::registry::{Registry, RegistryError, RegistryKey};
use registry::{RegFile, RegFileRegistry};

use crate::site::local;

/// Sends each key to the file that holds its root. Roots in one file share one store, whose imports wait for each other.
#[derive(Debug)]
pub(super) struct RegistryRoots(Vec<Root>);

#[derive(Debug)]
struct Root {
    key: RegistryKey,
    file: PathBuf,
    store: Arc<RegFileRegistry>,
}

impl RegistryRoots {
    pub(super) fn new(roots: &[RegistryRoot]) -> Self {
        let mut stores = HashMap::new();
        let mut entry = |root: &RegistryRoot| {
            let file = local(&root.reg_file);
            let store = || Arc::new(RegFileRegistry::new(RegFile::new(file.clone())));
            let store = Arc::clone(stores.entry(file.clone()).or_insert_with(store));
            Root { key: root.key.clone(), file, store }
        };
        Self(roots.iter().map(&mut entry).collect())
    }

    /// The longest root that holds the key.
    fn root(&self, key: &RegistryKey) -> Result<&Root, RegistryError> {
        let holding = self.0.iter().filter(|root| key.starts_with(&root.key));
        let found = holding.max_by_key(|root| root.key.as_str().len());
        found.ok_or_else(|| RegistryError::NoStore(key.clone()))
    }
}

/// On a bare machine not even the folder of the file is there.
fn make_folder(root: &Root, key: &RegistryKey) -> Result<(), RegistryError> {
    let made = root.file.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.map_err(|error| RegistryError::Failed { key: key.clone(), action: "import", source: error.into() })
}

#[async_trait]
impl Registry for RegistryRoots {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        self.root(key)?.store.export(key).await
    }

    async fn import(&self, key: &RegistryKey, export: &[u8]) -> Result<(), RegistryError> {
        let root = self.root(key)?;
        make_folder(root, key)?;
        root.store.import(key, export).await
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        // Judging reads no store: an export of a key that is no longer configured is judged all the same.
        RegFileRegistry::new(RegFile::new("")).verify(key, export).await
    }
}

#[cfg(test)]
mod tests {
    use backup_core::path::SitePath;

    use super::*;

    #[tokio::test]
    async fn the_longest_root_holds_a_key_and_its_folder_is_made() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file =
            |name: &str| SitePath::parse(folder.path().join(name).as_os_str().as_encoded_bytes()).expect("absolute");
        let root = |key: &str, name: &str| RegistryRoot { key: RegistryKey::new(key), reg_file: file(name) };
        let roots =
            RegistryRoots::new(&[root(r"HKLM\SOFTWARE", "a.reg"), root(r"HKLM\SOFTWARE\SMS", "not/there/b.reg")]);
        let key = RegistryKey::new(r"HKLM\SOFTWARE\SMS\Setup");
        let text = b"Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\SMS\\Setup]\r\n";
        roots.import(&key, text).await.expect("imported");
        assert!(folder.path().join("not/there/b.reg").exists());
        assert!(roots.verify(&RegistryKey::new(r"HKCU\X"), b"nothing").await.is_err());
        assert!(matches!(roots.export(&RegistryKey::new(r"HKCU\X")).await, Err(RegistryError::NoStore(_))));
    }
}
