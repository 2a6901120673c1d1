//! A Wine registry file to a tree, line by line.

use super::{EPOCH, HEADER, SECOND, WineRest};
use crate::name::{KeyPath, Name};
use crate::tree::Key;
use crate::value::{Value, ValueType};

/// The first fault of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct SyntaxError {
    line: usize,
    reason: &'static str,
}

type Why = &'static str;

pub(super) fn read(bytes: &[u8]) -> Result<(Key, WineRest), SyntaxError> {
    let mut reader = Reader { root: Key::default(), rest: WineRest::default(), at: None, line: 0 };
    let mut lines = Lines { rest: bytes, number: 0 };
    while let Some(line) = lines.next() {
        let number = lines.number;
        reader.take(&line, &mut lines).map_err(|reason| SyntaxError { line: number, reason })?;
    }
    if lines.number == 0 {
        return Err(SyntaxError { line: 1, reason: "expected `WINE REGISTRY Version 2`" });
    }
    // The empty line before the first key belongs to the key.
    reader.rest.head.pop_if(|line| line.is_empty());
    Ok((reader.root, reader.rest))
}

/// Lines without their ends.
struct Lines<'t> {
    rest: &'t [u8],
    number: usize,
}

impl Iterator for Lines<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|&byte| byte == b'\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        self.number += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
    }
}

struct Reader {
    root: Key,
    rest: WineRest,
    /// The key whose lines are being read.
    at: Option<KeyPath>,
    line: usize,
}

impl Reader {
    fn take(&mut self, line: &[u8], more: &mut Lines<'_>) -> Result<(), Why> {
        self.line += 1;
        if self.line == 1 {
            return if line == HEADER.as_bytes() { Ok(()) } else { Err("expected `WINE REGISTRY Version 2`") };
        }
        match (line.trim_ascii_start().first(), self.at.clone()) {
            (Some(b'['), _) => self.key(line.trim_ascii_start()),
            (Some(b'"' | b'@'), Some(path)) => self.value(&path, line.trim_ascii_start().to_vec(), more),
            (Some(b'#'), Some(path)) => self.option(&path, line.trim_ascii_start()),
            (None, _) if self.at.is_some() => Ok(()),
            (_, None) => {
                self.rest.head.push(line.to_vec());
                Ok(())
            }
            (Some(b';'), _) => Ok(()),
            _ => Err("expected `[key]`, `\"name\"=`, `@=` or an option that begins with `#`"),
        }
    }

    fn key(&mut self, line: &[u8]) -> Result<(), Why> {
        let mut text = Text { bytes: line, at: 1 };
        let mut path = KeyPath::default();
        while !(path.names().is_empty() && text.take(b"]")) {
            // A backslash that separates names stands twice, as one in a name would: there is none in names.
            let (name, end) = text.until(b"]\\")?;
            path = path.child(name.into_iter().collect()).map_err(|_| "the path of the key is not right")?;
            if end == b']' {
                break;
            }
        }
        let seconds = std::str::from_utf8(text.rest()).ok().and_then(|rest| rest.trim().parse::<u64>().ok());
        let time = seconds.filter(|&seconds| seconds > 0).and_then(|seconds| (seconds + EPOCH).checked_mul(SECOND));
        self.root.create(&path).set_last_write(time);
        self.at = Some(path);
        Ok(())
    }

    fn option(&mut self, path: &KeyPath, line: &[u8]) -> Result<(), Why> {
        let key = self.root.create(path);
        if let Some(digits) = line.strip_prefix(b"#time=") {
            let text = std::str::from_utf8(digits).unwrap_or_default();
            key.set_last_write(Some(u64::from_str_radix(text.trim(), 16).map_err(|_| "the time is no number")?));
        } else if let Some(class) = line.strip_prefix(b"#class=") {
            let mut text = Text { bytes: class, at: 0 };
            text.expect(b"\"")?;
            key.set_class(Some(text.until(b"\"")?.0.into_iter().collect()));
        } else if line.trim_ascii_end() != b"#link" {
            self.rest.options.entry(path.clone()).or_default().push(line.to_vec());
        }
        Ok(())
    }

