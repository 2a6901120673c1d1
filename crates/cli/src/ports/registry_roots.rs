//! Registry keys whose roots live in different files.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::config::{RegistryRoot, RegistryStore};
use backup_core::ports::registry::{ImportMode, Registry, RegistryError, RegistryKey};
use registry::{HiveFile, HiveFileRegistry, KeyPath, RegFile, RegFileRegistry, WinePrefixRegistry, verify_export};

use crate::site::local;

/// Sends each key to what holds its root. Roots in one place share one adapter, whose imports wait for each other.
#[derive(Debug)]
pub(super) struct RegistryRoots {
    roots: Vec<Root>,
    /// What serves the keys that no root holds: on Windows the live registry.
    live: Option<Arc<dyn Registry>>,
}

#[derive(Debug)]
struct Root {
    root: RegistryRoot,
    adapter: Arc<dyn Registry>,
}

impl RegistryRoots {
    pub(super) fn new(roots: &[RegistryRoot]) -> Self {
        let mut all: Vec<Root> = Vec::new();
        for root in roots {
            let known = all.iter().find(|other| other.root.store == root.store && !is_hive(root));
            let adapter = known.map_or_else(|| adapter(root), |known| Arc::clone(&known.adapter));
            all.push(Root { root: root.clone(), adapter });
        }
        Self { roots: all, live: live() }
    }

    /// The longest root that holds the key.
    fn root(&self, key: &RegistryKey) -> Option<&Root> {
        let holding = self.roots.iter().filter(|root| key.starts_with(&root.root.key));
        holding.max_by_key(|root| root.root.key.as_str().len())
    }

    fn serving(&self, key: &RegistryKey) -> Result<&Arc<dyn Registry>, RegistryError> {
        let serving = self.root(key).map(|root| &root.adapter).or(self.live.as_ref());
        serving.ok_or_else(|| RegistryError::NoStore(key.clone()))
    }
}

#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "other platforms have none")]
fn live() -> Option<Arc<dyn Registry>> {
    Some(Arc::new(registry::LiveRegistry::new()))
}

#[cfg(not(windows))]
fn live() -> Option<Arc<dyn Registry>> {
    None
}

/// A hive stands for one root, and for another only by mistake.
fn is_hive(root: &RegistryRoot) -> bool {
    matches!(root.store, RegistryStore::Hive(_))
}

fn adapter(root: &RegistryRoot) -> Arc<dyn Registry> {
    let place = local(root.store.path());
    match root.store {
        RegistryStore::Reg(_) => Arc::new(RegFileRegistry::new(RegFile::new(place))),
        RegistryStore::WinePrefix(_) => Arc::new(WinePrefixRegistry::new(&place)),
        RegistryStore::Hive(_) => {
            // A key that is no path lies in no hive: every call says so.
            let mount: KeyPath = root.key.as_str().parse().unwrap_or_default();
            Arc::new(HiveFileRegistry::new(HiveFile::new(place, mount)))
        }
    }
}

/// On a bare machine not even the folder of the file is there.
fn make_folder(root: &RegistryRoot, key: &RegistryKey) -> Result<(), RegistryError> {
    let place = local(root.store.path());
    let folder = match root.store {
        RegistryStore::WinePrefix(_) => Some(place),
        _ => place.parent().map(PathBuf::from),
    };
    let made = folder.map_or(Ok(()), std::fs::create_dir_all);
    made.map_err(|error| RegistryError::Failed { key: key.clone(), action: "import", source: error.into() })
}

#[async_trait]
impl Registry for RegistryRoots {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        self.serving(key)?.export(key).await
    }

    async fn import(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<(), RegistryError> {
        if let Some(root) = self.root(key) {
            make_folder(&root.root, key)?;
        }
        self.serving(key)?.import(key, export, mode).await
    }

    async fn preview(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<Vec<String>, RegistryError> {
        self.serving(key)?.preview(key, export, mode).await
    }

    async fn loses(&self, key: &RegistryKey, export: &[u8]) -> Result<Option<String>, RegistryError> {
        self.serving(key)?.loses(key, export).await
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        // Judging reads no store: an export of a key that is no longer configured is judged all the same.
        verify_export(key, export).await
    }
}

#[cfg(test)]
mod tests {
    use backup_core::path::SitePath;

    use super::*;

    #[tokio::test]
    async fn the_longest_root_holds_a_key_and_its_folder_is_made() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let place =
            |name: &str| SitePath::parse(folder.path().join(name).as_os_str().as_encoded_bytes()).expect("absolute");
        let root = |key: &str, store| RegistryRoot { key: RegistryKey::new(key), store };
        let roots = RegistryRoots::new(&[
            root(r"HKLM\SOFTWARE", RegistryStore::Reg(place("a.reg"))),
            root(r"HKLM\SOFTWARE\SMS", RegistryStore::Reg(place("not/there/b.reg"))),
            root(r"HKLM\SOFTWARE\NAL", RegistryStore::Hive(place("not there/NAL"))),
            root(r"HKCU", RegistryStore::WinePrefix(place("prefix"))),
        ]);
        let made = [
            (r"HKLM\SOFTWARE\SMS\Setup", "not/there/b.reg"),
            (r"HKLM\SOFTWARE\NAL", "not there/NAL"),
            (r"HKCU\Software", "prefix/user.reg"),
        ];
        for (key, file) in made {
            let key = RegistryKey::new(key);
            let text = format!("Windows Registry Editor Version 5.00\r\n\r\n[{key}]\r\n\"x\"=\"y\"\r\n");
            roots.import(&key, text.as_bytes(), ImportMode::Exact).await.expect("imported");
            assert!(folder.path().join(file).exists(), "{file}");
            let export = roots.export(&key).await.expect("exported");
            assert_eq!(roots.verify(&key, &export).await.expect("judged"), 1);
        }
        assert!(roots.verify(&RegistryKey::new(r"HKU\X"), b"nothing").await.is_err());
        let unserved = roots.export(&RegistryKey::new(r"HKU\X")).await;
        let is_unserved = match unserved {
            Err(RegistryError::NoStore(_)) => cfg!(not(windows)),
            // The live registry has no such key.
            Err(RegistryError::NoKey(_)) => cfg!(windows),
            _ => false,
        };
        assert!(is_unserved);
    }
}
