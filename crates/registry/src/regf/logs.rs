//! Transaction logs: what was written to them and not yet to the hive is applied to its bytes.
//!
//! Both formats are known: that of Windows 8.1 and later (entries `HvLE`, each with a number and two hashes), and the one
//! before it (one bitmap `DIRT` of pages). A log is believed as far as its checksum, numbers, hashes and sizes are right,
//! as Windows does it; the first entry that is not ends it.

use std::borrow::Cow;

use super::Fault;
use super::layout::{BLOCK, HBIN, REGF, base, checksum, u32_at, u64_at};
use super::marvin::marvin32;
use crate::name::KeyPath;

/// The unit of logs.
const SECTOR: usize = 512;
const ENTRY_HEADER: usize = 40;

const OLD_LOG: [u32; 2] = [1, 2];
const NEW_LOG: u32 = 6;

/// A hive after its logs were applied.
#[derive(Clone, Debug)]
pub struct Recovered<'h> {
    /// The hive; the bytes as they were, where it was closed.
    pub hive: Cow<'h, [u8]>,
    /// How many log entries, or old logs, were applied.
    pub applied: usize,
}

/// Whether a hive was not closed, or was torn while its base block was written, so that only its logs make it whole.
pub fn is_dirty(hive: &[u8]) -> bool {
    hive.get(..BLOCK).is_some_and(|block| {
        u32_at(block, base::CHECKSUM) != Some(checksum(block))
            || u32_at(block, base::SEQUENCE_1) != u32_at(block, base::SEQUENCE_2)
    })
}

/// Applies transaction logs, in any order, to a hive that was not closed. Logs of a closed hive are done with.
///
/// Fails where the hive is dirty and no log mends it; [`salvage`](super::salvage) may still read it. Takes memory for one
/// copy of the hive, and for what the logs add to it.
pub fn recover<'h>(hive: &'h [u8], logs: &[&[u8]]) -> Result<Recovered<'h>, Fault> {
    if !is_dirty(hive) {
        return Ok(Recovered { hive: hive.into(), applied: 0 });
    }
    let logs: Vec<Log<'_>> = logs.iter().filter_map(|log| Log::new(log)).collect();
    let mut entries: Vec<Entry<'_>> = logs.iter().filter(|log| log.is_new).flat_map(Log::entries).collect();
    // Windows writes to one log until it takes the other; which of them was first is in the numbers.
    entries.sort_by_key(|entry| entry.sequence);
    // One log may be here twice, where the case of its name does not matter.
    entries.dedup_by_key(|entry| entry.sequence);
    let mut mended = hive.to_vec();
    let mut applied = 0;
    if mend_base_block(&mut mended, &logs, &entries).is_some() {
        applied = apply_entries(&mut mended, &entries);
        if applied == 0 && apply_old(&mut mended, &logs).is_some() {
            applied = 1;
        }
    }
    if applied == 0 {
        let reason = "the hive was not closed, and none of its transaction logs applies";
        return Err(Fault { offset: base::SEQUENCE_1 as u64, path: KeyPath::default(), reason });
    }
    Ok(Recovered { hive: mended.into(), applied })
}

/// A log whose base block is right.
struct Log<'l> {
    bytes: &'l [u8],
    is_new: bool,
}

impl<'l> Log<'l> {
    fn new(bytes: &'l [u8]) -> Option<Self> {
        let block = bytes.get(..SECTOR)?;
        let number = |at| u32_at(block, at);
        let kind = number(base::FILE_TYPE)?;
        let is_right = block.starts_with(REGF) && number(base::CHECKSUM)? == checksum(block);
        (is_right && (kind == NEW_LOG || OLD_LOG.contains(&kind))).then_some(Self { bytes, is_new: kind == NEW_LOG })
    }

    fn number(&self, at: usize) -> u32 {
        u32_at(self.bytes, at).unwrap_or_default()
    }

    /// The sectors that hold the copy of the base block.
    fn base_length(&self) -> usize {
        let sectors = self.number(base::CLUSTERING) as usize;
        if sectors == 0 || sectors > BLOCK / SECTOR { SECTOR } else { sectors * SECTOR }
    }

    /// Where the first entry should be: behind the first sector, whatever the sector's size is.
    fn entries(&self) -> Entries<'l> {
        Entries { rest: self.bytes.get(SECTOR..).unwrap_or_default(), expected: None }
    }
}

