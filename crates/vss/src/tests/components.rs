//! Components of the system's writers where nothing images them.

use std::sync::Arc;

use backup_core::ports::shadow_copies::{SQL_SERVER_WRITER, ShadowCopies, ShadowCopyError, WantedComponent};

use super::scripted::{Bench, Script, writers};
use crate::{Best, PreCopy, Provider};

/// Left out without a word they would be missing in a snapshot that counts as whole.
#[tokio::test]
async fn a_provider_that_knows_no_such_writers_is_refused_before_anybody_is_called() {
    let providers: [Arc<dyn Provider>; 2] = [Arc::new(PreCopy), Arc::new(Best::new(Vec::new()))];
    for provider in providers {
        let bench = Bench::with(Script::default(), provider);
        let wanted = WantedComponent {
            writer: SQL_SERVER_WRITER,
            writer_name: "SqlServerWriter".to_owned(),
            logical_path: "SITE1".to_owned(),
            name: "CM_P01".to_owned(),
            known: Vec::new(),
            remedy: String::new(),
        };
        let mut request = bench.request(writers(&bench.script)).await;
        request.components = vec![wanted.clone()];
        let files = Arc::clone(&request.files);
        let prepared = bench.coordinator.prepare(request).await.map(drop);
        let inspected = bench.coordinator.inspect(Vec::new(), vec![wanted], files).await.map(drop);
        for refused in [prepared, inspected] {
            let error = refused.expect_err("nobody images it");
            assert!(matches!(error, ShadowCopyError::Component { .. }), "{error:?}");
            assert!(error.to_string().contains("has nothing to do with the system's writers"), "{error}");
        }
        assert_eq!(bench.script.trace.lines(), [""; 0]);
    }
}
