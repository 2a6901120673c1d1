use super::*;

/// The secret of which the known answers are made: PyNaCl and blake3 for Python made them, not this program.
fn read_key() -> ReadKey {
    ReadKey::from_bytes(&counted(1))
}

fn counted<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first + at as u8)
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).expect("digits").as_slice().try_into().expect("so many")
}

#[test]
fn keys_and_ids_are_those_of_the_format() {
    let key = read_key();
    let write = key.write_key();
    let expected = "f8476b54359425520304788603ab29817a63295b6d9051d9b4ddfe1e22aeec0e\
                    12d0f23948e96a95fa6787ca1ca439acc1a002e75fed7b973ea9fcb109d048cd\
                    07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";
    assert_eq!(to_hex(&*write.to_bytes()), expected);
    let repository = "b449f73430dc2c5a634e02c944ab4b6d";
    assert_eq!(write.repository(), repository);
    let id = "82a7723a285a23432c0e74f72e1b1a1f7c6a48a6ad7ae1e0e469b57eb046197b";
    assert_eq!(write.id(b"site backup").to_string(), id);
    assert_eq!(write.page_digest(b"site backup"), 0x4405_4584_0425_89f6);
    let index = "4f6214a174eaa7459af72219101bdac0643141aab18173b2e38fe47169c2ffb9";
    assert_eq!(to_hex(&*write.index_key(&counted(0)).0), index);
}

#[test]
fn a_write_key_of_bytes_is_the_same_one() {
    let key = read_key();
    let write = WriteKey::from_bytes(&key.write_key().to_bytes());
    assert_eq!(write.to_bytes(), key.write_key().to_bytes());
    assert_eq!(write.id(b"a"), key.write_key().id(b"a"));
    assert_eq!(write.page_digest(b"a"), key.write_key().page_digest(b"a"));
    let (object, sealed) = write.new_object_key();
    assert_eq!(*key.unseal(&sealed).expect("sealed for it").0, *object.0);
}

#[test]
fn a_sealed_key_is_libsodiums_sealed_box() {
    let sealed = bytes(
        "69e2a6adc10bfb2f4054b60a78592115b9ddd93e0080d61b442cd3b5aaa8fe67d5e47c15300bd4bd\
         e628dde2d0c1901ae97aa9f6eeb0fe14fa1959100584104ba4d115fb1d062fc795be61479c70d903",
    );
    assert_eq!(*read_key().unseal(&sealed).expect("PyNaCl sealed it").0, counted(100));
}

#[test]
fn only_the_read_key_of_the_repository_unseals() {
    let (key, other) = (ReadKey::generate(), ReadKey::generate());
    let refused = |key: &ReadKey, sealed: &[u8; 80]| assert!(matches!(key.unseal(sealed), Err(CryptoError)));
    let (object, sealed): (_, [u8; 80]) = key.write_key().new_object_key();
    assert_eq!(*key.unseal(&sealed).expect("sealed for it").0, *object.0);
    refused(&other, &sealed);
    let (another, sealed_anew) = key.write_key().new_object_key();
    assert!(*another.0 != *object.0 && sealed_anew != sealed);
    for at in 0..sealed.len() * 8 {
        let mut altered = sealed;
        altered[at / 8] ^= 1 << (at % 8);
        // Also the top bit of an X25519 public key, which says nothing: the nonce is made of it.
        refused(&key, &altered);
    }
}

#[test]
fn encryption_is_that_of_the_rfc() {
    for (beside, expected) in [
        (&b""[..], "89d01a14bbf31d8288f1807bf2c2b7651e46abc1ba6dc95f42dac4"),
        (b"facts", "89d01a14bbf31d8288f180143a4cedb1068bfc9271e3d0f94660c6"),
    ] {
        let mut buffer = b"site backup".to_vec();
        let key = ObjectKey(Zeroizing::new(counted(0x80)));
        key.encrypt(0x0102_0304_0506_0708, beside, &mut buffer);
        assert_eq!(to_hex(&buffer), expected);
        key.decrypt(0x0102_0304_0506_0708, beside, &mut buffer).expect("unaltered");
        assert_eq!(buffer, b"site backup");
    }
}

#[test]
fn what_was_altered_is_not_decrypted() {
    let key = ObjectKey(random());
    let mut whole = b"content".to_vec();
    key.encrypt(3, b"beside", &mut whole);
    assert_eq!(whole.len(), 7 + TAG_LEN);
    let refused = |key: &ObjectKey, number, beside: &[u8], content: &[u8]| {
        let mut buffer = content.to_vec();
        assert_eq!(key.decrypt(number, beside, &mut buffer), Err(CryptoError));
        assert_eq!(buffer, content, "an error leaves it as it was");
    };
    for at in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[at / 8] ^= 1 << (at % 8);
        refused(&key, 3, b"beside", &altered);
    }
    for len in 0..whole.len() {
        refused(&key, 3, b"beside", &whole[..len]);
    }
    refused(&ObjectKey(random()), 3, b"beside", &whole);
    refused(&key, 4, b"beside", &whole);
    refused(&key, 3, b"", &whole);
    refused(&key, 3, b"besid", &whole);
}

#[test]
fn every_number_is_a_nonce_of_its_own() {
    for (number, expected) in [(0, "000000000000000000000000"), (0x0102_0304_0506_0708, "080706050403020100000000")] {
        assert_eq!(to_hex(&nonce(number)), expected);
    }
    assert_eq!(to_hex(&nonce(u64::MAX)), "ffffffffffffffff00000000");
}

#[test]
fn ids_are_read_as_they_are_written() {
    let id = read_key().write_key().id(b"a");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(serde_json::to_string(&id).expect("a string"), format!("\"{id}\""));
    assert_eq!(serde_json::from_str::<Id>(&format!("\"{id}\"")).expect("an id"), id);
    assert!(serde_json::from_str::<Id>(&format!("\"{id}0\"")).is_err());
    assert_eq!(Id::from_bytes(*id.bytes()), id);
    let text = id.to_string();
    for wrong in [&text[1..], &format!("{text}00"), &text.to_uppercase(), &text.replacen(&text[..1], "g", 1), ""] {
        assert_eq!(wrong.parse::<Id>(), Err(CryptoError), "{wrong}");
    }
}

#[test]
fn nothing_prints_a_key() {
    let key = read_key();
    let (object, _) = key.write_key().new_object_key();
    assert_eq!(format!("{key:?} {:?} {object:?}", key.write_key()), "ReadKey { .. } WriteKey { .. } ObjectKey { .. }");
}

#[test]
fn keys_differ_by_secret_and_by_use() {
    let (a, b) = (ReadKey::generate(), ReadKey::generate());
    assert_ne!(a.to_bytes(), b.to_bytes());
    assert_ne!(a.write_key().repository(), b.write_key().repository());
    let id = a.write_key().id(b"page");
    assert_ne!(a.write_key().page_digest(b"page").to_le_bytes(), id.0[..8]);
    assert_ne!(b.write_key().id(b"page"), id);
}
