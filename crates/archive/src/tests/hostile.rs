//! Bytes of every kind of object, changed by the thousand: no panic, no hang, and what is read is what would be written.
//!
//! With the feature `million` as many mutations as its name says. The order is always the same: what fails once fails again.

use super::known::Known;
use crate::{FORMAT_VERSION, fuzz};

const ROUNDS: usize = if cfg!(feature = "million") { 1_000_000 } else { 20_000 };

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

fn mutate(prng: &mut Prng, bytes: &mut Vec<u8>) {
    for _ in 0..1 + prng.below(4) {
        let at = prng.below(bytes.len());
        match prng.below(8) {
            0..=2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << prng.below(8);
                }
            }
            3..=4 => {
                let numbers = [0, 1, 16, 0x1_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX, prng.next() as u32];
                if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..4)) {
                    place.copy_from_slice(&numbers[prng.below(numbers.len())].to_le_bytes());
                }
            }
            5 => {
                let words: [&[u8]; 8] =
                    [b"null", b"-1", b"18446744073709551615", b"..", b"\"", b"{\"hex\":\"2e2e\"}", b"[", b"\\u0000"];
                let word = words[prng.below(words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            6 => {
                let (from, length) = (prng.below(bytes.len()), prng.below(64));
                if from.max(at) + length <= bytes.len() {
                    bytes.copy_within(from..from + length, at);
                }
            }
            _ if prng.below(8) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
}

/// Throws changed examples at a parser; the examples themselves come first.
fn check(examples: &[Vec<u8>], share: usize, parse: fn(&[u8])) {
    assert!(!examples.is_empty());
    examples.iter().for_each(|example| parse(example));
    let mut prng = Prng(1);
    for round in 0..ROUNDS / share {
        let mut bytes = examples[round % examples.len()].clone();
        mutate(&mut prng, &mut bytes);
        parse(&bytes);
    }
}

#[test]
fn packs() {
    check(&Known::of(FORMAT_VERSION).packs().into_iter().map(|(_, index)| index).collect::<Vec<_>>(), 4, fuzz::pack);
}

#[test]
fn frames() {
    let zstd = |bytes: &[u8], raw: u32| {
        let packed = zstd::bulk::compress(bytes, 3).expect("it packs");
        [&[1], &raw.to_be_bytes()[1..], &packed].concat()
    };
    let text = "a line of text\n".repeat(40);
    let examples = [zstd(text.as_bytes(), text.len() as u32), zstd(b"x", 1), zstd(&[0; 70_000], 70_000)];
    check(&examples, 8, fuzz::frame);
}

#[test]
fn contents() {
    let entry = |len: u64, id: u8| [&len.to_le_bytes()[..], &[id; 32]].concat();
    let id = "07".repeat(32);
    let content = |level: u8, len: u64| format!("{{\"level\":{level},\"entries\":[[{len},\"{id}\"],[5,null]]}}\n");
    let list = [entry(10, 7), entry(20, 0)].concat();
    let examples = [(0, 30), (1, 30), (2, 30)].map(|(level, len)| [content(level, len).as_bytes(), &list].concat());
    check(&examples, 8, fuzz::content);
}

#[test]
fn records() {
    check(&Known::of(FORMAT_VERSION).records(), 4, fuzz::records);
}

#[test]
fn snapshots() {
    check(&Known::of(FORMAT_VERSION).snapshots(), 8, fuzz::snapshot);
}

#[test]
fn key_files() {
    let known = Known::of(FORMAT_VERSION);
    let mut examples: Vec<Vec<u8>> = known.all("keys").into_iter().map(|(_, text)| text).collect();
    examples.push(known.text("identity").into_bytes());
    check(&examples, 8, fuzz::key_file);
}

#[test]
fn small_objects() {
    let known = Known::of(FORMAT_VERSION);
    let folders = ["leases", "marks", "confirmed"].into_iter().flat_map(|folder| known.all(folder));
    let mut examples: Vec<Vec<u8>> = folders.map(|(_, text)| text).collect();
    examples.push(known.bytes("config"));
    check(&examples, 8, fuzz::small_objects);
}
