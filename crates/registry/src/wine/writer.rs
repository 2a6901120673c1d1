//! A tree to a Wine registry file, in the form in which wineserver writes it, but for the order of `_` and letters.

use super::{EPOCH, HEADER, SECOND, WineRest};
use crate::name::{KeyPath, Name};
use crate::tree::Key;
use crate::value::{Value, ValueType};

/// A key that the text cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `{path}` cannot be written to a Wine registry file: {reason}")]
pub(super) struct WriteError {
    path: KeyPath,
    reason: &'static str,
}

pub(super) fn write(root: &Key, rest: &WineRest) -> Result<Vec<u8>, WriteError> {
    let mut writer = Writer { out: format!("{HEADER}\n").into_bytes(), path: KeyPath::default(), rest };
    for line in &rest.head {
        writer.out.extend(line);
        writer.out.push(b'\n');
    }
    if root.values().len() > 0 {
        writer.key(root);
    }
    writer.subkeys(root)?;
    Ok(writer.out)
}

struct Writer<'r> {
    out: Vec<u8>,
    path: KeyPath,
    rest: &'r WineRest,
}

impl Writer<'_> {
    fn subkeys(&mut self, key: &Key) -> Result<(), WriteError> {
        for (name, subkey) in key.subkeys() {
            self.path.push(name);
            if self.path.names().len() > crate::MAX_DEPTH {
                return Err(self.error("it is nested deeper than 512 levels"));
            }
            self.key(subkey);
            self.subkeys(subkey)?;
            self.path.pop();
        }
        Ok(())
    }

    fn key(&mut self, key: &Key) {
        let options = self.rest.options.get(&self.path).map(Vec::as_slice).unwrap_or_default();
        let says_something = key.values().len() > 0
            || key.subkeys().len() == 0
            || key.class().is_some()
            || key.last_write().is_some()
            || !options.is_empty();
        // A key of which there is nothing to say is made by those below it.
        if !says_something {
            return;
        }
        self.head(key);
        for option in options {
            self.out.extend(option);
            self.out.push(b'\n');
        }
        for (name, value) in key.values() {
            self.value(name, value);
        }
    }

    fn head(&mut self, key: &Key) {
        self.text("\n[");
        for (at, name) in self.path.names().iter().enumerate() {
            self.out.extend(if at == 0 { &b""[..] } else { br"\\" });
            escape(&mut self.out, name.units(), b"[]");
        }
        let time = key.last_write().unwrap_or_default();
        let seconds = (time / SECOND).saturating_sub(EPOCH);
        self.text(&format!("] {seconds}\n"));
        if time > 0 {
            self.text(&format!("#time={time:x}\n"));
        }
        if let Some(class) = key.class() {
            self.text("#class=\"");
            escape(&mut self.out, class.units(), b"\"\"");
            self.text("\"\n");
        }
        if key.is_link() {
            self.text("#link\n");
        }
    }

    fn value(&mut self, name: &Name, value: &Value) {
        let start = self.out.len();
        if name.is_empty() {
            self.text("@=");
        } else {
            self.text("\"");
            escape(&mut self.out, name.units(), b"\"\"");
            self.text("\"=");
        }
        let ValueType(number) = value.kind();
        match (value.kind(), string(value), value.as_dword()) {
            (ValueType::SZ, Some(units), _) => self.string("", units),
            (_, Some(units), _) => self.string(&format!("str({number:x}):"), units),
            (_, _, Some(dword)) => self.text(&format!("dword:{dword:08x}\n")),
            (ValueType::BINARY, ..) => self.bytes("hex:", value.data(), start),
            _ => self.bytes(&format!("hex({number:x}):"), value.data(), start),
        }
    }

    fn string(&mut self, prefix: &str, units: impl ExactSizeIterator<Item = u16>) {
        self.text(prefix);
        self.text("\"");
        escape(&mut self.out, units, b"\"\"");
        self.text("\"\n");
    }

    fn bytes(&mut self, prefix: &str, data: &[u8], start: usize) {
        self.text(prefix);
        let mut column = self.out.len() - start;
        for (at, byte) in data.iter().enumerate() {
            self.text(&format!("{byte:02x}"));
            column += 2;
            if at + 1 < data.len() {
                self.text(",");
                column += 1;
                if column > 76 {
                    self.text("\\\n  ");
                    column = 2;
                }
            }
        }
        self.text("\n");
    }

    fn text(&mut self, text: &str) {
        self.out.extend(text.as_bytes());
    }

    fn error(&self, reason: &'static str) -> WriteError {
        WriteError { path: self.path.clone(), reason }
    }
}

/// The units of a text that ends with a NUL, without it.
fn string(value: &Value) -> Option<impl ExactSizeIterator<Item = u16>> {
    let is_text = matches!(value.kind(), ValueType::SZ | ValueType::EXPAND_SZ | ValueType::MULTI_SZ);
    let (pairs, []) = value.data().as_chunks() else { return None };
    let units = pairs.strip_suffix(&[[0, 0]]).filter(|_| is_text)?;
    Some(units.iter().copied().map(u16::from_le_bytes))
}

/// Appends ASCII that stands for the units, with `quoted` behind a backslash.
fn escape(out: &mut Vec<u8>, units: impl ExactSizeIterator<Item = u16>, quoted: &[u8; 2]) {
    let mut units = units.peekable();
    while let Some(unit) = units.next() {
        let next = units.peek().and_then(|&next| u8::try_from(next).ok()).unwrap_or_default();
        let short = match unit {
            7 => "a",
            8 => "b",
            9 => "t",
            10 => "n",
            11 => "v",
            12 => "f",
            13 => "r",
            27 => "e",
            _ => "",
        };
        let escaped = match unit {
            _ if !short.is_empty() => format!("\\{short}"),
            // As many digits as can stand there, where more could be taken for digits.
            0..32 if next.is_ascii_digit() => format!("\\{unit:03o}"),
            0..32 => format!("\\{unit:o}"),
            128.. if next.is_ascii_hexdigit() => format!("\\x{unit:04x}"),
            128.. => format!("\\x{unit:x}"),
            _ => {
                let byte = unit as u8;
                if byte == b'\\' || quoted.contains(&byte) {
                    out.push(b'\\');
                }
                out.push(byte);
                continue;
            }
        };
        out.extend(escaped.into_bytes());
    }
}
