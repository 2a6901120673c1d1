//! `.reg` text: versions 4 and 5 read, version 5 written.
//!
//! The text is a script, not a tree: it sets and deletes, in order. [`read`] gives the script, which can be applied to
//! an existing tree or turned into one; [`write()`] writes a tree so that reading it gives the same tree back, to the
//! byte. Text is written as Windows' own editor does; strings that would not survive its lines (a line break, a NUL
//! inside, no NUL at the end, an odd byte, half a surrogate pair) are written as `hex(1)`.
//!
//! Three things that Windows leaves open are decided here. The escapes `\n`, `\r` and `\0`, which Wine writes, are read
//! as such, and written in names of values. A key's line ends at its last `]`, so that names may hold brackets. Version
//! 4 text is taken as Windows-1252, the strings in its `hex(1)`, `hex(2)` and `hex(7)` too.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use crate::name::{KeyPath, Name};
use crate::tree::Key;
use crate::value::Value;

pub use writer::{WriteError, write};

/// How `.reg` text is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-16LE with a byte order mark, as Windows writes it.
    #[default]
    Utf16Le,
    /// UTF-8 without a byte order mark.
    Utf8,
    /// UTF-8 with a byte order mark.
    Utf8Bom,
}

/// A `.reg` script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegText {
    /// The encoding in which to write it back. Version 4 text becomes UTF-16LE, since its own cannot hold every name.
    pub encoding: Encoding,
    /// What the text says, in its order.
    pub sections: Vec<Section>,
}

/// One bracketed line of a script and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section {
    /// `[KEY]`: creates the key, then sets each value, or deletes it where there is `None`.
    Set(KeyPath, Vec<(Name, Option<Value>)>),
    /// `[-KEY]`: deletes the key with all below it.
    Delete(KeyPath),
}

impl Section {
    /// The key that is set or deleted.
    pub fn path(&self) -> &KeyPath {
        match self {
            Self::Set(path, _) | Self::Delete(path) => path,
        }
    }
}

impl RegText {
    /// Does to `root` what the text says.
    pub fn apply(self, root: &mut Key) {
        for section in self.sections {
            match section {
                Section::Delete(path) => drop(root.remove(&path)),
                Section::Set(path, values) => set_values(root.create(&path), values),
            }
        }
    }

    /// The tree that the text makes out of nothing.
    pub fn into_tree(self) -> Key {
        let mut root = Key::default();
        self.apply(&mut root);
        root
    }
}

fn set_values(key: &mut Key, values: Vec<(Name, Option<Value>)>) {
    for (name, value) in values {
        match value {
            Some(value) => key.set_value(name, value),
            None => drop(key.remove_value(name)),
        }
    }
}

/// The first fault of a `.reg` text. There is no list of them: a script that is wrong anywhere must not be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// Reads a whole `.reg` text.
///
/// Takes memory in proportion to the text and never panics, whatever the bytes are. The tree of an export is a few times
/// as large as its text; chains of one-letter keys, the worst that a hostile text can do, make it 400 times as large.
pub fn read(bytes: &[u8]) -> Result<RegText, SyntaxError> {
    reader::read(bytes)
}
