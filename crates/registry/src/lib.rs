//! Registry keys as trees and as text, and a store of keys that lives in one `.reg` file.
//!
//! A [`Key`] keeps every value's type and bytes exactly, whatever they are; [`reg_text`] reads and writes such trees as
//! `.reg` text; [`RegFile`] exports and imports keys of a file that others may read at any moment. Last-write times,
//! class names and security descriptors are not kept: `.reg` text has no place for them.
//!
//! ```
//! use registry::{Encoding, Key, KeyPath, Value, diff, reg_text};
//!
//! let setup: KeyPath = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup".parse()?;
//! let mut before = Key::default();
//! before.create(&setup).set_value("Site Code", Value::string("XYZ"));
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
mod name;
mod reg_file;
pub mod reg_text;
pub mod regf;
mod tree;
mod value;

pub use adapter::RegFileRegistry;
pub use diff::{Change, diff};
pub use name::{KeyPath, MAX_DEPTH, Name, PathError, Units};
pub use reg_file::{ImportMode, RegFile, RegFileError, read_export};
pub use reg_text::Encoding;
pub use tree::Key;
pub use value::{Value, ValueType};
