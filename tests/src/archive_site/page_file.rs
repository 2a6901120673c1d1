//! A model of SQL Server's data file, and of a dump of it.
//!
//! Pages have the header's size and those of its fields by which they are known: version, type, number, file, log sequence number. What
//! is in them is made to compress as the real thing does, no more.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::prng::Prng;
use crate::site::fill::{age, create};

/// Bytes of a page.
pub(super) const PAGE: usize = 8192;
const HEADER: usize = 96;
/// Pages of an extent.
const EXTENT: u32 = 8;
const ROW: usize = 192;
const ENTRY: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Row,
    Index,
    Blob,
    Free,
}

/// Makes the pages of one file: page and day decide what is in one.
#[derive(Debug)]
pub(super) struct PageFile {
    prng: Prng,
}

impl PageFile {
    pub(super) fn new(prng: &Prng) -> Self {
        Self { prng: prng.fork("page file") }
    }

    /// Writes a new file of `pages` pages.
    pub(super) fn write(&self, path: &Path, pages: u32) -> io::Result<()> {
        let mut file = create(path)?;
        self.append(&mut file, 0..pages)?;
        age(&file, &mut self.prng.fork("age"))
    }

    fn append(&self, file: &mut File, numbers: std::ops::Range<u32>) -> io::Result<()> {
        let mut block = vec![0; PAGE * 128];
        let mut next = numbers.start;
        while next < numbers.end {
            let count = (numbers.end - next).min(128);
            for (number, page) in (next..next + count).zip(block.chunks_exact_mut(PAGE)) {
                self.fill(page, number);
            }
            file.write_all(&block[..PAGE * count as usize])?;
            next += count;
        }
        Ok(())
    }

    /// Changes `changed` of `pages` old pages in place, three fifths of them scattered and the rest in runs, and appends `appended`.
    pub(super) fn pass_a_day(&self, path: &Path, pages: u32, changed: u32, appended: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let mut page = vec![0; PAGE];
        for number in self.changed_pages(pages, changed) {
            self.fill(&mut page, number);
            self.change(&mut page, number);
            file.seek(SeekFrom::Start(u64::from(number) * PAGE as u64))?;
            file.write_all(&page)?;
        }
        file.seek(SeekFrom::End(0))?;
        self.append(&mut file, pages..pages + appended)
    }

    fn changed_pages(&self, pages: u32, changed: u32) -> BTreeSet<u32> {
        const RUN: u32 = 32;
        let mut prng = self.prng.fork("changed pages");
        let mut numbers = BTreeSet::new();
        let mut draw = |run: u32| prng.below(u64::from(pages.saturating_sub(run).max(1))) as u32;
        while (numbers.len() as u32) < changed * 2 / 5 {
            let first = draw(RUN);
            let missing = changed * 2 / 5 - numbers.len() as u32;
            numbers.extend((first..first + RUN).take(missing as usize));
        }
        while (numbers.len() as u32) < changed {
            numbers.insert(draw(0));
        }
        numbers
    }

    fn page_prng(&self, number: u32, day: u64) -> Prng {
        let mut prng = self.prng.clone();
        // Two steps keep the streams of neighbouring pages apart.
        Prng::new(prng.next_u64() ^ (u64::from(number) << 8 | day)).fork("page")
    }

    fn kind(&self, number: u32) -> Kind {
        let mut prng = self.page_prng(number / EXTENT, u64::from(u8::MAX));
        match prng.below(100) {
            0..62 => Kind::Row,
            62..80 => Kind::Index,
            80..90 => Kind::Blob,
            _ => Kind::Free,
        }
    }

    fn fill(&self, page: &mut [u8], number: u32) {
        let mut prng = self.page_prng(number, 1);
        page.fill(0);
        let kind = self.kind(number);
        fill_header(page, number, kind, 1, &mut prng);
        let body = &mut page[HEADER..];
        match kind {
            Kind::Row => rows(body).for_each(|(slot, row)| fill_row(row, number, slot, &mut prng)),
            Kind::Index => entries(body).for_each(|(slot, entry)| fill_entry(entry, number, slot, &mut prng)),
            Kind::Blob => fill_blob(body, &mut prng),
            Kind::Free => {}
        }
    }

    /// What a day does to a page: a new header, and every other row is another one.
    fn change(&self, page: &mut [u8], number: u32) {
        let mut prng = self.page_prng(number, 2);
        let kind = self.kind(number);
        fill_header(page, number, kind, 2, &mut prng);
        let body = &mut page[HEADER..];
        match kind {
            Kind::Index => {
                entries(body).step_by(2).for_each(|(slot, entry)| fill_entry(entry, number, slot, &mut prng));
            }
            Kind::Blob => fill_blob(&mut body[..PAGE / 2], &mut prng),
            Kind::Row | Kind::Free => {
                rows(body).step_by(2).for_each(|(slot, row)| fill_row(row, number, slot, &mut prng));
            }
        }
    }
}

