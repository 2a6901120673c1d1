//! How long the site is frozen, under write load.

use std::path::Path;
use std::time::Duration;

use tests::program::Program;
use tests::{SampleSite, SampleSiteOptions, SiteSize, Workload};

use super::{Measured, forget_runs, fresh, median, options, timed_copy};
use crate::Chore;

const MB: u64 = 1_000_000;

pub(super) fn run(programs: &Path, place: &Path, rounds: usize) -> Chore {
    println!("\nfreeze window under write load (workload and 50 more files written all the time), medians of {rounds}");
    println!("{:>9} {:>9} {:>12} {:>12} {:>9}", "files", "MB", "window ms", "outage ms", "stop+cp s");
    for (files, bytes) in [(2_200, 130 * MB), (22_000, 130 * MB), (22_000, 1_300 * MB)] {
        let place = fresh(place)?;
        let options = options(programs, SiteSize { files, bytes });
        let (site, window, outage) = windows(programs, &place, &options, rounds)?;
        let copied = timed_copy(&["cp", "-a"], &site.site_dir(), &place.join("copy"))?;
        println!("{files:>9} {:>9} {window:>12.1} {outage:>12.1} {:>9.2}", bytes / MB, copied.as_secs_f64());
    }
    #[cfg(target_os = "linux")]
    reflink(programs, rounds)?;
    Ok(())
}

/// Clones on XFS, on a loop device. The window grows with the files, which are walked, and with those that change, which are cloned in it.
#[cfg(target_os = "linux")]
fn reflink(programs: &Path, rounds: usize) -> Chore {
    use crate::shell;

    let is_root = shell::output(std::process::Command::new("id").arg("-u"))?.stdout == b"0\n";
    if !is_root || !shell::has("mkfs.xfs") {
        println!("\nreflink is not measured: its volume of XFS takes root and xfsprogs");
        return Ok(());
    }
    println!("\nfreeze window of reflink on XFS, under the same load, with so many more files written all the time");
    println!("{:>9} {:>9} {:>9} {:>12} {:>12}", "files", "MB", "written", "window ms", "outage ms");
    for (files, bytes, extra_files) in
        [(2_200, 65 * MB, 50), (22_000, 65 * MB, 50), (22_000, 130 * MB, 50), (22_000, 65 * MB, 500)]
    {
        let volume = tests::volume::Volume::xfs();
        let task = format!("shadow-copy = \"reflink\"\nwork-dir = \"{}\"\n", volume.path().join("work").display());
        let options = SampleSiteOptions { extra_files, task, ..options(programs, SiteSize { files, bytes }) };
        let (_, window, outage) = windows(programs, &fresh(&volume.path().join("srv"))?, &options, rounds)?;
        println!("{files:>9} {:>9} {extra_files:>9} {window:>12.1} {outage:>12.1}", bytes / MB);
    }
    Ok(())
}

/// Medians of freeze window and outage, in milliseconds, of backups of a site under load, which is at rest afterwards.
fn windows(
    programs: &Path,
    place: &Path,
    options: &SampleSiteOptions,
    rounds: usize,
) -> Measured<(SampleSite, f64, f64)> {
    let site = SampleSite::build(place, options)?;
    let workload = Workload::start(&site, &options.workload, options.extra_files)?;
    let program = Program::at(&programs.join("sitebackup"));
    let (mut windows, mut outages) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        forget_runs(&site)?;
        workload.wait_for_progress()?;
        let ran = program.run(["--json".as_ref(), "--site".as_ref(), site.site_toml().as_os_str(), "backup".as_ref()]);
        if ran.code != 0 {
            return Err(format!("{ran:#?}").into());
        }
        let json = ran.json();
        let seconds = |name: &str| json["result"][name].as_f64().ok_or_else(|| format!("no `{name}` in {json}"));
        // The first round warms the caches.
        if round > 0 {
            windows.push(Duration::from_secs_f64(seconds("freeze_window")?));
            outages.push(Duration::from_secs_f64(seconds("outage")?));
        }
    }
    workload.stop_all()?;
    let ms = |values: &mut Vec<Duration>| median(values).as_secs_f64() * 1000.0;
    Ok((site, ms(&mut windows), ms(&mut outages)))
}
