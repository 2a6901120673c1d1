//! Databases of servers as parts of a site: [`LogicalDatabase`], [`SqlServerDatabase`], [`ImagedDatabase`], [`ExternalDatabase`].

mod external;
mod imaged;
mod logical;
mod part;
mod sql_server;

use backup_core::path::RelPath;

pub use external::ExternalDatabase;
pub use imaged::ImagedDatabase;
pub use logical::LogicalDatabase;
pub use sql_server::{NativeFolder, SqlServerDatabase};

/// A database's name as one of a file; what no file may be called becomes `database`.
fn file_name(name: &str, extension: &str) -> RelPath {
    let plain: String = name.chars().map(|c| if r#"<>:"/\|?*"#.contains(c) || c < ' ' { '_' } else { c }).collect();
    let named = RelPath::root().try_join(format!("{plain}{extension}").as_bytes());
    named.unwrap_or_else(|_| RelPath::parse("database").expect("a plain name"))
}
