//! Bytes to text and back, without losing a byte.
//!
//! The product writes ASCII. Files that people have edited are also UTF-8, UTF-16LE with a byte-order mark, or the
//! Windows-1252 that old editors leave behind. What none of these can hold (half a surrogate pair, an odd last byte)
//! becomes U+FFFD in the text and is kept beside it, so that printing still gives the same bytes.

use encoding_rs::WINDOWS_1252;

const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";
const UTF16LE_BOM: &[u8] = b"\xFF\xFE";

/// How the bytes of a control file stand for text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Seven-bit text: what the product writes, and what all other encodings here except UTF-16 agree on.
    Ascii,
    /// UTF-8 without a byte-order mark.
    Utf8,
    /// UTF-8 with a byte-order mark.
    Utf8Bom,
    /// UTF-16, little-endian, with a byte-order mark.
    Utf16Le,
    /// Windows-1252: assumed when a file without a byte-order mark is not valid UTF-8.
    Windows1252,
}

/// Bytes that are not text in the file's encoding; the text holds U+FFFD at `offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) offset: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) text: String,
    pub(crate) encoding: Encoding,
    pub(crate) malformed: Vec<Malformed>,
}

impl Decoded {
    fn push_malformed(&mut self, bytes: &[u8]) {
        let offset = self.text.len();
        self.text.push(char::REPLACEMENT_CHARACTER);
        self.malformed.push(Malformed { offset, bytes: bytes.to_vec() });
    }
}

pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    if let Some(rest) = bytes.strip_prefix(UTF16LE_BOM) {
        decode_utf16le(rest)
    } else if let Some(rest) = bytes.strip_prefix(UTF8_BOM) {
        decode_utf8_lossy(rest)
    } else {
        decode_unmarked(bytes)
    }
}

fn decode_unmarked(bytes: &[u8]) -> Decoded {
    let (text, encoding) = match str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => (text.to_owned(), Encoding::Ascii),
        Ok(text) => (text.to_owned(), Encoding::Utf8),
        // Its five undefined bytes decode to the C1 controls of the same number and encode back, so nothing is lost.
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(bytes).0.into(), Encoding::Windows1252),
    };
    Decoded { text, encoding, malformed: Vec::new() }
}

fn decode_utf8_lossy(bytes: &[u8]) -> Decoded {
    let mut decoded =
        Decoded { text: String::with_capacity(bytes.len()), encoding: Encoding::Utf8Bom, malformed: Vec::new() };
    for chunk in bytes.utf8_chunks() {
        decoded.text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            decoded.push_malformed(chunk.invalid());
        }
    }
    decoded
}

fn decode_utf16le(bytes: &[u8]) -> Decoded {
    let mut decoded =
        Decoded { text: String::with_capacity(bytes.len() / 2), encoding: Encoding::Utf16Le, malformed: Vec::new() };
    let (pairs, odd_byte) = bytes.as_chunks::<2>();
    for unit in char::decode_utf16(pairs.iter().map(|pair| u16::from_le_bytes(*pair))) {
        match unit {
            Ok(character) => decoded.text.push(character),
            Err(error) => decoded.push_malformed(&error.unpaired_surrogate().to_le_bytes()),
        }
    }
    if !odd_byte.is_empty() {
        decoded.push_malformed(odd_byte);
    }
    decoded
}

/// Encodes `text`; the characters at the offsets of `malformed` become the bytes that were found there.
pub(crate) fn encode(text: &str, encoding: Encoding, malformed: &[Malformed]) -> Vec<u8> {
    let mut bytes = match encoding {
        Encoding::Utf8Bom => UTF8_BOM.to_vec(),
        Encoding::Utf16Le => UTF16LE_BOM.to_vec(),
        Encoding::Ascii | Encoding::Utf8 | Encoding::Windows1252 => Vec::new(),
    };
    let mut done = 0;
    for gap in malformed {
        encode_part(&text[done..gap.offset], encoding, &mut bytes);
        bytes.extend_from_slice(&gap.bytes);
        done = gap.offset + char::REPLACEMENT_CHARACTER.len_utf8();
    }
    encode_part(&text[done..], encoding, &mut bytes);
    bytes
}

fn encode_part(text: &str, encoding: Encoding, bytes: &mut Vec<u8>) {
    match encoding {
        Encoding::Ascii | Encoding::Utf8 | Encoding::Utf8Bom => bytes.extend_from_slice(text.as_bytes()),
        Encoding::Utf16Le => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        Encoding::Windows1252 => bytes.extend_from_slice(&WINDOWS_1252.encode(text).0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], encoding: Encoding, text: &str) {
        let decoded = decode(bytes);
        assert_eq!(decoded.encoding, encoding);
        assert_eq!(decoded.text, text);
        assert_eq!(encode(&decoded.text, encoding, &decoded.malformed), bytes);
    }

    #[test]
    fn encodings_are_recognised_and_kept() {
        check(b"file a b", Encoding::Ascii, "file a b");
        check("Größe".as_bytes(), Encoding::Utf8, "Größe");
        check(b"\xEF\xBB\xBFabc", Encoding::Utf8Bom, "abc");
        check(b"\xFF\xFEa\0\xE4\0", Encoding::Utf16Le, "aä");
        check(b"\xFF\xFE\x3D\xD8\x00\xDE", Encoding::Utf16Le, "😀");
        check(b"Gr\xF6\xDFe \x80", Encoding::Windows1252, "Größe €");
    }

    #[test]
    fn undefined_bytes_of_windows_1252_survive() {
        let all: Vec<u8> = (0..=255).collect();
        let decoded = decode(&all);
        assert_eq!(decoded.encoding, Encoding::Windows1252);
        assert_eq!(encode(&decoded.text, decoded.encoding, &decoded.malformed), all);
    }

    #[test]
    fn malformed_text_survives() {
        check(b"\xFF\xFEa\0\x00\xD8b\0c", Encoding::Utf16Le, "a\u{FFFD}b\u{FFFD}");
        check(b"\xEF\xBB\xBFa\xFFb\xE2\x82", Encoding::Utf8Bom, "a\u{FFFD}b\u{FFFD}");
    }
}
