//! Writes generated files: which bytes, how many, and when they were last written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::counters::named;
use crate::prng::Prng;

const BLOCK: usize = 256 * 1024;
/// 2026-01-01 00:00:00 UTC; every generated file was written in the year before it.
const NEWEST: u64 = 1_767_225_600;
const YEAR: u64 = 365 * 24 * 3600;

/// What a file's bytes look like; decides how well they compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Lines of a site server log.
    Log,
    /// An XML message.
    Xml,
    /// Half random, half runs, like programs are.
    Program,
    /// Random, like packed files are.
    Packed,
}

/// Writes one generated file of exactly `len` bytes, and its folder when that is missing.
pub(crate) fn write_file(path: &Path, fill: Fill, len: u64, prng: &mut Prng) -> io::Result<()> {
    let mut file = create(path)?;
    let mut block = Vec::with_capacity(BLOCK.min(usize::try_from(len).unwrap_or(BLOCK)) + 512);
    let mut left = len;
    while left > 0 {
        let wanted = usize::try_from(left.min(BLOCK as u64)).unwrap_or(BLOCK);
        block.clear();
        fill_block(&mut block, fill, wanted, prng);
        file.write_all(&block[..wanted])?;
        left -= wanted as u64;
    }
    age(&file, prng)
}

/// Writes `content`, creating the folder when that is missing.
pub(crate) fn write_content(path: &Path, content: &[u8], prng: &mut Prng) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(content)?;
    age(&file, prng)
}

/// Creates a file, and its folder when that is missing.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            File::create(path)
        }
        result => result.map_err(|error| named(path, error)),
    }
}

/// A site's files are old; fresh times would make every file look as if it had changed just now.
pub(crate) fn age(file: &File, prng: &mut Prng) -> io::Result<()> {
    let seconds = Duration::from_secs(NEWEST - prng.below(YEAR));
    // Windows counts in 100 ns.
    let nanos = Duration::from_nanos(prng.below(10_000_000) * 100);
    file.set_modified(SystemTime::UNIX_EPOCH + seconds + nanos)
}

/// Appends at least `wanted` bytes.
pub(crate) fn fill_block(block: &mut Vec<u8>, fill: Fill, wanted: usize, prng: &mut Prng) {
    match fill {
        Fill::Packed => {
            block.resize(wanted, 0);
            prng.fill(block);
        }
        Fill::Program => {
            block.resize(wanted, 0);
            for page in block.chunks_mut(4096) {
                let half = page.len() / 2;
                prng.fill(&mut page[..half]);
                let byte = prng.below(256).to_le_bytes()[0];
                page[half..].fill(byte);
            }
        }
        Fill::Log => fill_lines(block, wanted, prng, log_line),
        Fill::Xml => fill_lines(block, wanted, prng, xml_line),
    }
}

/// The words are drawn once per line from one number, so that a gigabyte does not take a minute.
fn fill_lines(block: &mut Vec<u8>, wanted: usize, prng: &mut Prng, line: fn(&mut Vec<u8>, u64)) {
    while block.len() < wanted {
        line(block, prng.next_u64());
    }
}

fn log_line(block: &mut Vec<u8>, number: u64) {
    const ACTIONS: [&[u8]; 8] = [
        b"Processing file ",
        b"Successfully processed policy for ",
        b"STATMSG: ID=",
        b"Thread is waiting, message ",
        b"Inbox notification for ",
        b"Updating package ",
        b"Execute query exec [sp_Cp] ",
        b"Client heartbeat from GUID:",
    ];
    block.extend_from_slice(ACTIONS[(number & 7) as usize]);
    push_hex(block, number);
    block.extend_from_slice(b"~  $$<SMS_EXECUTIVE><11-");
    push_two(block, number >> 8);
    block.extend_from_slice(b"-2025 ");
    for shift in [16, 24, 32] {
        push_two(block, number >> shift);
        block.push(b':');
    }
    block.extend_from_slice(b"00.000+00><thread=4242 (0x1092)>\r\n");
}

fn xml_line(block: &mut Vec<u8>, number: u64) {
    block.extend_from_slice(b"  <Instance Class=\"SMS_SCI_Component\" Key=\"");
    push_hex(block, number);
    block.extend_from_slice(b"\"><Property Name=\"Flags\" Type=\"19\">");
    push_two(block, number >> 40);
    block.extend_from_slice(b"</Property></Instance>\r\n");
}

fn push_hex(block: &mut Vec<u8>, number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = [0; 16];
    for (index, byte) in number.to_be_bytes().into_iter().enumerate() {
        text[2 * index] = DIGITS[usize::from(byte >> 4)];
        text[2 * index + 1] = DIGITS[usize::from(byte & 15)];
    }
    block.extend_from_slice(&text);
}

fn push_two(block: &mut Vec<u8>, number: u64) {
    let number = (number % 60) as u8;
    block.extend_from_slice(&[b'0' + number / 10, b'0' + number % 10]);
}

/// Splits `total` bytes over `count` files: many small ones, a few large ones, the sum exact.
pub(crate) fn sizes(total: u64, count: u32, prng: &mut Prng) -> Vec<u64> {
    let weights: Vec<u64> = (0..count).map(|_| weight(prng)).collect();
    let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let mut sizes: Vec<u64> =
        weights.iter().map(|&weight| (u128::from(total) * u128::from(weight) / sum.max(1)) as u64).collect();
    let given: u64 = sizes.iter().sum();
    if let Some(last) = sizes.last_mut() {
        *last += total - given;
    }
    sizes
}

fn weight(prng: &mut Prng) -> u64 {
    let unit = prng.below(1000);
    // One file in 512 is an image or an installer.
    let bulk = if prng.below(512) == 0 { 200 } else { 1 };
    bulk * (20_000_000 + unit.pow(4) / 1000 * (1 + prng.below(4)))
}

#[cfg(test)]
mod tests {
    use super::sizes;
    use crate::prng::Prng;

    #[test]
    fn sizes_add_up() {
        let sizes = sizes(1_000_003, 77, &mut Prng::new(3));
        assert_eq!(sizes.len(), 77);
        assert_eq!(sizes.iter().sum::<u64>(), 1_000_003);
    }
}
