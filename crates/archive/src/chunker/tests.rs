#![cfg_attr(
    windows,
    allow(clippy::missing_const_for_thread_local, reason = "it is const, which the lint does not see there")
)]
mod databases;
mod hostile;

use std::cell::Cell;
use std::convert::Infallible;
use std::ops::Range;

use proptest::prelude::*;

use super::{Chunk, Chunker, EXTENT, SMALL, WINDOW, content, is_zero};

const PAGE: usize = 8 << 10;
const BLOCK: usize = 1 << 20;

thread_local! {
    static LOOKED_AT: Cell<u64> = const { Cell::new(0) };
}

/// Counts the bytes that a decision may have looked at, for there is no other way to tell linear work from quadratic on a busy machine.
pub(super) fn looked_at(bytes: usize) {
    LOOKED_AT.set(LOOKED_AT.get() + bytes as u64);
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Hole(u64),
    Data(Vec<u8>),
    Extent(Vec<u8>),
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hole(len) => write!(f, "Hole({len})"),
            Self::Data(bytes) => write!(f, "Data({})", bytes.len()),
            Self::Extent(bytes) => write!(f, "Extent({})", bytes.len()),
        }
    }
}

impl Part {
    fn of(chunk: Chunk<'_>) -> Self {
        match chunk {
            Chunk::Hole(len) => Self::Hole(len),
            Chunk::Data(bytes) => Self::Data(bytes.to_vec()),
            Chunk::Extent(bytes) => Self::Extent(bytes.to_vec()),
        }
    }
}

/// The chunks of a file of `size` bytes that is handed in as these blocks.
fn cut_blocks<'a>(blocks: impl IntoIterator<Item = (u64, &'a [u8])>, size: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut sink = |chunk: Chunk<'_>| {
        parts.push(Part::of(chunk));
        Ok::<_, Infallible>(())
    };
    let mut chunker = Chunker::new();
    for (offset, block) in blocks {
        chunker.push(offset, block, &mut sink).unwrap();
    }
    assert_eq!(chunker.pending.capacity(), WINDOW);
    chunker.finish(size, &mut sink).unwrap();
    parts
}

/// The chunks of `bytes` in blocks of `len` bytes.
fn cut_by(bytes: &[u8], len: usize) -> Vec<Part> {
    let offsets = (0..).step_by(len);
    cut_blocks(offsets.zip(bytes.chunks(len)), bytes.len() as u64)
}

fn cut(bytes: &[u8]) -> Vec<Part> {
    cut_by(bytes, BLOCK)
}

fn joined(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Hole(len) => bytes.resize(bytes.len() + *len as usize, 0),
            Part::Data(content) | Part::Extent(content) => bytes.extend_from_slice(content),
        }
    }
    bytes
}

/// Bytes without a pattern (xorshift64*).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = vec![0; len];
    for word in bytes.chunks_mut(8) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        word.copy_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[..word.len()]);
    }
    bytes
}

/// One page of a data file of SQL Server: its header, then noise.
fn page(number: u32, file: u16, seed: u64) -> Vec<u8> {
    let mut page = noise(seed ^ (u64::from(number) << 20), PAGE);
    page[..96].fill(0);
    page[0] = 1;
    page[32..36].copy_from_slice(&number.to_le_bytes());
    page[36..38].copy_from_slice(&file.to_le_bytes());
    page
}

fn pages(numbers: impl IntoIterator<Item = u32>, seed: u64) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| page(number, 1, seed)).collect()
}

/// Content of the kinds that the chunker tells apart, so that one turns into another within a file.
#[derive(Debug, Clone)]
enum Segment {
    Noise(u64, usize),
    Bytes(u8, usize),
    Pages(Range<u32>, u64),
    Sqlite,
}

fn segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        (0..3_u64, 0..300_000_usize).prop_map(|(seed, len)| Segment::Noise(seed, len)),
        (0..400_000_usize).prop_map(|len| Segment::Bytes(0, len)),
        (any::<u8>(), 0..300_000_usize).prop_map(|(byte, len)| Segment::Bytes(byte, len)),
        (0..9_000_u32, 1..60_u32, 0..3_u64).prop_map(|(first, n, seed)| Segment::Pages(first..first + n, seed)),
        Just(Segment::Sqlite),
    ]
}

