//! The hash that guards the entries of transaction logs: Marvin32 with the seed of the format.

const SEED: u64 = 0x82ef_4d88_7a4e_55c5;

/// Hashes `data` as the format does.
pub(super) fn marvin32(data: &[u8]) -> u64 {
    seeded(SEED, data)
}

fn seeded(seed: u64, data: &[u8]) -> u64 {
    let mut state = (seed as u32, (seed >> 32) as u32);
    let (words, rest) = data.as_chunks();
    for &word in words {
        mix(&mut state, u32::from_le_bytes(word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    mix(&mut state, u32::from_le_bytes(last));
    mix(&mut state, 0);
    u64::from(state.1) << 32 | u64::from(state.0)
}

fn mix((a, b): &mut (u32, u32), word: u32) {
    *a = a.wrapping_add(word);
    *b ^= *a;
    *a = a.rotate_left(20).wrapping_add(*b);
    *b = b.rotate_left(9) ^ *a;
    *a = a.rotate_left(27).wrapping_add(*b);
    *b = b.rotate_left(19);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that tests of others have for the seed of the format, both halves in one.
    #[test]
    fn known_hashes_with_the_seed_of_the_format() {
        let known: [(&[u8], u32); 5] = [
            (b"", 0xb008_92ac),
            (b"h", 0xf41a_608e),
            (b"he", 0x1110_7c6b),
            (b"hel", 0x2405_6a46),
            (b"hell", 0x7f91_e021),
        ];
        for (data, hash) in known {
            let whole = marvin32(data);
            assert_eq!(whole as u32 ^ (whole >> 32) as u32, hash, "{data:x?}");
        }
    }

    /// The values that the tests of the .NET runtime have.
    #[test]
    fn known_hashes() {
        const KNOWN: [(&[u8], u64); 6] = [
            (&[], 0x30ed_35c1_00cd_3c7d),
            (&[0xaf], 0x48e7_3fc7_7d75_ddc1),
            (&[0xe7, 0x0f], 0xb5f6_e1fc_485d_bff8),
            (&[0x37, 0xf4, 0x95], 0xf0b0_7c78_9b8c_f7e8),
            (&[0x86, 0x42, 0xdc, 0x59], 0x7008_f2e8_7e9c_f556),
            (&[0x15, 0x3f, 0xb7, 0x98, 0x26], 0xe6c0_8c6d_a2af_a997),
        ];
        for (data, hash) in KNOWN {
            assert_eq!(seeded(0x004f_b61a_001b_dbcc, data), hash, "{data:x?}");
        }
    }
}
