//! Literals of SQLite for text that cannot stand in quotes.

use std::borrow::Cow;

/// What stands around the digits of text with a zero in it, at which SQLite's own literals end, or that is no UTF-8, which a statement is.
pub(crate) const BYTES_OF_TEXT: (&str, &str) = ("CAST(X'", "' AS TEXT)");

/// Adds the hexadecimal digits of bytes.
pub(crate) fn digits(bytes: &[u8], line: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    line.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

/// A literal as UTF-8, which a statement is: text that is none becomes the digits of its bytes.
pub(crate) fn in_utf8(literal: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(literal).is_ok() {
        return Cow::Borrowed(literal);
    }
    let inside = literal.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'")).unwrap_or(literal);
    let mut made = BYTES_OF_TEXT.0.as_bytes().to_vec();
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        digits(&[*byte], &mut made);
        if *byte == b'\'' {
            // It stands there twice.
            bytes.next();
        }
    }
    made.extend_from_slice(BYTES_OF_TEXT.1.as_bytes());
    Cow::Owned(made)
}
