//! Measures beside `cp -a && sync -f`, `rsync -a` and hivexregedit, in alternating rounds; medians, ratios, never a pass or a failure.

pub(crate) mod registry;
mod window;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::program::Program;
use tests::{JournalMode, SampleSite, SampleSiteOptions, SiteSize};

use crate::Chore;
use crate::shell;

pub(crate) type Measured<T> = Result<T, Box<dyn std::error::Error>>;

/// Parts that can be measured by name; without a name all are.
const SECTIONS: [&str; 3] = ["backup", "window", "registry"];

pub(crate) fn run(args: &[String]) -> Chore {
    let rounds = args.iter().skip_while(|arg| *arg != "--rounds").nth(1).map_or(Ok(5), |n| n.parse())?;
    let named: Vec<&String> = args.iter().take_while(|arg| *arg != "--rounds").collect();
    if let Some(unknown) = named.iter().find(|name| !SECTIONS.contains(&name.as_str())) {
        return Err(format!("`{unknown}` is none of {SECTIONS:?}").into());
    }
    let wanted = |section: &str| named.is_empty() || named.iter().any(|name| *name == section);
    let place = shell::root().join("target/bench");
    let of_programs = wanted("backup") || wanted("window");
    let programs = if of_programs { shell::build(true)? } else { PathBuf::new() };
    if wanted("backup") {
        println!("backup of a quiet site, 1.3 GB in 22,000 files, medians of {rounds} alternating rounds");
        whole_run(&programs, &fresh(&place)?, rounds)?;
    }
    if wanted("window") {
        window::run(&programs, &place, rounds)?;
    }
    if wanted("registry") {
        // Measured in a process of its own, which is built as what is measured will be.
        fresh(&place)?;
        shell::run(&mut shell::cargo(&[
            "run",
            "--quiet",
            "--release",
            "--package",
            "xtask",
            "--",
            registry::VERB,
            &rounds.to_string(),
        ]))?;
    }
    Ok(fs::remove_dir_all(&place)?)
}

pub(crate) fn fresh(place: &Path) -> std::io::Result<PathBuf> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::create_dir_all(place)?;
    Ok(place.to_owned())
}

/// A site of a size, to which 50 files are written beside the workload's numbers.
fn options(programs: &Path, size: SiteSize) -> SampleSiteOptions {
    let workload = programs.join("workload");
    SampleSiteOptions { size, journal_mode: JournalMode::Wal, workload, extra_files: 50, ..Default::default() }
}

/// Ours and the peers, each on its own in each round, with an empty place to write to.
fn whole_run(programs: &Path, place: &Path, rounds: usize) -> Measured<()> {
    let site = SampleSite::build(place, &options(programs, SiteSize::BENCH))?;
    let program = Program::at(&programs.join("sitebackup"));
    let (mut ours, mut cp, mut rsync, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..=rounds {
        forget_runs(&site)?;
        sync();
        let began = Instant::now();
        let kib = peak_of(&mut program.command(["--site".as_ref(), site.site_toml().as_os_str(), "backup".as_ref()]))?;
        let backup = began.elapsed();
        let copy = place.join("copy");
        let copied = timed_copy(&["cp", "-a"], &site.site_dir(), &copy)?;
        let synced =
            if shell::has("rsync") { Some(timed_copy(&["rsync", "-a"], &site.site_dir(), &copy)?) } else { None };
        // The first round warms the caches.
        if round > 0 {
            ours.push(backup);
            cp.push(copied);
            rsync.extend(synced);
            peak = peak.max(kib);
        }
    }
    let (ours, cp) = (median(&mut ours), median(&mut cp));
    println!("{:28} {:>8.2} s", "sitebackup backup", ours.as_secs_f64());
    println!(
        "{:28} {:>8.2} s   ratio {:.2}",
        "cp -a && sync -f",
        cp.as_secs_f64(),
        ours.as_secs_f64() / cp.as_secs_f64()
    );
    if !rsync.is_empty() {
        let rsync = median(&mut rsync);
        println!(
            "{:28} {:>8.2} s   ratio {:.2}",
            "rsync -a && sync -f",
            rsync.as_secs_f64(),
            ours.as_secs_f64() / rsync.as_secs_f64()
        );
    }
    println!("{:28} {:>8.1} MiB", "peak memory of backup", peak as f64 / 1024.0);
    let again = peak_of(&mut program.command([
        "--site".as_ref(),
        site.site_toml().as_os_str(),
        "verify".as_ref(),
        "--read-data".as_ref(),
    ]))?;
    println!("{:28} {:>8.1} MiB", "peak memory of verify", again as f64 / 1024.0);
    let to = place.join("recovered");
    fs::create_dir(&to)?;
    let kib = peak_of(&mut program.command([
        "--site".as_ref(),
        site.site_toml().as_os_str(),
        "recover".as_ref(),
        "--to".as_ref(),
        to.as_os_str(),
    ]))?;
    println!("{:28} {:>8.1} MiB", "peak memory of recover", kib as f64 / 1024.0);
    Ok(())
}

/// Copies and syncs; the copy is removed outside the measured time.
fn timed_copy(command: &[&str], from: &Path, to: &Path) -> Measured<Duration> {
    sync();
    let began = Instant::now();
    shell::run(Command::new(command[0]).args(&command[1..]).arg(from).arg(to))?;
    shell::run(Command::new("sync").arg("-f").arg(to))?;
    let took = began.elapsed();
    fs::remove_dir_all(to)?;
    Ok(took)
}

pub(crate) fn sync() {
    // A sync that fails only makes the next figure worse.
    drop(Command::new("sync").status());
}

/// An empty destination, and a state folder that knows of no snapshot which was there.
fn forget_runs(site: &SampleSite) -> std::io::Result<()> {
    empty(&site.destination())?;
    empty(&site.state_dir())
}

fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

/// Runs a program to its end and returns the most memory that it held, in KiB.
pub(crate) fn peak_of(command: &mut Command) -> Measured<u64> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Ok(text) = fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            peak = peak.max(kib.unwrap_or(0));
        }
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if ended.success() { Ok(peak) } else { Err(format!("{command:?} failed: {ended}").into()) }
}

pub(crate) fn median(values: &mut [Duration]) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Bytes of a file, or of all files in a folder.
pub(crate) fn size_of(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return fs::metadata(path).map_or(0, |found| found.len()) };
    entries.flatten().map(|entry| size_of(&entry.path())).sum()
}
