//! The `.reg` file as an adapter of core's port.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::ports::registry::{Registry, RegistryError, RegistryKey};

use crate::name::KeyPath;
use crate::reg_file::{ImportMode, RegFile, RegFileError, read_export};

/// A [`RegFile`] behind the port [`Registry`]. Exports are UTF-16LE `.reg` text, imports are exact.
#[derive(Debug, Clone)]
pub struct RegFileRegistry(Arc<RegFile>);

impl RegFileRegistry {
    /// Serves the keys of `file`.
    pub fn new(file: RegFile) -> Self {
        Self(Arc::new(file))
    }

    /// Runs `work` where it may block. Dropping the future does not stop it, which the port allows.
    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &RegistryKey,
        work: impl FnOnce(&RegFile, &KeyPath) -> Result<T, RegFileError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let failed = |source| RegistryError::Failed { key: key.clone(), action, source };
        let path: KeyPath = key.as_str().parse().map_err(|error| failed(Box::new(error)))?;
        let file = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&file, &path)).await {
            Ok(Err(error)) => Err(convert(error, key, failed)),
            Ok(Ok(done)) => Ok(done),
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => Err(failed(Box::new(cancelled))),
            },
        }
    }
}

fn convert(
    error: RegFileError,
    key: &RegistryKey,
    failed: impl FnOnce(backup_core::ports::Source) -> RegistryError,
) -> RegistryError {
    match error {
        RegFileError::KeyNotFound(_) => RegistryError::NoKey(key.clone()),
        RegFileError::Data(_) | RegFileError::OutsideKey { .. } | RegFileError::KeyNotInData(_) => {
            RegistryError::Malformed { key: key.clone(), source: Box::new(error) }
        }
        _ => failed(Box::new(error)),
    }
}

#[async_trait]
impl Registry for RegFileRegistry {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        self.run("export", key, |file, path| file.export(path)).await
    }

    async fn import(&self, key: &RegistryKey, export: &[u8]) -> Result<(), RegistryError> {
        let export = export.to_vec();
        self.run("import", key, move |file, path| file.import(path, &export, ImportMode::Exact).map(drop)).await
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        let export = export.to_vec();
        self.run("verify", key, move |_, path| Ok(read_export(path, &export)?.count())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        registry.import(&sms, &export).await.unwrap();
        assert_eq!(registry.export(&sms).await.unwrap(), export);

        let elsewhere = RegistryKey::new(r"HKLM\SOFTWARE\NAL");
        assert!(matches!(registry.export(&elsewhere).await, Err(RegistryError::NoKey(_))));
        assert!(matches!(registry.import(&elsewhere, &export).await, Err(RegistryError::Malformed { .. })));
        assert!(matches!(registry.verify(&sms, &export[..99]).await, Err(RegistryError::Malformed { .. })));
    }
}
