//! A model of SQL Server's transaction log: a header page, then records in a ring.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use crate::prng::Prng;
use crate::site::fill::{age, create};

/// What is written at once.
const BLOCK: usize = 64 << 10;
const RECORD: usize = 128;

/// Makes the blocks of one log: block and day decide what is in one.
#[derive(Debug)]
pub(super) struct LogFile {
    prng: Prng,
}

impl LogFile {
    pub(super) fn new(prng: &Prng) -> Self {
        Self { prng: prng.fork("log file") }
    }

    /// Writes a new log of `blocks` blocks.
    pub(super) fn write(&self, path: &Path, blocks: u32) -> io::Result<()> {
        let mut file = create(path)?;
        self.write_blocks(&mut file, 0..blocks, 1)?;
        // The header's page, which makes no page file of what follows it.
        file.seek(SeekFrom::Start(0))?;
        let mut header = [0; 8192];
        header[..4].copy_from_slice(&[1, 15, 0, 0]);
        header[36..38].copy_from_slice(&2_u16.to_le_bytes());
        file.write_all(&header)?;
        age(&file, &mut self.prng.fork("age"))
    }

    /// Writes new records over these blocks.
    pub(super) fn pass_a_day(&self, path: &Path, blocks: Range<u32>) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(u64::from(blocks.start) * BLOCK as u64))?;
        self.write_blocks(&mut file, blocks, 2)
    }

    fn write_blocks(&self, file: &mut impl Write, blocks: Range<u32>, day: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        for number in blocks {
            let mut prng = self.prng.fork(&format!("block {number} of day {day}"));
            for (n, record) in block.chunks_exact_mut(RECORD).enumerate() {
                fill_record(record, day << 40 | u64::from(number) << 16 | n as u64, &mut prng);
            }
            file.write_all(&block)?;
        }
        Ok(())
    }
}

/// Sequence numbers and lengths that repeat themselves, and images of rows that do not.
fn fill_record(record: &mut [u8], sequence_number: u64, prng: &mut Prng) {
    record.fill(0);
    record[..4].copy_from_slice(&[0x3e, 0, 0x60, 0]);
    record[4..12].copy_from_slice(&sequence_number.to_le_bytes());
    record[12..20].copy_from_slice(&sequence_number.saturating_sub(1).to_le_bytes());
    record[20] = [2, 3, 4, 9][prng.below(4) as usize];
    prng.fill(&mut record[24..80]);
    record[80..124].copy_from_slice(b"SMS_StateMessage LastInventoryTime SiteCode ");
}
