//! Text to sections: decoding, then one pass over UTF-16 units.

use encoding_rs::WINDOWS_1252;

use super::{Encoding, RegText, Section, SyntaxError};
use crate::name::{KeyPath, Name};
use crate::value::{Value, ValueType};

const HEADER_5: &str = "Windows Registry Editor Version 5.00";
const HEADER_4: &str = "REGEDIT4";

pub(super) fn read(bytes: &[u8]) -> Result<RegText, SyntaxError> {
    let decoded = decode(bytes)?;
    let mut reader = Reader { units: &decoded.units, at: 0, version_4: decoded.version_4 };
    let header = if decoded.version_4 { HEADER_4 } else { HEADER_5 };
    if !reader.take(header) {
        return Err(reader.error(0, format!("expected `{HEADER_5}` or `{HEADER_4}`")));
    }
    reader.end_of_line()?;
    Ok(RegText { encoding: decoded.encoding, sections: reader.sections()? })
}

struct Decoded {
    units: Vec<u16>,
    encoding: Encoding,
    version_4: bool,
}

fn decode(bytes: &[u8]) -> Result<Decoded, SyntaxError> {
    let version_4 = bytes.starts_with(HEADER_4.as_bytes());
    let (units, encoding) = match bytes {
        [0xff, 0xfe, rest @ ..] => (decode_utf16(rest)?, Encoding::Utf16Le),
        [0xfe, 0xff, ..] => return Err(error_behind(&[], "big-endian UTF-16 is not supported")),
        [0xef, 0xbb, 0xbf, rest @ ..] => (decode_utf8(rest)?, Encoding::Utf8Bom),
        _ if version_4 => (decode_ansi(bytes), Encoding::Utf16Le),
        _ => (decode_utf8(bytes)?, Encoding::Utf8),
    };
    Ok(Decoded { units, encoding, version_4 })
}

fn decode_utf16(bytes: &[u8]) -> Result<Vec<u16>, SyntaxError> {
    let (pairs, rest) = bytes.as_chunks();
    let units: Vec<u16> = pairs.iter().copied().map(u16::from_le_bytes).collect();
    if rest.is_empty() { Ok(units) } else { Err(error_behind(&units, "half a UTF-16 unit at the end")) }
}

fn decode_utf8(bytes: &[u8]) -> Result<Vec<u16>, SyntaxError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.encode_utf16().collect()),
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            Err(error_behind(&valid.encode_utf16().collect::<Vec<_>>(), "not UTF-8"))
        }
    }
}

fn decode_ansi(bytes: &[u8]) -> Vec<u16> {
    WINDOWS_1252.decode_without_bom_handling(bytes).0.encode_utf16().collect()
}

fn error_behind(units: &[u16], message: impl Into<String>) -> SyntaxError {
    let (mut line, mut column) = (1, 1);
    for (index, &unit) in units.iter().enumerate() {
        match unit {
            // The LF of a CRLF ends the line.
            0x0d if units.get(index + 1) == Some(&0x0a) => {}
            0x0a | 0x0d => (line, column) = (line + 1, 1),
            0xdc00..=0xdfff => {}
            _ => column += 1,
        }
    }
    SyntaxError { line, column, message: message.into() }
}

struct Reader<'t> {
    units: &'t [u16],
    at: usize,
    version_4: bool,
}