fn files() -> impl Strategy<Value = Vec<Segment>> {
    prop::collection::vec(segment(), 0..7)
}

fn file(segments: &[Segment]) -> Vec<u8> {
    let bytes = |segment: &Segment| match segment {
        Segment::Noise(seed, len) => noise(*seed, *len),
        Segment::Bytes(byte, len) => vec![*byte; *len],
        Segment::Pages(numbers, seed) => pages(numbers.clone(), *seed),
        Segment::Sqlite => b"SQLite format 3\0\x10\0".to_vec(),
    };
    segments.iter().flat_map(bytes).collect()
}

/// Lengths of blocks, used in turn.
fn block_lens() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..100_usize, 1_000..200_000_usize, Just(EXTENT), Just(BLOCK)], 1..9)
}

fn blocks_of<'a>(bytes: &'a [u8], lens: &'a [usize]) -> impl Iterator<Item = (u64, &'a [u8])> {
    let mut at = 0;
    // Blocks of a few bytes are too many for a long file: they are mixed with long ones.
    lens.iter().chain([&BLOCK]).cycle().map_while(move |len| {
        let block = &bytes[at..bytes.len().min(at + len)];
        at += block.len();
        (!block.is_empty()).then_some(((at - block.len()) as u64, block))
    })
}

/// The blocks without their zeros in runs of at least a sector, as from a file that has holes there.
fn punched<'a>(blocks: impl Iterator<Item = (u64, &'a [u8])>) -> Vec<(u64, &'a [u8])> {
    let sectors = blocks.flat_map(|(offset, block)| (offset..).step_by(512).zip(block.chunks(512)));
    sectors.filter(|(_, sector)| !is_zero(sector)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn chunks_are_the_file_and_keep_their_limits(segments in files()) {
        let bytes = file(&segments);
        let parts = cut(&bytes);
        prop_assert!(joined(&parts) == bytes);
        for part in &parts {
            match part {
                Part::Hole(len) => prop_assert!(*len > 0),
                Part::Data(content) => prop_assert!((1..=WINDOW).contains(&content.len()) && !is_zero(content)),
                Part::Extent(content) => prop_assert!(content.len() == EXTENT && !is_zero(content)),
            }
        }
        let is_hole = |part: &Part| matches!(part, Part::Hole(_));
        prop_assert!(!parts.windows(2).any(|pair| pair.iter().all(is_hole)), "{:?}", parts);
    }

    #[test]
    fn blocks_do_not_matter(segments in files(), lens in block_lens()) {
        let bytes = file(&segments);
        let parts = cut_blocks(blocks_of(&bytes, &lens), bytes.len() as u64);
        prop_assert!(parts == cut(&bytes), "{:?}\n{:?}", parts, cut(&bytes));
    }

    #[test]
    fn holes_of_the_file_system_are_zeros(segments in files(), lens in block_lens()) {
        let bytes = file(&segments);
        let parts = cut_blocks(punched(blocks_of(&bytes, &lens)), bytes.len() as u64);
        prop_assert!(parts == cut(&bytes), "{:?}\n{:?}", parts, cut(&bytes));
    }
}

#[test]
fn small_files_are_whole() {
    let check = |bytes: Vec<u8>, expect: &[Part]| assert_eq!(cut(&bytes), expect, "{} bytes", bytes.len());
    check(Vec::new(), &[]);
    check(vec![7], &[Part::Data(vec![7])]);
    check(vec![0; 5], &[Part::Hole(5)]);
    check(vec![0; SMALL - 1], &[Part::Hole(SMALL as u64 - 1)]);
    let content = noise(1, SMALL - 1);
    check(content.clone(), &[Part::Data(content)]);
    let pages = pages(0..15, 1);
    check(pages.clone(), &[Part::Data(pages)]);
    assert_eq!(cut(&noise(1, 3 * SMALL / 2)).len(), 3);
}

/// Other cuts for the same bytes would store everything again after an update of the program.
#[test]
fn cuts_stay_what_they_were() {
    let lens: Vec<usize> =
        cut(&noise(2026, 1 << 20)).iter().map(|part| joined(std::slice::from_ref(part)).len()).collect();
    assert_eq!(
        lens,
        [
            132_276, 151_811, 90_893, 76_466, 82_877, 34_403, 16_416, 75_240, 97_481, 23_017, 69_220, 65_890, 45_620,
            86_966
        ]
    );
}

#[test]
fn zeros_are_cut_at_the_largest_chunk() {
    assert_eq!(content::cut(&vec![0; 2 * WINDOW], false), Ok(content::ZEROS));
    let mut bytes = vec![0; content::ZEROS];
    bytes.push(1);
    assert_eq!(content::cut(&bytes, false), Ok(content::ZEROS));
}

#[test]
fn a_hole_costs_nothing() {
    const TIB: u64 = 1 << 40;
    let (head, tail) = (noise(3, BLOCK), noise(4, BLOCK));
    LOOKED_AT.set(0);
    let size = 2 * TIB;
    let parts = cut_blocks([(0, &head[..]), (TIB, &tail[..])], size);
    assert!(LOOKED_AT.get() < 16 * BLOCK as u64, "{}", LOOKED_AT.get());
    let len = |part: &Part| match part {
        Part::Hole(len) => *len,
        Part::Data(bytes) | Part::Extent(bytes) => bytes.len() as u64,
    };
    assert_eq!(parts.iter().map(len).sum::<u64>(), size);
    assert_eq!(parts.iter().filter(|part| matches!(part, Part::Hole(_))).count(), 2);
}

#[test]
fn one_chunker_cuts_file_after_file() {
    let files = [noise(1, 300_000), pages(0..40, 2), vec![0; 70_000], noise(3, 90_000), noise(4, 500_000)];
    let mut chunker = Chunker::new();
    for file in &files {
        let mut parts = Vec::new();
        let mut sink = |chunk: Chunk<'_>| {
            parts.push(Part::of(chunk));
            Ok::<_, Infallible>(())
        };
        for (offset, block) in (0..).step_by(100_000).zip(file.chunks(100_000)) {
            chunker.push(offset, block, &mut sink).unwrap();
        }
        chunker.finish(file.len() as u64, &mut sink).unwrap();
        assert_eq!(parts, cut(file));
    }
}

