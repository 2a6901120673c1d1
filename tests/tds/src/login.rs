//! PRELOGIN and LOGIN7: what a client says before it may send a batch.

/// Who logs in.
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) program: String,
    pub(crate) database: String,
}

/// The answer to PRELOGIN: version 15.0, no encryption, no instance, no MARS.
pub(crate) fn prelogin() -> Vec<u8> {
    const OPTIONS: [(u8, &[u8]); 5] =
        [(0, &[15, 0, 8, 0, 0, 0]), (1, &[ENCRYPT_NOT_SUP]), (2, &[0]), (3, &[]), (4, &[0])];
    let mut offset = OPTIONS.len() * 5 + 1;
    let (mut head, mut data) = (Vec::new(), Vec::new());
    for (token, value) in OPTIONS {
        head.push(token);
        head.extend_from_slice(&be16(offset));
        head.extend_from_slice(&be16(value.len()));
        data.extend_from_slice(value);
        offset += value.len();
    }
    head.push(0xFF);
    head.extend_from_slice(&data);
    head
}

/// The server has no encryption at all, not even for the login.
const ENCRYPT_NOT_SUP: u8 = 2;

fn be16(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("a short answer").to_be_bytes()
}

/// Reads LOGIN7; `None` when it is none.
pub(crate) fn login7(body: &[u8]) -> Option<Login> {
    Some(Login {
        user: text(body, 40)?,
        password: String::from_utf16_lossy(&field(body, 44)?.iter().map(|unit| reveal(*unit)).collect::<Vec<_>>()),
        program: text(body, 48)?,
        database: text(body, 68)?,
    })
}

fn text(body: &[u8], place: usize) -> Option<String> {
    Some(String::from_utf16_lossy(&field(body, place)?))
}

/// The UTF-16 units of the field whose offset and length are at `place`.
fn field(body: &[u8], place: usize) -> Option<Vec<u16>> {
    let number = |at: usize| Some(usize::from(u16::from_le_bytes(body.get(at..at + 2)?.try_into().ok()?)));
    let (offset, units) = (number(place)?, number(place + 2)?);
    let bytes = body.get(offset..offset + units * 2)?;
    Some(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect())
}

/// Passwords go over the wire with each byte's halves exchanged and then XORed.
fn reveal(unit: u16) -> u16 {
    u16::from_le_bytes(unit.to_le_bytes().map(|byte| (byte ^ 0xA5).rotate_left(4)))
}
