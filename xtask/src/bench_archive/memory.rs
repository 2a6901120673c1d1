//! How much memory a large page file takes: most of what is held is what the indexes tell of each extent.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Bench, TOOLS, old_snapshots};
use crate::bench::{Measured, fresh, peak_of};

const PAGE: u64 = 8 << 10;

/// Prints the peaks of each command for page files of half of so many GiB, and of all of them. Each page has a header, 512 bytes that nothing
/// compresses and no more, and so takes 4 KiB of the disk; its extents are as many as those of a full one, and no two have half of their pages in common.
pub(super) fn measure(bench: &Bench, gib: u64) -> Measured<()> {
    println!("{:>6} {:>8} {:>8} {:>8} {:>8} {:>8}   MiB at most", "GiB", "first", "day 2", "open", "check", "prune");
    for gib in [gib / 2, gib] {
        let folder = fresh(&bench.site())?;
        let file = folder.join("CM_P01.mdf");
        let pages = gib * (1 << 30) / PAGE;
        write_starts(&file, 0..pages, 1, 0)?;
        let ours = &TOOLS[0];
        bench.begin(ours)?;
        let peak = |script: &str| -> Measured<u64> {
            let mut command = bench.command(ours, script, &folder);
            command.env("OLD", old_snapshots(&bench.repository(ours).join("snapshots"))?.join(" "));
            Ok(peak_of(&mut command)? / 1024)
        };
        let first = peak(ours.store)?;
        write_starts(&file, 0..pages, 100, 1)?;
        let (day_two, open, check) = (peak(ours.store)?, peak(ours.open)?, peak(ours.check)?);
        peak(ours.forget)?;
        let prune = peak(ours.prune)?;
        println!("{gib:>6} {first:>8} {day_two:>8} {open:>8} {check:>8} {prune:>8}");
    }
    Ok(())
}

/// Writes the start of every `step`th page, for this day.
fn write_starts(path: &Path, pages: std::ops::Range<u64>, step: usize, day: u64) -> Measured<()> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.set_len(pages.end * PAGE)?;
    for page in pages.step_by(step) {
        let mut start = vec![0; 96];
        start[0] = 1;
        start[32..36].copy_from_slice(&u32::try_from(page)?.to_le_bytes());
        start[36] = 1;
        // Numbers of a linear congruential generator: good enough not to be compressed.
        let next = |number: &u64| Some(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(page << 1 | day));
        start.extend(std::iter::successors(Some(page), next).skip(2).take(64).flat_map(u64::to_le_bytes));
        file.write_all_at(&start, page * PAGE)?;
    }
    Ok(())
}