fn fill_header(page: &mut [u8], number: u32, kind: Kind, day: u64, prng: &mut Prng) {
    let page_type = match kind {
        Kind::Row => 1,
        Kind::Index => 2,
        Kind::Blob => 3,
        Kind::Free => 0,
    };
    page[..HEADER].fill(0);
    page[..4].copy_from_slice(&[1, page_type, 4, 0]);
    page[8..12].copy_from_slice(&number.wrapping_sub(1).to_le_bytes());
    page[16..20].copy_from_slice(&number.wrapping_add(1).to_le_bytes());
    page[24..28].copy_from_slice(&(number / 1024).to_le_bytes());
    page[32..36].copy_from_slice(&number.to_le_bytes());
    page[36..38].copy_from_slice(&1_u16.to_le_bytes());
    page[40..48].copy_from_slice(&(day << 32 | prng.below(1 << 30)).to_le_bytes());
    page[60..64].copy_from_slice(&(prng.next_u64() as u32).to_le_bytes());
}

fn rows(body: &mut [u8]) -> impl Iterator<Item = (usize, &mut [u8])> {
    body.chunks_exact_mut(ROW).enumerate()
}

fn entries(body: &mut [u8]) -> impl Iterator<Item = (usize, &mut [u8])> {
    body.chunks_exact_mut(ENTRY).enumerate()
}

/// A client's inventory: a key that counts up, times near each other, a GUID, names in UTF-16.
fn fill_row(row: &mut [u8], number: u32, slot: usize, prng: &mut Prng) {
    const PRODUCTS: [&[u8; 24]; 8] = [
        b"Microsoft Edge WebView2 ",
        b"Notepad++ (64-bit x64)  ",
        b"Intel Management Engine ",
        b"Visual C++ Redistributab",
        b"Adobe Acrobat Reader DC ",
        b"Configuration Manager Cl",
        b"Zoom Workplace for VDI  ",
        b"7-Zip 24.08 (x64 edition",
    ];
    let key = u64::from(number) * (PAGE / ROW) as u64 + slot as u64;
    let word = prng.next_u64();
    row[..4].copy_from_slice(&[0x30, 0, 72, 0]);
    row[4..12].copy_from_slice(&key.to_le_bytes());
    row[12..20].copy_from_slice(&(0x0000_b2a0_0000_0000 + key * 300 + word % 0x4000).to_le_bytes());
    row[20..36].copy_from_slice(&[prng.next_u64().to_le_bytes(), prng.next_u64().to_le_bytes()].concat());
    row[36..40].copy_from_slice(&((word >> 16) as u32 % 100).to_le_bytes());
    row[40..72].fill(0);
    row[40..44].copy_from_slice(&(16_777_220 + key as u32 / 50).to_le_bytes());
    prng.fill(&mut row[44..52]);
    let name = format!("CM-WKS-{:05}", (word >> 24) % 50_000);
    for (place, character) in row[72..96].chunks_exact_mut(2).zip(name.bytes()) {
        place.copy_from_slice(&[character, 0]);
    }
    for (place, character) in row[96..144].chunks_exact_mut(2).zip(PRODUCTS[(word >> 40) as usize % 8]) {
        place.copy_from_slice(&[*character, 0]);
    }
    row[144..168].copy_from_slice(PRODUCTS[(word >> 44) as usize % 8]);
    row[168..192].fill(0);
    row[168..176].copy_from_slice(&(word >> 52).to_le_bytes());
}

/// A key, and the page and slot of its row.
fn fill_entry(entry: &mut [u8], number: u32, slot: usize, prng: &mut Prng) {
    let word = prng.next_u64();
    let key = u64::from(number) << 24 | (slot as u64) << 16 | (word >> 32) & 0xffff;
    entry.fill(0);
    entry[0] = 0x16;
    entry[1..9].copy_from_slice(&key.to_be_bytes());
    entry[12..16].copy_from_slice(&((word >> 16) as u32 % 90_000).to_le_bytes());
    entry[16..18].copy_from_slice(&1_u16.to_le_bytes());
    entry[18..20].copy_from_slice(&((word >> 48) as u16 % 42).to_le_bytes());
    entry[20..22].copy_from_slice(&(word as u16).to_le_bytes());
}

/// Two thirds packed, as images and programs are, the rest text.
fn fill_blob(body: &mut [u8], prng: &mut Prng) {
    let (packed, text) = body.split_at_mut(body.len() * 2 / 3);
    prng.fill(packed);
    for line in text.chunks_mut(32) {
        line.copy_from_slice(&b"<Property Name=\"Flags\">00</Prop>"[..line.len()]);
    }
}

/// Writes a dump of the page file: a header of 4,096 bytes and `header_extra` more, then all extents that are not free.
///
/// # Errors
/// Those of the file system.
pub fn shifted_dump(page_file: &Path, to: &Path, header_extra: usize) -> io::Result<()> {
    let (mut from, mut dump) = (File::open(page_file)?, create(to)?);
    let mut header = b"TAPE".to_vec();
    header.extend(Prng::new(header_extra as u64).bytes(4096 + header_extra - 4));
    dump.write_all(&header)?;
    let mut block = Vec::with_capacity(1 << 20);
    loop {
        block.clear();
        if Read::by_ref(&mut from).take(1 << 20).read_to_end(&mut block)? == 0 {
            return Ok(());
        }
        let in_use = |extent: &&[u8]| extent.chunks(PAGE).any(|page| page[1] != 0);
        let extents: Vec<&[u8]> = block.chunks(PAGE * EXTENT as usize).filter(in_use).collect();
        dump.write_all(&extents.concat())?;
    }
}
