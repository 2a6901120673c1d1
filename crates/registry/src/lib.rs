//! Registry keys as trees, as hives and as text, and stores of keys that live in files of each kind.
//!
//! A [`Key`] keeps every value's type and bytes exactly, whatever they are, with class names, last-write times and
//! security descriptors. [`regf`] reads and writes such trees as hives, hostile and damaged ones too; [`reg_text`] as
//! `.reg` text, which has no place for the last three. [`HiveFile`], [`RegFile`] and [`WineFile`] export and import keys
//! of a file that others may read at any moment, [`read_key_file`] looks into any of them; the adapters of backup-core's port `Registry` are made of them.
//!
//! ```
//! use registry::{Encoding, Key, KeyPath, Value, diff, reg_text, regf};
//!
//! let setup: KeyPath = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup".parse()?;
//! let mut before = Key::default();
//! before.create(&setup).set_value("Site Code", Value::string("XYZ"));
//!
//! let hive = regf::write(&before, &regf::Header::default())?;
//! assert_eq!(regf::read(&hive)?.root, before);
//! // Of a damaged hive, what there is, and a list of what there is not.
//! let (_, losses) = regf::salvage(&hive)?;
//! assert!(losses.is_empty());
//!
//! let text = reg_text::write(&before, &KeyPath::default(), Encoding::Utf16Le)?;
//! let mut after = reg_text::read(&text)?.into_tree();
//! assert_eq!(before, after);
//!
//! after.create(&setup).set_value("site code", Value::string("ABC"));
//! assert_eq!(
//!     diff(&before, &after)[0].to_string(),
//!     r#"~ [HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup] "Site Code" = REG_SZ "XYZ" → REG_SZ "ABC""#,
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapter;
#[cfg(test)]
mod arbitrary;
mod diff;
mod hive_file;
mod key_file;
mod name;
mod reg_file;
pub mod reg_text;
pub mod regf;
mod replace;
mod store;
mod tree;
mod value;
#[cfg(windows)]
mod windows;
mod wine;

pub use adapter::{FileRegistry, HiveFileRegistry, RegFileRegistry, WinePrefixRegistry, verify_export};
pub use backup_core::ports::registry::ImportMode;
pub use diff::{Change, diff};
pub use hive_file::{HiveFile, HiveFormat};
pub use key_file::{FileKind, KeyFile, read_key_file};
pub use name::{KeyPath, MAX_DEPTH, Name, PathError, Units};
pub use reg_file::{RegFile, RegFormat};
pub use reg_text::Encoding;
pub use store::{FileStore, Format, StoreError, read_export, write_export};
pub use tree::{Detail, Excess, Key};
pub use value::{Value, ValueType};
#[cfg(windows)]
pub use windows::{LiveKeys, LiveRegistry, Means};
pub use wine::{WineFile, WineFormat, WineRest};