    fn value(&mut self, path: &KeyPath, mut line: Vec<u8>, more: &mut Lines<'_>) -> Result<(), Why> {
        // Only bytes in hexadecimal are continued, and nothing else ends so.
        while line.ends_with(b"\\") && !line.ends_with(b"\\\\") {
            line.pop();
            let next = more.next().ok_or("nothing follows the line that is continued")?;
            line.extend(next.trim_ascii_start());
        }
        let mut text = Text { bytes: &line, at: 0 };
        let name: Name = if text.take(b"@") {
            Name::default()
        } else {
            text.expect(b"\"")?;
            text.until(b"\"")?.0.into_iter().collect()
        };
        text.expect(b"=")?;
        let value = text.value()?;
        if !text.rest().trim_ascii().is_empty() {
            return Err("unexpected text at the end of the line");
        }
        self.root.create(path).set_value(name, value);
        Ok(())
    }
}

/// A line, and how far it was read.
struct Text<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Text<'t> {
    fn rest(&self) -> &'t [u8] {
        &self.bytes[self.at..]
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn expect(&mut self, text: &'static [u8]) -> Result<(), Why> {
        self.take(text).then_some(()).ok_or(match text {
            b"=" => "expected `=`",
            b"):" | b":" => "expected `:` behind the type",
            _ => "expected `\"`",
        })
    }

    fn value(&mut self) -> Result<Value, Why> {
        if self.rest().starts_with(b"\"") || self.take(b"str:") {
            return self.string(ValueType::SZ);
        }
        if self.take(b"str(") {
            let kind = ValueType(self.hex(8)?);
            self.expect(b"):")?;
            return self.string(kind);
        }
        if self.take(b"dword:") {
            return Ok(Value::dword(self.hex(8)?));
        }
        let kind = if self.take(b"hex(") {
            let kind = ValueType(self.hex(8)?);
            self.expect(b"):")?;
            kind
        } else if self.take(b"hex:") {
            ValueType::BINARY
        } else {
            return Err("expected `\"`, `str(type):`, `dword:`, `hex:` or `hex(type):`");
        };
        let mut data = Vec::new();
        while !self.rest().trim_ascii().is_empty() {
            if !data.is_empty() && !self.take(b",") {
                return Err("expected `,` between bytes");
            }
            data.push(self.hex(2)? as u8);
        }
        Ok(Value::new(kind, data))
    }

    fn string(&mut self, kind: ValueType) -> Result<Value, Why> {
        self.expect(b"\"")?;
        let (units, _) = self.until(b"\"")?;
        let data: Vec<u8> = units.into_iter().chain([0]).flat_map(u16::to_le_bytes).collect();
        Ok(Value::new(kind, data))
    }

    /// Up to so many digits in hexadecimal, at least one.
    fn hex(&mut self, most: usize) -> Result<u32, Why> {
        self.number(16, most).ok_or("expected a number in hexadecimal")
    }

    fn number(&mut self, radix: u32, most: usize) -> Option<u32> {
        let digit = |byte: &u8| char::from(*byte).is_digit(radix);
        let length = self.rest().iter().take(most).take_while(|byte| digit(byte)).count();
        let digits = &self.rest()[..length];
        self.at += length;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
    }

    /// Text without its escapes up to one of the `ends`, which is returned too. Of two backslashes, where they are an
    /// end, only the pair ends it.
    fn until(&mut self, ends: &[u8]) -> Result<(Vec<u16>, u8), Why> {
        let mut units = Vec::new();
        loop {
            let byte = *self.rest().first().ok_or("text is not closed on its line")?;
            self.at += 1;
            if byte == b'\\' {
                if ends.contains(&b'\\') && self.take(b"\\") {
                    return Ok((units, byte));
                }
                units.push(self.escaped()?);
            } else if ends.contains(&byte) {
                return Ok((units, byte));
            } else {
                units.push(byte.into());
            }
        }
    }

    fn escaped(&mut self) -> Result<u16, Why> {
        let byte = *self.rest().first().ok_or("text is not closed on its line")?;
        let unit = match byte {
            b'a' => 7,
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'v' => 11,
            b'f' => 12,
            b'r' => 13,
            b'e' => 27,
            b'x' => {
                self.at += 1;
                // Wine takes an x without digits for the letter.
                return Ok(self.number(16, 4).map_or(u16::from(b'x'), |unit| unit as u16));
            }
            b'0'..=b'7' => return Ok(self.number(8, 3).unwrap_or_default() as u16),
            other => other.into(),
        };
        self.at += 1;
        Ok(unit)
    }
}
