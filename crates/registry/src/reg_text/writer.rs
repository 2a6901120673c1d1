//! A tree to text.

use super::Encoding;
use crate::name::{KeyPath, MAX_DEPTH, Name};
use crate::tree::Key;
use crate::value::{Value, ValueType};

/// The column behind which the line of a hexadecimal value is continued on the next, as in Windows.
const LAST_COLUMN: usize = 76;

/// A key that `.reg` text cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `{path}` cannot be written as .reg text: {reason}")]
pub struct WriteError {
    /// The key.
    pub path: KeyPath,
    /// What stands against it.
    pub reason: &'static str,
}

/// Writes `key`, which stands at `path`, with all below it, as version 5 text with CRLF line ends.
///
/// Fails where the text would say something else than the tree: a line break or NUL in the name of a key, half a
/// surrogate pair in a name when the encoding is UTF-8, a top-level name that starts like a deletion, values of the
/// root.
pub fn write(key: &Key, path: &KeyPath, encoding: Encoding) -> Result<Vec<u8>, WriteError> {
    let mut writer = Writer { units: Vec::new(), path: path.clone(), utf8: encoding != Encoding::Utf16Le };
    writer.text("Windows Registry Editor Version 5.00\r\n\r\n");
    for name in path.names() {
        writer.check(name)?;
    }
    writer.key(key)?;
    Ok(encode(&writer.units, encoding))
}

fn encode(units: &[u16], encoding: Encoding) -> Vec<u8> {
    let utf8 = || String::from_utf16(units).expect("each name and string was checked before it was written");
    match encoding {
        Encoding::Utf16Le => [0xfeff].iter().chain(units).flat_map(|unit| unit.to_le_bytes()).collect(),
        Encoding::Utf8 => utf8().into_bytes(),
        Encoding::Utf8Bom => format!("\u{feff}{}", utf8()).into_bytes(),
    }
}

struct Writer {
    units: Vec<u16>,
    path: KeyPath,
    utf8: bool,
}

impl Writer {
    fn key(&mut self, key: &Key) -> Result<(), WriteError> {
        if !self.path.names().is_empty() {
            self.key_line();
            for (name, value) in key.values() {
                self.value_line(name, value)?;
            }
            self.text("\r\n");
        } else if key.values().len() > 0 {
            return Err(self.error("the root cannot have values"));
        }
        for (name, subkey) in key.subkeys() {
            self.path.push(name);
            self.check(name)?;
            self.key(subkey)?;
            self.path.pop();
        }
        Ok(())
    }

    fn check(&self, name: &Name) -> Result<(), WriteError> {
        if self.path.names().len() > MAX_DEPTH {
            return Err(self.error("it is nested deeper than 512 levels"));
        }
        if name.units().any(|unit| [0, 0x0a, 0x0d].contains(&unit)) {
            return Err(self.error("line break or NUL in its name"));
        }
        if self.path.names()[0].units().next() == Some(u16::from(b'-')) {
            return Err(self.error("`-` at the start would delete the key"));
        }
        self.check_unicode(name)
    }

    fn check_unicode(&self, name: &Name) -> Result<(), WriteError> {
        if self.utf8 && has_lone_surrogate(name.units()) {
            return Err(self.error("half a surrogate pair in a name needs UTF-16"));
        }
        Ok(())
    }

    fn key_line(&mut self) {
        let mut separator = u16::from(b'[');
        for name in self.path.names() {
            self.units.push(separator);
            self.units.extend(name.units());
            separator = u16::from(b'\\');
        }
        self.text("]\r\n");
    }

    fn value_line(&mut self, name: &Name, value: &Value) -> Result<(), WriteError> {
        let start = self.units.len();
        self.check_unicode(name)?;
        if name.is_empty() {
            self.text("@");
        } else {
            self.quoted(name.units());
        }
        self.text("=");
        match plain_string(value) {
            Some(string) => self.quoted(string.into_iter()),
            None => self.number_or_bytes(value, start),
        }
        self.text("\r\n");
        Ok(())
    }

    fn number_or_bytes(&mut self, value: &Value, line_start: usize) {
        match (value.as_dword(), value.kind()) {
            (Some(number), _) => self.text(&format!("dword:{number:08x}")),
            (None, ValueType::BINARY) => self.bytes("hex:", value.data(), line_start),
            (None, ValueType(kind)) => self.bytes(&format!("hex({kind:x}):"), value.data(), line_start),
        }
    }

    fn bytes(&mut self, prefix: &str, data: &[u8], mut line_start: usize) {
        self.text(prefix);
        for (index, byte) in data.iter().enumerate() {
            if index > 0 {
                self.text(",");
                if self.units.len() - line_start > LAST_COLUMN {
                    self.text("\\\r\n");
                    line_start = self.units.len();
                    self.text("  ");
                }
            }
            let digit = |nibble: u8| u16::from(b"0123456789abcdef"[usize::from(nibble)]);
            self.units.extend([digit(byte >> 4), digit(byte & 15)]);
        }
    }

    fn quoted(&mut self, units: impl Iterator<Item = u16>) {
        self.text("\"");
        for unit in units {
            match unit {
                0x00 => self.text("\\0"),
                0x0a => self.text("\\n"),
                0x0d => self.text("\\r"),
                0x22 => self.text("\\\""),
                0x5c => self.text("\\\\"),
                _ => self.units.push(unit),
            }
        }
        self.text("\"");
    }

    fn text(&mut self, ascii: &str) {
        self.units.extend(ascii.bytes().map(u16::from));
    }

    fn error(&self, reason: &'static str) -> WriteError {
        WriteError { path: self.path.clone(), reason }
    }
}

/// A string whose quoted form every reader takes for the same bytes.
fn plain_string(value: &Value) -> Option<Vec<u16>> {
    let units = (value.kind() == ValueType::SZ).then(|| value.terminated_units())??;
    let breaks_line = units.iter().any(|unit| [0x0a, 0x0d].contains(unit));
    (!breaks_line && !has_lone_surrogate(units.iter().copied())).then_some(units)
}

fn has_lone_surrogate(units: impl Iterator<Item = u16>) -> bool {
    char::decode_utf16(units).any(|decoded| decoded.is_err())
}
