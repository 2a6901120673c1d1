//! Damaged hives and texts by the thousand: no panic, no hang, and no more memory than three times the input.
//!
//! With the feature `million` as many mutations as its name says. The order is always the same: what fails once fails again.

mod counted;

use counted::peak_of;
use registry::{Encoding, Key, KeyPath, Name, Value, ValueType, reg_text, regf};

const ROUNDS: u64 = if cfg!(feature = "million") { 1_000_000 } else { 20_000 };

/// What reading may take besides what grows with the input: paths, lists of losses.
const FLOOR: usize = 160 << 10;

/// A generator of numbers that are always the same (SplitMix64).
struct Prng(u64);

impl Prng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn path(text: &str) -> KeyPath {
    text.parse().expect("a path of a key")
}

fn header(version: regf::Version) -> regf::Header {
    regf::Header { version, timestamp: 7, ..regf::Header::default() }
}

/// A tree with one of everything.
fn small_tree() -> Key {
    let mut root = Key::default();
    root.set_value("", Value::string("default"));
    let key = root.create(&path("Setup"));
    key.set_value("Number", Value::dword(7));
    key.set_value("Größe", Value::new(ValueType(0x1234), vec![1; 19]));
    key.set_value(Name::from("ж😀"), Value::new(ValueType::NONE, Vec::new()));
    key.set_class(Some("class".into()));
    key.set_security(Some(vec![3; 60].into()));
    root.create(&path(r"Setup\Deep\Deeper\Deepest")).set_security(Some(vec![3; 60].into()));
    root.create(&path("ключ")).set_last_write(Some(99));
    root
}

fn wide_tree() -> Key {
    let mut root = Key::default();
    for number in 0..600 {
        root.create(&path(&format!("{number}")));
    }
    root
}

fn corpus() -> Vec<Vec<u8>> {
    let write = |root: &Key, version| regf::write(root, &header(version)).expect("written");
    let (small, wide) = (small_tree(), wide_tree());
    let mut long = small_tree();
    long.set_value("long", Value::new(ValueType::BINARY, vec![9; 40_000]));
    // The small ones are the ones in which a mutation is likely to hit something.
    vec![
        write(&small, regf::Version::V1_5),
        write(&small, regf::Version::V1_3),
        write(&small, regf::Version::V1_5),
        write(&small, regf::Version::V1_3),
        write(&small, regf::Version::V1_5),
        write(&small, regf::Version::V1_5),
        write(&long, regf::Version::V1_5),
        write(&wide, regf::Version::V1_5),
    ]
}

/// Where something is, most of the time: hives end in much that is not used.
fn place(prng: &mut Prng, bytes: &[u8]) -> usize {
    let start = if prng.below(4) == 0 { 0 } else { 4096.min(bytes.len()) };
    let end = if prng.below(3) == 0 { bytes.len() } else { (4096 + 1600).min(bytes.len()) };
    start + prng.below(end.saturating_sub(start))
}

