//! Registry keys of a snapshot, put back or compared with what is there.

use super::Recovery;
use crate::copy::chain;
use crate::manifest::{ContentHash, FileRecord};
use crate::ports::registry::RegistryKey;
use crate::report::{Cause, Finding, Gravity};
use crate::verify::read_small;

impl Recovery<'_> {
    pub(super) async fn restore_registry(&mut self, key: &RegistryKey, record: &FileRecord) {
        let Some(registry) = &self.ports.registry else { return };
        let imported = match self.read_export(record) {
            Ok(export) => {
                let imported = registry.import(key, &export, self.request.registry).await;
                imported.map(|()| export).map_err(|error| chain(&error))
            }
            Err(message) => Err(message),
        };
        match imported {
            Ok(export) => {
                self.report.written += 1;
                self.tell_loss(key, &export).await;
            }
            Err(message) => self.error(Cause::Registry, message, "repeat the recovery once the reason is gone"),
        }
    }

    /// What imports would change, one line a change.
    pub(super) async fn preview_registry(&mut self, exports: &[(RegistryKey, FileRecord)]) -> Vec<String> {
        let mut changes = Vec::new();
        for (key, record) in exports {
            let Some(registry) = &self.ports.registry else { continue };
            let previewed = match self.read_export(record) {
                Ok(export) => {
                    self.tell_loss(key, &export).await;
                    registry.preview(key, &export, self.request.registry).await.map_err(|error| chain(&error))
                }
                Err(message) => Err(message),
            };
            match previewed {
                Ok(lines) => changes.extend(lines),
                Err(message) => self.error(Cause::Registry, message, "see to it before the recovery"),
            }
        }
        changes
    }

    /// An export that cannot be judged is an error of its import.
    async fn tell_loss(&mut self, key: &RegistryKey, export: &[u8]) {
        let Some(registry) = &self.ports.registry else { return };
        if let Ok(Some(lost)) = registry.loses(key, export).await {
            let message = format!("of `{key}` the registry has no place for {lost}: they are lost");
            self.report.findings.push(Finding::new(Gravity::Warning, Cause::Registry, message));
        }
    }

    fn read_export(&self, record: &FileRecord) -> Result<Vec<u8>, String> {
        let export = read_small(self.files.as_ref(), &record.path).map_err(|error| chain(&error))?;
        if Some(ContentHash::of(&export)) == record.hash {
            Ok(export)
        } else {
            Err(format!("`{}` does not have the hash in the list", record.path))
        }
    }
}
