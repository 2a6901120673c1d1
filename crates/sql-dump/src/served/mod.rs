//! Databases of servers as parts of a site: [`LogicalDatabase`], [`SqlServerDatabase`], [`ExternalDatabase`].

mod external;
mod logical;
mod part;
mod sql_server;

use backup_core::cancel::Cancel;
use backup_core::path::RelPath;
use backup_core::ports::database::DatabaseError;

pub use external::ExternalDatabase;
pub use logical::LogicalDatabase;
pub use sql_server::{NativeFolder, SqlServerDatabase};

/// Ends work that blocks when nobody waits for it any more.
#[derive(Debug, Default)]
struct Stopper(Cancel);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs `work` where it may block. A panic in it goes on in the caller.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    name: &str,
    work: impl FnOnce() -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(DatabaseError::Failed { action, name: name.to_owned(), source: Box::new(error) }),
        },
    }
}

/// A database's name as one of a file; what no file may be called becomes `database`.
fn file_name(name: &str, extension: &str) -> RelPath {
    let plain: String = name.chars().map(|c| if r#"<>:"/\|?*"#.contains(c) || c < ' ' { '_' } else { c }).collect();
    let named = RelPath::root().try_join(format!("{plain}{extension}").as_bytes());
    named.unwrap_or_else(|_| RelPath::parse("database").expect("a plain name"))
}