fn mutate(prng: &mut Prng, bytes: &mut Vec<u8>) {
    for _ in 0..1 + prng.below(4) {
        let at = place(prng, bytes);
        match prng.below(8) {
            0..=2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << prng.below(8);
                }
            }
            3..=5 => {
                let numbers =
                    [0, 1, 8, 0x20, 0x1000, 0x7fff_ffff, 0x8000_0000, u32::MAX, prng.next() as u32, 0x120, 0x88];
                let number = numbers[prng.below(numbers.len())];
                if let Some(place) = bytes.get_mut(at & !3..).and_then(|rest| rest.get_mut(..4)) {
                    place.copy_from_slice(&number.to_le_bytes());
                }
            }
            6 => {
                // Something from elsewhere: cells that overlap, offsets that lead back.
                let (from, length) = (place(prng, bytes), prng.below(64));
                if from.max(at) + length <= bytes.len() {
                    bytes.copy_within(from..from + length, at);
                }
            }
            _ if prng.below(8) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
    // Most with a right checksum, so that what lies behind it is reached.
    if bytes.len() >= 512 && prng.below(8) > 0 {
        let (words, _) = bytes[..508].as_chunks();
        let sum = words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
        bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Reads what may be a hive in both modes. What is read strictly is read the same leniently, and can be written or is refused.
fn check_hive(bytes: &[u8]) {
    let limit = 2 * bytes.len() + FLOOR;
    let (strict, peak) = peak_of(|| regf::read(bytes));
    assert!(peak <= limit, "{peak} bytes for a hive of {}", bytes.len());
    let (lenient, peak) = peak_of(|| regf::salvage(bytes));
    assert!(peak <= limit, "{peak} bytes to salvage a hive of {}", bytes.len());
    if let Ok(hive) = strict {
        let (salvaged, losses) = lenient.expect("strict mode read it");
        assert!(losses.is_empty() && salvaged.root == hive.root);
        if let Ok(again) = regf::write(&hive.root, &hive.header) {
            assert_eq!(regf::read(&again).expect("we wrote it").root, hive.root);
        }
    }
}

#[test]
fn mutated_hives() {
    let corpus = corpus();
    corpus.iter().for_each(|hive| check_hive(hive));
    let mut prng = Prng(1);
    for _ in 0..ROUNDS {
        let mut bytes = corpus[prng.below(corpus.len())].clone();
        mutate(&mut prng, &mut bytes);
        check_hive(&bytes);
    }
}

#[test]
fn mutated_text() {
    let mut root = Key::default();
    root.replace(&path(r"HKEY_LOCAL_MACHINE\SMS"), small_tree());
    let texts = [Encoding::Utf16Le, Encoding::Utf8].map(|encoding| {
        let mut text = reg_text::write(&root, &KeyPath::default(), encoding).expect("written");
        text.extend(reg_text::write(&root, &KeyPath::default(), encoding).expect("written")[72..].iter());
        text
    });
    let mut prng = Prng(3);
    for _ in 0..ROUNDS / 10 {
        let mut text = texts[prng.below(2)].clone();
        for _ in 0..1 + prng.below(4) {
            let at = prng.below(text.len());
            text[at] = if prng.below(2) == 0 { text[at] ^ 1 << prng.below(8) } else { prng.next() as u8 };
        }
        if prng.below(8) == 0 {
            text.truncate(prng.below(text.len()));
        }
        if let Ok(script) = reg_text::read(&text) {
            drop(script.into_tree());
        }
    }
}

/// What makes trees large: much that is small. Three times the hive, the hive itself among it.
#[test]
fn memory_is_in_proportion() {
    let kinds: [fn(&mut Key, u32); 6] = [
        |key, number| key.set_value(number.to_string(), Value::dword(number)),
        |key, number| key.set_value(format!("ж{number}"), Value::new(ValueType::NONE, Vec::new())),
        |key, number| {
            key.set_value(format!("a name of 23 letters {number:02}"), Value::new(ValueType::SZ, vec![7; 19]));
        },
        |key, number| key.set_value(format!("ж name of 12 {number}"), Value::new(ValueType::SZ, vec![7; 40])),
        |key, number| key.create(&path(&number.to_string())).set_last_write(None),
        |key, number| key.create(&path(&number.to_string())).set_class(Some("c".into())),
    ];
    for (kind, fill) in kinds.into_iter().enumerate() {
        let mut root = Key::default();
        // In another order than that of names, as Windows keeps values.
        for number in 0..20_000u32 {
            fill(root.create(&path(&format!("parent {}", number / 5000))), number % 5000);
        }
        let bytes = regf::write(&root, &regf::Header::default()).expect("written");
        let (hive, peak) = peak_of(|| regf::read(&bytes));
        assert_eq!(hive.expect("we wrote it").root, root);
        let times = (bytes.len() + peak) as f64 / bytes.len() as f64;
        assert!(times <= 3.0, "kind {kind}: {times:.2} times the hive");
    }
}
