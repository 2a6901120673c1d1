//! Registry keys whose roots live in different files.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::config::RegistryRoot;
use backup_core::ports::registry::{Registry, RegistryError, RegistryKey};
use registry::{RegFile, RegFileRegistry};

use crate::site::local;

/// Sends each key to the file that holds its root. Roots in one file share one store, whose imports wait for each other.
#[derive(Debug)]
pub(super) struct RegistryRoots(Vec<(RegistryKey, Arc<RegFileRegistry>)>);

impl RegistryRoots {
    pub(super) fn new(roots: &[RegistryRoot]) -> Self {
        let mut stores = HashMap::new();
        let mut entry = |root: &RegistryRoot| {
            let store = || Arc::new(RegFileRegistry::new(RegFile::new(local(&root.reg_file))));
            let store = stores.entry(root.reg_file.clone()).or_insert_with(store);
            (root.key.clone(), Arc::clone(store))
        };
        Self(roots.iter().map(&mut entry).collect())
    }

    /// The store of the longest root that holds the key.
    fn store(&self, key: &RegistryKey) -> Result<&RegFileRegistry, RegistryError> {
        let holding = self.0.iter().filter(|(root, _)| key.starts_with(root));
        let found = holding.max_by_key(|(root, _)| root.as_str().len());
        found.map(|(_, store)| store.as_ref()).ok_or_else(|| RegistryError::NoStore(key.clone()))
    }
}

#[async_trait]
impl Registry for RegistryRoots {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        self.store(key)?.export(key).await
    }

    async fn import(&self, key: &RegistryKey, export: &[u8]) -> Result<(), RegistryError> {
        self.store(key)?.import(key, export).await
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        // Judging reads no store: an export of a key that is no longer configured is judged all the same.
        RegFileRegistry::new(RegFile::new("")).verify(key, export).await
    }
}
