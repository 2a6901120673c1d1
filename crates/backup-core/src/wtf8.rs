//! WTF-8: how a name that is UTF-16 on Windows stands as bytes, lone surrogates included, the same on every machine.

/// The bytes of a Windows name.
pub fn from_wide(wide: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(wide.len());
    for decoded in char::decode_utf16(wide.iter().copied()) {
        match decoded {
            Ok(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => bytes.extend(surrogate_bytes(lone.unpaired_surrogate())),
        }
    }
    bytes
}

/// The Windows name that these bytes stand for; `None` where they are neither UTF-8 nor lone surrogates.
///
/// Two surrogates that make a pair are refused, so that no name has two spellings.
pub fn to_wide(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut wide = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                wide.extend(text.encode_utf16());
                return Some(wide);
            }
            Err(error) => {
                let (text, other) = rest.split_at(error.valid_up_to());
                wide.extend(std::str::from_utf8(text).ok()?.encode_utf16());
                let (surrogate, after) = other.split_first_chunk::<3>()?;
                let unit = surrogate_of(*surrogate)?;
                let is_pair = text.is_empty() && is_high(wide.last().copied()) && (0xDC00..=0xDFFF).contains(&unit);
                if is_pair {
                    return None;
                }
                wide.push(unit);
                rest = after;
            }
        }
    }
}

fn is_high(unit: Option<u16>) -> bool {
    unit.is_some_and(|unit| (0xD800..=0xDBFF).contains(&unit))
}

fn surrogate_bytes(unit: u16) -> [u8; 3] {
    let [_, low] = (unit & 0x3F).to_be_bytes();
    let [_, middle] = (unit >> 6 & 0x3F).to_be_bytes();
    [0xED, 0x80 | middle, 0x80 | low]
}

fn surrogate_of(bytes: [u8; 3]) -> Option<u16> {
    match bytes {
        [0xED, middle @ 0xA0..=0xBF, low @ 0x80..=0xBF] => {
            Some(0xD000 | u16::from(middle & 0x3F) << 6 | u16::from(low & 0x3F))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_windows_name_comes_back() {
        let names: [&[u16]; 6] = [
            &[],
            &[0x61, 0xE4, 0x20AC],
            &[0xD83D, 0xDE00],
            &[0xD83D],
            &[0xDE00, 0x61, 0xD83D],
            &[0xDE00, 0xD83D, 0x2F],
        ];
        for name in names {
            assert_eq!(to_wide(&from_wide(name)).as_deref(), Some(name), "{name:04X?}");
        }
        assert_eq!(from_wide(&[0xD83D, 0xDE00]), "😀".as_bytes());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let refused: [&[u8]; 5] = [b"\xff", b"a\xed\xa0", b"\xed\x20\x80", b"\xc0\xaf", b"\xed\xa0\xbd\xed\xb8\x80"];
        for bytes in refused {
            assert_eq!(to_wide(bytes), None, "{bytes:02X?}");
        }
    }
}