/// Takes the base block from a log where the hive's own is damaged.
fn mend_base_block(hive: &mut [u8], logs: &[Log<'_>], entries: &[Entry<'_>]) -> Option<()> {
    if u32_at(hive, base::CHECKSUM) == Some(checksum(hive)) && hive.starts_with(REGF) {
        return Some(());
    }
    // The last time of writing is kept a second time, in the first bin.
    let written = hive.get(BLOCK..).filter(|bins| bins.starts_with(HBIN)).and_then(|bin| u64_at(bin, 20));
    let fits = |log: &&Log<'_>| log.is_new || u64_at(log.bytes, base::TIMESTAMP) == written;
    let log = logs.iter().filter(fits).max_by_key(|log| log.number(base::SEQUENCE_1))?;
    hive[..SECTOR].copy_from_slice(&log.bytes[..SECTOR]);
    hive[base::FILE_TYPE..base::FILE_TYPE + 4].fill(0);
    // How far the hive was written is not known. To apply an entry again does no harm as long as all after it follow.
    let follows = |pair: &&[Entry<'_>]| pair[1].sequence == pair[0].sequence.wrapping_add(1);
    let unbroken = entries.windows(2).rev().take_while(follows).count();
    let first = entries.len().checked_sub(1 + unbroken).map(|at| entries[at].sequence);
    let sequence = first.unwrap_or_else(|| log.number(base::SEQUENCE_1));
    put(hive, base::SEQUENCE_1, sequence);
    close(hive, None);
    Some(())
}

/// Applies those entries that were written after the hive was, one after the other; returns how many.
fn apply_entries(hive: &mut Vec<u8>, entries: &[Entry<'_>]) -> usize {
    let from = u32_at(hive, base::SEQUENCE_1).unwrap_or_default();
    let mut last: Option<u32> = None;
    let mut applied = 0;
    for entry in entries.iter().skip_while(|entry| entry.sequence < from) {
        let follows = last.is_none_or(|last| entry.sequence == last.wrapping_add(1));
        if !follows || entry.apply(hive).is_none() {
            break;
        }
        last = Some(entry.sequence);
        applied += 1;
    }
    if let Some(last) = last {
        close(hive, Some(last));
    }
    applied
}

/// Makes the base block one of a closed hive.
fn close(hive: &mut [u8], sequence: Option<u32>) {
    let sequence = sequence.or_else(|| u32_at(hive, base::SEQUENCE_1)).unwrap_or_default();
    put(hive, base::SEQUENCE_1, sequence);
    put(hive, base::SEQUENCE_2, sequence);
    put(hive, base::CHECKSUM, checksum(hive));
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Gives the hive another size. What is new must come from the log: it pays for the memory.
fn resize(hive: &mut Vec<u8>, bins_size: usize, paid: usize) -> Option<()> {
    let size = BLOCK + bins_size;
    if !bins_size.is_multiple_of(BLOCK) || size > hive.len() + paid {
        return None;
    }
    if size > hive.len() {
        hive.resize(size, 0);
    }
    put(hive, base::BINS_SIZE, u32::try_from(bins_size).ok()?);
    Some(())
}

/// One transaction.
struct Entry<'l> {
    bytes: &'l [u8],
    sequence: u32,
}

impl Entry<'_> {
    /// The entry at the beginning of `rest`, if its hashes are right.
    fn at(rest: &[u8]) -> Option<Entry<'_>> {
        let length = u32_at(rest, 4)? as usize;
        let bytes = rest.get(..length)?;
        let is_right = rest.starts_with(b"HvLE")
            && length > ENTRY_HEADER
            && length.is_multiple_of(SECTOR)
            && u64_at(bytes, 24)? == marvin32(&bytes[ENTRY_HEADER..])
            && u64_at(bytes, 32)? == marvin32(&bytes[..32]);
        is_right.then_some(Entry { bytes, sequence: u32_at(bytes, 12)? })
    }

    fn apply(&self, hive: &mut Vec<u8>) -> Option<()> {
        let count = u32_at(self.bytes, 20)? as usize;
        let bins_size = u32_at(self.bytes, 16)? as usize;
        let references = self.bytes[ENTRY_HEADER..].get(..count.checked_mul(8)?)?;
        let mut pages = &self.bytes[ENTRY_HEADER + references.len()..];
        resize(hive, bins_size, pages.len())?;
        for reference in references.chunks_exact(8) {
            let (offset, size) = (u32_at(reference, 0)? as usize, u32_at(reference, 4)? as usize);
            let page;
            (page, pages) = pages.split_at_checked(size)?;
            hive.get_mut(BLOCK + offset..)?.get_mut(..size)?.copy_from_slice(page);
        }
        Some(())
    }
}

