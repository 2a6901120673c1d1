use super::super::identity::{Identity, NotAKey, Recipient};
use super::IDENTITY;

const OF_COUNTED: &str = "sitebackup-identity-0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2038bbda12";
const ITS_RECIPIENT: &str =
    "sitebackup-recipient-07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c4942f6dc";

#[test]
fn they_are_those_of_the_format() {
    let identity: Identity = OF_COUNTED.parse().expect("an identity");
    assert_eq!(*identity.to_text(), OF_COUNTED);
    assert_eq!(identity.recipient().to_string(), ITS_RECIPIENT);
    assert_eq!(ITS_RECIPIENT.parse(), Ok(identity.recipient()));
    let new = Identity::generate();
    assert_eq!(new.to_text().parse::<Identity>().map(|identity| identity.recipient()), Ok(new.recipient()));
}

#[test]
fn every_wrong_letter_is_noticed() {
    for text in [OF_COUNTED, IDENTITY, ITS_RECIPIENT] {
        for (at, byte) in text.bytes().enumerate() {
            for other in b"0123456789abcdefABCDEF-x \n".iter().filter(|other| **other != byte) {
                let mut altered = text.as_bytes().to_vec();
                altered[at] = *other;
                let altered = String::from_utf8(altered).expect("ASCII");
                assert!(altered.parse::<Identity>().is_err() && altered.parse::<Recipient>().is_err(), "{altered}");
            }
        }
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let identity = |text: &str| text.parse::<Identity>().map(drop).expect_err("it is none");
    assert_eq!(identity(ITS_RECIPIENT), NotAKey::Prefix("sitebackup-identity-"));
    assert_eq!(identity(""), NotAKey::Prefix("sitebackup-identity-"));
    for wrong in [
        &OF_COUNTED[..OF_COUNTED.len() - 1],
        &OF_COUNTED[..OF_COUNTED.len() - 2],
        &format!("{OF_COUNTED}00"),
        "sitebackup-identity-",
        "sitebackup-identity-é",
    ] {
        assert_eq!(identity(wrong), NotAKey::Digits("sitebackup-identity-"), "{wrong}");
    }
    let swapped = OF_COUNTED.replacen("0102", "0201", 1);
    assert_eq!(identity(&swapped), NotAKey::Checksum);
    assert_eq!(identity(&swapped).to_string(), "its checksum does not fit: there is a typing error in it");
}