#[test]
fn an_error_of_the_sink_is_handed_on() {
    let bytes = noise(1, 2 * BLOCK);
    for refused in 0..4 {
        let mut seen = 0;
        let mut sink = |_: Chunk<'_>| {
            seen += 1;
            if seen > refused { Err("full") } else { Ok(()) }
        };
        assert_eq!(Chunker::new().push(0, &bytes, &mut sink), Err("full"));
        assert_eq!(seen, refused + 1);
    }
    let mut chunker = Chunker::new();
    chunker.push(0, b"short", &mut |_| Ok::<_, &str>(())).unwrap();
    assert_eq!(chunker.finish(5, &mut |_| Err("full")), Err("full"));
}

/// What is copied takes time that nothing else here costs.
#[test]
fn chunks_within_a_block_are_not_copied() {
    for bytes in [noise(1, 4 * BLOCK), pages(0..512, 1)] {
        let mut chunker = Chunker::new();
        let mut copied = 0;
        for (offset, block) in (0..).step_by(BLOCK).zip(bytes.chunks(BLOCK)) {
            let mut sink = |chunk: Chunk<'_>| {
                let (Chunk::Data(content) | Chunk::Extent(content)) = chunk else { unreachable!("no zeros here") };
                if !block.as_ptr_range().contains(&content.as_ptr()) {
                    copied += content.len();
                }
                Ok::<_, Infallible>(())
            };
            chunker.push(offset, block, &mut sink).unwrap();
        }
        assert!(copied <= 3 * WINDOW, "{copied} bytes of {} were copied", bytes.len());
    }
}