/// The entries of one log. What was left there by an earlier use has lower numbers, and ends them.
struct Entries<'l> {
    rest: &'l [u8],
    expected: Option<u32>,
}

impl<'l> Iterator for Entries<'l> {
    type Item = Entry<'l>;

    fn next(&mut self) -> Option<Entry<'l>> {
        let entry = Entry::at(self.rest).filter(|entry| self.expected.is_none_or(|next| next == entry.sequence))?;
        self.rest = &self.rest[entry.bytes.len()..];
        self.expected = Some(entry.sequence.wrapping_add(1));
        Some(entry)
    }
}

/// Applies the one log in the old format that was written for the hive as it is.
fn apply_old(hive: &mut Vec<u8>, logs: &[Log<'_>]) -> Option<()> {
    let written = u64_at(hive, base::TIMESTAMP)?;
    let is_complete = |log: &Log<'_>| log.number(base::SEQUENCE_1) == log.number(base::SEQUENCE_2);
    let fits = |log: &Log<'_>| !log.is_new && is_complete(log) && u64_at(log.bytes, base::TIMESTAMP) == Some(written);
    let log = logs.iter().filter(|log| fits(log)).max_by_key(|log| log.number(base::SEQUENCE_1))?;
    let sector = log.base_length();
    let vector = log.bytes.get(sector..)?;
    let bins_size = log.number(base::BINS_SIZE) as usize;
    let bitmap = vector.strip_prefix(b"DIRT")?.get(..bins_size.div_ceil(SECTOR * 8))?;
    let mut pages = vector.get((4 + bitmap.len()).next_multiple_of(sector)..)?;
    let dirty: Vec<usize> = (0..bins_size / SECTOR).filter(|page| bitmap[page / 8] & 1 << (page % 8) != 0).collect();
    // Half a log would make the hive worse than it was.
    (dirty.len() * SECTOR <= pages.len()).then_some(())?;
    resize(hive, bins_size, pages.len())?;
    for number in dirty {
        let page;
        (page, pages) = pages.split_at_checked(SECTOR)?;
        hive[BLOCK + number * SECTOR..][..SECTOR].copy_from_slice(page);
    }
    close(hive, Some(log.number(base::SEQUENCE_1)));
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::layout::u32_at;
    use super::super::{Header, read, salvage, write};
    use super::*;
    use crate::tree::Key;
    use crate::value::Value;

    /// Three versions of a hive, each larger than the one before.
    fn version(number: u32) -> Vec<u8> {
        let mut root = Key::default();
        for key in 0..number * 50 {
            root.create(&format!("key {key:03}").parse().unwrap()).set_value("value", Value::string(&"x".repeat(100)));
        }
        root.set_value("version", Value::dword(number));
        let header = Header { sequence: number + 6, timestamp: 77, ..Header::default() };
        write(&root, &header).unwrap()
    }

    /// What the reader finds, and how many entries made it so.
    fn recovered(hive: &[u8], logs: &[&[u8]]) -> Result<(u32, usize), Fault> {
        let recovered = recover(hive, logs)?;
        let root = read(&recovered.hive).unwrap().root;
        Ok((root.value("version").unwrap().as_dword().unwrap(), recovered.applied))
    }

    /// A hive whose writer began to write what is in the log, and got no further.
    fn dirty(mut hive: Vec<u8>) -> Vec<u8> {
        let sequence = u32_at(&hive, base::SEQUENCE_1).unwrap();
        put(&mut hive, base::SEQUENCE_1, sequence + 1);
        let sum = checksum(&hive);
        put(&mut hive, base::CHECKSUM, sum);
        hive
    }

    fn torn(mut hive: Vec<u8>) -> Vec<u8> {
        hive[60] ^= 0xff;
        hive
    }

    fn log_block(hive: &[u8], kind: u32) -> Vec<u8> {
        let mut log = hive[..SECTOR].to_vec();
        put(&mut log, base::FILE_TYPE, kind);
        let sum = checksum(&log);
        put(&mut log, base::CHECKSUM, sum);
        log
    }

    /// An entry that turns `before` into `after`; pages of 4096 bytes.
    fn entry(before: &[u8], after: &[u8]) -> Vec<u8> {
        let pages: Vec<usize> = (BLOCK..after.len())
            .step_by(BLOCK)
            .filter(|&at| before.get(at..at + BLOCK) != Some(&after[at..at + BLOCK]))
            .collect();
        let mut body = Vec::new();
        for at in &pages {
            body.extend([(at - BLOCK) as u32, BLOCK as u32].into_iter().flat_map(u32::to_le_bytes));
        }
        pages.iter().for_each(|&at| body.extend(&after[at..at + BLOCK]));
        body.resize((ENTRY_HEADER + body.len()).next_multiple_of(SECTOR) - ENTRY_HEADER, 0);
        let mut entry = b"HvLE".to_vec();
        let sequence = u32_at(after, base::SEQUENCE_1).unwrap();
        let numbers =
            [(ENTRY_HEADER + body.len()) as u32, 0, sequence, (after.len() - BLOCK) as u32, pages.len() as u32];
        entry.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
        entry.extend(marvin32(&body).to_le_bytes());
        entry.extend(marvin32(&entry).to_le_bytes());
        entry.extend(body);
        entry
    }

    fn new_log(entries: &[Vec<u8>]) -> Vec<u8> {
        [log_block(&version(1), NEW_LOG), entries.concat()].concat()
    }

    fn old_log(before: &[u8], after: &[u8]) -> Vec<u8> {
        let bins = after.len() - BLOCK;
        let is_dirty = |page: usize| {
            before.get(BLOCK + page * SECTOR..BLOCK + (page + 1) * SECTOR)
                != Some(&after[BLOCK + page * SECTOR..][..SECTOR])
        };
        let dirty: Vec<usize> = (0..bins / SECTOR).filter(|&page| is_dirty(page)).collect();
        let mut vector = b"DIRT".to_vec();
        vector.resize(4 + bins.div_ceil(SECTOR * 8), 0);
        dirty.iter().for_each(|page| vector[4 + page / 8] |= 1 << (page % 8));
        vector.resize(vector.len().next_multiple_of(SECTOR), 0);
        let mut log = log_block(after, 1);
        log.extend(vector);
        dirty.iter().for_each(|page| log.extend(&after[BLOCK + page * SECTOR..][..SECTOR]));
        log
    }

    #[test]
    fn entries_are_applied_in_their_order_from_all_logs() {
        let [one, two, three] = [1, 2, 3].map(version);
        let (second, third) = (entry(&one, &two), entry(&two, &three));
        let both = new_log(&[second.clone(), third.clone()]);
        assert_eq!(recovered(&dirty(one.clone()), &[&both, &both]), Ok((3, 2)));
        let logs = [new_log(std::slice::from_ref(&third)), new_log(std::slice::from_ref(&second))];
        assert_eq!(recovered(&dirty(one.clone()), &[&logs[0], &logs[1]]), Ok((3, 2)));
        // The first was written to the hive already.
        assert_eq!(recovered(&dirty(two), &[&both]), Ok((3, 1)));
        // Nothing is applied to a hive that was closed.
        assert_eq!(recovered(&one, &[&both]), Ok((1, 0)));
    }

    #[test]
    fn what_is_wrong_ends_a_log() {
        let [one, two, three] = [1, 2, 3].map(version);
        let (second, third) = (entry(&one, &two), entry(&two, &three));
        for at in [0, 5, 16, 24, 32, 60, third.len() - 1] {
            let mut bent = third.clone();
            bent[at] ^= 1;
            assert_eq!(recovered(&dirty(one.clone()), &[&new_log(&[second.clone(), bent])]), Ok((2, 1)), "{at}");
        }
        let cut = new_log(&[second.clone(), third[..third.len() - 1].to_vec()]);
        assert_eq!(recovered(&dirty(one.clone()), &[&cut]), Ok((2, 1)));
        let gap = new_log(&[second, entry(&two, &Vec::from(&version(4)[..]))]);
        assert_eq!(recovered(&dirty(one.clone()), &[&gap]), Ok((2, 1)));
        let fault = recovered(&dirty(one.clone()), &[&new_log(&[third])[..100], b""]).unwrap_err();
        insta::assert_snapshot!(fault, @"at offset 0x4: the hive was not closed, and none of its transaction logs applies");
        assert_eq!(salvage(&dirty(one)).unwrap().0.root.count(), 51);
    }

    #[test]
    fn sizes_that_lie_take_no_memory() {
        let [one, two] = [1, 2].map(version);
        let mut lying = entry(&one, &two);
        put(&mut lying, 16, 0x7fff_f000);
        let hash = marvin32(&lying[..32]);
        lying[32..40].copy_from_slice(&hash.to_le_bytes());
        assert!(recover(&dirty(one.clone()), &[&new_log(&[lying])]).is_err());
        let mut log = old_log(&one, &two);
        put(&mut log, base::BINS_SIZE, 0x7fff_f000);
        let sum = checksum(&log);
        put(&mut log, base::CHECKSUM, sum);
        assert!(recover(&dirty(one), &[&log]).is_err());
    }

    #[test]
    fn a_torn_base_block_is_taken_from_the_log() {
        let [one, two, three] = [1, 2, 3].map(version);
        let log = new_log(&[entry(&one, &two), entry(&two, &three)]);
        assert_eq!(recovered(&torn(one.clone()), &[&log]), Ok((3, 2)));
        // What an earlier use left in the other log does not follow.
        let stale = entry(&version(4), &version(5));
        let [before, after] = [5, 1].map(version).map(|mut hive| {
            put(&mut hive, base::SEQUENCE_1, 3);
            hive
        });
        let others =
            [new_log(&[entry(&before, &after)]), new_log(&[entry(&two, &three)]), new_log(&[entry(&one, &two)])];
        assert_eq!(recovered(&torn(one.clone()), &[&others[0], &others[1], &others[2]]), Ok((3, 2)));
        assert_eq!(recovered(&torn(version(4)), &[&others[0], &new_log(&[stale])]), Ok((5, 1)));
        assert_eq!(recovered(&torn(one.clone()), &[&old_log(&one, &two)]), Ok((2, 1)));
        assert!(recover(&torn(one), &[]).is_err());
    }

    #[test]
    fn an_old_log_is_applied_if_it_is_of_this_hive() {
        let [one, two] = [1, 2].map(version);
        let log = old_log(&one, &two);
        assert_eq!(recovered(&dirty(one.clone()), &[b"", &log]), Ok((2, 1)));
        let mut of_another_time = log.clone();
        of_another_time[base::TIMESTAMP] ^= 1;
        let sum = checksum(&of_another_time);
        put(&mut of_another_time, base::CHECKSUM, sum);
        assert!(recover(&dirty(one.clone()), &[&of_another_time]).is_err());
        assert!(recover(&dirty(one), &[&log[..log.len() - 1]]).is_err());
    }

    /// Bends what the hashes guard, and makes the hashes right again.
    fn bent(mut entry: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
        // Mostly the numbers, and the first references to pages.
        let places = if at.is_multiple_of(4) { entry.len() } else { ENTRY_HEADER + 32 };
        let at = 8 + (at / 4) % (places - 8);
        entry[at] = byte;
        let hash = marvin32(&entry[ENTRY_HEADER..]);
        entry[24..32].copy_from_slice(&hash.to_le_bytes());
        let hash = marvin32(&entry[..32]);
        entry[32..40].copy_from_slice(&hash.to_le_bytes());
        entry
    }

    proptest! {
        #[test]
        fn bent_logs_are_applied_or_not(bends in vec((any::<usize>(), any::<u8>()), 1..4), old in any::<bool>(), is_torn in any::<bool>()) {
            let [one, two] = [1, 2].map(version);
            let mut log = if old { old_log(&one, &two) } else { new_log(&[]) };
            if old {
                for (at, byte) in bends {
                    let places = if at.is_multiple_of(4) { log.len() } else { SECTOR + 40 };
                    log[at / 4 % places] = byte;
                }
                let sum = checksum(&log);
                put(&mut log, base::CHECKSUM, sum);
            } else {
                log.extend(bends.into_iter().fold(entry(&one, &two), |entry, (at, byte)| bent(entry, at, byte)));
            }
            let hive = if is_torn { torn(one) } else { dirty(one) };
            if let Ok(recovered) = recover(&hive, &[&log]) {
                prop_assert!(recovered.hive.len() <= hive.len() + log.len());
                if read(&recovered.hive).is_err() {
                    drop(salvage(&recovered.hive));
                }
            }
        }
    }
}
