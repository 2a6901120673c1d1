//! Page files, dumps of them, and what may stand between their pages.

use std::collections::HashSet;

use super::super::probe::{find_extent, is_sqlite};
use super::{EXTENT, PAGE, Part, WINDOW, cut, cut_by, joined, noise, page, pages};

fn extents(parts: &[Part]) -> HashSet<&[u8]> {
    parts.iter().filter_map(|part| if let Part::Extent(bytes) = part { Some(&bytes[..]) } else { None }).collect()
}

/// Bytes of `new` that are in no chunk of `old`.
fn new_bytes(old: &[Part], new: &[Part]) -> usize {
    new.iter().filter(|part| !old.contains(part)).map(|part| joined(std::slice::from_ref(part)).len()).sum()
}

#[test]
fn a_page_file_is_all_extents() {
    let parts = cut(&pages(0..4096, 1));
    assert_eq!(parts.len(), 512);
    assert_eq!(extents(&parts).len(), 512);
}

#[test]
fn what_is_over_at_the_end_is_one_chunk() {
    let file = pages(0..43, 1);
    assert_eq!(cut(&file)[5..], [Part::Data(file[5 * EXTENT..].to_vec())]);
}

#[test]
fn a_longer_header_leaves_the_extents_of_a_dump() {
    let file = pages(0..2048, 1);
    let days = [3_000, 3_000 + 1_536].map(|header| cut(&[&noise(header as u64, header), &file[..]].concat()));
    assert_eq!(extents(&days[0]), extents(&days[1]));
    assert_eq!(extents(&days[0]), extents(&cut(&file)));
    assert!(new_bytes(&days[0], &days[1]) <= 4_536);
}

/// A dump may begin with pages that belong to no whole extent.
#[test]
fn extents_begin_at_their_first_page() {
    for first in 0..8 {
        let head = if first == 0 { 0 } else { 8 - first as usize };
        let file = pages(first..first + 100, 1);
        let whole = (100 - head) / 8;
        assert_eq!(extents(&cut(&file)), extents(&cut(&file[head * PAGE..])), "first page {first}");
        assert_eq!(extents(&cut(&file)).len(), whole, "first page {first}");
    }
}

#[test]
fn extents_put_in_change_no_others() {
    let (file, more) = (pages(0..4096, 1), pages(4096..4096 + 320, 1));
    let at = 100 * EXTENT;
    let (old, new) = (cut(&file), cut(&[&file[..at], &more, &file[at..]].concat()));
    assert_eq!(new_bytes(&old, &new), 40 * EXTENT);
}

#[test]
fn a_changed_page_changes_its_extent() {
    let old = pages(0..4096, 1);
    let mut new = old.clone();
    let changed: HashSet<usize> = (0..41).map(|n| n * 4_001 % 4096).collect();
    for number in &changed {
        new[number * PAGE..(number + 1) * PAGE].copy_from_slice(&page(*number as u32, 1, 2));
    }
    let touched: HashSet<usize> = changed.iter().map(|number| number / 8).collect();
    assert_eq!(new_bytes(&cut(&old), &cut(&new)), touched.len() * EXTENT);
}

/// Blocks of a backup's own between the pages move them off their grid, and to another one.
#[test]
fn the_grid_is_found_again() {
    let file = pages(0..2048, 1);
    for (len, at) in [(512, 17), (1_536, 64), (8_192, 100), (60_000, 5), (65_536 + 7, 200), (700_000, 128)] {
        let at = at * EXTENT;
        let between = noise(9, len);
        let dump = [&file[..at], &between, &file[at..]].concat();
        let parts = cut(&dump);
        let lost = cut(&file).iter().filter(|part| !parts.contains(part)).count();
        let most = if len % EXTENT > 0 { 4 } else { 0 };
        assert!(lost <= most, "{lost} extents lost by {len} bytes at {at}");
        assert_eq!(parts, cut_by(&dump, 10_007));
    }
}

