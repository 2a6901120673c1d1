//! Stores in files as adapters of core's port.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::ports::registry::{ImportMode, Registry, RegistryError, RegistryKey};

use crate::hive_file::HiveFormat;
use crate::name::KeyPath;
use crate::reg_file::RegFormat;
use crate::store::{FileStore, Format, StoreError, read_export};
use crate::wine::{WineFile, WineFormat};

/// A store in a file behind the port [`Registry`]. Exports are hives; hives and `.reg` text are imported.
#[derive(Debug)]
pub struct FileRegistry<F>(Arc<FileStore<F>>);

/// A [`RegFile`](crate::RegFile) behind the port.
pub type RegFileRegistry = FileRegistry<RegFormat>;

/// A [`HiveFile`](crate::HiveFile) behind the port.
pub type HiveFileRegistry = FileRegistry<HiveFormat>;

impl<F: Format> FileRegistry<F> {
    /// Serves the keys of `store`.
    pub fn new(store: FileStore<F>) -> Self {
        Self(Arc::new(store))
    }
}

#[async_trait]
impl<F: Format> Registry for FileRegistry<F> {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        let store = Arc::clone(&self.0);
        run("export", key, move |path| store.export(path)).await
    }

    async fn import(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<(), RegistryError> {
        let (store, export) = (Arc::clone(&self.0), export.to_vec());
        run("import", key, move |path| store.import(path, &export, mode).map(drop)).await
    }

    async fn preview(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<Vec<String>, RegistryError> {
        let (store, export) = (Arc::clone(&self.0), export.to_vec());
        let changes = run("preview", key, move |path| store.preview(path, &export, mode)).await?;
        Ok(changes.iter().map(ToString::to_string).collect())
    }

    async fn loses(&self, key: &RegistryKey, export: &[u8]) -> Result<Option<String>, RegistryError> {
        let (store, export) = (Arc::clone(&self.0), export.to_vec());
        let excess = run("judge", key, move |path| store.loses(path, &export)).await?;
        Ok((!excess.is_empty()).then(|| excess.to_string()))
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        verify_export(key, export).await
    }
}

/// Judges an export of any adapter here, without a store; returns how many keys it holds.
pub async fn verify_export(key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
    let export = export.to_vec();
    run("verify", key, move |path| Ok(read_export(path, &export)?.count())).await
}

/// The registry of a Wine prefix behind the port: `system.reg` is `HKEY_LOCAL_MACHINE`, `user.reg` is
/// `HKEY_CURRENT_USER`, `userdef.reg` is `HKEY_USERS\.Default`; no other root is served.
///
/// No wineserver may run on the prefix (`wineserver --wait`): it reads the files when it starts, and writes over them when
/// it ends.
#[derive(Debug)]
pub struct WinePrefixRegistry(Vec<FileRegistry<WineFormat>>);

impl WinePrefixRegistry {
    /// Serves the prefix in `folder`, which is the one with `system.reg` in it.
    pub fn new(folder: &Path) -> Self {
        Self(WineFile::of_prefix(folder).into_iter().map(FileRegistry::new).collect())
    }

    fn store(&self, key: &RegistryKey) -> Result<&FileRegistry<WineFormat>, RegistryError> {
        let path = key.as_str().parse::<KeyPath>().unwrap_or_default();
        let serving = self.0.iter().find(|registry| path.starts_with(registry.0.mount()));
        serving.ok_or_else(|| RegistryError::NoStore(key.clone()))
    }
}

#[async_trait]
impl Registry for WinePrefixRegistry {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        self.store(key)?.export(key).await
    }

    async fn import(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<(), RegistryError> {
        self.store(key)?.import(key, export, mode).await
    }

    async fn preview(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<Vec<String>, RegistryError> {
        self.store(key)?.preview(key, export, mode).await
    }

    async fn loses(&self, key: &RegistryKey, export: &[u8]) -> Result<Option<String>, RegistryError> {
        self.store(key)?.loses(key, export).await
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        verify_export(key, export).await
    }
}

/// Runs `work` where it may block. Dropping the future does not stop it, which the port allows.
pub(crate) async fn run<T: Send + 'static>(
    action: &'static str,
    key: &RegistryKey,
    work: impl FnOnce(&KeyPath) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, RegistryError> {
    let failed = |source| RegistryError::Failed { key: key.clone(), action, source };
    let path: KeyPath = key.as_str().parse().map_err(|error| failed(Box::new(error)))?;
    match tokio::task::spawn_blocking(move || work(&path)).await {
        Ok(Err(error)) => Err(convert(error, key, failed)),
        Ok(Ok(done)) => Ok(done),
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(failed(Box::new(cancelled))),
        },
    }
}

fn convert(
    error: StoreError,
    key: &RegistryKey,
    failed: impl FnOnce(backup_core::ports::Source) -> RegistryError,
) -> RegistryError {
    match error {
        StoreError::KeyNotFound(_) => RegistryError::NoKey(key.clone()),
        StoreError::OutsideStore { .. } => RegistryError::NoStore(key.clone()),
        StoreError::Data(_) | StoreError::OutsideKey { .. } | StoreError::KeyNotInData(_) => {
            RegistryError::Malformed { key: key.clone(), source: Box::new(error) }
        }
        _ => failed(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reg_file::RegFile;

    #[tokio::test]
    async fn moves_a_key_through_the_port() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.reg");
        let sms = RegistryKey::new(r"HKLM\SOFTWARE\SMS");
        let registry: Arc<dyn Registry> = Arc::new(RegFileRegistry::new(RegFile::new(&file)));
        let missing = registry.export(&sms).await.unwrap_err();
        assert!(matches!(missing, RegistryError::Failed { action: "export", .. }), "{missing}");

        let text = "Windows Registry Editor Version 5.00\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\SMS\\A]\n";
        std::fs::write(&file, text).unwrap();
        let export = registry.export(&sms).await.unwrap();
        assert_eq!(registry.verify(&sms, &export).await.unwrap(), 2);

        std::fs::write(&file, format!("{text}[HKEY_LOCAL_MACHINE\\SOFTWARE\\SMS\\B]\n")).unwrap();
        registry.import(&sms, &export, ImportMode::Exact).await.unwrap();
        assert_eq!(registry.export(&sms).await.unwrap(), export);

        let elsewhere = RegistryKey::new(r"HKLM\SOFTWARE\NAL");
        assert!(matches!(registry.export(&elsewhere).await, Err(RegistryError::NoKey(_))));
        assert!(matches!(
            registry.import(&elsewhere, text.as_bytes(), ImportMode::Exact).await,
            Err(RegistryError::Malformed { .. })
        ));
        assert!(matches!(registry.verify(&sms, &export[..99]).await, Err(RegistryError::Malformed { .. })));
    }
}
