//! The status messages in the state folder: `status.jsonl` and its predecessor `status.1.jsonl`.

use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::ports::status_log::{StatusLog, StatusLogError};
use backup_core::status::StatusMessage;

use crate::blocking::blocking;
use crate::jsonl::JsonLines;

const ROLL_OVER_AT: u64 = 4 * 1024 * 1024;

/// The status messages of one state folder, which is created for its owner only at the first append.
///
/// Several processes may append at once. The oldest messages go when the file has grown over 4 MiB for the second time.
#[derive(Debug, Clone)]
pub struct FileStatusLog {
    lines: JsonLines,
}

impl FileStatusLog {
    /// The status log in the state folder `folder`. Touches nothing yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { lines: JsonLines::new(folder.into().join("status.jsonl")) }
    }
}

#[async_trait]
impl StatusLog for FileStatusLog {
    async fn append(&self, message: &StatusMessage) -> Result<(), StatusLogError> {
        let (lines, message) = (self.lines.clone(), message.clone());
        let result = blocking(move || lines.append(&message, Some(ROLL_OVER_AT))).await;
        result.map_err(|source| StatusLogError { action: "append to", source: Box::new(source) })
    }

    async fn read(&self) -> Result<Vec<StatusMessage>, StatusLogError> {
        let lines = self.lines.clone();
        let result = blocking(move || lines.read()).await;
        result.map_err(|source| StatusLogError { action: "read", source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use backup_core::snapshot::RunId;
    use backup_core::status::{COMPLETED, STARTED};
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn messages_come_back_in_their_order() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let log = FileStatusLog::new(folder.path());
        let message = |kind: backup_core::status::MessageKind| StatusMessage {
            id: kind.id,
            severity: kind.severity,
            at: Timestamp::UNIX_EPOCH,
            site: "P01".into(),
            run: RunId(Uuid::from_u128(7)),
            details: vec!["Größe \"x\"\r\n".into()],
        };
        for kind in [STARTED, COMPLETED] {
            log.append(&message(kind)).await.expect("appended");
        }
        assert_eq!(log.read().await.expect("read"), [message(STARTED), message(COMPLETED)]);
        assert_eq!(FileStatusLog::new(folder.path().join("none")).read().await.expect("nothing yet"), []);
    }
}