/// Space that is not used, pages that were never written, and logs are in page files, and none of it is a reason to leave the grid.
#[test]
fn what_is_no_page_stays_on_the_grid() {
    let file = pages(0..1024, 1);
    let at = 37 * EXTENT;
    let check = |name: &str, other: Vec<u8>| {
        assert_eq!(other.len() % EXTENT, 0);
        let changed = [&file[..at], &other, &file[at + other.len()..]].concat();
        let parts = cut(&changed);
        let is_extent = |part: &Part| matches!(part, Part::Extent(_) | Part::Hole(_));
        assert!(parts.iter().all(is_extent), "{name}: {parts:?}");
        assert_eq!(joined(&parts), changed);
    };
    check("zeros", vec![0; 5 * EXTENT]);
    check("many zeros", vec![0; 50 * EXTENT]);
    check("noise", noise(3, 7 * EXTENT));
    check("ones", vec![1; 9 * EXTENT]);
    check("zeros and a page", [vec![0; 3 * PAGE], pages(299..304, 1)].concat());
    let log: Vec<u8> =
        (0..5 * EXTENT / 512).flat_map(|n| [vec![0x50 + (n % 2) as u8; 8], noise(n as u64, 504)].concat()).collect();
    check("a log", log);
    // Pages of another database in rows of this one: fewer than prove anything.
    let foreign = [noise(4, 777), pages(8..11, 5), noise(6, EXTENT - 777 - 3 * PAGE)].concat();
    check("three pages of another grid", foreign.clone());
    check("three pages of another grid, alone", [noise(7, 4 * EXTENT), foreign, noise(8, 4 * EXTENT)].concat());
    // Five pages would, were the next extent not on this grid.
    check("five pages of another grid", [noise(4, 777), pages(8..13, 5), noise(6, EXTENT - 777 - 5 * PAGE)].concat());
}

#[test]
fn sqlite_is_cut_from_its_first_byte() {
    let mut file = noise(1, 10 * EXTENT + 5 * 4096);
    file[..18].copy_from_slice(b"SQLite format 3\0\x10\0");
    let parts = cut(&file);
    assert_eq!(extents(&parts).len(), 10);
    assert_eq!(parts[10], Part::Data(file[10 * EXTENT..].to_vec()));
    // A page of SQL Server in a row of SQLite is none of the grid.
    file[4096 + 9..4096 + 9 + 20 * PAGE].copy_from_slice(&pages(8..28, 1));
    let lens = |parts: &[Part]| parts.iter().map(|part| joined(std::slice::from_ref(part)).len()).collect::<Vec<_>>();
    assert_eq!(lens(&cut(&file)), lens(&parts));
}

#[test]
fn probe_of_sqlite() {
    let check =
        |size: [u8; 2], expect| assert_eq!(is_sqlite(&[b"SQLite format 3\0", &size[..]].concat()), expect, "{size:?}");
    check([0x02, 0x00], true);
    check([0x10, 0x00], true);
    check([0x80, 0x00], true);
    check([0x00, 0x01], true);
    check([0x00, 0x00], false);
    check([0x01, 0x00], false);
    check([0x10, 0x01], false);
    assert!(!is_sqlite(b"SQLite format 3\0\x10"));
    assert!(!is_sqlite(b"SQLite format 4\0\x10\0"));
    assert!(!is_sqlite(b""));
}

#[test]
fn probe_of_sql_server() {
    let check = |bytes: Vec<u8>, expect| assert_eq!(find_extent(&bytes), expect);
    check(pages(0..4, 1), Some(0));
    check(pages(0..3, 1), None);
    check(pages(u32::MAX - 7..=u32::MAX, 1), Some(0));
    check(pages(4..12, 1), Some(4 * PAGE));
    check(pages((0..4).chain(9..12), 1), Some(0));
    check(pages([0, 1, 2, 4, 5, 6, 7, 8], 1), None);
    check([noise(1, 8191), pages(16..20, 1)].concat(), Some(8191));
    check([noise(1, 20_000), pages(16..20, 1), noise(2, WINDOW)].concat(), Some(20_000));
    check([page(0, 1, 1), page(1, 1, 1), page(2, 2, 1), page(3, 1, 1)].concat(), None);
    let mut old = pages(0..4, 1);
    old[2 * PAGE] = 0;
    check(old, None);
    check(vec![1; WINDOW], None);
    check(vec![0; WINDOW], None);
    check(Vec::new(), None);
}
