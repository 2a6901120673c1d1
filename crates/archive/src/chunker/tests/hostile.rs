//! Content made to cost time: the work stays linear in the bytes, whatever they are.

use super::{BLOCK, EXTENT, LOOKED_AT, PAGE, cut_by, noise, page, pages};

/// Bytes may be looked at by a search, by a cut, and again where a block ended before the cut; by few all three.
fn check(name: &str, bytes: &[u8]) {
    for block in [BLOCK, 100_003, 4096, 512] {
        LOOKED_AT.set(0);
        let parts = cut_by(bytes, block);
        let times = LOOKED_AT.get() as f64 / bytes.len() as f64;
        assert!(times < 1.7, "{name}: each byte was looked at {times} times in blocks of {block}");
        assert!(parts.len() <= bytes.len() / 4096, "{name}: {} chunks", parts.len());
    }
}

#[test]
fn contents_that_are_never_or_always_cut() {
    check("noise", &noise(1, 4 << 20));
    for byte in [0, 1, 8, 255] {
        check(&format!("bytes {byte}"), &vec![byte; 1 << 20]);
    }
}

#[test]
fn pages_that_prove_nothing() {
    let almost: Vec<u8> = (0..512).flat_map(|n| page(8 * n, 1, 1)).collect();
    check("only first pages", &almost);
    let behind_a_grid = [&pages(0..16, 1)[..], &noise(2, 777), &almost].concat();
    check("only first pages behind a grid", &behind_a_grid);
    check("ones behind a grid", &[&pages(0..16, 1)[..], &vec![1; 4 << 20]].concat());
    check("noise behind a grid", &[&pages(0..16, 1)[..], &noise(3, 4 << 20)].concat());
}

#[test]
fn a_grid_that_moves_with_each_extent() {
    let moving: Vec<u8> =
        (0..64).flat_map(|n| [pages(8 * n..8 * n + 8, 1), noise(u64::from(n), 1 + 97 * n as usize)].concat()).collect();
    check("a grid that moves", &moving);
    let short: Vec<u8> = (0..96).flat_map(|n| [pages(8 * n..8 * n + 4, 1), noise(n.into(), 555)].concat()).collect();
    check("a grid that moves within extents", &short);
    let late =
        |n| [noise(n, 3 * EXTENT + 777 + 31 * n as usize), pages(0..4, n), noise(n, EXTENT - 777 - 4 * PAGE)].concat();
    let proofs_at_the_end: Vec<u8> = (0..16).flat_map(late).collect();
    check("proof at the end of each window", &[&pages(0..16, 1)[..], &proofs_at_the_end].concat());
}
