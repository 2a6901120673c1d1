//! Tells database files by their first bytes.
//!
//! SQL Server's pages have 8 KiB, eight of them make an extent, and a data file numbers them from 0 on ("Pages and extents architecture
//! guide" of SQL Server's documentation). The header begins with its version, 1 since SQL Server 7.0, and has the page's number in
//! four bytes at 32 and the file's in two bytes at 36, little-endian (what `DBCC PAGE` shows as `m_headerVersion` and `m_pageId`).

use super::EXTENT;

const PAGE: usize = 8 << 10;
/// Pages of an extent.
const PAGES: usize = EXTENT / PAGE;
const HEADER_VERSION: u8 = 1;
/// Where in its header the number of a page is.
const NUMBER: usize = 32;
/// Pages that have to follow each other before anybody believes that they are some.
const PROOF: usize = 4;
/// Places looked at in one step of a search.
const AT_ONCE: usize = 128;

/// Whether a window at the beginning of a file says that it is SQLite's: the magic string, then the size of a page (the "Database File
/// Format" of SQLite's documentation). All page sizes divide an extent.
pub(super) fn is_sqlite(window: &[u8]) -> bool {
    let Some(size) = window.strip_prefix(b"SQLite format 3\0").and_then(|rest| rest.first_chunk()) else {
        return false;
    };
    let size = u16::from_be_bytes(*size);
    size == 1 || (size >= 512 && size.is_power_of_two())
}

/// Whether `bytes` begin with a page that is the first one of an extent.
pub(super) fn begins_extent(bytes: &[u8]) -> bool {
    page_number(bytes).is_some_and(|(page, _)| is_first(page))
}

/// Where in `window` the first extent begins that shows it by several pages.
///
/// Takes the same time whatever is in the window: places are told apart from others by the dozen, without a branch, and only those that
/// have the versions and the last bytes of the numbers of two pages are looked at.
pub(super) fn find_extent(window: &[u8]) -> Option<usize> {
    let places = window.len().checked_sub(PROOF * PAGE - 1)?;
    let [version, number, next_version, next_number] =
        [0, NUMBER, PAGE, PAGE + NUMBER].map(|offset| &window[offset..offset + places]);
    let found = (0..places).step_by(AT_ONCE).find_map(|start| {
        let range = start..places.min(start + AT_ONCE);
        let (version, number) = (&version[range.clone()], &number[range.clone()]);
        let (next_version, next_number) = (&next_version[range.clone()], &next_number[range.clone()]);
        let doubt = |at: usize| {
            let versions = (version[at] ^ HEADER_VERSION) | (next_version[at] ^ HEADER_VERSION);
            versions | (number[at] % PAGES as u8) | (number[at] ^ next_number[at] ^ 1)
        };
        let least = (0..range.len()).map(doubt).fold(u8::MAX, u8::min);
        if least == 0 { range.clone().find(|at| is_extent(&window[*at..])) } else { None }
    });
    #[cfg(test)]
    super::tests::looked_at(found.unwrap_or(places));
    found
}

fn is_extent(bytes: &[u8]) -> bool {
    let Some((first, file)) = page_number(bytes).filter(|(page, _)| is_first(*page)) else { return false };
    let mut following = (first..).zip(bytes.chunks_exact(PAGE)).take(PROOF);
    following.all(|(number, page)| page_number(page) == Some((number, file)))
}

fn is_first(page: u32) -> bool {
    page.is_multiple_of(PAGES as u32)
}

/// The numbers of a page and of its file.
fn page_number(page: &[u8]) -> Option<(u32, u16)> {
    let (page_number, rest) = page.get(NUMBER..)?.split_first_chunk()?;
    let file_number = rest.first_chunk()?;
    let numbers = (u32::from_le_bytes(*page_number), u16::from_le_bytes(*file_number));
    (page[0] == HEADER_VERSION).then_some(numbers)
}