impl Reader<'_> {
    fn sections(&mut self) -> Result<Vec<Section>, SyntaxError> {
        let mut sections = Vec::new();
        loop {
            self.skip_blank_lines();
            let start = self.at;
            match self.peek() {
                None => return Ok(sections),
                Some('[') => sections.push(self.key_line()?),
                Some('"' | '@') => {
                    let value = self.value_line()?;
                    match sections.last_mut() {
                        Some(Section::Set(_, values)) => values.push(value),
                        Some(Section::Delete(_)) => return Err(self.error(start, "value of a key that is deleted")),
                        None => return Err(self.error(start, "value before the first key")),
                    }
                }
                Some(_) => return Err(self.error(start, "expected `[key]`, `\"name\"=`, `@=` or a `;` comment")),
            }
        }
    }

    fn key_line(&mut self) -> Result<Section, SyntaxError> {
        let start = self.at;
        let line = &self.units[start..self.line_end()];
        let Some(close) = line.iter().rposition(|&unit| unit == u16::from(b']')) else {
            return Err(self.error(start, "`[` is not closed on its line"));
        };
        if line[..close].contains(&0) {
            return Err(self.error(start, "NUL in the name of a key"));
        }
        let (deletes, path) = match &line[1..close] {
            [dash, rest @ ..] if *dash == u16::from(b'-') => (true, rest),
            path => (false, path),
        };
        if path.is_empty() {
            return Err(self.error(start, "no key between the brackets"));
        }
        let path = KeyPath::from_units(path).map_err(|error| self.error(start, error.to_string()))?;
        self.at += close + 1;
        self.end_of_line()?;
        Ok(if deletes { Section::Delete(path) } else { Section::Set(path, Vec::new()) })
    }

    fn value_line(&mut self) -> Result<(Name, Option<Value>), SyntaxError> {
        let name = if self.take("@") { Name::default() } else { self.quoted(Lines::One)?.into_iter().collect() };
        self.skip_spaces();
        if !self.take("=") {
            return Err(self.error(self.at, "expected `=` behind the name of a value"));
        }
        self.skip_spaces();
        let value = if self.take("-") { None } else { Some(self.value()?) };
        self.end_of_line()?;
        Ok((name, value))
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        if self.peek() == Some('"') {
            return Ok(Value::terminated(self.quoted(Lines::Many)?));
        }
        if self.take("dword:") {
            return Ok(Value::dword(self.hex_number(8)?));
        }
        let kind = if self.take("hex:") {
            ValueType::BINARY
        } else if self.take("hex(") {
            let kind = ValueType(self.hex_number(8)?);
            if !self.take("):") {
                return Err(self.error(self.at, "expected `):` behind the type"));
            }
            kind
        } else {
            return Err(self.error(self.at, "expected `\"`, `dword:`, `hex:`, `hex(type):` or `-`"));
        };
        let data = self.hex_bytes()?;
        Ok(Value::new(kind, if self.version_4 { widened(kind, data) } else { data }))
    }

    /// Takes a quoted string. Windows writes the line breaks of a string's data as they are, those of a name never.
    fn quoted(&mut self, lines: Lines) -> Result<Vec<u16>, SyntaxError> {
        let start = self.at;
        let mut units = Vec::new();
        loop {
            self.at += 1;
            match self.peek() {
                Some('"') => {
                    self.at += 1;
                    return Ok(units);
                }
                Some('\\') => units.push(self.escaped()?),
                Some('\n' | '\r') if lines == Lines::One => break,
                Some(_) => units.push(self.units[self.at]),
                None => break,
            }
        }
        Err(self.error(start, "string is not closed"))
    }

    fn escaped(&mut self) -> Result<u16, SyntaxError> {
        self.at += 1;
        match self.peek() {
            Some(same @ ('\\' | '"')) => Ok(same as u16),
            Some('n') => Ok(0x0a),
            Some('r') => Ok(0x0d),
            Some('0') => Ok(0),
            _ => Err(self.error(self.at - 1, r#"unknown escape; there are `\\`, `\"`, `\n`, `\r` and `\0`"#)),
        }
    }

    fn hex_bytes(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let mut bytes = Vec::new();
        self.skip_continuations()?;
        if !self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
            return Ok(bytes);
        }
        loop {
            bytes.push(self.hex_number(2)? as u8);
            self.skip_continuations()?;
            if !self.take(",") {
                return Ok(bytes);
            }
            self.skip_continuations()?;
        }
    }

    fn hex_number(&mut self, max_digits: usize) -> Result<u32, SyntaxError> {
        let start = self.at;
        let mut number: u64 = 0;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) {
            number = number << 4 | u64::from(digit);
            self.at += 1;
            if self.at - start > max_digits {
                break;
            }
        }
        if self.at == start || self.at - start > max_digits {
            return Err(self.error(start, format!("expected 1 to {max_digits} hexadecimal digits")));
        }
        Ok(number as u32)
    }

    /// Skips spaces, and line ends behind a backslash.
    fn skip_continuations(&mut self) -> Result<(), SyntaxError> {
        self.skip_spaces();
        while self.take("\\") {
            self.end_of_line()?;
            if !self.skip_line_end() {
                return Err(self.error(self.at, "nothing follows the line that is continued"));
            }
            self.skip_spaces();
        }
        Ok(())
    }

    /// Requires that nothing but spaces and a comment stands on the rest of the line.
    fn end_of_line(&mut self) -> Result<(), SyntaxError> {
        self.skip_spaces();
        match self.peek() {
            Some(';') => self.at = self.line_end(),
            Some('\n' | '\r') | None => {}
            Some(_) => return Err(self.error(self.at, "unexpected text at the end of the line")),
        }
        Ok(())
    }

    fn skip_blank_lines(&mut self) {
        loop {
            self.skip_spaces();
            if self.peek() == Some(';') {
                self.at = self.line_end();
            }
            if !self.skip_line_end() {
                return;
            }
        }
    }

    fn skip_spaces(&mut self) {
        while let Some(' ' | '\t') = self.peek() {
            self.at += 1;
        }
    }

    fn skip_line_end(&mut self) -> bool {
        self.take("\r\n") || self.take("\n") || self.take("\r")
    }

    fn line_end(&self) -> usize {
        let rest = &self.units[self.at..];
        self.at + rest.iter().position(|unit| [0x0a, 0x0d].contains(unit)).unwrap_or(rest.len())
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = &self.units[self.at..];
        let found = rest.len() >= text.len() && text.bytes().map(u16::from).eq(rest[..text.len()].iter().copied());
        if found {
            self.at += text.len();
        }
        found
    }

    /// The next unit; half a surrogate pair, which no rule asks for, is shown as U+FFFD.
    fn peek(&self) -> Option<char> {
        let unit = *self.units.get(self.at)?;
        Some(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn error(&self, at: usize, message: impl Into<String>) -> SyntaxError {
        error_behind(&self.units[..at], message)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Lines {
    One,
    Many,
}

/// Version 4 keeps the bytes of strings in the code page, where the registry has UTF-16.
fn widened(kind: ValueType, data: Vec<u8>) -> Vec<u8> {
    match kind {
        ValueType::SZ | ValueType::EXPAND_SZ | ValueType::MULTI_SZ => {
            decode_ansi(&data).into_iter().flat_map(u16::to_le_bytes).collect()
        }
        _ => data,
    }
}
